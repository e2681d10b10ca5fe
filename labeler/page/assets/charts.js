// Small charts, drawn as SVG in the page's own colours. Each says in words what it shows, and has its numbers beside it
// as a table, for whoever cannot see it.

import { make } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 180;
const EDGE = { top: 10, right: 8, bottom: 24, left: 54 };
const LABEL_ROOM = 90;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const number = (value) => value.toLocaleString("en");

function day(name) {
  return new Date(`${name}T12:00:00Z`).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: "UTC" });
}

// ── tables ──

// `columns` are [title, kind]; kind "number" stands right. Rows are lists of text or elements.
export function table(caption, columns, rows) {
  const head = columns.map(([title, kind]) => make("th", { scope: "col", class: kind ?? "" }, title));
  const body = rows.map((cells) =>
    make("tr", {}, ...cells.map((cell, place) => make(place ? "td" : "th", { ...(place ? {} : { scope: "row" }), class: columns[place][1] ?? "" }, cell))),
  );
  const title = make("caption", {}, caption);
  return make(
    "div",
    { class: "table-room", tabindex: "0", role: "group", "aria-label": caption },
    make("table", {}, title, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)),
  );
}

export function folded(title, ...children) {
  return make("details", { "data-name": title }, make("summary", {}, title), ...children);
}

// ── an interval in a table's cell ──

// A dot with its interval on a scale from `least` to `most`; the numbers stand beside it as text.
export function interval({ value, low, high }, [least, most]) {
  const share = (one) => `${(100 * (Math.min(most, Math.max(least, one)) - least)) / (most - least)}%`;
  const line = make("span", { class: "interval", "aria-hidden": "true" });
  if (value === null) return line;
  if (least < 0 && most > 0) line.append(make("span", { class: "zero", style: `left: ${share(0)}` }));
  if (low !== null) line.append(make("span", { class: "reach", style: `left: ${share(low)}; right: calc(100% - ${share(high)})` }));
  line.append(make("span", { class: "dot", style: `left: ${share(value)}` }));
  return line;
}

export function bar(share, kind) {
  return make("span", { class: "bar", "aria-hidden": "true" }, make("span", { class: kind, style: `width: ${100 * share}%` }));
}

// ── over time ──

// Where things stand in a chart of so many columns, as wide as there is room: text is as large as elsewhere.
function chart(width, count) {
  const inner = width - EDGE.left - EDGE.right;
  return {
    width,
    across: (place) => EDGE.left + ((place + 0.5) * inner) / count,
    up: (share) => HEIGHT - EDGE.bottom - share * (HEIGHT - EDGE.top - EDGE.bottom),
    every: Math.ceil((count * LABEL_ROOM) / inner),
    thick: Math.min(36, (0.8 * inner) / count),
  };
}

function axes({ width, across, up, every }, names, [least, most], marks, form) {
  const lines = marks.map((value) => {
    const y = up((value - least) / (most - least));
    return svg("g", {}, svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y, y2: y, class: "grid" }), text(EDGE.left - 8, y + 4, form(value), "end"));
  });
  const labels = names.filter((_, place) => place % every === 0).map((name, place) => text(across(place * every), HEIGHT - 6, day(name), "middle"));
  return [...lines, ...labels];
}

function text(x, y, words, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = words;
  return element;
}

function figure(title, says, width, drawing, legend, numbers) {
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": says }, ...drawing);
  return make("figure", {}, make("figcaption", {}, title, ...legend), picture, folded(`${title}: the numbers`, numbers));
}

// What reads well on an axis: an even digit, or 1, before zeros, so that its half does too.
function round(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most)));
  return power * [1, 2, 4, 6, 8, 10].find((times) => times * power >= most);
}

// Columns of several kinds, one on the other. `rows` begin with a day under `when`, `series` are [key, name].
export function columns(title, when, rows, series, room) {
  const totals = rows.map((row) => series.reduce((sum, [key]) => sum + row[key], 0));
  const days = rows.map((row) => row[when]);
  const most = round(Math.max(...totals));
  const frame = chart(room, rows.length);
  const { across, up, thick } = frame;
  const drawn = rows.flatMap((row, place) => {
    let below = 0;
    return series.map(([key]) => {
      const [from, to] = [up(below / most), up((below + row[key]) / most)];
      below += row[key];
      return svg("rect", { x: across(place) - thick / 2, y: to, width: thick, height: from - to, class: `kind-${key}` });
    });
  });
  const all = totals.reduce((sum, value) => sum + value, 0);
  const says = `${title}: ${number(all)} on ${number(rows.length)} days, ${number(Math.max(...totals))} at most`;
  const legend = series.map(([key, name]) => make("span", { class: `legend kind-${key}` }, name));
  const numbers = table(title, [["Day"], ...series.map(([, name]) => [name, "number"])], rows.map((row) => [row[when], ...series.map(([key]) => number(row[key]))]));
  return figure(title, says, room, [...axes(frame, days, [0, most], [0, most / 2, most], number), ...drawn], legend, numbers);
}

// A line of values up to 1, with a dot for each; where there is none it is broken.
export function line(title, when, rows, key, room) {
  const values = rows.map((row) => row[key]);
  const known = values.filter((value) => value !== null);
  const least = Math.min(0, ...known);
  const frame = chart(room, rows.length);
  const { across, up } = frame;
  const points = values.map((value, place) => (value === null ? null : [across(place), up((value - least) / (1 - least))]));
  const drawn = points.flatMap((point, place) => {
    const before = points[place - 1];
    const joined = point && before ? [svg("line", { x1: before[0], y1: before[1], x2: point[0], y2: point[1], class: "path" })] : [];
    return point ? [...joined, svg("circle", { cx: point[0], cy: point[1], r: 3.5, class: "point" })] : [];
  });
  const says = `${title}: ${known.at(-1).toFixed(2)} at last, between ${Math.min(...known).toFixed(2)} and ${Math.max(...known).toFixed(2)}`;
  const numbers = table(title, [["Week of"], ["Value", "number"]], rows.map((row) => [row[when], row[key] === null ? "undefined" : row[key].toFixed(2)]));
  const marks = least < -0.05 ? [least, 0, 0.5, 1] : [0, 0.5, 1];
  const names = rows.map((row) => row[when]);
  return figure(title, says, room, [...axes(frame, names, [least, 1], marks, (value) => value.toFixed(1)), ...drawn], [], numbers);
}
