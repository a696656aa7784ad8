// The first page: files, what is in them and would be made of them, and the order.
import { ask, get, post, upload } from "./api.js";
import { choices } from "./choices.js";
import { comparison } from "./compare.js";
import { attempt, button, clock, doing, fail, lines, make, number, roughly, say, section, size, write } from "./dom.js";
import { t } from "./texts.js";

const KEPT = "files";
const CODECS = { h264: "H.264", hevc: "H.265", mpeg2video: "MPEG-2", mpeg4: "MPEG-4", mjpeg: "JPEG" };

const toJobs = () => { location.hash = "#jobs"; };

export function enhancePage() {
  const cards = new Set();
  const how = choices(() => { for (const card of cards) card.plan(); });
  const list = make("div.cards");
  const all = button("all", () => orderAll(), { class: "main" });
  const files = section("files", list), before = make("ul.plain"), earlier = section("earlier", before);
  files.firstChild.append(all);
  files.hidden = earlier.hidden = true;

  const input = make("input", { type: "file", id: "choose", multiple: true, accept: "video/*,image/*,.mkv,.ts,.mts,.vob,.heic",
    onchange: () => { take(input.files); input.value = ""; } });
  const drop = make("div.drop", make("h1", t("drop.title")), make("p", t("drop.hint")),
    make("label.button.main", { for: "choose" }, t("choose")), input);

  const settle = () => {
    sessionStorage.setItem(KEPT, JSON.stringify([...cards].map((card) => card.id()).filter(Boolean)));
    files.hidden = !cards.size;
    drop.classList.toggle("small", cards.size);
    all.hidden = cards.size < 2;
    write(all, t("all", { number: number(cards.size) }));
  };
  const add = (about, file) => {
    const forget = () => { cards.delete(card); card.element.remove(); settle(); };
    const card = fileCard(about, file, how.options, settle, forget);
    cards.add(card);
    list.prepend(card.element);
    settle();
  };
  const take = (given) => {
    for (const file of given) add({ name: file.name, length: file.size, offset: 0 }, file);
    list.firstElementChild?.scrollIntoView({ block: "nearest" });
  };
  const orderAll = async () => {
    const ready = [...cards].filter((card) => card.isReady());
    for (const card of ready.reverse()) if (!(await card.order())) return;
    if (ready.length) toJobs();
  };
  const showEarlier = async () => {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) || "[]");
    const known = await get("/v1/uploads"), isKept = (each) => each.complete && kept.includes(each.id);
    known.filter(isKept).forEach((each) => add(each));
    before.replaceChildren(...known.reverse().filter((each) => !isKept(each)).map(row));
    earlier.hidden = !before.firstChild;
  };
  const row = (each) => {
    const away = () => { item.remove(); earlier.hidden = !before.firstChild; };
    const item = make("li.row", make("span.name", each.name),
      make("span.quiet.grow", each.complete ? size(each.length) : t("unfinished", { come: size(each.offset), all: size(each.length) })),
      each.complete && button("again", () => { add(each); away(); }, { of: each.name }),
      button("remove", () => takeAway(each.id).then(away), { of: each.name }));
    return item;
  };
  hearDrops(drop, take);
  showEarlier().catch(() => {});
  return make("div", drop, section("how", how.form), files, earlier);
}

