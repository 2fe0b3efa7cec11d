import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { type DuckDBConnection, DuckDBInstance } from "duckdb";
import { AT_ONCE, type CliProcess, ENABLED, Folder } from "../../cli/cli.ts";
import {
  commandOf,
  denoArgs,
  keptVariables,
  ROOT,
} from "../../support/project.ts";
import { systemClock } from "../../../lib/base/clock.ts";
import { LIMIT_MS, until as untilSo } from "../../support/until.ts";

type Row = Record<string, unknown>;

function taking(seconds: number): Record<string, string> {
  return { ...ENABLED, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: `${seconds}` };
}

function tasks(count: number): { instruction: string }[] {
  return Array.from({ length: count }, (_, n) => ({ instruction: `${n}` }));
}

/** Waits for a row; between two looks, others have the file. */
async function until(
  folder: Folder,
  sql: string,
  isEnough = (rows: readonly Row[]) => rows.length > 0,
): Promise<Row[]> {
  const deadline = performance.now() + LIMIT_MS;
  while (performance.now() < deadline) {
    try {
      const rows = await folder.rows(sql);
      if (isEnough(rows)) return rows;
    } catch (error) {
      if (!String(error).includes("Could not set lock")) throw error;
    }
    await systemClock.sleep(40);
  }
  throw new Error(`It did not happen: a row of ${sql}`);
}

/** As another program that tries again while the file is held. */
function rowsOf(folder: Folder, sql: string): Promise<Row[]> {
  return until(folder, sql, () => true);
}

/** Another program that keeps the file. */
class DuckDBHolder {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  static async open(folder: Folder): Promise<DuckDBHolder> {
    const path = `${folder.path}/handsfree.duckdb`;
    let instance: DuckDBInstance | undefined;
    await untilSo("the file is free", async () => {
      instance = await DuckDBInstance.create(path).catch(() => undefined);
      return instance !== undefined;
    });
    assert(instance);
    return new DuckDBHolder(instance, await instance.connect());
  }

  async run(sql: string): Promise<void> {
    await this.#connection.run(sql);
  }

  /** Keeps the file until a query gives a row. */
  async until(sql: string): Promise<void> {
    await untilSo(sql, async () => {
      const reader = await this.#connection.runAndReadAll(sql);
      return reader.currentRowCount > 0;
    });
  }

  [Symbol.dispose](): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

async function shown(folder: Folder, id: string) {
  return JSON.parse(await folder.ok(["show", id, "--json"]));
}

async function kindsOf(folder: Folder, id: string): Promise<unknown[]> {
  const { events } = await shown(folder, id);
  return events.filter(({ kind }: Row) => kind !== "progress")
    .map(({ kind, attempt }: Row) => `${kind} ${attempt}`);
}

async function stop(runner: CliProcess): Promise<string> {
  runner.signal("SIGTERM");
  const { code, stdout, stderr } = await runner.ended();
  assertEquals(code, 0, stderr);
  return stdout;
}

/** Adds tasks as the HandsFree backend does; faster than any command. */
async function insert(folder: Folder, count: number): Promise<void> {
  await rowsOf(
    folder,
    `INSERT INTO agent_tasks (id, user_id, provider, instruction, status)
     SELECT uuid(), uuid(), 'simulate', range::TEXT, 'created'
     FROM range(${count})`,
  );
}

// The disk

/** Words before a program whose temporary folder is a disk of 64 MB. */
function onSmallDisk(folder: string, words: readonly string[]): Deno.Command {
  const script = 'mount -t tmpfs -o size=64m tmpfs "$1" && export TMPDIR="$1"' +
    ' && shift && exec "$@"';
  const args = ["-rm", "sh", "-c", script, "sh", folder, ...words];
  return new Deno.Command("unshare", { args, cwd: ROOT });
}

async function canMount(): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  try {
    return (await onSmallDisk(folder, ["true"]).output()).success;
  } catch {
    return false; // No such program.
  } finally {
    await Deno.remove(folder);
  }
}

const hasSmallDisk = await canMount();

function testOnSmallDisk(name: string, scenario: string): void {
  Deno.test({
    name: hasSmallDisk ? name : `${name} (no right to mount a small disk here)`,
    ignore: !hasSmallDisk,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "small-disk-" });
      try {
        const { success, stderr } = await onSmallDisk(folder, [
          Deno.execPath(),
          ...denoArgs("tests/chaos/small_disk.ts", { permissions: ["-A"] }),
          scenario,
        ]).output();
        assert(success, new TextDecoder().decode(stderr).slice(0, 20_000));
      } finally {
        await Deno.remove(folder);
      }
    },
  });
}

