/**
 * Where a PostgreSQL server is, and how it is spoken to: as libpq reads it.
 *
 * @module
 */

import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import {
  readPostgresAddress,
  shownDatabase,
} from "../../base/database_address.ts";
import { DatabaseError, messageOf } from "../../base/errors.ts";
import { isOpenToOthers } from "../../base/private.ts";

/** How a connection is encrypted, in the words of Node's TLS; false: it is not. */
export type Tls = false | "prefer" | {
  readonly rejectUnauthorized: boolean;
  readonly ca?: string;
  /** Left out: as Node does it, by the host's name. */
  readonly checkServerIdentity?: (
    name: string,
    certificate: PeerCertificate,
  ) => Error | undefined;
};

/** A server, a database in it and who asks. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  /** The socket file, where it is one. */
  readonly path: string | undefined;
  readonly database: string;
  readonly user: string;
  /** Empty: none is known. */
  readonly password: string;
  readonly tls: Tls;
  /** How many seconds a connection may take. */
  readonly connectTimeout: number;
  /** The schema that has all tables; a name without quotes in it. */
  readonly schema: string;
  /** What people and logs see of it. */
  readonly shown: string;
}

const SSL_MODES = [
  "disable",
  "allow",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
];

/** What may stand behind the `?`; anything else is a mistake. */
const PARAMETERS = [
  "host",
  "port",
  "dbname",
  "user",
  "password",
  "passfile",
  "sslmode",
  "sslrootcert",
  "connect_timeout",
  // Ours, not libpq's.
  "schema",
];

const DEFAULT_SCHEMA = "agent_runner";

/**
 * Reads an address like `postgres://runner@db.example.com/agents`, and what
 * `PGPASSWORD`, `PGPASSFILE`, `PGSSLMODE` and `PGSSLROOTCERT` say beside it.
 *
 * @throws {DatabaseError} where it can't be read, or a file that it names.
 */
export function parsePostgresAddress(text: string): PostgresAddress {
  const shown = shownDatabase(text);
  const url = readPostgresAddress(text);
  if (!url) {
    throw wrong(
      shown,
      "it can't be read; a quote around it is left out, and in a password, " +
        "/ is written as %2F, # as %23 and @ as %40",
    );
  }
  const { searchParams: parameters } = url;
  for (const name of parameters.keys()) {
    if (!PARAMETERS.includes(name)) {
      // Anything else may be the end of a password.
      const what = /^\w+$/.test(name) ? `?${name}=` : "what is behind its ?";
      throw wrong(shown, `${what} is not known`);
    }
  }
  const given = (name: string, env?: string) =>
    parameters.get(name) || (env && Deno.env.get(env)) || undefined;
  const host = decoded(url.hostname).replace(/^\[|\]$/g, "") ||
    given("host", "PGHOST") || "localhost";
  const port = Number(url.port || given("port", "PGPORT") || 5432);
  const user = decoded(url.username) || given("user", "PGUSER") ||
    Deno.env.get("USER") || "postgres";
  const database = decoded(url.pathname.slice(1)) ||
    given("dbname", "PGDATABASE") || user;
  const path = host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : undefined;
  const timeout = Number(given("connect_timeout", "PGCONNECT_TIMEOUT") ?? 10);
  if (!(port > 0 && port < 65_536)) throw wrong(shown, "its port is none");
  if (!(timeout > 0)) throw wrong(shown, "connect_timeout is no number");
  const schema = given("schema") ?? DEFAULT_SCHEMA;
  if (!/^(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw wrong(
      shown,
      `the schema "${schema}" has another name than small letters, digits and ` +
        "_, 63 at most, that begins with no digit and not with pg_",
    );
  }
  const address = { host, port, database, user };
  return {
    ...address,
    schema,
    path,
    password: decoded(url.password) || given("password", "PGPASSWORD") ||
      passwordFrom(given("passfile", "PGPASSFILE"), address, shown),
    tls: path ? false : tlsOf(
      given("sslmode", "PGSSLMODE"),
      given("sslrootcert", "PGSSLROOTCERT"),
      { host, shown },
    ),
    connectTimeout: timeout,
    shown,
  };
}

function wrong(shown: string, why: string): DatabaseError {
  return new DatabaseError(
    `Cannot use ${shown}: ${why}. ` +
      "Give an address like postgres://user@host:5432/database?sslmode=verify-full&sslrootcert=system.",
  );
}

function home(): string {
  return Deno.env.get("HOME") ?? "";
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A % that begins no escape stands for itself.
  }
}

