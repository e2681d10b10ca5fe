// The two answers side by side: what they are called, the choice between them, and why.
//
// Who wrote which is told after the choice, never before. Until the next message a choice can be changed or taken back.

import { box } from "./composer.js";
import { byId, make, mark, onRedraw, rows } from "./dom.js";
import { press, startKeys } from "./keys.js";
import { measure, measured } from "./measures.js";
import { onDelivered, post } from "./outbox.js";
import { ask, onBegin, onHindrance } from "./turns.js";
import { choiceOf, isWaiting, onChange, page } from "./view.js";
import { closeWhy, summarise, whyForm } from "./why.js";

export const CHOICES = [
  ["a_much", "A is much better"],
  ["a", "A is better"],
  ["same", "About the same"],
  ["both_bad", "Both are bad"],
  ["b", "B is better"],
  ["b_much", "B is much better"],
];
const ENDED = { stopped: "Stopped", failed: "Failed" };
const FIRST = "Choose between the two answers first; then go on.";
const ON_ITS_WAY = "One moment: your choice is on its way.";
const NOTHING = "There is nothing to compare here. Try again";

let shown = "";
let asked = false; // a turn of this tab is on its way
let brought = ""; // the message whose answers were scrolled to last

// The answers that there is something of.
const answers = ({ left, right }) => ({ left: left.empty ? null : left.id, right: right.empty ? null : right.id });

// ── what is done ──

function choose(choice) {
  const pair = page.view.pair;
  if (!pair?.comparable) return;
  const before = choiceOf(pair);
  send(pair, before.choice === choice ? { choice: null, reasons: [], comment: "" } : { ...before, choice });
}

// The pair is looked up anew: what was chosen since the form was made counts.
function explain(message, given) {
  const pair = page.view.pair;
  if (pair?.message === message) send(pair, { ...choiceOf(pair), ...given });
}

function send(pair, { choice, reasons, comment }) {
  post({
    kind: "choose",
    message: pair.message,
    choice,
    reasons,
    comment,
    ...measured(pair.message, answers(pair)),
  });
}

// ── what is drawn ──

function buttons(pair) {
  const row = CHOICES.map(([value, name], place) => {
    const label = [make("kbd", { "aria-hidden": "true" }, String(place + 1)), make("span", {}, name)];
    return make("button", { type: "button", "data-choice": value, onclick: () => choose(value) }, ...label);
  });
  const title = make("h2", { id: "choices-title" }, "Which answer is better?");
  const why = whyForm(pair.message, choiceOf(pair), (given) => explain(pair.message, given));
  return [title, make("div", { role: "group", "aria-labelledby": "choices-title", class: "choice-row" }, ...row), why];
}

function paintButtons(place, pair) {
  const given = choiceOf(pair);
  for (const button of place.querySelectorAll("[data-choice]")) {
    if (button.disabled === pair.comparable) button.disabled = !pair.comparable;
    mark(button, { "aria-pressed": String(button.dataset.choice === given.choice) });
  }
  mark(place, { "data-saving": String(isWaiting(pair.message, "choose")) });
  const why = place.querySelector("details");
  if (why.hidden === Boolean(given.choice)) why.hidden = !given.choice;
  summarise(why, given);
}

function instead(pair) {
  const goesOn = [pair.left, pair.right].some((side) => side.status === "complete" || (side.status === "stopped" && !side.empty));
  const rest = goesOn ? ", or write on: the conversation goes on from the answer that is there." : ".";
  return [
    make("p", { id: "nothing-to-compare", role: "status" }, NOTHING + rest),
    make("button", { type: "button", id: "try-again", onclick: () => ask("retry") }, "Try again"),
  ];
}

function drawChoices(pair) {
  const place = byId("choices");
  if (!place) return;
  const over = Boolean(pair) && !page.view.running && !pair.comparable;
  const key = pair ? `${pair.message} ${pair.left.id} ${over}` : "";
  if (key !== shown || (pair && !place.childElementCount)) {
    shown = key;
    place.replaceChildren(...(pair ? (over ? instead(pair) : buttons(pair)) : []));
  }
  if (pair && !over) paintButtons(place, pair);
}

function drawHead(place, name, pair) {
  const head = byId(`head-${place}`);
  const side = pair[place];
  if (!head) return;
  const known = choiceOf(pair).choice ? side.model : null;
  const parts = [make("h2", {}, `Answer ${name}`)];
  if (known) parts.push(make("span", { class: "model" }, known));
  if (known && side.named_itself) parts.push(make("span", { class: "flag" }, "named its model"));
  if (!page.view.running && ENDED[side.status]) {
    parts.push(make("span", { class: "outcome" }, [ENDED[side.status], side.error].filter(Boolean).join(": ")));
  }
  const wanted = parts.map((part) => part.outerHTML).join("");
  if (head.innerHTML !== wanted) head.replaceChildren(...parts);
}

// A new turn begins at the top, with the question that is answered.
function bringIntoView(pair) {
  if (!pair || pair.message === brought || !byId("pair")?.clientHeight) return;
  brought = pair.message;
  requestAnimationFrame(() => {
    rows().at(-1)?.scrollIntoView({ block: "start" });
    if (asked && (document.activeElement === document.body || !box()?.value)) toAnswers();
    asked = false;
  });
}

// Whoever has asked reads next, and the keys 1 to 6 choose: in the message box they would be text.
function toAnswers() {
  byId("left")?.querySelector("[role=log]")?.focus({ preventScroll: true });
}

function draw() {
  const pair = page.view.pair ?? null;
  mark(document.body, { "data-pair": String(Boolean(pair)), "data-begun": String(Boolean(page.view.conversation)) });
  drawChoices(pair);
  for (const [place, name] of [["left", "A"], ["right", "B"]]) {
    mark(byId(place), { "data-status": pair?.[place].status ?? "none" });
    mark(byId(place)?.querySelector("[role=log]"), { "aria-label": `Answer ${name}` });
    if (pair) drawHead(place, name, pair);
  }
  if (pair) measure(pair.message, answers(pair), pair.comparable);
  bringIntoView(pair);
}

// ── keys, and what must come first ──

const button = (choice) => document.querySelector(`#choices [data-choice="${choice}"]`);
const KEYS = CHOICES.map(([value, name], place) => [String(place + 1), name, () => press(button(value))]);

function hindrance(kind) {
  const pair = page.view.pair;
  if (kind !== "send" || !pair?.comparable) return "";
  if (isWaiting(pair.message, "choose")) return ON_ITS_WAY;
  return pair.choice ? "" : FIRST;
}

// The names of the models come with the next view after the choice is stored.
function askForNames() {
  const pair = page.view.pair;
  if (pair?.choice && !pair.left.model) ask("open", { conversation: page.view.conversation });
}

export function startChoices() {
  startKeys(KEYS, closeWhy);
  onHindrance(hindrance);
  onBegin(({ kind }) => (asked ||= kind === "send" || kind === "retry"));
  onDelivered(askForNames);
  onChange(draw);
  onRedraw(draw);
  document.addEventListener("scroll", draw, { capture: true, passive: true });
}
