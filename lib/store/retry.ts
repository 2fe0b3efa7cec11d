/**
 * Running tasks again, in sets: the same in both databases, but for what finds and
 * writes their rows.
 *
 * @module
 */

import { TASK_STATES } from "../task/task.ts";
import { leaveNote } from "../task/transitions.ts";
import type { WrittenEvent } from "./changes.ts";
import type { RetryRefusal, RetryResult } from "./contract.ts";
import { byPerson } from "./decisions.ts";
import {
  type Dependency,
  readAllRetries,
  retriedDependencies,
  type Settling,
} from "./dependencies.ts";
import { type KeyHolder, takenKeys } from "./keys.ts";
import type { RequestStore } from "./requests.ts";
import { type Carried, type FirstNote, retriedTrace } from "./retried_trace.ts";
import { settle, type SettleStore } from "./settle.ts";

/** Holds for a task that waits for its next attempt. */
export const awaitsAttempt = (now: string) => `
  status = 'running' AND cancel_requested_at IS NULL
  AND coalesce(lease_expires_at <= ${now}::timestamptz, true)
  AND run_at > ${now}::timestamptz`;

/** What is to be done with a task at the time $1, or why it can't be retried. */
export const WAY = `
  CASE WHEN status IN ('completed', 'failed') THEN 'created again'
    WHEN status NOT IN ('${TASK_STATES.join("', '")}') THEN 'unknown state'
    WHEN status <> 'running' THEN status
    WHEN cancel_requested_at IS NOT NULL THEN 'cancelling'
    WHEN lease_expires_at > $1::timestamptz THEN 'running'
    WHEN run_at > $1::timestamptz THEN 'due'
    ELSE 'claimable' END`;

/** The columns that the new row has of the old one. */
export const COPIED =
  `user_id, provider, repo_full_name, issue_number, pr_number,
  instruction, priority, max_attempts, timeout_ms, batch, key, tags, if_failed,
  workspace, touches, needs_approval`;

/** A task that is to be retried. */
export interface FoundRow extends Carried {
  readonly id: string;
  /** The {@linkcode WAY}. */
  readonly way: "created again" | "due" | RetryRefusal;
  readonly attempt: number;
  readonly key: string | null;
  /** It waits for others. */
  readonly waits: boolean;
  /** When it changed last, where the database makes use of it. */
  readonly updatedMs?: number;
}

/** A task, and the id of the one that repeats it. */
interface Again extends FoundRow {
  readonly newId: string;
}

/** A row that repeats another, in the order to write them. */
export interface AgainRow {
  readonly position: number;
  readonly old_id: string;
  readonly new_id: string;
  readonly trace: string;
}

/** What a database does for it, in the transaction that is open. */
export interface RetryStore {
  readonly requests: RequestStore;
  readonly settling: SettleStore;
  /** The tasks that there are; nobody else changes them. */
  find(ids: readonly string[]): Promise<readonly FoundRow[]>;
  findKeyHolders(keys: readonly string[]): Promise<readonly KeyHolder[]>;
  /** The last task that repeats each, by the id of the one that it repeats. */
  retriesOf(
    tasks: readonly Pick<FoundRow, "id" | "updatedMs">[],
  ): Promise<ReadonlyMap<string, string>>;
  insert(rows: readonly AgainRow[]): Promise<unknown>;
  /** Lets tasks be claimed at once that wait for their next attempt. */
  makeDue(ids: readonly string[]): Promise<unknown>;
  /** What tasks wait for, or waited for. */
  dependenciesOf(ids: readonly string[]): Promise<readonly Dependency[]>;
  /** Writes what new tasks wait for; nobody else ends that until all is written. */
  addDependencies(dependencies: readonly Dependency[]): Promise<void>;
  /** What is to be written of new tasks that wait. */
  settlingOf(ids: readonly string[]): Promise<Settling>;
}

