// One line that says whether the work is safe, and one that says what went wrong.
//
// #save-status is "" until the first gesture, then exactly "Saving", "Saved" or "Not saved". Explanations stand beside
// it, never in it, and only once.

import { byId, onRedraw } from "./dom.js";
import { perTab, talks } from "./settings.js";

// "lost" can be tried again; "refused" never will be taken.
const NAMES = { idle: "", saving: "Saving", saved: "Saved", refused: "Not saved", lost: "Not saved" };
const WORST_FIRST = ["lost", "refused", "saving", "saved"];
const parts = { outbox: "idle", turn: "idle", pulse: "idle" };
const again = [];

function build() {
  const line = document.createElement("div");
  line.className = "status-line";
  line.innerHTML = `
    <span id="save-status" role="status"></span>
    <button type="button" id="save-again" hidden>Save again</button>
    <span id="save-details" role="status"></span>
    <span id="notice" role="status"></span>
    <span class="hint">${talks ? "Enter sends · press" : "Press"} ? for keys</span>`;
  line.querySelector("#save-again").addEventListener("click", () => again.forEach((action) => action()));
  return line;
}

const line = build();

function current() {
  const states = Object.values(parts);
  return WORST_FIRST.find((state) => states.includes(state)) ?? "idle";
}

function paint() {
  const state = current();
  const status = line.querySelector("#save-status");
  if (status.textContent !== NAMES[state]) status.textContent = NAMES[state];
  line.dataset.state = state;
  line.querySelector("#save-again").hidden = state !== "lost";
  if (NAMES[state] !== "Not saved") line.querySelector("#save-details").textContent = "";
  perTab.set("saved", state === "saved");
}

// `part` is who speaks (outbox, turn, pulse), `state` one of NAMES' keys.
export function setStatus(part, state, details = "") {
  parts[part] = state;
  if (state === "saving") forgetRefusals();
  if (details) line.querySelector("#save-details").textContent = details;
  paint();
}

// What was refused is over as soon as the next gesture leaves.
function forgetRefusals() {
  for (const part of Object.keys(parts)) if (parts[part] === "refused") parts[part] = "idle";
}

export function notice(text) {
  line.querySelector("#notice").textContent = text;
}

export function onSaveAgain(action) {
  again.push(action);
}

export function startStatus() {
  if (perTab.get("saved")) parts.outbox = "saved"; // the page reloaded itself; what was saved still is
  paint();
  onRedraw(() => byId("status-line")?.replaceWith(line));
}
