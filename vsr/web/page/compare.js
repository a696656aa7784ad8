// A moment of an upload, as it is and enhanced: asked for, waited for, shown.
import { ask, post } from "./api.js";
import { button, clock, failure, make, say } from "./dom.js";
import { slider } from "./slider.js";
import { t } from "./texts.js";

/** A place for previews of an upload. `options()` gives the keys; `about` gives name, length and shape. */
export function comparison(upload, about, options) {
  const shown = make("div", { class: "shown", hidden: true });
  const seconds = about.duration_s || 0;
  const at = make("input", { type: "range", min: 0, max: Math.max(0, seconds - 0.05).toFixed(2), step: 0.05, value: (seconds / 3).toFixed(2),
    "aria-label": t("moment"), oninput: () => tell() });
  const told = make("output", {});
  const tell = () => {
    told.textContent = clock(Number(at.value), 1);
    at.setAttribute("aria-valuetext", told.textContent);
  };
  tell();
  let newest = 0, made = "";
  const look = async () => {
    const turn = ++newest;
    shown.hidden = false;
    shown.style.setProperty("--shape", `${about.width} / ${about.height}`);
    shown.replaceChildren(make("p", { class: "waiting", role: "status" }, t("preview.wait")));
    try {
      made = JSON.stringify(options());
      const { id } = await post(`/v1/uploads/${upload}/previews`, { at: Number(at.value), seconds: 0, options: JSON.parse(made) });
      const pictures = await Promise.all(["before", "after"].map((side) => picture(id, side)));
      if (turn !== newest) return;
      shown.replaceChildren(slider(...pictures));
      say(t("preview.there"));
    } catch (error) {
      if (turn === newest) shown.replaceChildren(failure(error.message));
    }
  };
  const bar = make("div", { class: "moment" }, button(t("preview"), look, { "aria-label": `${t("preview")}: ${about.name}` }),
    seconds > 0.1 && make("label", {}, make("span", { class: "unseen" }, t("moment")), at, told));
  const stale = make("p", { class: "quiet", hidden: true }, t("preview.stale"));
  const place = make("div", { class: "comparison" }, bar, stale, shown);
  /** Say where the choices are no longer those that were looked at. */
  const check = () => { stale.hidden = !made || shown.hidden || made === JSON.stringify(options()); };
  bar.addEventListener("click", () => { stale.hidden = true; });
  return { place, look, check };
}

async function picture(preview, side) {
  const answer = await ask("GET", `/v1/previews/${preview}/${side}.png`);
  const shown = make("img", { alt: t(side), src: URL.createObjectURL(await answer.blob()), draggable: "false" });
  await shown.decode();
  URL.revokeObjectURL(shown.src);
  return shown;
}