testOnSmallDisk(
  "a disk that fills up in the middle of a run is said, and all is right when there is space again",
  "fullInTheMiddle",
);
testOnSmallDisk(
  "a loop that finds the disk full goes on by itself when there is space",
  "fullFromTheStart",
);
testOnSmallDisk(
  "a read-only file is said, and left as it is",
  "readOnly",
);
testOnSmallDisk(
  "a file that is read-only for a while does not end a loop",
  "readOnlyUnderALoop",
);

Deno.test({
  name: "tasks are run though the log can't be written",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using folder = new Folder();
    const [id = ""] = await folder.create(tasks(1));
    const { code } = await new Deno.Command("sh", {
      args: ["-c", 'exec "$@" 2>/dev/full', "sh", ...commandOf(["run"])],
      cwd: folder.path,
      clearEnv: true,
      env: { ...keptVariables(), ...AT_ONCE },
    }).output();
    assertEquals([code, (await shown(folder, id)).state], [0, "completed"]);
  },
});

// The file

Deno.test("a file that is put in the place of an idle loop's is worked on at once", async () => {
  using folder = new Folder();
  const [old] = await folder.create(tasks(1));
  await folder.ok(["create", "new", "--db-path=new.duckdb"]);
  await using runner = folder.start(["run", "--loop", "--interval=60"], {
    env: AT_ONCE,
  });
  await runner.line(new RegExp(`Task ${old} completed`));
  Deno.renameSync(
    `${folder.path}/handsfree.duckdb`,
    `${folder.path}/old.duckdb`,
  );
  Deno.renameSync(
    `${folder.path}/new.duckdb`,
    `${folder.path}/handsfree.duckdb`,
  );
  await runner.line(/ completed in /, 2);
  assertMatch(await stop(runner), /^2 started, 2 completed, 0 failed[, ].*in /);
  for (const name of ["old", "handsfree"]) {
    const list = await folder.ok([
      "list",
      "--json",
      `--db-path=${name}.duckdb`,
    ]);
    assertEquals(
      JSON.parse(list).map(({ state }: Row) => state),
      ["completed"],
    );
  }
});

for (
  const [what, count, seconds] of [
    ["while tasks are running", 20, 0.5],
    ["at full load", 5_000, 0],
  ] as const
) {
  Deno.test(`a file that is replaced ${what} is not damaged, and nothing is lost without a word`, async () => {
    using folder = new Folder();
    await folder.ok(["run"], { env: ENABLED }); // Makes the database.
    await insert(folder, count);
    const created = await folder.ok(
      ["create", "new", "--db-path=new.duckdb", "--json"],
    );
    await using runner = folder.start(
      ["run", "--loop", "--interval=60", "--concurrency=20", "--lease=3"],
      { env: taking(seconds) },
    );
    await runner.line(/ started /, 20);
    Deno.renameSync(
      `${folder.path}/handsfree.duckdb`,
      `${folder.path}/old.duckdb`,
    );
    Deno.renameSync(
      `${folder.path}/new.duckdb`,
      `${folder.path}/handsfree.duckdb`,
    );
    await runner.line(new RegExp(`Task ${JSON.parse(created).id} completed`));
    // Those that ran for the old file. Nobody else may open the new one before
    // the runner has let go of the old one's .wal, which has its name.
    await runner.line(
      /WARNING - .*(not there any more\. This run was not recorded|another file was put in its place)/,
    );
    const [, started, completed, skipped = 0] =
      /^(\d+) started, (\d+) completed, 0 failed(?:, (\d+) skipped)? in /
        .exec(await stop(runner)) ?? [];
    assertEquals(Number(completed) + Number(skipped), Number(started));
    assertEquals(folder.names(), ["handsfree.duckdb", "old.duckdb"]);
    assertEquals(
      await folder.rows("SELECT instruction, status FROM agent_tasks"),
      [{ instruction: "new", status: "completed" }],
    );

    // The old file says of each task what became of it, and goes on from there.
    Deno.renameSync(
      `${folder.path}/old.duckdb`,
      `${folder.path}/handsfree.duckdb`,
    );
    const said = [...runner.seen.matchAll(/Task (\S+) completed/g)]
      .map(([, id]) => id);
    const done = await folder.rows(
      `SELECT id::TEXT AS id FROM agent_tasks WHERE status = 'completed'`,
    );
    const ids = new Set(done.map(({ id }) => id));
    // One of them is in the new file.
    assertLess(said.filter((id) => !ids.has(id)).length, 2);
    await using last = folder.start(["run", "--loop"], {
      env: { ...AT_ONCE, LOG_LEVEL: "WARNING" },
    });
    await until(
      folder,
      `SELECT 1 FROM agent_tasks HAVING count(*) = ${count}
         AND count(*) = count(*) FILTER (status = 'completed')`,
    );
    await stop(last);
  });
}

