/**
 * Claiming tasks, and what of them may be claimed.
 *
 * @module
 */

import type { ClaimedTask } from "../../task/task.ts";
import { begin } from "../../task/transitions.ts";
import { Changes } from "../changes.ts";
import {
  type Claim,
  type ClaimOptions,
  OTHERS,
  type Pause,
} from "../contract.ts";
import {
  globalRoomOf,
  type Room,
  roomAfter,
  roomOf,
  sureRoom,
  withinRoom,
} from "../decisions.ts";
import { roomBeside } from "../pauses.ts";
import type { Connection } from "./connection.ts";
import { readPauses } from "./pauses.ts";
import {
  fittingRows,
  HELD_ROW,
  heldOf,
  type HeldRow,
  isFree,
  readHeldTasks,
  RUN_ORDER,
} from "./rows.ts";
import { isIn, PlacedLease, type Range } from "./places.ts";
import { Values } from "./values.ts";
import { changeRows, NO_LEASE, writeChanges } from "./write.ts";

/** The attempts that count, of those that its runner's death allows it. */
const SPENT = "coalesce(attempt, 0) - coalesce(questions, 0)";
const limitOf = (maxAttempts: string) =>
  `coalesce(max_attempts, ${maxAttempts})`;

/** Holds for a begun row whose runner died at its last attempt. */
export const isDead = (now: string, maxAttempts: string) => `
  status = 'running' AND lease_id IS NOT NULL AND ${isFree(now)}
  AND ${SPENT} >= ${limitOf(maxAttempts)}`;

/** Holds for a row that may be claimed; `due` is what its `run_at` must reach. */
export const isClaimable = (now: string, due: string, maxAttempts: string) => `
  CASE status
    WHEN 'created' THEN coalesce(run_at <= ${due}, true) AND ${isFree(now)}
      AND blocked IS NOT TRUE
    WHEN 'running' THEN cancel_requested_at IS NULL
      AND coalesce(run_at <= ${due}, true) AND ${isFree(now)}
      AND NOT (lease_id IS NOT NULL AND ${SPENT} >= ${limitOf(maxAttempts)})
    ELSE false
  END`;

/**
 * Holds for a claimable row that a runner died with, and that begins its last
 * attempt: it may have been what killed the runner.
 */
const isSuspect = (maxAttempts: string) => `
  status = 'running' AND (lease_id IS NOT NULL OR coalesce(rescues, 0) > 0)
  AND ${SPENT} + 1 >= ${limitOf(maxAttempts)}`;

/** Holds for a claimable row that may be held without being begun: it never was. */
const MAY_BE_HELD = "status = 'created'";

/** Options for {@linkcode claimTasks}. */
export interface ClaimTasksOptions extends ClaimOptions {
  readonly now: Date;
  /** Ids of tasks that are left out. */
  readonly except: readonly string[];
  /** What all runners together leave. */
  readonly globalRoom?: Room | undefined;
  /** Where the last hold ended. */
  readonly frontier: {
    next(count: number): Range | undefined;
    reached(rowids: readonly number[]): void;
  };
}

interface LeaseOptions extends ClaimTasksOptions {
  readonly leaseId: string;
  readonly expiresAt: Date;
}

/**
 * Claims in the transaction that is open on the connection.
 *
 * @throws {RefusedRowsError} where a row can't be written: roll back, and try
 * fewer.
 */
export async function claimTasks(
  connection: Connection,
  given: ClaimTasksOptions,
): Promise<Omit<Claim, "pauses">> {
  const { now: at, limit, ahead = 0 } = given;
  const options = {
    ...given,
    leaseId: crypto.randomUUID(),
    expiresAt: new Date(at.getTime() + given.leaseMs),
  };
  const begun = limit > 0
    ? await beginTasks(connection, options)
    : { tasks: [], waitsForIdle: false, hasMore: false };
  const { tasks, waitsForIdle } = begun;
  // Fewer than wanted: there are no others, or their texts are large.
  const isAlone = tasks[0]?.isAlone ?? false;
  if (ahead === 0 || waitsForIdle || isAlone || tasks.length < limit) {
    return { ...begun, at };
  }
  const own = roomAfter(tasks, options.providerRoom);
  const globalRoom = roomAfter(tasks, options.globalRoom);
  const held = await holdTasks(connection, {
    ...options,
    providerRoom: globalRoom ? sureRoom(own, globalRoom) : own,
    globalRoom,
  });
  return { ...begun, tasks: [...tasks, ...held], at };
}

interface Candidate extends HeldRow {
  readonly isSuspect: boolean;
  /** How many there were, those whose texts did not fit included. */
  readonly found: number;
}

