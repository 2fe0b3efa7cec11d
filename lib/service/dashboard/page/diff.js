// @ts-check
/** What a task changed in its repository: to be read, commented on, and approved. */

import { act, getChanges, noteTask } from "./api.js";
import {
  approveShown,
  askedHead,
  countElements,
  OTHER_CHANGES,
  sumElements,
} from "./changes.js";
import { CommentBoxes } from "./diff_boxes.js";
import { Comments } from "./diff_comments.js";
import { drawFile, Lazy } from "./diff_file.js";
import { byId, el, fill } from "./dom.js";
import { plural } from "./format.js";
import { confirmed, notify, notifyFailure } from "./notice.js";
import { isFinal } from "./states.js";
import { traceOf } from "./task_list.js";

/**
 * @typedef {import("./types.ts").WholeTask} WholeTask
 * @typedef {import("./types.ts").Changes} Changes
 * @typedef {import("./types.ts").ChangedFile} ChangedFile
 */

/** Wide enough for two sides. */
const WIDE = "(min-width: 1100px)";
/** Of larger files, only the name is shown at first. */
const MAX_OPEN_LINES = 1_000;

/** The changes of the task that is shown. */
export class DiffView {
  #dialog = byId("diff", HTMLDialogElement);
  #place = byId("diff-patches");
  #lazy = new Lazy(this.#place);
  #comments = new Comments();
  #boxes = new CommentBoxes(this.#place, this.#comments);
  /** @type {WholeTask | undefined} */
  #task;
  /** @type {Changes | undefined} */
  #changes;
  #onAct;

