import { assert, assertEquals, assertMatch } from "@std/assert";
import { assertStringIncludes } from "@std/assert";
import { DuckDBInstance } from "duckdb";
import { AT_ONCE, Folder } from "./cli.ts";

const DATABASE = "handsfree.duckdb";
/** A text that breaks lines, fields and terminals that take it as it is. */
const HOSTILE = 'a "quoted", text\nwith\tü, 🦆, \x1b[31m and \x7f';

/** A folder with a completed, a failed and a waiting task. */
async function filledFolder(): Promise<Folder> {
  const folder = new Folder();
  await folder.create([
    { provider: "claude", instruction: HOSTILE },
    { provider: "http", trace: { simulate_failure: "no" } },
  ]);
  await folder.run(["run", "--once"], { env: AT_ONCE });
  await folder.create([{
    provider: "http",
    instruction: "later",
    run_at: "2999-01-01T00:00:00Z",
  }]);
  return folder;
}

/** Reads an exported file with a DuckDB of its own. */
async function read(
  folder: Folder,
  source: string,
): Promise<Record<string, unknown>[]> {
  if (/jsonl?$/i.test(source)) {
    return folder.read(source).trimEnd().split("\n")
      .map((line) => JSON.parse(line));
  }
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run("SET TimeZone = 'UTC'");
    const sql = source.endsWith(".parquet")
      ? "FROM read_parquet($1)"
      : "FROM read_csv($1, header = true, all_varchar = true)";
    const path = `${folder.path}/${source}`;
    return (await connection.runAndReadAll(sql, [path])).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

for (const name of ["t.parquet", "t.csv", "t.jsonl", "t.NDJSON"]) {
  Deno.test(`export ${name} writes the table as it is`, async () => {
    using folder = await filledFolder();
    assertMatch(
      await folder.ok(["export", name]),
      new RegExp(`^Exported 3 tasks to ${name} \\([\\d.]+ k?B\\)\n$`),
    );
    const rows = await folder.rows(
      `SELECT id::TEXT AS id, provider, status, instruction, last_update,
         attempt, epoch_us(created_at)::TEXT AS created,
         epoch_us(run_at)::TEXT AS run FROM agent_tasks`,
    );
    const exported = await read(folder, name);
    const microsOf = (time: unknown) =>
      time === null ? null : Temporal.Instant.from(
        String(time).replace(" ", "T").replace(/\+00$/, "Z"),
      ).epochNanoseconds / 1000n;
    assertEquals(
      exported.map((row) => ({
        id: row.id,
        provider: row.provider,
        status: row.status,
        instruction: row.instruction,
        last_update: row.last_update,
        attempt: Number(row.attempt),
        created: String(microsOf(row.created_at)),
        run: row.run_at === null ? null : String(microsOf(row.run_at)),
      })),
      rows.map((row) => ({ ...row, attempt: Number(row.attempt) })),
    );
    assertEquals(folder.names().filter((it) => it.startsWith(".")), []);
  });
}

Deno.test("export has the times in ISO 8601", async () => {
  using folder = await filledFolder();
  const lines = (await folder.ok(["export"])).trimEnd().split("\n");
  assertEquals(lines.length, 3);
  const task = JSON.parse(lines[2] ?? "");
  assertEquals(task.run_at, "2999-01-01T00:00:00.000000Z");
  assertMatch(task.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assertEquals(JSON.parse(lines[0] ?? "").instruction, HOSTILE);
});

Deno.test("export --events writes the history, filtered by its tasks", async () => {
  using folder = await filledFolder();
  await folder.ok(["export", "all.csv", "--events"]);
  const all = await read(folder, "all.csv");
  assertEquals(
    all.map(({ kind }) => kind).filter((kind) => kind === "created").length,
    3,
  );
  await folder.ok(["export", "few.csv", "--events", "--state", "failed"]);
  const few = await read(folder, "few.csv");
  assertEquals(new Set(few.map(({ task_id }) => task_id)).size, 1);
  assertEquals(few.at(-1)?.kind, "failed");
  assertEquals(few.at(-1)?.detail, "no");
});

Deno.test("export --for-spreadsheet makes texts of what that would compute, in CSV alone", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "=cmd()" }]);
  const args = ["export", "t.csv", "--for-spreadsheet"];
  await folder.ok(args);
  assertEquals((await read(folder, "t.csv"))[0]?.instruction, "'=cmd()");
  const stderr = await folder.fails(2, ["export", "--for-spreadsheet"]);
  assertStringIncludes(stderr, "Give --format csv");
});

