// The worklist: suspects one by one, reviewed without leaving the keyboard.

import { gallerySentence, request, signalOf, stale } from "./api.js";
import { byId, count, day, days, interval, make, number, percent, say, table } from "./dom.js";
import { Paper } from "./paper.js";

const VERDICTS = { a: "accept", r: "reject", u: "unsure" };
const BUTTONS = { accept: "Accept: misfiled", reject: "Reject: filed rightly", unsure: "Unsure" };
const WORDS = { accept: "accepted", reject: "rejected", unsure: "unsure" };
const KINDS = {
  "wrong patient": "may be under the wrong patient",
  duplicate: "may be a duplicate",
  "reversed leads": "leads may be reversed",
};

let cases = [];
let at = -1;
let papers = [];
let asked = null;
let saving = false;

export function startWorklist() {
  byId("worklist-form").addEventListener("submit", (event) => {
    event.preventDefault();
    load();
  });
  document.addEventListener("keydown", pressed);
  load();
}

async function load() {
  asked?.abort();
  asked = new AbortController();
  const message = byId("worklist-message");
  const prevalence = Number(byId("prevalence").value) / 100;
  const path = `v1/worklist?budget=${Number(byId("budget").value)}&prevalence=${prevalence}`;
  say(message, "Comparing every recording with all others …");
  try {
    const waiting = () => say(message, "The server is busy; trying again …");
    show(await request(path, { signal: asked.signal, waiting }));
  } catch (error) {
    if (stale(error)) return;
    byId("cases").hidden = true;
    byId("budget-details").hidden = true;
    say(message, gallerySentence(error), { problem: true, retry: load });
  }
}

function show(worklist) {
  cases = worklist.cases;
  say(byId("worklist-message"), summary(worklist));
  const rows = worklist.budget_table.map((line) => [
    percent(line.prevalence),
    count(line.budget),
    interval(line.sensitivity),
    `${number(line.false_alerts.value, 1)} (${number(line.false_alerts.low, 1)} to ${number(line.false_alerts.high, 1)})` +
      (line.bounded ? ", an upper bound" : ""),
    interval(line.precision),
  ]);
  const columns = ["Exchanged", "Reviewed", "Of these found", "False alerts", "A case is true"];
  byId("budget-details").hidden = !rows.length;
  byId("budget-table").replaceChildren(table("With 95 % intervals", columns, rows));
  byId("cases").hidden = !cases.length;
  byId("case-list").replaceChildren(...cases.map(entry));
  const open = cases.findIndex((one) => !one.review);
  if (cases.length) select(Math.max(open, 0));
}

function summary(worklist) {
  const parts = [`${count(worklist.screened)} recordings compared, ${count(cases.length)} to look at.`];
  if (worklist.not_screened)
    parts.push(`${count(worklist.not_screened)} have no second recording of their patient to be compared with.`);
  const alerts = worklist.expected_false_alerts;
  if (alerts) {
    // How many are right says more than that 24 of 24 are not.
    const suspects = cases.filter((one) => one.kind !== "duplicate" && one.probability).length;
    const right = (false_alerts) => number(suspects - false_alerts, 2);
    parts.push(
      `Of ${suspects} suspects, expect ${right(alerts.value)} (${right(alerts.high)} to ${right(alerts.low)}) to be filed wrongly; the others are false alerts.`,
    );
  }
  return [...parts, ...worklist.notes].join(" ");
}

function entry(one, index) {
  return make(
    "div",
    { className: "case-entry", role: "option", id: `case-${index}`, onclick: () => select(index) },
    make("span", { className: "case-rank" }, String(index + 1)),
    make("span", {}, make("strong", {}, one.record_id), make("br"), KINDS[one.kind] ?? one.kind),
    make("span", { className: "case-state" }, one.review ? WORDS[one.review] : ""),
  );
}

