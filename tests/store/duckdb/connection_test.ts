import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { DuckDBInstance } from "duckdb";
import {
  connectDuckDb,
  type Connection,
  type SqlValue,
} from "../../../lib/store/duckdb/connection.ts";
import { DatabaseBusyError } from "../../../lib/base/errors.ts";
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

Deno.test("defer() runs statements before the next one, in their order", async () => {
  await withConnection(async (connection) => {
    connection.defer("INSERT INTO notes VALUES ($1, $2)", [1, "one"]);
    connection.defer("UPDATE notes SET text = text || $1", [", changed"]);
    assertEquals(await notes(connection), [["1", "one, changed"]]);
    // Once.
    assertEquals(await notes(connection), [["1", "one, changed"]]);
  });
});

Deno.test("defer() leaves the answer to the next statement", async () => {
  await withConnection(async (connection) => {
    connection.defer("INSERT INTO notes VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    const changed = await connection.run(
      "UPDATE notes SET text = $2 WHERE n >= $1",
      [2, "later"],
    );
    assertEquals(changed, 2);
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
  Deno.test(`defer() keeps ${JSON.stringify(value)}`, async () => {
    await withConnection(async (connection) => {
      connection.defer("INSERT INTO notes VALUES ($1, $2)", [1, value]);
      const texts = await connection.json(
        "SELECT to_json(list(text IS NOT DISTINCT FROM $1)) FROM notes",
        [value],
      );
      assertEquals(texts, [true]);
      assertEquals(await notes(connection), [["1", value]]);
    });
  });
}

Deno.test("defer() does not slow down a next statement with a long text", async () => {
  await withConnection(async (connection) => {
    const text = "it's long; ".repeat(200_000);
    connection.defer("INSERT INTO notes VALUES (1, 'first')");
    const startedAt = performance.now();
    await connection.run("INSERT INTO notes VALUES ($1, $2)", [2, text]);
    // As a part of the statement, it takes 10 s.
    assertLess(performance.now() - startedAt, 2_000);
    assertEquals(await notes(connection), [["1", "first"], ["2", text]]);
  });
});

for (const value of [-5, 0, 1.5, 2n ** 62n, -(2n ** 62n), true, false]) {
  Deno.test(`defer() takes ${value}`, async () => {
    const values: SqlValue[] = [value];
    await withConnection(async (connection) => {
      connection.defer("INSERT INTO notes VALUES (1, ($1)::TEXT)", values);
      assertEquals(await notes(connection), [["1", String(value)]]);
    });
  });
}

Deno.test("defer() fails the next statement where its own fails, and no other", async () => {
  await withConnection(async (connection) => {
    connection.defer("BEGIN TRANSACTION");
    connection.defer("INSERT INTO notes VALUES (1, 'gone')");
    connection.defer("SELECT error('sabotage')");
    await assertRejects(
      () => connection.run("INSERT INTO notes VALUES (2, 'never')"),
      Error,
      "sabotage",
    );
    await connection.run("ROLLBACK");
    assertEquals(await notes(connection), null);
    await connection.run("INSERT INTO notes VALUES ($1, $2)", [3, "after"]);
    assertEquals(await notes(connection), [["3", "after"]]);
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
    const rows = await (await other.run("SELECT id FROM t ORDER BY id"))
      .getRows();
    assertEquals(rows, [[1n], [2n], [3n]]);
    other.closeSync();
    instance.closeSync();
  });
}

Deno.test("connectDuckDb() uses each DuckDB that was prepared for one file", async () => {
  using folder = new Folder();
  try {
    const counts = [];
    for (const name of ["a", "b"]) {
      connectDuckDb.prepare();
      connectDuckDb.prepare();
      const connection = await connectDuckDb(`${folder.path}/${name}`);
      await connection.run("CREATE TEMP TABLE here (n INTEGER)");
      counts.push(
        await connection.json(
          "SELECT to_json(list(table_name)) FROM duckdb_tables()",
        ),
        await connection.json(
          `SELECT to_json(count(*)) FROM duckdb_databases()
           WHERE NOT internal AND path IS NOT NULL`,
        ),
      );
      connection.close();
    }
    assertEquals(counts, [["here"], 1, ["here"], 1]);
  } finally {
    await connectDuckDb.dispose();
  }
});

Deno.test("connectDuckDb() opens with the DuckDB that had found the file busy", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks.duckdb`;
  try {
    await using child = new Child(["hold", path]);
    assertEquals(await child.hear(), "held");
    for (let n = 0; n < 3; n++) {
      await assertRejects(() => connectDuckDb(path), DatabaseBusyError);
    }
    await child.say("close");
    assertEquals(await child.hear(), '"closed"');
    const connection = await connectDuckDb(path);
    await connection.run("CREATE TABLE own (n INTEGER)");
    connection.close();
    // And let go of it.
    await using other = new Child(["hold", path]);
    assertEquals(await other.hear(), "held");
  } finally {
    await connectDuckDb.dispose();
  }
});
