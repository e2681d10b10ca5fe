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
  mark(document.querySelector("#chat [role=log]"), { tabindex: "0" }); // it scrolls, so keys must reach it
}

export function startMending() {
  onRedraw(mend);
}
