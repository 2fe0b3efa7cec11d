import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import { DuplicateIdError, UsageError } from "../../lib/base/errors.ts";
import { newTasks, type Store } from "../../lib/store/contract.ts";
import type { NewTask } from "../../lib/task/task.ts";
import { TaskFile } from "../../lib/cli/task_file.ts";
import type { Terminal } from "../../lib/cli/terminal.ts";
import { openText } from "../../lib/cli/text_source.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";
const MANY = 10_000;

/** A file that is gone after the test. */
class TextFile implements Disposable {
  readonly path = Deno.makeTempFileSync({ suffix: ".jsonl" });

  constructor(lines: readonly object[], { end = "\n" } = {}) {
    this.write(lines.map((line) => JSON.stringify(line) + end).join(""));
  }

  write(text: string): void {
    Deno.writeTextFileSync(this.path, text);
  }

  async check(): Promise<TaskFile> {
    return await TaskFile.check(await openText(this.path, terminal("")));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path);
  }
}

function terminal(input: string): Terminal {
  return {
    screen: { width: undefined, hasColor: false },
    write: () => {},
    readInput: () => Promise.resolve(input),
    ask: () => Promise.resolve(undefined),
    confirm: () => Promise.resolve(undefined),
  };
}

function numbered(count: number, fields: object = {}): object[] {
  return Array.from({ length: count }, (_, index) => ({
    ...fields,
    instruction: `Do ${index} – “ü”`,
  }));
}

async function total({ admin }: Store): Promise<number> {
  return (await admin.page({ limit: 1 })).total;
}

async function setsOf(file: TaskFile): Promise<(readonly NewTask[])[]> {
  return await Array.fromAsync(file.sets());
}

Deno.test("TaskFile hands out many lines in several sets, in their order, each time anew", async () => {
  using text = new TextFile(numbered(MANY), { end: "\r\n" });
  const file = await text.check();
  assertEquals(file.count, MANY);
  for (let round = 0; round < 2; round++) {
    const sets = await setsOf(file);
    assert(sets.length > 2, `${sets.length} sets`);
    assertEquals(
      sets.flat().map(({ instruction }) => instruction),
      numbered(MANY).map((line) => (line as NewTask).instruction),
    );
  }
});

Deno.test("TaskFile ends a set early where its lines are long", async () => {
  const instruction = "é".repeat(3_000_000);
  using text = new TextFile(Array(3).fill({ instruction }));
  const sets = await setsOf(await text.check());
  assertEquals(sets.map(({ length }) => length), [2, 1]);
  assert(sets.flat().every((task) => task.instruction === instruction));
});

Deno.test("TaskFile reads standard input like a file", async () => {
  const line = (n: number) => `{"instruction": "${n}"}`;
  const input = Array.from({ length: MANY }, (_, n) => line(n)).join("\n");
  const file = await TaskFile.check(await openText("-", terminal(input)));
  const tasks = (await setsOf(file)).flat();
  assertEquals(
    tasks.map(({ instruction }) => instruction),
    Array.from({ length: MANY }, (_, n) => String(n)),
  );
});

Deno.test("TaskFile.check() tells ten wrong lines at once, and how many more there are", async () => {
  using text = new TextFile([
    ...numbered(5_000),
    ...Array(12).fill({ priority: "high" }),
    { id: `x\nline 1: ${"y".repeat(1_000)}` },
  ]);
  const error = await assertRejects(() => text.check(), UsageError);
  const [head, ...lines] = error.message.split("\n");
  assertEquals(
    head,
    `Cannot create tasks from ${text.path}: 13 lines are wrong. ` +
      "No task was created.",
  );
  assertEquals(lines.length, 11);
  assertStringIncludes(lines[0] ?? "", 'line 5001: Cannot use the priority "');
  assertStringIncludes(lines[9] ?? "", "line 5010: ");
  assertEquals(lines[10], "and 3 more");
});

Deno.test("TaskFile.check() keeps what it tells of a line on one line, and short", async () => {
  using text = new TextFile([
    { id: `x\nline 9: ${"y".repeat(1_000)}` },
    { instruction: 1 },
  ]);
  const { message } = await assertRejects(() => text.check(), UsageError);
  const lines = message.split("\n");
  assertEquals(lines.length, 3);
  assertStringIncludes(lines[1] ?? "", 'line 1: Cannot use the id "x\\nline 9');
  assert((lines[1] ?? "").length < 400, lines[1]);
});

Deno.test("TaskFile.check() finds an id again that another set has", async () => {
  using text = new TextFile([
    { id: ID },
    ...numbered(MANY),
    { id: ID.toUpperCase() },
  ]);
  const { message } = await assertRejects(() => text.check(), UsageError);
  assertStringIncludes(message, `line ${MANY + 2}: The id ${ID} is that of `);
  assertStringIncludes(message, "line 1 too. No task was created.");
});

