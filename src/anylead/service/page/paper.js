// ECG paper on a canvas: 25 mm/s, 10 mm/mV, at any zoom, a window onto a recording of any length.

import { make } from "./dom.js";

const MM_PER_SECOND = 25;
const MM_PER_MILLIVOLT = 10;
const COLUMNS = [
  ["I", "II", "III"],
  ["aVR", "aVL", "aVF"],
  ["V1", "V2", "V3"],
  ["V4", "V5", "V6"],
];
const COLUMN_S = 2.5;
const STRIP_S = 10; // What 3x4 shows of each lead starts anew after this.
const PIECE_S = 10; // How much is asked of the server at a time.
const TOP_MM = 5; // Room for tall beats of the first row.
const PIECES_KEPT = 60;
const NARROW_PX = 640;
const FEW = ["II", "V2", "V5", "I", "V1", "III"]; // Which leads a small comparison shows.
const ZOOM = { least: 1.5, most: 16, step: 1.25 };

/** One recording on paper. `compact` draws lower rows and no rhythm strip, for comparison. */
export class Paper {
  constructor(host, { compact = false } = {}) {
    this.compact = compact;
    this.absent = new Set();
    this.pieces = new Map();
    this.linked = [];
    this.zoom = null; // null: as it fits
    this.layout = "auto";
    this.marks = null;
    this.told = null; // Where another paper scrolled this one to.
    this.recording = null;
    this.build(host);
  }

  build(host) {
    const button = (text, label, onclick) =>
      make("button", { type: "button", onclick, "aria-label": label, title: label }, text);
    this.title = make("h3", { className: "paper-title" });
    this.reading = make("output", { className: "reading" });
    this.caliperButton = button("Calipers", "Calipers (c)", () => this.toggleCalipers());
    this.caliperButton.setAttribute("aria-pressed", "false");
    this.choice = make(
      "select",
      { ariaLabel: "Layout", onchange: () => this.setLayout(this.choice.value) },
      make("option", { value: "auto" }, "layout: by width"),
      make("option", { value: "columns" }, "3 × 4 and rhythm"),
      make("option", { value: "stacked" }, "one below another"),
    );
    const tools = make(
      "div",
      { className: "paper-tools" },
      button("−", "Zoom out (-)", () => this.zoomBy(1 / ZOOM.step)),
      button("+", "Zoom in (+)", () => this.zoomBy(ZOOM.step)),
      button("Fit", "Fit to the width (0)", () => this.fit()),
      this.caliperButton,
      this.choice,
    );
    this.scale = make("span", { className: "muted" });
    this.canvas = make("canvas");
    this.length = make("div", { className: "paper-length" }, this.canvas);
    this.scroller = make("div", { className: "paper-scroll", tabIndex: 0, role: "group" }, this.length);
    const bar = make("div", { className: "paper-bar" }, this.title, this.scale, this.reading);
    if (!this.compact) bar.append(tools);
    host.replaceChildren(make("div", { className: "paper" }, bar, this.scroller));
    this.listen();
  }

  listen() {
    this.scroller.addEventListener("scroll", () => this.scrolled());
    this.scroller.addEventListener("keydown", (event) => this.pressed(event));
    this.scroller.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.pointerDown(event));
    this.canvas.addEventListener("pointermove", (event) => this.pointerMoved(event));
    for (const name of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    this.pointers = new Map();
    this.watcher = new ResizeObserver(() => this.arrange());
    this.watcher.observe(this.scroller);
    this.repaint = () => this.paintSoon();
    document.addEventListener("themechange", this.repaint);
  }

  /** Lets go of what outlives the elements. */
  close() {
    this.watcher.disconnect();
    document.removeEventListener("themechange", this.repaint);
    this.aborter?.abort();
  }

  /** Shows a recording: `load(start, seconds, signal)` fetches a piece; rejects where the first cannot be had. */
  async show({ title, leads = [], load }) {
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.pieces.clear();
    this.marks = null;
    this.reading.textContent = "";
    const first = await load(0, PIECE_S, this.aborter.signal);
    const named = Object.keys(first.microvolts);
    this.recording = {
      leads: leads.length ? leads.filter((lead) => named.includes(lead)) : named,
      duration: first.recording_s ?? first.duration_s,
      load,
    };
    this.pieces.set(0, first);
    this.title.textContent = title;
    this.scroller.setAttribute(
      "aria-label",
      `ECG of ${title}, ${this.recording.leads.join(", ")}, ${this.recording.duration.toFixed(1)} seconds. ` +
        "Arrow keys scroll, plus and minus zoom, c sets calipers.",
    );
    this.scroller.scrollLeft = 0;
    this.arrange();
  }

