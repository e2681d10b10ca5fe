// "Why?" after a vote, and "Was this answer better?" after a retry. Each is made once for a message and kept, so that a
// redraw of the chat does not take a half-written comment away.

import { post } from "./outbox.js";
import { comparedOf, forgetReason, isWaiting, message, reasonOf, voteOf } from "./view.js";
import { whyForm } from "./why.js";

const CHOICES = [["Better", "b"], ["About the same", "tie"], ["Worse", "a"]];
const made = new Map(); // "kind id" -> element

function panel(kind, id, draw) {
  const key = `${kind} ${id}`;
  if (!made.has(key)) made.set(key, draw());
  return made.get(key);
}

// ── Why? ──

export function whyPanel(each) {
  if (each.role !== "assistant" || voteOf(each) === 0) {
    made.delete(`why ${each.id}`);
    return { kind: "why", element: null };
  }
  const element = panel("why", each.id, () => drawWhy(each));
  element.dataset.saving = String(isWaiting(each.id, "reason"));
  return { kind: "why", element };
}

function drawWhy(each) {
  return whyForm(each.id, reasonOf(each), (given) => post({ kind: "reason", message: each.id, ...given }));
}

export function foldWhys() {
  for (const element of made.values()) if (element.matches("details")) element.open = false;
}

// A fresh vote asks why; the panels of other messages fold away.
export function openWhy(id, open) {
  foldWhys();
  forgetReason(id);
  made.delete(`why ${id}`);
  const each = message(id);
  if (!open || !each) return;
  const { element } = whyPanel(each);
  element.open = true;
  requestAnimationFrame(() => element.scrollIntoView({ block: "nearest" }));
}

// ── Was this answer better? ──

export function comparePanel(each) {
  if (!each.question) return { kind: "compare", element: null };
  const element = panel("compare", each.id, () => drawCompare(each.id));
  const standing = comparedOf(each);
  for (const button of element.querySelectorAll("button")) {
    const pressed = String(button.value === standing);
    if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  }
  element.dataset.saving = String(isWaiting(each.id, "compare"));
  return { kind: "compare", element };
}

function drawCompare(id) {
  const element = document.createElement("div");
  element.className = "panel-compare";
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", "Was this answer better?");
  element.setAttribute("aria-live", "off");
  element.append(Object.assign(document.createElement("span"), { textContent: "Was this answer better?" }));
  for (const [name, winner] of CHOICES) {
    const button = Object.assign(document.createElement("button"), { type: "button", value: winner, textContent: name });
    button.addEventListener("click", () => choose(id, winner));
    element.append(button);
  }
  return element;
}

function choose(id, winner) {
  const each = message(id);
  if (each) post({ kind: "compare", message: id, winner: comparedOf(each) === winner ? null : winner });
}
