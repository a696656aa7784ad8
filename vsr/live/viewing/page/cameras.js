// All cameras: how they do, and their pictures, while they are seen.
import { playParts } from "./parts.js";
import { delay } from "./waiting.js";
import { playWhep } from "./whep.js";

const EVERY_MS = 1000, AGAIN_MS = 500;
const WAYS = { whep: [playWhep, "WebRTC"], parts: [playParts, "HLS"] };
const VIEWS = { enhanced: "Enhanced", original: "Original" };

const cards = new Map(), main = document.querySelector("main"), said = document.querySelector("#said");
const way = document.querySelector("#way");

const make = (kind, given = {}, ...children) => {
  const element = Object.assign(document.createElement(kind), given);
  element.append(...children);
  return element;
};

function card(name) {
  const badge = make("span", { className: "badge" }), told = make("p"), wrong = make("p", { role: "alert" });
  const video = make("video", { muted: true, playsInline: true, autoplay: true });
  video.setAttribute("aria-label", name);
  let view = "enhanced", giveUp = null, isSeen = false, ended = Promise.resolve();
  const by = make("p", { className: "by" });

  async function play(signal) {
    let fallen = false;
    while (!signal.aborted) {
      const chosen = way.value || (fallen ? "parts" : "whep"), [player, text] = WAYS[chosen];
      let worked = false;
      try {
        await player(video, `/cameras/${name}/${view}`, signal, () => { worked = true; by.textContent = text; wrong.textContent = ""; });
      } catch (error) {
        if (signal.aborted) return;
        fallen = !way.value && chosen === "whep" && !worked;
        if (!fallen) wrong.textContent = error.message;
      }
      await delay(AGAIN_MS, signal);
    }
  }
  /** Begin anew with what is chosen, where it is seen. */
  const begin = () => {
    giveUp?.abort();
    giveUp = null;
    by.textContent = wrong.textContent = "";
    for (const each of views) each.setAttribute("aria-pressed", each.value === view);
    if (!isSeen || document.hidden) return;
    const { signal } = giveUp = new AbortController();
    ended = ended.then(() => play(signal));  // what was before has let go of the screen
  };
  const views = Object.entries(VIEWS).map(([value, text]) => make("button", { value, onclick: () => { view = value; begin(); } }, text));
  const sound = make("button", { onclick: () => { video.muted = !video.muted; sound.setAttribute("aria-pressed", !video.muted); } }, "Sound");
  sound.setAttribute("aria-pressed", false);
  const whole = make("button", { onclick: () => (video.requestFullscreen ?? video.webkitEnterFullscreen).call(video) }, "Full screen");
  const screen = make("div", { className: "screen" }, video, wrong);
  const element = make("article", {}, make("div", { className: "row" }, make("h2", {}, name), badge), screen,
    make("div", { className: "row" }, ...views, sound, whole, by), told);
  element.dataset.camera = name;
  new IntersectionObserver(([{ isIntersecting }]) => {
    if (isSeen !== isIntersecting) { isSeen = isIntersecting; begin(); }
  }).observe(element);
  const show = (camera) => {
    badge.textContent = camera.picture && camera.picture !== "good" && camera.state === "playing" ? camera.picture : camera.state;
    badge.classList.toggle("playing", badge.textContent === "playing");
    const rate = camera.idle ? `${camera.fps_in.toFixed(1)} pictures a second, idle as nobody watches` : `${camera.fps_in.toFixed(1)} → ${camera.fps_out.toFixed(1)} pictures a second`;
    told.textContent = `${rate} · ${camera.latency_p95_ms} ms to the encoder`
      + ` · ${camera.dropped} left out · ${camera.reconnects} reconnects${camera.state === "playing" ? "" : ` · ${camera.last_error}`}`
      + ` · ${camera.network}${camera.found && `: ${camera.found}`}`;
  };
  return { element, show, begin, end: () => { giveUp?.abort(); element.remove(); } };
}

async function look() {
  try {
    const answer = await fetch("/cameras");
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const { status, rung, cameras = {} } = await answer.json();
    const names = Object.keys(cameras);
    said.textContent = names.length ? `${status} · enhanced by ${rung}` : "The cameras are being opened.";
    for (const [name, one] of cards) if (!cameras[name]) { one.end(); cards.delete(name); }
    for (const name of names) {
      if (!cards.has(name)) {
        cards.set(name, card(name));
        main.append(cards.get(name).element);
      }
      cards.get(name).show(cameras[name]);
    }
  } catch (error) {
    said.textContent = `vsr live does not answer: ${error.message}`;
  }
}

const all = () => { for (const one of cards.values()) one.begin(); };
way.onchange = all;
document.addEventListener("visibilitychange", all);
for (;;) {
  if (!document.hidden) await look();
  await delay(EVERY_MS);
}
