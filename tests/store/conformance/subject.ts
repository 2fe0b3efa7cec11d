/**
 * A store that the suite is run against, and short ways to make, run and look at
 * tasks in it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  type Claim,
  type ClaimOptions,
  type EndedTask,
  type EndOptions,
  newTasks,
  type Recorded,
  type Store,
} from "../../../lib/store/contract.ts";
import type {
  AgentTask,
  ClaimedTask,
  JsonObject,
  NewTask,
  TaskState,
  Transition,
} from "../../../lib/task/task.ts";
import { parseTrace } from "../../../lib/task/trace.ts";
import { complete } from "../../../lib/task/transitions.ts";

/** A store, its time, and what other programs could do to its tasks. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: Store;
  /** What the store told of problems to those who opened it. */
  readonly problems: readonly string[];
  /** What is left of a text that is no JSON: not every store keeps NUL. */
  kept(text: string): string;
  /** Lets so many milliseconds pass for the store: all that it keeps gets older. */
  elapse(ms: number): Promise<void>;
  /** The store's time. It may stand still but for {@linkcode elapse}. */
  now(): Promise<Date>;
  /** Writes to a task's row without asking the store, as HandsFree does. */
  changeTask(
    id: string,
    change: { state?: string; traceText?: string | null },
  ): Promise<void>;
  /** Has another table refer to a task, so that its row can't be deleted. */
  referTo(id: string): Promise<void>;
  /** Has the store refuse to write another state or lease into a task's row. */
  refuseWrites(id: string): Promise<void>;
  /** All that is stored of a task: its row and its history, as text. */
  storedTextOf(id: string): Promise<string>;
}

/** Registers a test: what is to hold, and how that is seen. */
export type Test = (
  behaviour: string,
  body: (subject: StoreUnderTest) => Promise<void>,
) => void;

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const USER = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

/** The lease of {@linkcode claim}, in milliseconds. */
export const LEASE_MS = MINUTE;

/** Four of these are more than any store reads at once. */
export const LARGE = { instruction: "x".repeat(8 * 1024 ** 2) };

export function newTask(fields: Partial<NewTask> = {}): NewTask {
  return { userId: USER, provider: "simulate", ...fields };
}

/** Creates tasks in one call. Returns their ids. */
export async function create(
  { admin }: Store,
  tasks: readonly Partial<NewTask>[],
): Promise<string[]> {
  const ids = await admin.create(newTasks(tasks.map(newTask)));
  return [...ids.sets()].flat();
}

export function createMany(
  store: Store,
  count: number,
  fields: Partial<NewTask> = {},
): Promise<string[]> {
  return create(store, Array(count).fill(fields));
}

export async function createOne(
  store: Store,
  fields: Partial<NewTask> = {},
): Promise<string> {
  return nth(await create(store, [fields]), 0);
}

/** Claims as a runner does that nobody has told anything. */
export function claim(
  { queue }: Store,
  options: Partial<ClaimOptions> = {},
): Promise<Claim> {
  return queue.claim({
    owner: "runner-a",
    limit: 100,
    leaseMs: LEASE_MS,
    maxAttempts: 3,
    ...options,
  });
}

/** Claims the one task that there is to claim. */
export async function claimOne(
  store: Store,
  options: Partial<ClaimOptions> = {},
): Promise<ClaimedTask> {
  const { tasks } = await claim(store, options);
  assert(tasks.length === 1, `${tasks.length} tasks were claimed`);
  return nth(tasks, 0);
}

/** Creates a task and claims it. */
export async function startOne(
  store: Store,
  fields: Partial<NewTask> = {},
  options: Partial<ClaimOptions> = {},
): Promise<ClaimedTask> {
  const taskId = await createOne(store, fields);
  return await claimOne(store, { taskId, ...options });
}

export function record(
  { queue }: Store,
  ...transitions: readonly Transition[]
): Promise<Recorded> {
  return queue.record(transitions);
}

