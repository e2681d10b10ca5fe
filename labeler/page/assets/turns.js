// Gestures that travel through Gradio: everything that moves the conversation.
//
// Each carries what the annotator saw (conversation, turn_seq, message ids) and a nonce; the server answers with a view
// and an echo of the nonce. Until the echo comes the gesture is pending, and only Stop, Clear and New may overtake it.

import "./patience.js";
import { onAway, onReturn } from "./pulse.js";
import { newNonce, perTab, talks } from "./settings.js";
import { notice, onSaveAgain, setStatus } from "./status.js";
import { answers, changed, onChange, page, setView, voteOf } from "./view.js";

const PATIENCE_MS = 15_000;
const AGAIN_MS = 10_000;
const LOST_MS = 12_000;
const STORES = ["send", "retry", "edit", "undo", "clear", "select", "accept_consent", "withdraw_consent", "exclude", "include"];
const OVERTAKES = ["open", "new", "stop", "clear", "accept_consent", "withdraw_consent"];
const KEPT = ["send", "edit"]; // they hold words: made again, under the same nonce, by the page's next load
const NO_ANSWER = "The server has not answered yet. Your text is kept.";
const WRITING = "An answer is being written. Press Stop, or wait for its end.";

const listeners = [];
const beginners = [];
const hinders = [];
let triggers = null; // { turn, paint }: how to make Gradio run its listeners
const pending = new Map(); // nonce -> claims, with a timer
const prepared = new Map(); // a Gradio event's name -> what its next one stands for
const asked = []; // what the next events of the bridge stand for, in order
let unsaved = null;
let lastStamp = -1;
let painted = "";

// `listener(claims, echo)` hears what became of each gesture.
export function onEcho(listener) {
  listeners.push(listener);
}

// `listener(claims)` hears of each gesture as it leaves.
export function onBegin(listener) {
  beginners.push(listener);
}

// `hinder(kind)` gives a line if a gesture of that kind cannot be made now.
export function onHindrance(hinder) {
  hinders.push(hinder);
}

export function isPending() {
  return [...pending.values()].some(({ kind }) => !["open", "stop"].includes(kind));
}

// Why a gesture cannot be made now, or "".
export function hindrance(kind) {
  if (OVERTAKES.includes(kind)) return "";
  if (kind !== "select" && page.view.running) return WRITING;
  const line = hinders.map((hinder) => hinder(kind)).find(Boolean);
  if (line) return line;
  return isPending() ? "One moment: the last gesture is still on its way." : "";
}

function claims(kind, more) {
  const { conversation, turn_seq } = page.view;
  return { kind, nonce: newNonce(), conversation: page.ready ? conversation : null, turn_seq, ...more };
}

// The gesture that a Gradio event stands for; `source` is the event's name.
function gesture(source) {
  const known = source === "bridge" ? asked.shift() : prepared.get(source);
  const made = known ?? (source === "load" ? claims("open", { conversation: fromHash() }) : claims(source));
  prepared.delete(source);
  begin(made);
  return [made, null];
}

function begin(made) {
  pending.set(made.nonce, { ...made, timer: setTimeout(() => gaveUp(made), PATIENCE_MS) });
  if (KEPT.includes(made.kind)) perTab.set("turn", made);
  if (STORES.includes(made.kind)) setStatus("turn", "saving");
  notice("");
  for (const listener of beginners) listener(made);
  changed();
}

function gaveUp(made) {
  clearTimeout(pending.get(made.nonce)?.timer);
  if (!pending.delete(made.nonce)) return;
  if (STORES.includes(made.kind)) {
    unsaved = made;
    setStatus("turn", "lost", NO_ANSWER);
  }
  changed();
}

// Says what the very next Gradio event of that name stands for; used where Gradio's event does not carry enough.
export function prepare(kind, more = {}) {
  prepared.set(kind, claims(kind, more));
}

// Makes a gesture without a Gradio component of its own.
export function ask(kind, more = {}) {
  const line = hindrance(kind);
  if (line) return notice(line);
  cross(claims(kind, more));
}

function cross(made) {
  if (!triggers) return;
  asked.push(made);
  triggers.turn({});
}

// The server was slow, and answers now: what it was not heard of is made again, else what shows is looked up. If nothing
// comes of that, the stream was lost after all.
function goOn() {
  const made = unsaved && !rewritten(unsaved) ? unsaved : claims("open");
  askAgain(made);
  setTimeout(() => pending.has(made.nonce) && window.location.reload(), LOST_MS);
}