Deno.test("openText() says that a file is no UTF-8 text, wherever that shows", async () => {
  using text = new TextFile(numbered(MANY));
  for (const bytes of [[0xff, 0x0a], [0xe2, 0x82]]) {
    text.write("{}\n".repeat(MANY));
    Deno.writeFileSync(text.path, new Uint8Array(bytes), { append: true });
    const { message } = await assertRejects(() => text.check(), UsageError);
    assertStringIncludes(message, `Cannot read ${text.path}: it is not UTF-8`);
  }
});

Deno.test("Admin.create() of a file keeps the order of its ids across sets", async () => {
  using text = new TextFile([
    // Sets whose lines differ in everything, and sets whose lines do not.
    { id: ID, provider: "a", user: "me", target: "o/r#1", timeout: 2 },
    { instruction: "\0 \ud800 ü", run_at: "2026-12-31T08:00:00Z", attempts: 3 },
    ...numbered(MANY, { trace: { n: 12 }, priority: 4 }),
  ]);
  await using store = await openDuckDbStore(":memory:");
  const created = await store.admin.create(await text.check());
  const ids = [...created.sets()].flat();
  assertEquals([created.length, ids[0]], [MANY + 2, ID]);
  const page = { limit: MANY * 2, isWhole: true };
  const tasks = [...(await store.admin.page(page)).tasks].reverse();
  assertEquals(tasks.map(({ id }) => id), ids);
  assertEquals(
    tasks.slice(2).map(({ instruction }) => instruction),
    numbered(MANY).map((line) => (line as NewTask).instruction),
  );
  assert(
    tasks.slice(2).every((task) =>
      task.priority === 4 && task.traceText === '{"n":12}' &&
      task.provider === "simulate" && task.runAt === null
    ),
  );
  const [first, second] = tasks;
  assertEquals(
    [first?.provider, first?.targetRef, first?.timeoutMs, first?.instruction],
    ["a", "o/r#1", 2_000, null],
  );
  assertEquals(
    [second?.instruction, second?.runAt, second?.maxAttempts],
    ["\0 \ufffd ü", new Date("2026-12-31T08:00:00Z"), 3],
  );
  const kinds = (await store.admin.history(ids.at(-1) ?? "")).map(({ kind }) =>
    kind
  );
  assertEquals(kinds, ["created"]);
});

Deno.test("Admin.create() of a file adds nothing where the last set has an id that is taken", async () => {
  using text = new TextFile([...numbered(MANY), { id: ID }]);
  const file = await text.check();
  await using store = await openDuckDbStore(":memory:");
  await store.admin.create(newTasks([{ id: ID, userId: ID, provider: "p" }]));
  const error = await assertRejects(
    () => store.admin.create(file),
    DuplicateIdError,
  );
  assertStringIncludes(file.explain(error).message, `, line ${MANY + 1}: `);
  assertEquals(await total(store), 1);
});

Deno.test("Admin.create() of a file ends where the first set fails, whatever the next one does", async () => {
  const tasks = [{ id: ID }, ...numbered(MANY)];
  using text = new TextFile(tasks);
  const file = await text.check();
  await using store = await openDuckDbStore(":memory:");
  await store.admin.create(newTasks([{ id: ID, userId: ID, provider: "p" }]));
  const lines = tasks.map((task) => JSON.stringify(task));
  // The next set is read meanwhile; once, it fails too.
  for (const line of [lines[MANY / 2] ?? "", "oops"]) {
    text.write(lines.with(MANY / 2, line).join("\n"));
    const error = await assertRejects(
      () => store.admin.create(file),
      DuplicateIdError,
    );
    assertStringIncludes(file.explain(error).message, ", line 1: ");
  }
  assertEquals(await total(store), 1);
});

Deno.test("Admin.create() of a file that changed meanwhile adds nothing and says so", async () => {
  using text = new TextFile(numbered(MANY));
  const file = await text.check();
  const lines = numbered(MANY).map((line) => JSON.stringify(line));
  text.write([...lines, "oops"].join("\n"));
  await using store = await openDuckDbStore(":memory:");
  const error = await assertRejects(
    () => store.admin.create(file),
    UsageError,
  );
  assertStringIncludes(error.message, "it was changed while it was read");
  assertStringIncludes(error.message, `line ${MANY + 1}`);
  assertEquals(await total(store), 0);
  text.write(lines.join("\n"));
  assertEquals((await store.admin.create(file)).length, MANY);
});
