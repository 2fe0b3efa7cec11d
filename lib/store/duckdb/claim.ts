/**
 * Claiming tasks, and what of them may be claimed.
 *
 * @module
 */

import type { AgentTask, ClaimedTask } from "../../task/task.ts";
import { begin } from "../../task/transitions.ts";
import { type Claim, type ClaimOptions, OTHERS } from "../contract.ts";
import type { Connection } from "./connection.ts";
import { HELD_ROW, heldOf, type HeldRow, RUN_ORDER } from "./rows.ts";
import { Values } from "./values.ts";
import { Changes, isRefusal, RefusedRowsError } from "./write.ts";

/** The attempts that count, of those that its runner's death allows it. */
const SPENT = "coalesce(attempt, 0) - coalesce(questions, 0)";
const limitOf = (maxAttempts: string) =>
  `coalesce(max_attempts, ${maxAttempts})`;

/** Holds for a row whose lease, if it has one, is over. */
export const isFree = (now: string) =>
  `coalesce(lease_expires_at <= ${now}, true)`;

/** Holds for a begun row whose runner died at its last attempt. */
export const isDead = (now: string, maxAttempts: string) => `
  status = 'running' AND lease_id IS NOT NULL AND ${isFree(now)}
  AND ${SPENT} >= ${limitOf(maxAttempts)}`;

