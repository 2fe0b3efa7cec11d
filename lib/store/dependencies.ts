/**
 * Which task waits for which, and what comes of those behind one that failed:
 * worked out here, read and written by each store.
 *
 * @module
 */

import { cut } from "../base/cut.ts";
import { DependencyError } from "../base/errors.ts";
import type { IfFailed, NewTask } from "../task/task.ts";
import type { EndBehind } from "../task/transitions.ts";
import type { Sorted } from "./keys.ts";

/** One task waits for another; the position is that in the list that was given. */
export interface Dependency {
  readonly taskId: string;
  readonly afterId: string;
  readonly position: number;
}

/** What the texts of new tasks may name: ids that there are, and the ids of keys. */
export interface Named {
  readonly ids: ReadonlySet<string>;
  /** Of each key, the newest task that has it. */
  readonly keys: ReadonlyMap<string, string>;
}

interface WaitingTask {
  readonly id: string;
  /** What people call it. */
  readonly name: string;
  /** Which of the new tasks it is, from 0. */
  readonly index: number;
  readonly after: readonly string[];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Collects what tasks wait for while they are created. */
export class NewDependencies {
  readonly #tasks = new Map<string, WaitingTask>();
  readonly #idOfKey = new Map<string, string>();
  #count = 0;

  /** To be called with each set of new tasks, in their order. */
  add(
    tasks: readonly NewTask[],
    { ids, known }: Pick<Sorted, "ids" | "known">,
  ): void {
    for (const [position, { after = [], ...task }] of tasks.entries()) {
      const id = ids[position] ?? "";
      const key = task.key?.toWellFormed();
      const index = this.#count++;
      // What is there already waits for what it waited for, and is looked up.
      if (known.has(position)) continue;
      if (key) this.#idOfKey.set(key, id);
      if (after.length === 0) continue;
      const names = after.map((it) => it.toWellFormed());
      this.#tasks.set(id, { id, name: key ?? id, index, after: names });
    }
  }