/** Retries tasks. Returns what came of each, in their order. */
export async function retryTasks(
  store: RetryStore,
  ids: readonly string[],
  text: string | undefined,
): Promise<RetryResult[]> {
  const note = { text, at: store.requests.at };
  const rows = await store.find(ids);
  const byId = new Map(
    rows.map((row) => [row.id, { ...row, newId: crypto.randomUUID() }]),
  );
  const found = ids.map((id) => byId.get(id.toLowerCase()));
  // One that is named twice is made anew once.
  const distinct = [...new Set(found)];
  const having = (way: FoundRow["way"]) =>
    distinct.flatMap((it) => it?.way === way ? it : []);
  const wanted = having("created again");
  const taken = await readTaken(store, wanted);
  const again = wanted.filter(({ id }) => !taken.has(id));
  const earlier = await store.retriesOf(again);
  await createAgain(store, again, note);
  await waitAgain(store, again);
  await makeDue(store, having("due"), text);
  return found.map((it): RetryResult => {
    if (!it) return { kind: "refused", why: "missing" };
    const { id, way, newId } = it;
    if (way === "due") return { kind: "due" };
    const otherId = taken.get(id);
    if (otherId) return { kind: "refused", why: "key taken", otherId };
    return way === "created again"
      ? { kind: "created", newId, earlierId: earlier.get(id) ?? null }
      : { kind: "refused", why: way };
  });
}

/** The tasks that have the keys of others now, by the ids of those. */
async function readTaken(
  store: RetryStore,
  again: readonly Again[],
): Promise<ReadonlyMap<string, string>> {
  const keys = [...new Set(again.flatMap(({ key }) => key ?? []))];
  if (keys.length === 0) return new Map();
  return takenKeys(again, await store.findKeyHolders(keys));
}

async function createAgain(
  store: RetryStore,
  again: readonly Again[],
  note: FirstNote,
): Promise<void> {
  if (again.length === 0) return;
  await store.insert(again.map((it, position) => ({
    position,
    old_id: it.id,
    new_id: it.newId,
    trace: retriedTrace(it, note),
  })));
  const { text } = note;
  await store.requests.tell(
    again.flatMap(({ id, newId, attempt }): WrittenEvent[] => [
      { id, kind: "retried", attempt, detail: `as task ${newId}` },
      { id: newId, kind: "created", attempt: 0, detail: `retry of ${id}` },
      ...text === undefined
        ? []
        : [{ id: newId, kind: "noted", attempt: 0, detail: text } as const],
    ]),
  );
}

/**
 * Has the new tasks wait as the old ones did. What they waited for may have been
 * pruned: who has nothing to wait for any more is let go.
 */
async function waitAgain(
  store: RetryStore,
  again: readonly Again[],
): Promise<void> {
  const waiting = again.filter(({ waits }) => waits);
  if (waiting.length === 0) return;
  const newIds = new Map(again.map(({ id, newId }) => [id, newId]));
  const old = await store.dependenciesOf(waiting.map(({ id }) => id));
  const after = [...new Set(old.map(({ afterId }) => afterId))]
    .filter((id) => !newIds.has(id));
  const others = await readAllRetries(
    after,
    (ids) => store.retriesOf(ids.map((id) => ({ id }))),
  );
  await store.addDependencies(
    retriedDependencies(old, new Map([...others, ...newIds])),
  );
  const settling = await store.settlingOf(waiting.map(({ newId }) => newId));
  await settle(store.settling, settling);
}

async function makeDue(
  store: RetryStore,
  due: readonly FoundRow[],
  text: string | undefined,
): Promise<void> {
  if (due.length === 0) return;
  const { requests } = store;
  const ids = due.map(({ id }) => id);
  if (text !== undefined) {
    const held = [...(await requests.held(ids)).values()];
    await requests.write(held.map((it) => leaveNote(byPerson(it), text)));
  }
  await store.makeDue(ids);
  await requests.tell(due.map(({ id, attempt }): WrittenEvent => (
    { id, kind: "retried", attempt, detail: "at once" }
  )));
}
