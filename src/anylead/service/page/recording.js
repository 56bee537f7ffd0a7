// The first view: a recording, the leads that count, whose it is and what is in it.

import { gallerySentence, request, signalOf, stale } from "./api.js";
import { byId, day, days, interval, make, number, percent, say, table } from "./dom.js";
import { Paper } from "./paper.js";

const PRESETS = [
  ["All", null],
  ["Limb leads", ["I", "II", "III", "aVR", "aVL", "aVF"]],
  ["I and II", ["I", "II"]],
  ["Only I", ["I"]],
  ["Only II", ["II"]],
];
const QUIET_MS = 250; // So long after the last change of leads the questions are asked.
const TOP = 10;

let paper = null;
let matchPaper = null;
let opened = null;
let asked = null; // AbortController of the questions under way
let timer = 0;
let drawn = null; // recording drawn beside it

export function startRecording() {
  paper = new Paper(byId("record-paper"));
  matchPaper = new Paper(byId("match-paper"), { compact: true });
  paper.link([matchPaper]);
  matchPaper.link([paper]);
  byId("files").addEventListener("change", () => upload([...byId("files").files]));
  byId("upload").addEventListener("submit", (event) => event.preventDefault());
  for (const input of byId("upload").querySelectorAll(".fields input, .fields select"))
    input.addEventListener("change", () => byId("files").files.length && upload([...byId("files").files]));
  byId("prior").addEventListener("change", askSoon);
  const drop = byId("recording");
  for (const name of ["dragenter", "dragover"])
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      byId("drop").classList.add("over");
    });
  drop.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    upload([...event.dataTransfer.files]);
  });
}

async function upload(files) {
  if (!files.length) return;
  const message = byId("upload-message");
  say(message, `Reading ${files.map((file) => file.name).join(", ")} …`);
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  for (const name of ["fs", "unit", "leads"]) {
    const value = byId("upload").elements[name].value.trim();
    if (value) form.append(name, value);
  }
  try {
    const waiting = (seconds) => say(message, `The server is busy; trying again in ${Math.ceil(seconds)} s …`);
    await show(await request("v1/records", { method: "POST", form, waiting }), files);
  } catch (error) {
    if (error.status === 422) byId("file-facts").open = true; // Often it is only that the file does not say them.
    say(message, error.message, { problem: true, retry: () => upload(files) });
  }
}

async function show(record, files) {
  opened = { ...record, files };
  byId("opened").hidden = false;
  byId("start").hidden = true;
  drawn = null;
  byId("match").hidden = true;
  buildLeads(record.leads);
  paper.restart();
  const name = files[0].name.replace(/\.[^.]+$/, "") || files[0].name; // The server calls every upload the same.
  await paper.show({
    title: name,
    leads: record.leads,
    load: signalOf.upload(record.record),
  });
  paper.setAbsent([]);
  const flags = record.flags.length ? ` Noticed: ${record.flags.join(", ")}.` : "";
  say(
    byId("upload-message"),
    `${name}: ${record.leads.length} ${record.leads.length === 1 ? "lead" : "leads"}, ` +
      `${record.duration_s.toFixed(1)} s.${flags}`,
  );
  ask();
}

// ---- leads ----

function buildLeads(leads) {
  const toggles = leads.map((lead) =>
    make(
      "label",
      { className: "chip" },
      make("input", { type: "checkbox", checked: true, value: lead, onchange: leadsChanged }),
      lead,
    ),
  );
  byId("lead-toggles").replaceChildren(...toggles);
  const presets = PRESETS.filter(([, set]) => !set || (set.length < leads.length && set.every((lead) => leads.includes(lead))));
  byId("lead-presets").replaceChildren(
    ...presets.map(([name, set]) => make("button", { type: "button", onclick: () => choose(set) }, name)),
  );
}

const boxes = () => [...byId("lead-toggles").querySelectorAll("input")];

function choose(set) {
  for (const box of boxes()) box.checked = set === null || set.includes(box.value);
  leadsChanged();
}

function leadsChanged() {
  paper.setAbsent(boxes().filter((box) => !box.checked).map((box) => box.value));
  askSoon();
}

function askSoon() {
  if (!opened) return;
  asked?.abort(); // What is under way answers a question nobody asks any more.
  byId("opened").classList.add("waiting");
  clearTimeout(timer);
  timer = setTimeout(ask, QUIET_MS);
}

// ---- questions ----

async function ask() {
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  const chosen = boxes().filter((box) => box.checked).map((box) => box.value);
  byId("opened").classList.add("waiting");
  if (!chosen.length) {
    say(byId("classify-message"), "");
    byId("classes").replaceChildren();
    clearMatches("Choose at least one lead.");
  } else {
    const leads = chosen.length === boxes().length ? null : chosen;
    await Promise.all([classify(leads, signal), identify(leads, signal)]);
  }
  if (!signal.aborted) byId("opened").classList.remove("waiting");
}

