// The sidebar's own parts: what the annotator has done, their conversations, and who they are to the study.

import { confirmThen } from "./dialogs.js";
import { perBrowser, settings } from "./settings.js";
import { whenThere } from "./status.js";
import { ask, onEcho, openConversation } from "./turns.js";
import { onChange, page } from "./view.js";

const WIDE = "(min-width: 900px)";
const SETTLE_MS = 400;
const COUNTS = [["answers", "answers"], ["votes", "votes"], ["edits", "edits"], ["comparisons", "comparisons"]];
let facts = null;
let timer = null;
let shown = "";

const sidebar = () => document.querySelector(".sidebar");
const toggle = () => document.querySelector(".sidebar > .toggle-button");

// ── what it shows ──

function tag(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function progress() {
  const list = COUNTS.map(([key, word]) =>
    tag("div", {}, tag("dt", {}, word), tag("dd", {}, String(facts.progress[key]))),
  );
  return tag("section", { "aria-labelledby": "progress-title" }, tag("h2", { id: "progress-title" }, "Progress"), tag("dl", { class: "counts" }, ...list));
}

function conversations() {
  const links = facts.conversations.map(({ id, title, at }) => {
    const link = tag("a", { href: `#${id}`, title }, tag("span", { class: "opener" }, title), tag("time", { datetime: at }, ago(at)));
    if (id === page.view.conversation) link.setAttribute("aria-current", "true");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab may be wanted
      event.preventDefault();
      openConversation(id);
      if (!window.matchMedia(WIDE).matches) setOpen(false);
    });
    return tag("li", {}, link);
  });
  const list = links.length ? tag("ul", {}, ...links) : tag("p", { class: "quiet" }, "Nothing yet. Your conversations will be listed here.");
  return tag("nav", { "aria-labelledby": "conversations-title" }, tag("h2", { id: "conversations-title" }, "Conversations"), list);
}

function ago(at) {
  const minutes = Math.round((Date.now() - Date.parse(at)) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.round(minutes / 60)} h`;
  return new Date(at).toLocaleDateString("en", { day: "numeric", month: "short" });
}

function identity() {
  const section = tag(
    "section",
    { class: "identity", "aria-labelledby": "identity-title" },
    tag("h2", { id: "identity-title" }, "You"),
    tag("p", {}, "Annotator ", tag("code", { id: "annotator-id" }, facts.annotator)),
  );
  if (settings.consent) {
    const button = tag("button", { type: "button", id: "withdraw" }, "Withdraw consent");
    button.addEventListener("click", withdraw);
    section.append(button);
  }
  return section;
}

async function withdraw() {
  const text = "Nothing more will be collected, and nothing you gave will be published from now on. You can agree again later.";
  if (await confirmThen("Withdraw consent?", text, "Withdraw")) ask("withdraw_consent");
}

function draw() {
  const place = document.getElementById("sidebar-facts");
  if (!place || !facts) return;
  const key = JSON.stringify([facts, page.view.conversation]);
  if (key === shown && place.childElementCount) return;
  shown = key;
  place.replaceChildren(progress(), conversations(), identity());
}

async function load() {
  try {
    const response = await fetch("api/me", { cache: "no-store" });
    if (response.ok) facts = await response.json();
  } catch {
    return; // the pulse says what is wrong
  }
  draw();
}

function loadSoon() {
  clearTimeout(timer);
  timer = setTimeout(load, SETTLE_MS);
}

// ── open and closed ──

export function setOpen(open) {
  if (sidebar() && sidebar().classList.contains("open") !== open) toggle()?.click();
}

function mark() {
  const open = sidebar()?.classList.contains("open") ?? false;
  const button = toggle();
  if (button && button.getAttribute("aria-expanded") !== String(open)) button.setAttribute("aria-expanded", String(open));
}

function openWhereThereIsRoom() {
  if (!toggle() || sidebar().dataset.started) return;
  sidebar().dataset.started = "true";
  new MutationObserver(mark).observe(sidebar(), { attributes: true, attributeFilter: ["class"] });
  toggle().addEventListener("click", (event) => {
    if (event.isTrusted && window.matchMedia(WIDE).matches) perBrowser.set("sidebar", !sidebar().classList.contains("open"));
  });
  if (window.matchMedia(WIDE).matches && perBrowser.get("sidebar") !== false) setOpen(true);
  mark();
}

function drawHead(place) {
  if (place.childElementCount) return;
  place.append(tag("p", { class: "study" }, settings.title));
}

export function startSidebar() {
  whenThere("sidebar-top", drawHead);
  whenThere("sidebar-facts", draw);
  new MutationObserver(openWhereThereIsRoom).observe(document.documentElement, { childList: true, subtree: true });
  onEcho(loadSoon);
  let before = "";
  onChange(() => {
    const now = JSON.stringify([page.annotator, page.view.conversation, page.view.running, page.view.messages]);
    if (page.ready && now !== before) loadSoon();
    before = now;
    draw();
  });
}
