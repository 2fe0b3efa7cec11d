/**
 * The queue of a PostgreSQL database.
 *
 * @module
 */

import { DatabaseBusyError } from "../../base/errors.ts";
import type { Lease, TaskResult, Transition } from "../../task/task.ts";
import type {
  Claim,
  ClaimOptions,
  DueOptions,
  EndedTask,
  EndOptions,
  HandOverOptions,
  LeaseState,
  Pause,
  PauseOptions,
  PauseTarget,
  Presence,
  Preview,
  PreviewOptions,
  Queue,
  Recorded,
  RunLogWrite,
  UsageSum,
} from "../contract.ts";
import { endOf } from "../decisions.ts";
import { pausedBatches } from "../pauses.ts";
import {
  claimInParts,
  inParts,
  LeftOut,
  RecordParts,
  RefusedRowsError,
} from "../refused.ts";
import { noteTrials } from "../sql/pauses.ts";
import { hasCandidates, IS_DEAD, IS_FREE } from "./candidates.ts";
import { claimTasks, readGlobalRoom } from "./claim.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { readResults } from "./graph.ts";
import { addPause, handOver, noteLimits } from "./pauses.ts";
import { previewClaim } from "./preview.ts";
import { HELD, heldOf, type HeldRow, isOneOf, jsonOf, uuids } from "./rows.ts";
import { writeLogs } from "./run_logs.ts";
import { forgetRunner, notePresence } from "./runners.ts";
import { readUsage } from "./stats.ts";
import { changing, NO_LEASE, writeTransitions } from "./write.ts";

/** Options for {@linkcode PostgresQueue}. */
export interface PostgresQueueOptions {
  /** Called with what a person should know of the database. */
  readonly onProblem: (message: string) => void;
}

/** Who has it is told early that it could not be renewed, and tries again. */
const HEARTBEAT_WAIT_MS = 500;
/** A server that answers nothing for so long has a connection that hangs. */
const HEARTBEAT_TIMEOUT_MS = 3_000;
/** A runner that ends waits for it, and nobody needs to know of it at once. */
const PRESENCE = { isFirst: true, timeoutMs: 1_000, wakes: "nobody" } as const;
/** What another runner is about to take, it may leave, a moment later. */
const CONTENDED = { tries: 5, waitMs: 10 };
/** Where another one claims with the same limit: it is done in a moment, */
const LIMITED_TRIES = 50;
/** or hangs, in milliseconds until the next look. */
const LIMITED_MS = 250;

/** A {@linkcode Queue} in a PostgreSQL database. */
export class PostgresQueue implements Queue {
  readonly #database: Database;
  readonly #parts: RecordParts;
  readonly #leftOut: LeftOut;
  /** As the last claim found them. */
  #pauses: readonly Pause[] = [];

  constructor(database: Database, { onProblem }: PostgresQueueOptions) {
    this.#database = database;
    this.#parts = new RecordParts(() => database.clock.now());
    this.#leftOut = new LeftOut(database.clock, onProblem);
  }

  claim(options: ClaimOptions): Promise<Claim> {
    return claimInParts(options, {
      claim: (part) => this.#claim(part),
      leftOut: this.#leftOut,
      now: () => this.#database.clock.now(),
    });
  }

