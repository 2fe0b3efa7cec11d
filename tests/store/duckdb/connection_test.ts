import { assertEquals, assertRejects } from "@std/assert";
import { DuckDBInstance } from "duckdb";
import { DatabaseBusyError } from "../../../lib/base/errors.ts";
import { settled } from "../../../lib/base/under_way.ts";
import {
  connectDuckDb,
  type Connection,
  USE_MORE_MEMORY,
} from "../../../lib/store/duckdb/connection.ts";
import { Folder } from "../../cli/cli.ts";
import { Child } from "../../support/fixtures/child.ts";

async function withConnection(
  body: (connection: Connection) => Promise<void>,
): Promise<void> {
  const connection = await connectDuckDb(":memory:");
  try {
    await connection.run("CREATE TABLE notes (n BIGINT, text TEXT)");
    await body(connection);
  } finally {
    connection.close();
  }
}

const notes = (connection: Connection) =>
  connection.json(
    "SELECT to_json(list([n::TEXT, text] ORDER BY n)) FROM notes",
  );

Deno.test("run() says how many rows it changed, json() gives null where there is nothing", async () => {
  await withConnection(async (connection) => {
    assertEquals(await notes(connection), null);
    assertEquals(await connection.json("SELECT 1 FROM notes"), null);
    const insert = "INSERT INTO notes VALUES (1, 'a'), (2, 'b'), (3, 'c')";
    assertEquals(await connection.run(insert), 3);
    const update = "UPDATE notes SET text = $2 WHERE n >= $1";
    assertEquals(await connection.run(update, [2, "later"]), 2);
    assertEquals(await connection.run(update, [9, "never"]), 0);
    // The same statement with other values.
    assertEquals(await connection.run(update, [3, "last"]), 1);
    assertEquals(await notes(connection), [
      ["1", "a"],
      ["2", "later"],
      ["3", "last"],
    ]);
  });
});

for (
  const value of [
    "it's; DROP TABLE notes; --",
    "''",
    "a\\'b\\",
    "$1 and $2",
    "\0begins, \0 is in, and ends\0",
    'Zoë 🎉\n\t"quoted"',
    "",
    null,
  ]
) {
  Deno.test(`run() and json() keep ${JSON.stringify(value)}`, async () => {
    await withConnection(async (connection) => {
      await connection.run("INSERT INTO notes VALUES ($1, $2)", [1, value]);
      const isSame = await connection.json(
        "SELECT to_json(list(text IS NOT DISTINCT FROM $1)) FROM notes",
        [value],
      );
      assertEquals(isSame, [true]);
      assertEquals(await notes(connection), [["1", value]]);
    });
  });
}

for (const value of [-5, 0, 1.5, 2n ** 62n, -(2n ** 62n), true, false]) {
  Deno.test(`run() takes ${value}`, async () => {
    await withConnection(async (connection) => {
      await connection.run("INSERT INTO notes VALUES (1, ($1)::TEXT)", [value]);
      assertEquals(await notes(connection), [["1", String(value)]]);
    });
  });
}

Deno.test("run() works after a statement that failed", async () => {
  await withConnection(async (connection) => {
    await connection.run("BEGIN TRANSACTION");
    await connection.run("INSERT INTO notes VALUES (1, 'gone')");
    await assertRejects(
      () => connection.run("SELECT error('sabotage')"),
      Error,
      "sabotage",
    );
    await connection.run("ROLLBACK");
    const insert = "INSERT INTO notes VALUES ($1::BIGINT, $2)";
    await assertRejects(() => connection.run(insert, ["no number", "never"]));
    await connection.run(insert, [3, "after"]);
    assertEquals(await notes(connection), [["3", "after"]]);
  });
});

Deno.test("connectDuckDb() takes little of the machine, nothing from the network, and keeps UTC", async () => {
  await withConnection(async (connection) => {
    const settings = await connection.json(
      `SELECT to_json(map_from_entries(list((name, value)))) FROM duckdb_settings()
       WHERE name IN ('threads', 'memory_limit', 'TimeZone',
         'autoinstall_known_extensions', 'autoload_known_extensions')`,
    );
    assertEquals(settings, {
      threads: "1",
      memory_limit: "244.1 MiB",
      TimeZone: "UTC",
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
    });
  });
});

Deno.test("USE_MORE_MEMORY lets DuckDB have more than it usually gets", async () => {
  await withConnection(async (connection) => {
    await connection.run("SET memory_limit = '20MB'");
    const large = "SELECT repeat('x', 40_000_000) AS text";
    const make = (name: string) =>
      connection.run(`CREATE TEMP TABLE ${name} AS ${large}`);
    await assertRejects(() => make("first"), Error, "Out of Memory Error");
    await connection.run(USE_MORE_MEMORY);
    await make("second");
  });
});

for (
  const name of [
    "it's.duckdb",
    "temp.duckdb",
    "memory",
    "agent_runner.db",
    "sqlite:tasks",
    "md:tasks",
    "$1",
    "a;b",
  ]
) {
  Deno.test(`connectDuckDb() makes the file ${name}, which any DuckDB opens`, async () => {
    using folder = new Folder();
    const path = `${folder.path}/${name}`;
    for (let n = 1; n <= 2; n++) {
      const connection = await connectDuckDb(path);
      await connection.run("CREATE SEQUENCE IF NOT EXISTS ids");
      await connection.run(
        "CREATE TABLE IF NOT EXISTS t (id BIGINT DEFAULT nextval('ids'))",
      );
      await connection.run("INSERT INTO t DEFAULT VALUES");
      connection.close();
    }
    const instance = await DuckDBInstance.create(path);
    const other = await instance.connect();
    await other.run("INSERT INTO t DEFAULT VALUES");
    const rows = (await other.run("SELECT id FROM t ORDER BY id")).getRows();
    assertEquals(await rows, [[1n], [2n], [3n]]);
    other.closeSync();
    instance.closeSync();
  });
}

Deno.test("connectDuckDb() opens what was held before, and lets it go again", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks.duckdb`;
  {
    await using child = new Child(["hold", path]);
    assertEquals(await child.hear(), "held");
    for (let n = 0; n < 3; n++) {
      const error = await assertRejects(
        () => connectDuckDb(path),
        DatabaseBusyError,
      );
      assertEquals(error.holder.endsWith(`(PID ${child.pid})`), true);
      assertEquals(error.keepsAllOut, true);
    }
    await child.say("close");
    assertEquals(await child.hear(), '"closed"');
  }
  const connection = await connectDuckDb(path);
  await connection.run("CREATE TABLE own (n INTEGER)");
  connection.close();
  await using other = new Child(["hold", path]);
  assertEquals(await other.hear(), "held");
});

Deno.test("connectDuckDb() has the process's end wait for it, and so have its statements", async () => {
  const connecting = connectDuckDb(":memory:");
  let isDone = false;
  connecting.then(() => isDone = true);
  assertEquals(await settled(60_000), true);
  const connection = await connecting;
  assertEquals(isDone, true);
  let count = 0;
  connection.json<number>("SELECT to_json(count(*)) FROM range(3000000)")
    .then((rows) => count = rows ?? 0);
  assertEquals(await settled(60_000), true);
  assertEquals(count, 3_000_000);
  connection.close();
});
