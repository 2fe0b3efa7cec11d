// @ts-check
/** Of a task that works on a repository: how much it changed, and the way there. */

import { approve } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { count, plural } from "./format.js";
import { notifyFailure } from "./notice.js";
import { traceOf } from "./task_list.js";

/** @typedef {import("./types.ts").WholeTask} WholeTask */

/** Fires `acted` when something was done to the task. */
export class ChangesBox extends EventTarget {
  /** @type {WholeTask | undefined} */
  #task;
  /** @type {import("./diff.js").DiffView | undefined} */
  #view;

  constructor() {
    super();
    byId("changes-open").addEventListener("click", () => this.#open());
  }

  /** @param {WholeTask} task */
  show(task) {
    this.#task = task;
    const known = traceOf(traceOf(task.trace).workspace);
    const { branch, base, files, insertions, deletions } = known;
    byId("changes-box").hidden = typeof branch !== "string";
    fill(byId("changes-branch"), `${branch} from ${base}`);
    const isCounted = [files, insertions, deletions].every(Number.isInteger);
    fill(
      byId("changes-sum"),
      ...isCounted
        ? sumElements(Number(files), {
          insertions: Number(insertions),
          deletions: Number(deletions),
        })
        : [],
    );
    this.#view?.show(task);
  }

  close() {
    this.#view?.close();
  }

  async #open() {
    if (!this.#task) return;
    try {
      // Most people open no diff.
      const { DiffView } = await import("./diff.js");
      this.#view ??= new DiffView(() => this.dispatchEvent(new Event("acted")));
      this.#view.show(this.#task);
      await this.#view.open();
    } catch (error) {
      notifyFailure(error);
    }
  }
}

/** What is said where it is another commit than the one that was shown. */
export const OTHER_CHANGES =
  "There are other changes by now. Look at them, and approve again";

/**
 * The commit of which a task asks whether the changes are approved.
 *
 * @param {WholeTask | undefined} task
 */
export function askedHead(task) {
  const { head } = traceOf(traceOf(task?.trace).asks_approval);
  return typeof head === "string" ? head : undefined;
}

/**
 * Approves what a task asks for, as it is shown.
 *
 * @param {WholeTask} task
 */
export async function approveShown(task) {
  const head = askedHead(task);
  const { result } = await approve(task.id, head);
  if (result === "approved") return { result };
  throw new Error(
    head === undefined ? "It asks for that no more." : OTHER_CHANGES,
  );
}

/**
 * @param {number} files
 * @param {{ insertions: number, deletions: number }} counts
 */
export function sumElements(files, counts) {
  return [`${plural(files, "file")} `, ...countElements(counts)];
}

/** @param {{ insertions: number, deletions: number }} counts */
export function countElements({ insertions, deletions }) {
  return [
    el("span.is-plus", null, `+${count(insertions)}`),
    " ",
    el("span.is-minus", null, `−${count(deletions)}`),
  ];
}