  async #claim(options: ClaimOptions): Promise<Claim> {
    const { signal } = options;
    const except = this.#leftOut.ids;
    const { announcements } = this.#database;
    for (let tries = 1;; tries++) {
      const { claim, isContended, isLimited, isHeld } = await this.#database
        .transaction(
          async (connection, at) => {
            const global = await readGlobalRoom(connection, options, at);
            const { pauses } = global;
            const wanted = {
              ...{ ...options, at, except, globalRoom: global.room },
              pausedBatches: pausedBatches(pauses, at),
            };
            const { heldTouches, ...claim } = await claimTasks(
              connection,
              wanted,
            );
            await noteTrials(connection, claim.tasks, { pauses, at });
            const isEmpty = claim.tasks.length === 0 && !claim.waitsForIdle;
            const isWanting = isEmpty && options.limit > 0;
            const isShared = global.isContended || heldTouches === "anything";
            const isLimited = isWanting && isShared;
            const isContended = isWanting && !isLimited &&
              tries <= CONTENDED.tries && !options.taskLimits &&
              await hasCandidates(connection, { ...wanted, heldTouches });
            // Who has got something looks at the rest at once.
            const hasMore = claim.hasMore || isShared;
            return {
              claim: { ...claim, hasMore, pauses },
              ...{ isContended, isLimited, isHeld: !!heldTouches?.length },
            };
          },
          { signal, isFirst: true },
        );
      this.#pauses = claim.pauses;
      announcements.sharesRoom = options.globalLimits !== undefined ||
        options.taskLimits !== undefined ||
        claim.pauses.length > 0 || isHeld;
      const isAgain = isContended || isLimited && tries <= LIMITED_TRIES;
      if (isLimited && !isAgain) this.#lookAgainSoon();
      if (!isAgain || signal?.aborted) return claim;
      await this.#database.clock.sleep(CONTENDED.waitMs, signal);
    }
  }

  /** Whoever claims with a limit may have stopped: others have work meanwhile. */
  async #lookAgainSoon(): Promise<void> {
    await this.#database.clock.sleep(LIMITED_MS);
    this.#database.announcements.tellQueue();
  }

  async endAbandoned(options: EndOptions): Promise<readonly EndedTask[]> {
    const { signal } = options;
    let ids: readonly string[] = [];
    const end = (only?: ReadonlySet<string>) =>
      this.#database.transaction(async (connection, at) => {
        const leftOut = new Set(this.#leftOut.ids);
        const found = (await findAbandoned(connection, at, options)).filter(
          ({ task: { id } }) =>
            !leftOut.has(id) && (only === undefined || only.has(id)),
        );
        ids = found.map(({ task }) => task.id);
        const { results } = await writeTransitions(
          connection,
          found.map(({ transition }) => transition),
          at,
        );
        return found.filter(({ transition }, index) =>
          transition.to === "failed" && results[index] === "written"
        );
      }, { signal, wakes: "tasks", isFirst: true });
    try {
      return await end();
    } catch (error) {
      if (!(error instanceof RefusedRowsError)) throw error;
      const ended = await inParts(
        // Not those of the error, which may be of what waits for them.
        ids,
        // Again: their runners may have renewed their leases since.
        (part) => end(new Set(part)),
        (id, refusal) => {
          this.#leftOut.add(id, refusal);
          return undefined;
        },
      );
      return ended.filter((it) => it !== undefined);
    }
  }

  async heartbeat(
    leases: readonly Lease[],
    { leaseMs }: { readonly leaseMs: number },
  ): Promise<readonly LeaseState[]> {
    if (leases.length === 0) return [];
    return await inParts(
      leases,
      (part) => this.#renew(part, leaseMs),
      // It runs out, and whoever takes the task over says so.
      () => "held",
    );
  }

  /**
   * Those first whose rows nobody writes just now; then the others, which their
   * writers have for some milliseconds. Apart from each other: who waits for a row
   * must not keep one that its writer may want next.
   */
  async #renew(
    leases: readonly Lease[],
    leaseMs: number,
  ): Promise<LeaseState[]> {
    const pass = (part: readonly Lease[], lock: string) =>
      this.#database.transaction(
        (connection, at) =>
          renew(connection, part, {
            expiresAt: new Date(at.getTime() + leaseMs),
            lock,
          }),
        {
          isUrgent: true,
          wakes: "nobody",
          waitMs: Math.min(HEARTBEAT_WAIT_MS, leaseMs / 3),
          timeoutMs: HEARTBEAT_TIMEOUT_MS,
          lockMs: HEARTBEAT_WAIT_MS,
        },
      );
    const rows = new Map<string, RenewedRow>();
    const add = (renewed: readonly RenewedRow[]) => {
      for (const row of renewed) rows.set(row.id, row);
    };
    add(await pass(leases, "FOR UPDATE SKIP LOCKED"));
    const rest = leases.filter(({ taskId }) => !rows.has(taskId));
    let isBusy = false;
    if (rest.length > 0) {
      try {
        add(await pass(rest, "FOR UPDATE"));
      } catch (error) {
        // The first ones are renewed, and whoever has them is to know.
        if (!(error instanceof DatabaseBusyError)) throw error;
        isBusy = true;
      }
    }
    return leases.map(({ taskId, id }) => {
      const row = rows.get(taskId);
      if (!row && isBusy) return "busy";
      if (row?.lease !== id) return "lost";
      return row.isWanted ? "held" : "cancelled";
    });
  }

  async record(
    transitions: readonly Transition[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Recorded> {
    if (transitions.length === 0) {
      return { at: this.#database.clock.now(), results: [] };
    }
    // What is given back, or waits, may be claimed by others; or what it leaves
    // room for.
    const { sharesRoom } = this.#database.announcements;
    const isOthers = transitions.some(({ to, keepsLease, event }) =>
      event === "limit_over" ||
      !keepsLease && (to === "running" || sharesRoom)
    );
    const recorded = await this.#parts.record(
      transitions,
      (part) =>
        this.#database.transaction(
          async (connection, at) => {
            const written = await writeTransitions(connection, part, at);
            const { results } = written;
            const isTrying = this.#pauses.length > 0;
            const noted = { results, at, isTrying };
            await noteLimits(connection, part, noted);
            return { at, ...written };
          },
          { signal, wakes: isOthers ? "tasks" : "events", isFirst: true },
        ),
    );
    if (recorded.hasUnblocked && !isOthers) {
      this.#database.announcements.tell("tasks");
    }
    return recorded;
  }

  async giveBack(leases: readonly Lease[]): Promise<void> {
    if (leases.length === 0) return;
    await inParts(
      leases,
      (part) =>
        this.#database.transaction(async (connection) => {
          const ids = taskIdsOf(part);
          await changing(ids, () =>
            connection.run(
              `UPDATE agent_tasks SET ${NO_LEASE}
               WHERE id = ANY ($1::uuid[]) AND lease_id = ANY ($2::uuid[])
                 AND status = 'created'`,
              [ids, leaseIdsOf(part)].map(uuids),
            ));
          return part;
        }, { wakes: "tasks", isFirst: true }),
      (it) => it,
    );
  }

  untilDue(
    since: Date,
    { isRetry = false, providers }: DueOptions = {},
  ): Promise<number | null> {
    return this.#database.read(async (connection, at) => {
      const isAsked = `(NOT $2::boolean OR status = 'running'
        AND lease_id IS NULL) AND ${isOneOf("$3")}`;
      const [row] = await connection.rows<{ due: Date | null }>(
        `SELECT least((
           SELECT run_at FROM agent_tasks
           WHERE run_at > $1::timestamptz AND lease_id IS NULL
             AND status IN ('created', 'running', 'needs_input') AND ${isAsked}
           ORDER BY run_at LIMIT 1), (
           SELECT min(greatest(run_at, lease_expires_at)) FROM agent_tasks
           WHERE lease_id IS NOT NULL AND status IN ('created', 'running')
             AND greatest(run_at, lease_expires_at) > $1::timestamptz
             AND ${isAsked}), (
           SELECT min(until) FROM agent_pauses
           WHERE until > $1::timestamptz AND NOT $2::boolean)) AS due`,
        [since, isRetry, providers ? jsonOf(providers) : null],
      );
      const due = row?.due?.getTime();
      return due === undefined ? null : Math.max(0, due - at.getTime());
    }, { isFirst: true });
  }

  usage(sinceMs: number): Promise<UsageSum[]> {
    return this.#database.read((connection, at) =>
      readUsage(connection, {
        start: new Date(at.getTime() - sinceMs),
        // What happened in this moment too.
        end: new Date(at.getTime() + 1),
      })
    );
  }

  pause(target: PauseTarget, options: PauseOptions): Promise<void> {
    return this.#database.transaction(
      (connection, at) => addPause(connection, target, { ...options, at }),
      { wakes: "tasks", isFirst: true },
    );
  }

  handOver(options: HandOverOptions): Promise<number> {
    return this.#database.transaction(
      (connection, at) => handOver(connection, { ...options, at }),
      { wakes: "tasks", isFirst: true },
    );
  }

  async present(
    presence: Presence,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly isDraining: boolean }> {
    const isDraining = await this.#database.transaction(
      (connection, at) => notePresence(connection, presence, at),
      { ...PRESENCE, ...options },
    );
    return { isDraining };
  }

  leave(
    name: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#database.transaction(
      (connection) => forgetRunner(connection, name),
      { ...PRESENCE, ...options },
    );
  }

  /** Not first: those who read it can wait, and what runs depend on can't. */
  async writeLogs(
    logs: RunLogWrite,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    if (logs.pieces.length === 0 && logs.cuts.length === 0) return;
    await this.#database.transaction(
      (connection, at) => writeLogs(connection, logs, at),
      { signal },
    );
  }

  results(taskId: string): Promise<readonly TaskResult[]> {
    return this.#database.read((connection) => readResults(connection, taskId));
  }

  preview(options: PreviewOptions): Promise<Preview> {
    return this.#database.read((connection, at) =>
      previewClaim(connection, { ...options, at })
    );
  }

  onChange(listener: () => void): Disposable {
    return this.#database.announcements.on("tasks", listener);
  }
}

