import { parseArgs } from "@std/cli/parse-args";
import {
  assertEquals,
  assertFalse,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { systemClock } from "../../lib/base/clock.ts";
import { UsageError, UserError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import { COMMANDS } from "../../lib/cli/commands.ts";
import {
  joinDashedValues,
  type Parsed,
  parseOptions,
  requestOf,
} from "../../lib/cli/usage.ts";
import { loadConfig } from "../../lib/config/config.ts";
import type { Store } from "../../lib/store/contract.ts";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import { claim, taskOf } from "../store/conformance/subject.ts";

/** Commands against a store in memory, as their words are parsed. */
class Program implements AsyncDisposable {
  #store: Promise<Store> | undefined;
  stdin = "";
  log = "";

  /** Opened when it is needed. */
  get store(): Promise<Store> {
    return this.#store ??= openDuckDbStore(":memory:", { clock: systemClock });
  }

  get isOpen(): boolean {
    return this.#store !== undefined;
  }

  /** Returns the exit code and what was printed. */
  async run(
    ...words: readonly string[]
  ): Promise<[number | undefined, string]> {
    const unknown: string[] = [];
    const parsed = parseArgs(
      joinDashedValues(words),
      parseOptions((flag) => unknown.push(flag)),
    );
    const { command, args, flags } = requestOf(parsed as Parsed, unknown);
    let output = "";
    using log = createLog({ write: (text) => this.log += text });
    const code = await command.run?.({
      commands: COMMANDS,
      config: loadConfig({}, () => undefined),
      args,
      flags,
      clock: systemClock,
      log,
      terminal: {
        screen: { width: 80, hasColor: false },
        write: (text) => output += text,
        readInput: () => Promise.resolve(this.stdin),
        ask: () => Promise.resolve(undefined),
        confirm: () => Promise.resolve(undefined),
      },
      openStore: () => this.store,
      openStoreWhenFree: () => this.store,
      openAdmin: async () => ({
        admin: (await this.store).admin,
        schedules: (await this.store).schedules,
        defaultProvider: "simulate",
        warningFor: (provider) =>
          provider === "nobody" ? "Nobody works on nobody's" : undefined,
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    });
    log.flush();
    return [code, output];
  }

  async create(...words: readonly string[]): Promise<string> {
    const [, output] = await this.run("create", "x", ...words, "--json");
    return JSON.parse(output).id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#store)?.[Symbol.asyncDispose]();
  }
}

Deno.test("create --key says that a task has the key, and in which state", async () => {
  await using program = new Program();
  const run = program.run.bind(program);
  const id = await program.create("--key", "issue 12");
  assertEquals(await run("create", "y", "--key", "issue 12"), [
    0,
    `Task ${id} has the key "issue 12" already (created)\n`,
  ]);
  assertEquals(
    await run("create", "y", "--key", "issue 12", "--replace"),
    [0, `Changed task ${id}, which had the key "issue 12" and had not begun\n`],
  );
  const store = await program.store;
  assertEquals((await taskOf(store, id)).instruction, "y");
  await claim(store);
  const words = ["create", "z", "--key", "issue 12", "--replace"];
  assertEquals(await run(...words), [
    0,
    `Task ${id} has the key "issue 12" already (running)\n`,
  ]);
  const [, json] = await run(...words, "--json");
  assertEquals(JSON.parse(json), { id, existing: true });
});

Deno.test("create --key-for counts from the creation, though the task has ended", async () => {
  await using program = new Program();
  const id = await program.create("--key", "daily");
  await (await program.store).admin.cancel([id]);
  assertEquals(
    await program.run("create", "y", "--key", "daily", "--key-for", "24h"),
    [0, `Task ${id} has the key "daily" already (cancelled)\n`],
  );
});

Deno.test("create --file tells which lines had their keys already", async () => {
  await using program = new Program();
  const taken = await program.create("--key", "a");
  const waiting = await program.create("--key", "b");
  const lines = [
    { instruction: "1", key: "a" },
    { instruction: "2", key: "b", replace: true },
    { instruction: "3", key: "c" },
    { instruction: "4", key: "c" },
  ];
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(
      path,
      lines.map((line) => JSON.stringify(line)).join("\n"),
    );
    const [code, json] = await program.run("create", "--file", path, "--json");
    const created = JSON.parse(json);
    const { id } = created[2];
    assertEquals([code, created], [0, [
      { id: taken, existing: true },
      { id: waiting, replaced: true },
      { id },
      { id, existing: true },
    ]]);
    const [, text] = await program.run("create", "--file", path);
    assertEquals(
      text,
      "Created 0 tasks\n" +
        "Changed 1 task that had the key and had not begun\n" +
        "3 tasks had the key already\n",
    );
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("edit changes what its flags name", async () => {
  await using program = new Program();
  const id = await program.create("--tag", "a", "--priority", "3");
  program.stdin = "From a pipe\n";
  assertEquals(
    await program.run(
      ...["edit", id.slice(0, 8), "--instruction", "-", "--priority", "-5"],
      ...["--run-at", "2036-01-01T08:00Z", "--provider", "nobody"],
      ...["--attempts", "2", "--timeout", "90s", "--batch", "night"],
      ...["--tag", "b", "--tag", "c", "--target", "a/b#1"],
    ),
    [0, `Changed task ${id}\n`],
  );
  const store = await program.store;
  const task = await taskOf(store, id);
  const { instruction, priority, provider, maxAttempts, timeoutMs } = task;
  assertEquals(
    [instruction, priority, provider, maxAttempts, timeoutMs],
    ["From a pipe", -5, "nobody", 2, 90_000],
  );
  assertEquals(
    [task.batch, task.tags, task.targetType, task.targetRef],
    ["night", ["b", "c"], "issue", "a/b#1"],
  );
  assertEquals(task.runAt?.toISOString(), "2036-01-01T08:00:00.000Z");
  assertMatch(program.log, /Nobody works on nobody's/);
  const [, json] = await program.run("edit", id, "--run-at", "now", "--json");
  assertEquals(JSON.parse(json), { id, result: "edited" });
  assertEquals((await taskOf(store, id)).runAt, null);
});

Deno.test("edit and move refuse what has begun, and say so", async () => {
  await using program = new Program();
  const store = await program.store;
  const [id, other] = [await program.create(), await program.create()];
  await claim(store, { taskId: id });
  await assertRejects(
    () => program.run("edit", id, "--priority", "1"),
    UserError,
    `Cannot change task ${id}: it has begun. agent-runner note`,
  );
  await assertRejects(
    () => program.run("move", other, id, "--first"),
    UserError,
    `Cannot move task ${id}: it has begun.`,
  );
  const [code, json] = await program.run("move", id, other, "--last", "--json");
  assertEquals([code, JSON.parse(json)], [1, {
    tasks: [{ id, result: "begun" }, { id: other, result: "moved" }],
  }]);
});

Deno.test("move runs tasks first or last, in the order in which they are named", async () => {
  await using program = new Program();
  const ids = [];
  for (let n = 0; n < 4; n++) ids.push(await program.create());
  const [a = "", b = "", c = "", d = ""] = ids;
  assertEquals(await program.run("move", d, b.slice(0, 13), "--first"), [
    0,
    `Task ${d} runs first\nTask ${b} runs first\n`,
  ]);
  assertEquals(await program.run("move", a, "--last"), [
    0,
    `Task ${a} runs last\n`,
  ]);
  const { tasks } = await claim(await program.store);
  assertEquals(tasks.map(({ task }) => task.id), [d, b, c, a]);
});

const MISTAKES: [words: string[], error: RegExp][] = [
  [["edit"], /Cannot change a task without its id/],
  [["edit", "5"], /nothing is to be changed\. Give one of instruction,/],
  [["edit", "5", "--priority", "x"], /the priority "x": expected a whole/],
  [["edit", "5", "--run-at", "soon"], /the run at "soon": expected a time/],
  [["edit", "5", "--target-type", "pr"], /without a target says nothing/],
  [["edit", "5", "--instruction", " "], /the instruction is empty/],
  [["edit", "5", "--key", "k"], /Unknown flag --key for "edit"/],
  [["move", "--first"], /without their ids and one of --first and --last/],
  [["move", "5"], /without their ids and one of --first and --last/],
  [["move", "5", "--first", "--last"], /one of --first and --last/],
];

for (const [words, error] of MISTAKES) {
  Deno.test(`agent-runner ${words.join(" ")} says what is wrong`, async () => {
    await using program = new Program();
    const thrown = await assertRejects(() => program.run(...words), UsageError);
    assertMatch(thrown.message, error);
    assertFalse(program.isOpen);
  });
}
