// Before and after, with a line between them.
import { make, number } from "./dom.js";
import { t } from "./texts.js";

/** Two pictures or videos of one shape, one left of the line. The browser's own slider moves it, unseen over them. */
export function slider(before, after) {
  const line = make("input", { type: "range", step: "any", "aria-label": t("compare"), oninput: () => move() });
  const sides = ["before", "after"].map((side) => make("span.side", { "aria-hidden": "true" }, t(side)));
  const made = make("div.slider", after, before, ...sides, line, make("div.grip"));
  const move = () => {
    made.style.setProperty("--at", `${line.value}%`);
    line.ariaValueText = `${t("before")}: ${number(line.value)} %`;
  };
  before.classList.add("before");
  move();
  return made;
}
