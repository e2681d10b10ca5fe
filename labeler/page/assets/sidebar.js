// The sidebar's own parts: what the annotator has done, their conversations, and who they are to the study.

import { confirmThen } from "./dialogs.js";
import { byId, make, mark, onRedraw } from "./dom.js";
import { onDelivered } from "./outbox.js";
import { at, perBrowser, settings, talks } from "./settings.js";
import { notice } from "./status.js";
import { ask, onEcho, openConversation } from "./turns.js";
import { onChange, page } from "./view.js";

export const WIDE = "(min-width: 769px)"; // Gradio's own limit: below, an open sidebar covers the page
const SETTLE_MS = 400;
const COUNTS = [["answers", "answers"], ["votes", "votes"], ["edits", "edits"], ["comparisons", "comparisons"]];
let facts = null;
let most = settings.listed; // conversations that are listed
let timer = null;
let shown = "";

const wide = () => window.matchMedia(WIDE).matches;
const sidebar = () => document.querySelector(".sidebar");
const toggle = () => document.querySelector(".sidebar > .toggle-button");

// ── what it shows ──

function progress() {
  const list = COUNTS.map(([key, word]) =>
    make("div", {}, make("dt", {}, word), make("dd", {}, String(facts.progress[key]))),
  );
  return make("section", { "aria-labelledby": "progress-title" }, make("h2", { id: "progress-title" }, "Progress"), make("dl", { class: "counts" }, ...list));
}

function conversations() {
  const links = facts.conversations.map(({ id, title, at }) => {
    const link = make("a", { href: `#${id}`, title }, make("span", { class: "opener" }, title), make("time", { datetime: at }, ago(at)));
    if (id === page.view.conversation) link.setAttribute("aria-current", "true");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab may be wanted
      event.preventDefault();
      openConversation(id);
      if (!wide()) setOpen(false);
    });
    return make("li", {}, link);
  });
  const list = links.length ? make("ul", {}, ...links) : make("p", { class: "quiet" }, "Nothing yet. Your conversations will be listed here.");
  const older = facts.more ? [make("button", { type: "button", id: "older", onclick: showOlder }, "Older conversations")] : [];
  return make("nav", { "aria-labelledby": "conversations-title" }, make("h2", { id: "conversations-title" }, "Conversations"), list, ...older);
}

async function showOlder() {
  const before = facts.conversations.length;
  most += settings.listed;
  await load();
  document.querySelectorAll("#sidebar-facts nav a")[before]?.focus();
}

function ago(at) {
  const minutes = Math.round((Date.now() - Date.parse(at)) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.round(minutes / 60)} h`;
  return new Date(at).toLocaleDateString("en", { day: "numeric", month: "short" });
}

function identity() {
  const section = make(
    "section",
    { class: "identity", "aria-labelledby": "identity-title" },
    make("h2", { id: "identity-title" }, "You"),
    ...(facts.name ? [make("p", {}, make("strong", { id: "account-name" }, facts.name))] : []),
    make("p", {}, "Annotator ", make("code", { id: "annotator-id" }, facts.annotator)),
  );
  section.append(...adoption());
  if (settings.signs_out) section.append(make("button", { type: "button", id: "sign-out", onclick: signOut }, "Sign out"));
  if (settings.consent && !page.consent) {
    section.append(make("button", { type: "button", id: "withdraw", onclick: withdraw }, "Withdraw consent"));
  }
  return section;
}

// Offered where somebody worked in this browser before there were accounts.
function adoption() {
  const count = facts.adoptable;
  if (!count || page.consent) return [];
  const what = count === 1 ? "One conversation was" : `${count} conversations were`;
  return [
    make("p", { class: "quiet" }, `${what} begun in this browser before anybody signed in. Was that you?`),
    make("button", { type: "button", id: "adopt", onclick: adopt }, "Add to my account"),
  ];
}

async function adopt() {
  const response = await fetch(at("api/adopt"), { method: "POST" }).catch(() => null);
  if (!response?.ok) return notice("That could not be stored. Try again.");
  await load();
  byId("conversations-title")?.parentElement.querySelector("a")?.focus();
}

async function signOut() {
  await fetch(at("sign-out"), { method: "POST", redirect: "manual" });
  window.location.reload();
}

async function withdraw() {
  const text = "Nothing more will be collected, and nothing you gave will be published from now on. You can agree again later.";
  if (await confirmThen("Withdraw consent?", text, "Withdraw")) ask("withdraw_consent");
}

function draw() {
  const place = byId("sidebar-facts");
  if (!place || !facts) return;
  const key = JSON.stringify([facts, page.view.conversation, page.consent]);
  if (key === shown && place.childElementCount) return;
  shown = key;
  place.replaceChildren(progress(), ...(talks ? [conversations()] : []), identity());
}

async function load() {
  try {
    const response = await fetch(at(`api/me?mode=${settings.page}&conversations=${most}`), { cache: "no-store" });
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

function onToggle() {
  const open = sidebar()?.classList.contains("open") ?? false;
  mark(toggle(), { "aria-expanded": String(open), "aria-controls": "sidebar" });
  const covered = open && !wide();
  for (const id of ["chat-screen", "consent"]) if (byId(id)) byId(id).inert = covered; // it covers the page there
}

// Where there is room it starts open, unless it was closed there before; on a phone it would cover the page.
function openWhereThereIsRoom() {
  if (!page.ready || !toggle() || sidebar().dataset.started) return;
  sidebar().dataset.started = "now";
  new MutationObserver(onToggle).observe(sidebar(), { attributes: true, attributeFilter: ["class"] });
  toggle().addEventListener("click", (event) => {
    if (event.isTrusted && wide()) perBrowser.set("sidebar", !sidebar().classList.contains("open"));
  });
  if (wide() && perBrowser.get("sidebar") !== false) setOpen(true);
  onToggle();
  setTimeout(() => (sidebar().dataset.started = "before"), SETTLE_MS);
}

function drawHead() {
  const place = byId("sidebar-top");
  if (!place || place.childElementCount) return;
  const mark = make("img", { src: new URL("mark.svg", import.meta.url).href, alt: "", width: "22", height: "22" });
  place.append(make("p", { class: "mark" }, mark, "Labeler"), ...pages());
}

// The ways to the study's other pages, as far as they are this visitor's.
function pages() {
  if (settings.pages.length < 2) return [];
  const links = settings.pages.map(({ key, title, path }) => {
    const link = make("a", { href: at(path) || "./" }, title);
    if (key === settings.page) link.setAttribute("aria-current", "page");
    return make("li", {}, link);
  });
  return [make("nav", { id: "pages", "aria-label": "Pages" }, make("ul", {}, ...links))];
}

export function startSidebar() {
  onRedraw(() => {
    drawHead();
    draw();
    openWhereThereIsRoom();
  });
  onEcho(loadSoon);
  onDelivered(loadSoon);
  let before = "";
  onChange(() => {
    const now = JSON.stringify([page.annotator, page.view.conversation, page.view.running, page.view.messages]);
    if (page.ready && now !== before) loadSoon();
    before = now;
    draw();
    openWhereThereIsRoom();
  });
}
