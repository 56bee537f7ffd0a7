// The embedding map: a scatter of the gallery, and the same as a list.

import { gallerySentence, request } from "./api.js";
import { byId, count, make, say } from "./dom.js";

const LISTED = 100;
const REACH_PX = 12;
const MARGIN_PX = 16;

let points = [];
let leadSet = "";
let chosen = -1;

export async function startMap() {
  const message = byId("map-message");
  try {
    say(message, "Loading …");
    const answer = await request("v1/gallery/map");
    points = answer.points;
    leadSet = answer.lead_set;
  } catch (error) {
    say(message, gallerySentence(error), { problem: true, retry: startMap });
    return;
  }
  if (!points.length) {
    say(message, "This gallery is empty: enrol recordings with anylead gallery enrol.");
    return;
  }
  say(message, "");
  byId("map-body").hidden = false;
  listen();
  list();
  paint();
}

function listen() {
  const canvas = byId("scatter");
  const patients = new Set(points.map((point) => point.patient_id)).size;
  canvas.setAttribute(
    "aria-label",
    `Map of ${points.length} recordings of ${patients} patients, lead set ${leadSet}; the list below says the same.`,
  );
  byId("map-count").textContent = "";
  canvas.addEventListener("pointermove", (event) => choose(nearest(event.offsetX, event.offsetY)));
  canvas.addEventListener("pointerdown", (event) => choose(nearest(event.offsetX, event.offsetY)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose((chosen + step + points.length) % points.length);
  });
  byId("map-filter").addEventListener("input", list);
  new ResizeObserver(paint).observe(canvas);
  document.addEventListener("themechange", paint);
}

function places() {
  const canvas = byId("scatter");
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const span = (values) => {
    let least = Infinity;
    let most = -Infinity;
    for (const value of values) {
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
    return [least, most - least || 1];
  };
  const [left, wide] = span(xs);
  const [low, high] = span(ys);
  const width = canvas.clientWidth - 2 * MARGIN_PX;
  const height = canvas.clientHeight - 2 * MARGIN_PX;
  return points.map((point) => [
    MARGIN_PX + ((point.x - left) / wide) * width,
    MARGIN_PX + (1 - (point.y - low) / high) * height,
  ]);
}

function nearest(x, y) {
  let best = -1;
  let least = REACH_PX ** 2;
  places().forEach(([px, py], index) => {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [best, least] = [index, distance];
  });
  return best;
}

function choose(index) {
  if (index < 0 || index === chosen) return;
  chosen = index;
  const point = points[index];
  const others = points.filter((other) => other.patient_id === point.patient_id).length - 1;
  byId("map-reading").textContent =
    `Patient ${point.patient_id}, recording ${point.record_id}` +
    (others ? `; joined to ${count(others)} other${others === 1 ? "" : "s"} of this patient.` : "; the only one.");
  paint();
}

function paint() {
  const canvas = byId("scatter");
  if (!canvas.clientWidth) return;
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const at = places();
  pen.fillStyle = colour("dot");
  at.forEach(([x, y]) => dot(pen, x, y, points.length > 2000 ? 1.5 : 4));
  if (chosen < 0) return;
  pen.fillStyle = pen.strokeStyle = colour("accent");
  pen.lineWidth = 2;
  points.forEach((point, index) => {
    if (point.patient_id !== points[chosen].patient_id) return;
    pen.beginPath();
    pen.moveTo(...at[chosen]);
    pen.lineTo(...at[index]);
    pen.stroke();
    dot(pen, ...at[index], 6);
  });
  pen.strokeStyle = colour("text");
  pen.beginPath();
  pen.arc(...at[chosen], 9, 0, 2 * Math.PI);
  pen.stroke();
}

function dot(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function list() {
  const wanted = byId("map-filter").value.trim().toLowerCase();
  const found = points
    .map((point, index) => [point, index])
    .filter(([point]) => `${point.patient_id} ${point.record_id}`.toLowerCase().includes(wanted));
  byId("map-count").textContent =
    found.length > LISTED
      ? `The first ${LISTED} of ${count(found.length)} recordings; type to find others.`
      : `${count(found.length)} ${found.length === 1 ? "recording" : "recordings"}.`;
  byId("map-list").replaceChildren(
    ...found.slice(0, LISTED).map(([point, index]) =>
      make("li", {}, make(
        "button",
        { type: "button", onclick: () => choose(index), onfocus: () => choose(index) },
        `Patient ${point.patient_id}: ${point.record_id}`,
      )),
    ),
  );
}