async function beginTasks(
  connection: Connection,
  options: LeaseOptions,
): Promise<Omit<Claim, "at" | "pauses">> {
  const { now, isIdle = false, leaseId, owner, expiresAt } = options;
  const found = await findCandidates(connection, options);
  const candidates = withinRoom(
    found,
    options.globalRoom,
    ({ task }) => task.provider,
  );
  const [first] = candidates;
  const isAlone = first?.isSuspect ?? false;
  if (isAlone && !isIdle) {
    return { tasks: [], waitsForIdle: true, hasMore: false };
  }
  // By itself: whatever becomes of the runner, no other task falls with it.
  const chosen = first && isAlone
    ? [first]
    : candidates.filter(({ isSuspect }) => !isSuspect);
  if (!first || chosen.length === 0) {
    return { tasks: [], waitsForIdle: false, hasMore: false };
  }
  await lease(connection, chosen.map(({ task }) => task.id), options);
  const rows = chosen.map((candidate) => ({
    ...heldOf(candidate).task,
    leaseId,
    leaseOwner: owner,
    leaseExpiresAt: expiresAt,
    updatedAt: now,
  }));
  const changes = new Changes(new Map(rows.map((it) => [it.id, it])), now);
  const tasks = rows.map((task): ClaimedTask => {
    const { id: taskId, attempt } = task;
    const lease = { taskId, id: leaseId, owner, attempt: attempt + 1 };
    changes.apply(begin({ task, lease }));
    const { leaseId: _, ...begun } = changes.get(taskId) ?? task;
    return { task: begun, lease, isAlone };
  });
  await writeChanges(connection, changes, { at: now });
  const waitsForIdle = !isAlone && chosen.length < candidates.length;
  return { tasks, waitsForIdle, hasMore: first.found > found.length };
}

/** In the order in which they are to run. */
async function findCandidates(
  connection: Connection,
  options: ClaimTasksOptions,
): Promise<readonly Candidate[]> {
  const values = new Values();
  const maxAttempts = `${values.bind(options.maxAttempts)}::INTEGER`;
  const rows = `FROM (${wantedRows(options, values)})
    ORDER BY ${RUN_ORDER} LIMIT ${values.bind(options.limit)}`;
  return await connection.json<Candidate[]>(
    `SELECT to_json(list(struct_insert(${HELD_ROW},
       isSuspect := ${isSuspect(maxAttempts)}, found := rows_found)
       ORDER BY ${RUN_ORDER}))
     FROM (${fittingRows(rows, RUN_ORDER)})`,
    values.list,
  ) ?? [];
}

/** A SELECT of the rows that may be claimed, and for which the rest holds. */
function wantedRows(
  options: ClaimTasksOptions,
  values: Values,
  rest: readonly string[] = [],
): string {
  const { now, except, taskId, providers } = options;
  const at = values.time(now);
  const maxAttempts = `${values.bind(options.maxAttempts)}::INTEGER`;
  const due = taskId === undefined ? at : "'infinity'::TIMESTAMPTZ";
  const wanted = [isClaimable(at, due, maxAttempts), ...rest];
  if (taskId !== undefined) wanted.push(`id = ${values.bind(taskId)}::UUID`);
  if (providers) wanted.push(isOneOf(values.bind(JSON.stringify(providers))));
  if (except.length > 0) {
    wanted.push(`id NOT IN (SELECT ${values.ids(except)})`);
  }
  return rowsWithin(roomOf(options), wanted.join(" AND "), values);
}

async function lease(
  connection: Connection,
  ids: readonly string[],
  { leaseId, owner, expiresAt }: LeaseOptions,
): Promise<void> {
  const values = new Values();
  const isChosen = `id IN (SELECT ${values.ids(ids)})`;
  await changeRows(connection, ids, {
    sql: `UPDATE agent_tasks SET rescues = coalesce(rescues, 0) + 1
      WHERE ${isChosen} AND status = 'running' AND lease_id IS NOT NULL`,
    values,
  });
  const sql = `UPDATE agent_tasks SET lease_id = ${values.bind(leaseId)},
      lease_owner = ${values.bind(owner)},
      lease_expires_at = ${values.time(expiresAt)}
    WHERE ${isChosen}`;
  await changeRows(connection, ids, { sql, values });
}

