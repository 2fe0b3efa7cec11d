import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import {
  EXPORT_FORMATS,
  type ExportFormat,
  type ExportOptions,
} from "../../../lib/store/contract.ts";
import {
  connectDuckDb,
  type Connection,
} from "../../../lib/store/duckdb/connection.ts";
import { fail } from "../../../lib/task/transitions.ts";
import { TimedStore } from "./timed_store.ts";

/** A text that breaks lines, fields and terminals that take it as it is. */
const HOSTILE = 'a "quoted", text\nwith\tü, 🦆, \x1b[31m and \x7f';

/** A store with a failed task and one that waits. */
async function openFilled(
  watch: (sql: string, path: string) => void = () => {},
): Promise<TimedStore> {
  const timed = await TimedStore.open(":memory:", {
    connect: async (path) => watched(await connectDuckDb(path), watch),
  });
  await timed.create({ provider: "http", instruction: HOSTILE });
  const [claimed] = await timed.claim();
  assert(claimed);
  timed.setTo(1);
  await timed.store.queue.record([fail(claimed, "no")]);
  timed.setTo(60);
  await timed.create({ runAt: new Date("2999-01-01") });
  return timed;
}

/** Tells of each statement with its last value before it is run, and after. */
function watched(
  connection: Connection,
  watch: (sql: string, path: string) => void,
): Connection {
  return {
    async run(sql, values) {
      watch(sql, String(values?.at(-1)));
      const count = await connection.run(sql, values);
      watch(sql, String(values?.at(-1)));
      return count;
    },
    json: (sql, values) => connection.json(sql, values),
    close: () => connection.close(),
  };
}

const ALL: ExportOptions = { format: "jsonl", events: false };

type Row = Readonly<Record<string, unknown>>;

/** Reads what was exported with a DuckDB of its own. */
async function read(bytes: Uint8Array, format: ExportFormat): Promise<Row[]> {
  const path = await Deno.makeTempFile();
  const connection = await connectDuckDb(":memory:");
  try {
    await Deno.writeFile(path, bytes);
    const source = {
      parquet: "read_parquet($1)",
      csv: "read_csv($1, header = true, all_varchar = true)",
      jsonl: "read_json($1, format = 'newline_delimited')",
    }[format];
    return await connection.json<Row[]>(
      `SELECT to_json(list(t)) FROM ${source} t`,
      [path],
    ) ?? [];
  } finally {
    connection.close();
    await Deno.remove(path);
  }
}

for (const format of EXPORT_FORMATS) {
  Deno.test(`export() writes the table as it is, as ${format}`, async () => {
    await using timed = await openFilled();
    const { admin } = timed.store;
    const { rows, bytes, body } = await admin.export({ ...ALL, format });
    const content = await new Response(body).bytes();
    assertEquals([rows, bytes], [2, content.length]);
    const found = await read(content, format);
    const { tasks } = await admin.page({ limit: 9, isWhole: true });
    assertEquals(
      found.map((row) => [row.id, row.instruction, row.last_update]),
      tasks.toReversed().map((it) => [it.id, it.instruction, it.traceText]),
    );
    assert("lease_id" in found[0]!);
  });
}

Deno.test("export() has the times in ISO 8601", async () => {
  await using timed = await openFilled();
  const { body } = await timed.store.admin.export(ALL);
  const lines = (await new Response(body).text()).trimEnd().split("\n");
  const task = JSON.parse(lines[1] ?? "");
  assertEquals(task.run_at, "2999-01-01T00:00:00.000000Z");
  assertEquals(task.created_at, "2026-01-01T12:01:00.000000Z");
});

/** The permissions of the files that were there at each COPY, and their paths. */
function watchFiles() {
  const modes: (number | null | undefined)[] = [];
  const paths: string[] = [];
  const watch = (sql: string, path: string) => {
    if (!sql.startsWith("COPY")) return;
    paths.push(path);
    modes.push(Deno.statSync(path).mode);
  };
  return { modes, paths, watch };
}

Deno.test("export() leaves no file behind, and lets nobody else read it", async () => {
  const { modes, paths, watch } = watchFiles();
  await using timed = await openFilled(watch);
  const { admin } = timed.store;
  const { body } = await admin.export(ALL);
  if (Deno.build.os !== "windows") {
    assertEquals(modes.map((mode) => (mode ?? 0) & 0o777), [0o600, 0o600]);
    assertEquals(await exists(paths[0]), false);
  }
  // Nobody has read it, and others have the store.
  const { counts } = await admin.count();
  assertNotEquals(counts, []);
  assertMatch(await new Response(body).text(), /^{"id":/);
  assertEquals(await exists(paths[0]), false);
  await (await admin.export(ALL)).body.cancel();
  assertEquals(await exists(paths[2]), false);
});

Deno.test("export() that fails leaves no file behind", async () => {
  const { paths, watch } = watchFiles();
  await using timed = await openFilled((sql, path) => {
    watch(sql, path);
    if (paths.length > 0) throw new Error("no more");
  });
  await assertRejects(
    () => timed.store.admin.export(ALL),
    Error,
    "no more",
  );
  assertEquals(paths.length, 1);
  assertEquals(await exists(paths[0]), false);
});

async function exists(path = ""): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}
