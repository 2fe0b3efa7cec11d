/**
 * Claiming tasks: the first are begun, and others held.
 *
 * @module
 */

import type { ClaimedTask } from "../../task/task.ts";
import { begin } from "../../task/transitions.ts";
import { Changes } from "../changes.ts";
import type { Claim, ClaimOptions, Pause } from "../contract.ts";
import { globalRoomOf, type Room, roomAfter } from "../decisions.ts";
import { limitedNames, roomWithout } from "../limits.ts";
import { providersIn, roomBeside } from "../pauses.ts";
import type { Touched } from "../touches.ts";
import {
  type CandidateOptions,
  type Candidates,
  findCandidates,
  type HeldTouches,
  noteDue,
} from "./candidates.ts";
import type { Connection } from "./connection.ts";
import { findLimited, noteStarts } from "./limits.ts";
import { readPauses } from "./pauses.ts";
import { HELD, heldOf, type HeldRow, jsonOf, uuids } from "./rows.ts";
import { lockTouches, readTouchHolds } from "./touches.ts";
import { changing, writeChanges } from "./write.ts";

/** Any number, the same in all runners; beside it that of a provider's name. */
const LIMIT_LOCK = 7_311_650;

/** What all runners together leave, as one of them sees it in a claim. */
export interface GlobalRoom {
  readonly pauses: readonly Pause[];
  /** Undefined where nothing is limited. */
  readonly room: Room | undefined;
  /** Somebody else claims with a limit just now: then there is no room for that. */
  readonly isContended: boolean;
}

/**
 * Counts what all runners have in hand. Whoever else claims with the limit of a
 * provider at the same time finds no room: a claim waits for no other.
 */
export async function readGlobalRoom(
  connection: Connection,
  { globalLimits, taskLimits, taskId }: ClaimOptions,
  at: Date,
): Promise<GlobalRoom> {
  const found = taskId === undefined ? await readPauses(connection, at) : [];
  const named = taskId === undefined ? limitedNames(taskLimits) : [];
  if (!globalLimits && found.length === 0 && named.length === 0) {
    return { pauses: found, room: undefined, isContended: false };
  }
  const trying = providersIn(found, "trying", at);
  const limited = [...globalLimits ?? []]
    .filter(([, limit]) => Number.isFinite(limit)).map(([name]) => name)
    .concat(trying, named);
  const locks = await connection.rows<{ name: string; has: boolean }>(
    `SELECT name, pg_try_advisory_xact_lock(${LIMIT_LOCK},
       hashtext(current_schema() || '/' || name)) AS has
     FROM json_array_elements_text($1::json) AS name`,
    [jsonOf([...new Set(limited)])],
  );
  // Whoever had the lock before may have a task that tries.
  const pauses = trying.length > 0 ? await readPauses(connection, at) : found;
  const limits = globalLimits &&
    globalRoomOf(globalLimits, await countInHand(connection, at));
  const room = new Map(roomBeside(pauses, { room: limits, at }));
  const taken = locks.filter(({ has }) => !has);
  for (const { name } of taken) room.set(name, 0);
  return { pauses, room, isContended: taken.length > 0 };
}

/** How many tasks of each provider are leased, by whomever. */
export async function countInHand(
  connection: Connection,
  at: Date,
): Promise<Room> {
  const rows = await connection.rows<{ provider: string; count: number }>(
    `SELECT provider, count(*)::integer AS count FROM agent_tasks
     WHERE lease_id IS NOT NULL AND lease_expires_at > $1::timestamptz
     GROUP BY provider`,
    [at],
  );
  return new Map(rows.map(({ provider, count }) => [provider, count]));
}

interface LeaseOptions extends CandidateOptions {
  readonly leaseId: string;
  readonly expiresAt: Date;
}

const NOTHING = { tasks: [], waitsForIdle: false, hasMore: false };

/** What a claim took, and what it was held back by. */
export interface Claimed extends Omit<Claim, "pauses"> {
  /** What it could not take. */
  readonly heldTouches?: HeldTouches;
}

/**
 * Claims in the transaction that is open on the connection.
 *
 * @throws {RefusedRowsError} where a row can't be written: roll back, and try
 * fewer.
 */
export async function claimTasks(
  connection: Connection,
  given: CandidateOptions,
): Promise<Claimed> {
  const { at, limit, ahead = 0 } = given;
  const options = {
    ...given,
    leaseId: crypto.randomUUID(),
    expiresAt: new Date(at.getTime() + given.leaseMs),
  };
  const due = given.taskId === undefined
    ? await noteDue(connection, at)
    : { hasMore: false };
  const ready = limit > 0 ? await beginTasks(connection, options) : NOTHING;
  const begun = { ...ready, hasMore: ready.hasMore || due.hasMore };
  const { tasks, waitsForIdle } = begun;
  if (options.taskLimits) await noteStarts(connection, tasks, options);
  // Fewer than wanted: there are no others, or their texts are large.
  const isAlone = tasks[0]?.isAlone ?? false;
  if (ahead === 0 || waitsForIdle || isAlone || tasks.length < limit) {
    return { ...begun, at };
  }
  const left = roomAfter(tasks, options.providerRoom);
  const held = await holdTasks(connection, {
    ...options,
    limit: ahead,
    isHeldOnly: true,
    providerRoom: options.taskLimits
      ? roomWithout(options.taskLimits, left)
      : left,
    globalRoom: roomAfter(tasks, options.globalRoom),
  });
  return { ...begun, tasks: [...tasks, ...held], at };
}

