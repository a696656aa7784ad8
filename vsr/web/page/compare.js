// A moment of an upload, as it is and enhanced: asked for, waited for, shown.
import { ask, post } from "./api.js";
import { attempt, button, clock, fail, make } from "./dom.js";
import { slider } from "./slider.js";
import { t } from "./texts.js";

const CLIP_S = 3;

/** Previews of an upload. `about` has its name, length, shape and frame rate; `signal` ends it. */
export function comparison(upload, about, options, signal) {
  const shown = make("div.shown", { hidden: true }), stale = make("p.quiet", { hidden: true }, t("preview.stale"));
  const length = about.duration_s || 0, of = about.name;
  const at = way("moment", { max: Math.max(0, length - 0.05).toFixed(2), step: 0.05, value: (length / 3).toFixed(2) }, (s) => clock(s, 1));
  let newest = 0, made = "";
  const look = async (seconds = 0) => {
    const turn = ++newest;
    stale.hidden = true;
    shown.hidden = false;
    shown.style.setProperty("--shape", `${about.width} / ${about.height}`);
    shown.replaceChildren(make("p.waiting", { role: "status" }, t("preview.wait")));
    try {
      const order = { at: at.line.valueAsNumber, seconds, options: options() };
      made = JSON.stringify(order.options);
      const { id } = await post(`/v1/uploads/${upload}/previews`, order, signal);
      const sides = await Promise.all(["before", "after"].map((side) => (seconds ? clip : picture)(id, side, signal)));
      if (turn !== newest) return;
      shown.replaceChildren(slider(...sides));
      shown.append(seconds ? together(...sides, about.fps || 25) : support(id, sides[1], signal));
    } catch (error) {
      if (turn === newest && error.name !== "AbortError") fail(shown, error.message);
    }
  };
  const bar = make("div.row.moment", button("preview", () => look(), { of }),
    ...(length > 0.1 ? [button("clip", () => look(CLIP_S), { of }), at.element] : []));
  /** Say where the choices are no longer those that were looked at. */
  const check = () => { stale.hidden = !made || made === JSON.stringify(options()); };
  return { place: make("div", bar, stale, shown), look, check };
}

/** A line to move along, which says in `words` where one stands. */
function way(name, given, words, moved = () => {}) {
  const line = make("input", { type: "range", min: 0, ...given, "aria-label": t(name), oninput: () => { moved(); tell(); } });
  const told = make("output");
  const tell = () => { told.textContent = line.ariaValueText = words(line.valueAsNumber); };
  tell();
  return { line, tell, element: make("label", line, told) };
}

const file = async (preview, name, signal) =>
  URL.createObjectURL(await (await ask("GET", `/v1/previews/${preview}/${name}`, { signal })).blob());

async function picture(preview, side, signal) {
  const shown = make("img", { alt: t(side), src: await file(preview, `${side}.png`, signal) });
  await shown.decode();
  URL.revokeObjectURL(shown.src);
  return shown;
}

/** Lines over what the source does not support, at a press. */
function support(preview, after, signal) {
  let map = null;
  const wrong = make("div");
  const press = button("support", () => attempt(wrong, async () => {
    if (map) map.hidden = !map.hidden;
    else after.after(map = await picture(preview, "support", signal));
    press.ariaPressed = !map.hidden;
  }), { "aria-pressed": "false" });
  return make("div.row.moment", press, wrong);
}

async function clip(preview, side, signal) {
  const shown = make("video", { src: await file(preview, `${side}.mp4`, signal), playsinline: true, "aria-label": t(side) });
  shown.muted = true;
  await new Promise((done, failed) => { shown.onloadeddata = done; shown.onerror = () => failed(new Error(shown.error.message)); });
  return shown;
}

/** What moves two clips as one, frame by frame. */
function together(before, after, fps) {
  const max = Math.max(1, Math.round(before.duration * fps)), sides = [before, after];
  const seek = () => {  // the middle of a frame, which no rounding makes another
    for (const each of sides) { each.pause(); each.currentTime = (line.valueAsNumber - 0.5) / fps; }
  };
  const { line, tell, element } = way("frame", { min: 1, max, value: 1 }, (frame) => `${frame} / ${max}`, seek);
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
  return make("div.row.moment", button("play", run), element);
}
