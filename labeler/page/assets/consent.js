// The consent screen: it stands in place of the chat until its text has been accepted in the version shown.

import { byId, make, onRedraw } from "./dom.js";
import { ask } from "./turns.js";
import { onChange, page } from "./view.js";

// The version of the text that this page was loaded with: of a newer one nobody may be asked whether they agree.
const shown = () => byId("consent-actions")?.dataset.version;

function renewed() {
  if (page.consent && shown() && page.consent !== shown()) window.location.reload();
}

function draw() {
  const place = byId("consent-actions");
  if (!place || place.childElementCount) return;
  const agree = () => ask("accept_consent", { version: shown() ?? "", conversation: null });
  place.append(
    make("button", { type: "button", id: "agree", onclick: agree }, "I agree"),
    make("p", {}, "Nothing is collected before you agree."),
  );
}

export function startConsent() {
  onRedraw(draw);
  onChange(renewed);
}