function select(index) {
  at = Math.min(Math.max(index, 0), cases.length - 1);
  const list = byId("case-list");
  [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
  list.setAttribute("aria-activedescendant", `case-${at}`);
  const chosen = list.children[at];
  list.scrollTop = Math.min(list.scrollTop, chosen.offsetTop);
  list.scrollTop = Math.max(list.scrollTop, chosen.offsetTop + chosen.offsetHeight - list.clientHeight);
  list.scrollLeft = Math.max(0, chosen.offsetLeft - list.clientWidth / 4);
  tell(cases[at]);
}

function tell(one) {
  const buttons = Object.entries(VERDICTS).map(([key, verdict]) =>
    make(
      "button",
      { type: "button", onclick: () => review(verdict), "aria-pressed": String(one.review === verdict),
        "aria-keyshortcuts": key },
      `${BUTTONS[verdict]} (${key})`,
    ),
  );
  const facts = [
    ["Filed under", `patient ${one.patient_id}`],
    ["Under the wrong patient", interval(one.probability)],
    ["Its own patient's most similar", match(one.own)],
    ["Somebody else's most similar", match(one.other)],
    [one.kind === "duplicate" ? "May repeat" : "May have been exchanged with", one.partner],
    ["Compared through", `lead set ${one.lead_set}`],
  ].filter(([, value]) => value);
  const note = make("input", { id: "note", maxLength: 2000, autocomplete: "off", value: one.note ?? "" });
  note.addEventListener("input", () => (one.note = note.value)); // It is still there when the reviewer comes back.
  const drawings = make("div", { id: "case-drawings" });
  byId("case").replaceChildren(
    make("h2", {}, one.record_id),
    make("p", {}, `${at + 1} of ${cases.length}: ${KINDS[one.kind] ?? one.kind}.`),
    make("ul", { className: "evidence" }, ...one.evidence.map((text) => make("li", {}, text))),
    make("dl", { className: "facts" }, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    make("div", { className: "buttons" }, ...buttons,
      make("label", { className: "note" }, "Note ", note)),
    make("p", { id: "review-message", className: "message", role: "status" }),
    drawings,
  );
  draw(one, drawings);
}

function match(found) {
  if (!found) return null;
  const apart = found.days_apart === null || found.days_apart === undefined ? "" : `, ${days(found.days_apart)} apart`;
  const made = found.recorded_at ? `, recorded ${day(found.recorded_at)}` : "";
  return `${found.record_id} of patient ${found.patient_id}: similarity ${number(found.similarity)}${made}${apart}`;
}

async function draw(one, host) {
  for (const paper of papers) paper.close();
  papers = [];
  const wanted = [
    ["This recording", one.record_id, one.patient_id],
    ["Same patient", one.own?.record_id, one.own?.patient_id],
    ["Somebody else", one.other?.record_id, one.other?.patient_id],
  ].filter(([, id]) => id);
  const shown = wanted.map(([role, id, patient]) => {
    const place = make("div");
    host.append(place);
    const paper = new Paper(place, { compact: true });
    papers.push(paper);
    return paper
      .show({ title: `${role}: ${id}, patient ${patient}`, load: signalOf.enrolled(id) })
      .catch((error) => {
        if (stale(error)) return;
        place.replaceChildren(
          make("p", { className: "message" },
            error.status === 404 ? `${role}: ${id} cannot be drawn, for this gallery keeps no signals.` : error.message),
        );
      });
  });
  for (const paper of papers) paper.link(papers);
  await Promise.all(shown);
}

async function review(verdict) {
  if (saving || at < 0) return;
  saving = true;
  const one = cases[at];
  const index = at;
  try {
    const json = { verdict, note: byId("note").value };
    await request(`v1/worklist/${encodeURIComponent(one.case_id)}/review`, { method: "POST", json });
    one.review = verdict;
    byId("case-list").children[index].lastChild.textContent = WORDS[verdict];
    const done = cases.filter((each) => each.review).length;
    if (at === index && index + 1 < cases.length) select(index + 1);
    else if (at === index) tell(one);
    say(byId("review-message"), `Saved: ${one.record_id} ${WORDS[verdict]}. ${done} of ${cases.length} reviewed.`);
  } catch (error) {
    say(byId("review-message"), `Not saved. ${error.message}`, { problem: true, retry: () => review(verdict) });
  } finally {
    saving = false;
  }
}

function pressed(event) {
  if (byId("worklist").hidden || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const inList = event.target === byId("case-list");
  if (event.key === "?") byId("keys-dialog").showModal();
  else if (!cases.length) return;
  else if (event.key === "j" || (inList && event.key === "ArrowDown")) select(at + 1);
  else if (event.key === "k" || (inList && event.key === "ArrowUp")) select(at - 1);
  else if (event.key in VERDICTS && !event.repeat) review(VERDICTS[event.key]);
  else if (event.key === "n") byId("note").focus();
  else return;
  event.preventDefault();
}
