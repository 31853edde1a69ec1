// One view for each task: what a user fills in, what the model gets, and how its answer looks.
//
// A view has `title(model)`; `fields(model)`, objects with `name`, `label`, `kind` ("line", "text" or
// "list", one item per line) and `hint`; `inputs(values)`, columns for the model; and `answer(outputs,
// values, model)`, an object with `summary`, strings and nodes that are also read aloud, and `content`, nodes.

import { bars, element, percent, table, text } from "./dom.js";
import { cut, entities, marked, token, types } from "./spans.js";

const KINDS = 8; // colors of the style sheet

export const viewOf = (model) => VIEWS[model.metadata.task] ?? GENERIC;

const LABELS = {
  text: "Text",
  text_pair: "Second text",
  question: "Question",
  context: "Document",
  choices: "Choices",
};

const field = (name, kind, more) => ({ name, label: LABELS[name] ?? name, kind, ...more });
const inputsOf = (model, kinds = {}) =>
  model.metadata.inputs.map((name) => field(name, kinds[name] ?? "text"));
const firstRow = (values) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [value]]));

const CLASSIFIER = {
  title({ metadata: { inputs, problem_type: problem } }) {
    const texts = inputs.includes("text_pair") ? "pairs of texts" : "texts";
    return problem === "regression" ? `scores ${texts}` : `classifies ${texts}`;
  },
  fields(model) {
    const pair = model.metadata.inputs.includes("text_pair");
    return pair
      ? [field("text", "text", { label: "First text" }), field("text_pair", "text")]
      : [field("text", "text")];
  },
  inputs: firstRow,
  answer({ scores, label, labels, predicted, value, values }) {
    if (value) return number(value[0]);
    if (values) return numbers(labels[0], values[0]);
    const chosen = predicted
      ? labels[0].filter((_, index) => predicted[0][index])
      : [label[0]];
    const rows = labels[0].map((name, index) => ({
      name,
      share: scores[0][index],
      chosen: chosen.includes(name),
    }));
    const best = predicted
      ? text(chosen.join(", ") || "none of the labels")
      : [text(label[0]), `, ${percent(Math.max(...scores[0]))}`];
    return { summary: best, content: [bars(rows)] };
  },
};

function number(value) {
  return { summary: round(value), content: [element("p", { class: "value" }, round(value))] };
}

function numbers(names, values) {
  const rows = names.map((name, index) => [name, round(values[index])]);
  return {
    summary: rows.map((row) => row.join(" ")).join(", "),
    content: [table("Values", ["name", "value"], rows)],
  };
}

const round = (value) => String(Number(value.toPrecision(4)));

const TAGGER = {
  title: () => "finds entities in texts",
  fields: inputsOf,
  inputs: firstRow,
  answer(outputs, values, model) {
    const words = outputs.words[0].slice(0, outputs.lengths[0]).map((_, index) => ({
      label: outputs.labels[0][index],
      score: outputs.scores[0][index],
      start: outputs.starts[0][index],
      end: outputs.ends[0][index],
    }));
    const found = entities(words);
    const known = types(model.metadata.classes);
    const spans = found.map((one) => ({
      ...one,
      label: one.type,
      kind: known.indexOf(one.type) % KINDS,
    }));
    const rows = spans.map((span) => [
      text(cut(values.text, [span]).find((one) => one.span).part),
      span.type,
      percent(span.scores.reduce((sum, score) => sum + score, 0) / span.scores.length),
    ]);
    return {
      summary: found.length === 1 ? "1 entity" : `${found.length} entities`,
      content: [
        marked(values.text, spans),
        rows.length ? table("Entities", ["text", "label", "score"], rows) : null,
      ],
    };
  },
};

const ANSWERER = {
  title: () => "answers questions on documents",
  fields: () => [
    field("question", "line"),
    field("context", "text", { rows: 10, hint: "Any length; the answer is a part of it." }),
  ],
  inputs: firstRow,
  answer(outputs, values) {
    const found = outputs.n_best_answers[0]
      .map((answer, index) => ({
        answer,
        score: outputs.n_best_scores[0][index],
        start: outputs.n_best_starts[0][index],
        end: outputs.n_best_ends[0][index],
      }))
      .filter((one) => one.score > 0);
    const shown = element("div");
    const show = (one) => {
      const spans = one?.answer ? [{ ...one, label: null, kind: 0 }] : [];
      shown.replaceChildren(marked(values.context, spans));
    };
    const buttons = found.map((one) =>
      element(
        "button",
        {
          type: "button",
          class: "plain",
          dir: "auto",
          click: (event) => {
            for (const other of buttons) other.setAttribute("aria-pressed", "false");
            event.currentTarget.setAttribute("aria-pressed", "true");
            show(one);
          },
        },
        one.answer || "no answer",
      ),
    );
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(index === 0)));
    show(found[0]);
    const rows = found.map((one, index) => ({ name: buttons[index], share: one.score }));
    return {
      summary: outputs.answer[0]
        ? [text(outputs.answer[0]), ` (${percent(outputs.score[0])})`]
        : `no answer in the document (${percent(outputs.no_answer_score[0])})`,
      content: [
        shown,
        element("h3", null, "The best answers"),
        element("p", { class: "hint" }, "Choose one to see where it is."),
        bars(rows),
        element("p", { class: "hint" }, `No answer: ${percent(outputs.no_answer_score[0])}`),
      ],
    };
  },
};

