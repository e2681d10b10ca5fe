// Faults of Gradio's own that keep people out, mended from outside.

import { whenThere } from "./status.js";
import { ask } from "./turns.js";
import { onChange, page } from "./view.js";

function mend() {
  for (const area of document.querySelectorAll("#chat textarea.edit-textarea:not([aria-label])")) {
    area.setAttribute("aria-label", "Edit message");
  }
  for (const header of document.querySelectorAll(".toast-header[role]")) {
    header.removeAttribute("role"); // a button inside a button
    header.removeAttribute("tabindex");
  }
  const log = document.querySelector("#chat [role=log]");
  if (log && !log.hasAttribute("tabindex")) log.setAttribute("tabindex", "0"); // it scrolls, so keys must reach it
}

function drawConsent(place) {
  if (place.childElementCount) return;
  const button = Object.assign(document.createElement("button"), { type: "button", id: "agree", textContent: "I agree" });
  button.addEventListener("click", () => ask("accept_consent", { version: page.consent ?? "", conversation: null }));
  place.append(button, Object.assign(document.createElement("p"), { textContent: "Nothing is collected before you agree." }));
}

export function startMending() {
  new MutationObserver(mend).observe(document.documentElement, { childList: true, subtree: true });
  whenThere("consent-actions", drawConsent);
  onChange(mend);
}