/** The authorities that are known to all: they certify anybody, by name. */
const SYSTEM = "system";

function tlsOf(
  given: string | undefined,
  rootCert: string | undefined,
  { host, shown }: { readonly host: string; readonly shown: string },
): Tls {
  const mode = given ?? (rootCert === SYSTEM ? "verify-full" : "prefer");
  if (!SSL_MODES.includes(mode)) {
    throw wrong(shown, `sslmode=${mode} is none of ${SSL_MODES.join(", ")}`);
  }
  if (rootCert === SYSTEM && mode !== "verify-full") {
    throw wrong(
      shown,
      `sslmode=${mode} is too weak for sslrootcert=${SYSTEM}, whose ` +
        "authorities certify anybody: give sslmode=verify-full",
    );
  }
  if (mode === "disable" || mode === "allow") return false;
  if (mode === "prefer") return "prefer";
  const ca = readRootCert(rootCert, shown);
  if (ca === undefined && rootCert !== SYSTEM) {
    // As libpq: where there is a root certificate, `require` verifies it.
    if (mode === "require") return { rejectUnauthorized: false };
    throw wrong(
      shown,
      `sslmode=${mode} needs a root certificate: give sslrootcert=FILE, or ` +
        `sslrootcert=${SYSTEM} with verify-full`,
    );
  }
  return {
    rejectUnauthorized: true,
    ...ca === undefined ? {} : { ca },
    // Whatever name it has, or the address, of which Node is not told.
    ...mode !== "verify-full"
      ? { checkServerIdentity: () => undefined }
      : isIP(host)
      ? {
        checkServerIdentity: (_, certificate) =>
          checkServerIdentity(host, certificate),
      }
      : {},
  };
}

/** Undefined for the system's own, and where there is no file in libpq's place. */
function readRootCert(
  path: string | undefined,
  shown: string,
): string | undefined {
  if (path === SYSTEM) return undefined;
  try {
    return Deno.readTextFileSync(path ?? `${home()}/.postgresql/root.crt`);
  } catch (error) {
    if (path === undefined && error instanceof Deno.errors.NotFound) {
      return undefined;
    }
    throw wrong(shown, `sslrootcert can't be read: ${messageOf(error)}`);
  }
}

/** Empty where no line of the file is for this server, user and database. */
function passwordFrom(
  given: string | undefined,
  { host, port, database, user }: Pick<
    PostgresAddress,
    "host" | "port" | "database" | "user"
  >,
  shown: string,
): string {
  const path = given ?? `${home()}/.pgpass`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (given === undefined && error instanceof Deno.errors.NotFound) return "";
    throw wrong(shown, `passfile can't be read: ${messageOf(error)}`);
  }
  if (isOpenToOthers(path)) {
    throw wrong(shown, `all users may read ${path}; run: chmod 600 ${path}`);
  }
  const wanted = [host.startsWith("/") ? "localhost" : host, String(port)]
    .concat(database, user);
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    const fields = (line.match(/(?:^|:)((?:\\.|[^:\\])*)/g) ?? [])
      .map((it) => it.replace(/^:/, "").replace(/\\(.)/g, "$1"));
    const isFor = wanted.every((it, index) =>
      fields[index] === "*" || fields[index] === it
    );
    if (fields.length >= 5 && isFor) return fields.slice(4).join(":");
  }
  return "";
}
