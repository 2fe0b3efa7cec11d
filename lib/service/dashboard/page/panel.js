// @ts-check
/** One task, with all that is known of it and what one can do. */

import { act, ApiError, canRetry, getEvents, getTask } from "./api.js";
import { approveShown, ChangesBox } from "./changes.js";
import { byId, fill, throttled } from "./dom.js";
import { factElements } from "./facts.js";
import { GraphView } from "./graph.js";
import { LogView } from "./log.js";
import { confirmed, notify, notifyFailure } from "./notice.js";
import { pauses } from "./pauses.js";
import { titleOf } from "./rows.js";
import { isFinal, stateBadge } from "./states.js";
import { listedOf, traceOf } from "./task_list.js";
import { timelineEntries } from "./timeline.js";
import { showTaskUsage } from "./usage.js";

/** @typedef {import("./types.ts").WholeTask} WholeTask */

const REFRESH_MS = 300;
const NARROW = "(max-width: 720px)";

/** Fires `close` when the panel was closed by the person. */
export class Panel extends EventTarget {
  #panel = byId("panel");
  #answer = byId("answer", HTMLTextAreaElement);
  /** @type {string | undefined} */
  #id;
  /** @type {WholeTask | undefined} */
  #task;
  #isFocusWanted = false;
  #abort = new AbortController();
  #log = new LogView();
  #graph = new GraphView();
  #changes = new ChangesBox();
  /** Reads the task again, soon. */
  refresh = throttled(() => this.#read(), REFRESH_MS);

  constructor() {
    super();
    byId("panel-close").addEventListener("click", () => this.close());
    byId("panel-cancel").addEventListener("click", () => this.#cancel());
    byId("panel-retry").addEventListener("click", () => this.#act("retry"));
    byId("panel-approve").addEventListener("click", () => this.#approve());
    byId("panel-copy").addEventListener("click", () => this.#copy());
    byId("panel-copy").hidden = !navigator.clipboard;
    byId("answer-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendAnswer();
    });
    this.#answer.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.#sendAnswer();
      }
    });
    this.#changes.addEventListener("acted", () => this.#read());
    matchMedia(NARROW).addEventListener("change", () => this.#cover());
    pauses.addEventListener("change", () => this.#showWait());
  }

  /** The task that is shown. */
  get id() {
    return this.#id;
  }

  /**
   * Shows a task.
   *
   * @param {string} id
   * @param {{ takesFocus?: boolean }} [options]
   */
  async open(id, { takesFocus = true } = {}) {
    if (this.#id !== id) {
      this.#id = id;
      this.#task = undefined;
      this.#answer.value = "";
      this.#panel.classList.add("is-loading");
      byId("panel-body").scrollTop = 0;
    }
    this.#isFocusWanted = takesFocus;
    this.#panel.hidden = false;
    this.#cover();
    this.#log.open(id);
    this.#graph.open(id);
    await this.#read();
  }

  /** Reads all anew that it shows, soon. */
  reload() {
    this.refresh();
    this.#graph.refresh();
  }

  /**
   * Something happened to a task.
   *
   * @param {string} id
   * @param {string} kind
   */
  touch(id, kind) {
    if (id === this.#id) this.refresh();
    this.#graph.touch(id, kind);
  }

  /** What is opened may be read anew before it was shown at all. */
  #takeFocus() {
    if (!this.#isFocusWanted) return;
    this.#isFocusWanted = false;
    const asks = this.#answer.checkVisibility() && !matchMedia(NARROW).matches;
    (asks ? this.#answer : byId("panel-title")).focus();
  }

  close() {
    if (this.#id === undefined) return;
    this.hide();
    this.dispatchEvent(new Event("close"));
  }

  hide() {
    this.#id = undefined;
    this.#abort.abort();
    this.#log.close();
    this.#graph.close();
    this.#changes.close();
    this.#panel.hidden = true;
    this.#cover();
  }

  /** On a phone the panel is all that one sees, so it must be all there is. */
  #cover() {
    const isCovering = this.#id !== undefined && matchMedia(NARROW).matches;
    for (const name of ["main", "top"]) byId(name).inert = isCovering;
    document.body.classList.toggle("is-covered", isCovering);
  }

  async #read() {
    const id = this.#id;
    if (id === undefined) return;
    this.#abort.abort();
    const { signal } = this.#abort = new AbortController();
    try {
      const [task, { events }] = await Promise.all([
        getTask(id, signal),
        getEvents(id, signal),
      ]);
      const isRetryable = task.state === "failed" && await canRetry();
      if (signal.aborted) return;
      this.#task = task;
      this.#show(task, isRetryable);
      fill(byId("timeline"), ...timelineEntries(events));
      this.#panel.classList.remove("is-loading");
      this.#takeFocus();
    } catch (error) {
      if (signal.aborted) return;
      notifyFailure(error);
      const isGone = error instanceof ApiError &&
        [400, 404].includes(error.status);
      if (isGone) this.close();
    }
  }

  /**
   * @param {WholeTask} task
   * @param {boolean} isRetryable
   */
  #show(task, isRetryable) {
    const listed = listedOf(task);
    const trace = traceOf(task.trace);
    const isStopping = task.cancel_requested_at !== null;
    fill(byId("panel-state"), stateBadge(task));
    fill(byId("panel-id"), task.id.slice(0, 8));
    byId("panel-id").title = task.id;
    fill(byId("panel-title"), titleOf(task));
    const whole = task.instruction?.trim() ?? "";
    showText("panel-instruction", whole === titleOf(task) ? "" : whole);
    showTaskUsage(trace);
    this.#showWait();
    this.#changes.show(task);
    fill(byId("facts"), ...factElements(task));
    byId("panel-cancel").hidden = isFinal(task.state);
    byId("panel-cancel", HTMLButtonElement).disabled = isStopping;
    fill(byId("panel-cancel-text"), isStopping ? "Stopping…" : "Cancel task");
    byId("panel-retry").hidden = !isRetryable;
    byId("panel-actions").hidden = isFinal(task.state) && !isRetryable;

    byId("question").hidden = task.state !== "needs_input";
    fill(byId("question-text"), listed.question ?? "The task asked nothing.");
    const approval = APPROVALS[Object(trace.asks_approval).of];
    fill(
      byId("question-kind"),
      approval ? "Needs your approval" : "Needs your input",
    );
    byId("panel-approve").hidden = !approval;
    fill(byId("panel-approve"), approval ?? "");
    byId("error").hidden = task.state !== "failed";
    fill(byId("error-text"), listed.error ?? "No reason was given.");
    const output = task.state === "completed" ? trace.output : undefined;
    showText("result", output === undefined ? "" : asText(output));
    byId("result-box").hidden = output === undefined;
    this.#showProgress(listed, output === undefined);
    const text = typeof task.trace === "string"
      ? task.trace
      : JSON.stringify(task.trace ?? {}, null, 2);
    fill(byId("trace"), text);
  }

  #showWait() {
    showText("panel-wait", this.#task ? pauses.reasonOf(this.#task) : "");
  }

  /**
   * @param {ReturnType<typeof listedOf>} task
   * @param {boolean} isAllThereIs
   */
  #showProgress(
    { state, progress, progress_fraction: fraction },
    isAllThereIs,
  ) {
    const isTold = state === "running" ||
      (state === "completed" && isAllThereIs);
    byId("progress").hidden = !isTold ||
      (progress === null && fraction === null);
    fill(byId("progress-text"), progress ?? "");
    const bar = byId("progress-bar", HTMLProgressElement);
    bar.hidden = fraction === null || state !== "running";
    bar.value = Math.round((fraction ?? 0) * 100);
    fill(byId("progress-percent"), bar.hidden ? "" : `${bar.value}%`);
  }

  async #cancel() {
    const task = this.#task;
    if (!task) return;
    const isSure = await confirmed({
      title: "Cancel this task?",
      text: titleOf(task),
      action: "Cancel the task",
    });
    if (isSure) await this.#act("cancel");
  }

  async #sendAnswer() {
    const text = this.#answer.value.trim();
    if (text === "") return this.#answer.focus();
    const isDone = await this.#act("answer", { answer: text });
    if (!isDone) return;
    this.#answer.value = "";
    byId("panel-title").focus();
  }

