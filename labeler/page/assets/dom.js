// Finding and making elements. Gradio draws and redraws when it likes; `onRedraw` says when.

const listeners = [];

// `listener()` is called after every change of the document's elements, before anything can be clicked.
export function onRedraw(listener) {
  listeners.push(listener);
}

export function startRedraws() {
  const observer = new MutationObserver(() => {
    for (const listener of listeners) listener();
  });
  observer.observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["disabled"],
    childList: true,
    subtree: true,
  });
}

// A message may hold HTML, with ids and classes of its own. It is never taken for a part of the page.
const SAID = ".md *";

export const byId = (id) => document.querySelector(`#${id}:not(${SAID})`);

// An element with attributes ("onclick" takes a function) and children.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Sets what differs only: an observer that writes must not wake itself for ever.
export function mark(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}

// ── the chat: the k-th visible message is the k-th row, and the k-th row of buttons belongs to it ──

export const rows = () => [...document.querySelectorAll(`#chat .message-row:not(${SAID})`)];
export const buttonRows = () => [...document.querySelectorAll(`#chat .message-buttons:not(${SAID})`)];

export function rowOf(element) {
  const own = element.closest?.(".message-row");
  if (own) return own;
  const place = buttonRows().indexOf(element.closest?.(".message-buttons"));
  return place < 0 ? null : (rows()[place] ?? null);
}

export function buttonsOf(row) {
  return buttonRows()[rows().indexOf(row)] ?? null;
}

export const idOf = (element) => rowOf(element)?.dataset.message ?? null;

export const rowFor = (id) => (id && rows().find((row) => row.dataset.message === id)) || null;
