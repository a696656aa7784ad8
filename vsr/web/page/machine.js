// What this machine can do: what `vsr doctor` and `vsr models` say.
import { get, post, wait } from "./api.js";
import { attempt, button, fail, make, section, size, write } from "./dom.js";
import { t } from "./texts.js";

/** The page; it asks when it is first seen. */
export function machinePage() {
  const works = make("pre", { lang: "en", tabindex: 0, "aria-label": t("works") }, t("trying"));
  const table = make("div.wide", { tabindex: 0, role: "group", "aria-label": t("models") });
  const made = make("div", make("h1", t("machine")),
    section("works", works), section("models", table), make("section", make("a", { href: "/docs" }, t("api"))));
  let asked = false;
  made.seen = () => {
    if (asked) return;
    asked = true;
    get("/v1/models").then((models) => table.replaceChildren(tableOf(models)), (error) => fail(table, error.message));
    get("/v1/machine").then((said) => write(works, said.lines.join("\n")), (error) => { asked = false; fail(works, error.message); });
  };
  return made;
}

const tableOf = (models) => make("table",
  make("thead", make("tr", ...["model", "purpose", "enlarges", "licence", "state"].map((name) => make("th", { scope: "col" }, t(name))))),
  make("tbody", { lang: "en" }, ...models.map((each) => make("tr", make("th", { scope: "row" }, each.name), make("td", each.purpose),
    make("td", `×${each.scale}`), make("td", each.licence), stateOf(each)))));

/** A model's state; one that is not here can be fetched. */
function stateOf({ name, state, how }) {
  const told = make("span", { role: "status" }, state === "installed" ? state : ""), wrong = make("div");
  const fetchIt = () => attempt(wrong, async () => {
    let now = await post(`/v1/models/${name}`);
    for (; now.state === "running"; now = await get(`/v1/models/${name}`)) {
      write(told, `${size(now.bytes)} / ${size(now.total)}`);
      await wait(500);
    }
    write(told, now.state === "installed" ? now.state : "");
    if (now.error) throw new Error(now.error);
    act.remove();
  });
  const act = button("fetch", fetchIt, { of: name });
  return make("td", told, state !== "installed" && (how || act), wrong);
}
