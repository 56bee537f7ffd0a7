// Every request to the server. A failure is a `Failure` whose message is a sentence for the reader.

import { byId } from "./dom.js";

let key = null; // Only here: not in the address, not in any storage.
let asking = null;
const RETRIES = 3;

export class Failure extends Error {
  constructor(status, code, sentence) {
    super(sentence);
    this.status = status;
    this.code = code;
  }
}

/** Whether a failure means that no answer is wanted any more. */
export const stale = (error) => error.name === "AbortError";

const SENTENCES = {
  0: "The server does not answer. Is anylead serve still running?",
  401: "This server wants an API key.",
  403: "This key's role does not allow that.",
  408: "The upload took too long. Try again, or a smaller file.",
  413: "This file is larger than the server takes. Cut the recording, or let its keeper raise the limit.",
  415: "The server cannot read this kind of file.",
  422: "The server could not read this.",
  429: "The server is busy. Try again in a moment.",
  503: "The server is not ready yet. Try again in a moment.",
};

async function failure(response) {
  let told = {};
  try {
    told = (await response.json()).error ?? {};
  } catch {
    // A proxy's page in place of our JSON: the status alone must do.
  }
  const ours = SENTENCES[response.status] ?? `The server answered with status ${response.status}.`;
  // What the server says is more to the point, but for a key: its sentence is for programs.
  const sentence = told.message && response.status !== 401 ? told.message : ours;
  const number = response.status >= 500 && told.request_id ? ` Request ${told.request_id}.` : "";
  return new Failure(response.status, told.code ?? "", sentence + number);
}

const pause = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("not wanted any more", "AbortError"));
    });
  });

/**
 * One request, its JSON answer (null where there is none).
 *
 * 429 is tried again as late as the server asks, three times, telling `waiting(seconds)`; 401 asks for a key once.
 */
export async function request(path, { method = "GET", json, form, signal, waiting = () => {} } = {}) {
  for (let tried = 0; ; tried += 1) {
    const headers = {};
    const used = key;
    if (used !== null) headers.Authorization = `Bearer ${used}`;
    if (json !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      const body = form ?? (json === undefined ? undefined : JSON.stringify(json));
      response = await fetch(path, { method, headers, body, signal, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (stale(error)) throw error;
      throw new Failure(0, "unreachable", SENTENCES[0]);
    }
    if (response.ok) return response.status === 204 ? null : response.json();
    if (response.status === 401 && (key !== used || (await askForKey(used !== null)))) continue;
    if (response.status === 429 && tried < RETRIES) {
      const seconds = Math.min(Math.max(Number(response.headers.get("Retry-After")) || 1, 0.2), 30);
      waiting(seconds);
      await pause(seconds, signal);
      continue;
    }
    throw await failure(response);
  }
}

/** Opens the key dialog; true once a key was given. Requests that fail together share one dialog. */
export function askForKey(refused = false) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    const field = byId("key");
    byId("key-why").textContent = refused
      ? "The key given was not accepted: it may be mistyped, revoked, or of another gallery."
      : "Whoever runs the server makes one with anylead keys.";
    byId("key-button").hidden = false;
    field.value = "";
    dialog.returnValue = "cancel";
    dialog.addEventListener(
      "close",
      () => {
        const given = dialog.returnValue === "use" && field.value.trim() !== "";
        if (given) key = field.value.trim();
        field.value = "";
        asking = null;
        resolve(given);
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

const encoded = (id) => id.split("/").map(encodeURIComponent).join("/");

export const signalOf = {
  /** Signal of an upload, a piece at a time. */
  upload: (handle) => (start, seconds, signal) =>
    request(`v1/records/${encodeURIComponent(handle)}/signal?start_s=${start}&seconds=${seconds}`, { signal }),
  /** Signal of an enrolled recording, where the gallery keeps them. */
  enrolled: (id) => (start, seconds, signal) =>
    request(`v1/gallery/records/${encoded(id)}/signal?start_s=${start}&seconds=${seconds}`, { signal }),
};

/** A sentence for a failure of something that needs a gallery. */
export function gallerySentence(error) {
  if (error.status === 404 || error.code === "no_gallery")
    return "No gallery is open on this server, so nobody can be recognised. Start it with anylead serve --gallery.";
  return error.message;
}

