// What the gallery holds.

import { gallerySentence, request } from "./api.js";
import { byId, count, make, say, table } from "./dom.js";

const ORDER = ["12", "6", "I-II", "I", "II"];
const GENUINE_NEEDED = 50; // From so many persons up a lead set has a calibration of its own.

export async function startGallery() {
  const message = byId("gallery-message");
  const body = byId("gallery-body");
  try {
    say(message, "Loading …");
    const info = await request("v1/gallery");
    say(message, "");
    body.replaceChildren(...describe(info));
  } catch (error) {
    body.replaceChildren();
    say(message, gallerySentence(error), { problem: true, retry: startGallery });
  }
}

function describe(info) {
  const facts = [
    ["Patients", `${count(info.patients)}, ${count(info.several)} of them with several recordings`],
    ["Recordings", count(info.recordings)],
    ["Signals", info.keep_signals ? "kept, so recordings can be drawn" : "not kept; only templates are"],
    ["Templates", info.projected ? "turned by a key, so that they can be cancelled" : "as the model gives them"],
    ["Model", info.model],
    ["Preparation", info.preparation],
    ["Length of a template", count(info.dimension)],
    ["Audit trail", `${count(info.audit_lines)} lines`],
    ["Size", info.bytes === null ? null : `${(info.bytes / 1e6).toFixed(1)} MB`],
  ].filter(([, value]) => value);
  // Names such as "12" and "6" are put in order of number by the language, so order is made here.
  const place = ([name]) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  const named = Object.entries(info.templates).sort((one, other) => place(one) - place(other));
  const sets = named.map(([name, templates]) => [
    name, count(templates), calibrated(info.calibrated[name]),
  ]);
  return [
    make("dl", { className: "facts" }, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Lead sets" },
      table("Lead sets: recordings only meet others of the same", ["Lead set", "Templates", "Probabilities"], sets)),
    make("p", {}, "Templates identify people, as fingerprints do. Keep this gallery as you keep the recordings."),
  ];
}

function calibrated(persons) {
  if (!persons) return "none: nobody with two recordings to calibrate on";
  const own = persons >= GENUINE_NEEDED ? "own calibration" : "calibrated together with other lead sets";
  return `${own}, ${count(persons)} ${persons === 1 ? "person" : "persons"} with several recordings`;
}
