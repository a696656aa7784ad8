// The first page: files, what is in them, what would be done with them, a preview, and the order.
import { ask, get, post, upload } from "./api.js";
import { choices } from "./choices.js";
import { comparison } from "./compare.js";
import { button, clock, doing, fail, lines, make, number, roughly, say, section, size, write } from "./dom.js";
import { t } from "./texts.js";

const KEPT = "files";
const CODECS = { h264: "H.264", hevc: "H.265", mpeg2video: "MPEG-2", mpeg4: "MPEG-4", av1: "AV1", vp9: "VP9", mjpeg: "JPEG", png: "PNG" };

/** Make the page. `go` takes the user to the jobs. */
export function enhancePage(go) {
  const cards = new Map();
  const how = choices(() => { for (const card of cards.values()) card.plan(); });
  const list = make("div.cards");
  const all = button("", () => orderAll(), { class: "main" });
  const files = section("files", list), before = make("ul.plain"), earlier = section("earlier", before);
  files.firstChild.append(all);
  files.hidden = earlier.hidden = true;

  const input = make("input", { type: "file", id: "choose", multiple: true, accept: "video/*,image/*,.mkv,.ts,.mts,.vob,.heic",
    onchange: () => { take(input.files); input.value = ""; } });
  const drop = make("div.drop", make("h1", { tabindex: -1 }, t("drop.title")), make("p", t("drop.hint")),
    make("label.button.main", { for: "choose" }, t("choose")), input);
  hearDrops(drop, (given) => take(given));

  const settle = () => {
    sessionStorage.setItem(KEPT, JSON.stringify([...cards.values()].map((card) => card.id()).filter(Boolean)));
    files.hidden = cards.size === 0;
    drop.classList.toggle("small", cards.size > 0);
    all.hidden = cards.size < 2;
    write(all, t("all", { number: number(cards.size) }));
  };
  const add = (about, file) => {
    const place = {};
    const forget = () => { cards.delete(place); card.element.remove(); settle(); };
    const card = fileCard(about, file, how.options, { settle, forget, go });
    cards.set(place, card);
    list.prepend(card.element);
    settle();
    return card;
  };
  const take = (given) => {
    for (const file of given) add({ name: file.name, length: file.size, offset: 0 }, file);
    list.firstElementChild?.scrollIntoView({ block: "nearest" });
  };
  const orderAll = async () => {
    const ready = [...cards.values()].filter((card) => card.isReady());
    for (const card of ready.reverse()) if (!(await card.order())) return;
    if (ready.length) go();
  };
  const showEarlier = async () => {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) || "[]");
    const known = (await get("/v1/uploads")).reverse();
    for (const each of [...known].reverse()) if (kept.includes(each.id) && each.complete) add(each);
    const others = known.filter((each) => !(kept.includes(each.id) && each.complete));
    earlier.hidden = !others.length;
    before.replaceChildren(...others.map(row));
  };
  const row = (each) => {
    const away = () => { item.remove(); earlier.hidden = !before.firstChild; };
    const item = make("li.row", make("span.name", each.name),
      make("span.quiet.grow", each.complete ? size(each.length)
        : t("unfinished", { come: size(each.offset), all: size(each.length) })),
      each.complete && button(t("again"), () => { add(each); away(); }, doing("again", each.name)),
      button(t("remove"), () => takeAway(each.id).then(away), doing("remove", each.name)));
    return item;
  };
  showEarlier().catch(() => {});
  return make("div", drop, section("how", how.form), files, earlier);
}

