/**
 * Which tasks a claim may take.
 *
 * @module
 */

import type { ClaimOptions } from "../contract.ts";
import { OTHERS } from "../contract.ts";
import { type Room, roomOf, withinRoom } from "../decisions.ts";
import { SET_CHARACTERS } from "../sets.ts";
import type { Connection } from "./connection.ts";
import { isOneOf, jsonOf, RUN_ORDER, TEXT_SIZE, TOUCH, uuids } from "./rows.ts";
import { Values } from "./values.ts";

/** The attempts that count, of those that its runner's death allows it. */
const SPENT = "attempt - questions";
const LIMIT = "coalesce(max_attempts, $2::integer)";

/** Holds for a row whose lease, if it has one, is over. */
export const IS_FREE = "coalesce(lease_expires_at <= $1::timestamptz, true)";
/** Holds for a row whose time has come, or that has none. */
export const IS_DUE = "coalesce(run_at <= $1::timestamptz, true)";

/** Holds for a begun row whose runner died at its last attempt. */
export const IS_DEAD = `status = 'running' AND lease_id IS NOT NULL
  AND lease_expires_at <= $1::timestamptz AND ${SPENT} >= ${LIMIT}`;

/** Holds for a row that nobody has, that has not ended and shall not be cancelled. */
export const IS_OPEN = `status IN ('created', 'running') AND lease_id IS NULL
  AND NOT blocked AND (status = 'created' OR cancel_requested_at IS NULL)`;

/** Holds for a row that somebody had who is dead, and that is not ended with that. */
export const IS_LEFT =
  `lease_id IS NOT NULL AND lease_expires_at <= $1::timestamptz
  AND (status = 'created' OR status = 'running'
    AND cancel_requested_at IS NULL AND ${SPENT} < ${LIMIT})`;

/** Holds for a row that may be claimed at the time $1, with the limit $2. */
export const IS_CLAIMABLE = `(${IS_DUE} AND (${IS_OPEN} OR ${IS_LEFT}))`;

/**
 * Holds for a claimable row that a runner died with, and that begins its last
 * attempt: it may have been what killed the runner.
 */
const IS_SUSPECT = `status = 'running' AND (lease_id IS NOT NULL OR rescues > 0)
  AND ${SPENT} + 1 >= ${LIMIT}`;

const SHOWN = `id, provider, priority, created_at AS "createdAt", seq,
  ${TEXT_SIZE}::integer AS size, ${TOUCH} AS touch, (${IS_SUSPECT}) AS "isSuspect"`;

/**
 * What is asked for: providers, but those without room, and all but some ids. What is
 * only held keeps no other from running.
 */
const IS_WANTED = `id <> ALL ($5::uuid[])
  AND (NOT $6::boolean OR status = 'created' AND touches IS NULL)`;
const HAS_ROOM = `${isOneOf("$4")} AND coalesce((
  SELECT room > 0 FROM rooms WHERE name = provider),
  (SELECT room > 0 FROM rooms WHERE name = '${OTHERS}'), true)`;

/** Holds for a row that could be claimed but for the time of its `run_at`. */
export const IS_FREE_TO_RUN =
  "status IN ('created', 'running') AND lease_id IS NULL";

/** Holds for such a row whose time has come, or that has none. */
export const HAS_COME = "(run_at IS NULL OR run_at = come_at)";

/** Holds for such a row that waits for no other task either. */
export const IS_READY = `${IS_FREE_TO_RUN} AND ${HAS_COME} AND NOT blocked`;

/** Holds for one of which nobody has noted that its time has come. */
export const IS_COMING =
  `${IS_FREE_TO_RUN} AND run_at IS NOT NULL AND run_at IS DISTINCT FROM come_at`;

/** Noted in one claim: all of a night's tasks at once would hold it up. */
const NOTED = 1_000;

/**
 * Notes what has become due, so that it is in the order of all that is ready: to
 * sort what is due at each claim takes as long as there is much of it. Says whether
 * there may be more.
 */
