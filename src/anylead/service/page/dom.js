// Elements are made here and nowhere else: what a server sends becomes text, never markup.

/** An element with properties, `aria-`/`data-` attributes and children (strings become text). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A sentence where results are announced; `problem` colours it, `retry` puts a button behind it. */
export function say(element, sentence, { problem = false, retry = null } = {}) {
  element.classList.toggle("problem", problem);
  element.replaceChildren(sentence);
  if (retry) {
    const button = make("button", { type: "button", onclick: retry }, "Try again");
    element.append(" ", button);
  }
}

/** A table of rows of strings or elements, with a caption for those who cannot see the heading. */
export function table(caption, columns, rows) {
  const head = make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, head),
    make("tbody", {}, ...body),
  );
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const count = (value) => whole.format(value);

/** A share as per cent: as many digits as it takes to tell it from 0 and 100. */
export function percent(value) {
  if (value === null || value === undefined) return "unknown";
  if (value === 0 || value === 1) return `${value * 100} %`;
  const rest = Math.min(value, 1 - value) * 100;
  if (rest < 0.01 && value < 0.5) return "< 0.01 %";
  if (rest < 0.01 && value > 0.5) return "> 99.99 %";
  return `${(value * 100).toFixed(rest >= 10 ? 0 : rest >= 1 ? 1 : 2)} %`;
}

export function interval(found) {
  if (!found) return "not calibrated";
  if (found.low === null || found.high === null) return `${percent(found.value)} (no interval)`;
  return `${percent(found.value)} (${percent(found.low)} to ${percent(found.high)})`;
}

export const number = (value, digits = 3) =>
  value === null || value === undefined ? "unknown" : value.toFixed(digits);

export function day(iso) {
  return iso ? iso.slice(0, 10) : "unknown";
}

export function days(value) {
  if (value === null || value === undefined) return "unknown";
  return value < 1 ? "same day" : `${count(value)} ${Math.round(value) === 1 ? "day" : "days"}`;
}
