// What this machine can do: what `vsr doctor` and `vsr models` say.
import { get } from "./api.js";
import { fail, make, section } from "./dom.js";
import { t } from "./texts.js";

/** Make the page; it asks when it is first seen. */
export function machinePage() {
  const works = make("pre", { lang: "en", tabindex: 0, "aria-label": t("works") }, t("trying"));
  const table = make("div.wide", { tabindex: 0, role: "group", "aria-label": t("models") });
  const made = make("div", make("h1", { tabindex: -1 }, t("machine")),
    section("works", works), section("models", table), make("section", make("a", { href: "/docs" }, t("api"))));
  let asked = false;
  made.seen = async () => {
    if (asked) return;
    asked = true;
    try {
      get("/v1/models").then((models) => table.replaceChildren(tableOf(models)));
      works.textContent = (await get("/v1/machine")).lines.join("\n");
    } catch (error) {
      asked = false;
      fail(works, error);
    }
  };
  return made;
}

const tableOf = (models) => make("table",
  make("thead", make("tr", ...["model", "purpose", "enlarges", "licence", "state"].map((name) => make("th", { scope: "col" }, t(name))))),
  make("tbody", { lang: "en" }, ...models.map((each) => make("tr", make("th", { scope: "row" }, each.name), make("td", each.purpose),
    make("td", `×${each.scale}`), make("td", each.licence), make("td", each.how ? `${each.state}: ${each.how}` : each.state)))));
