// Elements and figures: what every part of the page makes its pieces of.
import { language, t } from "./texts.js";

/** Make an element: `"div.row.wide"`, attributes where there are any, children. Keys that begin with `on` are listeners;
 * false and null leave an attribute or a child out. */
export function make(what, ...children) {
  const [tag, ...classes] = what.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  const given = children[0]?.constructor === Object ? children.shift() : {};
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((each) => each != null && each !== false));
  return made;
}

/** A button that does something, and cannot be pressed again until it has. */
export function button(text, act, given = {}) {
  const pressed = async () => {
    if (made.getAttribute("aria-disabled")) return;
    made.setAttribute("aria-disabled", "true");
    try { await act(); } finally { made.removeAttribute("aria-disabled"); }
  };
  const made = make("button", { type: "button", ...given, onclick: pressed }, text);
  return made;
}

/** Set an element's text only where it differs, so that nothing is read out or laid out again for nothing. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Bring elements into an order, without touching those that are in their place: what has the focus keeps it. */
export function place(list, wanted) {
  for (const each of [...list.children]) if (!wanted.includes(each)) each.remove();
  wanted.forEach((each, index) => { if (list.children[index] !== each) list.insertBefore(each, list.children[index] || null); });
}

/** Have a screen reader say a line. */
export const say = (text) => write(document.getElementById("said"), text);

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

const unit = (value, name, digits = 0, unitDisplay = "short") =>
  new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay, maximumFractionDigits: digits }).format(value);

/** Bytes in the largest unit that fits. */
export function size(bytes) {
  const names = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return unit(value, names[step], step && value < 10 ? 1 : 0);
}

/** How long something takes, roughly: seconds, minutes, hours or days. */
export function roughly(seconds) {
  if (seconds < 90) return unit(Math.max(1, Math.round(seconds)), "second", 0, "long");
  if (seconds < 5400) return unit(seconds / 60, "minute", 0, "long");
  if (seconds < 172800) return unit(seconds / 3600, "hour", 1, "long");
  return unit(seconds / 86400, "day", 1, "long");
}

/** A moment as a clock shows it: 0:07.5, 1:02:03. */
export function clock(seconds, digits = 0) {
  const whole = Math.floor(seconds / 60);
  const rest = (seconds % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return whole < 60 ? `${whole}:${rest}` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}:${rest}`;
}

/** A part of a page with its heading, whose text has the same name. */
export const section = (name, ...children) =>
  make("section", { "aria-labelledby": name }, make("div.row", make("h2", { id: name }, t(name))), ...children);

/** Lines that the server has written, which are in English. */
export const lines = (texts) => make("ul.notes", { lang: "en" }, ...texts.map((text) => make("li", text)));

/** Say in a place what went wrong, as the server says it, once. */
export const fail = (place, error) => {
  if (place.textContent !== error.message) place.replaceChildren(make("p.failure", { role: "alert", lang: "en" }, error.message));
};

/** What a button does and to what, for who does not see where it stands. */
export const doing = (action, name) => ({ "aria-label": t("action.of", { action: t(action), name }) });
