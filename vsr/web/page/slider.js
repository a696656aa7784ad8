// Before and after, with a line between them that is moved by pointer, touch or keys.
import { make } from "./dom.js";
import { t } from "./texts.js";

const STEPS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };

/** A slider over two elements of one shape, pictures or videos; the left one is shown left of the line. */
export function slider(before, after) {
  let at = 50;
  const grip = make("div.grip", { role: "slider", tabindex: 0, "aria-label": t("line"),
    "aria-valuemin": 0, "aria-valuemax": 100 });
  const made = make("div.slider", after, before,
    make("span.side.left", { "aria-hidden": "true" }, t("before")),
    make("span.side.right", { "aria-hidden": "true" }, t("after")), grip);
  const move = (to) => {
    at = Math.min(100, Math.max(0, to));
    made.style.setProperty("--at", `${at}%`);
    grip.setAttribute("aria-valuenow", Math.round(at));
    grip.setAttribute("aria-valuetext", t("shares", { before: Math.round(at) }));
  };
  const follow = (event) => {
    const box = made.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * 100);
  };
  made.addEventListener("pointerdown", (event) => {
    made.setPointerCapture(event.pointerId);
    follow(event);
    grip.focus({ preventScroll: true });
    event.preventDefault();
  });
  made.addEventListener("pointermove", (event) => made.hasPointerCapture(event.pointerId) && follow(event));
  grip.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    move(at + STEPS[event.key]);
    event.preventDefault();
  });
  before.classList.add("before");
  move(50);
  return made;
}