Deno.test("a .wal that can't be replayed ends every command with exit 3, and nothing is touched", async () => {
  using folder = new Folder();
  await folder.create(tasks(3));
  // A log of another database: whole, but not this one's.
  folder.write("handsfree.duckdb.wal", "garbage ".repeat(1_000));
  const content = () =>
    folder.names().filter((name) => name.startsWith("handsfree"))
      .map((name) => Deno.readFileSync(`${folder.path}/${name}`).toBase64());
  const before = content();
  const commands = [["run", "--once"], ["run", "--loop"], ["list"], [
    "create",
    "x",
  ]];
  for (const args of commands) {
    const error = await folder.fails(3, args, { env: AT_ONCE });
    assertMatch(error, /write-ahead log \(\.wal\) can't be replayed\. Nothing/);
    assertEquals(content(), before);
  }
});

Deno.test("a .wal that goes bad under a loop is said, and nothing is touched", async () => {
  using folder = new Folder();
  await folder.create(tasks(1));
  await using runner = folder.start(["run", "--loop", "--interval=0.2"], {
    env: AT_ONCE,
  });
  await runner.line(/ completed in /);
  await until(folder, "SELECT 1");
  folder.write("handsfree.duckdb.wal", "garbage ".repeat(1_000));
  await runner.line(/ERROR - .*write-ahead log \(\.wal\) can't be replayed/, 3);
  assertEquals(folder.read("handsfree.duckdb.wal"), "garbage ".repeat(1_000));
  Deno.removeSync(`${folder.path}/handsfree.duckdb.wal`);
  await folder.create([{ instruction: "next" }]);
  await runner.line(/ completed in /, 2);
  await stop(runner);
});

// What tasks hold

Deno.test("an unreadable trace, a NUL byte and an instruction of 8 MB pass through a run", async () => {
  using folder = new Folder();
  const huge = "0123456789".repeat(800_000);
  const [nul = "", big = ""] = await folder.create([
    { instruction: "a\u0000b" },
    { instruction: huge },
  ]);
  const traces = ["{", "[1]", '"text"', "", '{"a": NaN}', "\\x00", "null"];
  for (const trace of traces) {
    await folder.rows(
      `INSERT INTO agent_tasks
         (id, user_id, provider, instruction, status, last_update)
       VALUES (uuid(), uuid(), 'simulate', 'trace', 'created', '${trace}')`,
    );
  }
  // Python's driver and others can bind what a literal can't hold.
  await folder.rows(
    `INSERT INTO agent_tasks (id, user_id, provider, status, last_update)
     VALUES (uuid(), uuid(), 'simulate', 'created', 'x' || chr(0) || 'y')`,
  );
  const { code, stdout } = await folder.run(["run", "--json"], {
    env: AT_ONCE,
  });
  const { tasks_completed, tasks_failed } = JSON.parse(stdout);
  assertEquals([code, tasks_completed, tasks_failed], [0, 10, 0]);
  assertEquals((await shown(folder, nul)).instruction, "a\u0000b");
  assertEquals((await shown(folder, big)).instruction, huge);
  const rows = await folder.rows("SELECT last_update FROM agent_tasks");
  const kept = rows.map(({ last_update }) => {
    const { unreadable_trace, completed_at } = JSON.parse(
      String(last_update).replace("NaN", "null"),
    );
    assertEquals(typeof completed_at, "string");
    return unreadable_trace;
  });
  for (const trace of ["{", "[1]", '"text"', "\\x00", "null", "x\u0000y"]) {
    assert(kept.includes(trace), `${trace} was lost`);
  }
});

// Leases

/** Stops a process while it does not hold the file. */
async function freeze(folder: Folder, runner: CliProcess): Promise<void> {
  await untilSo("it was stopped without the file", async () => {
    runner.signal("SIGSTOP");
    try {
      await folder.rows("SELECT 1");
      return true;
    } catch (error) {
      assertStringIncludes(String(error), "Could not set lock");
    }
    runner.signal("SIGCONT");
    return false;
  });
}

Deno.test("a runner that is frozen for longer than its lease writes nothing when it wakes, and says so", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create(tasks(1));
  await using late = folder.start(["run", "--once", "--lease=2"], {
    env: taking(3),
  });
  await late.line(/ started /);
  await freeze(folder, late);
  await using other = folder.start(["run", "--loop"], { env: AT_ONCE });
  await other.line(new RegExp(`Task ${id} completed`));
  await stop(other);
  const before = await shown(folder, id);
  late.signal("SIGCONT");
  const { code, stdout, stderr } = await late.ended();
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^1 started, 0 completed, 0 failed, 1 skipped/);
  assertMatch(
    stderr,
    /WARNING - Task \S+ was skipped: it is completed already\. This run was not recorded\./,
  );
  assertEquals(await shown(folder, id), before);
  assertEquals(await kindsOf(folder, id), [
    "created 0",
    "started 1",
    "started 2",
    "completed 2",
  ]);
});

