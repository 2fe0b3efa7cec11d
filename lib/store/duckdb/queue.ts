/**
 * The queue of a DuckDB file.
 *
 * @module
 */

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
import { settlingAmong } from "../dependencies.ts";
import { pausedBatches } from "../pauses.ts";
import {
  claimInParts,
  inParts,
  LeftOut,
  RecordParts,
  RefusedRowsError,
} from "../refused.ts";
import { noteTrials } from "../sql/pauses.ts";
import { settle } from "../settle.ts";
import { isDead, isOneOf } from "./candidates.ts";
import { claimTasks, readGlobalRoom } from "./claim.ts";
import type { Connection } from "./connection.ts";
import type { Database, TransactionOptions } from "./database.ts";
import { settlingOfAll } from "./dependencies.ts";
import { Grace, GraceWait, hasLeases } from "./grace.ts";
import { Frontier } from "./places.ts";
import { readResults } from "./graph.ts";
import { addPause, handOver, noteLimits } from "./pauses.ts";
import { previewClaim } from "./preview.ts";
import { HELD_ROW, heldOf, type HeldRow, isFree } from "./rows.ts";
import { writeLogs } from "./run_logs.ts";
import { forgetRunner, notePresence, readPresence } from "./runners.ts";
import { readUsage } from "./stats.ts";
import { Values } from "./values.ts";
import {
  changeRows,
  NO_LEASE,
  refusalOf,
  settleStoreOf,
  writeTransitions,
} from "./write.ts";

/** Options for {@linkcode DuckDbQueue}. */
export interface DuckDbQueueOptions {
  /** Called with what a person should know of the database. */
  readonly onProblem: (message: string) => void;
}

/** Whoever has it is told early that it could not be renewed, and tries again. */
const HEARTBEAT_WAIT_MS = 500;
/** A runner lets the file go so often within the time of a lease. */
const HOLDS_PER_LEASE = 4;

/** A {@linkcode Queue} in a DuckDB file. */
export class DuckDbQueue implements Queue {
  readonly #database: Database;
  readonly #grace: Grace;
  readonly #frontier = new Frontier();
  readonly #parts: RecordParts;
  readonly #leftOut: LeftOut;
  /** As the last claim found them. */
  #pauses: readonly Pause[] = [];

  constructor(database: Database, options: DuckDbQueueOptions) {
    this.#database = database;
    this.#parts = new RecordParts(() => database.now());
    this.#leftOut = new LeftOut(database.clock, options.onProblem);
    this.#grace = new Grace(database);
  }

  claim(options: ClaimOptions): Promise<Claim> {
    return claimInParts(options, {
      claim: (part) => this.#claim(part),
      leftOut: this.#leftOut,
      now: () => this.#database.now(),
    });
  }

