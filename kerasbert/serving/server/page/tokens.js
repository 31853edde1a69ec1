// The tab with the tokens that the model reads.

import { predict } from "./api.js";
import { element } from "./dom.js";
import { direction, token } from "./spans.js";

/**
 * Asks for the tokens of a request.
 *
 * @returns the sequences that the model reads: objects with `row` and `sequence`, numbers from 0, and
 *     `name`, `tokens`, `ids` and `segments`.
 */
export async function sequences(model, inputs, rowNames) {
  const outputs = await predict(model, inputs, "tokenize");
  const found = [];
  outputs.lengths.forEach((lengths, row) => {
    const real = lengths.map((length, sequence) => [length, sequence]).filter(([length]) => length);
    for (const [length, sequence] of real) {
      const of = (name) => outputs[name][row][sequence].slice(0, length);
      found.push({
        row,
        sequence,
        name: sequenceName(rowNames, row, sequence, outputs.lengths.length, real.length),
        tokens: of("tokens"),
        ids: of("token_ids"),
        segments: of("segment_ids"),
      });
    }
  });
  return found;
}

function sequenceName(names, row, sequence, rows, count) {
  if (rows > 1) return names?.[row] ?? `Text ${row + 1}`;
  if (count > 1) return names?.[sequence] ?? `Part ${sequence + 1}`;
  return "";
}

/** Shows sequences as lists of tokens with their ids. */
export function show(model, found) {
  const { kind, special_tokens: special } = model.metadata.tokenizer;
  const most = model.metadata.sequence_length;
  const classOf = (one, segment) => {
    if (one === special.unknown) return "unknown";
    if (Object.values(special).includes(one)) return "special";
    return segment ? "second" : null;
  };
  return found.flatMap(({ name, tokens, ids, segments }) => [
    name ? element("h3", { dir: "auto" }, name) : null,
    element(
      "p",
      { class: "hint" },
      `${tokens.length} tokens; the model reads up to ${most.toLocaleString("en")} at once`,
    ),
    element(
      "ol",
      { class: "tokens", dir: direction(tokens, model) },
      tokens.map((one, index) =>
        element(
          "li",
          { class: classOf(one, segments[index]) },
          token(one, kind),
          element("span", { class: "id", "aria-label": `id ${ids[index]}` }, String(ids[index])),
        ),
      ),
    ),
  ]);
}
