// Is the server there, is it the process that drew this page, and does it still know who looks at it?
//
// A page whose server went away says so within seconds, click or no click. When it is back, under another boot id or
// after a broken connection, votes are delivered first and the page then loads itself anew: Gradio would otherwise go
// on as if nothing had happened and drop every gesture.

import { deliver, onUnreachable } from "./outbox.js";
import { at, settings } from "./settings.js";
import { notice, setStatus } from "./status.js";
import { page } from "./view.js";

const EVERY_MS = 1500;
const TIMEOUT_MS = 1500;
const LONGEST_DELIVERY_MS = 5000;
const AWAY = "The server cannot be reached. Votes and drafts are kept in this browser.";

const listeners = [];
let missed = 0;
let timer = null;
export let away = false;

// `listener()` hears when the server went away.
export function onAway(listener) {
  listeners.push(listener);
}

async function beat() {
  const response = await fetch(at("api/alive"), { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error("not well");
  return response.json();
}

function lost(error) {
  missed += 1;
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
  notice("The server is back. Loading where you were.");
  await Promise.race([deliver(), new Promise((resolve) => setTimeout(resolve, LONGEST_DELIVERY_MS))]);
  away = false;
  setStatus("pulse", "idle");
  window.location.reload();
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
