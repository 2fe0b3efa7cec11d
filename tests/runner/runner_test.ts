import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseError, DisabledError } from "../../lib/base/errors.ts";
import {
  autoStartCreatedTasks,
  processRunningTask,
  runLoop,
  runOnce,
} from "../../lib/runner.ts";
import type { JsonObject, JsonValue } from "../../lib/task/task.ts";
import { parseTrace } from "../../lib/task/trace.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { RESULTS } from "../support/sample_results.ts";
import type { StubQueue } from "../support/stub_queue.ts";
import { claimOne, setUp, summary } from "./set_up.ts";

Deno.test("runOnce() refuses to run where the runner is disabled", async () => {
  const { runner, queue, stop } = setUp({
    tasks: 1,
    settings: { enabled: false },
  });
  await using _ = runner;
  await assertRejects(
    () => runOnce(runner, stop),
    DisabledError,
    "HANDSFREE_AGENT_RUNNER_ENABLED=true",
  );
  await assertRejects(() => runLoop(runner, stop), DisabledError);
  assertEquals(queue.claims, []);
});

Deno.test("autoStartCreatedTasks() claims at most as many as asked, oldest first", async () => {
  const { runner, queue } = setUp({ tasks: 3 });
  await using _ = runner;
  const { runs } = await autoStartCreatedTasks(runner, { limit: 2 });
  assertEquals(runs.map(({ task }) => task.id), ["task-1", "task-2"]);
  assertEquals(queue.idsIn("created"), ["task-3"]);
});

Deno.test("autoStartCreatedTasks() begins so many, and holds others as they are", async () => {
  const { runner, queue } = setUp({ tasks: 4 });
  await using _ = runner;
  const request = { limit: 1, ahead: 2 };
  const { runs } = await autoStartCreatedTasks(runner, request);
  assertEquals(runs.map(({ isBegun }) => isBegun), [true, false, false]);
  assertEquals(queue.idsIn("running"), ["task-1"]);
  assertEquals(queue.row("task-2").attempt, 0);
  assertEquals(runner.runs.size, 3);
});

Deno.test("autoStartCreatedTasks() says that it is idle only where nothing is in hand", async () => {
  const { runner, queue } = setUp({ tasks: 2 });
  await using _ = runner;
  const request = { limit: 0, ahead: 0 };
  await autoStartCreatedTasks(runner, request);
  await autoStartCreatedTasks(runner, { limit: 1 });
  await autoStartCreatedTasks(runner, request);
  const idle = queue.claims.map(({ isIdle }) => isIdle);
  assertEquals(idle, [true, true, false]);
});

Deno.test("processRunningTask() completes a task and says so in its trace", async () => {
  const { runner, queue, clock, logged } = setUp({
    tasks: 1,
    process: async (_task, { progress }) => {
      progress("Half way");
      await clock.sleep(500);
      return { kind: "completed", result: { answer: 42 } };
    },
  });
  await using _ = runner;
  const run = await claimOne(runner);
  assertEquals(await processRunningTask(runner, run), "completed");
  const task = queue.row("task-1");
  assertEquals(task.state, "completed");
  const { auto_started_at: _at, completed_at, ...trace } =
    parseTrace(task.traceText) ?? {};
  assertEquals(trace, {
    auto_started_by: "runner_loop",
    last_progress_at: "2026-01-19T18:30:00.000+00:00",
    progress: "Half way",
    completed_by: "runner_loop",
    result: "success",
    output: { answer: 42 },
  });
  // A group of outcomes waits for others of its time.
  assertEquals(completed_at, "2026-01-19T18:30:00.505+00:00");
  assert(logged().includes("INFO - Task task-1 completed in 500 ms"));
});