Deno.test("export filters by state, provider and time, and says how many", async () => {
  using folder = await filledFolder();
  const count = async (...args: string[]) =>
    JSON.parse(
      await folder.ok(["export", "x.csv", "--force", "--json", ...args]),
    ).rows;
  assertEquals(await count(), 3);
  assertEquals(await count("--state", "created,failed"), 2);
  assertEquals(await count("--provider", "http"), 2);
  assertEquals(await count("--provider", "http", "--state", "failed"), 1);
  assertEquals(await count("--provider", "x' OR '1'='1"), 0);
  assertEquals(await count("--since", "1h"), 3);
  await folder.rows(
    "UPDATE agent_tasks SET created_at = '2020-01-01' WHERE provider = 'claude'",
  );
  assertEquals(await count("--since", "1h"), 2);
  assertEquals(await count("--since", "2019-12-31"), 3);
});

Deno.test("export replaces a file only where it is told to", async () => {
  using folder = await filledFolder();
  folder.write("t.csv", "mine");
  const stderr = await folder.fails(2, ["export", "t.csv"]);
  assertStringIncludes(stderr, "there is a file already");
  assertStringIncludes(stderr, "--force");
  assertEquals(folder.read("t.csv"), "mine");
  await folder.ok(["export", "t.csv", "--force"]);
  assertEquals((await read(folder, "t.csv")).length, 3);
});

Deno.test("export never writes to the database, whatever it is called", async () => {
  using folder = await filledFolder();
  const inFolder = (name: string) => `${folder.path}/${name}`;
  Deno.symlinkSync(DATABASE, inFolder("symbolic.csv"));
  Deno.linkSync(inFolder(DATABASE), inFolder("hard.csv"));
  const before = Deno.statSync(inFolder(DATABASE));
  const names = [
    DATABASE,
    `./${DATABASE}`,
    inFolder(DATABASE),
    `${DATABASE}.wal`,
    "symbolic.csv",
    "hard.csv",
  ];
  for (const name of names) {
    const stderr = await folder.fails(2, [
      ...["export", name, "--format", "csv", "--force"],
    ]);
    assertStringIncludes(stderr, "the tasks themselves are there");
  }
  const after = Deno.statSync(inFolder(DATABASE));
  assertEquals([after.ino, after.size], [before.ino, before.size]);
  assertEquals((await folder.rows("FROM agent_tasks")).length, 3);
});

Deno.test("export takes a name with quotes", async () => {
  using folder = await filledFolder();
  await folder.ok(["export", 'it\'s "mine"; --.csv']);
  assert(folder.names().includes('it\'s "mine"; --.csv'));
});

Deno.test("export | head -1 ends quietly and leaves nothing behind", async () => {
  using folder = new Folder();
  await folder.create(Array(3_000).fill({ instruction: "x".repeat(1_000) }));
  const temporary = `${folder.path}/tmp`;
  Deno.mkdirSync(temporary);
  await using process = folder.start(["export"], {
    env: { TMPDIR: temporary },
  });
  process.closeOutput();
  const { code, stderr } = await process.ended();
  assertEquals([code, stderr], [0, ""]);
  assertEquals([...Deno.readDirSync(temporary)], []);
});

Deno.test("export works beside a runner that shares the file", async () => {
  using folder = await filledFolder();
  await using runner = folder.start(["run", "--loop"], { env: AT_ONCE });
  await runner.line(/Running until stopped/);
  await folder.ok(["export", "t.parquet"]);
  assertEquals((await read(folder, "t.parquet")).length, 3);
  runner.signal("SIGTERM");
  await runner.ended();
});
