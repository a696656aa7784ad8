// What the parts of the page are made of.
import { language, t } from "./texts.js";

const isGiven = (value) => value != null && value !== false;

/** Make an element: `"div.row.wide"`, attributes, children. Keys that begin with `on` are listeners;
 * false and null leave an attribute or a child out. */
export function make(what, ...children) {
  const [tag, ...classes] = what.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  const given = children[0]?.constructor === Object ? children.shift() : {};
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (isGiven(value)) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter(isGiven));
  return made;
}

/** What something does and `of` what, for who does not see where it stands. */
export const doing = (action, of) => of && { "aria-label": `${t(action)}: ${of}` };

/** A button that does something, and cannot be pressed again until it has. */
export function button(action, act, { of, ...given } = {}) {
  const pressed = async () => {
    if (made.ariaDisabled) return;
    made.ariaDisabled = "true";
    try { await act(); } finally { made.ariaDisabled = null; }
  };
  const made = make("button", { type: "button", ...doing(action, of), ...given, onclick: pressed }, t(action));
  return made;
}

/** A link by which a file is taken home. */
export const link = (action, href, download, what = "a.button") => make(what, { href, download, ...doing(action, download) }, t(action));

/** A part of a page with its heading. */
export const section = (name, ...children) =>
  make("section", { "aria-labelledby": name }, make("div.row", make("h2", { id: name }, t(name))), ...children);

/** What is chosen or written, with its label and hint. */
export function field(name, control, ...more) {
  const hint = t(`${name}.hint`) && make("small", { id: `${name}-hint` }, t(`${name}.hint`), ...more);
  control.id = control.name = name;
  if (hint) control.setAttribute("aria-describedby", hint.id);
  return make("div.field", make("label", { for: name }, t(name)), control, hint);
}

/** Lines of the server, which are in English. */
export const lines = (texts) => make("ul.notes", { lang: "en" }, ...texts.map((text) => make("li", text)));

/** Set an element's text where it differs, so that nothing is read out again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Have a screen reader say a line. */
export const say = (text) => write(document.getElementById("said"), text);

/** Bring elements into an order; what has the focus keeps it. */
export function place(list, wanted) {
  const focused = document.activeElement;
  for (const each of [...list.children]) if (!wanted.includes(each)) each.remove();
  wanted.forEach((each, index) => { if (list.children[index] !== each) list.insertBefore(each, list.children[index] || null); });
  focused?.focus({ preventScroll: true });
}

/** Say in a place what is wrong, as the server says it, once. */
export function fail(place, text) {
  if (!text) place.replaceChildren();
  else if (place.textContent !== text) place.replaceChildren(make("p.failure", { role: "alert", lang: "en" }, text));
}

/** Do something, and say in a place what went wrong. Tells whether nothing did. */
export async function attempt(place, act) {
  try {
    await act();
    fail(place);
    return true;
  } catch (error) {
    if (error.name !== "AbortError") fail(place, error.message);
    return false;
  }
}

export const number = (value, digits = 0, given = {}) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits, ...given }).format(value);

const measure = (value, unit, digits, unitDisplay) => number(value, digits, { style: "unit", unit, unitDisplay });

/** Bytes in the largest unit that fits. */
export function size(bytes) {
  const names = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return measure(value, names[step], step && value < 10 ? 1 : 0, "short");
}

/** How long something takes, roughly. */
export function roughly(seconds) {
  const [unit, length, digits] = seconds < 90 ? ["second", 1, 0] : seconds < 5400 ? ["minute", 60, 0]
    : seconds < 172800 ? ["hour", 3600, 1] : ["day", 86400, 1];
  return measure(Math.max(1, seconds / length), unit, digits, "long");
}

/** A moment as a clock shows it: 0:07.5, 1:02:03. */
export function clock(seconds, digits = 0) {
  const whole = Math.floor(seconds / 60);
  const rest = (seconds % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return whole < 60 ? `${whole}:${rest}` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}:${rest}`;
}