/** Holds for a row that may be claimed; `due` is what its `run_at` must reach. */
export const isClaimable = (now: string, due: string, maxAttempts: string) => `
  CASE status
    WHEN 'created' THEN coalesce(run_at <= ${due}, true) AND ${isFree(now)}
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

/** Holds for a row that may be held without being begun. */
const MAY_BE_HELD = "status = 'created' AND lease_id IS NULL";

/** Options for {@linkcode claimTasks}. */
export interface ClaimTasksOptions extends ClaimOptions {
  readonly now: Date;
  /** Ids of tasks that are left out. */
  readonly except: readonly string[];
}

interface Candidate extends HeldRow {
  readonly isSuspect: boolean;
  readonly mayBeHeld: boolean;
  readonly isRescued: boolean;
}

/**
 * Claims in the transaction that is open on the connection.
 *
 * @throws {RefusedRowsError} where a row can't be written: roll back, and try
 * fewer.
 */
export async function claimTasks(
  connection: Connection,
  options: ClaimTasksOptions,
): Promise<Claim> {
  const { now } = options;
  const candidates = await findCandidates(connection, options);
  const { begun, held, waitsForIdle } = choose(candidates, options);
  const leaseId = crypto.randomUUID();
  const all = [...begun, ...held];
  if (all.length === 0) return { tasks: [], waitsForIdle, at: now };
  await lease(connection, all, { ...options, leaseId });
  const tasks = all.map((it): LeasedTask => leasedTask(it, leaseId, options));
  const changes = new Changes(tasks, now);
  for (const task of tasks.slice(0, begun.length)) {
    changes.apply(begin({ task, lease: leaseOf(task, 1) }));
  }
  await changes.write(connection);
  return {
    tasks: tasks.map(({ id }, index): ClaimedTask => {
      const task = changes.get(id) as LeasedTask;
      return { task, lease: leaseOf(task, index < begun.length ? 0 : 1) };
    }),
    waitsForIdle,
    at: now,
  };
}

interface LeasedTask extends AgentTask {
  readonly leaseId: string;
}

function leasedTask(
  candidate: Candidate,
  leaseId: string,
  { owner, leaseMs, now }: ClaimTasksOptions,
): LeasedTask {
  const { task } = heldOf(candidate);
  const leaseExpiresAt = new Date(now.getTime() + leaseMs);
  return Object.assign(task, {
    leaseId,
    leaseOwner: owner,
    leaseExpiresAt,
    updatedAt: now,
  });
}

function leaseOf(
  { id, leaseId, leaseOwner, attempt }: LeasedTask,
  more: 0 | 1,
) {
  const owner = leaseOwner ?? "";
  return { taskId: id, id: leaseId, owner, attempt: attempt + more };
}

/** Which of the candidates are begun, and which held. */
function choose(
  candidates: readonly Candidate[],
  { limit, ahead = 0, isIdle = false }: ClaimOptions,
) {
  const [first] = candidates;
  if (first?.isSuspect) {
    // By itself: whatever becomes of the runner, no other task falls with it.
    const begun = isIdle && limit > 0 ? [first] : [];
    return { begun, held: [], waitsForIdle: !isIdle };
  }
  const safe = candidates.filter((it) => !it.isSuspect);
  const held = safe.slice(limit).filter((it) => it.mayBeHeld).slice(0, ahead);
  return { begun: safe.slice(0, limit), held, waitsForIdle: false };
}

/** In the order in which they are to run. */
async function findCandidates(
  connection: Connection,
  options: ClaimTasksOptions,
): Promise<readonly Candidate[]> {
  const { limit, ahead = 0, maxAttempts, now, except, taskId, providers } =
    options;
  const values = new Values();
  const at = values.time(now);
  const max = `${values.bind(maxAttempts)}::INTEGER`;
  const due = taskId === undefined ? at : "'infinity'::TIMESTAMPTZ";
  const wanted = [isClaimable(at, due, max)];
  if (taskId !== undefined) wanted.push(`id = ${values.bind(taskId)}::UUID`);
  if (providers) wanted.push(isOneOf(values.bind(JSON.stringify(providers))));
  if (except.length > 0) wanted.push(`id NOT IN ${values.ids(except)}`);
  const condition = wanted.join(" AND ");
  const rows = withinRoom(condition, options, values);
  return await connection.json<Candidate[]>(
    `SELECT to_json(list(struct_insert(${HELD_ROW},
       isSuspect := ${isSuspect(max)}, mayBeHeld := ${MAY_BE_HELD},
       isRescued := status = 'running' AND lease_id IS NOT NULL)
       ORDER BY ${RUN_ORDER}))
     FROM (${rows} ORDER BY ${RUN_ORDER} LIMIT ${values.bind(limit + ahead)})`,
    values.list,
  ) ?? [];
}

/** Holds for a row of one of the providers, given as a JSON list. */
export const isOneOf = (providers: string) =>
  `provider IN (SELECT unnest(${providers}::JSON::TEXT[]))`;

/** The candidates; with limits of providers, those that there is room for. */
function withinRoom(
  condition: string,
  { providerRoom }: ClaimOptions,
  values: Values,
): string {
  if (!providerRoom) {
    return `SELECT *, rowid FROM agent_tasks WHERE ${condition}`;
  }
  // JSON has no Infinity: it is null there, and in the query too.
  const { [OTHERS]: others = null, ...named } = Object.fromEntries(
    providerRoom,
  );
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

/** Writes the leases; of what is only held, nothing else changes. */
async function lease(
  connection: Connection,
  candidates: readonly Candidate[],
  { leaseId, owner, leaseMs, now }: ClaimTasksOptions & {
    readonly leaseId: string;
  },
): Promise<void> {
  const expiresAt = new Date(now.getTime() + leaseMs);
  const rescued = candidates.filter((it) => it.isRescued)
    .map(({ task }) => task.id);
  try {
    if (rescued.length > 0) {
      await connection.run(
        `UPDATE agent_tasks SET rescues = coalesce(rescues, 0) + 1
         WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
        [JSON.stringify(rescued)],
      );
    }
    await connection.run(
      `UPDATE agent_tasks SET lease_id = $2, lease_owner = $3,
         lease_expires_at = $4::TIMESTAMPTZ
       WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
      [
        JSON.stringify(candidates.map(({ task }) => task.id)),
        leaseId,
        owner,
        expiresAt.toISOString(),
      ],
    );
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new RefusedRowsError(candidates.map(({ task }) => task.id), error);
  }
}
