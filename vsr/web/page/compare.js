// A moment of an upload, as it is and enhanced: asked for, waited for, shown.
import { ask, post } from "./api.js";
import { button, clock, doing, fail, make } from "./dom.js";
import { slider } from "./slider.js";
import { t } from "./texts.js";

const CLIP_S = 3;

/** A place for previews of an upload. `options()` gives the keys; `about` gives name, length, shape and frame rate; nothing is
 * asked any more once `signal` is given. */
export function comparison(upload, about, options, signal) {
  const shown = make("div.shown", { hidden: true });
  const seconds = about.duration_s || 0;
  const at = make("input", { type: "range", min: 0, max: Math.max(0, seconds - 0.05).toFixed(2), step: 0.05, value: (seconds / 3).toFixed(2),
    "aria-label": t("moment"), oninput: () => tell() });
  const told = make("output");
  const tell = () => {
    told.textContent = clock(Number(at.value), 1);
    at.setAttribute("aria-valuetext", told.textContent);
  };
  tell();
  let newest = 0, made = "";
  const look = async (seconds = 0) => {
    const turn = ++newest;
    shown.hidden = false;
    shown.style.setProperty("--shape", `${about.width} / ${about.height}`);
    shown.replaceChildren(make("p.waiting", { role: "status" }, t("preview.wait")));
    try {
      made = JSON.stringify(options());
      const order = { at: Number(at.value), seconds, options: JSON.parse(made) };
      const { id } = await post(`/v1/uploads/${upload}/previews`, order, signal);
      const sides = await Promise.all(["before", "after"].map((side) => (seconds ? clip : picture)(id, side, signal)));
      if (turn !== newest) return;
      shown.replaceChildren(slider(...sides));
      if (seconds) shown.append(together(...sides, about.fps || 25));
    } catch (error) {
      if (turn === newest && error.name !== "AbortError") fail(shown, error);
    }
  };
  const bar = make("div.moment", button(t("preview"), () => look(), doing("preview", about.name)),
    seconds > 0.1 && button(t("clip"), () => look(CLIP_S), doing("clip", about.name)),
    seconds > 0.1 && make("label", make("span.unseen", t("moment")), at, told));
  const stale = make("p.quiet", { hidden: true }, t("preview.stale"));
  const place = make("div.comparison", bar, stale, shown);
  /** Say where the choices are no longer those that were looked at. */
  const check = () => { stale.hidden = !made || shown.hidden || made === JSON.stringify(options()); };
  bar.addEventListener("click", () => { stale.hidden = true; });
  return { place, look, check };
}

const file = async (preview, name, signal) =>
  URL.createObjectURL(await (await ask("GET", `/v1/previews/${preview}/${name}`, { signal })).blob());

async function picture(preview, side, signal) {
  const shown = make("img", { alt: t(side), src: await file(preview, `${side}.png`, signal), draggable: "false" });
  await shown.decode();
  URL.revokeObjectURL(shown.src);
  return shown;
}

async function clip(preview, side, signal) {
  const shown = make("video", { src: await file(preview, `${side}.mp4`, signal), playsinline: true, "aria-label": t(side) });
  shown.muted = true;
  await new Promise((done, failed) => { shown.onloadeddata = done; shown.onerror = () => failed(new Error(shown.error.message)); });
  return shown;
}

/** What moves two clips as one, frame by frame: arrow keys on the line of frames step, as dragging does. */
function together(before, after, fps) {
  const count = Math.max(1, Math.round(before.duration * fps)), sides = [before, after];
  const line = make("input", { type: "range", min: 1, max: count, value: 1, "aria-label": t("frame"), oninput: () => seek() });
  const told = make("output");
  const tell = () => {
    told.textContent = `${line.value} / ${count}`;
    line.setAttribute("aria-valuetext", told.textContent);
  };
  const seek = () => {  // the middle of a frame, which no rounding makes another
    for (const each of sides) { each.pause(); each.currentTime = (line.valueAsNumber - 0.5) / fps; }
    tell();
  };
  const follow = () => {
    if (!before.isConnected || (before.paused && !before.ended)) return;
    if (before.ended) sides.forEach((each) => { each.currentTime = 0; each.play(); });
    else if (Math.abs(after.currentTime - before.currentTime) > 0.5 / fps) after.currentTime = before.currentTime;
    line.value = Math.floor(before.currentTime * fps) + 1;
    tell();
    requestAnimationFrame(follow);
  };
  const run = async () => {
    if (!before.paused) return seek();
    await Promise.all(sides.map((each) => each.play()));
    return follow();
  };
  seek();
  return make("div.moment", button("▶❚❚", run, { "aria-label": t("play"), title: t("play") }), make("label", line, told));
}
