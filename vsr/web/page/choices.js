// What one can choose, in plain words, and the option keys that it stands for.
import { make } from "./dom.js";
import { t } from "./texts.js";

/** Each choice: its name, and its values with the keys they give. The first value is chosen; later choices win over earlier ones. */
const CHOICES = [
  ["size", { x2: { scale: 2 }, x3: { scale: 3 }, x4: { scale: 4 }, p1080: { height: 1080 }, p2160: { height: 2160 }, x1: { scale: 1, source: "real" } }],
  ["clean", { auto: {}, off: { source: "clean" }, strong: { denoise: 1, source: "auto" } }],
  ["file", { keep: {}, smaller: { quality: 60 }, master: { encoder: "ffv1", container: "mkv" } }],
  ["texture", { none: {}, some: { texture: 0.4 }, full: { texture: 1 } }],
];
const RARER = [
  ["lines", { auto: {}, fields: { deinterlace: "fields" }, film: { deinterlace: "film" }, off: { deinterlace: "off" } }],
  ["shape", { auto: {}, "4:3": { display_aspect: "4:3" }, "16:9": { display_aspect: "16:9" } }],
  ["deblur", { no: {}, yes: { deblur: true } }],
  ["borders", { no: {}, yes: { autocrop: true } }],
  ["colours", { no: {}, yes: { color_correct: true } }],
];
const KEPT = "choices";

/** The form, and `options()`: the keys that are chosen now. `changed` is called at each change. */
export function choices(changed) {
  const kept = JSON.parse(localStorage.getItem(KEPT) || "{}");
  const selects = new Map();
  const field = ([name, values]) => {
    const select = make("select", { name, id: `choice-${name}`, "aria-describedby": t(`${name}.hint`) && `hint-${name}` },
      ...Object.keys(values).map((value) => make("option", { value, selected: value === kept[name] }, t(`${name}.${value}`) || t(value) || value)));
    selects.set(select, values);
    return make("div.field", make("label", { for: select.id }, t(name)), select,
      t(`${name}.hint`) && make("small", { id: `hint-${name}` }, t(`${name}.hint`)));
  };
  const wrong = make("small", { id: "keys-wrong", class: "failure", role: "alert" });
  const keys = make("textarea", { id: "keys", rows: 4, spellcheck: "false", "aria-describedby": "keys-hint keys-wrong",
    placeholder: 'start = "0:10"\nend = "0:20"\nmodel = ["base-x2"]' }, kept.keys || "");
  const options = () => {
    const chosen = [...selects].map(([select, values]) => values[select.value] || {});
    return Object.assign({}, ...chosen, readKeys(keys.value));
  };
  const hear = () => {
    const now = Object.fromEntries([...selects.keys()].map((select) => [select.name, select.value]));
    localStorage.setItem(KEPT, JSON.stringify({ ...now, keys: keys.value }));
    try { options(); wrong.textContent = ""; changed(); } catch (error) { wrong.textContent = error.message; }
  };
  const form = make("form.choices", { onchange: hear, onsubmit: (event) => event.preventDefault() },
    make("div.fields", ...CHOICES.map(field)),
    make("details", { open: Boolean(kept.keys) }, make("summary", t("more")),
      make("div.fields", ...RARER.map(field)),
      make("div.field", make("label", { for: "keys" }, t("keys")), keys,
        make("small", { id: "keys-hint" }, t("keys.hint"), " ", make("a", { href: "/docs#JobOrder", target: "_blank" }, t("keys.all"))), wrong)));
  return { form, options };
}

/** Lines `key = value` as TOML writes them: text in quotes, numbers, true and false, lists of these. */
export function readKeys(text) {
  const read = {};
  for (const line of text.split("\n").map((each) => each.trim())) {
    if (!line || line.startsWith("#")) continue;
    const [, key, value] = line.match(/^([a-z_]+)\s*=\s*(.+?)\s*$/) || [];
    try {
      read[key.trim()] = JSON.parse(value.replace(/^'(.*)'$/, '"$1"').replace(/\s+#[^"]*$/, ""));
    } catch {
      throw new Error(t("keys.wrong", { line }));
    }
  }
  return read;
}
