/**
 * Tasks and their history as files.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  EXPORT_FORMATS,
  type ExportOptions,
  type Store,
} from "../../../lib/store/contract.ts";
import { complete, fail } from "../../../lib/task/transitions.ts";
import {
  claim,
  create,
  createMany,
  createOne,
  HOUR,
  later,
  nth,
  record,
  statesOf,
  type Test,
} from "./subject.ts";

/** A text that breaks lines and fields that take it as it is. */
const HOSTILE = 'a "quoted", text\nwith\tü, 🦆, \x1b[31m and \x7f';

interface Copy {
  readonly rows: number;
  readonly bytes: Uint8Array;
}

async function exported(
  { admin }: Store,
  options: Partial<ExportOptions> = {},
): Promise<Copy> {
  const { rows, bytes, body } = await admin.export({
    format: "jsonl",
    events: false,
    ...options,
  });
  const read = new Uint8Array(await new Response(body).arrayBuffer());
  assertEquals(read.length, bytes);
  return { rows, bytes: read };
}

function textOf({ bytes }: Copy): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

/** The rows of an export in JSON Lines. */
async function rowsOf(
  store: Store,
  options: Partial<ExportOptions> = {},
): Promise<Record<string, unknown>[]> {
  const copy = await exported(store, options);
  const lines = textOf(copy).split("\n").filter((line) => line !== "");
  assertEquals(lines.length, copy.rows);
  return lines.map((line) => JSON.parse(line));
}

/** A completed, a failed and a waiting task. */
async function fill(store: Store): Promise<string[]> {
  const ids = await create(store, [
    { provider: "claude", instruction: HOSTILE, trace: { mine: 1 } },
    { provider: "http" },
    { provider: "http", instruction: "later" },
  ]);
  const { tasks } = await claim(store, { limit: 2 });
  await record(store, complete(nth(tasks, 0)), fail(nth(tasks, 1), "no"));
  return ids;
}

export function testExport(test: Test): void {
  test("export() gives each task as a line of JSON", async ({ store }) => {
    const ids = await fill(store);
    const rows = await rowsOf(store);
    assertEquals(rows.length, 3);
    for (const [index, id] of ids.entries()) {
      const row = rows.find((row) => row.id === id);
      const task = await store.admin.get(id);
      assert(row && task);
      assertEquals(row.instruction, task.instruction);
      assertEquals(row.provider, task.provider);
      assertEquals(row.status, task.state);
      assertEquals(row.last_update, task.traceText);
      assertEquals(Number(row.attempt), index === 2 ? 0 : 1);
      assertMatch(
        String(row.created_at),
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/,
      );
      const createdAt = new Date(String(row.created_at));
      assertEquals(createdAt.getTime(), task.createdAt.getTime());
    }
  });

  test("export() gives the history, of the tasks that were asked for", async ({ store }) => {
    const ids = await fill(store);
    const all = await rowsOf(store, { events: true });
    assertEquals(all.length, 7);
    assertEquals(all.filter(({ kind }) => kind === "created").length, 3);
    const few = await rowsOf(store, { events: true, states: ["failed"] });
    assertEquals(new Set(few.map((row) => row.task_id)), new Set([ids[1]]));
    assertEquals(
      few.map(({ kind }) => kind).sort(),
      ["created", "failed", "started"],
    );
    const end = few.find(({ kind }) => kind === "failed");
    assertEquals([end?.detail, end?.runner], ["no", "runner-a"]);
  });

  test("export() filters by state, provider and time, and says how many", async ({ store, elapse, now }) => {
    await fill(store);
    await elapse(9 * HOUR);
    await createOne(store, { provider: "claude" });
    const hourAgo = later(await now(), -HOUR);
    const count = async (options: Partial<ExportOptions>) =>
      (await rowsOf(store, options)).length;
    assertEquals(await count({}), 4);
    assertEquals(await count({ states: ["created", "failed"] }), 3);
    assertEquals(await count({ provider: "http" }), 2);
    assertEquals(await count({ provider: "http", states: ["failed"] }), 1);
    assertEquals(await count({ provider: "x' OR '1'='1" }), 0);
    assertEquals(await count({ createdSince: hourAgo }), 1);
    assertEquals(await count({ createdSince: later(hourAgo, -9 * HOUR) }), 4);
    assertEquals(await count({ createdSince: hourAgo, events: true }), 1);
  });

  test("export() for a spreadsheet makes texts of what that would compute", async ({ store }) => {
    const computed = ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1"];
    const texts = ["a=1", "'=1"];
    await create(
      store,
      [...computed, ...texts].map((instruction) => ({
        instruction,
        priority: -1,
      })),
    );
    const { tasks } = await claim(store, { limit: 1 });
    await record(store, fail(nth(tasks, 0), "=no()"));
    const read = async (events: boolean) => {
      const options = { format: "csv", events, forSpreadsheet: true } as const;
      return textOf(await exported(store, options)).replaceAll('"', "");
    };
    const rows = await read(false);
    for (const it of computed) assertStringIncludes(rows, `,'${it},`);
    for (const it of texts) assertStringIncludes(rows, `,${it},`);
    assertStringIncludes(rows, ",-1,", "numbers stay what they are");
    assertStringIncludes(await read(true), ",'=no()");
  });

  test("export() gives comma-separated values with their names above them", async ({ store }) => {
    const ids = await fill(store);
    const copy = await exported(store, { format: "csv" });
    const text = textOf(copy);
    const names = nth(text.split("\n"), 0).trimEnd().split(",");
    for (const name of ["id", "provider", "status", "instruction"]) {
      assert(names.includes(name), `there is no ${name} in ${names}`);
    }
    assertEquals(copy.rows, 3);
    for (const id of ids) assertStringIncludes(text, id);
    assertStringIncludes(text, `"${HOSTILE.replaceAll('"', '""')}"`);
  });

  test("export() gives Parquet", async ({ store }) => {
    await fill(store);
    const { rows, bytes } = await exported(store, { format: "parquet" });
    assertEquals(rows, 3);
    const [start, end] = [bytes.slice(0, 4), bytes.slice(-4)];
    assertEquals([start, end].map((it) => new TextDecoder().decode(it)), [
      "PAR1",
      "PAR1",
    ]);
  });

  for (const format of EXPORT_FORMATS) {
    test(`export() of nothing as ${format} has no rows`, async ({ store }) => {
      for (const events of [false, true]) {
        const { rows } = await exported(store, { format, events });
        assertEquals(rows, 0);
      }
    });
  }

  test("export() leaves the store to others before it is read", async ({ store }) => {
    await createMany(store, 3_000, { instruction: "x".repeat(1_000) });
    const { rows, body } = await store.admin.export({
      format: "jsonl",
      events: false,
    });
    await createOne(store);
    const { tasks } = await claim(store, { limit: 1 });
    await record(store, complete(nth(tasks, 0)));
    const text = await new Response(body).text();
    assertEquals([rows, text.trimEnd().split("\n").length], [3_000, 3_000]);
    assert(!text.includes('"completed"'), "it has what happened afterwards");
  });

  test("export() may be given up before it is read to its end", async ({ store }) => {
    await createMany(store, 3_000, { instruction: "x".repeat(1_000) });
    const { body } = await store.admin.export({
      format: "jsonl",
      events: false,
    });
    const reader = body.getReader();
    const { value } = await reader.read();
    assert(value && value.length > 0);
    await reader.cancel();
    const unread = await store.admin.export({ format: "csv", events: true });
    await unread.body.cancel();
    assertEquals(await statesOf(store), { created: 3_000 });
  });
}
