// What the statistics say: how far people agree, which model is better, who the annotators are, and what was given when.

import { bar, columns, folded, interval, line, number, table } from "./charts.js";
import { askThen } from "./dialogs.js";
import { byId, make, onRedraw } from "./dom.js";
import { startKeys } from "./keys.js";
import { ask, isPending } from "./turns.js";
import { onChange, page } from "./view.js";

const LOOK_AGAIN_MS = 10_000;
const LEAST_ALPHA = -0.2; // the scale begins there, or lower
const WISHES = [["length", "what length adds"], ["style", "what Markdown adds"], ["named", "votes on answers that named their model"]];
const JUDGED = [["pairs", "Comparisons"], ["pairs_ordinal", "Comparisons, by strength"], ["votes", "Votes"]];
const SAID = { a: "A", b: "B", tie: "same", both_bad: "both bad", like: "like", dislike: "dislike", given: "given", "not given": "not given", a1: "A", a2: "A", a3: "A much", b1: "B", b2: "B", b3: "B much" };
const GIVEN = [["likes", "Likes"], ["dislikes", "Dislikes"], ["comparisons", "Comparisons"]];

const OPPOSITE = { exclude: "include", include: "exclude" }; // who has pressed one finds the other in its place

const wishes = new Set();
let shown = "";

const percent = (share) => (share === null ? "" : `${Math.round(100 * share)} %`);
const between = ({ low, high }, form) => (low === null ? "" : `${form(low)} to ${form(high)}`);
const minus = (text) => text.replace("-", "−");
const one = (value) => minus(value.toFixed(1));
const two = (value) => minus(value.toFixed(2));
const whole = (value) => minus(number(Math.round(value)));

// ── who is who ──

// An id without a name is told by its end: ids of one day begin alike.
function person(id) {
  const name = page.view.names[id];
  if (name) return make("span", { title: id }, name);
  return id.length > 30 ? make("code", { title: id }, `…${id.slice(-8)}`) : make("code", {}, id);
}

// ── how far people agree ──

const prevalence = (said) => Object.entries(said).filter(([, share]) => share > 0).map(([name, share]) => `${SAID[name] ?? name} ${percent(share)}`).join(", ");

function agreementRow(name, found, least) {
  const alpha = found.alpha === null ? (found.units ? "undefined" : "") : two(found.alpha);
  const plot = interval({ value: found.alpha, low: found.low, high: found.high }, [least, 1]);
  return [name, number(found.units), percent(found.percent), alpha, plot, between(found, two), prevalence(found.prevalence)];
}

function agreement(said, document) {
  const judged = [
    ...JUDGED.map(([key, name]) => [name, said[key]]),
    ...Object.entries(said.reasons).map(([name, found]) => [`Reason: ${name}`, found]),
  ];
  const lowest = Math.min(LEAST_ALPHA, ...judged.map(([, { alpha, low }]) => Math.min(low ?? 0, alpha ?? 0)));
  const least = Math.floor(10 * lowest) / 10;
  const rows = judged.map(([name, found]) => agreementRow(name, found, least));
  const heads = [["Judged"], ["Units", "number"], ["Agree", "number"], ["Alpha", "number"], [`${one(least)} to 1`, "plot"], ["95 %", "number"], ["Said", "said"]];
  const apart = document.between_annotators.map(({ annotators, units, percent: agree, alpha }) => [
    make("span", {}, person(annotators[0]), " and ", person(annotators[1])),
    number(units),
    percent(agree),
    alpha === null ? "undefined" : two(alpha),
  ]);
  const note = make("p", { class: "note" }, "A unit is what several people judged. Krippendorff's alpha is 1 where they always agree and 0 where they agree no more than by chance; where everybody always says the same it is undefined.");
  const some = document.between_all > apart.length ? `the ${apart.length} who agree least, of ${number(document.between_all)} pairs` : `${apart.length} pairs`;
  const pairs = apart.length ? [folded(`Two by two: ${some}`, table("Two by two", [["Annotators"], ["Units", "number"], ["Agree", "number"], ["Alpha", "number"]], apart))] : [];
  return section("Do people agree?", table("Agreement", heads, rows), note, ...pairs);
}

// ── which model is better ──