const lines = (value) => value.split("\n").map((line) => line.trim()).filter((line) => line);

const EMBEDDER = {
  title: () => "finds similar texts",
  fields: () => [
    { name: "query", label: "Query", kind: "line" },
    { name: "sentences", label: "Sentences", kind: "list", hint: "One per line." },
  ],
  example: (example) => ({ query: example.text, sentences: SENTENCES.join("\n") }),
  inputs: ({ query, sentences }) => ({ text: [query, ...lines(sentences)] }),
  rows: ({ sentences }) => ["Query", ...lines(sentences)],
  answer({ embedding: [query, ...others] }, { sentences }) {
    const rows = lines(sentences)
      .map((name, index) => ({ name, share: cosine(query, others[index]) }))
      .map((row) => ({ ...row, number: row.share.toFixed(3) }));
    const nearest = rows.reduce((best, row) => (row.share > best.share ? row : best), {
      share: -Infinity,
    });
    return rows.length
      ? {
          summary: ["nearest: ", text(nearest.name), ` (${nearest.number})`],
          content: [bars(rows), element("p", { class: "hint" }, "Cosine similarity to the query.")],
        }
      : {
          summary: `a vector of ${query.length} numbers; write sentences to compare it with`,
          content: [],
        };
  },
};

const SENTENCES = ["The sun shines.", "He sent the soup back.", "It was a lovely day."];

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, index) => sum + value * y[index], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)) || 0;
}

const MASKS = {
  title: () => "fills in missing words",
  fields(model) {
    const mask = model.metadata.tokenizer.special_tokens.mask;
    return [field("text", "text", { insert: mask, hint: `${mask} stands for what is missing.` })];
  },
  inputs: firstRow,
  answer({ tokens, scores, masks, sequence }, values, model) {
    const { special_tokens: special, kind } = model.metadata.tokenizer;
    if (!masks[0]) return { summary: `there is no ${special.mask} in the text`, content: [] };
    const lists = tokens[0].slice(0, masks[0]).flatMap((candidates, mask) => [
      masks[0] > 1 ? element("h3", null, `${special.mask} ${mask + 1}`) : null,
      bars(
        candidates.map((one, index) => ({ name: token(one, kind), share: scores[0][mask][index] })),
      ),
    ]);
    return {
      summary: text(sequence[0]),
      content: [element("p", { class: "document", dir: "auto" }, sequence[0]), ...lists],
    };
  },
};

const CHOOSER = {
  title: () => "chooses among answers",
  fields: () => [
    field("text", "text"),
    field("choices", "list", { hint: "One per line." }),
  ],
  inputs: (values) => ({ text: [values.text], choices: [lines(values.choices)] }),
  rows: (values) => lines(values.choices),
  answer({ answer, scores, choice }, values) {
    const rows = lines(values.choices).map((name, index) => ({
      name,
      share: scores[0][index],
      chosen: index === choice[0],
    }));
    return { summary: text(answer[0] || "there are no choices"), content: [bars(rows)] };
  },
};

const DETECTOR = {
  title: () => "finds replaced tokens",
  fields: inputsOf,
  inputs: firstRow,
  answer({ tokens, scores, lengths }, values, model) {
    const kind = model.metadata.tokenizer.kind;
    const count = lengths[0];
    const rows = tokens[0].slice(0, count).map((one, index) => ({
      name: token(one, kind),
      share: scores[0][index],
    }));
    const replaced = rows.filter((row) => row.share >= 0.5).length;
    return { summary: `${replaced} of ${count} tokens seem to be replaced`, content: [bars(rows)] };
  },
};

/** For tasks of other packages. */
const GENERIC = {
  title: () => "",
  fields: (model) => inputsOf(model, { choices: "list", words: "list" }),
  inputs: (values) =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        [["choices", "words"].includes(name) ? lines(value) : value],
      ]),
    ),
  answer: (outputs) => ({
    summary: "answered",
    content: [element("pre", { tabindex: "0" }, JSON.stringify(outputs, null, 1))],
  }),
};

const VIEWS = {
  TextClassifier: CLASSIFIER,
  TokenClassifier: TAGGER,
  QuestionAnswerer: ANSWERER,
  TextEmbedder: EMBEDDER,
  MaskedLM: MASKS,
  Pretrainer: MASKS,
  MultipleChoice: CHOOSER,
  ReplacedTokenDetector: DETECTOR,
};
