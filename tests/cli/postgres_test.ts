import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { systemClock } from "../../lib/base/clock.ts";
import { shownDatabase } from "../../lib/base/database_address.ts";
import {
  hasPostgres,
  PostgresServer,
  sharedServer,
} from "../support/postgres_server.ts";
import { until, within } from "../support/until.ts";
import { Backdoor } from "../store/postgres/subject.ts";
import { Receiver, SECRET } from "../webhooks/webhook_receiver.ts";
import { AT_ONCE, type CliProcess, Folder } from "./cli.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !hasPostgres, fn });
}

interface Place extends AsyncDisposable {
  readonly folder: Folder;
  readonly backdoor: Backdoor;
  readonly env: Record<string, string>;
}

/** A folder, and a database without tables. */
async function openPlace(
  address = sharedServer().address(),
  env: Record<string, string> = {},
): Promise<Place> {
  const folder = new Folder();
  const backdoor = new Backdoor(address);
  await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
  return {
    folder,
    backdoor,
    env: { ...AT_ONCE, HANDSFREE_DB: address, ...env },
    async [Symbol.asyncDispose]() {
      await backdoor[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** Sends SIGTERM and expects a clean end. Returns what was said. */
async function stop(process: CliProcess): Promise<string> {
  process.signal("SIGTERM");
  const { code, stderr } = await process.ended();
  assertEquals(code, 0, stderr);
  return stderr;
}

async function countIn(
  backdoor: Backdoor,
  state: string,
): Promise<number> {
  const [row] = await backdoor.ask<{ count: number }>(
    "SELECT count(*) AS count FROM agent_tasks WHERE status = $1",
    [state],
  );
  return row?.count ?? 0;
}

test("the commands work on PostgreSQL as on a file, and leave none", async () => {
  await using place = await openPlace();
  const { folder, env } = place;
  const ok = (...args: string[]) => folder.ok(args, { env });
  assertStringIncludes(await ok("migrate", "--dry-run"), "CREATE TABLE");
  assertStringIncludes(await ok("migrate"), "Made the tables in postgres://");
  const [one = "", two = ""] = await folder.create(
    [
      { provider: "claude", instruction: "one" },
      {
        provider: "http",
        instruction: "two",
        trace: { simulate_failure: true },
      },
    ],
    env,
  );
  assertStringIncludes(await ok("list", "--state", "created"), "claude");
  assertStringIncludes(await ok("run", "--dry-run"), "claude");
  const { code, stdout } = await folder.run(["run", "--once"], { env });
  assertEquals([code, stdout.split(" in ")[0]], [
    1,
    "2 started, 1 completed, 1 failed, 2 simulated",
  ]);
  assertStringIncludes(await ok("show", one.slice(0, 8)), "completed");
  assertMatch(await ok("stats"), /all +0 +0 +0 +1 +1 +2/);
  assertMatch(await ok("retry", two), /runs again as task/);
  assertMatch(await ok("cancel", "--state", "created", "--yes"), /1/);
  assertEquals(
    await ok("sql", "SELECT state, count(*) FROM tasks GROUP BY 1 ORDER BY 1"),
    "state      count\ncompleted      1\nfailed         2\n(2 rows)\n",
  );
  for (const format of ["csv", "jsonl", "parquet"]) {
    assertStringIncludes(await ok("export", `t.${format}`), "3 tasks");
  }
  assertEquals(folder.read("t.jsonl").trimEnd().split("\n").length, 3);
  assertStringIncludes(await ok("doctor"), "PostgreSQL 1");
  assertMatch(
    await ok("prune", "--older-than", "2000-01-01", "--yes"),
    /0|no/i,
  );
  assertEquals(
    folder.names().filter((name) => name.endsWith(".duckdb")),
    [],
  );
});

test("sql changes nothing, reads no file and asks one question at a time", async () => {
  await using place = await openPlace();
  const { folder, env, backdoor } = place;
  const [id = ""] = await folder.create([{ provider: "a" }], env);
  const refused = [
    "DELETE FROM agent_tasks",
    "WITH x AS (DELETE FROM agent_tasks RETURNING 1) SELECT * FROM x",
    "EXPLAIN ANALYZE DELETE FROM agent_tasks",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT 1; DELETE FROM agent_tasks",
    "COMMIT; DELETE FROM agent_tasks",
    "COMMIT",
    "COPY agent_tasks TO '/tmp/stolen'",
    "/* */ SET transaction_read_only = off",
    "SELECT nextval('agent_tasks_seq_seq')",
    "SELECT * INTO mine FROM agent_tasks",
    "SELECT * FROM agent_tasks FOR UPDATE",
    "nonsense",
    "",
  ];
  const codes = await Promise.all(refused.map(async (question) => {
    const { code } = await folder.run(["sql", "-"], { env, stdin: question });
    return `${code} ${question}`;
  }));
  assertEquals(codes, refused.map((question) => `2 ${question}`));
  const slow = await folder.run(
    ["sql", "SELECT pg_sleep(60)", "--timeout", "0.2"],
    { env },
  );
  assertEquals(slow.code, 2);
  assertStringIncludes(slow.stderr, "Cannot answer within");
  assertEquals(await countIn(backdoor, "created"), 1);
  const out = await folder.ok([
    ...["sql", "--json"],
    `SELECT 1::bigint AS a, 12345678901234567890 AS b, 2.5 AS c, true AS e,
       NULL AS f, '{"x": [1]}'::json AS h, timestamptz '2026-01-02 03:04:05+00' AS i,
       id, 7 AS a FROM tasks`,
  ], { env });
  assertStringIncludes(out, "12345678901234567890");
  assertEquals(JSON.parse(out.replace("12345678901234567890", "0")), [{
    a: 1,
    b: 0,
    c: 2.5,
    e: true,
    f: null,
    h: { x: [1] },
    i: "2026-01-02 03:04:05+00",
    id,
    "a:1": 7,
  }]);
});

test("--exclusive is refused, and --db wins over --db-path", async () => {
  await using place = await openPlace();
  const { folder, env } = place;
  const said = await folder.fails(2, ["run", "--once", "--exclusive"], { env });
  assertStringIncludes(said, "--exclusive is for a file");
  const db = ["--db", "own.duckdb", "--db-path", "other.duckdb"];
  await folder.ok(["create", "x", ...db], { env });
  assert(folder.names().includes("own.duckdb"), `${folder.names()}`);
});

test("a schema of another name has its own tasks, and wakes its own runner", async () => {
  await using place = await openPlace();
  const { folder, env, backdoor } = place;
  const schema = ["--db-schema", "user"];
  const other = { ...env, HANDSFREE_DB_SCHEMA: "user" };
  // A word of SQL's own.
  await backdoor.ask('DROP SCHEMA IF EXISTS "user" CASCADE');
  const dry = await folder.ok(["migrate", "--dry-run", ...schema], { env });
  assertMatch(dry, /CREATE SCHEMA IF NOT EXISTS "user";\n/);
  await folder.create([{ provider: "a" }], env);
  await using runner = folder.start(
    ["run", "--loop", "--interval", "3600", ...schema],
    { env },
  );
  await runner.line(/Running until stopped/);
  const [id] = await folder.create([{ provider: "b" }], other);
  await runner.line(/ completed in /);
  await stop(runner);
  const asked = await folder.ok(["sql", "SELECT id FROM tasks", "--json"], {
    env: other,
  });
  assertEquals(JSON.parse(asked), [{ id }]);
  assertMatch(await folder.ok(["list"], { env }), / created /);
  assertMatch(
    await folder.ok(["doctor"], { env: other }),
    /schema=user/,
  );
  for (
    const [args, said] of [
      [["list", "--db-schema", "Night"], /small letters/],
      [["list", "--db", "x.duckdb", ...schema], /a file has none/],
      [["copy", "x.duckdb", env.HANDSFREE_DB ?? "", ...schema], /which of the/],
    ] as const
  ) {
    const { code, stderr } = await folder.run(args, { env });
    assert(code !== 0);
    assertMatch(stderr, said);
  }
});

test("doctor says which tasks could not begin, and why", async () => {
  await using place = await openPlace(sharedServer().address());
  const { folder, env } = place;
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        a: {
          processor: "command",
          shell: "true",
          workspace: { git: "{name}" },
        },
      },
    }),
  );
  const task = { provider: "a", repo: "/nope" };
  await folder.create([task, task], env);
  await folder.run(["run", "--once"], { env });
  const { stdout } = await folder.run(["doctor"], { env });
  assertMatch(stdout, /given back +2 tasks could not begin: .*\/nope.*\.$/m);
});