/** One file: how much has come, what is in it, what would be made of it. */
function fileCard(about, file, options, settle, forget) {
  const { name, length } = about;
  let id = about.id || "", isWhole = Boolean(about.complete), isRefused = false, looked = 0, compare = null, idle = null;
  const stop = new AbortController(), { signal } = stop;
  const bar = make("progress", { max: Math.max(1, length), ...doing("progress", name) });
  const come = make("span.quiet"), facts = make("dl.facts"), wrong = make("div"), preview = make("div");
  const [found, planned, needed] = ["found", "plan", "needs"].map((fact) => {
    const value = make("dd", "…");
    facts.append(make("div", make("dt", t(fact)), value));
    return value;
  });
  const notes = make("details", { hidden: true }, make("summary", t("notes")));
  const start = button("enhance", async () => { if (await order()) toJobs(); }, { class: "main", disabled: !isWhole, of: name });
  const away = button("remove", async () => {
    stop.abort();
    if (id) await takeAway(id);
    forget();
  }, { class: "plain", of: name });
  const element = make("article.card", make("div.row", make("h3.name.grow", name), away), make("div.row.sent", bar, come),
    facts, notes, wrong, make("div.row.bottom", preview, start));

  const show = (offset) => {
    bar.value = offset;
    bar.hidden = offset >= length;
    write(come, bar.hidden ? size(length) : `${size(offset)} / ${size(length)}`);
  };
  /** What cannot be read, or not with these choices, is not ordered. */
  const settleStart = (refused) => {
    isRefused = refused;
    start.disabled = !isWhole || isRefused;
  };
  const probe = (estimate) => get(`/v1/uploads/${id}/probe?estimate=${estimate}&options=${encodeURIComponent(JSON.stringify(options()))}`, { signal });
  const plan = () => {
    clearTimeout(idle);
    idle = setTimeout(look, 250);
    compare?.check();
  };
  const look = async () => {
    if (!id) return;
    const turn = ++looked;
    element.ariaBusy = "true";
    if (!compare) write(found, t("looking"));
    write(needed, isWhole ? t("measuring") : "…");
    try {
      const { source, plan } = await probe(false);
      if (turn !== looked) return;
      fail(wrong);
      settleStart(false);
      const { height, width } = source.format || source, { duration_s } = source;
      const [above, below = 1] = (source.average_rate || "0").split("/"), fps = above / below;
      const models = plan.models.map((each) => each.name).join(" + ");
      write(found, [`${width} × ${height}`, duration_s > 0 && fps && t("rate", { fps: number(fps, 2) }), duration_s > 0 && clock(duration_s),
        source.interlaced && t("interlaced"), source.codec && (CODECS[source.codec] || source.codec.toUpperCase())].filter(Boolean).join(", "));
      write(planned, `${plan.width} × ${plan.height}, ${models ? t("by", { models, device: plan.device }) : t("none")}`);
      const why = new Set([...plan.notes, plan.why && `${plan.device}: ${plan.why}`, plan.encoder].filter(Boolean));
      notes.hidden = !why.size;
      notes.replaceChildren(notes.firstChild, lines([...why]));
      if (!compare) {
        compare = comparison(id, { name, duration_s, fps, width, height }, options, signal);
        preview.append(compare.place);
      }
      if (!isWhole) return;
      const measured = await probe(true).catch((error) => { if (error.name === "AbortError") throw error; });  // ordered all the same
      if (turn !== looked) return;
      const estimate = measured?.plan.estimate;
      write(needed, estimate ? t("about", { time: roughly(estimate.seconds), size: size(estimate.num_bytes), free: size(measured.free_bytes) })
        : t("unknown"));
    } catch (error) {
      if (error.name === "AbortError" || turn !== looked || (error.status === 409 && !isWhole)) return;
      for (const each of compare ? [planned, needed] : [found, planned, needed]) write(each, "…");
      fail(wrong, error.message);
      settleStart(error.status === 422);
    } finally {
      if (turn === looked) element.ariaBusy = null;
    }
  };
  const order = () => attempt(wrong, async () => {
    await post("/v1/jobs", { upload: id, options: options() });
    say(`${name}: ${t("queued")}`);
    forget();
  });
  const send = () => attempt(wrong, async () => {
    await upload(file, (given, offset) => {
      const isNew = !id;
      id = given;
      if (isNew) settle();
      show(offset);
      if (offset && !looked) look();
    }, signal);
    isWhole = true;
    settleStart(isRefused);
    look();
  });
  show(about.offset);
  if (file) send(); else look();
  return { element, plan, order, id: () => id, isReady: () => isWhole && !isRefused };
}

/** Take an upload away; one that a job needs stays until that is cleared. */
const takeAway = (id) => ask("DELETE", `/v1/uploads/${id}`, { headers: { "Tus-Resumable": "1.0.0" } })
  .catch((error) => { if (![404, 409].includes(error.status)) throw error; });

/** Files are taken wherever they are dropped; one beside the place would replace the page. */
function hearDrops(place, take) {
  const mark = (isOver) => place.classList.toggle("over", isOver);
  addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (!event.dataTransfer.files.length) return;
    location.hash = "#enhance";
    take(event.dataTransfer.files);
  });
}
