// What the reviewer has in hand: the choice, Skip, Flag, and the next one.

import { CHOICES } from "./choices.js";
import { byId, make, mark, onRedraw, rows } from "./dom.js";
import { press, startKeys } from "./keys.js";
import { measure, measured } from "./measures.js";
import { entries, onDelivered, post } from "./outbox.js";
import { ask } from "./turns.js";
import { onChange, page } from "./view.js";
import { closeWhy, whyForm } from "./why.js";

const ALONE = [["good", "Good"], ["bad", "Bad"]];
const FLAGS = [["unsafe", "Unsafe"], ["personal_data", "Personal data"], ["broken", "Broken"]];
const NAMES = { open: "to review", settled: "settled", disputed: "disputed", flagged: "flagged", adjudicated: "adjudicated" };
const SAID = {
  a: "A is better",
  b: "B is better",
  tie: "About the same",
  both_good: "Both are good",
  both_bad: "Both are bad",
  good: "Good",
  bad: "Bad",
  "flag:unsafe": "Flagged: unsafe",
  "flag:personal_data": "Flagged: personal data",
  "flag:broken": "Flagged: broken",
};
const QUEUES = [["reviews", "To review"], ["disputes", "To adjudicate"]];
const NO_DISPUTES = "There is nothing for you to adjudicate now.";
const NOTHING = "There is nothing for you to review now. New items appear here as people annotate.";

const LOOK_AGAIN_MS = 15_000;

let shown = "";
let queue = "reviews"; // which of the two queues this tab works on
let given = { reasons: [], comment: "" }; // why, until it is handed in

const task = () => page.view.task ?? null;
const answers = ({ left, right }) => ({ left, right });
const onItsWay = () => entries().some(({ entry }) => entry.kind === "review" && entry.lease === task()?.lease);

// ── what is done ──

function say(opinion) {
  const now = task();
  if (!now || onItsWay()) return;
  post({ kind: "review", lease: now.lease, ...given, ...opinion, ...measured(now.lease, answers(now)) });
  draw();
}

// ── what is drawn ──

function button(name, attributes, ...children) {
  return make("button", { type: "button", ...attributes }, ...children, make("span", {}, name));
}

const key = (name) => make("kbd", { "aria-hidden": "true" }, name);

function verdicts(now) {
  const names = now.right ? CHOICES : ALONE;
  const opinion = (value) => (now.right ? { choice: value } : { good: value === "good" });
  return names.map(([value, name], place) =>
    button(name, { "data-choice": value, onclick: () => say(opinion(value)) }, key(String(place + 1))),
  );
}

// Who adjudicates sees what everybody said, and nobody's name.
function words(now) {
  if (!now.words) return [];
  const lines = now.words.map(({ said, reasons, comment, first }) => {
    const why = [...reasons, ...(comment ? [`“${comment}”`] : [])].join(" · ");
    return make("li", {}, make("strong", {}, SAID[said] ?? said), first ? " (first vote)" : "", why ? ` · ${why}` : "");
  });
  return [make("h2", { id: "words-title" }, "What was said"), make("ul", { class: "words", "aria-labelledby": "words-title" }, ...lines)];
}

function asides(now) {
  if (now.words) {
    const nothing = button("Make nothing of it", { id: "void", onclick: () => say({ void: true }) });
    return make("div", { class: "asides" }, button("Skip", { id: "skip", onclick: () => say({ reasons: [], comment: "" }) }, key("s")), nothing);
  }
  const flags = FLAGS.map(([value, name]) => button(name, { "data-flag": value, onclick: () => say({ flag: value }) }));
  return make(
    "div",
    { class: "asides" },
    button("Skip", { id: "skip", onclick: () => say({ reasons: [], comment: "" }) }, key("s")),
    make("div", { role: "group", "aria-label": "Flag", class: "flags" }, make("span", { class: "flags-word" }, "Flag:"), ...flags),
  );
}

function parts(now) {
  const question = now.right ? "Which answer is better?" : "Is this answer good?";
  const title = make("h2", { id: "choices-title" }, question);
  const row = make("div", { role: "group", "aria-labelledby": "choices-title", class: `choice-row ${now.right ? "" : "alone"}` }, ...verdicts(now));
  const why = whyForm(now.lease, given, (told) => (given = told), "Keep reason");
  return [...words(now), title, row, asides(now), why];
}

function drawTask(now) {
  const place = byId("choices");
  if (!place) return;
  const name = now?.lease ?? `none ${queue}`;
  if (name !== shown || !place.childElementCount) {
    if (name !== shown) given = { reasons: [], comment: "" };
    shown = name;
    place.replaceChildren(...(now ? parts(now) : page.ready ? [make("p", { id: "nothing-to-review", role: "status" }, queue === "disputes" ? NO_DISPUTES : NOTHING)] : []));
    if (now) requestAnimationFrame(() => rows().at(-1)?.scrollIntoView({ block: "start" }));
  }
  const waiting = onItsWay();
  for (const each of place.querySelectorAll("[data-choice], [data-flag], #skip, #void")) if (each.disabled !== waiting) each.disabled = waiting;
}

function drawQueue() {
  const place = byId("queue");
  if (!place) return;
  const counts = page.view.counts ?? {};
  const said = Object.keys(NAMES).filter((state) => counts[state]).map((state) => `${counts[state].toLocaleString("en")} ${NAMES[state]}`).join(" · ");
  if (!place.childElementCount) {
    const tabs = QUEUES.map(([value, name]) => make("button", { type: "button", "data-queue": value, onclick: () => turnTo(value) }, name));
    place.append(make("div", { role: "group", "aria-label": "Queue", class: "queues" }, ...tabs), make("span", { id: "queue-counts" }));
  }
  for (const each of place.querySelectorAll("[data-queue]")) mark(each, { "aria-pressed": String(each.dataset.queue === queue) });
  const line = place.querySelector("#queue-counts");
  if (line.textContent !== said) line.textContent = said;
}

function turnTo(value) {
  queue = value;
  next();
  draw();
}

function draw() {
  const now = task();
  mark(document.body, { "data-pair": String(Boolean(now)), "data-begun": "true", "data-alone": String(Boolean(now && !now.right)) });
  for (const [place, name] of [["left", now?.right ? "Answer A" : "Answer"], ["right", "Answer B"]]) {
    mark(byId(place)?.querySelector("[role=log]"), { "aria-label": name });
    const heading = byId(`head-${place}`)?.querySelector("h2");
    if (heading && heading.textContent !== name) heading.textContent = name;
  }
  drawTask(now);
  drawQueue();
  if (now) measure(now.lease, answers(now), true);
}

// ── keys, and the next one ──

const pressed = (selector) => press(document.querySelector(`#choices ${selector}`));
const KEYS = [
  ...CHOICES.map(([, name], place) => [String(place + 1), place < 2 ? `${name}; or, of one answer: ${ALONE[place][1]}` : name, () => press([...document.querySelectorAll("#choices [data-choice]")][place])]),
  ["s", "Skip: leave it to others", () => pressed("#skip")],
];

function next() {
  if (page.ready && !page.consent) ask("open", { conversation: null, queue });
}

export function startTasks() {
  startKeys(KEYS, closeWhy);
  onDelivered(next);
  onChange(draw);
  onRedraw(draw);
  document.addEventListener("scroll", draw, { capture: true, passive: true });
  setInterval(() => page.ready && !task() && document.visibilityState === "visible" && next(), LOOK_AGAIN_MS);
}
