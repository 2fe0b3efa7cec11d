/**
 * A PostgreSQL server of a test's own: in a temporary folder, with a port of its
 * own, and gone when the tests of the file have ended.
 *
 * @module
 */

import { assert } from "@std/assert";

/** Where Debian has the programs of each version. */
const DEBIAN = "/usr/lib/postgresql";

/** The folder of the server's programs; undefined: they are not there. */
function findPrograms(): string | undefined {
  try {
    const versions = [...Deno.readDirSync(DEBIAN)].map(({ name }) => name);
    versions.sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => `${DEBIAN}/${version}/bin`)
      .find((folder) => isThere(`${folder}/initdb`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false; // Not there, or nobody may look.
  }
}

const programs = findPrograms();

/** Whether tests can start a server. Says how to get one where they can't. */
export const hasPostgres = programs !== undefined;
if (!hasPostgres) {
  console.log(
    "Tests on PostgreSQL are skipped: apt-get install postgresql pgbouncer",
  );
}

/** The server refuses to run as root. */
const AS_POSTGRES = "setpriv --reuid=postgres --regid=postgres --init-groups"
  .split(" ");

function runSync(command: readonly string[]): string {
  const [program = "", ...args] = command;
  const { success, stdout, stderr } = new Deno.Command(program, {
    args,
    cwd: "/",
    stdin: "null",
  }).outputSync();
  const said = new TextDecoder().decode(success ? stdout : stderr);
  assert(success, `${command.join(" ")}: ${said}`);
  return said;
}

/** Options for {@linkcode PostgresServer.start}. */
export interface ServerOptions {
  /** More lines of postgresql.conf. */
  readonly settings?: readonly string[];
  /** How those are let in who come by TCP. @default {"trust"} */
  readonly auth?: string;
}

/** A server. */
export class PostgresServer implements Disposable {
  readonly folder: string;
  readonly port: number;
  readonly #isRoot: boolean;
  readonly #settings: string[] = [];

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.port = port;
    this.#isRoot = Deno.statSync(folder).uid === 0;
  }

  static start(
    { settings = [], auth = "trust" }: ServerOptions = {},
  ): PostgresServer {
    const folder = Deno.makeTempDirSync({ prefix: "postgres_test_" });
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const server = new PostgresServer(folder, port);
    server.#give(folder);
    server.#run(
      "initdb",
      `--pgdata=${folder}/data`,
      "--username=postgres",
      "--auth=trust",
      "--no-sync",
      "--encoding=UTF8",
      "--locale=C",
    );
    server.set([
      "listen_addresses = '127.0.0.1'",
      `port = ${port}`,
      `unix_socket_directories = '${folder}'`,
      // It is gone afterwards anyway.
      "fsync = off",
      // What it writes in between holds back events for some milliseconds.
      "autovacuum = off",
      ...settings,
    ]);
    server.write("pg_hba.conf", [
      "local all all trust",
      `host all all 127.0.0.1/32 ${auth}`,
    ]);
    listener.close();
    server.control("start");
    return server;
  }

  /** A command, by the server's user. */
  as(...command: readonly string[]): string[] {
    return [...this.#isRoot ? AS_POSTGRES : [], ...command];
  }

  #give(path: string): void {
    if (this.#isRoot) runSync(["chown", "postgres", path]);
  }

  /** Writes a file of the cluster, that only the server may read. */
  write(name: string, lines: readonly string[]): void {
    const path = `${this.folder}/data/${name}`;
    Deno.writeTextFileSync(path, lines.map((line) => `${line}\n`).join(""), {
      mode: 0o600,
    });
    this.#give(path);
  }

  /** More lines of postgresql.conf; the next start reads them. */
  set(lines: readonly string[]): void {
    this.#settings.push(...lines);
    this.write("postgresql.auto.conf", this.#settings);
  }

  /** Runs statements as an administrator. */
  ask(sql: string): void {
    this.#run(
      "psql",
      `--host=${this.folder}`,
      `--port=${this.port}`,
      "--username=postgres",
      "--quiet",
      "--no-psqlrc",
      `--command=${sql}`,
    );
  }

  /** `pg_ctl`: start, stop, restart. */
  control(action: string, mode = "immediate"): void {
    this.#run(
      "pg_ctl",
      action,
      `--pgdata=${this.folder}/data`,
      "--wait",
      `--mode=${mode}`,
      `--log=${this.folder}/log`,
    );
  }

  #run(program: string, ...args: string[]): void {
    runSync(this.as(`${programs}/${program}`, ...args));
  }

  /** The address of a database of it. */
  address(database = "postgres", user = "postgres"): string {
    return `postgres://${user}@127.0.0.1:${this.port}/${database}?sslmode=disable`;
  }

  [Symbol.dispose](): void {
    this.control("stop");
    Deno.removeSync(this.folder, { recursive: true });
  }
}

let shared: PostgresServer | undefined;

/** One server for all tests of a file. */
export function sharedServer(): PostgresServer {
  if (!shared) {
    const server = shared = PostgresServer.start();
    addEventListener("unload", () => server[Symbol.dispose]());
  }
  return shared;
}