  async #approve() {
    if (await this.#act("approve")) byId("panel-title").focus();
  }

  /**
   * @param {"cancel" | "retry" | "answer" | "approve"} action
   * @param {Record<string, unknown>} [body]
   */
  async #act(action, body) {
    const task = this.#task;
    if (!task) return false;
    this.#setBusy(true);
    try {
      const { result } = action === "approve"
        ? await approveShown(task)
        : await act(task.id, action, body);
      notify(DONE[result] ?? "Done");
      return true;
    } catch (error) {
      notifyFailure(error);
      return false;
    } finally {
      this.#setBusy(false);
      await this.#read();
    }
  }

  /** @param {boolean} isBusy */
  #setBusy(isBusy) {
    for (const button of this.#panel.querySelectorAll("button.acts")) {
      if (button instanceof HTMLButtonElement) button.disabled = isBusy;
    }
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#id ?? "");
      notify("Id copied");
    } catch (error) {
      notifyFailure(error);
    }
  }
}

/** What a task can ask to have approved. @type {Readonly<Record<string, string>>} */
const APPROVALS = {
  start: "Approve its start",
  merge: "Approve its changes",
};

/** @type {Readonly<Record<string, string>>} */
const DONE = {
  cancelled: "Task cancelled",
  requested: "The runner stops the task within seconds",
  answered: "Answer sent; the task goes on",
  approved: "Approved; the task goes on",
  retried: "A new task does it again",
  due: "The task is tried again at once",
};

/**
 * @param {string} id
 * @param {string} text
 */
function showText(id, text) {
  fill(byId(id), text);
  byId(id).hidden = text === "";
}

/** @param {unknown} value */
function asText(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
