// How much of a text is too much, in characters as people count them: a pair of surrogates is one.

import { notice } from "./status.js";

let told = false;

// "Too long by 12 characters: at most 20,000 fit.", or "".
export function tooLong(text, most) {
  if (text.length <= most) return "";
  const over = [...text].length - most;
  if (over <= 0) return "";
  const [by, fit] = [over, most].map((count) => count.toLocaleString("en"));
  return `Too long by ${by} ${over === 1 ? "character" : "characters"}: at most ${fit} fit.`;
}

// Says so while it is being written, and takes it back as soon as it fits.
export function watchLength(text, most) {
  const line = tooLong(text, most);
  if (line || told) notice(line);
  told = Boolean(line);
}
