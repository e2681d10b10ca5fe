// Focus is never lost: a redraw may take the focused button away or disable it, and a keyboard would start again at the
// top of the page. Then the same button of the same message gets it back, or of what stands in its place, or the same
// link of the sidebar, or else the message box, or "I agree" where that stands instead.

import { box } from "./composer.js";
import { isOpen } from "./dialogs.js";
import { buttonsOf, byId, idOf, onRedraw, rowFor, rowOf, rows } from "./dom.js";
import { isPending } from "./turns.js";
import { onChange, page } from "./view.js";

const WAIT_MS = 300;
const OPPOSITE = {
  "Previous answer": "Next answer",
  "Next answer": "Previous answer",
  "Previous version": "Next version",
  "Next version": "Previous version",
};
let last = null; // { name, message, place } of the button or link that had the focus
let byKeyboard = false;
let timer = null;

const nameOf = (button) => button.getAttribute("href") || button.title || button.textContent;

function remember(event) {
  clearTimeout(timer);
  timer = null;
  const button = event.target.closest?.(":is(a, button):not(dialog *)");
  last = button && { name: nameOf(button), message: idOf(button), place: rows().indexOf(rowOf(button)) };
}

function inItsPlace() {
  const row = rowFor(last.message) ?? rows()[last.place];
  const around = (row && buttonsOf(row)) ?? byId("sidebar-facts");
  const buttons = [...(around?.querySelectorAll("a, button") ?? [])].filter((each) => !each.disabled);
  const named = (name) => buttons.find((button) => nameOf(button) === name);
  return named(last.name) ?? named(OPPOSITE[last.name]);
}

const isLost = () => byKeyboard && last && document.activeElement === document.body && !isOpen();

function look() {
  if (!isLost()) return;
  const target = inItsPlace();
  if (target) target.focus({ preventScroll: true });
  else timer ??= setTimeout(toBox, WAIT_MS); // however often an answer that is being written redraws
}

// A button of the chat that is disabled while an answer is being written.
const comesBack = () => last.place >= 0 && (page.view.running || isPending());

function toBox() {
  timer = null;
  if (!isLost() || comesBack()) return;
  for (const either of [box(), byId("agree")]) either?.focus({ preventScroll: true }); // one of them is hidden
}

export function startFocus() {
  document.addEventListener("keydown", () => (byKeyboard = true), true);
  document.addEventListener("pointerdown", () => (byKeyboard = false), true);
  document.addEventListener("focusin", remember);
  onRedraw(look);
  onChange(() => setTimeout(look, WAIT_MS)); // a screen that is hidden loses the focus without a redraw
}