/** Leases tasks, and changes nothing else of them. */
async function holdTasks(
  connection: Connection,
  options: LeaseOptions,
): Promise<ClaimedTask[]> {
  const { ahead = 0, now, leaseId, owner, expiresAt, frontier } = options;
  let count = 0;
  for (const range of new Set([frontier.next(ahead), undefined])) {
    if (count === ahead) break;
    const rest = ahead - count;
    count += await hold(connection, { ...options, ahead: rest, range });
  }
  const held = await readHeldTasks(connection, leaseId);
  if (held.length < count) {
    await leaveRest(connection, leaseId, held.map(({ task }) => task.id));
  }
  frontier.reached(held.map(({ rowid }) => rowid));
  return held.map(({ task, rowid }): ClaimedTask => {
    const lease = new PlacedLease(task, { id: leaseId, owner, rowid });
    return {
      task: Object.assign(task, {
        leaseOwner: owner,
        leaseExpiresAt: expiresAt,
        updatedAt: now,
      }),
      lease,
    };
  });
}

/** Gives back what was held of which the texts did not fit. */
async function leaveRest(
  connection: Connection,
  leaseId: string,
  ids: readonly string[],
): Promise<void> {
  const values = new Values();
  const sql = `UPDATE agent_tasks SET ${NO_LEASE}
    WHERE lease_id = ${values.bind(leaseId)} AND status = 'created'
      AND id NOT IN (SELECT ${values.ids(ids)})`;
  await changeRows(connection, [], { sql, values });
}

async function hold(
  connection: Connection,
  options: LeaseOptions & {
    readonly ahead: number;
    readonly range: Range | undefined;
  },
): Promise<number> {
  const { ahead, leaseId, owner, expiresAt, range } = options;
  const values = new Values();
  const rows = wantedRows(options, values, [
    MAY_BE_HELD,
    isIn(range, "rowid", values),
  ]);
  const sql = `UPDATE agent_tasks SET lease_id = ${values.bind(leaseId)},
       lease_owner = ${values.bind(owner)},
       lease_expires_at = ${values.time(expiresAt)}
     WHERE ${isIn(range, "rowid", values)} AND rowid IN (
       SELECT rowid FROM (${rows})
       ORDER BY ${RUN_ORDER} LIMIT ${values.bind(ahead)})`;
  // Which they are, only DuckDB knows; without any ahead, all is well.
  return await changeRows(connection, [], { sql, values });
}

/** What all runners together leave. */
interface GlobalRoom {
  readonly pauses: readonly Pause[];
  /** Undefined where nothing is limited. */
  readonly room: Room | undefined;
}

/** The room that all runners together leave. */
export async function readGlobalRoom(
  connection: Connection,
  { globalLimits, taskId }: ClaimOptions,
  now: Date,
): Promise<GlobalRoom> {
  const pauses = taskId === undefined ? await readPauses(connection, now) : [];
  if (!globalLimits && pauses.length === 0) return { pauses, room: undefined };
  const limits = globalLimits &&
    globalRoomOf(globalLimits, await countInHand(connection, now));
  return { pauses, room: roomBeside(pauses, { room: limits, at: now }) };
}

/** How many tasks of each provider are leased, by whomever. */
export async function countInHand(
  connection: Connection,
  now: Date,
): Promise<Room> {
  const values = new Values();
  const rows = await connection.json<[string, number][]>(
    `SELECT to_json(list([provider::JSON, count::JSON])) FROM (
       SELECT to_json(provider) AS provider, count(*) AS count FROM agent_tasks
       WHERE lease_id IS NOT NULL AND lease_expires_at > ${values.time(now)}
       GROUP BY ALL)`,
    values.list,
  );
  return new Map(rows ?? []);
}

/** Holds for a row of one of the providers, given as a JSON list. */
export const isOneOf = (providers: string) =>
  `provider IN (SELECT unnest(${providers}::JSON::TEXT[]))`;

/** The candidates; with limits of providers, those that there is room for. */
function rowsWithin(
  room: Room | undefined,
  condition: string,
  values: Values,
): string {
  if (!room) {
    return `SELECT *, rowid FROM agent_tasks WHERE ${condition}`;
  }
  // JSON has no Infinity: it is null there, and in the query too.
  const { [OTHERS]: others = null, ...named } = Object.fromEntries(room);
  const rooms = Object.entries(named).map(([name, room]) => ({ name, room }));
  return `
    SELECT t.*, t.rowid FROM agent_tasks t
    LEFT JOIN (SELECT unnest(from_json(${values.bind(JSON.stringify(rooms))},
      '[{"name": "TEXT", "room": "BIGINT"}]'), recursive := true)) r
      ON t.provider = r.name
    WHERE ${condition}
    QUALIFY coalesce(row_number() OVER (
        PARTITION BY coalesce(r.name, '${OTHERS}') ORDER BY ${RUN_ORDER})
      <= CASE WHEN r.name IS NULL
        THEN ${values.bind(JSON.stringify(others))}::JSON::BIGINT
        ELSE r.room END, true)`;
}
