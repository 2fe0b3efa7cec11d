// @ts-check
/** The tasks that match the filters, as far as they were scrolled to. */

import { ApiError, getTask, listTasks } from "./api.js";
import { parametersOf } from "./search.js";

/**
 * @typedef {import("./types.ts").ListedTask} ListedTask
 * @typedef {import("./types.ts").WholeTask} WholeTask
 * @typedef {{ state: string, provider: string, q: string }} Filter
 */

const PAGE_TASKS = 100;
/** Changed tasks beyond the first page that are read again at once. */
const MAX_SINGLE_READS = 20;

/**
 * Fires `change` whenever there is something else to show, and `failure` with
 * the error where it can't be read.
 */
export class TaskList extends EventTarget {
  /** @type {ListedTask[]} */
  tasks = [];
  total = 0;
  /** Nothing was read yet for these filters. */
  isLoading = true;
  /** How many came in above those that were shown, by the last change. */
  added = 0;
  /** @type {Filter} */
  filter = { state: "", provider: "", q: "" };
  /** @type {string | null} */
  #cursor = null;
  #abort = new AbortController();
  #isReadingMore = false;
  #hasFailed = false;
  /** @type {Promise<void> | undefined} */
  #refreshing;
  /** @type {Set<string>} */
  #changed = new Set();

  get hasMore() {
    return this.#cursor !== null;
  }

  /** Says whether all tasks are meant. */
  get isUnfiltered() {
    const { state, provider, q } = this.filter;
    return state === "" && provider === "" && q === "";
  }

  /**
   * Shows other tasks.
   *
   * @param {Partial<Filter>} filter
   */
  async select(filter) {
    this.filter = { ...this.filter, ...filter };
    this.#abort.abort();
    const { signal } = this.#abort = new AbortController();
    this.#refreshing = undefined;
    this.#isReadingMore = false;
    this.isLoading = true;
    await this.#reading(signal, async () => {
      const page = await listTasks(this.#query(), signal);
      this.tasks = page.tasks;
      this.total = page.total;
      this.#cursor = page.next_cursor;
      this.#changed.clear();
      this.isLoading = false;
      this.added = 0;
    });
  }

  /** Reads the page after those that are there. */
  async more() {
    if (this.#isReadingMore || this.#cursor === null || this.isLoading) return;
    this.#isReadingMore = true;
    const { signal } = this.#abort;
    await this.#reading(signal, async () => {
      const query = this.#query();
      query.set("cursor", this.#cursor ?? "");
      const page = await listTasks(query, signal);
      const known = new Set(this.tasks.map(({ id }) => id));
      this.tasks.push(...page.tasks.filter(({ id }) => !known.has(id)));
      this.total = page.total;
      this.#cursor = page.next_cursor;
      this.added = 0;
    });
    if (signal === this.#abort.signal) this.#isReadingMore = false;
  }

  /**
   * Notes that a task changed; {@linkcode refresh} reads it.
   *
   * @param {string} id
   */
  touch(id) {
    this.#changed.add(id);
  }

  /** Reads again what may have changed. */
  refresh() {
    if (this.isLoading) {
      return this.#hasFailed ? this.select({}) : Promise.resolve();
    }
    const { signal } = this.#abort;
    this.#refreshing ??= this.#reading(signal, () => this.#readAgain(signal))
      .finally(() => {
        if (signal === this.#abort.signal) this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  /** @param {AbortSignal} signal */
  async #readAgain(signal) {
    const page = await listTasks(this.#query(), signal);
    const changed = this.#changed;
    this.#changed = new Set();
    const first = this.tasks[0]?.id;
    const onPage = new Set(page.tasks.map(({ id }) => id));
    const last = page.tasks.at(-1);
    // Where the page is the last one, nothing comes after it.
    const rest = last && page.next_cursor !== null
      ? this.tasks.filter((task) => !onPage.has(task.id) && isAfter(task, last))
      : [];
    const others = await this.#readOthers(rest, changed, signal);
    const before = page.tasks.findIndex(({ id }) => id === first);
    this.added = Math.max(0, before);
    this.tasks = [...page.tasks, ...others];
    this.total = page.total;
    if (rest.length === 0) this.#cursor = page.next_cursor;
  }

  /**
   * @param {ListedTask[]} tasks
   * @param {Set<string>} changed
   * @param {AbortSignal} signal
   */
  async #readOthers(tasks, changed, signal) {
    const ids = tasks.filter(({ id }) => changed.has(id))
      .slice(0, MAX_SINGLE_READS).map(({ id }) => id);
    const read = await Promise.all(ids.map(async (id) => {
      try {
        return listedOf(await getTask(id, signal));
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return undefined;
        throw error;
      }
    }));
    const known = new Map(ids.map((id, index) => [id, read[index]]));
    const { state } = this.filter;
    return tasks.flatMap((task) => {
      const current = known.has(task.id) ? known.get(task.id) : task;
      return current && (state === "" || current.state === state)
        ? [current]
        : [];
    });
  }

  #query() {
    const query = new URLSearchParams({ limit: String(PAGE_TASKS) });
    const { q, ...others } = this.filter;
    const parameters = [...Object.entries(others), ...parametersOf(q)];
    for (const [name, value] of parameters) {
      if (value !== "") query.set(name, value);
    }
    return query;
  }

  /**
   * @param {AbortSignal} signal
   * @param {() => Promise<void>} read
   */
  async #reading(signal, read) {
    try {
      await read();
      this.#hasFailed = false;
    } catch (error) {
      if (signal.aborted) return;
      this.#hasFailed = true;
      this.dispatchEvent(new CustomEvent("failure", { detail: error }));
      return;
    }
    if (!signal.aborted) this.dispatchEvent(new Event("change"));
  }
}

/**
 * Newest first; of those of one time, the highest id.
 *
 * @param {ListedTask} task
 * @param {ListedTask} other
 */
function isAfter(task, other) {
  return task.created_at === other.created_at
    ? task.id < other.id
    : task.created_at < other.created_at;
}

/**
 * A whole task as a list has it.
 *
 * @param {WholeTask} task
 * @returns {ListedTask}
 */
export function listedOf({ trace, ...task }) {
  const { progress, progress_fraction, error, question } = traceOf(trace);
  /** @param {unknown} value */
  const text = (value) => typeof value === "string" ? value : null;
  return {
    ...task,
    progress: text(progress),
    progress_fraction: typeof progress_fraction === "number"
      ? progress_fraction
      : null,
    error: task.state === "failed" ? text(error) : null,
    question: text(question),
  };
}

/**
 * A trace's keys; another program may have left anything there.
 *
 * @param {unknown} trace
 * @returns {Record<string, unknown>}
 */
export function traceOf(trace) {
  return typeof trace === "object" && trace !== null && !Array.isArray(trace)
    ? /** @type {Record<string, unknown>} */ (trace)
    : {};
}
