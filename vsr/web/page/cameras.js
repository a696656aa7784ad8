// Cameras: state, pictures, recordings.
import { get } from "./api.js";
import { attempt, button, doing, fail, link, make, number, place, size, write } from "./dom.js";
import { t } from "./texts.js";

const EVERY_MS = 1000, AGAIN_MS = 8000;

/** The page, which asks while seen; `there` hears of cameras. */
export function camerasPage(there) {
  const cards = new Map();
  const said = make("p.quiet", { role: "status" }), wrong = make("div"), list = make("div.cards.pictures");
  const made = make("div", make("h1", t("cameras")), said, wrong, list);
  let next = 0;
  made.seen = async () => {
    clearTimeout(next);
    const isSeen = made.isConnected && !made.hidden && !document.hidden;
    try {
      if (!isSeen && list.children.length) return;
      const { state, error, model, cameras } = await get("/v1/cameras");
      there(state !== "none");
      fail(wrong, error);
      write(said, state === "running" ? t("now", { model }) : t(state));
      place(list, cameras.map((each) => {
        const card = cards.get(each.name) || cards.set(each.name, cameraCard(each)).get(each.name);
        card.show(each, isSeen);
        return card.element;
      }));
    } catch (error) {
      fail(wrong, error.message);
    } finally {
      if (isSeen) next = setTimeout(made.seen, EVERY_MS); else for (const card of cards.values()) card.rest();
    }
  };
  document.addEventListener("visibilitychange", made.seen);
  made.seen();
  return made;
}

function cameraCard({ name, recordings }) {
  const badge = make("span.badge"), told = make("p.told"), wrong = make("div"), view = picture(name);
  const element = make("article.card", { "data-camera": name }, make("div.row", make("h2.name.grow", name), badge),
    view.element, told, wrong, recordings && recorded(recordings));
  const show = (camera, isSeen) => {
    const { error, state, idle } = camera, fps = number(camera.fps_in, 1);
    element.dataset.state = state;
    write(badge, t(state) || state);
    write(told, state && [t("rate", { fps: idle ? fps : `${fps} → ${number(camera.fps_out, 1)}` }), idle && t("idle"),
      t("late", { ms: number(camera.latency_ms) }), t("dropped", { count: number(camera.dropped) }), camera.network].filter(Boolean).join(" · "));
    fail(wrong, state !== "playing" && error);
    if (isSeen) view.show(camera);
  };
  return { element, show, rest: view.rest };
}

/** The live picture: HLS where the browser plays it, else still after still. */
function picture(name) {
  const given = doing("live", name);
  const video = make("video", { ...given, playsinline: true, controls: true }), still = make("img", { alt: given["aria-label"] });
  const isPlayed = video.canPlayType("application/vnd.apple.mpegurl"), none = make("p.quiet", t("live.none")), element = make("div", none);
  let was = -1, moved = 0;
  video.muted = true;
  const rest = () => { video.removeAttribute("src"); video.load(); moved = 0; };
  /** Begin, or again after standing still. */
  const play = (live) => {
    const now = Date.now();
    if (video.currentTime !== was || (video.paused && video.currentTime && !video.ended)) moved = video.src && now;
    was = video.currentTime;
    if (now - moved < AGAIN_MS) return;
    video.src = live;
    video.play().catch(() => {});
    moved = now;
  };
  const show = ({ live, snapshot, state }) => {
    const plays = isPlayed && live;
    place(element, [plays ? video : snapshot ? still : none]);
    if (plays && state === "playing") play(live);
    if (!plays && snapshot && still.complete) still.src = `${snapshot}?${Date.now()}`;
  };
  return { element, show, rest };
}

/** Recordings, by day. */
function recorded(url) {
  const days = make("select", { "aria-label": t("day"), onchange: () => attempt(wrong, pick) });
  const player = make("video", { controls: true, hidden: true, "aria-label": t("recordings") });
  const list = make("ul.plain.wide"), wrong = make("div");
  const row = (file) => {
    const time = file.name.replace(/^.*-(\d\d)(\d\d)(\d\d)(_\d+)?(-original)?\.mkv$/, (_, h, m, s, _n, o = "") => `${h}:${m}:${s} ${o && t("original")}`);
    const watch = () => { player.src = file.url; player.hidden = false; player.play().catch(() => {}); };
    return make("li.row", make("span.grow", time), make("span.quiet", size(file.bytes)), button("watch", watch, { of: time }),
      link("download", file.url, file.name));
  };
  const pick = async () => list.replaceChildren(...(await get(days.value)).map(row));
  const open = () => made.open ? attempt(wrong, async () => {
    const known = await get(url);
    days.replaceChildren(...known.map((each) => make("option", { value: each.url }, `${each.day} (${number(each.files)})`)));
    days.hidden = !known.length;
    if (known.length) await pick(); else list.replaceChildren(make("li.quiet", t("nothing")));
  }) : player.pause();
  const made = make("details", { ontoggle: open }, make("summary", t("recordings")), wrong, days, player, list);
  return made;
}
