import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { AT_ONCE, Folder } from "./cli.ts";
import { denoArgs } from "../support/project.ts";

const DATABASE = "handsfree.duckdb";

async function filledFolder(): Promise<Folder> {
  const folder = new Folder();
  await folder.create([
    { provider: "claude", instruction: "one" },
    { provider: "http", instruction: "two\x1b[31m\nlines" },
    { provider: "http", instruction: "three" },
  ]);
  return folder;
}

Deno.test("sql prints a table, numbers to the right", async () => {
  using folder = await filledFolder();
  assertEquals(
    await folder.ok([
      "sql",
      `SELECT provider, count(*) AS tasks, 10.5 AS x, NULL::TEXT AS nothing
       FROM agent_tasks GROUP BY ALL ORDER BY ALL`,
    ]),
    "provider  tasks     x  nothing\n" +
      "claude        1  10.5  NULL\n" +
      "http          2  10.5  NULL\n" +
      "(2 rows)\n",
  );
});

Deno.test("sql has a view tasks with the names and values of list --json", async () => {
  using folder = new Folder();
  await folder.create([
    {
      target: "octo/app#12",
      target_type: "pr",
      trace: { a: [1] },
      timeout: 1.5,
    },
    { run_at: "2026-12-31T08:00:00Z", attempts: 2 },
  ]);
  const list = JSON.parse(await folder.ok(["list", "--json"]));
  const view = JSON.parse(
    await folder.ok(["sql", "--json", "FROM Tasks ORDER BY target_ref"]),
  );
  assertEquals(Object.keys(view[0]), Object.keys(list[0]));
  const sameTimes = (task: Record<string, unknown>) =>
    Object.fromEntries(
      Object.entries(task).map(([name, value]) => [
        name,
        name.endsWith("_at") && value
          ? new Date(String(value)).toISOString()
          : /^(trace|tags|touches)$/.test(name) && typeof value === "string"
          ? JSON.parse(value)
          : value,
      ]),
    );
  const byTarget = list.sort((a: { target_ref: string | null }) =>
    a.target_ref ? -1 : 1
  );
  assertEquals(view.map(sameTimes), byTarget.map(sameTimes));
});

Deno.test("sql shows a table that is called tasks, and no view", async () => {
  using folder = await filledFolder();
  await folder.rows("CREATE TABLE tasks AS SELECT 42 AS own");
  assertEquals(await folder.ok(["sql", "FROM tasks"]), "own\n 42\n(1 row)\n");
});