  /** @param {() => void} onAct called when something was sent. */
  constructor(onAct) {
    this.#onAct = onAct;
    byId("diff-again").addEventListener("click", () => this.#read());
    byId("diff-send").addEventListener("click", () => this.#send());
    byId("diff-approve").addEventListener("click", () => this.#approve());
    byId("diff-discard").addEventListener("click", () => this.#discard());
    matchMedia(WIDE).addEventListener("change", () => this.#draw());
    this.#comments.addEventListener("change", () => this.#showActions());
    this.#dialog.addEventListener("close", () => {
      this.#lazy.clear();
      this.#changes = undefined;
      fill(this.#place);
    });
  }

  /**
   * The task, as it is now.
   *
   * @param {WholeTask} task
   */
  show(task) {
    if (task.id !== this.#task?.id) this.#comments.open(task.id);
    const isSame = askedHead(task) === askedHead(this.#task);
    this.#task = task;
    this.#showActions();
    // What is approved is what is shown.
    if (!isSame && this.#dialog.open) this.#read();
  }

  close() {
    this.#dialog.close();
  }

  async open() {
    byId("diff-list", HTMLDetailsElement).open = matchMedia(WIDE).matches;
    await this.#read();
    if (this.#changes && !this.#dialog.open) this.#dialog.showModal();
    this.#draw();
    byId("diff-title").focus();
  }

  async #read() {
    const id = this.#task?.id;
    if (id === undefined) return;
    try {
      const changes = await getChanges(id);
      if (id !== this.#task?.id) return;
      this.#changes = changes;
      if (this.#dialog.open) this.#draw();
    } catch (error) {
      notifyFailure(error);
    }
  }

  #draw() {
    const changes = this.#changes;
    if (!changes) return;
    const { files, base, head, branch, uncommitted, truncated } = changes;
    const sum = (/** @type {"insertions" | "deletions"} */ name) =>
      files.reduce((sum, file) => sum + file[name], 0);
    fill(
      byId("diff-sum"),
      ...sumElements(files.length, {
        insertions: sum("insertions"),
        deletions: sum("deletions"),
      }),
    );
    const parts = [
      branch,
      base === head
        ? `from ${base.slice(0, 8)}`
        : `${base.slice(0, 8)} to ${head.slice(0, 8)}`,
      uncommitted && "with what is in no commit yet",
      truncated && "without what is too large",
    ];
    fill(byId("diff-what"), parts.filter(Boolean).join(", "));
    this.#lazy.clear();
    const isSplit = matchMedia(WIDE).matches;
    const sections = files.map((file) => this.#section(file, isSplit));
    fill(
      this.#place,
      ...sections,
      files.length === 0 && el("p.diff-none", null, "Nothing was changed."),
    );
    fill(
      byId("diff-files"),
      ...files.map((file, at) => link(file, sections[at])),
    );
    fill(byId("diff-count"), plural(files.length, "file"));
    this.#boxes.show();
  }

  /**
   * @param {ChangedFile} file
   * @param {boolean} isSplit
   */
  #section(file, isSplit) {
    const { path, old_path, status, insertions, deletions } = file;
    const body = el("div.diff-file-body", null);
    const section = el(
      "details.diff-file",
      {
        open: insertions + deletions <= MAX_OPEN_LINES,
        "data-path": path,
      },
      el(
        "summary",
        null,
        el("span.diff-path", null, old_path ? `${old_path} → ${path}` : path),
        status !== "modified" && el("span.diff-status", null, status),
        el("span.diff-sum", null, ...countsOf(file)),
      ),
      body,
    );
    drawFile(body, {
      file,
      lazy: this.#lazy,
      isSplit,
      onRow: (row, lines) => this.#boxes.addTo(row, { path, lines }),
    });
    return section;
  }

  #showActions() {
    const task = this.#task;
    if (!task) return;
    const comments = this.#comments.all.length;
    const asks = traceOf(traceOf(task.trace).asks_approval);
    byId("diff-approve").hidden = task.state !== "needs_input" || !asks.of;
    fill(
      byId("diff-comments"),
      comments > 0
        ? plural(comments, "comment")
        : "Click on a line's number to comment on it.",
    );
    byId("diff-send").hidden = comments === 0;
    byId("diff-discard").hidden = comments === 0;
    fill(byId("diff-send"), SENDS[wayOf(task)]);
  }

  async #send() {
    const task = this.#task;
    if (!task) return;
    const paths = this.#changes?.files.map(({ path }) => path) ?? [];
    const text = this.#comments.note(paths);
    await this.#act(async () => {
      const way = wayOf(task);
      if (way === "answer") await act(task.id, "answer", { answer: text });
      if (way === "note") await noteTask(task.id, text);
      const made = way === "retry"
        ? await act(task.id, "retry", { note: text })
        : undefined;
      this.#comments.clear();
      notify(SENT[way]);
      if (made?.new_id) location.hash = `#/tasks/${made.new_id}`;
    });
  }

  async #approve() {
    const task = this.#task;
    if (!task) return;
    const head = askedHead(task);
    if (head !== undefined && head !== this.#changes?.head) {
      await this.#read();
      notify(OTHER_CHANGES);
      return;
    }
    const left = this.#comments.all.length;
    const isSure = left === 0 || await confirmed({
      title: "Approve without the comments?",
      text: `${plural(left, "comment")} would not be sent.`,
      action: "Approve",
    });
    if (!isSure) return;
    await this.#act(async () => {
      await approveShown(task);
      this.#comments.clear();
      notify("Approved; the task goes on");
    });
  }

  async #discard() {
    const isSure = await confirmed({
      title: "Discard the comments?",
      text: plural(this.#comments.all.length, "comment"),
      action: "Discard them",
    });
    if (!isSure) return;
    this.#comments.clear();
    this.#boxes.show();
  }

  /** @param {() => Promise<void>} work */
  async #act(work) {
    const buttons = ["diff-send", "diff-approve"].map((id) =>
      byId(id, HTMLButtonElement)
    );
    for (const button of buttons) button.disabled = true;
    try {
      await work();
      this.close();
      this.#onAct();
    } catch (error) {
      notifyFailure(error);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }
}

const SENDS = {
  answer: "Send as the answer",
  retry: "Go on with the comments",
  note: "Leave as a note",
};
const SENT = {
  answer: "Comments sent; the task goes on",
  retry: "A new task goes on with the comments",
  note: "The agent gets the comments with its next attempt",
};

/**
 * How a note gets to the agent.
 *
 * @param {WholeTask} task
 * @returns {"answer" | "retry" | "note"}
 */
function wayOf({ state }) {
  if (state === "needs_input") return "answer";
  return isFinal(state) ? "retry" : "note";
}

/** @param {ChangedFile} file */
function countsOf(file) {
  return file.binary ? ["binary"] : countElements(file);
}

/**
 * @param {ChangedFile} file
 * @param {HTMLElement | undefined} section
 */
function link(file, section) {
  const button = el(
    "button.diff-link",
    { type: "button", title: file.path },
    el("span.diff-name", null, el("bdi", null, file.path)),
    el("span.diff-sum", null, ...countsOf(file)),
  );
  button.addEventListener("click", () => {
    if (!(section instanceof HTMLDetailsElement)) return;
    section.open = true;
    section.scrollIntoView();
    section.querySelector("summary")?.focus();
  });
  return el("li", null, button);
}
