// The server's API.

/** An answer that is an error, with one line for the user. */
export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is it still running?", 0);
  }
  let content = null;
  try {
    content = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (response.ok && content) return content;
  const reason = content?.error ?? response.statusText;
  if (response.status === 429 || response.status === 503) {
    throw new ServerError(`The server is busy; try again in a moment (${reason}).`, response.status);
  }
  throw new ServerError(`The server refused this (${response.status}): ${reason}`, response.status);
}

/** Returns `models`, what is known of each, and `failed`, newer versions that can't be loaded. */
export const describe = () => ask("page/models.json");

/** The path of a model's predictions, relative to the page. */
export const path = (model) =>
  `v1/models/${encodeURIComponent(model.name)}/versions/${model.version}:predict`;

/** The body of a request. */
export const body = (inputs, signature) =>
  JSON.stringify(signature ? { signature_name: signature, inputs } : { inputs });

/** Returns the outputs of a model by name: a list for each, with a value for each row. */
export async function predict(model, inputs, signature = null, abort = null) {
  const { outputs } = await ask(path(model), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: body(inputs, signature),
    signal: abort,
  });
  const names = model.signatures[signature ?? "serving_default"].outputs;
  return names.length === 1 ? { [names[0]]: outputs } : outputs;
}
