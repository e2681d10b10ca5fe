// Which screen is shown: nothing yet, the consent text, or the page itself.

import { mark, onRedraw } from "./dom.js";
import { onChange, page } from "./view.js";

function paint() {
  const screen = !page.ready ? "loading" : page.consent ? "consent" : "chat";
  mark(document.body, { "data-screen": screen });
}

export function startScreen() {
  onChange(paint);
  onRedraw(paint);
}
