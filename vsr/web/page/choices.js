// What one can choose, and the option keys that it stands for.
import { field, make } from "./dom.js";
import { t } from "./texts.js";

/** Each choice: its name, its values and their keys. The first is chosen; later choices win. */
const CHOICES = [
  ["size", { x2: { scale: 2 }, x3: { scale: 3 }, x4: { scale: 4 }, p1080: { height: 1080 }, p2160: { height: 2160 }, x1: { scale: 1, source: "real" } }],
  ["clean", { auto: {}, off: { source: "clean" }, strong: { denoise: 1, source: "auto" } }],
  ["file", { keep: {}, smaller: { quality: 60 }, master: { encoder: "ffv1", container: "mkv" } }],
  ["texture", { off: {}, some: { texture: 0.4 }, full: { texture: 1 } }],
];
const RARER = [
  ["lines", { auto: {}, fields: { deinterlace: "fields" }, film: { deinterlace: "film" }, off: { deinterlace: "off" } }],
  ["shape", { auto: {}, "4:3": { display_aspect: "4:3" }, "16:9": { display_aspect: "16:9" } }],
  ...["deblur", "autocrop", "color_correct", "evidence"].map((key) => [key, { no: {}, yes: { [key]: true } }]),
  ["label", { off: {}, en: { label: "en" }, de: { label: "de" } }],
];
const KEPT = "choices";

/** The form, and `options()`: the keys chosen. `changed` hears of each change. */
export function choices(changed) {
  const kept = JSON.parse(localStorage.getItem(KEPT) || "{}");
  const select = ([name, values]) => field(name, make("select", ...Object.keys(values).map((value) =>
    make("option", { value, selected: value === kept[name] }, t(`${name}.${value}`) || t(value) || value))));
  const keys = make("textarea", { rows: 4, spellcheck: "false", placeholder: 'start = "0:10"\nend = "0:20"\nmodel = ["base-x2"]' }, kept.keys || "");
  const wrong = make("div.failure", { role: "alert" });
  const options = () => Object.assign({}, ...[...CHOICES, ...RARER].map(([name, values]) => values[form[name].value]), readKeys(keys.value));
  const hear = () => {
    localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(new FormData(form))));
    try { options(); wrong.textContent = ""; changed(); } catch (error) { wrong.textContent = error.message; }
  };
  const form = make("form.card.choices", { onchange: hear }, make("div.fields", ...CHOICES.map(select)),
    make("details", { open: Boolean(kept.keys) }, make("summary", t("more")), make("div.fields", ...RARER.map(select)),
      field("keys", keys, " ", make("a", { href: "/docs#JobOrder", target: "_blank" }, t("keys.all")), wrong)));
  return { form, options };
}

/** Lines `key = value` of TOML: text in quotes, numbers, true and false, lists of these. */
export function readKeys(text) {
  const read = {};
  for (const line of text.split("\n").map((each) => each.trim())) {
    if (!line || line.startsWith("#")) continue;
    const [, key, value] = line.match(/^([a-z_]+)\s*=\s*(.+)$/) || [];
    try {
      read[key] = JSON.parse(value.replace(/^'(.*)'$/, '"$1"').replace(/\s+#[^"]*$/, ""));
    } catch {
      throw new Error(t("keys.wrong", { line }));
    }
  }
  return read;
}
