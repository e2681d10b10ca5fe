// One key a gesture, outside text boxes, on the last answer. Each presses the very button a mouse would press.

import { isOpen, showHelp } from "./dialogs.js";
import { buttonsOf, byId, rowOf, rowFor } from "./dom.js";
import { setOpen, WIDE } from "./sidebar.js";
import { box } from "./composer.js";
import { answers, page } from "./view.js";

const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable=true]";

function inMessage(selector) {
  const row = rowFor(answers().at(-1)?.id);
  return (row && buttonsOf(row)?.querySelector(selector)) ?? null;
}

function press(element) {
  if (!element || element.disabled) return;
  const edit = element.title === "Edit";
  element.click();
  if (edit) return; // its text area takes the focus
  element.focus({ preventScroll: true });
}

const ACTIONS = {
  l: () => press(inMessage('[data-vote="1"]')),
  d: () => press(inMessage('[data-vote="-1"]')),
  r: () => press(inMessage('[title="Retry"]')),
  e: () => press(inMessage('[title="Edit"]')),
  u: () => press(inMessage('[title="Undo"]')),
  n: () => {
    byId("new")?.click();
    box()?.focus();
  },
  "?": showHelp,
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape") return void onEscape(event);
  if (isOpen() || page.consent || !page.ready || event.target.closest?.(TYPING)) return;
  const action = ACTIONS[event.key.toLowerCase()];
  if (!action || event.repeat) return;
  event.preventDefault();
  action();
}

function onEscape(event) {
  if (isOpen()) return;
  const edited = event.target.closest?.("#chat textarea.edit-textarea");
  const why = event.target.closest?.(".panel-why");
  if (edited) {
    const buttons = buttonsOf(rowOf(edited));
    buttons?.querySelector('[title="Cancel"]')?.click();
    requestAnimationFrame(() => buttons?.querySelector('[title="Edit"]')?.focus());
  } else if (why?.open) {
    why.open = false;
    why.querySelector("summary").focus();
  } else if (!window.matchMedia(WIDE).matches) {
    setOpen(false);
  }
}

export function startKeys() {
  document.addEventListener("keydown", onKey);
}
