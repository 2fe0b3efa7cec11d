import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DatabaseBusyError,
  DatabaseError,
  DisabledError,
} from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import type { Processor } from "../../lib/processors/processor.ts";
import {
  autoStartCreatedTasks,
  createRunner,
  processRunningTask,
  runLoop,
  type Runner,
  type RunnerSettings,
  runOnce,
} from "../../lib/runner.ts";
import type { RunWatcher } from "../../lib/runner/log.ts";
import type {
  ClaimedTask,
  JsonObject,
  JsonValue,
} from "../../lib/task/task.ts";
import { parseTrace } from "../../lib/task/trace.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { StubStore } from "../support/stub_store.ts";

interface Setup {
  readonly tasks?: number;
  readonly process?: Processor["process"];
  readonly settings?: Partial<RunnerSettings>;
  readonly clock?: FakeClock;
  readonly watcher?: RunWatcher;
}

async function setUp(options: Setup = {}) {
  const clock = options.clock ?? new FakeClock({ autoAdvance: true });
  const store = new StubStore();
  const lines: string[] = [];
  const log = createLog({
    level: "DEBUG",
    write: (text) => void lines.push(...text.trimEnd().split("\n")),
  });
  const process = options.process ??
    (() => Promise.resolve({ kind: "completed" as const }));
  const runner = createRunner({
    store,
    processorFor: () => ({ name: "scripted", process }),
    clock,
    log,
    owner: "runner-1",
    watcher: options.watcher,
    settings: {
      enabled: true,
      concurrency: 2,
      leaseMs: 60_000,
      maxAttempts: 3,
      intervalMs: 5_000,
      drainMs: 1_000,
      attempts: 1,
      timeoutMs: 0,
      limits: new Map(),
      eventRetentionMs: 0,
      ...options.settings,
    },
  });
  await store.create(
    Array.from({ length: options.tasks ?? 0 }, () => ({
      userId: "user",
      provider: "any",
      instruction: "Do it",
    })),
    clock.now(),
  );
  const logged = () => {
    log.flush();
    return lines.map((line) => line.split(" - ").slice(2).join(" - "));
  };
  return { clock, store, runner, logged, ...signals() };
}

function signals() {
  const drain = new AbortController();
  const abort = new AbortController();
  return { drain, abort, stop: { drain: drain.signal, abort: abort.signal } };
}

async function claimOne(runner: Runner): Promise<ClaimedTask> {
  const [claimed] = await autoStartCreatedTasks(runner, 1);
  assert(claimed);
  return claimed;
}