  async #claim(options: ClaimOptions): Promise<Claim> {
    const { owner, leaseMs } = options;
    // Who waits for the file must have it well before its lease is over.
    this.#database.holdAtMost(leaseMs / HOLDS_PER_LEASE);
    return await this.#afterGrace(
      options,
      async (connection, now) => {
        try {
          const global = await readGlobalRoom(connection, options, now);
          const { pauses } = global;
          const claim = await claimTasks(connection, {
            ...options,
            now,
            globalRoom: global.room,
            pausedBatches: pausedBatches(pauses, now),
            except: this.#leftOut.ids,
            frontier: this.#frontierOf(),
          });
          await noteTrials(connection, claim.tasks, { pauses, at: now });
          await this.#keepIfAlone(connection, owner, now);
          this.#pauses = pauses;
          return { ...claim, pauses };
        } catch (error) {
          throw refusalOf(error, []);
        }
      },
    ) ?? {
      tasks: [],
      waitsForIdle: false,
      hasMore: false,
      at: this.#database.now(),
      pauses: this.#pauses,
    };
  }

  /** A runner beside this one could not renew its leases: they are let run out. */
  async #keepIfAlone(
    connection: Connection,
    owner: string,
    now: Date,
  ): Promise<void> {
    if (!this.#database.mayKeep) return;
    if (await hasLeases(connection, { besides: owner, now })) return;
    this.#database.keep();
  }

  #frontierOf() {
    const { openedAt, clock } = this.#database;
    const now = clock.monotonic();
    return {
      next: (count: number) => this.#frontier.next(count, { openedAt, now }),
      reached: (rowids: readonly number[]) => this.#frontier.reached(rowids),
    };
  }

  async endAbandoned(options: EndOptions): Promise<readonly EndedTask[]> {
    const find = async (connection: Connection, now: Date) => {
      const leftOut = new Set(this.#leftOut.ids);
      const found = await findAbandoned(connection, now, options);
      return found.filter(({ task }) => !leftOut.has(task.id));
    };
    const write = async (
      connection: Connection,
      found: readonly EndedTask[],
      now: Date,
    ) => {
      const transitions = found.map(({ transition }) => transition);
      const { results } = await writeTransitions(connection, transitions, now);
      return found.filter(({ transition }, index) =>
        transition.to === "failed" && results[index] === "written"
      );
    };
    // Another program ends tasks, too.
    const findRest = async (connection: Connection) => {
      const leftOut = new Set(this.#leftOut.ids);
      const rest = await settlingOfAll(connection);
      return settlingAmong(rest, (id) => !leftOut.has(id));
    };
    try {
      return await this.#afterGrace(options, async (connection, now) => {
        const found = await find(connection, now);
        const ended = await write(connection, found, now);
        await settle(
          settleStoreOf(connection, now),
          await findRest(connection),
        );
        return ended;
      }) ?? [];
    } catch (error) {
      if (!(error instanceof RefusedRowsError)) throw error;
    }
    const ended = await inParts(
      await this.#transaction(find, options),
      (part) =>
        this.#transaction(async (connection, now) => {
          // Again: their runners may have renewed their leases since.
          const ids = new Set(part.map(({ task }) => task.id));
          const found = await find(connection, now);
          const still = found.filter(({ task }) => ids.has(task.id));
          return await write(connection, still, now);
        }, options),
      ({ task }, error) => {
        this.#leftOut.add(task.id, error);
        return undefined;
      },
    );
    const { endings, free } = await this.#transaction(findRest, options);
    await inParts(
      [...endings.keys(), ...free],
      (part) =>
        this.#transaction(async (connection, now) => {
          const ids = new Set(part);
          const rest = await findRest(connection);
          await settle(
            settleStoreOf(connection, now),
            settlingAmong(rest, (id) => ids.has(id)),
          );
          return part;
        }, options),
      (id, error) => {
        this.#leftOut.add(id, error);
        return id;
      },
    );
    return ended.filter((it) => it !== undefined);
  }

  async heartbeat(
    leases: readonly Lease[],
    { leaseMs }: { readonly leaseMs: number },
  ): Promise<readonly LeaseState[]> {
    if (leases.length === 0) return [];
    return await inParts(
      leases,
      (part) =>
        this.#transaction(
          (connection, now) =>
            renew(connection, part, new Date(now.getTime() + leaseMs)),
          { isUrgent: true, waitMs: Math.min(HEARTBEAT_WAIT_MS, leaseMs / 3) },
        ),
      // It runs out, and whoever takes the task over says so.
      () => "held",
    );
  }

  async record(
    transitions: readonly Transition[],
    options: TransactionOptions = {},
  ): Promise<Recorded> {
    if (transitions.length === 0) {
      return { at: this.#database.now(), results: [] };
    }
    return await this.#parts.record(
      transitions,
      (part) =>
        this.#transaction(async (connection, at) => {
          const written = await writeTransitions(connection, part, at);
          const { results } = written;
          const isTrying = this.#pauses.length > 0;
          await noteLimits(connection, part, { results, at, isTrying });
          return { at, ...written };
        }, options),
    );
  }

  async giveBack(leases: readonly Lease[]): Promise<void> {
    if (leases.length === 0) return;
    await inParts(
      leases,
      (part) =>
        this.#transaction(async (connection) => {
          const values = new Values();
          const sql = `UPDATE agent_tasks SET ${NO_LEASE}
            WHERE status = 'created' AND ${isLeased(part, values)}`;
          await changeRows(connection, taskIdsOf(part), { sql, values });
          return part;
        }),
      (it) => it,
    );
  }

  untilDue(
    since: Date,
    { isRetry = false, providers }: DueOptions = {},
  ): Promise<number | null> {
    return this.#database.transaction(async (connection, at) => {
      const due = await connection.json<number>(
        `SELECT to_json(epoch_ms(min(due))) FROM (
           SELECT CASE status WHEN 'needs_input' THEN run_at
             ELSE greatest(run_at, lease_expires_at) END AS due
           FROM agent_tasks
           WHERE status IN ('created', 'running', 'needs_input')
             AND (NOT $2::BOOLEAN OR status = 'running' AND lease_id IS NULL)
             AND ($3::TEXT IS NULL OR ${isOneOf("$3")})
           UNION ALL
           SELECT until FROM agent_pauses WHERE NOT $2::BOOLEAN)
         WHERE due > $1::TIMESTAMPTZ`,
        [
          since,
          isRetry,
          providers ? JSON.stringify(providers) : null,
        ],
      );
      return due === null ? null : Math.max(0, due - at.getTime());
    });
  }

  usage(sinceMs: number): Promise<UsageSum[]> {
    return this.#database.transaction((connection, at) =>
      readUsage(connection, {
        start: new Date(at.getTime() - sinceMs),
        // What happened in this moment too.
        end: new Date(at.getTime() + 1),
      })
    );
  }

  pause(target: PauseTarget, options: PauseOptions): Promise<void> {
    return this.#transaction((connection, at) =>
      addPause(connection, target, { ...options, at })
    );
  }

  handOver(options: HandOverOptions): Promise<number> {
    return this.#transaction((connection, at) =>
      handOver(connection, { ...options, at })
    );
  }

  async present(
    presence: Presence,
    options?: TransactionOptions,
  ): Promise<{ readonly isDraining: boolean }> {
    try {
      const isDraining = await this.#database.transaction(
        async (connection, at) => {
          const noted = await readPresence(connection, presence.name, at);
          if (noted?.isFresh) return noted.isDraining;
          // Who is woken by what is written need not write that it uses the file,
          // which would wake this runner.
          await this.#grace.begin(connection, { now: at });
          const isKnown = noted !== undefined;
          await notePresence(connection, presence, { at, isKnown });
          return noted?.isDraining ?? false;
        },
        options,
      );
      return { isDraining };
    } catch (error) {
      this.#grace.forget();
      throw error;
    }
  }

  leave(name: string, options?: TransactionOptions): Promise<void> {
    return this.#transaction(
      (connection) => forgetRunner(connection, name),
      options,
    );
  }

  async writeLogs(
    logs: RunLogWrite,
    options?: TransactionOptions,
  ): Promise<void> {
    if (logs.pieces.length === 0 && logs.cuts.length === 0) return;
    await this.#transaction(
      (connection, at) => writeLogs(connection, logs, at),
      options,
    );
  }

  results(taskId: string): Promise<readonly TaskResult[]> {
    return this.#database.transaction((connection) =>
      readResults(connection, taskId)
    );
  }

  preview(options: PreviewOptions): Promise<Preview> {
    return this.#database.transaction((connection, now) =>
      previewClaim(connection, { ...options, now })
    );
  }

  onChange(listener: () => void): Disposable {
    return this.#database.onChange(listener, { own: false });
  }

  async #transaction<T>(
    work: (connection: Connection, now: Date) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    try {
      return await this.#database.transaction(async (connection, now) => {
        await this.#grace.begin(connection, { now });
        return await work(connection, now);
      }, options);
    } catch (error) {
      this.#grace.forget();
      throw error;
    }
  }

  /**
   * Runs a transaction that takes leases that ran out, when those who hold them
   * have had their time. Undefined where the signal ended the wait.
   */
  async #afterGrace<T>(
    options: TransactionOptions,
    work: (connection: Connection, now: Date) => Promise<T>,
  ): Promise<T | undefined> {
    const wait = new GraceWait();
    while (!options.signal?.aborted) {
      try {
        const result = await this.#database.transaction(
          async (connection, now) => {
            const isToWait = await this.#grace.begin(connection, { now, wait });
            return isToWait ? WAIT : await work(connection, now);
          },
          options,
        );
        if (result !== WAIT) return result;
      } catch (error) {
        this.#grace.forget();
        if (options.signal?.aborted) return undefined;
        throw error;
      }
      await wait.sleep(this.#database, options.signal);
    }
    return undefined;
  }
}

