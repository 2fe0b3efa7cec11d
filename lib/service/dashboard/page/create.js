// @ts-check
/** The form for a new task. */

import { ApiError, createTask } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { notify, notifyFailure } from "./notice.js";

/** The fields of the API, and the elements for them. */
const FIELDS = new Map([
  ["instruction", "instruction"],
  ["provider", "new-provider"],
  ["target", "target"],
  ["target_type", "target_type"],
  ["priority", "priority"],
  ["run_at", "run_at"],
  ["attempts", "attempts"],
  ["timeout", "timeout"],
  ["trace", "trace-field"],
]);

/**
 * Makes the dialog work.
 *
 * @param {(id: string) => void} onCreated
 */
export function setUpCreate(onCreated) {
  const dialog = byId("create", HTMLDialogElement);
  const form = byId("create-form", HTMLFormElement);
  /** The same task must not be created twice because an answer got lost. */
  let sent = { text: "", key: "" };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearMistakes();
    const body = readForm(form);
    if (!body) return;
    const text = JSON.stringify(body);
    if (text !== sent.text) sent = { text, key: newKey() };
    const button = byId("create-submit", HTMLButtonElement);
    button.disabled = true;
    try {
      const { id, warnings } = await createTask(body, sent.key);
      sent = { text: "", key: "" };
      form.reset();
      dialog.close();
      notify("Task created");
      for (const warning of warnings) notify(warning, { isFailure: true });
      onCreated(id);
    } catch (error) {
      showMistakes(error);
    } finally {
      button.disabled = false;
    }
  });

  byId("instruction").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  for (const id of ["new-task", "new-first-task"]) {
    byId(id).addEventListener("click", openCreate);
  }
}

export function openCreate() {
  if (document.body.classList.contains("is-read-only")) return;
  clearMistakes();
  byId("create", HTMLDialogElement).showModal();
  byId("instruction").focus();
}

/**
 * What the form says; undefined where that can't be sent.
 *
 * @param {HTMLFormElement} form
 */
function readForm(form) {
  const data = new FormData(form);
  /** @param {string} name */
  const given = (name) => String(data.get(name) ?? "").trim();
  if (given("instruction") === "") {
    showMistake("instruction", "Say what is to be done.");
    return undefined;
  }
  /** @type {Record<string, unknown>} */
  const body = { instruction: given("instruction") };
  for (const name of ["provider", "target"]) {
    if (given(name) !== "") body[name] = given(name);
  }
  if (body.target !== undefined) body.target_type = given("target_type");
  for (const name of ["priority", "attempts", "timeout"]) {
    if (given(name) !== "") body[name] = Number(given(name));
  }
  if (given("run_at") !== "") {
    body.run_at = new Date(given("run_at")).toISOString();
  }
  if (given("trace") !== "") {
    try {
      body.trace = JSON.parse(given("trace"));
    } catch {
      showMistake("trace", 'Not JSON. Example: {"branch": "main"}');
      return undefined;
    }
  }
  return body;
}

/** @param {unknown} error */
function showMistakes(error) {
  const fields = error instanceof ApiError ? error.fields : [];
  const known = fields.filter(({ path, message }) => {
    const name = path.split(".")[1] ?? "";
    return FIELDS.has(name) && showMistake(name, message);
  });
  if (known.length === 0) notifyFailure(error);
}

/**
 * @param {string} name
 * @param {string} message
 */
function showMistake(name, message) {
  const field = byId(FIELDS.get(name) ?? name);
  const options = field.closest("details");
  if (options) options.open = true;
  const id = `${name}-mistake`;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
  field.parentElement?.append(el("p.mistake", { id }, message));
  if (!document.activeElement?.hasAttribute("aria-invalid")) field.focus();
  return true;
}

function clearMistakes() {
  const form = byId("create-form");
  for (const line of form.querySelectorAll(".mistake")) line.remove();
  for (const id of FIELDS.values()) {
    byId(id).removeAttribute("aria-invalid");
    byId(id).removeAttribute("aria-describedby");
  }
}

/** `crypto.randomUUID()` is not there on a page without TLS. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((it) => it.toString(16).padStart(2, "0")).join("");
}

/**
 * Shows the command for the same in a terminal.
 *
 * @param {string} url
 */
export function showFirstCommand(url) {
  fill(
    byId("first-command"),
    `curl ${url} -H 'Content-Type: application/json' ` +
      `-d '{"instruction": "Summarise the open issues"}'`,
  );
}
