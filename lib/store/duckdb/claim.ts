/**
 * Claiming tasks, and what of them may be claimed.
 *
 * @module
 */

import type { ClaimedTask } from "../../task/task.ts";
import { begin } from "../../task/transitions.ts";
import { Changes } from "../changes.ts";
import type { Claim, ClaimOptions, Pause } from "../contract.ts";
import {
  fullProviders,
  globalRoomOf,
  type Room,
  roomAfter,
  sureRoom,
  withinRoom,
} from "../decisions.ts";
import { byPlace, roomWithout } from "../limits.ts";
import { roomBeside } from "../pauses.ts";
import type { Touched } from "../touches.ts";
import {
  type Candidate,
  type ClaimTasksOptions,
  findCandidates,
  findThese,
  isNamed,
  MAY_BE_HELD,
  wantedRows,
} from "./candidates.ts";
import type { Connection } from "./connection.ts";
import { chooseLimited, noteStarts } from "./limits.ts";
import { readPauses } from "./pauses.ts";
import { heldOf, readHeldTasks, RUN_ORDER } from "./rows.ts";
import { isIn, PlacedLease, type Range } from "./places.ts";
import { readTouchHolds } from "./touches.ts";
import { Values } from "./values.ts";
import { changeRows, NO_LEASE, writeChanges } from "./write.ts";

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
  if (options.taskLimits) await noteStarts(connection, tasks, options);
  // Fewer than wanted: there are no others, or their texts are large.
  const isAlone = tasks[0]?.isAlone ?? false;
  if (ahead === 0 || waitsForIdle || isAlone || tasks.length < limit) {
    return { ...begun, at };
  }
  const left = roomAfter(tasks, options.providerRoom);
  const own = options.taskLimits ? roomWithout(options.taskLimits, left) : left;
  const globalRoom = roomAfter(tasks, options.globalRoom);
  const held = await holdTasks(connection, {
    ...options,
    providerRoom: globalRoom ? sureRoom(own, globalRoom) : own,
    globalRoom,
  });
  return { ...begun, tasks: [...tasks, ...held], at };
}

async function beginTasks(
  connection: Connection,
  options: LeaseOptions,
): Promise<Omit<Claim, "at" | "pauses">> {
  const { now, isIdle = false, leaseId, owner, expiresAt } = options;
  const { found, nextAt, isCut, touched } = await findFree(connection, options);
  const rest = nextAt && { nextAt };
  const candidates = withinRoom(
    found,
    options.globalRoom,
    ({ task }) => task.provider,
  );
  const [first] = candidates;
  const isAlone = first?.isSuspect ?? false;
  if (isAlone && !isIdle) {
    return { tasks: [], waitsForIdle: true, hasMore: false, ...rest };
  }
  // By itself: whatever becomes of the runner, no other task falls with it.
  const sure = first && isAlone
    ? [first]
    : candidates.filter(({ isSuspect }) => !isSuspect);
  const chosen = touched?.take(sure, touchedRowOf) ?? sure;
  if (!first || chosen.length === 0) {
    return { tasks: [], waitsForIdle: false, hasMore: false, ...rest };
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
  const waitsForIdle = !isAlone && sure.length < candidates.length;
  const hasMore = (isCut ?? first.found > found.length) ||
    chosen.length < sure.length;
  return { tasks, waitsForIdle, hasMore, ...rest };
}

interface Found {
  /** In the order in which they are to run. */
  readonly found: readonly Candidate[];
  /** When the next of those may begin that a rate holds back. */
  readonly nextAt?: Date | undefined;
  /** There are more, as far as that is known. */
  readonly isCut?: boolean;
  /** What is in hand, where one of these touches something. */
  readonly touched?: Touched;
}

/** What is not held back by what others touch. */
async function findFree(
  connection: Connection,
  options: ClaimTasksOptions,
): Promise<Found> {
  const first = await findAll(connection, options);
  const isNone = first.found.every(({ touch }) => touch === null);
  if (isNone || options.taskId !== undefined) return first;
  const { touched, holds } = await readTouchHolds(connection, options.now);
  const heldTouches = [...holds.byKey.keys()];
  const found = heldTouches.length > 0
    ? await findAll(connection, { ...options, heldTouches })
    : first;
  return { ...found, touched };
}

const touchedRowOf = ({ task, touch }: Candidate) => ({ id: task.id, touch });

/** Those of providers with limits are chosen apart, and put where they belong. */
async function findAll(
  connection: Connection,
  options: ClaimTasksOptions,
): Promise<Found> {
  const { taskLimits, taskId, limit, providers, providerRoom } = options;
  if (!taskLimits || taskId !== undefined) {
    return { found: await findCandidates(connection, options) };
  }
  // By their names: to count within rooms takes several times as long.
  const { only, except } = fullProviders(providers, roomWithout(taskLimits));
  const isOther = (values: Values) =>
    except.length > 0 ? [`NOT ${isNamed(except, values)}`] : [];
  const others = only?.length === 0 ? [] : await findCandidates(
    connection,
    { ...options, providers: only },
    isOther,
  );
  const limited = await chooseLimited(connection, options);
  const ids = limited.chosen.map(({ task }) => task.id);
  const rows = ids.length > 0 ? await findThese(connection, ids, options) : [];
  const byId = new Map(rows.map((row) => [row.task.id, row]));
  const placed = [
    ...others.map((row) => ({ task: row, place: placeOf(row) })),
    ...limited.chosen.flatMap(({ task, place }) => {
      const row = byId.get(task.id);
      return row ? [{ task: row, place }] : [];
    }),
  ];
  const all = withinRoom(
    byPlace(placed),
    providerRoom,
    ({ task }) => task.provider,
  );
  const found = all.slice(0, limit);
  const count = (others[0]?.found ?? 0) + ids.length;
  const isCut = limited.hasMore || count > placed.length;
  return { found, nextAt: limited.nextAt, isCut };
}

function placeOf({ task, seq }: Candidate) {
  return { priority: task.priority, createdMs: +task.createdAt, seq };
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
