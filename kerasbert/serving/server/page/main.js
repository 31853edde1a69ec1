// The page: chooses a model, makes its form, asks it, and shows the answer in tabs.

import { ServerError, body, describe, path, predict } from "./api.js";
import { attention } from "./attention.js";
import { element } from "./dom.js";
import { sequences, show as showTokens } from "./tokens.js";
import { viewOf } from "./views.js";

const $ = (id) => document.getElementById(id);
const TABS = ["answer", "tokens", "attention", "request"];

let models = [];
let model = null; // the chosen one
let asked = null; // the last request that was answered: model, values, inputs, rows, outputs
let running = null; // aborts the request that is not answered yet

// === Models ===

const form = ({ metadata: { task, inputs } }) => [task, ...inputs].join(" ");
const key = ({ name, version }) => `${name} ${version}`;

async function load() {
  const { models: found, failed } = await describe();
  const before = model;
  models = found;
  $("model").replaceChildren(
    ...models.map((one) =>
      element("option", { value: key(one) }, `${one.name}, version ${one.version}`),
    ),
  );
  $("chooser").hidden = models.length < 2;
  const same = (one) => before && one.name === before.name;
  choose(models.find((one) => before && key(one) === key(before)) ?? models.find(same) ?? models[0]);
  if (failed.length) {
    const lines = failed.map(
      ({ name, version, message }) => `Version ${version} of ${name} can't be loaded: ${message}`,
    );
    report(lines.join(". "));
  }
}

function choose(one) {
  if (running) {
    running.abort(); // its answer would be shown under another model
    $("status").textContent = "";
  }
  const same = model && model.name === one.name && form(model) === form(one);
  model = one;
  $("model").value = key(model);
  const view = viewOf(model);
  const title = view.title(model);
  document.title = `${model.name} · kerasbert`;
  $("title").textContent = model.name;
  $("task").textContent = `${model.metadata.task}, version ${model.version}. ${
    title && `It ${title}.`
  }`;
  $("tab-attention").hidden = !("attention" in model.signatures);
  $("tab-tokens").hidden = !("tokenize" in model.signatures);
  if (!same) {
    makeForm(view);
    report(null);
    $("answered").hidden = true;
    $("status").textContent = "";
  }
}

// === Form ===

function makeForm(view) {
  const before = values();
  $("fields").replaceChildren(...view.fields(model).flatMap((field) => control(field)));
  for (const control of controls()) control.value = before[control.name] ?? "";
  $("form").hidden = false;
}

function control({ name, label, kind, hint, insert, rows }) {
  const id = `field-${name}`;
  const attributes = { id, name, dir: "auto", autocomplete: "off", spellcheck: "false" };
  if (hint) attributes["aria-describedby"] = `${id}-hint`;
  const made =
    kind === "line"
      ? element("input", { type: "text", ...attributes })
      : element("textarea", { rows: rows ?? (kind === "list" ? 5 : 4), ...attributes });
  const button =
    insert &&
    element(
      "button",
      {
        type: "button",
        class: "plain",
        click: () => {
          made.setRangeText(insert, made.selectionStart, made.selectionEnd, "end");
          made.focus();
        },
      },
      `Insert ${insert}`,
    );
  return element(
    "div",
    { class: "field" },
    element("label", { for: id }, label),
    made,
    hint ? element("p", { class: "hint", id: `${id}-hint` }, hint) : null,
    button,
  );
}

const controls = () => [...$("fields").querySelectorAll("input, textarea")];
const values = () => Object.fromEntries(controls().map(({ name, value }) => [name, value]));

function fillIn() {
  const example = Object.fromEntries(
    Object.entries(model.example).map(([name, value]) => [name, [value].flat().join("\n")]),
  );
  const filled = viewOf(model).example?.(example) ?? example;
  for (const control of controls()) control.value = filled[control.name] ?? "";
  controls()[0].focus();
}

// === Questions ===

