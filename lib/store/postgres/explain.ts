/**
 * What errors of PostgreSQL and of the way to it mean, and what to do.
 *
 * @module
 */

import {
  DatabaseBusyError,
  DatabaseError,
  messageOf,
} from "../../base/errors.ts";

/** All sessions of this process that there may be are in use. */
export class SessionsBusyError extends Error {
  override readonly name = "SessionsBusyError";
  readonly code = "SESSIONS_BUSY";

  constructor() {
    super("no connection was free");
  }
}

/** The server's five characters, or what Node's network or the client says. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** The connection is lost, or there was none: nobody knows what came of a COMMIT. */
const LOST =
  /^(CONNECTION_(CLOSED|ENDED|DESTROYED)|CONNECT_TIMEOUT|E(CONN\w+|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN|NOTFOUND)|ENOENT|08...|57P0[1235])$/;
/** Another one may have it, or the server has too much to do. */
const BUSY = /^(SESSIONS_BUSY|40001|40P01|55P03|57014|53...|25006)$/;

/** Whether the connection is lost. */
export function isLost(error: unknown): boolean {
  return LOST.test(codeOf(error));
}

/** Whether it may go well a moment later. */
export function isTransient(error: unknown): boolean {
  return isLost(error) || BUSY.test(codeOf(error));
}

/**
 * One row of many is refused: by a constraint, a trigger, a foreign key of
 * another table, or because the server can't hold its text.
 */
export function isRefusal(error: unknown): boolean {
  return /^(22|23|P0|54)...$/.test(codeOf(error));
}

/** What the server or the network says, what that means, and what to do. */
const EXPLANATIONS: readonly (readonly [RegExp, string, string])[] = [
  [
    /^28/,
    "the server lets this user not in",
    "Look at the user and the password: in the address, PGPASSWORD or a passfile.",
  ],
  [
    /^3D000$/,
    "there is no such database",
    "Have it made: createdb, or CREATE DATABASE.",
  ],
  [
    /^42501$/,
    "its user may not do that",
    "Have an administrator run agent-runner migrate, and GRANT the rest.",
  ],
  [
    /^(ECONNREFUSED|ENOENT|57P03)$/,
    "no server answers there",
    "Start it, or look at the host and the port.",
  ],
  [
    /^(ENOTFOUND|EAI_AGAIN)$/,
    "its host is not known",
    "Look at the host's name, and at the network.",
  ],
  [
    /^CONNECT_TIMEOUT$|^E(TIMEDOUT|HOSTUNREACH|NETUNREACH)$/,
    "the server does not answer",
    "Look at the network, and at the firewall.",
  ],
  [
    /^SESSIONS_BUSY$/,
    "this program uses all of its connections",
    "Wait until long reads and exports are done, and try again.",
  ],
  [
    /^53300$/,
    "the server has no connection left",
    "Raise max_connections, or put PgBouncer before it.",
  ],
  [
    /^25006$/,
    "the server takes no writes: it is a standby",
    "Give the address of the primary.",
  ],
  [/^53100$/, "the server's disk is full", "Free some space there."],
  [
    /^(57014|55P03)$/,
    "it took too long",
    "Look at what else the server does, and try again.",
  ],
];

/** Turns an error into one that says what to do. */
export function explainPostgresError(error: unknown, shown: string): Error {
  if (error instanceof DatabaseError) return error;
  const code = codeOf(error);
  const isKnown = isTransient(error) || code !== "" ||
    /certificate|tls|ssl|handshake/i.test(messageOf(error));
  if (!isKnown) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
  const message = `Cannot use ${shown}: ${explanationOf(error)}`;
  return isTransient(error)
    ? new DatabaseBusyError(message, { cause: error, holder: "" })
    : new DatabaseError(message, { cause: error });
}

/** What an error means, and what to do; what it says where that is new. */
export function explanationOf(error: unknown): string {
  const code = codeOf(error);
  const [said = ""] = messageOf(error).split("\n");
  const known = EXPLANATIONS.find(([pattern]) => pattern.test(code));
  if (known) return `${known[1]} (${said}). ${known[2]}`;
  if (isLost(error)) {
    return `the connection was lost (${said}). Look at the server's log.`;
  }
  if (/certificate|tls|ssl|handshake/i.test(said)) {
    return `no safe connection: ${said}. Look at sslmode and sslrootcert.`;
  }
  return `${said}.`;
}
