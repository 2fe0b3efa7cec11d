/**
 * Running tasks again, in sets.
 *
 * @module
 */

import { TASK_STATES } from "../../task/task.ts";
import { leaveNote, WAITED_FOR_KEY } from "../../task/transitions.ts";
import { WORKSPACE_KEY } from "../../task/workspace.ts";
import type { WrittenEvent } from "../changes.ts";
import type { RetryRefusal, RetryResult } from "../contract.ts";
import { byPerson } from "../decisions.ts";
import { readAllRetries, retriedDependencies } from "../dependencies.ts";
import { takenKeys } from "../keys.ts";
import {
  type Carried,
  CARRIED_KEYS,
  type FirstNote,
  retriedTrace,
} from "../retried_trace.ts";
import { settle } from "../settle.ts";
import type { Connection } from "./connection.ts";
import {
  addDependencies,
  readDependencies,
  settlingOf,
} from "./dependencies.ts";
import { findKeyHolders } from "./keys.ts";
import { inTrace, MAY_BE_RETRY, NEVER_RETRIED, RETRIED_ID } from "./retried.ts";
import {
  readHeld,
  settleStoreOf,
  writeEvents,
  writeTransitions,
} from "./write.ts";

/** Holds for a task that waits for its next attempt. */
export const awaitsAttempt = (now: string) => `
  status = 'running' AND cancel_requested_at IS NULL
  AND coalesce(lease_expires_at <= ${now}::TIMESTAMPTZ, true)
  AND run_at > ${now}::TIMESTAMPTZ`;

/** What is to be done with a task, or why it can't be retried. */
const WAY = `
  CASE WHEN status IN ('completed', 'failed') THEN 'created again'
    WHEN status NOT IN ('${TASK_STATES.join("', '")}') THEN 'unknown state'
    WHEN status <> 'running' THEN status
    WHEN cancel_requested_at IS NOT NULL THEN 'cancelling'
    WHEN lease_expires_at > $1::TIMESTAMPTZ THEN 'running'
    WHEN run_at > $1::TIMESTAMPTZ THEN 'due'
    ELSE 'claimable' END`;

/** Most traces have no branch, and are not read. */
const CARRIED = CARRIED_KEYS.map((key) =>
  `${key}: CASE WHEN contains(last_update, '"${WORKSPACE_KEY}"')
     THEN ${inTrace(key)} END`
).join(", ");

interface FoundRow extends Carried {
  readonly id: string;
  readonly way: "created again" | "due" | RetryRefusal;
  readonly attempt: number;
  readonly key: string | null;
  readonly waits: boolean;
  readonly updatedAt: number;
}

/** A task, and the id of the one that repeats it. */
interface Again extends FoundRow {
  readonly newId: string;
}

/** Retries tasks in the transaction that is open on the connection. */
export async function retryTasks(
  connection: Connection,
  ids: readonly string[],
  note: FirstNote,
): Promise<RetryResult[]> {
  const { at } = note;
  const rows = await connection.json<FoundRow[]>(
    `SELECT to_json(list({id: id, way: ${WAY}, attempt: coalesce(attempt, 0),
       key: key, waits: if_failed IS NOT NULL, ${CARRIED},
       updatedAt: coalesce(epoch_ms(updated_at), 0)}))
     FROM agent_tasks WHERE id IN (SELECT unnest($2::JSON::UUID[]))`,
    [at.toISOString(), JSON.stringify(ids)],
  ) ?? [];
  const byId = new Map(
    rows.map((row) => [row.id, { ...row, newId: crypto.randomUUID() }]),
  );
  const found = ids.map((id) => byId.get(id.toLowerCase()));
  // One that is named twice is made anew once.
  const distinct = [...new Set(found)];
  const having = (way: FoundRow["way"]) =>
    distinct.flatMap((it) => it?.way === way ? it : []);
  const wanted = having("created again");
  const taken = await readTaken(connection, wanted, at);
  const again = wanted.filter(({ id }) => !taken.has(id));
  const earlier = await readEarlier(connection, again);
  await createAgain(connection, again, note);
  await waitAgain(connection, again, at);
  await makeDue(connection, having("due"), note);
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
  connection: Connection,
  again: readonly Again[],
  at: Date,
): Promise<ReadonlyMap<string, string>> {
  const keys = [...new Set(again.flatMap(({ key }) => key ?? []))];
  if (keys.length === 0) return new Map();
  const holders = await findKeyHolders(connection, keys, at);
  return takenKeys(again, holders);
}

/** The last task that repeats each, by the id of the one that it repeats. */
async function readEarlier(
  connection: Connection,
  again: readonly Pick<Again, "id" | "updatedAt">[],
): Promise<Map<string, string>> {
  if (again.length === 0) return new Map();
  // A retry is younger than what it repeats: DuckDB skips what is older.
  const since = Math.min(...again.map(({ updatedAt }) => updatedAt));
  const pairs = await connection.json<[string, string][]>(
    `SELECT to_json(list([of_id, id])) FROM (
       SELECT ${RETRIED_ID} AS of_id, arg_max(id, created_at) AS id
       FROM agent_tasks
       WHERE created_at >= $1::TIMESTAMPTZ AND ${MAY_BE_RETRY} GROUP BY of_id)
     WHERE of_id IN (SELECT unnest($2::JSON::UUID[]))`,
    [
      new Date(since).toISOString(),
      JSON.stringify(again.map(({ id }) => id)),
    ],
  ) ?? [];
  return new Map(pairs);
}

