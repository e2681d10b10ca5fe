// The consent screen: it stands in place of the chat until its text has been accepted in the version shown.

import { byId, make, onRedraw } from "./dom.js";
import { ask } from "./turns.js";
import { page } from "./view.js";

function draw() {
  const place = byId("consent-actions");
  if (!place || place.childElementCount) return;
  const agree = () => ask("accept_consent", { version: page.consent ?? "", conversation: null });
  place.append(
    make("button", { type: "button", id: "agree", onclick: agree }, "I agree"),
    make("p", {}, "Nothing is collected before you agree."),
  );
}

export function startConsent() {
  onRedraw(draw);
}
