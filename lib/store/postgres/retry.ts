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
  lock,
  readDependencies,
  settlingOf,
} from "./dependencies.ts";
import { findKeyHolders, MOST_LOCKED } from "./keys.ts";
import { jsonOf, uuids, WAS_RETRIED } from "./rows.ts";
import {
  changing,
  readHeld,
  settleStoreOf,
  writeEvents,
  writeTransitions,
} from "./write.ts";

/** Holds for a task that has ended and that no other repeats. */
export const NEVER_RETRIED = `
  status IN ('completed', 'failed') AND NOT ${WAS_RETRIED}`;

/** Holds for a task that waits for its next attempt. */
export const awaitsAttempt = (now: string) => `
  status = 'running' AND cancel_requested_at IS NULL
  AND coalesce(lease_expires_at <= ${now}::timestamptz, true)
  AND run_at > ${now}::timestamptz`;

/** What is to be done with a task, or why it can't be retried. */
const WAY = `
  CASE WHEN status IN ('completed', 'failed') THEN 'created again'
    WHEN status NOT IN ('${TASK_STATES.join("', '")}') THEN 'unknown state'
    WHEN status <> 'running' THEN status
    WHEN cancel_requested_at IS NOT NULL THEN 'cancelling'
    WHEN lease_expires_at > $1::timestamptz THEN 'running'
    WHEN run_at > $1::timestamptz THEN 'due'
    ELSE 'claimable' END`;

/** Most traces have no branch, and are not read. */
const CARRIED = CARRIED_KEYS.map((key) =>
  `CASE WHEN strpos(last_update, '"${WORKSPACE_KEY}"') > 0
     THEN trace_value(last_update, '${key}') END AS ${key}`
).join(", ");

interface FoundRow extends Carried {
  readonly id: string;
  readonly way: "created again" | "due" | RetryRefusal;
  readonly attempt: number;
  readonly key: string | null;
  readonly waits: boolean;
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
  const rows = await connection.rows<FoundRow>(
    `SELECT id, ${WAY} AS way, attempt, key,
       if_failed IS NOT NULL AS waits, ${CARRIED} FROM agent_tasks
     WHERE id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE`,
    [at, uuids(ids)],
  );
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
  const earlier = await readEarlier(connection, again.map(({ id }) => id));
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
  const holders = await findKeyHolders(connection, keys, {
    at,
    isMany: keys.length > MOST_LOCKED,
  });
  return takenKeys(again, holders);
}

/** The last task that repeats each, by the id of the one that it repeats. */
async function readEarlier(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, string>> {
  const rows = await connection.rows<{ of: string; id: string }>(
    `SELECT DISTINCT ON (retry_of) retry_of AS of, id FROM agent_tasks
     WHERE retry_of = ANY ($1::uuid[])
     ORDER BY retry_of, created_at DESC, seq DESC`,
    [uuids(ids)],
  );
  return new Map(rows.map(({ of, id }) => [of, id]));
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
    (ids) => readEarlier(connection, ids),
  );
  const dependencies = retriedDependencies(
    old,
    new Map([...others, ...newIds]),
  );
  await lock(connection, dependencies.map(({ afterId }) => afterId));
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
  const known = new Set(ids);
  for (let level = ids; level.length > 0;) {
    const found = await connection.rows<{ id: string }>(
      `SELECT id FROM agent_tasks
       WHERE status = 'failed' AND id IN (SELECT task_id
           FROM agent_task_dependencies WHERE after_id = ANY ($1::uuid[]))
         AND trace_value(last_update, '${WAITED_FOR_KEY}') = ANY ($1::text[])
       ORDER BY created_at, seq`,
      [uuids(level)],
    );
    level = found.map(({ id }) => id).filter((id) => !known.has(id));
    for (const id of level) known.add(id);
  }
  for (const id of ids) known.delete(id);
  const rows = await connection.rows<{ id: string }>(
    `SELECT id FROM agent_tasks
     WHERE id = ANY ($1::uuid[]) AND (${NEVER_RETRIED})
     ORDER BY created_at, seq`,
    [uuids([...known])],
  );
  return rows.map(({ id }) => id);
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
       (id, retry_of, user_id, provider, repo_full_name, issue_number, pr_number,
        instruction, status, last_update, created_at, updated_at, priority,
        max_attempts, timeout_ms, batch, key, tags, if_failed,
        blocked, workspace, touches, needs_approval)
     SELECT a.new_id, t.id, t.user_id, t.provider, t.repo_full_name,
       t.issue_number, t.pr_number, t.instruction, 'created',
       a.trace, $2, $2, t.priority, t.max_attempts,
       t.timeout_ms, t.batch, t.key, t.tags, t.if_failed,
       t.if_failed IS NOT NULL, t.workspace, t.touches, t.needs_approval
     FROM json_to_recordset($1::json)
       AS a (position integer, old_id uuid, new_id uuid, trace text)
     JOIN agent_tasks t ON t.id = a.old_id
     ORDER BY a.position`,
    [jsonOf(rows), at],
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
  await changing(ids, () =>
    connection.run(
      `UPDATE agent_tasks SET run_at = NULL, updated_at = $2
       WHERE id = ANY ($1::uuid[])`,
      [uuids(ids), at],
    ));
  const events = due.map(({ id, attempt }): WrittenEvent => (
    { id, kind: "retried", attempt, detail: "at once" }
  ));
  await writeEvents(connection, events, at);
}
