// Rewriting a message: which one, and what has been written so far.
//
// Gradio knows the row under edit by its place, and another branch or conversation may come to stand there. So the
// message is remembered here: an editor that finds itself over another one is closed, and the message gets its editor
// back, with all that was written, as soon as it is shown again; also after a reload.

import { buttonsOf, idOf, onRedraw, rowFor, rowOf } from "./dom.js";
import { tooLong, watchLength } from "./lengths.js";
import { away } from "./pulse.js";
import { perTab, settings } from "./settings.js";
import { hindrance, onBegin, onEcho } from "./turns.js";
import { message, onChange, page } from "./view.js";

const EDITOR = "#chat textarea.edit-textarea";
let filled = null; // the editor that has been given what was written before
let onItsWay = null; // the message whose rewrite the server has not answered yet
let closing = false;

const draftName = (id) => `rewrite/${id}`;

// The message under edit, or null.
export const edited = () => perTab.get("edited");

export function beginEdit(id) {
  perTab.set("edited", id);
}

// The annotator gives the rewrite up.
export function cancelEdit() {
  if (!closing) forget(edited());
}

function forget(id) {
  perTab.remove(draftName(id));
  if (edited() === id) perTab.remove("edited");
}

function keep(event) {
  if (!event.target.matches?.(EDITOR)) return;
  perTab.set(draftName(edited()), event.target.value);
  watchLength(event.target.value, longest());
}

const longest = () => (message(edited())?.role === "user" ? settings.max_message : settings.max_edit);

// Why a rewrite cannot be taken, or "".
export const rewriteTooLong = (text) => tooLong(text, longest());

function close(editor) {
  closing = true;
  buttonsOf(rowOf(editor))?.querySelector('[title="Cancel"]')?.click();
  closing = false;
}

function open(id) {
  if (away || hindrance("edit")) return;
  const row = rowFor(id);
  const button = row && buttonsOf(row)?.querySelector('[title="Edit"]');
  if (button && !button.disabled) button.click();
}

function fill(editor) {
  filled = editor;
  const text = perTab.get(draftName(edited()));
  if (text === null || editor.value === text) return;
  editor.value = text;
  editor.dispatchEvent(new Event("input", { bubbles: true }));
}

function follow() {
  const [editor, id] = [document.querySelector(EDITOR), edited()];
  if (!page.ready) return;
  if (editor && idOf(editor) !== id) close(editor);
  else if (editor && editor !== filled) fill(editor);
  else if (!editor && id && id !== onItsWay) open(id);
}

function settled(made, echo) {
  if (made.kind !== "edit") return;
  onItsWay = null;
  if (echo.ok) forget(made.message);
}

export function startEdits() {
  document.addEventListener("input", keep);
  onBegin((made) => {
    if (made.kind === "edit") onItsWay = made.message;
  });
  onEcho(settled);
  onChange(follow);
  onRedraw(follow);
}
