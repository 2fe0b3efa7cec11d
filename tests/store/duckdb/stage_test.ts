import { assertEquals } from "@std/assert";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import { Stage } from "../../../lib/store/duckdb/stage.ts";

const ROWS = 100_000;

/** Puts rows into the window, and returns how many it has from the first on. */
async function fill(
  connection: Awaited<ReturnType<typeof connectDuckDb>>,
): Promise<{ first: number; own: number | null; all: number | null }> {
  const first = await Stage.of(connection).reserve("claim_window", ROWS);
  await connection.run(
    `INSERT INTO claim_window SELECT $1 + range, 0 FROM range(${ROWS})`,
    [first],
  );
  const count = (condition: string) =>
    connection.json<number>(
      `SELECT to_json(count(*)) FROM claim_window WHERE ${condition}`,
    );
  return {
    first,
    own: await count(`number >= ${first}`),
    all: await count("true"),
  };
}

Deno.test("reserve() gives each set of rows numbers of its own, and empties a table that had many", async () => {
  const connection = await connectDuckDb(":memory:");
  await Stage.open(connection);
  const filled = [];
  for (let i = 0; i < 4; i++) filled.push(await fill(connection));
  assertEquals(filled, [
    { first: 0, own: ROWS, all: ROWS },
    { first: ROWS, own: ROWS, all: 2 * ROWS },
    { first: 2 * ROWS, own: ROWS, all: 3 * ROWS },
    { first: 3 * ROWS, own: ROWS, all: ROWS },
  ]);
  connection.close();
});

Deno.test("reserve() gives no number twice where a transaction was rolled back", async () => {
  const connection = await connectDuckDb(":memory:");
  await Stage.open(connection);
  for (let i = 0; i < 3; i++) await fill(connection);
  await connection.run("BEGIN TRANSACTION");
  assertEquals((await fill(connection)).all, ROWS);
  await connection.run("ROLLBACK");
  assertEquals(await fill(connection), {
    first: 4 * ROWS,
    own: ROWS,
    all: 4 * ROWS,
  });
  connection.close();
});