/**
 * Has the new tasks wait as the old ones did. What they waited for may have been
 * pruned: who has nothing to wait for any more is let go.
 */
async function waitAgain(
  connection: Connection,
  again: readonly Again[],
  at: Date,
): Promise<void> {
  const waiting = again.filter(({ waits }) => waits);
  if (waiting.length === 0) return;
  const newIds = new Map(again.map(({ id, newId }) => [id, newId]));
  const old = await readDependencies(connection, waiting.map(({ id }) => id));
  const after = [...new Set(old.map(({ afterId }) => afterId))]
    .filter((id) => !newIds.has(id));
  const others = await readAllRetries(
    after,
    (ids) => readEarlier(connection, ids.map((id) => ({ id, updatedAt: 0 }))),
  );
  const dependencies = retriedDependencies(
    old,
    new Map([...others, ...newIds]),
  );
  await addDependencies(connection, dependencies);
  const settling = await settlingOf(
    connection,
    waiting.map(({ newId }) => newId),
  );
  await settle(settleStoreOf(connection, at), settling);
}

/** The tasks that ended because of these, and those behind them. */
export async function findDependents(
  connection: Connection,
  ids: readonly string[],
): Promise<string[]> {
  // All at once: a query for each level takes seconds where a line is long.
  const pairs = await connection.json<[id: string, after: string][]>(
    `SELECT to_json(list([task_id::TEXT, after_id::TEXT]))
     FROM agent_task_dependencies JOIN agent_tasks t ON t.id = task_id
     WHERE status = 'failed' AND contains(last_update, '"${WAITED_FOR_KEY}"')
       AND TRY(json_extract_string(last_update, '$.${WAITED_FOR_KEY}'))
         = after_id::TEXT`,
  ) ?? [];
  const behind = Map.groupBy(pairs, ([, after]) => after);
  const known = new Set(ids.map((id) => id.toLowerCase()));
  for (const id of known) {
    // What is added while it goes on has its turn too.
    for (const [other] of behind.get(id) ?? []) known.add(other);
  }
  for (const id of ids) known.delete(id.toLowerCase());
  if (known.size === 0) return [];
  return await connection.json<string[]>(
    `SELECT to_json(list(id ORDER BY created_at, rowid)) FROM agent_tasks
     WHERE id IN (SELECT unnest($1::JSON::UUID[])) AND (${NEVER_RETRIED})`,
    [JSON.stringify([...known])],
  ) ?? [];
}

async function createAgain(
  connection: Connection,
  again: readonly Again[],
  note: FirstNote,
): Promise<void> {
  if (again.length === 0) return;
  const { text, at } = note;
  const rows = again.map((it, position) => ({
    position,
    old_id: it.id,
    new_id: it.newId,
    trace: retriedTrace(it, note),
  }));
  await connection.run(
    `INSERT INTO agent_tasks
       (id, user_id, provider, repo_full_name, issue_number, pr_number,
        instruction, status, last_update, created_at, updated_at,
        priority, attempt, max_attempts, timeout_ms, batch, key, tags, if_failed,
        blocked, workspace, touches, needs_approval)
     SELECT a.new_id, t.user_id, t.provider, t.repo_full_name, t.issue_number,
       t.pr_number, t.instruction, 'created', a.trace,
       $2::TIMESTAMPTZ, $2::TIMESTAMPTZ, t.priority, 0, t.max_attempts,
       t.timeout_ms, t.batch, t.key, t.tags, t.if_failed,
       t.if_failed IS NOT NULL, t.workspace, t.touches, t.needs_approval
     FROM (SELECT unnest(from_json($1, '[{"position": "INTEGER",
         "old_id": "UUID", "new_id": "UUID", "trace": "VARCHAR"}]'),
       recursive := true)) a
     JOIN agent_tasks t ON t.id = a.old_id
     ORDER BY a.position`,
    [JSON.stringify(rows), at.toISOString()],
  );
  const events = again.flatMap(({ id, newId, attempt }): WrittenEvent[] => [
    { id, kind: "retried", attempt, detail: `as task ${newId}` },
    { id: newId, kind: "created", attempt: 0, detail: `retry of ${id}` },
    ...text === undefined
      ? []
      : [{ id: newId, kind: "noted", attempt: 0, detail: text } as const],
  ]);
  await writeEvents(connection, events, at);
}

async function makeDue(
  connection: Connection,
  due: readonly FoundRow[],
  { text, at }: FirstNote,
): Promise<void> {
  if (due.length === 0) return;
  const ids = due.map(({ id }) => id);
  if (text !== undefined) {
    const held = [...(await readHeld(connection, ids)).values()];
    const noted = held.map((it) => leaveNote(byPerson(it), text));
    await writeTransitions(connection, noted, at);
  }
  await connection.run(
    `UPDATE agent_tasks SET run_at = NULL, updated_at = $2::TIMESTAMPTZ
     WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
    [JSON.stringify(ids), at.toISOString()],
  );
  const events = due.map(({ id, attempt }): WrittenEvent => (
    { id, kind: "retried", attempt, detail: "at once" }
  ));
  await writeEvents(connection, events, at);
}
