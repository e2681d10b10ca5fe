// The form behind "Why?": the study's reasons and a comment, which is kept in the tab until it is saved.

import { make } from "./dom.js";
import { perTab, settings } from "./settings.js";

// A closed panel about `id`; `save({ reasons, comment })` hears when the form is sent.
export function whyForm(id, given, save, name = "Save reason") {
  const boxes = settings.reasons.map((reason) => {
    const box = make("input", { type: "checkbox", value: reason });
    box.checked = given.reasons.includes(reason);
    return make("label", {}, box, reason);
  });
  const reasons = make("div", { class: "reasons", role: "group", "aria-label": "Reasons" }, ...boxes);
  reasons.hidden = !boxes.length;
  const comment = make("textarea", { rows: "2", maxlength: String(settings.max_comment) });
  comment.value = perTab.get(`comment/${id}`) ?? given.comment;
  comment.addEventListener("input", () => perTab.set(`comment/${id}`, comment.value));
  const form = make(
    "form",
    {},
    reasons,
    make("label", { class: "why-comment" }, make("span", {}, "Comment (optional)"), comment),
    make("button", { type: "submit", class: "save-reason" }, name),
  );
  const summary = make("summary", {}, make("span", { class: "why-word" }, "Why?"), " ", make("span", { class: "why-given" }));
  const panel = make("details", { class: "panel-why", "aria-label": "Why?", "aria-live": "off" }, summary, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = { reasons: boxes.filter((label) => label.firstChild.checked).map((label) => label.firstChild.value), comment: comment.value.trim() };
    perTab.remove(`comment/${id}`);
    save(given);
    summarise(panel, given);
    panel.open = false;
    summary.focus();
  });
  summarise(panel, given);
  return panel;
}

// Shows what was given beside the word, so that it is seen while the panel is closed.
export function summarise(panel, { reasons, comment }) {
  const said = [...reasons, ...(comment ? [`“${comment}”`] : [])].join(" · ");
  const place = panel.querySelector(".why-given");
  if (place.textContent !== said) place.textContent = said;
}

// Closes the "Why?" panel that an event comes from; false if it comes from none.
export function closeWhy(event) {
  const why = event.target.closest?.(".panel-why");
  if (!why?.open) return false;
  why.open = false;
  why.querySelector("summary").focus();
  return true;
}