export async function noteDue(
  connection: Connection,
  at: Date,
): Promise<{ readonly hasMore: boolean }> {
  const count = await connection.run(
    `UPDATE agent_tasks SET come_at = run_at WHERE id IN (
       SELECT id FROM agent_tasks
       WHERE ${IS_COMING} AND run_at <= $1::timestamptz
       ORDER BY run_at LIMIT ${NOTED} FOR UPDATE SKIP LOCKED)`,
    [at],
  );
  return { hasMore: count === NOTED };
}

/** Holds for a row that is of none of these batches, given as a JSON list. */
export function isNotOf(batches: string): string {
  return `coalesce(batch NOT IN (
    SELECT json_array_elements_text(${batches}::json)), true)`;
}

/** What may not be touched: nothing at all, or not this. */
export type HeldTouches = "anything" | readonly string[];

/** Holds for a row of a task that touches one of these, given as a JSON list. */
export function isTouching(touches: string): string {
  return `${TOUCH} IN (SELECT json_array_elements_text(${touches}::json))`;
}

/** Conditions of the rows that do not touch what may not be touched. */
export function isNotTouching(
  touches: HeldTouches,
  bind: (value: string) => string,
): string[] {
  if (touches === "anything") return ["touches IS NULL"];
  if (touches.length === 0) return [];
  return [`(touches IS NULL OR NOT ${isTouching(bind(jsonOf(touches)))})`];
}

/** The providers of what is ready, by a look into the index for each. */
export const READY_PROVIDERS = `providers AS (
    (SELECT provider FROM agent_tasks WHERE ${IS_READY}
     ORDER BY provider LIMIT 1)
    UNION ALL
    SELECT (SELECT t.provider FROM agent_tasks t
      WHERE ${IS_READY} AND t.provider > p.provider
      ORDER BY t.provider LIMIT 1)
    FROM providers p WHERE p.provider IS NOT NULL)`;

/**
 * The providers of what is ready, by a look into the index for each; of each the
 * first few; then what the dead have left, which is little. What another runner is
 * about to take is passed over.
 */
const candidatesSql = (lock: string, isWanted: string) => `
  WITH RECURSIVE rooms AS (
    SELECT name, room FROM json_to_recordset($7::json)
      AS r (name text, room bigint)),
  ${READY_PROVIDERS}
  SELECT ready.* FROM providers p CROSS JOIN LATERAL (
    SELECT ${SHOWN} FROM agent_tasks
    WHERE provider = p.provider AND ${IS_READY} AND ${IS_OPEN} AND ${isWanted}
    ORDER BY ${RUN_ORDER} LIMIT $3 ${lock}) ready
  WHERE p.provider IS NOT NULL AND ${
  HAS_ROOM.replace(/\bprovider\b/g, "p.provider")
}
  UNION ALL SELECT * FROM (
    SELECT ${SHOWN} FROM agent_tasks
    WHERE ${IS_LEFT} AND ${IS_DUE} AND ${isWanted} AND ${HAS_ROOM}
    ORDER BY ${RUN_ORDER} LIMIT $3 ${lock}) abandoned`;

const LOCK = "FOR UPDATE SKIP LOCKED";

/** Even before its time, and whatever room its provider has. */
const ONE = `SELECT ${SHOWN} FROM agent_tasks
  WHERE id = $3::uuid AND (${IS_OPEN} OR ${IS_LEFT}) ${LOCK}`;

/** A task that may be claimed, without its texts. */
export interface Candidate {
  readonly id: string;
  readonly provider: string;
  readonly priority: number;
  readonly createdAt: Date;
  readonly seq: number;
  readonly size: number;
  readonly isSuspect: boolean;
  /** What it touches; null where it says nothing. */
  readonly touch: string | null;
}

/** Options for {@linkcode findCandidates}. */
export interface CandidateOptions extends ClaimOptions {
  readonly at: Date;
  /** Ids of tasks that are left out. */
  readonly except: readonly string[];
  /** What all runners together leave. */
  readonly globalRoom?: Room | undefined;
  /** What is paused. */
  readonly pausedBatches?: readonly string[];
  /** @default {all may be touched} */
  readonly heldTouches?: HeldTouches;
  /** Only what was never begun. @default {false} */
  readonly isHeldOnly?: boolean;
}