const WAIT = Symbol("wait");

/** Holds for the rows that have one of the leases. */
function isLeased(leases: readonly Lease[], values: Values): string {
  const ids = [...new Set(leases.map(({ id }) => id))];
  return `lease_id IN (SELECT ${values.ids(ids)})
    AND id IN (SELECT ${values.ids(taskIdsOf(leases))})`;
}

function taskIdsOf(leases: readonly Lease[]): string[] {
  return leases.map(({ taskId }) => taskId);
}

async function renew(
  connection: Connection,
  leases: readonly Lease[],
  expiresAt: Date,
): Promise<LeaseState[]> {
  const values = new Values();
  const isHeld = `status IN ('created', 'running') AND ${
    isLeased(leases, values)
  }`;
  const rows = await connection.json<
    { id: string; lease: string; isWanted: boolean }[]
  >(
    `SELECT to_json(list({id: id, lease: lease_id,
       isWanted: cancel_requested_at IS NULL}))
     FROM agent_tasks WHERE ${isHeld}`,
    values.list,
  ) ?? [];
  const sql = `UPDATE agent_tasks
    SET lease_expires_at = ${values.time(expiresAt)} WHERE ${isHeld}`;
  await changeRows(connection, taskIdsOf(leases), { sql, values });
  const held = new Map(rows.map((row) => [row.id, row]));
  return leases.map(({ taskId, id }) => {
    const row = held.get(taskId);
    if (row?.lease !== id) return "lost";
    return row.isWanted ? "held" : "cancelled";
  });
}

