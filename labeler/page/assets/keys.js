// One key a gesture, outside text boxes. Each presses the very button a mouse would press.

import { isOpen, showHelp } from "./dialogs.js";
import { byId } from "./dom.js";
import { talks } from "./settings.js";
import { setOpen, WIDE } from "./sidebar.js";
import { box } from "./composer.js";
import { page } from "./view.js";

const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable=true]";
const TALKING = [
  ["m", "Write a message", () => box()?.focus()],
  ["n", "New conversation", () => (byId("new")?.click(), box()?.focus())],
  ["Enter", "Send the message"],
  ["Shift + Enter", "A new line in the message"],
];
const SHARED = [
  ...(talks ? TALKING : []),
  ["Escape", "Close this, or cancel an edit"],
  ["?", "This help", () => showHelp(keys)],
];
let keys = SHARED;

export function press(element) {
  if (!element || element.disabled) return;
  const edit = element.title === "Edit";
  element.click();
  if (edit) return; // its text area takes the focus
  element.focus({ preventScroll: true });
}

// `own` are [key, meaning, action] of this page; `escape(event)` is true if it has dealt with the key.
export function startKeys(own, escape = () => false) {
  keys = [...own, ...SHARED];
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape") {
      if (!isOpen() && !escape(event) && !window.matchMedia(WIDE).matches) setOpen(false);
      return;
    }
    if (isOpen() || page.consent || !page.ready || event.target.closest?.(TYPING)) return;
    const action = keys.find(([key]) => key === event.key.toLowerCase())?.[2];
    if (!action || event.repeat) return;
    event.preventDefault();
    action();
  });
}