test("a password is in no output, log or child", async () => {
  const address = sharedServer().address().replace(
    "postgres@",
    "postgres:s3cr3t@",
  );
  await using place = await openPlace(address, { PGPASSWORD: "s3cr3t" });
  const { folder, env } = place;
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        "*": {
          processor: "command",
          command: [
            ...["sh", "-c"],
            `(env; cat /proc/self/cmdline) > ${folder.path}/seen.txt`,
          ],
        },
      },
    }),
  );
  await folder.create([{ provider: "a" }], env);
  const runs = [
    await folder.run(["run", "--once", "--log-level", "DEBUG"], { env }),
    await folder.run(["show", "--json", "--events"], { env }),
    await folder.run(["doctor"], { env }),
    await folder.run(["config", "check", "--json"], { env }),
    await folder.run(["config", "check"], { env }),
    await folder.run(["list", "--json"], { env }),
    await folder.run(["export", "--events"], { env }),
    await folder.run(["migrate"], { env }),
    await folder.run(["list"], {
      env: { ...env, HANDSFREE_DB: address.replace("/postgres?", "/none?") },
    }),
  ];
  for (const { stdout, stderr } of runs) {
    assert(!(stdout + stderr).includes("s3cr3t"), stdout + stderr);
  }
  const seen = folder.read("seen.txt");
  assertStringIncludes(seen, "PATH=");
  assert(!seen.includes("s3cr3t") && !seen.includes("HANDSFREE_DB"), seen);
});

