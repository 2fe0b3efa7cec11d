/**
 * Follows `docs/postgresql.md` from nothing: only the address is replaced.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { systemClock } from "../../lib/base/clock.ts";
import { hasPostgres, PostgresServer } from "../support/postgres_server.ts";
import { denoArgs, ROOT } from "../support/project.ts";
import { until } from "../support/until.ts";

const page = Deno.readTextFileSync(`${ROOT}docs/postgresql.md`);

/** Each is what somebody types before looking at what came of it. */
const blocks = codeOf("bash");

function codeOf(language: string): string[] {
  const fences = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm");
  return [...page.matchAll(fences)].map(([, code]) => code!);
}

/** What is there before: a server with a superuser, and a file with tasks. */
const SUPERUSER = "of-the-superuser";
const FILED = 6;

/** Stands in for the CLI. */
const CLAUDE = `#!/bin/sh
echo "Did: $2"
`;

/** How long a command of the page may take. */
const PATIENCE_MS = 60_000;

/** What comes of each block, in the order of the page. */
const STEPS: readonly (readonly [
  begin: RegExp,
  check: (place: Place, block: string) => Promise<void>,
])[] = [
  [/^psql .*<<'SQL'\nCREATE ROLE admin/, async (place, block) => {
    assertStringIncludes(await place.run(block), "CREATE DATABASE");
  }],
  [/^umask /, async (place, block) => {
    await place.run(block);
    for (const role of ["admin", "runner"]) {
      const asked = `psql -tc 'SELECT current_user' ${place.address(role)}`;
      assertStringIncludes(await place.run(asked), role);
    }
  }],
  [/^agent-runner migrate --dry-run/, async (place, block) => {
    const said = await place.run(block);
    assertMatch(said, /CREATE TABLE agent_tasks [^]*Made the tables in/);
  }],
  [/^psql .*<<'SQL'\nGRANT USAGE/, async (place, block) => {
    await place.run(block);
    const ask = (sql: string) =>
      place.run(`psql -tc '${sql}' ${place.address("runner")}`);
    await ask("SELECT FROM agent_runner.tasks");
    for (
      const forbidden of [
        "CREATE TABLE agent_runner.mine ()",
        "ALTER TABLE agent_runner.agent_tasks ADD COLUMN mine text",
        "TRUNCATE agent_runner.agent_tasks",
      ]
    ) {
      await assertRefused(() => ask(forbidden));
    }
  }],
  [/^agent-runner copy handsfree\.duckdb/, async (place, block) => {
    const said = await place.run(block);
    assertEquals(said.match(RegExp(`many: ${FILED} tasks`, "g"))?.length, 2);
    const list = (db: string) =>
      place.run(`agent-runner list --json --db ${db}`);
    const filed = await list("handsfree.duckdb");
    assertEquals(await list("back.duckdb"), filed);
    assertEquals(await list(`'${place.address("runner")}'`), filed);
  }],
  [/^export HANDSFREE_DB=/, async (place, block) => {
    const said = await place.run(block);
    assertStringIncludes(said, "postgres://runner@");
    assertStringIncludes(said, "All is well.");
  }],
  [/^agent-runner run --loop$/m, async (place, block) => {
    await place.startOnBoth(block);
    await place.completed(FILED);
  }],
  [/^agent-runner create/, async (place, block) => {
    const said = await place.run(block);
    assertEquals(said.match(/^agent-runner-\S+ +running /gm)?.length, 2);
    await place.completed(FILED + 1);
    const shown = await place.run("agent-runner list --json");
    assertStringIncludes(shown, "Sort the attic");
  }],
  [/^agent-runner drain/, async (place, block) => {
    const said = await place.run(block);
    assertEquals(said.match(/is asked to drain/g)?.length, 2);
    await place.bothEnded();
    assertStringIncludes(await place.run("agent-runner runners"), "No runner");
  }],
  [/^pg_dump /, async (place, block) => {
    await place.run(block);
  }],
  [/^psql .*restored/, async (place, block) => {
    const said = await place.run(block);
    assertEquals(said.match(/ completed /g)?.length, FILED + 1);
    await place.run(
      `agent-runner create "Go on" --provider claude --db '${
        place.address("runner", "restored")
      }'`,
    );
  }],
];

Deno.test({
  name: "docs/postgresql.md's commands work from nothing, one after the other",
  ignore: !hasPostgres,
  fn: async (t) => {
    assertEquals(blocks.length, STEPS.length);
    await using place = await Place.make();
    for (const [index, [begin, check]] of STEPS.entries()) {
      const block = blocks[index] ?? "";
      assertMatch(block, begin);
      const isOk = await t.step(block, () => check(place, block));
      if (!isOk) break;
    }
  },
});

