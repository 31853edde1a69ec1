// Elements of the page. Text becomes text nodes, never HTML.

/** Makes an element; attributes that are functions listen to the event of that name. */
export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

/** A text of a user or a model, in its own direction. */
export const text = (value, attributes) => element("bdi", attributes, value);

export const percent = (share) =>
  share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;

const FIRST = 10; // bars that are shown at once

/**
 * Makes a list of bars, the longest first.
 *
 * @param rows objects with `name` (a string or a node), `share` in [0, 1], and optionally `number`,
 *     the text beside the bar, and `chosen`.
 */
export function bars(rows) {
  const sorted = [...rows].sort((a, b) => b.share - a.share);
  const list = (some) => element("ul", { class: "bars" }, some.map(bar));
  if (sorted.length <= FIRST + 2) return list(sorted);
  const rest = sorted.slice(FIRST);
  return element(
    "div",
    null,
    list(sorted.slice(0, FIRST)),
    element("details", null, element("summary", null, `${rest.length} more`), list(rest)),
  );
}

function bar({ name, share, number, chosen }) {
  const inside = element("span");
  inside.style.inlineSize = `${100 * Math.min(1, Math.max(0, share))}%`;
  return element(
    "li",
    { class: chosen ? "chosen" : null },
    typeof name === "string" ? text(name) : name,
    element("span", { class: "number" }, number ?? percent(share)),
    element("span", { class: "bar", "aria-hidden": "true" }, inside),
  );
}

/** Makes a table from the names of its columns and rows of strings or nodes. */
export function table(caption, columns, rows) {
  const cells = (row) => row.map((cell) => element("td", { dir: "auto" }, cell));
  return element(
    "table",
    null,
    element("caption", null, caption),
    element(
      "thead",
      null,
      element("tr", null, columns.map((one) => element("th", { scope: "col" }, one))),
    ),
    element("tbody", null, rows.map((row) => element("tr", null, cells(row)))),
  );
}