function clearMatches(sentence, options) {
  byId("verdict").className = "verdict";
  say(byId("verdict"), sentence, options);
  for (const id of ["matches", "identify-notes"]) byId(id).replaceChildren();
  byId("match").hidden = true;
  drawn = null;
}

/** Whether a failure means that the upload is gone from the server's memory. */
const expired = (error) => error.status === 404 && error.code !== "no_gallery";

async function classify(leads, signal) {
  const message = byId("classify-message");
  try {
    const waiting = () => say(message, "The server is busy; trying again …");
    const json = { record: opened.record, leads };
    const answer = await request("v1/classify", { method: "POST", json, signal, waiting });
    say(message, summary(answer.classes));
    byId("classes").replaceChildren(...answer.classes.map(classRow));
  } catch (error) {
    if (stale(error)) return;
    byId("classes").replaceChildren();
    if (error.status === 409) say(message, "This model has no classifier: it tells whose a recording is, not what is in it.");
    else say(message, sentence(error), { problem: true, retry: again(error) });
  }
}

function summary(classes) {
  const found = classes.filter((one) => one.found).map((one) => one.name);
  return found.length ? `Found: ${found.join(", ")}.` : "None of the classes reaches its threshold.";
}

function classRow(one) {
  const bar = make("meter", { min: 0, max: 1, value: one.probability, ariaLabel: `${one.name}: ${percent(one.probability)}` });
  const limit = one.threshold === null || one.threshold === undefined ? "" : `, threshold ${percent(one.threshold)}`;
  return make(
    "div",
    { className: one.found ? "class found" : "class" },
    make("span", {}, one.found ? `✓ ${one.name}` : one.name),
    bar,
    make("span", { className: "muted" }, `${percent(one.probability)}${limit}`),
  );
}

async function identify(leads, signal) {
  const verdict = byId("verdict");
  try {
    const waiting = () => say(verdict, "The server is busy; trying again …");
    const prior = Math.min(Math.max(Number(byId("prior").value) / 100 || 0.5, 0.0001), 0.9999);
    const json = { record: opened.record, leads, top: TOP, known_prior: prior };
    const answer = await request("v1/identify", { method: "POST", json, signal, waiting });
    tell(answer);
  } catch (error) {
    if (stale(error)) return;
    const text = expired(error) ? sentence(error) : gallerySentence(error);
    clearMatches(text, { problem: true, retry: again(error) });
  }
}

const sentence = (error) =>
  expired(error) ? "The server has forgotten this upload: it keeps them for a short time only." : error.message;

const again = (error) => (expired(error) ? () => upload(opened.files) : ask);

const VERDICTS = {
  known: (answer) =>
    `Patient ${answer.matches[0].patient_id}: probability ${interval(answer.matches[0].probability)}.`,
  "nobody here": (answer) =>
    `Nobody here: this person is probably not in the gallery${answer.nobody ? `, probability ${interval(answer.nobody)}` : ""}.`,
  undecided: (answer) =>
    answer.matches.length
      ? "Undecided: the most similar patient is listed first, but that is not enough to say that it is them."
      : "Undecided: nothing in the gallery can be compared with these leads.",
};

function tell(answer) {
  const verdict = byId("verdict");
  verdict.className = `verdict ${answer.verdict.replace(" ", "-")}`;
  say(verdict, VERDICTS[answer.verdict](answer));
  const through = `Compared through lead set ${answer.lead_set}.`;
  byId("identify-notes").replaceChildren(...[through, ...answer.notes].map((note) => make("li", {}, note)));
  const columns = ["Patient", "Similarity", "Probability (95 %)", "Recording: press to draw", "Recorded", "Apart"];
  const rows = answer.matches.map((match) => [
    make("strong", {}, match.patient_id),
    number(match.similarity),
    interval(match.probability),
    make(
      "button",
      { type: "button", onclick: () => draw(match), "aria-pressed": "false", "data-record": match.record_id },
      match.record_id,
    ),
    day(match.recorded_at),
    days(match.days_apart),
  ]);
  byId("matches").replaceChildren(...(rows.length ? [table("Most similar patients", columns, rows)] : []));
  if (answer.matches.length) draw(answer.matches[0]);
  else byId("match").hidden = true;
}

async function draw(match) {
  for (const button of byId("matches").querySelectorAll("button"))
    button.setAttribute("aria-pressed", String(button.dataset.record === match.record_id));
  byId("match").hidden = false;
  if (drawn === match.record_id) return;
  drawn = match.record_id;
  const message = byId("match-message");
  try {
    say(message, "");
    byId("match-paper").hidden = false;
    await matchPaper.show({
      title: `Patient ${match.patient_id}, ${match.record_id}`,
      load: signalOf.enrolled(match.record_id),
    });
    matchPaper.zoom = paper.zoom;
    matchPaper.arrange();
  } catch (error) {
    if (stale(error) || drawn !== match.record_id) return;
    byId("match-paper").hidden = true;
    if (error.status === 404) say(message, "This gallery keeps no signals, so the match cannot be drawn.");
    else say(message, error.message, { problem: true });
    drawn = null;
  }
}
