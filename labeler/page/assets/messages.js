// What is added to every message: which one it is, what became of it, its siblings, and the panels below it.
//
// Gradio draws the k-th visible message as the k-th row and reuses rows by place, so everything here is looked up again
// after each redraw and carries the id of the message it was made for.

import { buttonRows, buttonsOf, idOf, make, mark, onRedraw, rowOf, rows } from "./dom.js";
import { beginEdit, cancelEdit, edited, rewriteTooLong } from "./edits.js";
import { comparePanel, foldWhys, openWhy, whyPanel } from "./panels.js";
import { post } from "./outbox.js";
import { away } from "./pulse.js";
import { notice } from "./status.js";
import { ask, hindrance, onEcho, prepare } from "./turns.js";
import { isWaiting, message, onChange, page, voteOf } from "./view.js";

const WRITING = "This answer is still being written. Vote when it has ended.";
const LINES = {
  stopped: "Stopped. This is what had been written.",
  failed: "This answer failed.",
};

// ── drawing ──

function decorate() {
  const shown = page.view.messages;
  const below = buttonRows(); // looked up once: asking for each row's own costs the square of their number
  rows().forEach((row, place) => {
    if (shown[place]) decorateRow(row, below[place], shown[place]);
    else row.removeAttribute("data-message");
  });
}

function decorateRow(row, buttons, each) {
  mark(row, { "data-message": each.id, "data-status": each.status, "data-origin": each.origin });
  line(row, each);
  if (!buttons) return;
  thumbs(buttons, each);
  siblings(buttons, each);
  panels(buttons, each);
}

function lineOf(each) {
  if (each.status === "stopped") return each.error ?? LINES.stopped;
  if (each.status === "failed") return each.error ?? LINES.failed;
  if (each.status === "writing") return each.error ?? "";
  return "";
}

function line(row, each) {
  const text = lineOf(each);
  const place = row.querySelector(".flex-wrap");
  let element = place?.querySelector(":scope > .outcome");
  if (!text) element?.remove();
  else if (!element) place?.append((element = make("p", { class: "outcome" }, text)));
  else if (element.textContent !== text) element.textContent = text;
}

// A part of `parent` that is redrawn when its key changes; an empty key removes it.
function part(parent, name, key, draw) {
  const old = parent.querySelector(`:scope > .${name}`);
  if (old?.dataset.key === key) return;
  old?.remove();
  if (!key) return;
  const fresh = draw();
  fresh.classList.add(name);
  fresh.dataset.key = key;
  parent.append(fresh);
}

function siblings(buttons, each) {
  const key = each.of > 1 ? `${each.id} ${each.place}/${each.of} ${each.previous} ${each.next}` : "";
  part(buttons, "siblings", key, () => {
    const word = each.role === "assistant" ? "answer" : "version";
    const turn = (label, sign, id) => {
      const button = make("button", { type: "button", "aria-label": label, title: label }, sign);
      button.disabled = !id;
      button.addEventListener("click", () => ask("select", { message: id }));
      return button;
    };
    return make(
      "span",
      { role: "group", "aria-label": each.role === "assistant" ? "Answers" : "Versions" },
      turn(`Previous ${word}`, "‹", each.previous),
      make("span", { class: "place" }, `${each.place} / ${each.of}`),
      turn(`Next ${word}`, "›", each.next),
    );
  });
}

function panels(buttons, each) {
  for (const panel of [comparePanel(each), whyPanel(each)]) {
    const old = buttons.querySelector(`:scope > .panel-${panel.kind}`);
    if (old === panel.element) continue;
    old?.remove();
    if (panel.element) buttons.append(panel.element);
  }
}

// A toggle keeps its name and says its state; Gradio would swap the name ("Liked"). A name given by reference wins over
// Gradio's own, which it would write again with every redraw.
function thumbs(buttons, each) {
  for (const [name, value] of [["Like", 1], ["Dislike", -1]]) {
    mark(buttons.querySelector(`button[title^="${name}"]`), {
      "aria-labelledby": `name-${name.toLowerCase()}`,
      "aria-pressed": String(voteOf(each) === value),
      "data-vote": String(value),
      "data-saving": String(isWaiting(each.id, "vote")),
    });
  }
}

// ── clicks, before Gradio sees them ──

const NAMES = ["Like", "Dislike"].map((name) => make("span", { id: `name-${name.toLowerCase()}`, hidden: "" }, name));

function onThumb(event, button) {
  const each = message(idOf(button));
  if (!each) return stop(event);
  if (each.status === "writing") {
    notice(WRITING);
    return stop(event);
  }
  const pressed = Number(button.dataset.vote);
  const value = voteOf(each) === pressed ? 0 : pressed;
  post({ kind: "vote", message: each.id, value });
  openWhy(each.id, value !== 0);
  return undefined;
}

function stop(event) {
  event.stopImmediatePropagation();
  event.preventDefault();
}

const TURNS = { Retry: "retry", Undo: "undo", Edit: "edit", Submit: "edit", Clear: "clear" };

function onClick(event) {
  const button = event.target.closest?.("#chat button");
  if (!button) return;
  if (button.dataset.vote) return void onThumb(event, button);
  const name = button.getAttribute("aria-label");
  if (name === "Cancel") return cancelEdit();
  const kind = TURNS[name];
  if (!kind) return;
  const text = name === "Submit" ? (rowOf(button)?.querySelector("textarea")?.value ?? "") : "";
  const hindered = away ? "The server cannot be reached. Wait until it is back." : hindrance(kind) || rewriteTooLong(text);
  if (hindered) {
    notice(hindered);
    stop(event);
  } else if (name === "Edit") {
    beginEdit(idOf(button));
    const row = rowOf(button);
    setTimeout(() => row && buttonsOf(row)?.scrollIntoView({ block: "nearest" }), 50);
  } else if (name === "Submit") {
    prepare("edit", { message: edited(), text });
  }
}

function settled(made, echo) {
  if (made.kind === "send" && echo.ok) foldWhys();
}

export function startMessages() {
  document.addEventListener("DOMContentLoaded", () => document.body.append(...NAMES));
  document.addEventListener("click", onClick, true);
  onEcho(settled);
  onChange(decorate);
  onRedraw(decorate);
}
