// What the server showed last, what the annotator did since, and who wants to know when either changes.
//
// A vote is shown at once and counts as saved when the server has said so. Until then it lies over the view: first as
// an entry of the outbox, then, for a moment, as an acknowledged value that a view already on its way may not yet hold.

const ACKNOWLEDGED_MS = 5000;
const listeners = [];
const waiting = new Map(); // message id -> kind -> entry
const acknowledged = new Map(); // "kind message" -> { entry, at }

export const page = {
  ready: false,
  boot: null,
  annotator: null,
  consent: null,
  view: { conversation: "", turn_seq: 0, running: false, messages: [] },
};

export function onChange(listener) {
  listeners.push(listener);
}

export function changed() {
  for (const listener of listeners) listener(page);
}

export function setView(facts) {
  page.ready = true;
  page.boot ??= facts.boot;
  page.annotator = facts.annotator;
  page.consent = facts.consent;
  if (facts.view) page.view = facts.view;
}

export function setWaiting(entries) {
  waiting.clear();
  for (const entry of entries) {
    if (!waiting.has(entry.message)) waiting.set(entry.message, {});
    waiting.get(entry.message)[entry.kind] = entry;
  }
}

export function setAcknowledged(entry) {
  acknowledged.set(`${entry.kind} ${entry.message}`, { entry, at: Date.now() });
}

// A reason goes with the vote it was given for: another vote begins without one.
export function forgetReason(id) {
  acknowledged.delete(`reason ${id}`);
  Object.assign(message(id) ?? {}, { reasons: [], comment: "" });
}

export function message(id) {
  return page.view.messages.find((each) => each.id === id) ?? null;
}

export function answers() {
  return page.view.messages.filter((each) => each.role === "assistant");
}

export function isWaiting(id, kind) {
  return Boolean(waiting.get(id)?.[kind]);
}

function latest(id, kind) {
  const entry = waiting.get(id)?.[kind];
  if (entry) return entry;
  const known = acknowledged.get(`${kind} ${id}`);
  return known && Date.now() - known.at < ACKNOWLEDGED_MS ? known.entry : null;
}

export function voteOf(each) {
  return latest(each.id, "vote")?.value ?? each.vote;
}

export function comparedOf(each) {
  const entry = latest(each.id, "compare");
  return entry ? entry.winner : each.compared;
}

export function reasonOf(each) {
  const { reasons, comment } = latest(each.id, "reason") ?? each;
  return { reasons, comment };
}