function options() {
  const boxes = WISHES.map(([key, name]) => {
    const box = make("input", { type: "checkbox", "data-wish": key });
    box.checked = wishes.has(key);
    box.addEventListener("change", () => {
      box.checked ? wishes.add(key) : wishes.delete(key);
      look();
    });
    return make("label", {}, box, name);
  });
  return make("fieldset", { class: "wishes" }, make("legend", {}, "Ratings without"), ...boxes);
}

function models(document) {
  const board = document.leaderboard;
  const placed = board.models.filter(({ rating }) => rating !== null);
  const scale = [Math.min(...placed.map(({ low }) => low)), Math.max(...placed.map(({ high }) => high))];
  const rows = board.models.map((one) => [
    one.model,
    one.rank === null ? "–" : String(one.rank),
    one.rating === null ? "cannot be placed" : whole(one.rating),
    interval({ value: one.rating, low: one.low, high: one.high }, scale),
    between(one, whole),
    number(one.comparisons),
  ]);
  if (!rows.length) return section("Which model is better?", make("p", { class: "note" }, "Nobody has compared answers of two models yet."));
  const heads = [["Model"], ["Rank", "number"], ["Rating", "number"], ["Interval", "plot"], ["95 %", "number"], ["Comparisons", "number"]];
  const note = make("p", { class: "note" }, "Bradley and Terry's strengths: 400 points are odds of 10 to 1. Models share a rank where their intervals overlap; on fewer than 30 comparisons there is none.");
  const met = board.votes_per_pair.map(({ models: [a, b], votes }) => [`${a} and ${b}`, number(votes)]);
  return section("Which model is better?", options(), table("Models", heads, rows), make("p", { class: "note", id: "flips" }, flips(board)), sides(document.position), note, folded("Votes per pair of models", table("Votes per pair", [["Models"], ["Votes", "number"]], met)));
}

function flips({ models: found, flips_to_lose_first: few }) {
  if (found.filter(({ rating }) => rating !== null).length < 2) return "";
  return few === null ? `First place does not hang on a few votes.` : `Another model is first if ${few === 1 ? "1 vote is" : `${few} votes are`} turned.`;
}

function sides({ left, advantage }) {
  const element = make("p", { class: "note", id: "sides" });
  if (!left.n) return element;
  const worth = advantage ? ` Standing there is worth ${whole(advantage[0])} points (${whole(advantage[1])} to ${whole(advantage[2])}); ratings are free of it.` : "";
  element.textContent = `The left answer was preferred ${percent(left.share)} of the time (${percent(left.low)} to ${percent(left.high)}, of ${number(left.n)}).${worth}`;
  return element;
}

// ── who the annotators are ──

function annotators(document) {
  const out = new Set(page.view.excluded.map(({ annotator_id }) => annotator_id));
  const order = document.raters.filter(({ annotator }) => !out.has(annotator));
  const more = document.raters_all - document.raters.length;
  const heads = [["Annotator"], ["Judged", "number"], ["Days", "number"], ["Likes", "number"], ["Median time", "number"], ["Agrees", "number"], ["z", "number"], ["Gold", "number"], ...(page.view.may_exclude ? [["Exports"]] : [])];
  const rows = order.map((rater) => [
    make("span", {}, person(rater.annotator), ...(rater.flagged ? [" ", make("span", { class: "flagged" }, "look at this")] : [])),
    number(rater.judgements),
    number(rater.days),
    percent(rater.like_rate.share),
    rater.median_decision_ms === null ? "" : `${(rater.median_decision_ms / 1000).toFixed(1)} s`,
    rater.agreed === null ? "" : `${percent(rater.agreed)} of ${number(rater.shared)}`,
    rater.z === null ? "" : one(rater.z),
    rater.gold.n ? `${percent(rater.gold.share)} of ${number(rater.gold.n)}` : "",
    ...(page.view.may_exclude ? [make("button", { type: "button", "data-exclude": rater.annotator, onclick: () => exclude(rater.annotator) }, "Exclude")] : []),
  ]);
  const note = make("p", { class: "note" }, "z compares an annotator with what the others said of the same, theirs left out; far below 0 is worth a look. Those marked are too far below for chance, given how many there are (5 % false discoveries). Nothing is left out by itself." + (more > 0 ? ` The ${number(document.raters.length)} most worth a look are shown; labeler stats --json has ${number(more)} more.` : ""));
  const parts = rows.length ? [table("Annotators", heads, rows), note] : [make("p", { class: "note" }, "Nobody has judged anything yet.")];
  return section("Who are the annotators?", ...parts, ...excluded());
}

