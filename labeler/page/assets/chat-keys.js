// The chat's keys, on the last answer.

import { buttonsOf, rowFor, rowOf } from "./dom.js";
import { press, startKeys } from "./keys.js";
import { answers } from "./view.js";
import { closeWhy } from "./why.js";

function inMessage(selector) {
  const row = rowFor(answers().at(-1)?.id);
  return (row && buttonsOf(row)?.querySelector(selector)) ?? null;
}

const KEYS = [
  ["l", "Like the last answer, or take the like back", () => press(inMessage('[data-vote="1"]'))],
  ["d", "Dislike the last answer, or take the dislike back", () => press(inMessage('[data-vote="-1"]'))],
  ["r", "Retry: get another answer", () => press(inMessage('[title="Retry"]'))],
  ["e", "Edit the last answer", () => press(inMessage('[title="Edit"]'))],
  ["u", "Undo the last turn", () => press(inMessage('[title="Undo"]'))],
];

function onEscape(event) {
  const edited = event.target.closest?.("#chat textarea.edit-textarea");
  if (!edited) return closeWhy(event);
  const buttons = buttonsOf(rowOf(edited));
  buttons?.querySelector('[title="Cancel"]')?.click();
  requestAnimationFrame(() => buttons?.querySelector('[title="Edit"]')?.focus());
  return true;
}

export const startChatKeys = () => startKeys(KEYS, onEscape);
