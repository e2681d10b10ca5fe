// Is the server there, is it the process that drew this page, and does it still know who looks at it?
//
// A page whose server went away says so within seconds, click or no click. When it is back, under another boot id or
// after a broken connection, votes are delivered first and the page then loads itself anew: Gradio would otherwise go
// on as if nothing had happened and drop every gesture. A server that was only slow is the same as before, and so are
// its connections: the page goes on where it is. Loading it would also make a busy server busier.

import { deliver, onUnreachable } from "./outbox.js";
import { at, settings } from "./settings.js";
import { notice, setStatus } from "./status.js";
import { page } from "./view.js";

const EVERY_MS = 1500;
const TIMEOUT_MS = 1500;
const LONGEST_DELIVERY_MS = 5000;
const AWAY = "The server cannot be reached. Votes and drafts are kept in this browser.";

const listeners = [];
const returns = [];
let missed = 0;
let broken = false; // something failed, beside taking too long
let timer = null;
export let away = false;

// `listener()` hears when the server went away.
export function onAway(listener) {
  listeners.push(listener);
}

// `listener()` hears when a server that had been slow answers again.
export function onReturn(listener) {
  returns.push(listener);
}

async function beat() {
  const response = await fetch(at("api/alive"), { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error("not well");
  return response.json();
}

function lost(error) {
  missed += 1;
  broken ||= error.name !== "TimeoutError";
  // A refused connection is certain at once; a slow answer may only be a busy machine.
  if (error.name === "TimeoutError" && missed < 2) return;
  if (away) return;
  away = true;
  setStatus("pulse", "lost", AWAY);
  for (const listener of listeners) listener();
}

async function found({ boot, annotator }) {
  missed = 0;
  if (settings.closed && page.annotator && annotator !== page.annotator) return window.location.reload();
  const other = page.boot !== null && boot !== page.boot;
  if (!away && !other) return;
  if (!broken && !other) return goOn();
  notice("The server is back. Loading where you were.");
  await Promise.race([deliver(), new Promise((resolve) => setTimeout(resolve, LONGEST_DELIVERY_MS))]);
  away = false;
  setStatus("pulse", "idle");
  window.location.reload();
}

function goOn() {
  away = false;
  setStatus("pulse", "idle");
  deliver();
  for (const listener of returns) listener();
}

async function watch() {
  let wait = EVERY_MS;
  try {
    await found(await beat());
  } catch (error) {
    lost(error);
    wait = missed === 1 && !away ? 0 : EVERY_MS;
  }
  clearTimeout(timer);
  timer = setTimeout(watch, wait);
}

export function startPulse() {
  onUnreachable(watch);
  timer = setTimeout(watch, EVERY_MS);
}