async function ask(again = true) {
  running?.abort();
  const mine = (running = new AbortController());
  const view = viewOf(model);
  const request = { model, values: values() };
  request.inputs = view.inputs(request.values);
  request.rows = view.rows?.(request.values);
  report(null);
  $("status").textContent = "Computing …";
  try {
    const begin = performance.now();
    request.outputs = await predict(request.model, request.inputs, null, mine.signal);
    const { summary, content } = view.answer(request.outputs, request.values, request.model);
    asked = request;
    $("panel-answer").replaceChildren(...content.filter((node) => node));
    const time = `${Math.round(performance.now() - begin)} ms`;
    $("status").replaceChildren(element("strong", null, [summary].flat()), ` in ${time}`);
    $("answered").hidden = false;
    for (const name of TABS.slice(1)) $(`panel-${name}`).replaceChildren();
    open(selected());
  } catch (error) {
    if (again && error.status === 404 && (await replaced())) return ask(false);
    fail(error);
  } finally {
    if (running === mine) running = null;
  }
}

/** Whether there is another version of the model now; it is chosen then. */
async function replaced() {
  const before = model;
  try {
    await load();
  } catch {
    return false; // the first error says more
  }
  return model.name === before.name && key(model) !== key(before);
}

function fail(error) {
  if (error.name === "AbortError") return;
  $("status").textContent = "";
  $("answered").hidden = true;
  note(error);
}

/** Shows an error beside what there is. */
function note(error) {
  if (error.name === "AbortError") return;
  report(error.message);
  if (!(error instanceof ServerError)) throw error; // a mistake of this page
}

function report(message) {
  $("error").hidden = !message;
  $("error").textContent = message ?? "";
}

// === Tabs ===

const selected = () =>
  TABS.find((name) => $(`tab-${name}`).getAttribute("aria-selected") === "true" && !$(`tab-${name}`).hidden) ??
  "answer";

function open(chosen) {
  for (const name of TABS) {
    $(`tab-${name}`).setAttribute("aria-selected", String(name === chosen));
    $(`tab-${name}`).tabIndex = name === chosen ? 0 : -1;
    $(`panel-${name}`).hidden = name !== chosen;
  }
  const panel = $(`panel-${chosen}`);
  if (!asked || panel.hasChildNodes()) return;
  FILL[chosen](panel, asked).catch(note);
}

const FILL = {
  answer: async () => {},
  async tokens(panel, request) {
    const found = await sequencesOf(request);
    if (request === asked) panel.replaceChildren(...showTokens(request.model, found).filter(Boolean));
  },
  async attention(panel, request) {
    const found = await sequencesOf(request);
    const nodes = attention(request.model, request.inputs, found, note);
    if (request === asked) panel.replaceChildren(...nodes);
  },
  async request(panel, request) {
    const url = new URL(path(request.model), document.baseURI);
    const quoted = body(request.inputs).replaceAll("'", "'\\''");
    panel.replaceChildren(
      element("p", { class: "hint" }, "The same from a shell:"),
      element("pre", { tabindex: "0" }, `curl -d '${quoted}' ${url}`),
      element("p", { class: "hint" }, "What the server answers:"),
      element("pre", { tabindex: "0" }, JSON.stringify({ outputs: request.outputs }, null, 1)),
    );
  },
};

function sequencesOf(request) {
  const forget = (error) => {
    request.sequences = null; // so that it can be tried again
    throw error;
  };
  request.sequences ??= sequences(request.model, request.inputs, request.rows).catch(forget);
  return request.sequences;
}

function moveTab(event) {
  const shown = TABS.filter((name) => !$(`tab-${name}`).hidden);
  const index = shown.indexOf(selected());
  const next = {
    ArrowRight: (index + 1) % shown.length,
    ArrowLeft: (index + shown.length - 1) % shown.length,
    Home: 0,
    End: shown.length - 1,
  }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  open(shown[next]);
  $(`tab-${shown[next]}`).focus();
}

// === Start ===

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
$("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
    event.preventDefault();
    ask();
  }
});
$("example").addEventListener("click", fillIn);
$("model").addEventListener("change", () =>
  choose(models.find((one) => key(one) === $("model").value)),
);
$("tabs").addEventListener("keydown", moveTab);
for (const name of TABS) $(`tab-${name}`).addEventListener("click", () => open(name));
open("answer");
load().catch(fail);