test("two runners divide the work, and a server that restarts costs nothing", async () => {
  using server = PostgresServer.start();
  await using place = await openPlace(server.address(), {
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0.1",
  });
  const { folder, env, backdoor } = place;
  const loop = ["run", "--loop", "--interval", "3600"];
  await using one = folder.start(loop, { env });
  await using two = folder.start(loop, { env });
  for (const it of [one, two]) await it.line(/Running in a loop|Connected to/);
  await folder.create(Array(200).fill({ provider: "a" }), env);
  for (const it of [one, two]) await it.line(/ completed in /, 5);
  server.control("restart");
  for (const it of [one, two]) await it.line(/ completed in /, 20);
  await backdoor.ask(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = 'agent-runner' AND pid <> pg_backend_pid()`,
  );
  await until(
    "all are completed",
    async () => {
      await systemClock.sleep(100);
      return await countIn(backdoor, "completed") === 200;
    },
  );
  // They wake without looking every now and then: an hour is long.
  await folder.create([{ provider: "late" }], env);
  await until("the late one is completed", async () => {
    await systemClock.sleep(50);
    return await countIn(backdoor, "completed") === 201;
  });
  for (const it of [one, two]) await stop(it);
  const [row] = await backdoor.ask<{ n: number; attempts: number }>(
    `SELECT count(*) AS n, max(attempt) AS attempts FROM agent_tasks`,
  );
  assertEquals(row, { n: 201, attempts: 1 });
  const kinds = await backdoor.ask<{ kind: string; n: number }>(
    `SELECT kind, count(*) AS n FROM agent_task_events
     WHERE kind <> 'progress' GROUP BY kind ORDER BY kind`,
  );
  assertEquals(kinds, [
    { kind: "completed", n: 201 },
    { kind: "created", n: 201 },
    { kind: "started", n: 201 },
  ]);
});

test("run --once exits with 3 where the server is away at the end of a run", async () => {
  using server = PostgresServer.start();
  await using place = await openPlace(server.address(), {
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "1",
    HANDSFREE_AGENT_DB_WAIT: "0.2",
    HANDSFREE_AGENT_LEASE: "2",
  });
  const { folder, env } = place;
  await folder.create([{ provider: "a" }], env);
  await using process = folder.start(["run", "--once"], { env });
  await process.line(/ started \(a\)/);
  server.control("stop");
  const { code, stderr } = await process.ended();
  assertEquals(code, 3, stderr);
  assertMatch(stderr, /not recorded|could not be|Cannot (use|record)/);
  server.control("start");
});

test("serve and webhooks work on PostgreSQL, also what another process does", async () => {
  await using receiver = new Receiver();
  await using place = await openPlace(undefined, { SECRET });
  const { folder, env } = place;
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: { "*": { processor: "simulate" } },
      webhooks: [{
        url: receiver.url,
        secretEnv: "SECRET",
        on: ["completed"],
      }],
    }),
  );
  await using service = folder.start(
    ["run", "--loop", "--interval", "3600", "--listen", "127.0.0.1:0"],
    { env },
  );
  await service.line(/Listening on http/);
  const [, url = ""] = /Listening on (http:\S+)/.exec(service.seen) ?? [];
  const stream = await fetch(`${url}/api/v1/events`);
  const heard = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  const response = await fetch(`${url}/api/v1/tasks`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ provider: "a", instruction: "by the API" }),
  });
  assertEquals(response.status, 201, await response.text());
  await folder.create([{ provider: "b" }], env);
  await until("both were told", async () => {
    await systemClock.sleep(20);
    return receiver.received.length === 2;
  });
  let events = "";
  while ((events.match(/"kind":"completed"/g) ?? []).length < 2) {
    const { value = "", done } = await within(
      "the stream has both",
      heard?.read() ?? Promise.reject(new Error("There is no stream")),
    );
    assert(!done, events);
    events += value;
  }
  await heard?.cancel();
  const ready = await fetch(`${url}/ready`);
  assertEquals(ready.status, 200, await ready.text());
  const list = await folder.ok(["webhooks", "list"], { env });
  assertMatch(list, /pending +0\n.*given up +0/);
  await stop(service);
});

test("copy moves a file into PostgreSQL and back, and runners go on there", async () => {
  await using place = await openPlace();
  const { folder, env } = place;
  const { HANDSFREE_DB: address = "", ...own } = env;
  const path = `${folder.path}/handsfree.duckdb`;
  await folder.create(
    Array.from({ length: 30 }, (_, n) => ({ instruction: `task ${n}` })),
  );
  assertEquals(
    await folder.ok(["copy", path, address], { env: own }),
    `Copied to ${shownDatabase(address)}, which has as many: ` +
      "30 tasks, 30 events, 0 webhooks to deliver\n",
  );
  await folder.ok(["run", "--once"], { env });
  const back = `${folder.path}/back.duckdb`;
  const json = await folder.ok(["copy", "--json", address, back], { env: own });
  const { equal, tables } = JSON.parse(json);
  assertEquals([equal, tables.tasks, tables.events], [
    true,
    { from: 30, to: 30 },
    { from: 90, to: 90 },
  ]);
  const listed = ["list", "--json", "--limit", "100"];
  assertEquals(
    await folder.ok([...listed, "--db", back], { env: own }),
    await folder.ok(listed, { env }),
  );
  const stderr = await folder.fails(2, ["copy", path, back], { env: own });
  assertStringIncludes(stderr, "are other tasks already");
  assertStringIncludes(
    await folder.fails(2, ["copy", path], { env: own }),
    "Cannot copy without two databases",
  );
  assertStringIncludes(
    await folder.fails(3, ["copy", "gone.duckdb", back], { env: own }),
    "gone.duckdb",
  );
});
