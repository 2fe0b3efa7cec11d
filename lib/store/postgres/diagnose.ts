/**
 * What `doctor` looks at: the way to the server, its tables and tasks.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { DatabaseError } from "../../base/errors.ts";
import { formatSpan } from "../../base/figures.ts";
import { TASK_STATES } from "../../task/task.ts";
import { partialCheck } from "../archive.ts";
import {
  type Check,
  type Diagnosis,
  type Diagnostics,
  PUT_OFF,
  type TaskCount,
  type TaskFindings,
} from "../contract.ts";
import { parsePostgresAddress } from "./address.ts";
import { hasMark } from "./archive.ts";
import type { Connection } from "./connection.ts";
import { Database } from "./database.ts";
import { readVersion, VERSION } from "./schema.ts";

/** Options for {@linkcode PostgresDiagnostics}. */
export interface DiagnosticsOptions {
  readonly clock: Clock;
  /** How long to try where the server can't be used, in ms. */
  readonly waitMs: number;
}

/** Clocks of machines differ by less. */
const CLOCK_SLACK_MS = 60_000;
/** A runner renews its leases long before. */
const LONG_LEASES = 10;
/** A transaction that is open for longer holds back what is told of tasks. */
const LONG_TRANSACTION_MS = 60_000;

/** The {@linkcode Diagnostics} of a PostgreSQL database. */
export class PostgresDiagnostics implements Diagnostics {
  readonly #address: string;
  readonly #options: DiagnosticsOptions;

  constructor(address: string, options: DiagnosticsOptions) {
    this.#address = address;
    this.#options = options;
  }

  async diagnose(
    { leaseMs }: { readonly leaseMs: number },
  ): Promise<Diagnosis> {
    const { clock } = this.#options;
    const startedAt = clock.monotonic();
    try {
      await using database = new Database(parsePostgresAddress(this.#address), {
        ...this.#options,
        onProblem: () => {},
      });
      return await database.read(async (connection, at) => {
        const server = await readServer(connection);
        const version = await readVersion(connection, database.schema);
        const isReadable = version === VERSION;
        const isPartial = version > 0 && await hasMark(connection);
        return {
          checks: [
            checkOf(
              "server",
              `${database.shown} answered within ${
                formatSpan(clock.monotonic() - startedAt)
              }`,
            ),
            checkTls(server),
            checkClock(clock.now(), at),
            checkConnections(server),
            checkTransactions(server),
            checkTables(version),
            ...isPartial ? [partialCheck(database.shown)] : [],
          ],
          tasks: isReadable
            ? await findTasks(connection, { at, leaseMs })
            : undefined,
          engine: `PostgreSQL ${server.version}`,
        };
      });
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      const check: Check = {
        name: "server",
        level: "fail",
        message: error.message,
      };
      return { checks: [check], tasks: undefined, engine: undefined };
    }
  }
}

/** Where there is advice, something is not as it should be. */
function checkOf(name: string, message: string, advice?: string): Check {
  return advice === undefined
    ? { name, level: "ok", message }
    : { name, level: "warn", message, advice };
}

interface Server {
  readonly version: string;
  readonly isEncrypted: boolean | null;
  /** Null: by a socket of this machine. */
  readonly address: string | null;
  readonly used: number;
  readonly most: number;
  /** How long the oldest transaction that writes is open, in ms. */
  readonly openMs: number | null;
}

async function readServer(connection: Connection): Promise<Server> {
  const [server] = await connection.rows<Server>(
    `SELECT current_setting('server_version') AS version,
       (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())
         AS "isEncrypted",
       host(inet_client_addr()) AS address,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
         AS used,
       current_setting('max_connections')::integer AS most,
       (SELECT floor(extract(epoch FROM
           max(clock_timestamp() - xact_start)) * 1000)::bigint
         FROM pg_stat_activity WHERE backend_xid IS NOT NULL) AS "openMs"`,
  );
  if (!server) throw new DatabaseError("Cannot look at the server.");
  return server;
}

function checkTls({ isEncrypted, address }: Server): Check {
  const isNear = address === null || /^(127\.|::1$)/.test(address);
  return isEncrypted
    ? checkOf("encryption", "the connection is encrypted")
    : isNear
    ? checkOf("encryption", "none, within this machine")
    : checkOf(
      "encryption",
      "the connection is not encrypted",
      "Add ?sslmode=verify-full&sslrootcert=PATH to the address.",
    );
}

function checkClock(own: Date, server: Date): Check {
  const ms = own.getTime() - server.getTime();
  const isOff = Math.abs(ms) > CLOCK_SLACK_MS;
  return checkOf(
    "clock",
    isOff
      ? `this machine's is ${formatSpan(Math.abs(ms))} ${
        ms > 0 ? "ahead of" : "behind"
      } the server's, which counts`
      : "as the server's",
    isOff ? "Set this machine's clock, or the server's." : undefined,
  );
}