  /** Goes back to the start of paper and to the zoom that fits, as for a new recording. */
  restart() {
    this.zoom = null;
    this.scroller.scrollLeft = 0;
  }

  /** Scrolls and zooms along with others. */
  link(others) {
    this.linked = others.filter((other) => other !== this);
  }

  setAbsent(leads) {
    this.absent = new Set(leads);
    this.paintSoon();
  }

  setLayout(layout) {
    this.layout = layout;
    this.arrange();
  }

  // ---- geometry ----

  get width() {
    return Math.max(this.scroller.clientWidth, 1);
  }

  get columns() {
    const standard = COLUMNS.flat().every((lead) => this.recording.leads.includes(lead));
    return standard && (this.layout === "columns" || (this.layout === "auto" && this.width >= NARROW_PX));
  }

  get pxPerMm() {
    if (this.zoom !== null) return this.zoom;
    const seconds = Math.min(STRIP_S, this.recording.duration);
    const fitting = this.width / (seconds * MM_PER_SECOND);
    return Math.min(Math.max(fitting, this.width < NARROW_PX ? 4 : 2.5), 7);
  }

  get pxPerSecond() {
    return this.pxPerMm * MM_PER_SECOND;
  }

  /** Rows, each a function of time to the lead drawn there. */
  rows() {
    const { leads } = this.recording;
    if (this.columns) {
      const at = (row) => (time) => COLUMNS[Math.floor((time % STRIP_S) / COLUMN_S + 1e-9) % 4][row];
      const rows = [0, 1, 2].map((row) => ({ lead: at(row), turns: COLUMN_S }));
      return this.compact ? rows : [...rows, { lead: () => "II", turns: Infinity }];
    }
    const few = FEW.filter((lead) => leads.includes(lead)).slice(0, 3);
    const shown = this.compact && leads.length > 3 && few.length ? few : leads;
    return shown.map((lead) => ({ lead: () => lead, turns: Infinity }));
  }

  arrange() {
    if (!this.recording || this.scroller.clientWidth === 0) return;
    this.lines = this.rows();
    const { leads } = this.recording;
    const few = !this.columns && this.lines.length < leads.length;
    this.scale.textContent = `${few ? `${this.lines.length} of ${leads.length} leads, ` : ""}25 mm/s, 10 mm/mV`;
    this.rowMm = this.columns ? (this.compact ? 15 : 20) : this.lines.length < 4 ? (this.compact ? 16 : 25) : 15;
    this.height = Math.round((this.lines.length * this.rowMm + TOP_MM) * this.pxPerMm);
    this.length.style.width = `${Math.max(this.recording.duration * this.pxPerSecond, 1)}px`;
    this.length.style.height = `${this.height}px`;
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.ratio = ratio;
    this.paint();
  }

  get start() {
    return this.scroller.scrollLeft / this.pxPerSecond;
  }

  baseline(row) {
    return (row + 0.5) * this.rowMm * this.pxPerMm + TOP_MM * this.pxPerMm;
  }

  // ---- scrolling and zooming ----

  scrolled() {
    this.paintSoon();
    const at = this.scroller.scrollLeft;
    if (this.told !== null && Math.abs(at - this.told) < 1) return; // It followed another, and must not pull that one back.
    this.told = null;
    for (const other of this.linked) {
      if (!other.recording) continue;
      other.scroller.scrollLeft = at;
      other.told = other.scroller.scrollLeft; // A shorter recording stops at its end.
    }
  }

  zoomBy(factor, at = this.width / 2) {
    const time = this.start + at / this.pxPerSecond;
    const zoom = Math.min(Math.max(this.pxPerMm * factor, ZOOM.least), ZOOM.most);
    this.zoomTo(zoom, time - at / (zoom * MM_PER_SECOND));
    for (const other of this.linked) if (other.recording) other.zoomTo(zoom, this.start);
  }

  zoomTo(zoom, start) {
    this.zoom = zoom;
    this.arrange();
    this.scroller.scrollLeft = start * this.pxPerSecond;
    this.told = this.scroller.scrollLeft;
    this.paintSoon();
  }

  fit() {
    const { start } = this;
    for (const paper of [this, ...this.linked]) if (paper.recording) paper.zoomTo(null, start);
  }