  /** The tasks that wait for others. */
  get waiting(): string[] {
    return [...this.#tasks.keys()];
  }

  /** The ids, and the keys of other tasks, that are to be looked up. */
  get named(): { readonly ids: string[]; readonly keys: string[] } {
    const all = new Set(
      [...this.#tasks.values()].flatMap(({ after }) => after),
    );
    const names = [...all];
    return {
      ids: names.filter((name) => UUID.test(name)),
      keys: names.filter((name) =>
        !UUID.test(name) && !this.#idOfKey.has(name)
      ),
    };
  }

  /**
   * What waits for what.
   *
   * @throws {DependencyError} where a task is not there, or they wait in a circle.
   */
  resolve(named: Named): Dependency[] {
    const dependencies = [...this.#tasks.values()].flatMap((task) =>
      [...new Set(task.after.map((text) => this.#idOf(text, task, named)))]
        .map((afterId, position) => ({ taskId: task.id, afterId, position }))
    );
    this.#assertNoCircle(dependencies);
    return dependencies;
  }

  #idOf(text: string, { index }: WaitingTask, { ids, keys }: Named): string {
    const isId = UUID.test(text);
    const id = isId ? text : this.#idOfKey.get(text) ?? keys.get(text);
    if (id !== undefined && (!isId || ids.has(id))) return id;
    throw new DependencyError(
      `Cannot wait for the task ${isId ? text : `"${text}"`}: there is none ` +
        `with this ${isId ? "id" : "key"}. Name one that is there or is ` +
        "created with it.",
      index,
    );
  }

  /** What is there already waits for none of the new ones. */
  #assertNoCircle(dependencies: readonly Dependency[]): void {
    const left = circlesOf(dependencies);
    if (left.size > 0) this.#throwCircle(dependencies, left);
  }

  /** Each that is left waits for another that is left: they lead into a circle. */
  #throwCircle(
    dependencies: readonly Dependency[],
    left: ReadonlyMap<string, unknown>,
  ): never {
    const next = new Map<string, string>();
    for (const { taskId, afterId } of dependencies) {
      if (left.has(taskId) && left.has(afterId)) next.set(taskId, afterId);
    }
    const path: string[] = [];
    const seen = new Set<string>();
    let [id] = next.keys();
    for (; id !== undefined && !seen.has(id); id = next.get(id)) {
      seen.add(id);
      path.push(id);
    }
    const circle = path.slice(path.indexOf(id ?? ""));
    const names = circle.map((it) => this.#tasks.get(it)?.name ?? it);
    const { index = 0 } = this.#tasks.get(id ?? "") ?? {};
    throw new DependencyError(
      circle.length === 1
        ? `Cannot create a task that waits for itself: ${names}. ` +
          "Leave it out of what it waits for."
        : `Cannot create tasks that wait for each other in a circle: ${
          circleText(names)
        }. Leave one of them out of what the other waits for.`,
      index,
    );
  }
}

/** The tasks that wait in a circle, or for one that does. */
function circlesOf(
  dependencies: readonly Dependency[],
): ReadonlyMap<string, number> {
  const left = new Map<string, number>();
  const behind = Map.groupBy(dependencies, ({ afterId }) => afterId);
  for (const { taskId } of dependencies) {
    left.set(taskId, (left.get(taskId) ?? 0) + 1);
  }
  const free = [...behind.keys()].filter((id) => !left.has(id));
  for (let id = free.pop(); id !== undefined; id = free.pop()) {
    for (const { taskId } of behind.get(id) ?? []) {
      const rest = (left.get(taskId) ?? 0) - 1;
      if (rest > 0) left.set(taskId, rest);
      else {
        left.delete(taskId);
        free.push(taskId);
      }
    }
  }
  return left;
}

/** How many of a circle a message tells. */
const MOST_TOLD = 10;

function circleText(names: readonly string[]): string {
  const [first = ""] = names;
  const told = names.slice(0, MOST_TOLD);
  const more = names.length - told.length;
  return [...told, ...more > 0 ? [`${more} more`] : [], first].join(" → ");
}

/**
 * What retries wait for: the retries of what the old tasks waited for, where there
 * are any. Which task repeats which, traces say that anyone may send: where they lead
 * into a circle, only the next retry of each counts.
 *
 * @param retries the newest task that repeats each
 */
export function retriedDependencies(
  old: readonly Dependency[],
  retries: ReadonlyMap<string, string>,
): Dependency[] {
  const next = (id: string) => retries.get(id) ?? id;
  const latest = (id: string) => {
    const seen = new Set<string>();
    for (; !seen.has(id); id = next(id)) seen.add(id);
    return id;
  };
  const retried = (afterOf: (id: string) => string) => {
    const known = new Set<string>();
    return old.flatMap(({ taskId, afterId, position }) => {
      const it = { taskId: next(taskId), afterId: afterOf(afterId), position };
      const name = `${it.taskId} ${it.afterId}`;
      return known.size === known.add(name).size ? [] : it;
    });
  };
  const wanted = retried(latest);
  return circlesOf(wanted).size === 0 ? wanted : retried(next);
}

/** Tasks, and all that repeats them, that which repeats those included. */
export async function readAllRetries(
  ids: readonly string[],
  read: (ids: readonly string[]) => Promise<ReadonlyMap<string, string>>,
): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  const seen = new Set(ids);
  for (let rest = ids; rest.length > 0;) {
    const found = await read(rest);
    for (const [id, retry] of found) all.set(id, retry);
    rest = [...found.values()].filter((id) => !seen.has(id));
    for (const id of rest) seen.add(id);
  }
  return all;
}

/** A task that waits for one that has failed. */
export interface Behind {
  readonly id: string;
  readonly ifFailed: IfFailed;
  readonly afterId: string;
}

/** What is known of a task that has failed. */
export interface Failure {
  readonly id: string;
  readonly error: string | null;
  readonly isSkipped: boolean;
}

/** How tasks end, by their ids. */
export type Endings = ReadonlyMap<string, EndBehind>;

/** What is to be written when tasks have ended. */
export interface Settling {
  readonly endings: Endings;
  /** What may be claimed from now on. */
  readonly free: readonly string[];
}

/** Where nothing waits. */
export const NOTHING_SETTLED: Settling = { endings: new Map(), free: [] };

/** That part of it which is of these tasks. */
export function settlingAmong(
  { endings, free }: Settling,
  isAmong: (id: string) => boolean,
): Settling {
  return {
    endings: new Map([...endings].filter(([id]) => isAmong(id))),
    free: free.filter(isAmong),
  };
}

/** What a store reads for {@linkcode endingsBehind}. */
export interface EndingsOptions {
  readonly failures: readonly Failure[];
  /**
   * Those behind these tasks, and behind those, however far, that have not ended; in
   * the order of what each waits for. Others may be among them.
   */
  readonly findAllBehind: (
    ids: readonly string[],
  ) => Promise<readonly Behind[]>;
}

/**
 * How all end that are behind those that failed, level by level. What runs all the
 * same does not end, and nor does what is behind that.
 */
export async function endingsBehind(
  first: readonly Behind[],
  { failures, findAllBehind }: EndingsOptions,
): Promise<Endings> {
  let behind: Map<string, Placed[]> | undefined;
  const endings = new Map<string, EndBehind>();
  const causes = new Map(failures.map((it) => [it.id, causeOf(it)]));
  for (let level = first; level.length > 0;) {
    const ended = new Map<string, EndBehind & { readonly cause: Cause }>();
    for (const { id, ifFailed, afterId } of level) {
      const cause = causes.get(afterId);
      if (!cause || ifFailed === "run" || endings.has(id)) continue;
      const isSkipped = ifFailed === "skip" || cause.isSkipped;
      // Where one of them failed and another was skipped, it fails.
      const known = ended.get(id);
      if (known && (isSkipped || !known.isSkipped)) continue;
      ended.set(id, { isSkipped, reason: reasonOf(cause), afterId, cause });
    }
    for (const [id, { cause, ...ending }] of ended) {
      endings.set(id, ending);
      const { isSkipped } = ending;
      causes.set(id, { isSkipped, root: cause.root, by: id });
    }
    if (ended.size === 0) break;
    const ids = [...ended.keys()];
    behind ??= byAfter(await findAllBehind(ids));
    level = ids.flatMap((id) => behind?.get(id) ?? [])
      .sort((one, other) => one.place - other.place);
  }
  return endings;
}

interface Placed extends Behind {
  readonly place: number;
}

function byAfter(all: readonly Behind[]): Map<string, Placed[]> {
  const placed = all.map((it, place): Placed => ({ ...it, place }));
  return Map.groupBy(placed, ({ afterId }) => afterId);
}

/** Why what waits for a task ends. */
interface Cause {
  readonly isSkipped: boolean;
  /** The first that failed, and why. */
  readonly root: string;
  /** The task itself, where that is another. */
  readonly by?: string;
}

/** How much of another task's error is told. */
const TOLD_CHARACTERS = 300;

function causeOf({ id, error, isSkipped }: Failure): Cause {
  const [line = ""] = (error ?? "").split("\n");
  const why = line === "" ? "" : `: ${cut(line, TOLD_CHARACTERS)}`;
  const what = isSkipped ? "was skipped" : "failed";
  return { isSkipped, root: `task ${id}, which ${what}${why}` };
}

function reasonOf({ root, by }: Cause): string {
  return by === undefined
    ? `It waits for ${root}`
    : `It waits for task ${by}, which did not run because of ${root}`;
}
