// The queue: what runs, what waits, what is finished; kept up by the server's events.
import { ask, get, post } from "./api.js";
import { comparison } from "./compare.js";
import { button, doing, fail, lines, make, number, place, roughly, say, write } from "./dom.js";
import { t } from "./texts.js";

const ACTIONS = {
  queued: ["move?to=up", "move?to=down", "pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"],
  succeeded: [], unverified: ["retry"], failed: ["retry"], canceled: ["retry"],
};
const isOver = (job) => ["succeeded", "unverified", "failed", "canceled"].includes(job.state);

/** Make the page. `count` hears how many jobs are not over. */
export function jobsPage(count) {
  const cards = new Map();
  const list = make("div.cards");
  const none = make("p.quiet", t("jobs.none"));
  const wrong = make("div");
  const clearAll = button(t("clear.all"), async () => {
    if (confirm(t("clear.sure", { name: t("clear.all") }))) await ask("DELETE", "/v1/jobs?state=ended").catch((error) => fail(wrong, error));
    await look();
  });
  let looks = 0;
  const look = async () => {
    const turn = ++looks;
    try {
      const jobs = await get("/v1/jobs");
      if (turn !== looks) return;
      wrong.replaceChildren();
      const waiting = jobs.filter((job) => !isOver(job)), over = jobs.filter(isOver).reverse();
      waiting.sort((one, other) => (other.state === "running") - (one.state === "running"));
      none.hidden = jobs.length > 0;
      clearAll.hidden = over.length < 2;
      count(waiting.length);
      const turns = waiting.filter((job) => job.state === "queued");
      place(list, [...waiting, ...over].map((job) => {
        if (!cards.has(job.id)) cards.set(job.id, jobCard(job, look));
        cards.get(job.id).show(job, turns.indexOf(job) + 1, turns.length);
        return cards.get(job.id).element;
      }));
      for (const id of cards.keys()) if (!jobs.some((job) => job.id === id)) cards.delete(id);
    } catch (error) {
      fail(wrong, error);
    }
  };
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
  return make("div", make("div.row", make("h1.grow", { tabindex: -1 }, t("jobs")), clearAll), wrong, none, list);
}

/** Listen to the server's events while the page is seen; a browser has few connections to one server. */
function hear(heard) {
  let stream = null;
  const begin = () => {
    if (document.hidden) return stream?.close();
    if (stream && stream.readyState !== EventSource.CLOSED) return null;
    stream = new EventSource("/v1/events");
    stream.onopen = heard.open;
    for (const kind of ["state", "note", "moved", "deleted", "progress"])
      stream.addEventListener(kind, (event) => heard[kind](JSON.parse(event.data)));
    return null;
  };
  document.addEventListener("visibilitychange", begin);
  setInterval(begin, 3000);  // a server that refuses, as while it starts, ends a stream for good
  begin();
}

function jobCard(first, look) {
  let shown = "", job = first;
  const badge = make("span.badge");
  const bar = make("progress", { "aria-label": t("progress", { name: job.name }), max: 1 });
  const told = make("p.told");
  const more = make("div.more");
  const actions = make("div.row.actions");
  const wrong = make("div");
  const element = make("article.card", { "data-job": job.id },
    make("div.row", make("h2.name.grow", job.name), badge), bar, told, wrong, actions, more);
  const noted = [];

  const move = ({ frames, total, fps, left_s, slowest, stage }) => {
    if (total) bar.value = Math.min(1, frames / total); else bar.removeAttribute("value");
    write(told, [t(stage), t("frames", { done: number(frames), total: total ? number(total) : "?" }),
      fps && t("speed", { fps: number(fps, 1) }), left_s != null && t("left", { time: roughly(left_s) }),
      slowest && t("slowest", { stage: slowest })].filter(Boolean).join(" · "));
  };
  const act = (action, given) => button(t(action), async () => {
    try {
      await given();
      wrong.replaceChildren();
    } catch (error) {
      fail(wrong, error);
    }
    await look();
  }, doing(action, job.name));
  const change = () => {
    element.dataset.state = badge.dataset.state = job.state;
    write(badge, t(job.state));
    bar.hidden = !["running", "paused"].includes(job.state);
    if (job.state === "running") bar.removeAttribute("value");
    write(told, job.state === "running" ? t("beginning") : "");
    const had = actions.contains(document.activeElement);
    actions.replaceChildren(...(job.result ? takeHome(job) : []),
      ...ACTIONS[job.state].map((action) => act(action, () => post(`/v1/jobs/${job.id}/${action}`))),
      ...(isOver(job) ? [act("clear", () => clear(job))] : []));
    if (had) actions.querySelector("a, button")?.focus();
    if (job.error) fail(wrong, { message: job.error }); else wrong.replaceChildren();
    more.replaceChildren();
    if (job.state === "succeeded") tellOf(job, told, more).catch((error) => { if (error.status !== 404) fail(wrong, error); });
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
  return { element, show, move, note, name: job.name };
}

const clear = async (job) => {
  if (job.result && !confirm(t("clear.sure", { name: job.name }))) return;
  await ask("DELETE", `/v1/jobs/${job.id}`);
};

const takeHome = (job) => [
  make("a.button.main", { href: job.result.url, download: job.result.name, ...doing("download", job.result.name) }, t("download")),
  make("a.button", { href: `/v1/jobs/${job.id}/report`, download: `${job.result.name}.vsr.json`, ...doing("report", job.name) }, t("report")),
];

const tellNotes = (place, notes) => place.replaceChildren(make("details", make("summary", `${t("notes")} (${number(notes.length)})`), lines(notes)));

/** What became of it, from the report; and the slider, when it is asked for. */
async function tellOf(job, told, more) {
  const { result, source, models, measured, verification, notes } = await get(`/v1/jobs/${job.id}/report`);
  write(told, [t("made", { width: result.width, height: result.height, models: models.map((each) => each.name).join(" + ") || "–",
    time: roughly(measured.seconds) }), verification?.passed && `✓ ${t("verified", { frames: number(verification.frames) })}`].filter(Boolean).join(" · "));
  const about = { name: job.name, duration_s: source.duration_s, fps: (result.frames || 0) / source.duration_s, width: result.width, height: result.height };
  const compare = comparison(job.upload, about, () => job.options);
  const opened = make("details", { ontoggle: () => opened.open && !opened.dataset.seen && (opened.dataset.seen = "1") && compare.look() },
    make("summary", t("compare")), make("p.quiet", t("compare.hint")), compare.place);
  if (notes.length) tellNotes(more, notes);
  more.append(opened);
}