  wheeled(event) {
    if (!event.ctrlKey && !event.metaKey) return; // The plain wheel scrolls the page, as everywhere.
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 300), event.offsetX);
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.recording) return;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const arrow = arrows[event.key];
    if (event.key === "+" || event.key === "=") this.zoomBy(ZOOM.step);
    else if (event.key === "-") this.zoomBy(1 / ZOOM.step);
    else if (event.key === "0") this.fit();
    else if (event.key === "c") this.toggleCalipers();
    else if (event.key === "Escape" && this.marks) this.setMarks(null);
    else if (event.key === "Home") this.scroller.scrollLeft = 0;
    else if (event.key === "End") this.scroller.scrollLeft = this.length.clientWidth;
    else if (arrow && this.marks) this.nudge(arrow, event.shiftKey);
    else if (arrow && arrow[0] !== 0) this.scroller.scrollLeft += (arrow[0] * this.width) / 4;
    else return;
    event.preventDefault();
  }

  // ---- calipers ----

  toggleCalipers() {
    if (this.marks) return this.setMarks(null);
    const middle = this.start + this.width / this.pxPerSecond / 2;
    const y = this.baseline(0) / this.pxPerMm;
    this.setMarks({ from: [middle - 0.4, y], to: [middle + 0.4, y - 10] });
    this.scroller.focus();
  }

  nudge([x, y], first) {
    const mark = first ? this.marks.from : this.marks.to;
    mark[0] += x * 0.01;
    mark[1] += y * 0.5;
    this.setMarks(this.marks);
  }

  /** Two corners as [seconds, mm from the top], null for none. */
  setMarks(marks) {
    this.marks = marks;
    this.caliperButton.setAttribute("aria-pressed", String(marks !== null));
    this.reading.textContent = marks ? this.measured() : "";
    this.paintSoon();
  }

  measured() {
    const { from, to } = this.marks;
    const ms = Math.abs(to[0] - from[0]) * 1000;
    const rate = ms >= 100 ? `, ${Math.round(60000 / ms)} bpm` : "";
    return `${Math.round(ms)} ms${rate}, ${(Math.abs(to[1] - from[1]) / MM_PER_MILLIVOLT).toFixed(2)} mV`;
  }

  place(event) {
    return [this.start + event.offsetX / this.pxPerSecond, event.offsetY / this.pxPerMm];
  }

  pointerDown(event) {
    if (event.button !== 0 || !this.recording) return;
    this.pointers.set(event.pointerId, event);
    // A finger scrolls unless the calipers are on; a mouse always measures.
    if (event.pointerType === "touch" && !this.marks) return;
    if (this.pointers.size > 1) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.dragFrom = this.place(event);
  }

  pointerMoved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    if (this.pointers.size === 2) this.pinch(event);
    else if (this.dragFrom && (event.pointerType !== "touch" || this.marks)) {
      const to = this.place(event);
      if (this.marks || Math.abs(to[0] - this.dragFrom[0]) * this.pxPerSecond > 3)
        this.setMarks({ from: [...this.dragFrom], to });
    }
    this.pointers.set(event.pointerId, event);
  }

  pinch(event) {
    const [one, two] = [...this.pointers.values()];
    const other = one.pointerId === event.pointerId ? two : one;
    const before = this.pointers.get(event.pointerId);
    const apart = (a, b) => Math.max(Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), 1);
    this.zoomBy(apart(event, other) / apart(before, other), (event.offsetX + other.offsetX) / 2);
  }

  // ---- drawing ----

  paintSoon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    if (!this.recording || !this.ratio) return;
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.fillStyle = colour("paper");
    pen.fillRect(0, 0, this.width, this.height);
    this.paintGrid(pen, colour);
    const end = Math.min(this.start + this.width / this.pxPerSecond, this.recording.duration);
    this.fetchPieces(this.start, end);
    this.lines.forEach((line, row) => this.paintRow(pen, colour, line, row, this.start, end));
    if (this.marks) this.paintMarks(pen, colour);
  }

  paintGrid(pen, colour) {
    const mm = this.pxPerMm;
    const offset = this.start * this.pxPerSecond;
    const last = this.recording.duration * this.pxPerSecond - offset;
    for (const [step, name] of [
      [1, "grid-fine"],
      [5, "grid"],
    ]) {
      if (step * mm < 3) continue;
      pen.strokeStyle = colour(name);
      pen.lineWidth = 1;
      pen.beginPath();
      const right = Math.min(this.width, last);
      for (let x = -(offset % (step * mm)); x <= right; x += step * mm) {
        pen.moveTo(Math.round(x) + 0.5, 0);
        pen.lineTo(Math.round(x) + 0.5, this.height);
      }
      for (let y = 0; y <= this.height; y += step * mm) {
        pen.moveTo(0, Math.round(y) + 0.5);
        pen.lineTo(right, Math.round(y) + 0.5);
      }
      pen.stroke();
    }
  }

  paintRow(pen, colour, line, row, from, end) {
    const y = this.baseline(row);
    pen.lineJoin = "round";
    let time = from;
    while (time < end - 1e-9) {
      const next = Math.min(line.turns === Infinity ? end : (Math.floor(time / line.turns + 1e-9) + 1) * line.turns, end);
      const lead = line.lead(time + 1e-6);
      const missing = this.absent.has(lead);
      pen.strokeStyle = colour(missing ? "absent" : "trace");
      pen.lineWidth = missing ? 1 : Math.min(Math.max(this.pxPerMm / 4, 1), 2);
      const begins = line.turns === Infinity ? from : Math.floor(time / line.turns + 1e-9) * line.turns;
      this.paintTrace(pen, lead, y, time, next);
      this.paintLabel(pen, colour, lead, missing, (begins - from) * this.pxPerSecond, y, line.turns !== Infinity);
      time = next;
    }
  }

  paintLabel(pen, colour, lead, missing, x, y, divided) {
    const top = y - (this.rowMm / 2 - 1) * this.pxPerMm;
    pen.font = "600 13px system-ui, sans-serif";
    pen.textBaseline = "top";
    const text = missing ? `${lead} absent` : lead;
    pen.strokeStyle = colour("paper"); // A halo: a tall beat may stand just here.
    pen.lineWidth = 4;
    pen.strokeText(text, x + 6, top);
    pen.fillStyle = colour(missing ? "absent-text" : "trace");
    pen.fillText(text, x + 6, top);
    if (!divided || x <= 0) return;
    pen.fillRect(Math.round(x), y - 3 * this.pxPerMm, 1, 6 * this.pxPerMm);
  }

  paintTrace(pen, lead, y, from, to) {
    const scale = (this.pxPerMm * MM_PER_MILLIVOLT) / 1000;
    const origin = this.start;
    pen.beginPath();
    let down = false;
    for (let index = Math.floor(from / PIECE_S); index * PIECE_S < to; index += 1) {
      const piece = this.pieces.get(index);
      const samples = piece?.microvolts[lead];
      if (!samples) {
        down = false;
        continue;
      }
      const rate = piece.sampling_rate_hz;
      const last = Math.min(samples.length - 1, Math.ceil((to - piece.start_s) * rate));
      for (let at = Math.max(0, Math.floor((from - piece.start_s) * rate)); at <= last; at += 1) {
        if (samples[at] === null) {
          down = false;
          continue;
        }
        const x = (piece.start_s + at / rate - origin) * this.pxPerSecond;
        if (down) pen.lineTo(x, y - samples[at] * scale);
        else pen.moveTo(x, y - samples[at] * scale);
        down = true;
      }
    }
    pen.stroke();
  }

  paintMarks(pen, colour) {
    const [x1, x2] = [this.marks.from, this.marks.to].map(([time]) => (time - this.start) * this.pxPerSecond);
    const [y1, y2] = [this.marks.from, this.marks.to].map(([, mm]) => mm * this.pxPerMm);
    pen.strokeStyle = colour("accent");
    pen.lineWidth = 1.5;
    pen.strokeRect(Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1));
    pen.beginPath();
    for (const x of [x1, x2]) {
      pen.moveTo(x, 0);
      pen.lineTo(x, this.height);
    }
    pen.stroke();
    const text = this.measured();
    pen.font = "600 13px system-ui, sans-serif";
    const wide = pen.measureText(text).width + 8;
    const x = Math.min(Math.max(Math.max(x1, x2) + 4, 0), this.width - wide);
    pen.fillStyle = colour("accent");
    pen.fillRect(x, Math.max(y2 - 9, 0), wide, 18);
    pen.fillStyle = colour("on-accent");
    pen.textBaseline = "top";
    pen.fillText(text, x + 4, Math.max(y2 - 9, 0) + 3);
  }

  fetchPieces(from, to) {
    const { load } = this.recording;
    for (let index = Math.floor(from / PIECE_S); index * PIECE_S < to; index += 1) {
      if (this.pieces.has(index)) continue;
      this.pieces.set(index, null);
      load(index * PIECE_S, PIECE_S, this.aborter.signal)
        .then((piece) => {
          this.pieces.set(index, piece);
          for (const old of this.pieces.keys()) {
            if (this.pieces.size <= PIECES_KEPT) break;
            if (Math.abs(old - index) > 3) this.pieces.delete(old);
          }
          this.paintSoon();
        })
        .catch((error) => {
          if (error.name === "AbortError") return;
          this.pieces.delete(index);
          this.reading.textContent = `From ${index * PIECE_S} s on: ${error.message}`;
        });
    }
  }
}