/** One file: how much has come, what is in it, what would be made of it. */
function fileCard(about, file, options, { settle, forget, go }) {
  let id = about.id || "", isWhole = Boolean(about.complete), isRefused = false, looked = 0, compare = null, idle = null;
  const stop = new AbortController();
  const bar = make("progress", { max: Math.max(1, about.length), value: about.offset, "aria-label": t("progress", { name: about.name }) });
  const come = make("span.quiet");
  const facts = make("dl.facts");
  const [found, planned, needed] = ["found", "plan", "needs"].map((name) => {
    const value = make("dd", "…");
    facts.append(make("div", make("dt", t(name)), value));
    return value;
  });
  const notes = make("details", { hidden: true }, make("summary", t("why")));
  const wrong = make("div");
  const preview = make("div");
  const start = button(t("start"), async () => { if (await order()) go(); }, { class: "main", disabled: !isWhole, ...doing("start", about.name) });
  const away = button(t("remove"), async () => {
    stop.abort();
    if (id) await takeAway(id);
    forget();
  }, { class: "plain", ...doing("remove", about.name) });
  const element = make("article.card",
    make("div.row", make("h3.name.grow", about.name), away),
    make("div.row.sent", bar, come), facts, notes, wrong,
    make("div.row.bottom", preview, start));

  const show = (offset) => {
    bar.value = offset;
    bar.hidden = offset >= about.length;
    write(come, offset >= about.length ? size(about.length) : t("sending", { come: size(offset), all: size(about.length) }));
  };
  /** What cannot be read, or not with these choices, is not ordered. */
  const settleStart = (refused) => {
    isRefused = refused;
    start.disabled = !isWhole || isRefused;
  };
  const probe = async (estimate) => get(`/v1/uploads/${id}/probe?estimate=${estimate}&options=${encodeURIComponent(JSON.stringify(options()))}`,
    { signal: stop.signal });
  const plan = () => {
    clearTimeout(idle);
    idle = setTimeout(look, 250);
    compare?.check();
  };
  const look = async () => {
    if (!id) return;
    const turn = ++looked;
    element.setAttribute("aria-busy", "true");
    if (found.textContent === "…") write(found, t("looking"));
    write(needed, isWhole ? t("measuring") : "…");
    try {
      const said = await probe(false);
      if (turn !== looked) return;
      wrong.replaceChildren();
      settleStart(false);
      write(found, inWords(said.source));
      write(planned, planInWords(said.plan));
      const why = [...new Set([...said.plan.notes, said.plan.why && `${said.plan.device}: ${said.plan.why}`, said.plan.encoder].filter(Boolean))];
      notes.hidden = !why.length;
      notes.replaceChildren(notes.firstChild, lines(why));
      if (!compare) {
        const { height, width } = said.source.format || said.source;
        compare = comparison(id, { name: about.name, duration_s: said.source.duration_s, fps: fraction(said.source.average_rate), width, height }, options, stop.signal);
        preview.append(compare.place);
      }
      if (isWhole) await measure(turn);
    } catch (error) {
      if (error.name === "AbortError" || turn !== looked || (error.status === 409 && !isWhole)) return;
      if (found.textContent === t("looking")) write(found, "…");
      write(planned, "…");
      write(needed, "…");
      fail(wrong, error);
      settleStart(error.status === 422);
    } finally {
      if (turn === looked) element.removeAttribute("aria-busy");
    }
  };
  const measure = async (turn) => {
    const measured = probe(true).catch((error) => { if (error.name === "AbortError") throw error; });  // ordered all the same
    const [said, free] = await Promise.all([measured, room()]);
    if (turn !== looked) return;
    const estimate = said?.plan.estimate;
    write(needed, estimate ? t("about", { time: roughly(estimate.seconds), size: size(estimate.num_bytes), free: size(free) }) : t("unknown"));
  };
  const order = async () => {
    try {
      await post("/v1/jobs", { upload: id, options: options() });
      say(t("ordered", { name: about.name }));
      forget();
      return true;
    } catch (error) {
      fail(wrong, error);
      return false;
    }
  };
  const send = async () => {
    try {
      await upload(file, (given, offset) => {
        const isNew = !id;
        id = given;
        if (isNew) settle();
        show(offset);
        if (offset && !looked) look();
      }, stop.signal);
      isWhole = true;
      settleStart(isRefused);
      look();
    } catch (error) {
      if (error.name !== "AbortError") fail(wrong, error);
    }
  };
  show(about.offset || 0);
  if (file) send();
  else look();
  return { element, plan, order, id: () => id, isReady: () => isWhole && !isRefused };
}

/** Bytes that are free where results go. */
const room = async () => Number((await (await ask("GET", "/metrics")).text()).match(/^vsr_web_disk_free_bytes (\S+)/m)[1]);

function inWords(source) {
  const { height, width } = source.format || source;
  const rate = fraction(source.average_rate);
  const isVideo = source.duration_s > 0;
  return [`${width} × ${height}`, isVideo && rate && t("rate", { fps: number(rate, 2) }), isVideo && clock(source.duration_s),
    source.interlaced && t("interlaced"), source.codec && (CODECS[source.codec] || source.codec)].filter(Boolean).join(", ");
}

function planInWords(plan) {
  const models = plan.models.map((each) => each.name).join(" + ");
  return `${plan.width} × ${plan.height}, ${models ? t("by", { models, device: plan.device }) : t("none")}`;
}

/** A fraction as a number; 0 where there is none. */
function fraction(text) {
  const [above, below] = String(text || 0).split("/").map(Number);
  return above / (below || 1);
}

/** Take an upload away; one that a job still needs stays until the job is cleared. */
const takeAway = (id) => ask("DELETE", `/v1/uploads/${id}`, { headers: { "Tus-Resumable": "1.0.0" } })
  .catch((error) => { if (![404, 409].includes(error.status)) throw error; });

/** Files that are dropped anywhere are taken; a file beside the place would replace the page else. */
function hearDrops(place, take) {
  let over = 0;
  const mark = (by) => { over = Math.max(0, over + by); place.classList.toggle("over", over > 0); };
  addEventListener("dragenter", () => mark(1));
  addEventListener("dragleave", () => mark(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-over);
    if (event.dataTransfer.files.length) {
      location.hash = "#enhance";
      take(event.dataTransfer.files);
    }
  });
}
