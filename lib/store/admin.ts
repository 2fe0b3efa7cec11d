/**
 * What people need of tasks, as both databases do it in their own statements.
 *
 * @module
 */

import { type Admin, inSets } from "./contract.ts";
import { type EditStore, editTask, moveTasks } from "./edit_tasks.ts";
import { RefusedRowsError } from "./refused.ts";
import {
  amendTask,
  answerTasks,
  approveTasks,
  cancelTasks,
  noteTask,
  type RequestStore,
} from "./requests.ts";
import { type RetryStore, retryTasks } from "./retry.ts";
import { sizeWith } from "./sets.ts";

/** Tasks of one transaction. They take well under a second; then others may write. */
const SET_SIZE = 10_000;

/** What a database does for it, in the transaction that is open. */
export interface AdminStore extends
  Pick<
    Admin,
    | "get"
    | "find"
    | "page"
    | "count"
    | "batches"
    | "history"
    | "logs"
    | "cancellable"
    | "retryable"
    | "dependents"
    | "graph"
    | "stats"
    | "overview"
    | "prunable"
    | "runners"
    | "pauses"
    | "pause"
    | "resume"
    | "drain"
  > {
  readonly requests: RequestStore;
  readonly edits: EditStore;
  readonly retries: RetryStore;
}

type Work<T> = (store: AdminStore) => Promise<T>;
type WorkOnSet<T> = (store: AdminStore, set: string[]) => Promise<T[]>;

/** A database, and what is more to it than statements in one transaction. */
export interface AdminDatabase
  extends Pick<Admin, "create" | "export" | "prune" | "pruneHistory"> {
  /** Runs `work` in a transaction that changes nothing. */
  read<T>(work: Work<T>): Promise<T>;
  /** Runs it in one that may; with `isLong`, each statement may take minutes. */
  change<T>(
    work: Work<T>,
    options?: { readonly isLong?: boolean },
  ): Promise<T>;
  /** Wakes the queue's listeners. */
  announce(): void;
  /** What the database's error means, and what to do. */
  explained(error: unknown): Error;
}

/** The {@linkcode Admin} of a database. Its changes wake the queue's listeners. */
export function adminOf(database: AdminDatabase): Admin {
  const { read, change } = database;

  async function announcing<T>(work: Promise<T>): Promise<T> {
    const result = await work;
    database.announce();
    return result;
  }

  function workInSets<T>(
    ids: readonly string[],
    work: WorkOnSet<T>,
    { size = SET_SIZE }: { readonly size?: number } = {},
  ): Promise<T[]> {
    return inSets(ids, size, async (set) => {
      try {
        return await inParts(set, work);
      } finally {
        database.announce();
      }
    });
  }

  /** A row that the database refuses takes no other with it, and is told of then. */
  async function inParts<T>(set: string[], work: WorkOnSet<T>): Promise<T[]> {
    try {
      return await change((store) => work(store, set), { isLong: true });
    } catch (error) {
      if (!(error instanceof RefusedRowsError)) throw error;
      if (set.length === 1) throw database.explained(error.cause);
    }
    const middle = Math.ceil(set.length / 2);
    const halves = await Promise.allSettled(
      [set.slice(0, middle), set.slice(middle)]
        .map((half) => inParts(half, work)),
    );
    return halves.flatMap((half) => {
      if (half.status === "rejected") throw half.reason;
      return half.value;
    });
  }

  async function workOn<T>(id: string, work: Work<T>): Promise<T | "missing"> {
    const [result = "missing"] = await workInSets(
      [id],
      async (store) => [await work(store)],
    );
    return result;
  }

  return {
    create: (tasks) => announcing(database.create(tasks)),
    get: (id) => read((store) => store.get(id)),
    find: (prefix, limit) =>
      read((store) => store.find(prefix.toLowerCase(), limit)),
    page: (options) => read((store) => store.page(options)),
    count: () => read((store) => store.count()),
    batches: (options) => read((store) => store.batches(options)),
    history: (taskId) => read((store) => store.history(taskId)),
    logs: (options) => read((store) => store.logs(options)),
    cancellable: (filter) => read((store) => store.cancellable(filter)),
    retryable: (filter) => read((store) => store.retryable(filter)),
    cancel: (ids) =>
      workInSets(ids, ({ requests }, set) => cancelTasks(requests, set)),
    answer: (ids, text) =>
      workInSets(
        ids,
        ({ requests }, set) => answerTasks(requests, set, text),
        { size: sizeWith(text, SET_SIZE) },
      ),
    approve: (ids, { head } = {}) =>
      workInSets(
        ids,
        ({ requests }, set) => approveTasks(requests, set, { head }),
      ),
    amend: (id, amendment) =>
      workOn(id, ({ requests }) => amendTask(requests, id, amendment)),
    note: (id, text) =>
      workOn(id, ({ requests }) => noteTask(requests, id, text)),
    retry: (ids, { note } = {}) =>
      workInSets(
        ids,
        ({ retries }, set) => retryTasks(retries, set, note),
        { size: sizeWith(note, SET_SIZE) },
      ),
    dependents: (ids) => read((store) => store.dependents(ids)),
    graph: (id, options) => read((store) => store.graph(id, options)),
    edit: (id, changes) =>
      workOn(id, ({ edits }) => editTask(edits, id, changes)),
    move: (ids, to) =>
      workInSets(
        ids,
        ({ edits }, set) => moveTasks(edits, set, to),
        { size: Infinity },
      ),
    stats: (options) => read((store) => store.stats(options)),
    overview: (options) => read((store) => store.overview(options)),
    export: database.export,
    prunable: (before) => read((store) => store.prunable(before)),
    prune: (before) => announcing(database.prune(before)),
    // Wakes nobody: runners do it themselves, and it makes nothing claimable.
    pruneHistory: database.pruneHistory,
    runners: () => read((store) => store.runners()),
    pauses: () => read((store) => store.pauses()),
    pause: (target, options) =>
      announcing(change((store) => store.pause(target, options))),
    resume: (target) => announcing(change((store) => store.resume(target))),
    drain: (names) => announcing(change((store) => store.drain(names))),
  };
}