/** What may be claimed, in the order to run it. */
export interface Candidates {
  readonly chosen: readonly Candidate[];
  /** When the next of those may begin that a rate holds back. */
  readonly nextAt?: Date | undefined;
  /** There are more, which there is a limit for that is not theirs. */
  readonly hasMore: boolean;
}

/** Finds what may be claimed; nobody else claims it until the transaction ends. */
export async function findCandidates(
  connection: Connection,
  options: CandidateOptions,
): Promise<Candidates> {
  const { at, maxAttempts, taskId } = options;
  const found = taskId === undefined
    ? await lockFirst(connection, options)
    : await connection.rows<Candidate>(ONE, [at, maxAttempts, taskId]);
  found.sort(inRunOrder);
  return candidatesOf(found, options);
}

/** Locks the first of each provider that there is room for. */
export function lockFirst(
  connection: Connection,
  options: CandidateOptions,
): Promise<Candidate[]> {
  return firstOf(connection, options, LOCK);
}

/** Locks those of these that may still be claimed. */
export function lockThese(
  connection: Connection,
  ids: readonly string[],
  { at, maxAttempts }: CandidateOptions,
): Promise<Candidate[]> {
  return connection.rows<Candidate>(
    `SELECT ${SHOWN} FROM agent_tasks WHERE id = ANY ($3::uuid[])
       AND (${IS_READY} AND ${IS_OPEN} OR ${IS_LEFT} AND ${IS_DUE}) ${LOCK}`,
    [at, maxAttempts, uuids(ids)],
  );
}

/** Of what was found, in its order, that which there is room for. */
export function candidatesOf(
  found: readonly Candidate[],
  options: CandidateOptions,
): Candidates {
  const { limit } = options;
  const providerOf = ({ provider }: Candidate) => provider;
  const own = withinRoom(found, options.providerRoom, providerOf);
  const chosen = withinRoom(own, options.globalRoom, providerOf)
    .slice(0, limit);
  const isCrowded = chosen.length < limit && found.length >= limit &&
    chosen.length > 0 && found.length > chosen.length;
  return { ...fitting(chosen), ...isCrowded ? { hasMore: true } : {} };
}

/** Whether there is something that another runner is about to take. */
export async function hasCandidates(
  connection: Connection,
  options: CandidateOptions,
): Promise<boolean> {
  if (options.taskId !== undefined) return false;
  return (await firstOf(connection, { ...options, limit: 1 }, "")).length > 0;
}

function firstOf(
  connection: Connection,
  options: CandidateOptions,
  lock: string,
): Promise<Candidate[]> {
  const { at, maxAttempts, limit, providers, except } = options;
  const { pausedBatches = [], heldTouches = [] } = options;
  // JSON has no Infinity.
  const rooms = [...roomOf(options) ?? []]
    .map(([name, room]) => ({ name, room: Math.min(room, limit) }));
  const values = new Values(
    at,
    maxAttempts,
    limit,
    providers ? jsonOf(providers) : null,
    uuids(except),
    options.isHeldOnly ?? false,
    jsonOf(rooms),
  );
  const isWanted = [
    IS_WANTED,
    ...pausedBatches.length > 0
      ? [isNotOf(values.bind(jsonOf(pausedBatches)))]
      : [],
    ...isNotTouching(heldTouches, (it) => values.bind(it)),
  ].join(" AND ");
  return connection.rows<Candidate>(
    candidatesSql(lock, isWanted),
    values.list,
  );
}

function inRunOrder(one: Candidate, other: Candidate): number {
  return other.priority - one.priority ||
    one.createdAt.getTime() - other.createdAt.getTime() ||
    one.seq - other.seq;
}

/** Those whose texts can be read at once, and one in any case. */
function fitting(found: readonly Candidate[]): Candidates {
  let total = 0;
  const end = found.findIndex(({ size }, index) =>
    (total += size) > SET_CHARACTERS && index > 0
  );
  return end < 0
    ? { chosen: found, hasMore: false }
    : { chosen: found.slice(0, end), hasMore: true };
}
