// The page: tabs, colours, keys; each view is a module that starts when it is first looked at.

import { askForKey } from "./api.js";
import { byId } from "./dom.js";
import { startGallery } from "./gallery.js";
import { startMap } from "./map.js";
import { startRecording } from "./recording.js";
import { startWorklist } from "./worklist.js";

const views = { recording: startRecording, worklist: startWorklist, map: startMap, gallery: startGallery };
const started = new Set();
const tabs = [...byId("tabs").querySelectorAll("[role=tab]")];

function open(name, focus = false) {
  for (const tab of tabs) {
    const chosen = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  if (!started.has(name)) {
    started.add(name);
    views[name]();
  }
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
}

function step(event) {
  const at = tabs.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  open(tabs[(to + tabs.length) % tabs.length].getAttribute("aria-controls"), true);
}

const THEMES = { system: "as the system has them", dark: "dark", light: "light" };

function turnColours() {
  const root = document.documentElement;
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(root.dataset.theme ?? "system") + 1) % names.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  byId("theme").textContent = `Colours: ${next}`;
  byId("theme").setAttribute("aria-label", `Colours: ${THEMES[next]}`);
  document.dispatchEvent(new Event("themechange"));
}

for (const tab of tabs) tab.addEventListener("click", () => open(tab.getAttribute("aria-controls")));
byId("tabs").addEventListener("keydown", step);
byId("theme").addEventListener("click", turnColours);
byId("key-button").addEventListener("click", () => askForKey());
byId("keys-button").addEventListener("click", () => byId("keys-dialog").showModal());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  document.dispatchEvent(new Event("themechange")),
);
const named = () => (location.hash.slice(1) in views ? location.hash.slice(1) : "recording");
addEventListener("hashchange", () => {
  if (location.hash.slice(1) in views) open(named());
});
open(named());