Deno.test("a claim that waits for the file for longer than a lease has a lease all the same", async () => {
  using folder = new Folder();
  await folder.ok(["run"], { env: ENABLED }); // Makes the database.
  await using runner = folder.start(
    ["run", "--loop", "--interval=60", "--lease=3"],
    { env: taking(1) },
  );
  await runner.line(/Running until stopped/);
  await until(folder, "SELECT 1");
  {
    using holder = await DuckDBHolder.open(folder);
    await holder.run(
      `INSERT INTO agent_tasks (id, user_id, provider, status)
       SELECT uuid(), uuid(), 'simulate', 'created' FROM range(5)`,
    );
    // The runner has seen it in the .wal, and waits until it can claim.
    await holder.until(
      `SELECT 1 FROM agent_tasks
       HAVING max(created_at) < now() - INTERVAL 4 SECOND`,
    );
  }
  await runner.line(/ completed in /, 5);
  assertMatch(await stop(runner), /^5 started, 5 completed, 0 failed[, ].*in /);
});

Deno.test("a run that ends while another program holds the file, for longer than a lease, is not run again", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create(tasks(1));
  await using runner = folder.start(
    ["run", "--loop", "--interval=0.1", "--lease=3", "--db-wait=0.2"],
    { env: taking(4) },
  );
  await runner.line(new RegExp(`Task ${id} started`));
  {
    using holder = await DuckDBHolder.open(folder);
    await runner.line(/Cannot record 1 outcome yet/);
    await runner.line(/A pass failed: Cannot open/);
    await holder.until(
      "SELECT 1 FROM agent_tasks WHERE lease_expires_at < now()",
    );
  }
  await runner.line(new RegExp(`Task ${id} completed`));
  assertMatch(await stop(runner), /^1 started, 1 completed, 0 failed[, ].*in /);
});

Deno.test("runners that start while another program holds the file take nothing from one that lives", async () => {
  using folder = new Folder();
  await folder.create(tasks(4));
  const long = { env: taking(3_600) };
  await using living = folder.start(
    ["run", "--loop", "--concurrency=4", "--lease=4"],
    long,
  );
  await living.line(/ started /, 4);
  await using stack = new AsyncDisposableStack();
  let newcomers: CliProcess[];
  {
    using holder = await DuckDBHolder.open(folder);
    newcomers = [1, 2].map(() =>
      stack.use(
        folder.start(
          ["run", "--loop", "--concurrency=4", "--interval=0.1"],
          long,
        ),
      )
    );
    await Promise.all(
      newcomers.map((it) => it.line(/Waiting for the database, .* holds it/)),
    );
    await holder.until(
      `SELECT 1 FROM agent_tasks
       HAVING max(lease_expires_at) < now() - INTERVAL 1 SECOND`,
    );
  }
  await Promise.all(
    newcomers.map((it) => it.line(/Running until stopped/)),
  );
  // They have claimed since: each has all that it can.
  await folder.create(tasks(8));
  await Promise.all(newcomers.map((it) => it.line(/ started /, 4)));
  assertEquals(
    await rowsOf(
      folder,
      `SELECT kind, attempt, count(DISTINCT task_id)::INTEGER AS tasks,
         count(*)::INTEGER AS all
       FROM agent_task_events WHERE kind = 'started' GROUP BY ALL`,
    ),
    [{ kind: "started", attempt: 1, tasks: 12, all: 12 }],
  );
});

