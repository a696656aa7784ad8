// One document, its pages by the address's hash, and the question for the token where one is wanted.
import { ask } from "./api.js";
import { camerasPage } from "./cameras.js";
import { attempt, button, field, make, number, write } from "./dom.js";
import { enhancePage } from "./enhance.js";
import { jobsPage } from "./jobs.js";
import { machinePage } from "./machine.js";
import { language, t } from "./texts.js";

document.documentElement.lang = language;
const main = document.querySelector("main"), ways = document.querySelector("nav");
const links = {}, pages = {};

function begin() {
  const busy = make("span.count", { hidden: true });
  pages.enhance = enhancePage();
  pages.jobs = jobsPage((waiting) => { busy.hidden = !waiting; write(busy, number(waiting)); });
  pages.cameras = camerasPage((there) => { links.cameras.hidden = !there; });
  pages.machine = machinePage();
  ways.ariaLabel = t("ways");
  for (const name in pages) {
    pages[name].id = `page-${name}`;
    links[name] = make("a", { href: `#${name}`, hidden: name === "cameras" }, t(name), name === "jobs" && busy);
  }
  ways.append(...Object.values(links));
  if (localStorage.session) ways.append(button("logout", leave, { class: "plain" }));
  main.replaceChildren(...Object.values(pages));
  addEventListener("hashchange", show);
  show();
}

function show(moved) {
  const asked = location.hash.slice(1), name = asked in pages ? asked : "enhance";
  for (const each in pages) {
    pages[each].hidden = each !== name;
    links[each].ariaCurrent = each === name ? "page" : null;
  }
  document.title = `${t(name)} – vsr`;
  pages[name].seen?.();
  if (!moved) return;
  scrollTo(0, 0);
  const title = pages[name].querySelector("h1");
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
}

const leave = async () => {
  await ask("POST", "/logout");
  localStorage.removeItem("session");
  location.reload();
};

function askForToken() {
  const token = make("input", { type: "password", autocomplete: "current-password", required: true }), wrong = make("div");
  const enter = async (event) => {
    event.preventDefault();
    await attempt(wrong, async () => {
      await ask("POST", "/login", { body: { token: token.value.trim() } });
      localStorage.session = "yes";
      location.reload();
    });
    token.select();
  };
  ways.replaceChildren();
  main.replaceChildren(make("form.card.login", { onsubmit: enter }, make("h1", t("login")), field("token", token), wrong,
    make("button.main", t("enter"))));
  token.focus();
}

let isStranger = false;
addEventListener("stranger", () => {
  if (pages.jobs) location.reload();  // logged out meanwhile, as by another tab
  else if (!isStranger) askForToken();
  isStranger = true;
});
ask("GET", "/v1/uploads").then(begin, (error) => { if (error.status !== 401) begin(); });