function taskIdsOf(leases: readonly Lease[]): string[] {
  return leases.map(({ taskId }) => taskId);
}

function leaseIdsOf(leases: readonly Lease[]): string[] {
  return [...new Set(leases.map(({ id }) => id))];
}

interface RenewedRow {
  readonly id: string;
  readonly lease: string;
  readonly isWanted: boolean;
}

/** Options for {@linkcode renew}. */
interface RenewOptions {
  readonly expiresAt: Date;
  /** How the rows are locked. */
  readonly lock: string;
}

/** Renews what is held of these, and returns that. */
async function renew(
  connection: Connection,
  leases: readonly Lease[],
  { expiresAt, lock }: RenewOptions,
): Promise<RenewedRow[]> {
  const ids = taskIdsOf(leases);
  return await changing(ids, () =>
    connection.rows<RenewedRow>(
      `UPDATE agent_tasks SET lease_expires_at = $3
       WHERE id IN (SELECT id FROM agent_tasks
         WHERE id = ANY ($1::uuid[]) AND lease_id = ANY ($2::uuid[])
           AND status IN ('created', 'running')
         ORDER BY id ${lock})
       RETURNING id, lease_id AS lease,
         cancel_requested_at IS NULL AS "isWanted"`,
      [uuids(ids), uuids(leaseIdsOf(leases)), expiresAt],
    ));
}