async function beginTasks(
  connection: Connection,
  options: LeaseOptions,
): Promise<Omit<Claimed, "at">> {
  const { at, isIdle = false, leaseId, owner, expiresAt } = options;
  const { touched, heldTouches, ...free } = await findFree(connection, options);
  const { chosen: found, nextAt } = free;
  const rest = { ...nextAt && { nextAt }, ...heldTouches && { heldTouches } };
  const [first] = found;
  const isAlone = first?.isSuspect ?? false;
  if (isAlone && !isIdle) return { ...NOTHING, waitsForIdle: true, ...rest };
  // By itself: whatever becomes of the runner, no other task falls with it.
  const sure = first && isAlone
    ? [first]
    : found.filter(({ isSuspect }) => !isSuspect);
  const chosen = touched?.take(sure, (it) => it) ?? sure;
  if (chosen.length === 0) return { ...NOTHING, ...rest };
  const rows = (await readInOrder(connection, chosen)).map((row) => ({
    ...row,
    leaseId,
    leaseOwner: owner,
    leaseExpiresAt: expiresAt,
    updatedAt: at,
  }));
  const changes = new Changes(new Map(rows.map((it) => [it.id, it])), at);
  const tasks = rows.map((row): ClaimedTask => {
    const { id: taskId, attempt } = row;
    const lease = { taskId, id: leaseId, owner, attempt: attempt + 1 };
    changes.apply(begin({ task: row, lease }));
    const { task } = heldOf(changes.get(taskId) ?? row);
    return { task, lease, isAlone };
  });
  await writeChanges(connection, changes, {
    at,
    lease: { leaseId, owner, expiresAt },
  });
  const waitsForIdle = !isAlone && sure.length < found.length;
  const hasMore = free.hasMore || chosen.length < sure.length;
  return { tasks, waitsForIdle, hasMore, ...rest };
}

/** What may be claimed, beside what others touch. */
interface Free extends Candidates {
  readonly heldTouches?: HeldTouches;
  /** What is in hand, where one of these touches something. */
  readonly touched?: Touched;
}

/** What is not held back by what others touch. */
async function findFree(
  connection: Connection,
  options: CandidateOptions,
): Promise<Free> {
  const { at, taskId, taskLimits } = options;
  const find = (heldTouches: HeldTouches) => {
    const all = { ...options, heldTouches };
    return taskLimits && taskId === undefined
      ? findLimited(connection, all)
      : findCandidates(connection, all);
  };
  const first = await find([]);
  const isNone = first.chosen.every(({ touch }) => touch === null);
  if (isNone || taskId !== undefined) return first;
  // Who has the lock sees what those who had it before have taken.
  if (!await lockTouches(connection)) {
    return { ...await find("anything"), heldTouches: "anything" };
  }
  const { touched, holds } = await readTouchHolds(connection, at);
  const heldTouches = [...holds.byKey.keys()];
  const found = heldTouches.length > 0 ? await find(heldTouches) : first;
  return { ...found, heldTouches, touched };
}

interface Id {
  readonly id: string;
}

async function readInOrder(
  connection: Connection,
  chosen: readonly Id[],
): Promise<HeldRow[]> {
  const rows = await connection.rows<HeldRow>(
    `SELECT ${HELD} FROM agent_tasks WHERE id = ANY ($1::uuid[])`,
    [uuids(chosen.map(({ id }) => id))],
  );
  return inOrderOf(chosen, rows);
}

function inOrderOf<Row extends Id>(chosen: readonly Id[], rows: Row[]): Row[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return chosen.flatMap(({ id }) => byId.get(id) ?? []);
}

/** Leases tasks, and changes nothing else of them. */
async function holdTasks(
  connection: Connection,
  options: LeaseOptions,
): Promise<ClaimedTask[]> {
  const { at, leaseId, owner, expiresAt } = options;
  const { chosen } = await findCandidates(connection, options);
  if (chosen.length === 0) return [];
  const ids = chosen.map(({ id }) => id);
  const rows = await changing(ids, () =>
    connection.rows<HeldRow>(
      `UPDATE agent_tasks SET lease_id = $2, lease_owner = $3,
         lease_expires_at = $4
       WHERE id = ANY ($1::uuid[]) RETURNING ${HELD}`,
      [uuids(ids), leaseId, owner, expiresAt],
    ));
  return inOrderOf(chosen, rows).map((row): ClaimedTask => {
    const { task } = heldOf({ ...row, updatedAt: at });
    const { id: taskId, attempt } = task;
    return {
      task,
      lease: { taskId, id: leaseId, owner, attempt: attempt + 1 },
    };
  });
}