Deno.test("runOnce() refuses to run where the runner is disabled", async () => {
  const { runner, store, stop } = await setUp({
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
  assertEquals(store.claims, []);
});

Deno.test("autoStartCreatedTasks() claims at most as many as asked, oldest first", async () => {
  const { runner, store } = await setUp({ tasks: 3 });
  await using _ = runner;
  const claimed = await autoStartCreatedTasks(runner, 2);
  assertEquals(claimed.map(({ task }) => task.id), ["task-1", "task-2"]);
  assertEquals(store.idsIn("created"), ["task-3"]);
});

Deno.test("processRunningTask() completes a task and says so in its trace", async () => {
  const { runner, store, clock, logged } = await setUp({
    tasks: 1,
    process: async (_task, { progress }) => {
      progress("Half way");
      await clock.sleep(500);
      return { kind: "completed", result: { answer: 42 } };
    },
  });
  await using _ = runner;
  assertEquals(
    await processRunningTask(runner, await claimOne(runner)),
    "completed",
  );
  const task = await store.get("task-1");
  assertEquals(task?.state, "completed");
  assertEquals(parseTrace(task?.traceText ?? null), {
    last_progress_at: "2026-01-19T18:30:00.000+00:00",
    progress: "Half way",
    completed_at: "2026-01-19T18:30:00.500+00:00",
    completed_by: "runner_loop",
    result: "success",
    output: { answer: 42 },
  });
  assert(logged().includes("INFO - Task task-1 completed in 500 ms"));
});

Deno.test("runOnce() starts the next task before the last one's outcome is committed", async () => {
  const recordedThen: number[] = [];
  const { runner, store, stop } = await setUp({
    tasks: 2,
    settings: { concurrency: 1 },
    process: () => {
      recordedThen.push(store.recorded.length);
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  await runOnce(runner, stop);
  assertEquals([...recordedThen, store.recorded.length], [0, 0, 2]);
});

Deno.test("processRunningTask() fails a task whose processor throws", async () => {
  const { runner, store, logged } = await setUp({
    tasks: 1,
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  assertEquals(
    await processRunningTask(runner, await claimOne(runner)),
    "failed",
  );
  const task = await store.get("task-1");
  assertEquals(task?.state, "failed");
  assertEquals(parseTrace(task?.traceText ?? null)?.error, "boom");
  assert(logged().includes("ERROR - Task task-1 failed: boom"));
});

Deno.test("processRunningTask() tries a failure again where the task asks for it", async () => {
  const { runner, store, clock } = await setUp({
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  await store.create(
    [{ userId: "user", provider: "any", maxAttempts: 2 }],
    clock.now(),
  );
  assertEquals(
    await processRunningTask(runner, await claimOne(runner)),
    "retrying",
  );
  const waiting = await store.get("task-1");
  assertEquals(waiting?.state, "running");
  assertEquals(waiting?.leaseOwner, null);
  const waitMs = (waiting?.runAt?.getTime() ?? 0) - clock.now().getTime();
  assert(waitMs > 0 && waitMs <= 1_000, `${waitMs}`);
  await clock.sleep(1_000);
  assertEquals(
    await processRunningTask(runner, await claimOne(runner)),
    "failed",
  );
});

const losses: {
  name: string;
  change: (store: StubStore) => void;
  why: string;
}[] = [
  {
    name: "that is not there any more",
    change: (store) => {
      store.leases.clear();
      store.tasks.clear();
    },
    why: "it is not there any more",
  },
  {
    name: "that somebody else ended",
    change: (store) => {
      store.takeLease("task-1");
      const task = store.tasks.get("task-1")!;
      store.tasks.set("task-1", { ...task, state: "failed" });
    },
    why: "it is failed already",
  },
  {
    name: "that another runner took over",
    change: (store) => {
      store.takeLease("task-1");
      const task = store.tasks.get("task-1")!;
      store.tasks.set("task-1", { ...task, leaseOwner: "runner-2" });
    },
    why: "runner-2 has taken it over",
  },
];

for (const { name, change, why } of losses) {
  Deno.test(`processRunningTask() skips a task ${name}, and says so`, async () => {
    const { runner, store, logged } = await setUp({ tasks: 1 });
    await using _ = runner;
    const claimed = await claimOne(runner);
    change(store);
    const before = store.tasks.get("task-1");
    assertEquals(await processRunningTask(runner, claimed), "skipped");
    assertEquals(store.tasks.get("task-1"), before);
    assert(
      logged().includes(
        `WARNING - Task task-1 was skipped: ${why}. This run was not recorded.`,
      ),
      logged().join("\n"),
    );
  });
}

Deno.test("runOnce() runs everything, oldest first, and counts", async () => {
  const order: string[] = [];
  const { runner, store, stop } = await setUp({
    tasks: 25,
    process: ({ id }) => {
      order.push(id);
      return id === "task-7"
        ? Promise.reject(new Error("no"))
        : Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  assertEquals(await runOnce(runner, stop), {
    started: 25,
    completed: 24,
    failed: 1,
    needs_input: 0,
    retrying: 0,
    cancelled: 0,
    released: 0,
    skipped: 0,
  });
  assertEquals(order, Array.from({ length: 25 }, (_, i) => `task-${i + 1}`));
  assertEquals(store.idsIn("failed"), ["task-7"]);
});

Deno.test("runOnce() runs no more at a time than its concurrency", async () => {
  let running = 0;
  let most = 0;
  const { runner, clock, stop } = await setUp({
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
  const { runner, clock, stop } = await setUp({
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
  const { runner, store, stop, clock } = await setUp({ tasks: 1 });
  await using _ = runner;
  await store.claim({
    limit: 1,
    owner: "runner-2",
    leaseMs: 60_000,
    maxAttempts: 3,
    now: clock.now(),
  });
  assertEquals((await runOnce(runner, stop)).started, 0);
});

Deno.test("runOnce() ends with the store's error", async () => {
  const { runner, store, stop } = await setUp({ tasks: 1 });
  await using _ = runner;
  store.claim = () => Promise.reject(new DatabaseError("gone"));
  await assertRejects(() => runOnce(runner, stop), DatabaseError, "gone");
});

Deno.test("runOnce() tries to record again while the store is away", async () => {
  const { runner, store, stop, logged } = await setUp({ tasks: 1 });
  await using _ = runner;
  const record = store.record.bind(store);
  let failures = 3;
  store.record = (...args) =>
    failures-- > 0
      ? Promise.reject(new DatabaseError("held"))
      : record(...args);
  assertEquals((await runOnce(runner, stop)).completed, 1);
  assert(logged().some((line) => line.startsWith("WARNING - Cannot record")));
});

Deno.test("a stop finishes the task in hand and gives back the rest", async () => {
  const clock = new FakeClock();
  const { runner, store, stop, drain } = await setUp({
    clock,
    tasks: 3,
    settings: { concurrency: 1 },
    process: async () => {
      await clock.sleep(500);
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  drain.abort();
  await clock.advance(500);
  await clock.advance(1_000);
  assertEquals((await done).completed, 1);
  assertEquals(store.idsIn("completed"), ["task-1"]);
  const others = ["task-2", "task-3"].map((id) => store.tasks.get(id));
  for (const task of others) {
    assertEquals([task?.attempt, task?.leaseOwner], [0, null]);
  }
});

Deno.test("a stop gives back a task that takes longer than the drain", async () => {
  const clock = new FakeClock();
  const { runner, store, stop, drain } = await setUp({
    clock,
    tasks: 1,
    process: async (_task, { signal }) => {
      await clock.sleep(60_000, signal);
      throw new Error("interrupted");
    },
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await turn();
  drain.abort();
  await clock.advance(999);
  assertEquals(store.recorded.length, 0);
  await clock.advance(1);
  await clock.advance(100);
  assertEquals((await done).released, 1);
  const task = await store.get("task-1");
  assertEquals([task?.state, task?.attempt, task?.leaseOwner], [
    "running",
    0,
    null,
  ]);
});

Deno.test("a second stop aborts the task in hand, which costs no attempt", async () => {
  const clock = new FakeClock();
  const { runner, store, stop, drain, abort } = await setUp({
    clock,
    tasks: 1,
    process: async (_task, { signal }) => {
      await clock.sleep(60_000, signal);
      return signal.aborted
        ? { kind: "failed", error: "interrupted", retryable: true }
        : { kind: "completed" };
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  drain.abort();
  abort.abort();
  await turn();
  await clock.advance(100);
  const { started, completed, released } = await done;
  assertEquals([started, completed, released], [1, 0, 1]);
  const task = await store.get("task-1");
  assertEquals([task?.state, task?.attempt, task?.leaseOwner], [
    "running",
    0,
    null,
  ]);
  assertEquals(store.recorded.map(({ event }) => event), ["released"]);
});

Deno.test("a run whose lease was lost is stopped and writes nothing", async () => {
  const clock = new FakeClock();
  const { runner, store, stop } = await setUp({
    clock,
    tasks: 1,
    process: async (_task, { signal }) => {
      await clock.sleep(100_000, signal);
      return signal.aborted
        ? { kind: "failed", error: String(signal.reason), retryable: true }
        : { kind: "completed" };
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  store.takeLease("task-1");
  // The task stays another runner's, as far as this one can see.
  store.tasks.set("task-1", {
    ...store.tasks.get("task-1")!,
    leaseOwner: "runner-2",
    leaseExpiresAt: new Date("2099-01-01"),
  });
  await clock.advance(21_000);
  assertEquals((await done).skipped, 1);
  assertEquals(store.recorded, []);
});

Deno.test("a long run's lease is renewed, with one call for all", async () => {
  const clock = new FakeClock();
  const { runner, store, stop } = await setUp({
    clock,
    tasks: 2,
    process: async () => {
      await clock.sleep(100_000);
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(99_000);
  assertEquals(store.heartbeats.map((leases) => leases.length), [
    2,
    2,
    2,
    2,
    2,
  ]);
  await clock.advance(2_000);
  assertEquals((await done).completed, 2);
});

Deno.test("a run's notes are written while it goes on, the last one of a second", async () => {
  const clock = new FakeClock();
  const { runner, store, stop } = await setUp({
    clock,
    tasks: 1,
    process: async (_task, { progress }) => {
      for (let i = 1; i <= 30; i++) {
        progress(`Step ${i}`);
        await clock.sleep(100);
      }
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(2_500);
  const notes = store.recorded.filter(({ event }) => event === "progress");
  assertEquals(notes.length, 2);
  assertEquals(notes.map(({ keepsLease }) => keepsLease), [true, true]);
  await clock.advance(1_000);
  assertEquals((await done).completed, 1);
  assertEquals(
    parseTrace(store.tasks.get("task-1")!.traceText)?.progress,
    "Step 30",
  );
});

Deno.test("runLoop() goes on after a pass that failed, and says so", async () => {
  const { runner, store, stop, drain, logged, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
  });
  await using _ = runner;
  const claim = store.claim.bind(store);
  let failures = 1;
  store.claim = (options) =>
    failures-- > 0 ? Promise.reject(new DatabaseError("held")) : claim(options);
  const done = runLoop(runner, stop);
  await turn();
  assertEquals(store.idsIn("completed"), []);
  store.changes++;
  await clock.advance(5_000);
  await clock.advance(100);
  drain.abort();
  assertEquals((await done).completed, 1);
  assert(logged().includes("ERROR - A pass failed: held"));
});

Deno.test("runLoop() claims no more than once a minute while the store is as it was", async () => {
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await turn();
  await clock.advance(59_900);
  assertEquals(store.claims.length, 1);
  await clock.advance(200);
  assertEquals(store.claims.length, 2);
  drain.abort();
  await done;
});

Deno.test("runLoop() runs what became due while it was claiming something else", async () => {
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
    settings: { intervalMs: 3_600_000 },
  });
  await using _ = runner;
  const at = (ms: number) => new Date(clock.now().getTime() + ms);
  await store.create(
    [10, 20].map((ms) => ({ userId: "u", provider: "p", runAt: at(ms) })),
    clock.now(),
  );
  const claim = store.claim.bind(store);
  store.claim = async (options) => {
    const result = await claim(options);
    await clock.sleep(15); // The second one is due before this is over.
    return result;
  };
  const done = runLoop(runner, stop);
  await turn();
  for (let i = 0; i < 20; i++) await clock.advance(10);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 2);
});

Deno.test("runLoop() takes over a dead runner's task after the clock was set forward", async () => {
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
    settings: { leaseMs: 6_000 },
  });
  await using _ = runner;
  await store.claim({
    limit: 1,
    owner: "dead",
    leaseMs: 6_000,
    maxAttempts: 3,
    now: clock.now(),
  });
  const done = runLoop(runner, stop);
  await turn();
  clock.jump(3_600_000);
  await clock.advance(66_000);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 1);
});

Deno.test("runOnce() finishes and records the tasks in hand where a claim fails", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { runner, store, stop, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 3,
    settings: { concurrency: 2, drainMs: 100 },
    process: async (task) => {
      if (task.id === "task-2") await promise;
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  const claim = store.claim.bind(store);
  let claims = 0;
  store.claim = (options) =>
    claims++ === 0
      ? claim(options)
      : Promise.reject(new DatabaseBusyError("held"));
  const rejected = assertRejects(
    () => runOnce(runner, stop),
    DatabaseBusyError,
    "held",
  );
  await clock.advance(60_000);
  resolve();
  await clock.advance(1_000);
  await rejected;
  assertEquals(store.recorded.map(({ event }) => event), [
    "completed",
    "completed",
  ]);
});

Deno.test("a finished run's outcome is kept for as long as another program holds the file", async () => {
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
    settings: { leaseMs: 1_000 },
  });
  await using _ = runner;
  const record = store.record.bind(store);
  let isHeld = true;
  store.record = (...args) =>
    isHeld ? Promise.reject(new DatabaseBusyError("held")) : record(...args);
  const done = runLoop(runner, stop);
  await turn();
  for (let i = 0; i < 10; i++) await clock.advance(1_000);
  isHeld = false;
  for (let i = 0; i < 4; i++) await clock.advance(2_000);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 1);
});

Deno.test("a run goes on where its lease can't be renewed because the file is held", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
    settings: { leaseMs: 1_000 },
    process: async (_task, { signal }) => {
      await promise;
      return signal.aborted
        ? { kind: "failed", error: "stopped", retryable: true }
        : { kind: "completed" };
    },
  });
  await using _ = runner;
  const heartbeat = store.heartbeat.bind(store);
  let isHeld = true;
  store.heartbeat = (...args) =>
    isHeld ? Promise.reject(new DatabaseBusyError("held")) : heartbeat(...args);
  const done = runLoop(runner, stop);
  await turn();
  for (let i = 0; i < 10; i++) await clock.advance(1_000);
  isHeld = false;
  await clock.advance(1_000);
  resolve();
  await clock.advance(1_000);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 1);
});

Deno.test("runLoop() starts a task that another process made, before the interval", async () => {
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await turn();
  await store.create([{ userId: "user", provider: "any" }], clock.now());
  store.changes++;
  await clock.advance(100);
  assertEquals(store.idsIn("completed"), ["task-1"]);
  drain.abort();
  await done;
});

Deno.test("runLoop() starts a task when its time has come", async () => {
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
  });
  await using _ = runner;
  const runAt = new Date(clock.now().getTime() + 1_234);
  await store.create([{ userId: "user", provider: "any", runAt }], clock.now());
  const done = runLoop(runner, stop);
  await turn();
  await clock.advance(1_233);
  assertEquals(store.idsIn("created"), ["task-1"]);
  await clock.advance(101);
  assertEquals(store.idsIn("completed"), ["task-1"]);
  drain.abort();
  await done;
});

Deno.test("a subscriber that throws harms nobody", async () => {
  const { runner, stop, logged } = await setUp({ tasks: 1 });
  await using _ = runner;
  using _subscription = runner.events.subscribe(() => {
    throw new Error("mine");
  });
  assertEquals((await runOnce(runner, stop)).completed, 1);
  assert(logged().includes("ERROR - A subscriber failed: mine"));
});

Deno.test("runOnce() keeps a provider within its limit, and fills the other slots", async () => {
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const { runner, store, stop, clock } = await setUp({
    settings: { concurrency: 5, limits: new Map([["slow", 2]]) },
    process: async ({ provider }) => {
      const count = (running.get(provider) ?? 0) + 1;
      running.set(provider, count);
      most.set(provider, Math.max(most.get(provider) ?? 0, count));
      await clock.sleep(100);
      running.set(provider, running.get(provider)! - 1);
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  await store.create(
    [..."ssssssssffffffff"].map((letter) => ({
      userId: "user",
      provider: letter === "s" ? "slow" : "fast",
    })),
    clock.now(),
  );
  assertEquals((await runOnce(runner, stop)).completed, 16);
  assertEquals(most.get("slow"), 2);
  assert(most.get("fast")! >= 3, `${most.get("fast")}`);
});

Deno.test("a run that takes longer than its timeout fails, whatever it does", async () => {
  const { runner, store, stop, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
    settings: { timeoutMs: 2_000 },
    process: () => new Promise(() => {}),
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(2_999);
  assertEquals(store.idsIn("failed"), []);
  await clock.advance(100);
  assertEquals((await done).failed, 1);
  assertEquals(
    parseTrace(store.tasks.get("task-1")!.traceText)?.error,
    "Timed out after 2 s",
  );
});

Deno.test("a task's own timeout wins over the default", async () => {
  const { runner, store, stop, clock } = await setUp({
    clock: new FakeClock(),
    settings: { timeoutMs: 60_000 },
    process: async (_task, { signal }) => {
      await clock.sleep(30_000, signal);
      throw new Error("too late");
    },
  });
  await using _ = runner;
  await store.create(
    [{ userId: "user", provider: "any", timeoutMs: 500 }],
    clock.now(),
  );
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(500);
  await clock.advance(100);
  assertEquals((await done).failed, 1);
  assertEquals(
    parseTrace(store.tasks.get("task-1")!.traceText)?.error,
    "Timed out after 0.5 s",
  );
});

Deno.test("a run that somebody cancels is stopped within a second", async () => {
  const { runner, store, stop, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
    process: async (_task, { signal }) => {
      await clock.sleep(60_000, signal);
      throw new Error("interrupted");
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(5_000);
  store.cancelRequests.add("task-1");
  store.changes++;
  await clock.advance(1_000);
  await clock.advance(100);
  assertEquals((await done).cancelled, 1);
  const trace = parseTrace(store.tasks.get("task-1")!.traceText);
  assertEquals([store.tasks.get("task-1")?.state, trace?.result], [
    "failed",
    "cancelled",
  ]);
});

Deno.test("runOnce() deletes history that is older than it is to be kept", async () => {
  const { runner, store, stop, clock } = await setUp({
    tasks: 1,
    settings: { eventRetentionMs: 86_400_000 },
  });
  await using _ = runner;
  await runOnce(runner, stop);
  assertEquals(
    clock.now().getTime() - store.prunedBefore!.getTime(),
    86_400_000,
  );
});

Deno.test("a failure is tried as often as the default says", async () => {
  const { runner, store, stop } = await setUp({
    tasks: 1,
    settings: { attempts: 3 },
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  const { failed, skipped, retrying } = await runOnce(runner, stop);
  assertEquals([failed, skipped, retrying], [0, 0, 1]);
  assertEquals(store.recorded.map(({ event }) => event), ["retry_scheduled"]);
});

Deno.test("runLoop() claims again soon after a claim that failed, though nothing changed", async () => {
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
  });
  await using _ = runner;
  const claim = store.claim.bind(store);
  let failures = 1;
  store.claim = (options) =>
    failures-- > 0 ? Promise.reject(new DatabaseError("full")) : claim(options);
  store.nextDueAt = () => Promise.resolve(null);
  const done = runLoop(runner, stop);
  await turn();
  await clock.advance(6_000);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 1);
});

async function createFor(
  store: StubStore,
  clock: FakeClock,
  ...providers: string[]
): Promise<void> {
  const tasks = providers.map((provider) => ({ userId: "user", provider }));
  await store.create(tasks, clock.now());
}

Deno.test("a task that asks waits without a lease, and goes on with the answer", async () => {
  const keys: string[] = [];
  const { runner, store, stop, clock, logged } = await setUp({
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
  for (const answer of ["main", "yes"]) {
    const summary = await runOnce(runner, stop);
    assertEquals([summary.skipped, summary.needs_input], [0, 1]);
    const task = await store.get("task-1");
    assertEquals(
      [task?.state, task?.leaseOwner, task?.attempt],
      ["needs_input", null, 0],
    );
    assertEquals((await runOnce(runner, stop)).started, 0);
    assertEquals(
      await store.answer("task-1", answer, clock.now()),
      "answered",
    );
  }
  assertEquals((await runOnce(runner, stop)).completed, 1);
  const trace = parseTrace((await store.get("task-1"))?.traceText ?? null);
  assertEquals(trace?.output, ["main", "yes"]);
  // The same attempt all along, and another key for each stage of it.
  assertEquals(keys, ["task-1:1", "task-1:1.1", "task-1:1.2"]);
  assert(logged().includes("WARNING - Task task-1 needs input: Which?"));
});

Deno.test("runLoop() fails a task that nobody answers in time", async () => {
  const { runner, store, stop, drain, clock, logged } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
    process: () =>
      Promise.resolve({
        kind: "needs_input",
        question: "Which?",
        answerWithinMs: 5_000,
      }),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await clock.advance(1_000);
  assertEquals(store.idsIn("needs_input"), ["task-1"]);
  await clock.advance(3_900);
  assertEquals(store.idsIn("needs_input"), ["task-1"]);
  await clock.advance(500);
  assertEquals(store.idsIn("failed"), ["task-1"]);
  drain.abort();
  await clock.advance(100);
  await done;
  assert(
    logged().includes(
      "ERROR - Task task-1 failed: Nobody answered within 5s: Which?",
    ),
    logged().join("\n"),
  );
});

Deno.test("runLoop() goes on with a task as soon as it is answered", async () => {
  const { runner, store, stop, drain, clock } = await setUp({
    clock: new FakeClock(),
    tasks: 1,
    process: (_task, { answers }) =>
      Promise.resolve(
        answers.length > 0
          ? { kind: "completed" }
          : { kind: "needs_input", question: "Which?" },
      ),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await clock.advance(1_000);
  assertEquals(store.idsIn("needs_input"), ["task-1"]);
  await store.answer("task-1", "main", clock.now());
  await clock.advance(100);
  assertEquals(store.idsIn("completed"), ["task-1"]);
  drain.abort();
  await done;
});

Deno.test("a run's fraction is kept while only its message changes, and is 1 at the end", async () => {
  const clock = new FakeClock();
  const { runner, store, stop } = await setUp({
    clock,
    tasks: 1,
    process: async (_task, { progress }) => {
      progress("Half way", 0.5);
      progress("Still there");
      await clock.sleep(2_500);
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await clock.advance(1_500);
  const note = parseTrace(store.tasks.get("task-1")!.traceText);
  assertEquals([note?.progress, note?.progress_fraction], ["Still there", 0.5]);
  assertEquals(store.recorded.map(({ detail }) => detail), [
    "50%: Still there",
  ]);
  await clock.advance(1_500);
  await done;
  const trace = parseTrace(store.tasks.get("task-1")!.traceText);
  assertEquals(trace?.progress_fraction, 1);
});

Deno.test("a result that JSON can't hold harms neither its task nor the others", async () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const { runner, store, stop } = await setUp({
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
    parseTrace(store.tasks.get(id)!.traceText)?.output
  );
  assertEquals([outputs[0], outputs[2]], [1, 1]);
  assertEquals(Object.keys(outputs[1] as JsonObject), ["unkept"]);
});

Deno.test("runOnce() runs only the providers that there are settings for", async () => {
  const { runner, store, stop, clock } = await setUp({
    settings: { providers: new Map([["claude", {}], ["codex", {}]]) },
  });
  await using _ = runner;
  await createFor(store, clock, "claude", "other", "codex");
  assertEquals((await runOnce(runner, stop)).completed, 2);
  assertEquals(store.idsIn("created"), ["task-2"]);
});

Deno.test("runOnce() runs all providers where there are settings for the others", async () => {
  const { runner, store, stop, clock } = await setUp({
    settings: { providers: new Map([["claude", {}], ["*", {}]]) },
  });
  await using _ = runner;
  await createFor(store, clock, "claude", "other");
  assertEquals((await runOnce(runner, stop)).completed, 2);
});

Deno.test("a provider's concurrency bounds its tasks, and * those of the others together", async () => {
  const running: string[] = [];
  let most = 0;
  const { runner, store, stop, clock } = await setUp({
    settings: {
      concurrency: 10,
      limits: new Map([["b", 1]]),
      providers: new Map([
        ["a", { concurrency: 2 }],
        ["b", { concurrency: 5 }],
        ["*", { concurrency: 2 }],
      ]),
    },
    process: async ({ provider }) => {
      running.push(provider);
      most = Math.max(most, running.length);
      const others = running.filter((it) => it !== "a" && it !== "b");
      assert(running.filter((it) => it === "a").length <= 2);
      assert(running.filter((it) => it === "b").length <= 1);
      assert(others.length <= 2, others.join());
      await clock.sleep(100);
      running.splice(running.indexOf(provider), 1);
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  await createFor(store, clock, ..."aaaabbbxyzxyz");
  assertEquals(await runOnce(runner, stop), {
    started: 13,
    completed: 13,
    failed: 0,
    needs_input: 0,
    retrying: 0,
    cancelled: 0,
    released: 0,
    skipped: 0,
  });
  assertEquals(most, 5);
});

Deno.test("a provider's timeout counts for its tasks, unless they set their own", async () => {
  const { runner, store, stop, clock } = await setUp({
    clock: new FakeClock(),
    settings: {
      timeoutMs: 60_000,
      concurrency: 4,
      providers: new Map([["slow", { timeoutMs: 2_000 }], ["*", {}]]),
    },
    process: async (_task, { signal }) => {
      await clock.sleep(600_000, signal);
      throw new Error("too late");
    },
  });
  await using _ = runner;
  await createFor(store, clock, "slow", "other");
  await store.create(
    [{ userId: "user", provider: "slow", timeoutMs: 5_000 }],
    clock.now(),
  );
  const done = runOnce(runner, stop);
  await clock.advance(3_000);
  assertEquals(store.idsIn("failed"), ["task-1"]);
  await clock.advance(3_000);
  assertEquals(store.idsIn("failed"), ["task-1", "task-3"]);
  await clock.advance(60_000);
  assertEquals((await done).failed, 3);
});

Deno.test("a provider's attempts and backoff count for its tasks", async () => {
  const { runner, store, stop, clock } = await setUp({
    settings: {
      providers: new Map([
        ["flaky", { attempts: 3, backoff: { baseMs: 60_000, maxMs: 60_000 } }],
        ["*", {}],
      ]),
    },
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  await createFor(store, clock, "flaky", "other");
  await runOnce(runner, stop);
  assertEquals(store.recorded.map(({ event }) => event), [
    "retry_scheduled",
    "failed",
  ]);
  const { runAt } = (await store.get("task-1"))!;
  const waitMs = runAt!.getTime() - clock.now().getTime();
  assert(waitMs > 29_000 && waitMs <= 60_000, `${waitMs}`);
});

Deno.test("a task is not tried again sooner than its processor says", async () => {
  const { runner, store, stop, clock } = await setUp({
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
  const { runAt } = (await store.get("task-1"))!;
  assert(runAt!.getTime() - clock.now().getTime() > 119_000);
});

Deno.test("autoStartCreatedTasks() claims one task by its id, whatever its limit", async () => {
  const { runner, store, clock } = await setUp({
    settings: {
      limits: new Map([["slow", 1]]),
      providers: new Map([["slow", {}]]),
    },
  });
  await using _ = runner;
  await createFor(store, clock, "slow", "other", "slow");
  await autoStartCreatedTasks(runner, 5);
  const claimed = await autoStartCreatedTasks(runner, 1, { taskId: "task-3" });
  assertEquals(claimed.map(({ task }) => task.id), ["task-3"]);
});

Deno.test("what a run prints and notes is in the log at DEBUG", async () => {
  const { runner, stop, logged } = await setUp({
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
  const { runner, stop, logged } = await setUp({
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
