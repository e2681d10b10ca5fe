// The message box: what is in it belongs to the browser. The server takes a copy when Send is pressed; the box is
// emptied when the server says that the copy is stored, so no failure costs a word.

import { byId, mark, onRedraw } from "./dom.js";
import { perTab, settings } from "./settings.js";
import { notice } from "./status.js";
import { tooLong, watchLength } from "./lengths.js";
import { away } from "./pulse.js";
import { hindrance, isPending, onBegin, onEcho, prepare } from "./turns.js";
import { onChange, page } from "./view.js";

const AWAY = "The server cannot be reached. Your text stays here; send it when the server is back.";
let shownDraft = null; // the conversation whose draft is in the box
let atGesture = ""; // what was in the box when the last gesture left

export const box = () => byId("box")?.querySelector("textarea");
const draftName = () => `draft/${page.view.conversation || "new"}`;

// Gradio's own copy of the text follows input events only.
export function setBox(text) {
  const area = box();
  if (!area || area.value === text) return;
  area.value = text;
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

function keepDraft() {
  const text = box()?.value ?? "";
  if (text) perTab.set(draftName(), text);
  else perTab.remove(draftName());
}

function showDraft() {
  if (!page.ready || !box() || shownDraft === page.view.conversation) return;
  shownDraft = page.view.conversation;
  // What was typed while the view was on its way belongs to what is shown now.
  if (box().value === atGesture) setBox(perTab.get(draftName()) ?? "");
  else keepDraft();
}

function giveBack(text) {
  if (!text) return;
  const rest = box()?.value ?? "";
  setBox(rest ? `${text}\n${rest}` : text);
  keepDraft();
}

function settled(made, echo) {
  if (made.kind === "send" && echo.ok) {
    perTab.remove(`draft/${made.conversation || "new"}`);
    if (box()?.value === made.text) setBox("");
    shownDraft = page.view.conversation;
    keepDraft();
  }
  if (echo.ok) giveBack(echo.text);
}

// Why the text cannot be sent now, or "".
function refusal(text) {
  if (away) return AWAY;
  return tooLong(text, settings.max_message) || hindrance("send");
}

function onSend(event) {
  if (!event.target.closest?.("#send")) return;
  const text = box()?.value ?? "";
  const line = text.trim() ? refusal(text) : "";
  if (line || !text.trim()) {
    event.stopImmediatePropagation();
    event.preventDefault();
    notice(line);
    box()?.focus();
    return;
  }
  prepare("send", { text });
}

function onInput(event) {
  if (event.target !== box()) return;
  keepDraft();
  watchLength(box().value, settings.max_message);
}

function onKey(event) {
  if (event.target !== box() || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (hindrance("send")) notice(hindrance("send"));
  else byId("send")?.click();
}

function paint() {
  showDraft();
  const writing = page.view.running;
  setDisabled(byId("send"), !page.ready || writing || isPending());
  setDisabled(byId("stop"), !writing);
  mark(document.querySelector("#chat [role=log]"), { "aria-busy": String(writing) });
}

// Which of them can be pressed is known here first: Gradio would only learn it from the next answer.
function setDisabled(element, disabled) {
  if (element && element.disabled !== disabled) element.disabled = disabled;
}

function onExample(event) {
  const example = event.target.closest?.("#chat .example");
  if (!example) return;
  const place = [...example.parentElement.children].indexOf(example);
  setBox(settings.prompts[place] ?? "");
  keepDraft();
  box()?.focus();
}

export function startComposer() {
  document.addEventListener("click", onSend, true);
  document.addEventListener("click", onExample);
  document.addEventListener("keydown", onKey, true);
  document.addEventListener("input", onInput);
  onBegin(() => (atGesture = box()?.value ?? ""));
  onEcho(settled);
  onChange(paint);
  onRedraw(paint);
}
