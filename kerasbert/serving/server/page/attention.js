// The tab with attention: all heads of a layer as small pictures, one head large, and one token's
// attention as bars. In a picture, a row is a token that attends, a column one that it attends to.

import { predict } from "./api.js";
import { bars, element } from "./dom.js";
import { spelled, token } from "./spans.js";

/**
 * Shows the attention of a request.
 *
 * @param model the model.
 * @param inputs its inputs.
 * @param found what `sequences` returns.
 * @param report function that gets errors.
 * @returns the elements of the tab.
 */
export function attention(model, inputs, found, report) {
  if (!found.length) return [element("p", { class: "hint" }, "The model read no tokens.")];
  const { layers } = model.metadata.attention;
  const { kind } = model.metadata.tokenizer;
  const number = (count) => Array.from({ length: count }, (_, index) => String(index + 1));
  const layer = choice("Layer", number(layers));
  const sequence = choice("Text", found.map((one, index) => one.name || `Text ${index + 1}`));
  const from = choice("Token", []);
  const heads = element("div", { class: "heads", role: "group", "aria-label": "Heads" });
  const picture = element("div", { class: "picture", tabindex: "0", role: "group" });
  const list = element("div");
  // What is drawn: the weights, and the layer and the sequence that they belong to. Until others are
  // loaded, that is not what is chosen.
  let shown = null;
  const state = { head: 0, abort: null };

  async function load() {
    // One row: the server answers for no more.
    const chosen = found[sequence.select.selectedIndex];
    const { row, sequence: part } = chosen;
    const layerName = layer.select.value;
    const columns = Object.entries(inputs).map(([name, column]) => [name, [column[row]]]);
    const more = { layer: [layer.select.selectedIndex], sequence: [part] };
    state.abort?.abort();
    state.abort = new AbortController();
    try {
      const all = { ...Object.fromEntries(columns), ...more };
      const outputs = await predict(model, all, "attention", state.abort.signal);
      shown = { weights: outputs.attention_weights[0], tokens: chosen.tokens, layer: layerName };
    } catch (error) {
      report(error);
      return;
    }
    draw();
  }

  function draw() {
    const { tokens } = shown;
    const images = shown.weights.map((weights) => image(weights, tokens.length));
    heads.replaceChildren(
      ...images.map((one, head) =>
        element(
          "button",
          {
            type: "button",
            class: "plain",
            "aria-pressed": String(head === state.head),
            click: () => {
              state.head = head;
              for (const [index, button] of [...heads.children].entries()) {
                button.setAttribute("aria-pressed", String(index === head));
              }
              drawHead();
            },
          },
          one,
          `Head ${head + 1}`,
        ),
      ),
    );
    const before = from.select.selectedIndex;
    from.select.replaceChildren(
      ...tokens.map((one, index) => element("option", null, `${index + 1}: ${spelled(one, kind)}`)),
    );
    from.select.selectedIndex = before >= 0 && before < tokens.length ? before : 1;
    drawHead();
  }

  function drawHead() {
    const { tokens } = shown;
    const isShort = (one) => Array.from(spelled(one, kind)).length === 1;
    const labels = (name) =>
      element(
        "ol",
        { class: name, "aria-hidden": "true" },
        tokens.map((one) => element("li", { class: isShort(one) ? "short" : null }, token(one, kind))),
      );
    const canvas = image(shown.weights[state.head], tokens.length);
    canvas.removeAttribute("aria-hidden");
    canvas.setAttribute("role", "img");
    canvas.setAttribute(
      "aria-label",
      `Head ${state.head + 1} of layer ${shown.layer}: how much each of ` +
        `${tokens.length} tokens attends to each other; the list below has the numbers of one token.`,
    );
    const rows = labels("rows");
    rows.addEventListener("click", (event) => {
      const chosen = [...rows.children].indexOf(event.target.closest("li"));
      if (chosen < 0) return;
      from.select.selectedIndex = chosen;
      drawToken();
    });
    picture.style.setProperty("--tokens", tokens.length);
    picture.setAttribute("aria-label", `Head ${state.head + 1}`);
    picture.replaceChildren(labels("columns"), rows, canvas);
    drawToken();
  }

  function drawToken() {
    const { tokens } = shown;
    const index = from.select.selectedIndex;
    const weights = shown.weights[state.head][index];
    for (const [row, label] of [...picture.querySelector(".rows").children].entries()) {
      label.classList.toggle("chosen", row === index);
    }
    list.replaceChildren(
      bars(
        tokens.map((one, other) => ({ name: labeled(one, other, kind), share: weights[other] })),
      ),
    );
  }

  layer.select.addEventListener("change", load);
  sequence.select.addEventListener("change", load);
  from.select.addEventListener("change", drawToken);
  load();
  return [
    element("p", { class: "choices" }, layer.parts, found.length > 1 ? sequence.parts : null),
    heads,
    picture,
    element("p", { class: "hint" }, "Each row is a token; the stronger a column's color, the more it attends to it."),
    element("h3", null, "What one token attends to"),
    element("p", { class: "choices" }, from.parts),
    list,
  ];
}

const labeled = (one, index, kind) =>
  element("span", null, token(one, kind), element("span", { class: "id" }, ` ${index + 1}`));

let number = 0;

function choice(label, names) {
  const id = `choice-${(number += 1)}`;
  const select = element("select", { id, dir: "auto" }, names.map((one) => element("option", null, one)));
  return { select, parts: [element("label", { for: id }, label), select] };
}

/** Draws one pixel for each pair of tokens. */
function image(weights, size) {
  const canvas = element("canvas", { "aria-hidden": "true", width: size, height: size });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(size, size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const alpha = 255 * Math.sqrt(weights[row][column]); // shows small weights, too
      pixels.data.set([...COLOR, alpha], 4 * (row * size + column));
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

const COLOR = [57, 73, 171]; // the style sheet makes it brighter in dark mode
