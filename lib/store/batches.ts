/**
 * Batches, as both stores put them together of what they count.
 *
 * @module
 */

import { batchEndedText } from "../task/batch.ts";
import { SHOWN_STATES, STATE_PARTS } from "../task/shown_state.ts";
import { isFinal, TASK_STATES } from "../task/task.ts";
import type { EndedRow, WrittenEvent } from "./changes.ts";
import type { Batch } from "./contract.ts";

/** The states that end a task, for SQL. */
export const FINAL_STATES = TASK_STATES.filter(isFinal)
  .map((it) => `'${it}'`).join(", ");

/** How many tasks of a batch are in one state, as it is shown. */
export interface BatchCount {
  readonly name: string;
  readonly state: string;
  /** Another task repeats them. */
  readonly isRetried: boolean;
  readonly count: number;
  /** The first of them, */
  readonly createdAt: Date;
  /** and when the last one changed. */
  readonly updatedAt: Date;
}

/** The batches in the order of their names in the list; without those that have no task. */
export function batchesOf(
  names: readonly string[],
  { counts, costs }: {
    readonly counts: readonly BatchCount[];
    readonly costs: ReadonlyMap<string, number>;
  },
): Batch[] {
  const byName = Map.groupBy(counts, ({ name }) => name);
  return names.flatMap((name): Batch[] => {
    const rows = byName.get(name) ?? [];
    if (rows.length === 0) return [];
    const counted = rows.filter(({ isRetried }) => !isRetried);
    const sum = (some: readonly BatchCount[]) =>
      some.reduce((total, { count }) => total + count, 0);
    const ended = counted.filter(({ state }) => isEnd(state));
    const total = sum(counted);
    const times = (field: "createdAt" | "updatedAt") =>
      rows.map((row) => row[field].getTime());
    return [{
      name,
      counts: statesOf(counted),
      total,
      ended: sum(ended),
      completed: sum(
        counted.filter(({ state }) => wholeStateOf(state) === "completed"),
      ),
      failed: sum(counted.filter(({ state }) => state === "failed")),
      retried: sum(rows) - total,
      createdAt: new Date(Math.min(...times("createdAt"))),
      endedAt: sum(ended) === total
        ? new Date(Math.max(...times("updatedAt")))
        : null,
      costUsd: costs.get(name) ?? 0,
    }];
  });
}

/** A task that a batch may have ended with. */
export interface LastTask {
  readonly id: string;
  readonly attempt: number;
}

/** What a database reads for {@linkcode endedBatches}, in the transaction that is open. */
export interface BatchReads {
  /** In which batches tasks are, of those that are in one. */
  ofTasks(ids: readonly string[]): Promise<readonly EndedRow[]>;
  /**
   * The batches of which all tasks have ended, with the tasks that are given for them.
   * Nobody else ends one of them until the transaction ends.
   */
  over(
    last: ReadonlyMap<string, string>,
  ): Promise<ReadonlyMap<string, LastTask>>;
  counts(names: readonly string[]): Promise<readonly BatchCount[]>;
}

/**
 * What the history is to say of the batches that have ended with these tasks, in the
 * transaction that has written them.
 */
export async function endedBatches(
  reads: BatchReads,
  ended: readonly EndedRow[],
): Promise<WrittenEvent[]> {
  const unknown = ended.filter(({ batch }) => batch === undefined);
  const found = unknown.length === 0
    ? []
    : await reads.ofTasks(unknown.map(({ id }) => id));
  const byId = new Map(found.map(({ id, batch }) => [id, batch]));
  const last = new Map<string, string>();
  for (const { id, batch = byId.get(id) } of ended) {
    if (typeof batch === "string") last.set(batch, id);
  }
  if (last.size === 0) return [];
  const lastOf = await reads.over(last);
  if (lastOf.size === 0) return [];
  return batchEvents(await reads.counts([...lastOf.keys()]), lastOf);
}

/** What the history says of batches that have ended, each at its last task. */
function batchEvents(
  counts: readonly BatchCount[],
  lastOf: ReadonlyMap<string, LastTask>,
): WrittenEvent[] {
  const byName = Map.groupBy(counts, ({ name }) => name);
  return [...lastOf].flatMap(([name, { id, attempt }]): WrittenEvent[] => {
    const rows = byName.get(name)?.filter(({ isRetried }) => !isRetried) ?? [];
    const detail = batchEndedText(name, statesOf(rows));
    return [{ id, kind: "batch_ended", attempt, detail }];
  });
}

function statesOf(rows: readonly BatchCount[]): Record<string, number> {
  const place = ({ state }: BatchCount) =>
    ENDS.concat(SHOWN_STATES).indexOf(state);
  return Object.fromEntries(
    rows.toSorted((a, b) => place(a) - place(b))
      .map(({ state, count }) => [state, count]),
  );
}

/** What people look for first. */
const ENDS: readonly string[] = ["completed", "simulated", "failed"];

function wholeStateOf(state: string): string {
  return (STATE_PARTS as Readonly<Record<string, string>>)[state] ?? state;
}

function isEnd(state: string): boolean {
  return isFinal(wholeStateOf(state));
}