Deno.test("two runners divide 400 tasks without running one twice", async () => {
  using folder = new Folder();
  await folder.ok(["run"], { env: ENABLED }); // Makes the database.
  await using stack = new AsyncDisposableStack();
  const runners = [0, 1].map(() =>
    stack.use(
      folder.start(["run", "--loop", "--concurrency=20"], {
        env: taking(0.02),
      }),
    )
  );
  await Promise.all(runners.map((it) => it.line(/Running until stopped/)));
  await folder.create(tasks(400));
  await until(
    folder,
    `SELECT 1 FROM agent_tasks
     HAVING count(*) FILTER (status = 'completed') = 400`,
  );
  for (const runner of runners) {
    assertMatch(await stop(runner), / 0 failed[, ].*in /);
  }
  const [count] = await folder.rows(
    `SELECT count(*)::INTEGER AS all,
       count(DISTINCT (task_id, kind))::INTEGER AS different
     FROM agent_task_events WHERE kind IN ('started', 'completed')`,
  );
  assertEquals(count, { all: 800, different: 800 });
});

Deno.test("two runners have as many tasks each as they have slots", async () => {
  using folder = new Folder();
  await folder.create(tasks(40));
  await using stack = new AsyncDisposableStack();
  const runners = [0, 1].map(() =>
    stack.use(
      folder.start(["run", "--loop", "--concurrency=20"], {
        env: taking(3_600),
      }),
    )
  );
  await Promise.all(runners.map((it) => it.line(/ started /, 20)));
});

// Sharing

Deno.test("while a runner is at full load, create, list and another program have their turn", async () => {
  using folder = new Folder();
  await folder.ok(["run"], { env: ENABLED }); // Makes the database.
  await insert(folder, 50_000);
  await using runner = folder.start(["run", "--loop"], {
    env: { ...AT_ONCE, LOG_LEVEL: "WARNING" },
  });
  async function duringLoad(name: string, turn: () => Promise<unknown>) {
    // A new backlog, so that there is load for as long as it takes.
    await insert(folder, 500_000);
    await turn();
    const waiting = await rowsOf(
      folder,
      "SELECT 1 FROM agent_tasks WHERE status = 'created' LIMIT 1",
    );
    assertEquals(waiting.length, 1, `${name} had its turn after the load only`);
  }
  await duringLoad("create", () => folder.ok(["create", "mine"]));
  await duringLoad("list", () => folder.ok(["list", "--limit=5"]));
  await duringLoad("another program", () => rowsOf(folder, "SELECT 1"));
  runner.signal("SIGKILL");
});

Deno.test("cancelling works at once for a waiting task, and soon for one that another process runs", async () => {
  using folder = new Folder();
  const [running = "", waiting = ""] = await folder.create(tasks(2));
  await using runner = folder.start(["run", "--loop", "--concurrency=1"], {
    env: taking(3_600),
  });
  await runner.line(new RegExp(`Task ${running} started`));
  assertMatch(await folder.ok(["cancel", waiting]), /is cancelled\n$/);
  assertEquals((await shown(folder, waiting)).state, "failed");
  assertMatch(
    await folder.ok(["cancel", running]),
    /is running; its runner stops it within seconds\n$/,
  );
  await runner.line(new RegExp(`WARNING - Task ${running} was cancelled`));
  for (const id of [running, waiting]) {
    const { state, trace } = await shown(folder, id);
    assertEquals([state, trace.result], ["failed", "cancelled"]);
  }
  // Its slot is free again, and the waiting one is never started.
  const [next] = await folder.create(tasks(1));
  await runner.line(new RegExp(`Task ${next} started`));
  assertEquals(await kindsOf(folder, waiting), ["created 0", "cancelled 0"]);
});

Deno.test("SIGTERM at full load leaves no task leased and none lost", async () => {
  using folder = new Folder();
  await folder.ok(["run"], { env: ENABLED }); // Makes the database.
  await insert(folder, 100_000);
  await using runner = folder.start(["run", "--loop"], { env: AT_ONCE });
  await runner.line(/ completed in /, 1_000);
  const stdout = await stop(runner);
  const [, started, completed] =
    /^(\d+) started, (\d+) completed, 0 failed[, ].*in /.exec(stdout) ?? [];
  assertEquals(started, completed, stdout);
  assertLess(Number(completed), 100_000, "It was over before the signal");
  const [count] = await folder.rows(
    `SELECT count(*)::INTEGER AS all, count(lease_id)::INTEGER AS leased,
       count(*) FILTER (status = 'completed')::INTEGER AS completed,
       count(*) FILTER (status != 'completed' AND attempt > 0)::INTEGER AS spent
     FROM agent_tasks`,
  );
  assertEquals(count, {
    all: 100_000,
    leased: 0,
    completed: Number(completed),
    spent: 0,
  });
  const said = new Set(
    [...runner.seen.matchAll(/Task (\S+) completed/g)].map(([, id]) => id),
  );
  assertEquals(said.size, Number(completed));
});