/** Each of them has an index of its own, in which mostly nothing is found. */
const ABANDONED = [
  IS_DEAD,
  `cancel_requested_at IS NOT NULL AND status IN ('running', 'needs_input')
   AND ${IS_FREE}`,
  `run_at <= $1::timestamptz AND status = 'needs_input'
   AND cancel_requested_at IS NULL`,
  `run_at > $1::timestamptz AND status = 'running' AND lease_id IS NULL
   AND cancel_requested_at IS NULL AND strpos(last_update, '"answer_by"') > 0`,
];

/**
 * Finds them by the indexes. The conditions stand once more beside the lock: of a
 * row that was changed after it was found, the server looks at these only.
 */
const FIND_ABANDONED = `SELECT ${HELD} FROM agent_tasks
  WHERE id IN (${
  ABANDONED.map((it) => `SELECT id FROM agent_tasks WHERE ${it}`)
    .join(" UNION ALL ")
})
    AND (${ABANDONED.map((it) => `(${it})`).join(" OR ")})
    AND ($3::uuid IS NULL OR id = $3::uuid)
  ORDER BY id FOR UPDATE SKIP LOCKED`;

/** What nobody will run again, and what another program has answered. */
async function findAbandoned(
  connection: Connection,
  at: Date,
  { maxAttempts, taskId }: EndOptions,
): Promise<EndedTask[]> {
  const rows = await connection.rows<HeldRow>(
    FIND_ABANDONED,
    [at, maxAttempts, taskId ?? null],
  );
  return rows.flatMap((row): EndedTask[] => {
    const held = heldOf(row);
    const transition = endOf(held, { maxAttempts, at });
    return transition ? [{ task: held.task, transition }] : [];
  });
}
