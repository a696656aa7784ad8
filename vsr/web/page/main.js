// One document, its pages by the address's hash, and the question for the token where the server wants one.
import { ask } from "./api.js";
import { camerasPage } from "./cameras.js";
import { button, fail, make, number, write } from "./dom.js";
import { enhancePage } from "./enhance.js";
import { jobsPage } from "./jobs.js";
import { machinePage } from "./machine.js";
import { language, t } from "./texts.js";

document.documentElement.lang = language;
const main = document.getElementById("main"), ways = document.getElementById("ways");
const links = {}, pages = {};

function begin() {
  const busy = make("span.count", { hidden: true });
  pages.enhance = enhancePage(() => { location.hash = "#jobs"; });
  pages.jobs = jobsPage((waiting) => { busy.hidden = !waiting; write(busy, number(waiting)); });
  pages.cameras = camerasPage((there) => { links.cameras.hidden = !there; });
  pages.machine = machinePage();
  ways.setAttribute("aria-label", t("ways"));
  for (const name of Object.keys(pages)) {
    links[name] = make("a", { href: `#${name}` }, t(name), name === "jobs" && busy);
    ways.append(links[name]);
  }
  links.cameras.hidden = true;
  if (localStorage.session) ways.append(button(t("logout"), leave, { class: "plain" }));
  for (const [name, page] of Object.entries(pages)) page.id = `page-${name}`;
  main.replaceChildren(...Object.values(pages));
  addEventListener("hashchange", () => show(true));
  show(false);
}

function show(moves) {
  const name = location.hash.slice(1) in pages ? location.hash.slice(1) : "enhance";
  for (const [each, page] of Object.entries(pages)) {
    page.hidden = each !== name;
    if (each === name) links[each].setAttribute("aria-current", "page"); else links[each].removeAttribute("aria-current");
  }
  document.title = `${t(name)} – vsr`;
  pages[name].seen?.();
  if (!moves) return;
  scrollTo(0, 0);
  pages[name].querySelector("h1").focus({ preventScroll: true });
}

const leave = async () => {
  await ask("POST", "/logout");
  localStorage.removeItem("session");
  location.reload();
};

function askForToken() {
  const field = make("input", { type: "password", id: "token", autocomplete: "current-password", required: true, "aria-describedby": "token-hint" });
  const wrong = make("div");
  const enter = async (event) => {
    event.preventDefault();
    try {
      await ask("POST", "/login", { body: { token: field.value.trim() } });
      localStorage.session = "yes";
      location.reload();
    } catch (error) {
      fail(wrong, error);
      field.select();
    }
  };
  ways.replaceChildren();
  main.replaceChildren(make("form.card.login", { onsubmit: enter }, make("h1", t("login")),
    make("p", { id: "token-hint" }, t("login.hint")), make("div.field", make("label", { for: "token" }, t("token")), field),
    wrong, make("button.main", t("enter"))));
  field.focus();
}

let isStranger = false;
addEventListener("stranger", () => {
  if (pages.jobs) location.reload();  // logged out meanwhile, as by another tab
  else if (!isStranger) askForToken();
  isStranger = true;
});
ask("GET", "/v1/uploads").then(begin, (error) => { if (error.status !== 401) begin(); });