/** What nobody will run again, and what another program has answered. */
async function findAbandoned(
  connection: Connection,
  now: Date,
  { maxAttempts, taskId }: EndOptions,
): Promise<EndedTask[]> {
  const at = "$1::TIMESTAMPTZ";
  const isCancelled = `status IN ('running', 'needs_input')
    AND cancel_requested_at IS NOT NULL AND ${isFree(at)}`;
  // Apart from each other, because DuckDB then knows from its statistics that
  // there are no such rows, mostly: 1 ms instead of 15.
  const rows = await connection.json<HeldRow[]>(
    `SELECT to_json(list(${HELD_ROW})) FROM (
       SELECT * FROM agent_tasks
       WHERE (${isDead(at, "$2::INTEGER")}) OR (${isCancelled})
       UNION ALL
       SELECT * FROM agent_tasks
       WHERE run_at IS NOT NULL AND cancel_requested_at IS NULL
         AND (status = 'needs_input' AND run_at <= ${at}
           OR status = 'running' AND lease_id IS NULL AND run_at > ${at}
             AND contains(last_update, '"answer_by"')))
     WHERE $3::UUID IS NULL OR id = $3::UUID`,
    [now, maxAttempts, taskId ?? null],
  ) ?? [];
  return rows.flatMap((row): EndedTask[] => {
    const held = heldOf(row);
    const transition = endOf(held, { maxAttempts, at: now });
    return transition ? [{ task: held.task, transition }] : [];
  });
}