async function assertRefused(run: () => Promise<string>): Promise<void> {
  const said = await run().catch((error) => `${error.message}`);
  assertMatch(said, /permission denied|must be owner/);
}

/** Two machines, and a server of their own that wants passwords. */
class Place implements AsyncDisposable {
  readonly #server: PostgresServer;
  readonly #folder: string;
  readonly #environment: Record<string, string>;
  #runners: Deno.ChildProcess[] = [];
  /** What was exported stays so. */
  #exported = "";

  private constructor(server: PostgresServer, folder: string) {
    this.#server = server;
    this.#folder = folder;
    const { HOME, XDG_CACHE_HOME = `${HOME}/.cache` } = Deno.env.toObject();
    this.#environment = {
      HOME: folder,
      // Deno's own would be in that home too.
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${XDG_CACHE_HOME}/deno`,
      DENO_INSTALL_ROOT: folder,
      LOG_FORMAT: "text",
      PATH: `${folder}/bin:${Deno.env.get("PATH")}`,
    };
  }

  static async make(): Promise<Place> {
    const server = PostgresServer.start({ auth: "scram-sha-256" });
    server.ask(`ALTER ROLE postgres PASSWORD '${SUPERUSER}'`);
    const place = new Place(server, await Deno.makeTempDir());
    const folder = place.#folder;
    await Deno.mkdir(`${folder}/one`);
    await Deno.mkdir(`${folder}/two`);
    await Deno.writeTextFile(
      `${folder}/.pgpass`,
      `*:*:*:postgres:${SUPERUSER}\n`,
      { mode: 0o600 },
    );
    const install = [Deno.execPath(), ...denoArgs("tools/install.ts")];
    await place.run(install.map((word) => `'${word}'`).join(" "));
    await Deno.writeTextFile(`${folder}/bin/claude`, CLAUDE, { mode: 0o755 });
    const [config = ""] = codeOf("json");
    for (const machine of ["one", "two"]) {
      await Deno.writeTextFile(
        `${folder}/${machine}/agent-runner.json`,
        config,
      );
    }
    const task = JSON.stringify({ provider: "claude", instruction: "Filed" });
    await Deno.writeTextFile(
      `${folder}/one/tasks.jsonl`,
      `${task}\n`.repeat(FILED),
    );
    await place.run("agent-runner create --file tasks.jsonl");
    return place;
  }

  address(role: string, database = "agents"): string {
    return this.#server.address(database, role);
  }

  /** Runs commands on the first machine. Returns what they print. */
  async run(block: string): Promise<string> {
    const { code, stdout, stderr } = await this.#shell(block, {
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).output();
    const decoder = new TextDecoder();
    const [said, complaint] = [stdout, stderr].map((it) => decoder.decode(it));
    // psql goes on after an error.
    const isOk = code === 0 && !/ERROR|FATAL/.test(complaint ?? "");
    assert(isOk, `${block}\n${said}\n${complaint}`);
    this.#exported += block.match(/^export .*\n/gm)?.join("") ?? "";
    return said ?? "";
  }

  #shell(
    block: string,
    { machine = "one", signal }: {
      readonly machine?: string;
      readonly signal?: AbortSignal;
    },
  ): Deno.Command {
    return new Deno.Command("bash", {
      args: ["-ec", this.#here(this.#exported + block)],
      cwd: `${this.#folder}/${machine}`,
      env: this.#environment,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal,
    });
  }

  /** The same, with this server's address in place of the page's. */
  #here(text: string): string {
    const address = `127.0.0.1:${this.#server.port}`;
    return text
      .replaceAll("db.example.com:5432", address)
      .replaceAll("db.example.com", address)
      .replaceAll("?sslmode=verify-full&sslrootcert=system", "");
  }

  async startOnBoth(block: string): Promise<void> {
    this.#runners = ["one", "two"].map((machine) =>
      this.#shell(`exec ${block}`, { machine }).spawn()
    );
    await until("both are there", async () => {
      const said = await this.run("agent-runner runners --json");
      return JSON.parse(said).length === 2;
    });
  }

  async completed(count: number): Promise<void> {
    await until(`${count} are completed`, async () => {
      await systemClock.sleep(100);
      const said = await this.run("agent-runner list --state completed --json");
      return JSON.parse(said).length === count;
    });
  }

  async bothEnded(): Promise<void> {
    for (const runner of this.#runners.splice(0)) {
      const { code, stderr } = await runner.output();
      assertEquals(code, 0, new TextDecoder().decode(stderr));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const runner of this.#runners) {
      runner.kill("SIGKILL");
      await runner.output();
    }
    this.#server[Symbol.dispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
