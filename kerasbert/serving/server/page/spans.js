// Parts of texts. The server counts characters, which are Unicode code points; JavaScript counts
// UTF-16 units, of which an emoji or a rare Chinese character has two.

import { element, text } from "./dom.js";

/**
 * Cuts a text at spans.
 *
 * @param value the text.
 * @param spans objects with `start` and `end` in characters, in order, without overlap.
 * @returns objects with `part`, a string, and `span`, or null for text between spans.
 */
export function cut(value, spans) {
  const characters = Array.from(value);
  const parts = [];
  let position = 0;
  const add = (end, span) => {
    if (end > position) parts.push({ part: characters.slice(position, end).join(""), span });
    position = Math.max(position, end);
  };
  for (const span of spans) {
    add(span.start, null);
    add(span.end, span);
  }
  add(characters.length, null);
  return parts;
}

/** Shows a text with marks; each span has a `label`, a string or null, and a `kind`, a number. */
export function marked(value, spans) {
  const nodes = cut(value, spans).map(({ part, span }) => {
    if (!span) return part;
    const label = span.label && element("span", { class: "label", dir: "ltr" }, span.label);
    return element("mark", { class: `kind-${span.kind}` }, part, label);
  });
  return element("div", { class: "document", dir: "auto" }, nodes);
}

const typeOf = (label) => (/^[BI]-/.test(label) ? label.slice(2) : label);

/** The types of entities that a model knows, sorted. */
export const types = (classes) =>
  [...new Set(classes.map(typeOf).filter((type) => type !== "O"))].sort();

/**
 * Joins tagged words to entities, as `TokenClassifier.tag` does (tests/entity_cases.py has cases).
 *
 * @param words objects with `label`, `score`, `start` and `end`.
 */
export function entities(words) {
  const groups = [];
  for (const { label, score, start, end } of words) {
    const type = typeOf(label);
    const last = groups.at(-1);
    if (last?.type === type && !label.startsWith("B-")) {
      last.end = end;
      last.scores.push(score);
    } else {
      groups.push({ type, start, end, scores: [score] });
    }
  }
  return groups.filter(({ type }) => type !== "O");
}

/** The spelling of a token for people: byte-level tokens are decoded. */
export function spelled(token, kind) {
  if (kind !== "bytepair") return token;
  const values = Array.from(token, (character) => BYTES.get(character));
  if (values.includes(undefined)) return token; // an added token
  try {
    const decoded = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(values));
    return decoded.replaceAll(" ", "\u2423");
  } catch {
    return values.map((byte) => byte.toString(16).padStart(2, "0")).join(" "); // part of a character
  }
}

// The characters of byte-level BPE for bytes: printable ones stand for themselves.
const BYTES = new Map();
for (let byte = 0, next = 256; byte < 256; byte++) {
  const printable =
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  BYTES.set(String.fromCodePoint(printable ? byte : next++), byte);
}

/** A token as a text node in its own direction; white space is visible. */
export const token = (value, kind) => text(spelled(value, kind).replaceAll("\n", "\u23ce"));

/** The direction of tokens: that of the first letter of those that are not special. */
export function direction(tokens, { metadata: { tokenizer } }) {
  const special = Object.values(tokenizer.special_tokens);
  const own = tokens.filter((one) => !special.includes(one));
  const letter = /\p{L}/u.exec(own.map((one) => spelled(one, tokenizer.kind)).join(""))?.[0] ?? "";
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/u.test(letter) ? "rtl" : "ltr";
}