function excluded() {
  if (!page.view.excluded.length) return [];
  const rows = page.view.excluded.map(({ annotator_id, reason, at }) => [
    person(annotator_id),
    reason,
    at.slice(0, 10),
    ...(page.view.may_exclude ? [make("button", { type: "button", "data-include": annotator_id, onclick: () => ask("include", { annotator: annotator_id, wishes: [...wishes] }) }, "Include")] : []),
  ]);
  return [table("Excluded: nothing of theirs is counted here or exported", [["Annotator"], ["Reason", "said"], ["Since"], ...(page.view.may_exclude ? [["Exports"]] : [])], rows)];
}

async function exclude(id) {
  const name = page.view.names[id] ?? id;
  const text = `Nothing of ${name} is exported from now on, and nothing counted here. You can include them again at any time.`;
  const reason = await askThen("Exclude this annotator?", text, "Reason (optional)", "Exclude");
  if (reason !== null) ask("exclude", { annotator: id, text: reason, wishes: [...wishes] });
}

// ── what was given, and when ──

const room = () => Math.max(280, byId("figures").clientWidth);

function given(document) {
  const parts = [];
  if (document.days.length) parts.push(columns("Votes and comparisons by day", "day", document.days, GIVEN, room()));
  if (document.over_time.some(({ alpha }) => alpha !== null)) parts.push(line("Agreement on comparisons by week (alpha)", "week", document.over_time, "alpha", room()));
  if (document.reasons.length) {
    const most = Math.max(...document.reasons.map((one) => GIVEN.reduce((sum, [key]) => sum + one[key], 0)));
    const rows = document.reasons.map((one) => [one.reason, make("span", { class: "bars" }, ...GIVEN.map(([key]) => bar(one[key] / most, `kind-${key}`))), ...GIVEN.map(([key]) => number(one[key]))]);
    parts.push(table("Reasons", [["Reason"], ["How often", "plot"], ...GIVEN.map(([, name]) => [name, "number"])], rows));
  }
  return parts.length ? [section("What was given?", ...parts)] : [];
}

// ── the page ──

function section(title, ...children) {
  const id = `about-${title.replace(/\W+/g, "-").toLowerCase()}`;
  return make("section", { "aria-labelledby": id }, make("h2", { id }, title), ...children);
}

function standing() {
  const { position, log, counting, trouble } = page.view;
  if (trouble) return trouble;
  if (counting) return counting.of ? `Counting: ${number(counting.done)} of ${number(counting.of)} conversations` : "Counting";
  return position === log ? `Up to date with all ${number(log)} events` : `As of event ${number(position)} of ${number(log)}`;
}

function draw() {
  const place = byId("insights");
  if (!place || !page.ready || !("log" in page.view)) return;
  if (!place.childElementCount) place.append(make("p", { id: "standing", role: "status" }), make("div", { id: "figures" }));
  const words = standing();
  if (byId("standing").textContent !== words) byId("standing").textContent = words;
  const { document: known, excluded: out, names } = page.view;
  const key = JSON.stringify([known, out, names, byId("figures").clientWidth]);
  if (!known || key === shown) return;
  shown = key;
  redraw(byId("figures"), known);
}

// Everything is drawn anew; what was open stays open, and who was on a button is on it again.
function redraw(place, known) {
  const open = new Set([...place.querySelectorAll("details[open]")].map(({ dataset }) => dataset.name.split(":")[0]));
  const focused = place.contains(document.activeElement) ? { ...document.activeElement.dataset } : {};
  place.replaceChildren(agreement(known.agreement, known), models(known), annotators(known), ...given(known));
  for (const each of place.querySelectorAll("details")) each.open = open.has(each.dataset.name.split(":")[0]);
  const [name, value] = Object.entries(focused)[0] ?? [];
  const button = (each) => each && place.querySelector(`[data-${each}="${CSS.escape(value)}"]`);
  (button(name) ?? button(OPPOSITE[name]))?.focus({ preventScroll: true });
}

function look() {
  if (page.ready && !isPending()) ask("open", { conversation: null, wishes: [...wishes] });
}

export function startOverview() {
  startKeys([]);
  onChange(draw);
  onRedraw(draw);
  window.addEventListener("resize", draw);
  setInterval(() => document.visibilityState === "visible" && !page.view.counting && look(), LOOK_AGAIN_MS);
}