function checkConnections({ used, most }: Server): Check {
  const isFull = used > 0.8 * most;
  return checkOf(
    "connections",
    `${used} of ${most} are in use`,
    isFull
      ? "A runner takes up to 5. Raise max_connections, or put PgBouncer before it."
      : undefined,
  );
}

function checkTransactions({ openMs }: Server): Check {
  const isLong = (openMs ?? 0) > LONG_TRANSACTION_MS;
  return checkOf(
    "transactions",
    isLong
      ? `one that writes is open for ${
        formatSpan(openMs ?? 0)
      }: webhooks and streams of events wait for it`
      : "none is open for long",
    isLong ? "Look into pg_stat_activity for who it is." : undefined,
  );
}

function checkTables(version: number): Check {
  if (version === VERSION) return checkOf("tables", "complete");
  return version > VERSION
    ? {
      name: "tables",
      level: "fail",
      message: `they are of version ${version}, newer than this program`,
      advice: "Update agent-runner.",
    }
    : {
      name: "tables",
      level: "ok",
      message: version === 0
        ? "there are none yet"
        : `they are of version ${version}`,
      advice:
        "The next command makes what is missing, or agent-runner migrate.",
    };
}

const msOf = (interval: string) =>
  `floor(extract(epoch FROM ${interval}) * 1000)::bigint`;

async function findTasks(
  connection: Connection,
  { at, leaseMs }: { readonly at: Date; readonly leaseMs: number },
): Promise<TaskFindings> {
  const aged = (name: string, condition: string, since: string) => `
    json_build_object('count', count(*) FILTER (WHERE ${condition}),
      'oldestMs', coalesce(${
    msOf(`$1::timestamptz - min(${since}) FILTER (WHERE ${condition})`)
  }, 0)) AS "${name}"`;
  const isLive = "coalesce(lease_expires_at > $1::timestamptz, false)";
  const isDue = "coalesce(run_at <= $1::timestamptz, true)";
  const isWanted = "cancel_requested_at IS NULL";
  const [found] = await connection.rows<
    Omit<TaskFindings, "runners" | "waitingProviders" | "unbegun">
  >(
    `SELECT count(*) AS total,
       count(*) FILTER (WHERE greatest(created_at, updated_at)
         > $2::timestamptz) AS "inFuture",
       count(*) FILTER (WHERE status = 'running'
         AND lease_expires_at > $3::timestamptz) AS "longLeases",
       ${
      [
        aged(
          "waiting",
          `status = 'created' AND NOT blocked AND NOT ${isLive} AND ${isDue}`,
          "greatest(CASE WHEN if_failed IS NULL THEN created_at " +
            "ELSE updated_at END, run_at)",
        ),
        aged(
          "abandoned",
          `status = 'running' AND NOT ${isLive} AND ${isWanted} AND ${isDue}`,
          "greatest(updated_at, run_at, lease_expires_at)",
        ),
        aged("asking", "status = 'needs_input'", "updated_at"),
        aged(
          "uncancelled",
          `status IN ('created', 'running') AND NOT ${isLive}
             AND NOT ${isWanted}`,
          "updated_at",
        ),
      ].join(", ")
    },
       coalesce(json_agg(DISTINCT status) FILTER (WHERE
         status NOT IN ('${TASK_STATES.join("', '")}')), '[]')
         AS "unknownStates"
     FROM agent_tasks`,
    [
      at,
      new Date(at.getTime() + CLOCK_SLACK_MS),
      new Date(at.getTime() + LONG_LEASES * leaseMs),
    ],
  );
  if (!found) throw new DatabaseError("Cannot count the tasks.");
  const counted = (column: string, condition: string) =>
    connection.rows<TaskCount>(
      `SELECT coalesce(${column}, '') AS name, count(*) AS tasks
       FROM agent_tasks WHERE ${condition} GROUP BY 1 ORDER BY 1`,
      [at],
    );
  return {
    ...found,
    runners: await counted("lease_owner", `status = 'running' AND ${isLive}`),
    waitingProviders: await counted(
      "provider",
      `status IN ('created', 'running') AND NOT ${isLive}`,
    ),
    unbegun: await connection.rows<TaskCount>(
      `SELECT detail AS name, count(*) AS tasks
       FROM agent_tasks AS t CROSS JOIN LATERAL (
         SELECT kind, detail FROM agent_task_events
         WHERE task_id = t.id AND kind IN ('${PUT_OFF.join("', '")}')
         ORDER BY id DESC LIMIT 1) AS last
       WHERE status = 'running' AND run_at IS NOT NULL AND NOT ${isLive}
         AND kind = 'released'
       GROUP BY detail ORDER BY tasks DESC, name`,
      [at],
    ),
  };
}