export function endAbandoned(
  { queue }: Store,
  options: Partial<EndOptions> = {},
): Promise<readonly EndedTask[]> {
  return queue.endAbandoned({ maxAttempts: 3, ...options });
}

/** Ids of tasks that were ended, with the event of each. */
export function endsOf(ended: readonly EndedTask[]): [string, string][] {
  return ended.map(({ task, transition }) => [task.id, transition.event]);
}

export function idsOf({ tasks }: Claim): string[] {
  return tasks.map(({ task }) => task.id);
}

export function leasesOf(tasks: readonly ClaimedTask[]) {
  return tasks.map(({ lease }) => lease);
}

export function nth<T>(items: readonly T[], index: number): T {
  const item = items[index];
  assert(item !== undefined, `there are only ${items.length}`);
  return item;
}

export async function taskOf({ admin }: Store, id: string): Promise<AgentTask> {
  const task = await admin.get(id);
  assert(task, `task ${id} is not there`);
  return task;
}

/** A task's trace; empty where it has none. */
export async function traceOf(store: Store, id: string): Promise<JsonObject> {
  return parseTrace((await taskOf(store, id)).traceText) ?? {};
}

/** How many tasks there are in each state that occurs. */
export async function statesOf(
  { admin }: Store,
): Promise<Partial<Record<TaskState, number>>> {
  const states: Partial<Record<TaskState, number>> = {};
  for (const { state, count } of (await admin.count()).counts) {
    states[state] = (states[state] ?? 0) + count;
  }
  return states;
}

/** Kind, attempt, runner and detail of each event of a task. */
export async function historyOf(
  { admin }: Store,
  id: string,
): Promise<[string, number, string | null, string | null][]> {
  return (await admin.history(id)).map((
    { kind, attempt, runner, detail },
  ) => [kind, attempt, runner, detail]);
}

/** When the last event of a task happened. */
export async function lastEventAt({ admin }: Store, id: string): Promise<Date> {
  return nth((await admin.history(id)).slice(-1), 0).occurredAt;
}

/** That time, so many milliseconds later. */
export function later(time: Date, ms: number): Date {
  return new Date(time.getTime() + ms);
}

/**
 * Checks that work happened while it was done: the times that it returns are not
 * before or after that. Where the store's time stands still, that is one moment.
 */
export async function assertNow(
  { now }: StoreUnderTest,
  work: () => Promise<readonly (Date | null | undefined)[]>,
): Promise<void> {
  const from = await now();
  const times = await work();
  const to = await now();
  assert(times.length > 0);
  for (const time of times) {
    assert(
      time && time >= from && time <= to,
      `${time?.toISOString()} is not from ${from.toISOString()} to ${to.toISOString()}`,
    );
  }
}

/**
 * A span in whole minutes. Where the store's time does not stand still, it went on
 * by less than half of one.
 */
export function minutes(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms / MINUTE);
}

/** Names a task twice, which the API refuses. */
export async function assertRetriedOnce(store: Store): Promise<void> {
  await createOne(store, { key: "a" });
  const id = await createOne(store, { after: ["a"], ifFailed: "run" });
  for (let n = 0; n < 2; n++) {
    await record(store, complete(await claimOne(store)));
  }
  const [one, two] = await store.admin.retry([id, id.toUpperCase()]);
  assert(one?.kind === "created");
  assertEquals(two, one);
  assertEquals(idsOf(await claim(store)), [one.newId]);
}

/** One task's row can't be written, and what it waits for is dead as others are. */
export async function assertOthersEnd(subject: StoreUnderTest): Promise<void> {
  const { store, elapse, refuseWrites } = subject;
  await createMany(store, 2, { maxAttempts: 1 });
  const root = await createOne(store, { key: "root", maxAttempts: 1 });
  await claim(store);
  const bad = await createOne(store, { after: ["root"] });
  await refuseWrites(bad);
  await elapse(LEASE_MS);
  assertEquals((await endAbandoned(store)).length, 2);
  assertEquals(await statesOf(store), { failed: 2, running: 1, created: 1 });
  assertEquals((await taskOf(store, root)).state, "running");
}
