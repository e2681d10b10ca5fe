// Focus is never lost: a redraw may take the focused button away or disable it, and a keyboard would start again at the
// top of the page. Then the same button of the same message gets it back, or else the message box.

import { box } from "./composer.js";
import { isOpen } from "./dialogs.js";
import { buttonsOf, idOf, rowFor } from "./dom.js";

const WAIT_MS = 250;
let last = null; // { name, message } of the focused button in the chat
let byKeyboard = false;
let timer = null;

function remember(event) {
  const button = event.target.closest?.("#chat button");
  last = button ? { name: button.title || button.textContent, message: idOf(button) } : null;
}

function same() {
  const row = rowFor(last.message);
  const buttons = (row && buttonsOf(row)?.querySelectorAll("button")) ?? [];
  return [...buttons].find((button) => !button.disabled && (button.title || button.textContent) === last.name);
}

function restore() {
  if (!last || document.activeElement !== document.body || isOpen()) return;
  const target = same() ?? box();
  last = null;
  target?.focus({ preventScroll: true });
}

export function startFocus() {
  document.addEventListener("keydown", () => (byKeyboard = true), true);
  document.addEventListener("pointerdown", () => (byKeyboard = false), true);
  document.addEventListener("focusin", remember);
  new MutationObserver(() => {
    if (!byKeyboard || !last || document.activeElement !== document.body) return;
    clearTimeout(timer);
    timer = setTimeout(restore, WAIT_MS);
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled"] });
}
