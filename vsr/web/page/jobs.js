// The queue: what runs, what waits, what is finished; kept up by the server's events.
import { ask, get, post } from "./api.js";
import { comparison } from "./compare.js";
import { attempt, button, doing, fail, lines, link, make, number, place, roughly, say, write } from "./dom.js";
import { t } from "./texts.js";

const ACTIONS = {
  queued: ["move?to=up", "move?to=down", "pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"],
  succeeded: [], unverified: ["retry"], failed: ["retry"], canceled: ["retry"],
};
const isOver = ({ state }) => !ACTIONS[state].includes("cancel");

/** The page. `count` hears how many jobs are not over. */
export function jobsPage(count) {
  const cards = new Map();
  const list = make("div.cards"), none = make("p.quiet", t("nothing")), wrong = make("div");
  const clearAll = button("clear.all", async () => {
    if (confirm(t("clear.sure", { name: t("clear.all") }))) await attempt(wrong, () => ask("DELETE", "/v1/jobs?state=ended"));
    await look();
  });
  let looks = 0;
  const look = () => attempt(wrong, async () => {
    const turn = ++looks, jobs = await get("/v1/jobs");
    if (turn !== looks) return;
    const waiting = jobs.filter((job) => !isOver(job)), over = jobs.filter(isOver).reverse();
    waiting.sort((one, other) => (other.state === "running") - (one.state === "running"));
    none.hidden = jobs.length > 0;
    clearAll.hidden = over.length < 2;
    count(waiting.length);
    const turns = waiting.filter((job) => job.state === "queued");
    place(list, [...waiting, ...over].map((job) => {
      const card = cards.get(job.id) || cards.set(job.id, jobCard(job, look)).get(job.id);
      card.show(job, turns.indexOf(job) + 1, turns.length);
      return card.element;
    }));
    for (const id of cards.keys()) if (!jobs.some((job) => job.id === id)) cards.delete(id);
  });
  hear({
    open: look,
    state: (said) => {
      const card = cards.get(said.job);
      if (card && said.state !== "queued") say(`${card.name}: ${t(said.state)}`);
      look();
    },
    deleted: look,
    moved: look,
    note: (said) => cards.get(said.job)?.note(said.text),
    progress: (said) => cards.get(said.job)?.move(said),
  });
  return make("div", make("div.row", make("h1.grow", t("jobs")), clearAll), wrong, none, list);
}

/** Listen to the server's events while the page is seen; a browser has few connections to one server. */
function hear({ open, ...heard }) {
  let stream = null;
  const begin = () => {
    if (document.hidden) stream?.close();
    else if (!stream || stream.readyState === EventSource.CLOSED) {
      stream = new EventSource("/v1/events");
      stream.onopen = open;
      for (const kind in heard) stream.addEventListener(kind, (event) => heard[kind](JSON.parse(event.data)));
    }
  };
  document.addEventListener("visibilitychange", begin);
  setInterval(begin, 3000);  // a server that refuses, as while it starts, ends a stream for good
  begin();
}

function jobCard(first, look) {
  let job = first, shown = "";
  const { id, name } = job, noted = [];
  const badge = make("span.badge"), bar = make("progress", { ...doing("progress", name), max: 1 }), told = make("p.told");
  const more = make("div.more"), actions = make("div.row.actions"), wrong = make("div");
  const element = make("article.card", { "data-job": id }, make("div.row", make("h2.name.grow", name), badge), bar, told, wrong, actions, more);

  const move = ({ frames, total, fps, left_s, slowest, stage }) => {
    if (total) bar.value = Math.min(1, frames / total); else bar.removeAttribute("value");
    write(told, [t(stage), t("frames", { done: number(frames), total: total ? number(total) : "?" }),
      fps && t("rate", { fps: number(fps, 1) }), left_s != null && t("left", { time: roughly(left_s) }),
      slowest && t("slowest", { stage: slowest })].filter(Boolean).join(" · "));
  };
  const act = (action, does) => button(action, () => attempt(wrong, does).then(look), { of: name });
  const change = () => {
    const { error, evidence, result, state } = job, isRunning = state === "running";
    element.dataset.state = state;
    write(badge, t(state));
    bar.hidden = !isRunning && state !== "paused";
    if (isRunning) bar.removeAttribute("value");
    write(told, isRunning ? "…" : "");
    const focused = actions.contains(document.activeElement);
    actions.replaceChildren(...[result && link("download", result.url, result.name, "a.button.main"),
      result && link("report", `/v1/jobs/${id}/report`, `${result.name}.vsr.json`),
      evidence && link("evidence", evidence, `${result.name}.evidence.zip`),
      ...ACTIONS[state].map((action) => act(action, () => post(`/v1/jobs/${id}/${action}`))),
      isOver(job) && act("clear", () => clear(job))].filter(Boolean));
    if (focused) actions.querySelector("a, button")?.focus();
    fail(wrong, error);
    more.replaceChildren();
    if (state === "succeeded") tellOf(job, told, more).catch(({ message, status }) => { if (status !== 404) fail(wrong, message); });
    else if (noted.length) tellNotes(more, noted);
  };
  const show = (now, turn, turns) => {
    job = now;
    if (shown !== now.state) { shown = now.state; change(); }
    if (now.progress) move(now.progress);
    if (now.state !== "queued") return;
    write(told, t("turn", { turn: number(turn) }));
    [...actions.children].slice(0, 2).forEach((each, index) => { each.hidden = turn === (index ? turns : 1); });
  };
  const note = (text) => { noted.push(text); if (!isOver(job)) tellNotes(more, noted); };
  return { element, show, move, note, name };
}

const clear = async ({ id, name, result }) => {
  if (!result || confirm(t("clear.sure", { name }))) await ask("DELETE", `/v1/jobs/${id}`);
};

const tellNotes = (place, notes) => place.replaceChildren(make("details", make("summary", `${t("notes")} (${number(notes.length)})`), lines(notes)));

/** What became of it, from the report, and the slider. */
async function tellOf(job, told, more) {
  const { result, source, models, measured, verification, notes } = await get(`/v1/jobs/${job.id}/report`);
  const { height, width } = result, { duration_s } = source;
  write(told, [t("made", { width, height, models: models.map((each) => each.name).join(" + ") || "–", time: roughly(measured.seconds) }),
    verification?.passed && `✓ ${t("verified", { frames: number(verification.frames) })}`].filter(Boolean).join(" · "));
  const about = { name: job.name, duration_s, fps: (result.frames || 0) / duration_s, width, height };
  const compare = comparison(job.upload, about, () => job.options);
  const opened = make("details", make("summary", t("compare")), make("p.quiet", t("compare.hint")), compare.place);
  opened.addEventListener("toggle", () => compare.look(), { once: true });
  if (notes.length) tellNotes(more, notes);
  more.append(opened);
}
