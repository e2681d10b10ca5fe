// "Why?" after a vote, and "Was this answer better?" after a retry. Each is made once for a message and kept, so that a
// redraw of the chat does not take a half-written comment away.

import { perTab, settings } from "./settings.js";
import { post } from "./outbox.js";
import { comparedOf, forgetReason, isWaiting, message, reasonOf, voteOf } from "./view.js";

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
  const element = document.createElement("details");
  element.className = "panel-why";
  element.setAttribute("aria-label", "Why?");
  element.setAttribute("aria-live", "off");
  element.innerHTML = `
    <summary><span class="why-word">Why?</span> <span class="why-given"></span></summary>
    <form>
      <div class="reasons" role="group" aria-label="Reasons"></div>
      <label class="why-comment"><span>Comment (optional)</span><textarea rows="2"></textarea></label>
      <button type="submit" class="save-reason">Save reason</button>
    </form>`;
  fill(element, each);
  element.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    save(element, each.id);
  });
  element.querySelector("textarea").addEventListener("input", (event) => perTab.set(`comment/${each.id}`, event.target.value));
  return element;
}

function fill(element, each) {
  const given = reasonOf(each);
  const place = element.querySelector(".reasons");
  for (const reason of settings.reasons) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.value = reason;
    box.checked = given.reasons.includes(reason);
    label.append(box, reason);
    place.append(label);
  }
  place.hidden = !settings.reasons.length;
  const comment = element.querySelector("textarea");
  comment.maxLength = settings.max_comment;
  comment.value = perTab.get(`comment/${each.id}`) ?? given.comment;
  summarise(element, given);
}

function summarise(element, { reasons, comment }) {
  const said = [...reasons, ...(comment ? [`“${comment}”`] : [])];
  element.querySelector(".why-given").textContent = said.join(" · ");
}

function save(element, id) {
  const reasons = [...element.querySelectorAll("input:checked")].map((box) => box.value);
  const comment = element.querySelector("textarea").value.trim();
  perTab.remove(`comment/${id}`);
  post({ kind: "reason", message: id, reasons, comment });
  summarise(element, { reasons, comment });
  element.open = false;
  element.querySelector("summary").focus();
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
