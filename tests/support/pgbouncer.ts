/**
 * PgBouncer before a test's own server.
 *
 * @module
 */

import type { PostgresServer } from "./postgres_server.ts";

const PROGRAM = "/usr/sbin/pgbouncer";

/** Whether tests can start one. */
export const hasPgBouncer = isThere();

function isThere(): boolean {
  try {
    return Deno.statSync(PROGRAM).isFile;
  } catch {
    return false; // Not installed.
  }
}

/** A running PgBouncer. */
export class PgBouncer implements Disposable {
  readonly address: string;
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.address =
      `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`;
  }

  static start(
    server: PostgresServer,
    mode: "session" | "transaction",
  ): PgBouncer {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    server.write(
      "pgbouncer.ini",
      [
        "[databases]",
        // Whoever comes is the one user there is.
        `* = host=127.0.0.1 port=${server.port} user=postgres`,
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        `listen_port = ${port}`,
        "unix_socket_dir =",
        "auth_type = any",
        `pool_mode = ${mode}`,
        "default_pool_size = 8",
      ],
    );
    const [program = "", ...args] = server.as(
      PROGRAM,
      "--quiet",
      `${server.folder}/data/pgbouncer.ini`,
    );
    const child = new Deno.Command(program, {
      args,
      cwd: "/",
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    return new PgBouncer(child, port);
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