Deno.test("sql keeps a long or hostile cell on its line", async () => {
  using folder = await filledFolder();
  const out = await folder.ok([
    "sql",
    `SELECT instruction, repeat('x', 1000) AS long FROM agent_tasks
     WHERE provider = 'http' ORDER BY instruction DESC`,
  ]);
  const lines = out.split("\n");
  assertEquals(lines.length, 5);
  assertMatch(lines[1] ?? "", /^two\\x1b\[31m lines +x{48,49}…$/);
});

Deno.test("sql shows a row with a text of many lines field by field", async () => {
  using folder = await filledFolder();
  const out = await folder.ok([
    "sql",
    "EXPLAIN SELECT count(*) FROM agent_tasks",
  ]);
  assertMatch(out, /^explain_key\n {2}physical_plan\nexplain_value\n {2}┌/);
});

Deno.test("sql --json has numbers as numbers, however large, and the rest as it is", async () => {
  using folder = await filledFolder();
  const out = await folder.ok([
    ...["sql", "--json"],
    `SELECT 1::BIGINT AS a, 12345678901234567890 AS b, 2.5 AS c, 0.5::DOUBLE AS d,
       true AS e, NULL AS f, [1::BIGINT, 2] AS g, {'x': 1} AS h,
       TIMESTAMPTZ '2026-01-02 03:04:05+00' AS i, 'ü' AS j, 7 AS a`,
  ]);
  assertStringIncludes(out, "12345678901234567890");
  assertEquals(JSON.parse(out.replace("12345678901234567890", "0")), [{
    a: 1,
    b: 0,
    c: 2.5,
    d: 0.5,
    e: true,
    f: null,
    g: [1, 2],
    h: { x: 1 },
    i: "2026-01-02 03:04:05+00",
    j: "ü",
    "a:1": 7,
  }]);
});

Deno.test("sql --csv is RFC 4180, and tells NULL from an empty text", async () => {
  using folder = await filledFolder();
  const question = `SELECT 'a,"b"' AS "x y", 'two
lines' AS l, '' AS e, NULL AS n, 1 AS i`;
  const out = await folder.ok(["sql", "-", "--csv"], { stdin: question });
  assertEquals(out, 'x y,l,e,n,i\n"a,""b""","two\nlines","",,1\n');
});

Deno.test("sql --csv --for-spreadsheet makes texts of what that would compute", async () => {
  using folder = await filledFolder();
  const question = `SELECT '=1' AS a, -1 AS b, '-1' AS c, 'x' AS d`;
  const args = ["sql", question, "--for-spreadsheet"];
  assertEquals(await folder.ok([...args, "--csv"]), "a,b,c,d\n'=1,-1,'-1,x\n");
  assertStringIncludes(await folder.fails(2, args), "Give --csv too");
});

Deno.test("sql reads its question from standard input, a semicolon and a comment too", async () => {
  using folder = await filledFolder();
  for (const args of [["sql"], ["sql", "-"]]) {
    const out = await folder.ok(args, {
      stdin: "SELECT count(*) AS n -- all\nFROM agent_tasks;\n",
    });
    assertEquals(out, "n\n3\n(1 row)\n");
  }
});

Deno.test("sql --limit shows so many rows, and says that there are more", async () => {
  using folder = await filledFolder();
  const few = await folder.run(["sql", "FROM agent_tasks", "--limit", "2"]);
  assertEquals([few.code, few.stdout.split("\n").at(-2)], [
    0,
    "(the first 2 rows)",
  ]);
  assertStringIncludes(few.stderr, "more than 2 rows");
  const all = await folder.run(["sql", "FROM agent_tasks", "--limit", "3"]);
  assertEquals([all.stderr, all.stdout.split("\n").at(-2)], ["", "(3 rows)"]);
  const many = await folder.run(["sql", "FROM range(5000)", "--csv"]);
  assertEquals([many.stderr, many.stdout.trimEnd().split("\n").length], [
    "",
    5_001,
  ]);
});

const WRITES = [
  "DELETE FROM agent_tasks",
  "UPDATE agent_tasks SET status = 'completed'",
  "INSERT INTO agent_tasks (id) VALUES (uuid())",
  "DROP TABLE agent_tasks",
  "CREATE TABLE mine (x INTEGER)",
  "ALTER TABLE agent_tasks ADD COLUMN x INTEGER",
];

const BREAKOUTS = [
  "FROM read_text('/etc/hostname')",
  "FROM read_csv('/etc/hostname')",
  "FROM glob('/etc/*')",
  "COPY agent_tasks TO 'stolen.csv'",
  "COPY (SELECT 1) TO '/dev/stderr'",
  "ATTACH 'other.duckdb'",
  "EXPORT DATABASE 'stolen'",
  "INSTALL httpfs",
  "SET enable_external_access = true",
  "SET memory_limit = '100GB'",
  "SET temp_directory = '/tmp'",
  "RESET enable_external_access",
  "PRAGMA enable_logging",
  `COPY (SELECT 1) TO '${DATABASE}' (FORMAT csv, USE_TMP_FILE false)`,
  `COPY (SELECT 'x'::BLOB) TO '${DATABASE}.wal' (FORMAT blob)`,
  `EXPLAIN COPY (SELECT 1) TO '${DATABASE}' (FORMAT csv)`,
  `EXPLAIN ANALYZE COPY (SELECT 1) TO '${DATABASE}' (FORMAT csv, USE_TMP_FILE false)`,
  `EXPLAIN (ANALYZE) COPY (SELECT 1) TO '${DATABASE}' (FORMAT csv, USE_TMP_FILE false)`,
  `/**/ EXPLAIN ANALYZE COPY (SELECT 1) TO '${DATABASE}' (USE_TMP_FILE false)`,
  `EXPLAIN /**/ ANALYZE COPY (SELECT 1) TO '${DATABASE}' (USE_TMP_FILE false)`,
  `EXPLAIN PREPARE x AS COPY (SELECT 1) TO '${DATABASE}' (FORMAT csv)`,
  `EXPLAIN (ANALYZE) COPY (SELECT 1) TO '${DATABASE}' (USE_TMP_FILE false)`,
  `EXPLAIN (ANALYZE /* ) SELECT 1 -- */) COPY (SELECT 1) TO '${DATABASE}' (FORMAT csv, USE_TMP_FILE false)`,
  `/* /* */ EXPLAIN SELECT 1 -- */ EXPLAIN ANALYZE COPY (SELECT 1) TO '${DATABASE}' (FORMAT csv)`,
  "CALL pragma_version()",
];

const READS = [
  "FROM agent_tasks",
  "WITH t AS (FROM agent_tasks) FROM t",
  "SUMMARIZE agent_tasks",
  "DESCRIBE agent_tasks",
  "SHOW TABLES",
  "EXPLAIN FROM agent_tasks",
  "explain analyze\nSELECT 1",
  "EXPLAIN (FORMAT json, ANALYZE) FROM tasks",
  "PIVOT tasks ON state IN ('created', 'failed') USING count(*)",
];

for (const question of READS) {
  Deno.test(`sql answers ${JSON.stringify(question)}`, async () => {
    using folder = await filledFolder();
    await folder.ok(["sql", question]);
  });
}

for (const question of [...WRITES, ...BREAKOUTS]) {
  Deno.test(`sql refuses ${question}`, async () => {
    using folder = await filledFolder();
    const before = Deno.statSync(`${folder.path}/${DATABASE}`);
    const stderr = await folder.fails(2, ["sql", question]);
    assertMatch(stderr, /^error: Cannot run this: [^\n]+\n/);
    if (WRITES.includes(question)) {
      assertStringIncludes(stderr, "open to be read only");
    }
    const after = Deno.statSync(`${folder.path}/${DATABASE}`);
    assertEquals([after.mtime, after.size], [before.mtime, before.size]);
    assertEquals(folder.names(), [DATABASE, "tasks.jsonl"]);
  });
}

const MISTAKES: readonly (readonly [string, string])[] = [
  ["SELEC 1", "syntax error"],
  ["SELECT nothing FROM agent_tasks", "nothing"],
  ["SELECT 1; SELECT 2", "Cannot ask 2 questions"],
  [
    "PIVOT tasks ON state USING count(*)",
    "which columns there are is not known",
  ],
  ["", "there is no question in it"],
  ["/* nothing */", "there is no question in it"],
  ["SELECT 'x'::INTEGER", "Could not convert"],
];

for (const [question, says] of MISTAKES) {
  Deno.test(`sql says what is wrong with ${JSON.stringify(question)}`, async () => {
    using folder = await filledFolder();
    const stderr = await folder.fails(2, ["sql", question]);
    assertStringIncludes(stderr, says);
  });
}

Deno.test("sql gives up after --timeout", async () => {
  using folder = await filledFolder();
  const stderr = await folder.fails(2, [
    ...["sql", "--timeout", "0.3"],
    "SELECT count(*) FROM range(10000000) a, range(1000000) b",
  ]);
  assertStringIncludes(stderr, "Cannot answer within 0.3 s.");
});

Deno.test("sql makes no database where there is none", async () => {
  using folder = new Folder();
  const stderr = await folder.fails(3, ["sql", "SELECT 1"]);
  assertStringIncludes(stderr, "there is no such file");
  assertEquals(folder.names(), []);
});

Deno.test("sql sees what a runner that was killed left in its log, and leaves that", async () => {
  using folder = await filledFolder();
  await leaveLog(folder);
  const names = [DATABASE, `${DATABASE}.wal`, "tasks.jsonl"];
  assertEquals(folder.names(), names);
  const size = Deno.statSync(`${folder.path}/${DATABASE}.wal`).size;
  assertEquals(
    await folder.ok(["sql", "SELECT count(*) AS n FROM agent_tasks", "--csv"]),
    "n\n0\n",
  );
  assertEquals(folder.names(), names);
  assertEquals(Deno.statSync(`${folder.path}/${DATABASE}.wal`).size, size);
  assertEquals(await folder.ok(["list"]), "There are no tasks yet.\n");
});

/** Deletes all tasks in a process that is killed before its checkpoint. */
async function leaveLog(folder: Folder): Promise<void> {
  const program = "tests/support/fixtures/duckdb_child.ts";
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...denoArgs(program, { permissions: ["-A"] }),
      "hold",
      `${folder.path}/${DATABASE}`,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const keys = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  const until = async (word: string) => {
    while (!said.includes(word)) {
      const { value, done } = await reader.read();
      assert(!done, said);
      said += value;
    }
  };
  await until("held");
  await keys.write(new TextEncoder().encode("DELETE FROM agent_tasks\n"));
  await until("done");
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  await keys.close().catch(() => {}); // Its reader is gone.
}

Deno.test("sql waits for a runner that shares the file, and does not stop it", async () => {
  using folder = await filledFolder();
  await using runner = folder.start(["run", "--loop"], { env: AT_ONCE });
  await runner.line(/Running until stopped/);
  const answers = await Promise.all(
    Array.from(
      { length: 3 },
      () =>
        folder.ok(["sql", "SELECT count(*) AS n FROM agent_tasks", "--csv"]),
    ),
  );
  assertEquals(answers, Array(3).fill("n\n3\n"));
  await folder.create([{ instruction: "after" }]);
  await runner.line(/completed/i, 4);
  runner.signal("SIGTERM");
  assertEquals((await runner.ended()).code, 0);
});

Deno.test("sql says who holds the file", async () => {
  using folder = await filledFolder();
  await using runner = folder.start(["run", "--loop", "--exclusive"], {
    env: AT_ONCE,
  });
  await runner.line(/Running until stopped/);
  const stderr = await folder.fails(3, ["sql", "SELECT 1", "--db-wait", "0.1"]);
  assertStringIncludes(stderr, `(PID ${runner.pid}) holds it`);
  runner.signal("SIGTERM");
  await runner.ended();
});

Deno.test("sql has the memory for 41 tasks with results as large as they may be", async () => {
  using folder = new Folder();
  const text = 'a "quoted" word, '.repeat(56_000);
  await folder.create(
    Array(41).fill({ trace: { result: "success", text } }),
  );
  const question =
    "SELECT count(*) AS n FROM tasks WHERE trace->>'result' = 'success'";
  const out = await folder.ok(["sql", "--json", "--timeout=60", question]);
  assertEquals(JSON.parse(out), [{ n: 41 }]);
});
