// Faults of Gradio's own that keep people out, mended from outside.

import { mark, onRedraw } from "./dom.js";

function mend() {
  for (const area of document.querySelectorAll("#chat textarea.edit-textarea:not([aria-label])")) {
    area.setAttribute("aria-label", "Edit message");
  }
  for (const header of document.querySelectorAll(".toast-header[role]")) {
    header.removeAttribute("role"); // a button inside a button
    header.removeAttribute("tabindex");
  }
  // What scrolls must be reached by keys.
  for (const log of document.querySelectorAll("[role=log]")) mark(log, { tabindex: "0" });
  for (const wide of document.querySelectorAll(".message :is(pre, table)")) mark(wide, { tabindex: "0" });
  mark(document.querySelector("#chat .examples"), { role: "group", "aria-label": "Prompts" }); // a list without list members
}

export function startMending() {
  onRedraw(mend);
}