function askAgain(made) {
  unsaved = null;
  cross(made);
}

// What the store refused is made again by itself, unless something else has been decided meanwhile.
function tryAgain(made) {
  if (unsaved === made && !rewritten(made) && !hindrance(made.kind)) askAgain(made);
}

// Whether something else is to be said now.
function rewritten(made) {
  return made.kind === "send" && document.querySelector("#box textarea")?.value !== made.text;
}

// ── what the server says ──

function heard(facts) {
  const stale = facts.boot === page.boot && facts.stamp < lastStamp;
  lastStamp = Math.max(lastStamp, facts.stamp);
  const first = !page.ready;
  const before = page.view.conversation;
  setView(facts);
  if (pending.has(facts.echo.nonce) || late(facts.echo)) settle(facts.echo);
  else if (!facts.echo.ok && !facts.echo.nonce) notice(facts.echo.line);
  writeHash(before);
  changed();
  if (stale) ask("open", { conversation: page.view.conversation }); // an older watcher spoke last
  if (first) resume();
}

// An answer to what was given up already: it has arrived after all, or is refused for good.
const late = (echo) => unsaved?.nonce === echo.nonce && !echo.again;

// Once for each gesture, though every render of its watcher repeats the echo.
function settle(echo) {
  const { timer, ...made } = pending.get(echo.nonce) ?? unsaved;
  clearTimeout(timer);
  pending.delete(echo.nonce);
  if (KEPT.includes(made.kind)) perTab.remove("turn");
  if (STORES.includes(made.kind)) {
    unsaved = echo.again ? made : null;
    if (echo.again) setTimeout(tryAgain, AGAIN_MS, made);
    setStatus("turn", echo.ok ? "saved" : echo.again ? "lost" : "refused");
  }
  if (!echo.ok) notice(echo.line);
  for (const listener of listeners) listener(made, echo);
}

// A send or an edit that the last page made and never heard of: the same nonce makes it happen once.
function resume() {
  const made = perTab.get("turn");
  perTab.remove("turn");
  if (made && made.conversation === page.view.conversation) setTimeout(() => askAgain(made));
}

// ── which conversation this tab is in: the part after # ──

function fromHash() {
  const name = decodeURIComponent(window.location.hash.slice(1));
  if (name === "new") return "";
  return /^[0-9a-f-]{36}$/.test(name) ? name : null;
}

const addressOf = (id) => `${window.location.pathname}${window.location.search}#${id || "new"}`;

// A conversation that was left for an empty page stays one step of the browser's Back away.
function writeHash(before) {
  if (!talks) return; // what is reviewed is given out, and has no address
  const now = page.view.conversation;
  if (window.location.href.endsWith(addressOf(now))) return;
  if (before && !now) history.pushState(null, "", addressOf(now));
  else history.replaceState(null, "", addressOf(now));
}

export function openConversation(id) {
  if (id !== page.view.conversation) history.pushState(null, "", addressOf(id));
  ask("open", { conversation: id });
}

// ── thumbs: painted here, never by the server's handlers ──

const THUMBS = { 1: "Like", "-1": "Dislike" };

const shownThumbs = () => answers().map((answer) => THUMBS[voteOf(answer)] ?? null);

function thumbs() {
  const value = shownThumbs();
  painted = JSON.stringify(value);
  return [{ __type__: "update", feedback_value: value }];
}

function paint() {
  if (JSON.stringify(shownThumbs()) !== painted) triggers?.paint();
}

function watchView() {
  let last = "";
  const look = () => {
    const text = document.querySelector("#bridge [data-view]")?.dataset.view;
    if (!text || text === last) return;
    last = text;
    heard(JSON.parse(text));
  };
  new MutationObserver(look).observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["data-view"],
    childList: true,
    subtree: true,
  });
}

export function startTurns() {
  window.labeler = {
    connect: (turn, paintNow) => {
      triggers = { turn, paint: paintNow };
    },
    gesture,
    thumbs,
  };
  watchView();
  onChange(paint);
  onSaveAgain(() => unsaved && askAgain(unsaved));
  onAway(() => [...pending.values()].forEach(gaveUp));
  onReturn(goOn);
  window.addEventListener("popstate", () => ask("open", { conversation: fromHash() }));
}
