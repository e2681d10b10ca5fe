// What the server showed last, what the annotator did since, and who wants to know when either changes.
//
// A vote is shown at once and counts as saved when the server has said so. Until then it lies over the view as an entry
// of the outbox. Acknowledged, it is part of the view, and of the views of the next moments too: one that was already on
// its way may not hold it yet.

const ACKNOWLEDGED_MS = 5000;
const SHOWN_AS = {
  review: () => ({}),
  choose: ({ choice, reasons, comment }) => ({ choice, reasons, comment }),
  vote: ({ value }) => ({ vote: value }),
  reason: ({ reasons, comment }) => ({ reasons, comment }),
  compare: ({ winner }) => ({ compared: winner }),
};
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
  page.annotator = facts.annotator || page.annotator; // a browser that lost its cookie is told so by every gesture
  page.consent = facts.consent;
  if (!facts.view) return;
  page.view = facts.view;
  for (const { entry, at } of acknowledged.values()) if (Date.now() - at < ACKNOWLEDGED_MS) take(entry);
}

function take(entry) {
  const pair = page.view.pair?.message === entry.message ? page.view.pair : null;
  Object.assign((entry.kind === "choose" ? pair : message(entry.message)) ?? {}, SHOWN_AS[entry.kind](entry));
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
  take(entry);
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

const entryOf = (id, kind) => waiting.get(id)?.[kind];

export function isWaiting(id, kind) {
  return Boolean(entryOf(id, kind));
}

export function voteOf(each) {
  return entryOf(each.id, "vote")?.value ?? each.vote;
}

export function comparedOf(each) {
  const entry = entryOf(each.id, "compare");
  return entry ? entry.winner : each.compared;
}

// What was chosen between the two answers of a pair, and why.
export function choiceOf(pair) {
  const { choice, reasons, comment } = entryOf(pair.message, "choose") ?? pair;
  return { choice, reasons, comment };
}

export function reasonOf(each) {
  const { reasons, comment } = entryOf(each.id, "reason") ?? each;
  return { reasons, comment };
}
