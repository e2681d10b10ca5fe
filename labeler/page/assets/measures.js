// How long it took: since each answer was first in view, and since both were there.

import { byId } from "./dom.js";

const seen = new Map(); // answer id -> when it was first in view
const there = new Map(); // name of what is judged -> when all of it was there

const isDrawn = (element) => (element?.getBoundingClientRect().height ?? 0) > 0;

// Whether something of an element can be seen now.
function inView(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return document.visibilityState === "visible" && top < window.innerHeight && bottom > 0;
}

// `answers` are { left: id, right: id } of what is shown; `ended`: all of it. What the server said may be known a moment
// before Gradio has drawn it.
export function measure(name, answers, ended) {
  const drawn = Object.entries(answers).map(([place, id]) => {
    const message = byId(place)?.querySelector(".message");
    if (id && !seen.has(id) && isDrawn(message) && inView(message)) seen.set(id, performance.now());
    return !id || isDrawn(message);
  });
  if (ended && drawn.every(Boolean) && !there.has(name)) there.set(name, performance.now());
}

const since = (moment) => (moment === undefined ? null : Math.round(performance.now() - moment));

export function measured(name, { left, right }) {
  return { seen_left: since(seen.get(left)), seen_right: since(seen.get(right)), decision: since(there.get(name)) };
}