Deno.test("runOnce() starts the next task before the last one's outcome is committed", async () => {
  const recordedThen: number[] = [];
  const { runner, queue, stop } = setUp({
    tasks: 2,
    settings: { concurrency: 1 },
    process: () => {
      recordedThen.push(queue.recorded.length);
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  await runOnce(runner, stop);
  assertEquals([...recordedThen, queue.recorded.length], [0, 0, 2]);
});

Deno.test("processRunningTask() fails a task whose processor throws", async () => {
  const { runner, queue, logged } = setUp({
    tasks: 1,
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  const run = await claimOne(runner);
  assertEquals(await processRunningTask(runner, run), "failed");
  const task = queue.row("task-1");
  assertEquals(task.state, "failed");
  assertEquals(parseTrace(task.traceText)?.error, "boom");
  assert(logged().includes("ERROR - Task task-1 failed: boom"));
});

Deno.test("processRunningTask() tries a failure again where the task asks for it", async () => {
  const { runner, queue, clock } = setUp({
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  queue.create({ maxAttempts: 2 });
  const run = await claimOne(runner);
  assertEquals(await processRunningTask(runner, run), "retrying");
  const waiting = queue.row("task-1");
  assertEquals([waiting.state, waiting.leaseOwner], ["running", null]);
  const waitMs = (waiting.runAt?.getTime() ?? 0) - clock.now().getTime();
  assert(waitMs > 0 && waitMs <= 1_000, `${waitMs}`);
  await clock.sleep(1_000);
  const again = await claimOne(runner);
  assertEquals(await processRunningTask(runner, again), "failed");
});

const losses: {
  name: string;
  change: (queue: StubQueue) => void;
  why: string;
}[] = [
  {
    name: "that is not there any more",
    change: (queue) => queue.rows.clear(),
    why: "it is not there any more",
  },
  {
    name: "that somebody else ended",
    change: (queue) =>
      queue.change("task-1", { state: "failed", leaseId: null }),
    why: "it is failed already",
  },
  {
    name: "that another runner took over",
    change: (queue) => queue.takeOver("task-1", "runner-2"),
    why: "runner-2 has taken it over",
  },
  {
    name: "that its own runner has claimed anew",
    change: (queue) => queue.takeOver("task-1", "runner-1"),
    why: "its lease was over, and this runner has claimed it anew",
  },
  {
    name: "that waits without a lease",
    change: (queue) =>
      queue.change("task-1", { leaseId: null, leaseOwner: null }),
    why: "its lease was over, and it waits to be run again",
  },
];

for (const { name, change, why } of losses) {
  Deno.test(`processRunningTask() skips a task ${name}, and says so`, async () => {
    const { runner, queue, logged } = setUp({ tasks: 1 });
    await using _ = runner;
    const run = await claimOne(runner);
    change(queue);
    const before = queue.rows.get("task-1");
    assertEquals(await processRunningTask(runner, run), "skipped");
    assertEquals(queue.rows.get("task-1"), before);
    assert(
      logged().includes(
        `WARNING - Task task-1 was skipped: ${why}. This run was not recorded.`,
      ),
      logged().join("\n"),
    );
    assertEquals(runner.runs.size, 0);
  });
}

Deno.test("processRunningTask() says no more of a lost task than it knows", async () => {
  const { runner, queue, logged } = setUp({ tasks: 1 });
  await using _ = runner;
  const run = await claimOne(runner);
  queue.takeOver("task-1");
  queue.fails("get");
  assertEquals(await processRunningTask(runner, run), "skipped");
  assertEquals(logged().filter((line) => line.startsWith("WARNING")), [
    "WARNING - Cannot look up task task-1: gone",
    "WARNING - Task task-1 was skipped: its lease was lost. " +
    "This run was not recorded.",
  ]);
});

Deno.test("runOnce() runs everything, oldest first, and counts", async () => {
  const order: string[] = [];
  const { runner, queue, stop } = setUp({
    tasks: 25,
    process: ({ id }) => {
      order.push(id);
      return id === "task-7"
        ? Promise.reject(new Error("no"))
        : Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  assertEquals(
    await runOnce(runner, stop),
    summary({ started: 25, completed: 24, failed: 1 }),
  );
  assertEquals(order, Array.from({ length: 25 }, (_, i) => `task-${i + 1}`));
  assertEquals(queue.idsIn("failed"), ["task-7"]);
});

Deno.test("runOnce() waits for the next attempt of a task, where that is soon", async () => {
  const { runner, queue, stop } = setUp({
    clock: new FakeClock({ autoAdvance: true }),
    settings: { attempts: 9, retryWaitMs: 3_000 },
    tasks: 1,
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  const { retrying, failed } = await runOnce(runner, stop);
  assertEquals(failed, 0);
  const { attempt, runAt, state } = queue.row("task-1");
  assertEquals([retrying, state], [attempt, "running"]);
  // The delays double: 1 s, 2 s, 4 s, a tenth more or less.
  assert(attempt >= 2 && attempt <= 4, `${attempt}`);
  assert(runAt !== null);
});

Deno.test("runOnce() stops where it waits for the next attempt of a task", async () => {
  const { runner, stop, drain, clock } = setUp({
    clock: new FakeClock(),
    settings: { attempts: 2, retryWaitMs: 60_000 },
    tasks: 1,
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  const ended = runOnce(runner, stop);
  while (clock.sleepers === 0 || runner.runs.size > 0) {
    await clock.advance(10);
    await turn();
  }
  drain.abort();
  assertEquals(await ended, summary({ started: 1, retrying: 1 }));
});

Deno.test("runOnce() counts what was only simulated", async () => {
  const { runner, stop } = setUp({ tasks: 2, isSimulated: true });
  await using _ = runner;
  assertEquals(
    await runOnce(runner, stop),
    summary({ started: 2, completed: 2, simulated: 2 }),
  );
});

Deno.test("runOnce() runs no more at a time than its concurrency", async () => {
  let running = 0;
  let most = 0;
  const { runner, clock, stop } = setUp({
    tasks: 20,
    settings: { concurrency: 3 },
    process: async () => {
      most = Math.max(most, ++running);
      await clock.sleep(100);
      running--;
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  await runOnce(runner, stop);
  assertEquals(most, 3);
});

Deno.test("runOnce() fills a free slot at once, whatever the others do", async () => {
  const { runner, clock, stop } = setUp({
    tasks: 11,
    process: async ({ id }) => {
      await clock.sleep(id === "task-1" ? 10_000 : 1_000);
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  const startedAt = clock.monotonic();
  await runOnce(runner, stop);
  const tookMs = clock.monotonic() - startedAt;
  assert(tookMs < 10_500, `${tookMs}`);
});

Deno.test("runOnce() skips a task whose lease is live", async () => {
  const { runner, queue, stop } = setUp({ tasks: 1 });
  await using _ = runner;
  queue.takeOver("task-1");
  assertEquals((await runOnce(runner, stop)).started, 0);
});

Deno.test("runOnce() ends with the store's error", async () => {
  for (const method of ["claim", "endAbandoned"] as const) {
    const { runner, queue, stop } = setUp({ tasks: 1 });
    await using _ = runner;
    queue.fails(method);
    await assertRejects(() => runOnce(runner, stop), DatabaseError, "gone");
  }
});

Deno.test("runOnce() tries to record again while the store is away", async () => {
  const { runner, queue, stop, logged } = setUp({ tasks: 1 });
  await using _ = runner;
  queue.fails("record", new DatabaseError("held"), 3);
  assertEquals((await runOnce(runner, stop)).completed, 1);
  assert(logged().some((line) => line.startsWith("WARNING - Cannot record")));
});

Deno.test("runOnce() reports a row that can't be written, and records the others", async () => {
  const { runner, queue, stop, logged } = setUp({
    tasks: 3,
    settings: { concurrency: 3 },
  });
  await using _ = runner;
  queue.refused.add("task-2");
  const failures: unknown[] = [];
  runner.events.subscribe((event) => {
    if (event.type === "pass failed") failures.push(event.error);
  });
  assertEquals(
    await runOnce(runner, stop),
    summary({ started: 3, completed: 2, skipped: 1 }),
  );
  assertEquals(queue.idsIn("completed"), ["task-1", "task-3"]);
  assertEquals(logged().filter((line) => line.startsWith("ERROR")), [
    "ERROR - Task task-2 was completed, but that could not be recorded: " +
    "Cannot write the row of task task-2 It is run again when its lease is over.",
  ]);
  assertEquals(failures.length, 1);
  assertEquals(runner.runs.size, 0);
});

Deno.test("runOnce() ends what dead runners left, counts it, and begins none of it", async () => {
  const { runner, queue, stop, logged } = setUp({ tasks: 1 });
  await using _ = runner;
  queue.create({ maxAttempts: 1 });
  queue.takeOver("task-2", "dead");
  queue.change("task-2", {
    state: "running",
    attempt: 1,
    leaseExpiresAt: new Date(0),
  });
  const ended: number[] = [];
  runner.events.subscribe((event) => {
    if (event.type === "ended") ended.push(event.ended.length);
  });
  assertEquals(
    await runOnce(runner, stop),
    summary({ started: 1, completed: 1, failed: 1 }),
  );
  assertEquals(ended, [1]);
  const line = "ERROR - Task task-2 failed: The runner died";
  assert(logged().includes(line), logged().join("\n"));
});

Deno.test("a subscriber that throws harms nobody", async () => {
  const { runner, stop, logged } = setUp({ tasks: 1 });
  await using _ = runner;
  using _subscription = runner.events.subscribe(() => {
    throw new Error("mine");
  });
  assertEquals((await runOnce(runner, stop)).completed, 1);
  assert(logged().includes("ERROR - A subscriber failed: mine"));
});

Deno.test("a run that takes longer than its timeout fails, whatever it does", async () => {
  const { runner, queue, stop, clock } = setUp({
    clock: new FakeClock(),
    tasks: 1,
    settings: { timeoutMs: 2_000 },
    process: () => new Promise(() => {}),
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(2_999);
  assertEquals(queue.idsIn("failed"), []);
  await clock.advance(100);
  assertEquals((await done).failed, 1);
  const trace = parseTrace(queue.row("task-1").traceText);
  assertEquals(trace?.error, "Timed out after 2 s");
});

Deno.test("a task's own timeout wins over the default", async () => {
  const { runner, queue, stop, clock } = setUp({
    clock: new FakeClock(),
    settings: { timeoutMs: 60_000 },
    process: async (_task, { signal }) => {
      await clock.sleep(30_000, signal);
      throw new Error("too late");
    },
  });
  await using _ = runner;
  queue.create({ timeoutMs: 500 });
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(600);
  assertEquals((await done).failed, 1);
  const trace = parseTrace(queue.row("task-1").traceText);
  assertEquals(trace?.error, "Timed out after 0.5 s");
});

Deno.test("runOnce() deletes history that is older than it is to be kept", async () => {
  const { runner, queue, stop } = setUp({
    tasks: 1,
    settings: { eventRetentionMs: 86_400_000 },
  });
  await using _ = runner;
  await runOnce(runner, stop);
  assertEquals(queue.pruned, [86_400_000]);
});

Deno.test("a failure is tried as often as the default says", async () => {
  const { runner, queue, stop } = setUp({
    tasks: 1,
    settings: { attempts: 3 },
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  const done = await runOnce(runner, stop);
  assertEquals(done, summary({ started: 1, retrying: 1 }));
  assertEquals(queue.eventsOf("task-1"), ["retry_scheduled"]);
});

Deno.test("a task is not tried again sooner than its processor says", async () => {
  const { runner, queue, stop, clock } = setUp({
    tasks: 1,
    settings: { attempts: 2 },
    process: () =>
      Promise.resolve({
        kind: "failed",
        error: "busy",
        retryable: true,
        retryAfterMs: 120_000,
      }),
  });
  await using _ = runner;
  await runOnce(runner, stop);
  const { runAt } = queue.row("task-1");
  assert(runAt!.getTime() - clock.now().getTime() > 119_000);
});

Deno.test("a task that asks waits without a lease, and goes on with the answer", async () => {
  const keys: string[] = [];
  const { runner, queue, stop, logged } = setUp({
    tasks: 1,
    process: (_task, { answers, idempotencyKey }) => {
      keys.push(idempotencyKey);
      const question = ["Which?", "Sure?"][answers.length];
      return Promise.resolve(
        question === undefined
          ? { kind: "completed", result: answers.map(({ answer }) => answer) }
          : { kind: "needs_input", question },
      );
    },
  });
  await using _ = runner;
  for (const [index, answer] of ["main", "yes"].entries()) {
    const done = await runOnce(runner, stop);
    assertEquals(done, summary({ started: 1, needs_input: 1 }));
    const { state, leaseOwner, attempt, questions } = queue.row("task-1");
    const count = index + 1;
    assertEquals(
      [state, leaseOwner, attempt, questions],
      ["needs_input", null, count, count],
    );
    assertEquals((await runOnce(runner, stop)).started, 0);
    queue.answer("task-1", answer);
  }
  assertEquals((await runOnce(runner, stop)).completed, 1);
  const trace = parseTrace(queue.row("task-1").traceText);
  assertEquals(trace?.output, ["main", "yes"]);
  assertEquals(keys, ["task-1:1", "task-1:2", "task-1:3"]);
  assert(logged().includes("WARNING - Task task-1 needs input: Which?"));
});

Deno.test("a result that JSON can't hold harms neither its task nor the others", async () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const { runner, queue, stop } = setUp({
    tasks: 3,
    process: ({ id }) =>
      Promise.resolve({
        kind: "completed",
        result: (id === "task-2" ? cyclic : 1n) as JsonValue,
      }),
  });
  await using _ = runner;
  assertEquals((await runOnce(runner, stop)).completed, 3);
  const outputs = ["task-1", "task-2", "task-3"].map((id) =>
    parseTrace(queue.row(id).traceText)?.output
  );
  assertEquals([outputs[0], outputs[2]], [1, 1]);
  assertEquals(Object.keys(outputs[1] as JsonObject), ["unkept"]);
});

Deno.test("what a run prints and notes is in the log at DEBUG", async () => {
  const { runner, stop, logged } = setUp({
    tasks: 1,
    process: (_task, { output, progress }) => {
      output("\x1b[31mred\x1b[0m\nsecond \x07line");
      output(undefined as unknown as string);
      progress("Half way", 0.5);
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  await runOnce(runner, stop);
  assertEquals(logged().filter((line) => line.startsWith("DEBUG")), [
    "DEBUG - Task task-1: red",
    "DEBUG - Task task-1: second \\x07line",
    "DEBUG - Task task-1: undefined",
    "DEBUG - Task task-1: 50%: Half way",
  ]);
});

Deno.test("a watcher sees what a run prints and notes, instead of the log", async () => {
  const seen: unknown[] = [];
  const { runner, stop, logged } = setUp({
    tasks: 1,
    watcher: {
      output: ({ id }, line) => seen.push([id, line]),
      progress: ({ id }, { message, fraction }) =>
        seen.push([id, message, fraction]),
    },
    process: (_task, { output, progress }) => {
      output("a line");
      progress("Half way", 0.5);
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  await runOnce(runner, stop);
  assertEquals(seen, [["task-1", "a line"], ["task-1", "Half way", 0.5]]);
  assertEquals(logged().filter((line) => line.startsWith("DEBUG")), []);
});

Deno.test("runOnce() leaves no timer and no listener behind", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop } = setUp({
    clock,
    tasks: 3,
    settings: { timeoutMs: 60_000, eventRetentionMs: 1 },
  });
  const done = runOnce(runner, stop);
  await clock.advance(1_000);
  assertEquals((await done).completed, 3);
  await runner[Symbol.asyncDispose]();
  await turn();
  assertEquals([clock.sleepers, queue.listeners], [0, 0]);
});

Deno.test("processRunningTask() gives a task that waited what came before it", async () => {
  const seen: unknown[] = [];
  const { runner, queue } = setUp({
    process: (_task, { results }) => {
      seen.push(results);
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  queue.create({ ifFailed: "run" }, {});
  queue.cameBefore = RESULTS;
  for (let count = 0; count < 2; count++) {
    await processRunningTask(runner, await claimOne(runner));
  }
  assertEquals(seen, [RESULTS, []]);
});

Deno.test("processRunningTask() tries a task later whose results can't be read", async () => {
  const { runner, queue, clock, logged } = setUp();
  await using _ = runner;
  queue.create({ ifFailed: "run" });
  queue.fails("results");
  const run = await claimOne(runner);
  assertEquals(await processRunningTask(runner, run), "released");
  const { state, attempt, runAt } = queue.row("task-1");
  assertEquals([state, attempt], ["running", 0]);
  assert(runAt && runAt > clock.now());
  assert(logged().some((line) => line.includes("what came before it: gone")));
});
