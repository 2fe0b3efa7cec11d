/**
 * What each agent's real CLI must do through the whole program. Run by
 * `deno task test:agents` alone, in a namespace without a way out.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Bench, type BenchOptions, type Shown } from "./bench.ts";
import { type Cli, CLIS, versionOf } from "./clis.ts";
import type { Installed } from "./install.ts";
import { assertNoWayOut } from "./loopback.ts";

await assertNoWayOut();

type Open = (options?: Omit<BenchOptions, "bin">) => Promise<Bench>;

/** The model says this only; so only a session that goes on has it. */
const BEGUN = "I begin with the pearl.";
const DONE = "Done: hello.txt is written.";
/** A command that nobody else runs; of a `sleep`, qwen thinks better. */
const ENDLESS = "tail -f /dev/null --pid=1 -s 42.42";

/** Writes hello.txt into the task's folder. */
function writes(bench: Bench, id: string) {
  const path = bench.path(id, "hello.txt");
  return { text: BEGUN, write: { path, content: "hello\n" } };
}

/** The same by a command that may do anything, as claude sees it too. */
function runs(bench: Bench, id: string) {
  const path = bench.path(id, "hello.txt");
  return { text: BEGUN, shell: `sh -c "echo hello > '${path}'"` };
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** The task is completed, and its file is there. */
async function assertDone(bench: Bench, id: string): Promise<Shown> {
  const task = await bench.task(id);
  assertEquals(task.state, "completed", JSON.stringify(task.trace));
  assertEquals(task.trace.output, DONE);
  assertEquals(task.trace.warning, undefined);
  assertEquals(Deno.readTextFileSync(bench.path(id, "hello.txt")), "hello\n");
  return task;
}

/** The file is not there, and whoever looks at the task sees that. */
async function assertNotPermitted(bench: Bench, id: string): Promise<void> {
  const { state, trace } = await bench.task(id);
  const told = JSON.stringify(trace);
  assert(!exists(bench.path(id, "hello.txt")), "It was written");
  assert(state === "completed" || state === "failed", told);
  assertMatch(trace.warning ?? trace.error, /permitted|may not do/, told);
}

/** The model is told first what it had said before: it is the same session. */
async function assertGoesOn(bench: Bench, said: string): Promise<void> {
  const [asked = ""] = await bench.asked();
  assert(asked.includes(BEGUN), `not in the session: ${asked.slice(-2_000)}`);
  assert(asked.includes(said), `not told ${said}: ${asked.slice(-2_000)}`);
}

/** A case by its name. */
const CASES: Readonly<
  Record<string, (open: Open, cli: Cli) => Promise<void>>
> = {
  "edits a file, and tells result, session and usage": async (open, cli) => {
    await using bench = await open();
    const check = await bench.ok("config", "check");
    assertMatch(
      check,
      new RegExp(`version +${cli.name} ${versionOf(cli)}$`, "m"),
    );
    const id = await bench.create("Write hello.txt");
    await bench.says(writes(bench, id), { text: DONE });
    await bench.ok("run", "--once");
    const { attempt, trace } = await assertDone(bench, id);
    assertEquals(attempt, 1);
    assertEquals(trace.session.agent, cli.name);
    assert(trace.usage.input > 0 && trace.usage.output > 0, "usage");
    assertEquals(trace.usage.costUsd !== undefined, cli.tellsCost, "cost");
    await bench.isAlone();
  },

  "asks, and goes on in its session with the answer": async (open) => {
    await using bench = await open();
    const id = await bench.create("Write hello.txt");
    const question = { agent_runner: "question", question: "Which colour?" };
    await bench.says({ text: `${BEGUN}\n${JSON.stringify(question)}` });
    await bench.ok("run", "--once");
    const asking = await bench.task(id);
    assertEquals(asking.state, "needs_input", JSON.stringify(asking.trace));
    assertEquals(asking.trace.question, "Which colour?");
    await bench.says(writes(bench, id), { text: DONE });
    await bench.ok("answer", id, "Ultramarine");
    await bench.ok("run", "--once");
    const { trace } = await assertDone(bench, id);
    assertEquals(trace.session.id, asking.trace.session.id);
    await assertGoesOn(bench, "Ultramarine");
  },

  "meets its usage limit, which costs no attempt": async (open, cli) => {
    await using bench = await open({ isSubscriber: true });
    const id = await bench.create("Write hello.txt");
    await bench.says({ limit: 7_200 });
    const metAt = Date.now();
    await bench.run("run", "--once");
    const [pause] = JSON.parse(await bench.ok("pauses", "--json"));
    assertEquals(
      pause?.provider,
      cli.name,
      JSON.stringify(await bench.task(id)),
    );
    const minutes = (Date.parse(pause.until) - metAt) / 60_000;
    if (cli.knowsLimitEnd) assert(minutes > 115 && minutes < 135, `${minutes}`);
    assertEquals((await bench.task(id)).state, "running");
    await bench.says(writes(bench, id), { text: DONE });
    await bench.ok("resume", cli.name);
    await bench.ok("run", "--once");
    const { attempt } = await assertDone(bench, id);
    assertEquals(attempt, 1);
  },

  "takes a prompt that is too long for an argument, also in its session":
    async (
      open,
    ) => {
      await using bench = await open();
      const long = (word: string) =>
        `Write hello.txt. ${"x ".repeat(80_000)}${word}`;
      const id = await bench.create(long("cinnabar"));
      const question = { agent_runner: "question", question: "Which colour?" };
      await bench.says({ text: `${BEGUN}\n${JSON.stringify(question)}` });
      await bench.ok("run", "--once");
      const asking = await bench.task(id);
      assertEquals(asking.state, "needs_input", JSON.stringify(asking.trace));
      const [asked = ""] = await bench.asked();
      assert(asked.includes("cinnabar"), `not told: ${asked.slice(-2_000)}`);
      await bench.says(writes(bench, id), { text: DONE });
      await bench.answer(id, long("ultramarine"));
      await bench.ok("run", "--once");
      await assertDone(bench, id);
      await assertGoesOn(bench, "ultramarine");
    },

  "is cancelled, and leaves no process": async (open) => {
    await using bench = await open({ config: { permissions: "all" } });
    const id = await bench.create("Write hello.txt");
    await bench.says({ text: BEGUN, shell: ENDLESS });
    await using runner = bench.start("run", "--loop");
    await bench.hasProcess(ENDLESS);
    await bench.ok("cancel", id);
    runner.signal("SIGTERM");
    await runner.ended();
    await bench.isAlone();
    const { state, trace } = await bench.task(id);
    assertEquals([state, trace.result], ["failed", "cancelled"]);
  },

  "goes on in its session after SIGTERM of its runner, which leaves no process":
    async (open) => {
      await using bench = await open();
      const id = await bench.create("Write hello.txt");
      await bench.says(writes(bench, id), { hang: "silent" });
      await using runner = bench.start("run", "--loop");
      await bench.hangs();
      assert(exists(bench.path(id, "hello.txt")), "hello.txt");
      const { trace: { session } } = await bench.task(id);
      runner.signal("SIGTERM");
      await runner.ended();
      await bench.isAlone();
      await bench.says({ text: DONE });
      await bench.runToEnd(id, "run", "--once");
      const { trace } = await assertDone(bench, id);
      assertEquals(trace.session.id, session.id);
      await assertGoesOn(bench, "Go on.");
    },

  "goes on in its session after kill -9 of its runner, which leaves no process":
    async (open) => {
      await using bench = await open({ config: { permissions: "all" } });
      const id = await bench.create("Write hello.txt");
      // What is not theirs is taken over when its lease is over.
      const quick = ["--lease", "5", "--retry-wait", "1"];
      await bench.says({ text: BEGUN, shell: ENDLESS });
      await using runner = bench.start("run", "--loop", ...quick);
      await bench.hasProcess(ENDLESS);
      const { trace: { session } } = await bench.task(id);
      runner.signal("SIGKILL");
      await runner.ended();
      await bench.isAlone();
      await bench.says(writes(bench, id), { text: DONE });
      await bench.runToEnd(id, "run", "--once", ...quick);
      const { trace } = await assertDone(bench, id);
      assertEquals(trace.session.id, session.id);
      await assertGoesOn(bench, "Go on.");
    },

  "is not permitted to write, which is not hidden": async (open, cli) => {
    await using bench = await open({ config: { permissions: "read" } });
    const id = await bench.create("Write hello.txt");
    await bench.says(writes(bench, id), { text: DONE });
    await bench.run("run", "--once");
    await assertNotPermitted(bench, id);
    if (!cli.writeTool) return;
    const [name, pathField] = cli.writeTool;
    const other = await bench.create("Write hello.txt again");
    const path = bench.path(other, "hello.txt");
    const input = { [pathField]: path, content: "hello\n" };
    await bench.says({ tool: { name, input } }, { text: DONE });
    await bench.run("run", "--once");
    await assertNotPermitted(bench, other);
  },

  "runs a command with the permission to edit, or tells that it may not":
    async (
      open,
      cli,
    ) => {
      await using bench = await open();
      const id = await bench.create("Write hello.txt");
      await bench.says(runs(bench, id), { text: DONE });
      await bench.run("run", "--once");
      if (cli.runsCommandsToEdit) await assertDone(bench, id);
      else await assertNotPermitted(bench, id);
    },

  "runs a command with all permissions": async (open) => {
    await using bench = await open({ config: { permissions: "all" } });
    const id = await bench.create("Write hello.txt");
    await bench.says(runs(bench, id), { text: DONE });
    await bench.ok("run", "--once");
    await assertDone(bench, id);
  },

  "fails for good where its key is wrong": async (open) => {
    await using bench = await open();
    const id = await bench.create("Write hello.txt");
    await bench.says({ error: 401, message: "invalid x-api-key" });
    await bench.run("run", "--once");
    const { state, attempt, trace } = await bench.task(id);
    assertEquals([state, attempt], ["failed", 1], JSON.stringify(trace));
    await bench.isAlone();
  },
};

const installed: Readonly<Record<string, Installed>> = JSON.parse(
  Deno.env.get("AGENTS_INSTALLED") ?? "{}",
);
for (const cli of CLIS) {
  const it = installed[cli.name];
  if (!it) continue;
  const problem = "problem" in it ? ` (ignored: ${it.problem})` : "";
  for (const [name, check] of Object.entries(CASES)) {
    Deno.test({
      name: `${cli.name} ${versionOf(cli)} ${name}${problem}`,
      ignore: problem !== "",
      fn: async () => {
        if ("bin" in it) {
          await check((more) => Bench.open(cli, { bin: it.bin, ...more }), cli);
        }
      },
    });
  }
}
