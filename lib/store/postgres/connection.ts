/**
 * The narrow connection that all SQL goes through, and the only place that opens
 * one.
 *
 * @module
 */

import postgres from "postgres";
import type { SqlConnection, SqlValue } from "../sql/connection.ts";
import type { PostgresAddress } from "./address.ts";

export type { SqlValue } from "../sql/connection.ts";

/** What the store needs of a database connection. */
export interface Connection extends SqlConnection {
  /** The rows that a statement gives, by the names of their columns. */
  rows<T>(sql: string, values?: readonly SqlValue[]): Promise<T[]>;
  /** The rows of a SELECT, so many at a time. */
  sets<T>(
    sql: string,
    values: readonly SqlValue[],
    size: number,
  ): AsyncIterable<T[]>;
}

/** Some connections to a server, which are opened when they are needed. */
export type Client = postgres.Sql<{ bigint: number }>;

/** Options for {@linkcode openClient}. */
export interface ClientOptions {
  /** How many connections at most. */
  readonly max: number;
  /** Called with what arrives by LISTEN. */
  readonly onNotify?: (channel: string, payload: string) => void;
  /** Called when one of them is gone. */
  readonly onClose?: () => void;
}

/** How often the system asks a silent server whether it is there, in seconds. */
const KEEP_ALIVE_S = 20;
/** Connections that nobody uses are given back to the server, in seconds. */
const IDLE_S = 60;

/** Opens nothing yet. */
export function openClient(
  address: PostgresAddress,
  { max, onNotify, onClose }: ClientOptions,
): Client {
  const { host, port, path, database, user, password, tls, connectTimeout } =
    address;
  // All of them: what is left out, it would read from the environment.
  const options = {
    host,
    port,
    path,
    database,
    user,
    pass: password,
    ssl: tls,
    max,
    connect_timeout: connectTimeout,
    idle_timeout: onNotify ? null : IDLE_S,
    max_lifetime: null,
    keep_alive: KEEP_ALIVE_S,
    fetch_types: false,
    prepare: true,
    debug: false,
    backoff: 0,
    target_session_attrs: "read-write",
    connection: { application_name: "agent-runner" },
    types: {
      bigint: { to: 20, from: [20], parse: Number, serialize: String },
      // JSON is bound as the text that it is.
      json: {
        to: 114,
        from: [114, 3802],
        parse: JSON.parse,
        serialize: String,
      },
    },
    onnotice: () => {}, // "relation exists already": nothing that anybody needs.
    onnotify: onNotify,
    onclose: onClose,
  };
  return postgres(
    options as unknown as postgres.Options<{ bigint: never }>,
  ) as unknown as Client;
}

/** The server's texts have no NUL: it is kept as U+FFFD, as half a character is. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\ufffd");
}
