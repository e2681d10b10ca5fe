// Votes, reasons and comparisons on their way to the server.
//
// Each is kept in the browser under a key of its own until the server has acknowledged it or refused it for good, so
// neither a lost connection nor a killed server nor a closed tab loses one. They go in order, one at a time; the nonce
// makes a second delivery harmless.

import { retryAfter } from "./patience.js";
import { at, newNonce, perBrowser, settings } from "./settings.js";
import { notice, onSaveAgain, setStatus } from "./status.js";
import { changed, onChange, page, setAcknowledged, setWaiting } from "./view.js";

const TIMEOUT_MS = 20_000; // longer than the store waits for a locked file
const AGAIN_MS = 3000;
const NOT_NOW = [408, 429]; // the only refusals that are not for good
const UNREACHABLE = "The server cannot be reached. It is kept in this browser and sent when the server is back.";
const SIGNED_OUT = "You are signed out. It is kept in this browser and sent when you have signed in again.";
const unkept = []; // entries that storage would not take: they live as long as the page
const listeners = { delivered: [], unreachable: [] };
let lastOrder = 0;
let delivering = false;
let timer = null;
let wait = AGAIN_MS;

const scope = () => `outbox/${page.annotator}/`;

function names() {
  return perBrowser
    .names()
    .filter((name) => name.startsWith(scope()))
    .sort();
}

export function entries() {
  if (!page.annotator) return [];
  const kept = names().map((name) => ({ name, entry: perBrowser.get(name) }));
  return [...kept, ...unkept].filter(({ entry }) => entry);
}

// Orders are times, so that tabs agree, and grow within a tab whatever the clock does.
function nextName(nonce) {
  lastOrder = Math.max(lastOrder + 1, Date.now() * 1000);
  return `${scope()}${String(lastOrder).padStart(17, "0")}/${nonce}`;
}

export function post(gesture) {
  const entry = { ...gesture, nonce: newNonce(), conversation: page.view.conversation };
  const name = nextName(entry.nonce);
  if (!perBrowser.set(name, entry)) unkept.push({ name, entry });
  setWaiting(entries().map((each) => each.entry));
  setStatus("outbox", "saving");
  deliver();
  setTimeout(changed); // Gradio's own toggle of the thumb comes first, or it would toggle what is painted here
}

function drop(name, entry, outcome) {
  // Other tabs learn what became of it from the last value of the key.
  if (!unkept.some((each) => each.name === name)) perBrowser.set(name, { ...entry, outcome });
  perBrowser.remove(name);
  const place = unkept.findIndex((each) => each.name === name);
  if (place >= 0) unkept.splice(place, 1);
}

function refresh() {
  setWaiting(entries().map(({ entry }) => entry));
  changed();
}

async function send(entry) {
  const { outcome: _, ...body } = entry;
  const response = await fetch(at("api/gesture"), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const answer = await response.json().catch(() => ({}));
  const line = answer.error ?? "The server did not take it.";
  return { status: response.status, line, wait: NOT_NOW.includes(response.status) ? retryAfter(response) * 1000 : AGAIN_MS };
}

// "stored", "refused" for good, or "later".
async function deliverOne({ name, entry }) {
  let reply = { status: 0, line: UNREACHABLE, wait: AGAIN_MS };
  try {
    reply = await send(entry);
  } catch {
    for (const listener of listeners.unreachable) listener(); // the entry stays
  }
  if (reply.status === 200) {
    setAcknowledged(entry);
    drop(name, entry, "stored");
  } else if (reply.status === 401 && settings.closed) {
    setStatus("outbox", "lost", SIGNED_OUT);
    return "later";
  } else if (reply.status >= 400 && reply.status < 500 && !NOT_NOW.includes(reply.status)) {
    drop(name, entry, "refused");
  } else {
    setStatus("outbox", "lost", reply.line);
    wait = reply.wait;
    return "later";
  }
  refresh();
  if (reply.status === 200) return "stored";
  refused(reply.line);
  return "refused";
}

function refused(line) {
  setStatus("outbox", "refused");
  notice(line);
}

async function deliverAll() {
  let outcome = "stored";
  for (let next = entries()[0]; next; next = entries()[0]) {
    const one = await deliverOne(next);
    if (one === "later" || entries()[0]?.name === next.name) return again();
    if (one === "refused") outcome = one;
  }
  if (outcome === "stored") setStatus("outbox", "saved");
  for (const listener of listeners.delivered) listener();
}

// `listener()` hears when everything that waited has been dealt with.
export function onDelivered(listener) {
  listeners.delivered.push(listener);
}

// `listener()` hears when an entry could not reach the server.
export function onUnreachable(listener) {
  listeners.unreachable.push(listener);
}

function again() {
  clearTimeout(timer);
  timer = setTimeout(deliver, wait);
  wait = AGAIN_MS;
}

// Only one tab delivers at a time, where the browser can say so.
export async function deliver() {
  if (delivering || !page.annotator || !entries().length) return;
  delivering = true;
  try {
    if (navigator.locks) await navigator.locks.request(`${perBrowser.prefix}outbox`, deliverAll);
    else await deliverAll();
  } finally {
    delivering = false;
  }
}

function heard(event) {
  if (!event.key?.startsWith(perBrowser.prefix + scope())) return;
  const gone = event.newValue === null && event.oldValue ? JSON.parse(event.oldValue) : null;
  if (gone?.outcome === "stored") setAcknowledged(gone);
  refresh();
}

export function startOutbox() {
  window.addEventListener("storage", heard);
  onSaveAgain(deliver);
  let known = null;
  onChange(() => {
    if (page.annotator === known) return;
    known = page.annotator;
    setWaiting(entries().map(({ entry }) => entry));
    if (entries().length) {
      setStatus("outbox", "saving");
      deliver();
    }
  });
}
