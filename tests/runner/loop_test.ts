import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DatabaseBusyError, DatabaseError } from "../../lib/base/errors.ts";
import type { Processor } from "../../lib/processors/processor.ts";
import { runLoop } from "../../lib/runner.ts";
import { HELD_MS } from "../../lib/runner/slots.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import type { Row } from "../support/stub_queue.ts";
import { setUp, takes } from "./set_up.ts";

Deno.test("runLoop() goes on after a pass that failed, and says so", async () => {
  const { runner, queue, stop, drain, logged, clock } = setUp({
    clock: new FakeClock(),
    tasks: 1,
  });
  await using _ = runner;
  const error = new DatabaseError("held");
  queue.fails("claim", error, 1);
  const failures: unknown[] = [];
  runner.events.subscribe((event) => {
    if (event.type === "pass failed") failures.push(event.error);
  });
  const done = runLoop(runner, stop);
  await turn();
  assertEquals(queue.idsIn("completed"), []);
  queue.announce();
  await clock.advance(5_100);
  drain.abort();
  assertEquals((await done).completed, 1);
  assert(logged().includes("ERROR - A pass failed: held"));
  assertEquals(failures, [error]);
});

Deno.test("runLoop() claims no more than once a minute while the store is as it was", async () => {
  const { runner, queue, stop, drain, clock } = setUp({
    clock: new FakeClock(),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await turn();
  await clock.advance(59_900);
  assertEquals(queue.claims.length, 1);
  await clock.advance(200);
  assertEquals(queue.claims.length, 2);
  drain.abort();
  await done;
});

Deno.test("runLoop() runs what became due while it was claiming something else", async () => {
  const { runner, queue, stop, drain, clock } = setUp({
    clock: new FakeClock(),
    settings: { intervalMs: 3_600_000 },
  });
  await using _ = runner;
  const at = (ms: number) => new Date(clock.now().getTime() + ms);
  queue.create({ runAt: at(10) }, { runAt: at(20) });
  const claim = queue.claim.bind(queue);
  queue.claim = async (options) => {
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
  const { runner, queue, stop, drain, clock } = setUp({
    clock: new FakeClock(),
    tasks: 1,
    settings: { leaseMs: 6_000 },
  });
  await using _ = runner;
  await queue.claim({
    limit: 1,
    owner: "dead",
    leaseMs: 6_000,
    maxAttempts: 3,
  });
  const done = runLoop(runner, stop);
  await turn();
  clock.jump(3_600_000);
  await clock.advance(66_000);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 1);
});

Deno.test("runLoop() starts a task that another process made, before the interval", async () => {
  const { runner, queue, stop, drain, clock } = setUp({
    clock: new FakeClock(),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await turn();
  queue.create({});
  queue.announce();
  await clock.advance(100);
  assertEquals(queue.idsIn("completed"), ["task-1"]);
  drain.abort();
  await done;
});

Deno.test("runLoop() starts a task when its time has come", async () => {
  const { runner, queue, stop, drain, clock } = setUp({
    clock: new FakeClock(),
  });
  await using _ = runner;
  queue.create({ runAt: new Date(clock.now().getTime() + 1_234) });
  const done = runLoop(runner, stop);
  await turn();
  await clock.advance(1_233);
  assertEquals(queue.idsIn("created"), ["task-1"]);
  await clock.advance(101);
  assertEquals(queue.idsIn("completed"), ["task-1"]);
  drain.abort();
  await done;
});

Deno.test("runLoop() tries a failure again when its delay is over", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 1,
    settings: { attempts: 2 },
    process: ({ attempt }) =>
      Promise.resolve(
        attempt === 2
          ? { kind: "completed" }
          : { kind: "failed", error: "no", retryable: true },
      ),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await clock.advance(2_000);
  drain.abort();
  assertEquals((await done).completed, 1);
  const events = queue.eventsOf("task-1");
  assertEquals(events, ["retry_scheduled", "completed"]);
});

Deno.test("runLoop() claims again soon after a claim that failed, though nothing changed", async () => {
  const { runner, queue, stop, drain, clock } = setUp({
    clock: new FakeClock(),
    tasks: 1,
  });
  await using _ = runner;
  queue.fails("claim", new DatabaseError("full"), 1);
  queue.untilDue = () => Promise.resolve(null);
  const done = runLoop(runner, stop);
  await turn();
  await clock.advance(6_000);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 1);
});

Deno.test("a finished run's outcome is kept for as long as another program holds the file", async () => {
  const { runner, queue, stop, drain, clock } = setUp({
    clock: new FakeClock(),
    tasks: 1,
    settings: { leaseMs: 1_000 },
  });
  await using _ = runner;
  queue.isBusyFor("record");
  queue.isBusyFor("heartbeat");
  queue.before("claim", () => {
    if (queue.claims.length > 1) throw new DatabaseBusyError("held");
  });
  const done = runLoop(runner, stop);
  await turn();
  await clock.advance(10_000);
  queue.heals("heartbeat");
  queue.heals("record");
  await clock.advance(5_000);
  queue.heals("claim");
  await clock.advance(5_000);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 1);
});

Deno.test("runLoop() fails a task that nobody answers in time", async () => {
  const { runner, queue, stop, drain, clock, logged } = setUp({
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
  assertEquals(queue.idsIn("needs_input"), ["task-1"]);
  await clock.advance(3_900);
  assertEquals(queue.idsIn("needs_input"), ["task-1"]);
  await clock.advance(500);
  assertEquals(queue.idsIn("failed"), ["task-1"]);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).failed, 1);
  assert(
    logged().includes(
      "ERROR - Task task-1 failed: Nobody answered within 5s: Which?",
    ),
    logged().join("\n"),
  );
});

Deno.test("runLoop() goes on with a task as soon as it is answered", async () => {
  const { runner, queue, stop, drain, clock } = setUp({
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
  assertEquals(queue.idsIn("needs_input"), ["task-1"]);
  queue.answer("task-1", "main");
  await clock.advance(100);
  assertEquals(queue.idsIn("completed"), ["task-1"]);
  drain.abort();
  await done;
});

Deno.test("runLoop() fills a slot with a retry though it may hold others", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    settings: { concurrency: 1, attempts: 2 },
    process: async ({ id, attempt }, { signal }) => {
      if (id === "long") await clock.sleep(5_000, signal);
      if (id !== "flaky" || attempt === 2) return { kind: "completed" };
      return { kind: "failed", error: "no", retryable: true };
    },
  });
  await using _ = runner;
  // Tasks of no time, so that others are held; then a retry falls due while the
  // only slot is taken.
  queue.create({ id: "flaky" }, {}, {}, {}, {}, { id: "long" });
  const done = runLoop(runner, stop);
  await clock.advance(5_500);
  assertEquals(queue.idsIn("completed").length, 6);
  drain.abort();
  await done;
});

Deno.test("runLoop() runs what it held and gave back when a slot is free again", async () => {
  const clock = new FakeClock();
  const process = takes(clock, 5_000);
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 40,
    settings: { concurrency: 2 },
    process: (task, context) =>
      Number(task.id.slice(5)) <= 30
        ? Promise.resolve({ kind: "completed" })
        : process(task, context),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await clock.advance(1_000);
  assert(queue.givenBack.length > 0, "Nothing was held");
  await clock.advance(24_500);
  assertEquals(queue.idsIn("completed").length, 40);
  drain.abort();
  await done;
});

Deno.test("a second runner gets what the first one held within its time", async () => {
  const clock = new FakeClock();
  const long = takes(clock, 30_000);
  const process: Processor["process"] = (task, context) =>
    Number(task.id.slice(5)) <= 200
      ? Promise.resolve({ kind: "completed" })
      : long(task, context);
  const first = setUp({ clock, tasks: 240, process });
  const { queue } = first;
  const second = setUp({ clock, queue, process });
  await using _first = first.runner;
  await using _second = second.runner;
  const firstDone = runLoop(first.runner, first.stop);
  while (queue.idsIn("completed").length < 200) await clock.advance(1);
  const isHeld = ({ state, leaseId }: Row) =>
    state === "created" && leaseId !== null;
  const held = () => [...queue.rows.values()].filter(isHeld).length;
  assert(held() > 0, "Nothing is held");
  await clock.advance(HELD_MS);
  assertEquals(held(), 0);
  const secondDone = runLoop(second.runner, second.stop);
  await clock.advance(10);
  assertEquals(
    [first, second].map(({ runner }) => runner.runs.size),
    [2, 2],
  );
  for (const { drain, abort } of [first, second]) {
    drain.abort();
    abort.abort();
  }
  await clock.advance(1_000);
  assertEquals((await firstDone).released, 2);
  assertEquals((await secondDone).released, 2);
});

Deno.test("runLoop() claims again at once where not all could be read", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 2,
    process: takes(clock, 1_000),
  });
  await using _ = runner;
  const claim = queue.claim.bind(queue);
  queue.claim = async (options) => {
    const { tasks, ...rest } = await claim({ ...options, limit: 1, ahead: 0 });
    return { ...rest, tasks, hasMore: tasks.length > 0 };
  };
  const done = runLoop(runner, stop);
  await turn();
  assertEquals(queue.idsIn("running").length, 2);
  await clock.advance(1_100);
  drain.abort();
  assertEquals((await done).completed, 2);
});

Deno.test("runLoop() claims while old history is deleted, which it does one at a time", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain, logged } = setUp({
    clock,
    settings: { eventRetentionMs: 1 },
  });
  await using _ = runner;
  let isHeld = true;
  let calls = 0;
  const freed = Promise.withResolvers<void>();
  queue.before("pruneHistory", async () => {
    calls++;
    if (isHeld) await freed.promise;
  });
  const done = runLoop(runner, stop);
  await clock.advance(3_700_000);
  assertEquals(calls, 1);
  queue.create({});
  queue.announce();
  await clock.advance(10_000);
  assertEquals(queue.idsIn("completed"), ["task-1"]);
  await clock.advance(3_700_000);
  assertEquals(calls, 1, "the first one goes on");
  isHeld = false;
  freed.resolve();
  await turn();
  await clock.advance(3_700_000);
  assert(calls > 1);
  assertEquals(queue.pruned.length, calls);
  queue.fails("pruneHistory", new DatabaseError("no room"));
  await clock.advance(3_700_000);
  const lines = logged().filter((line) => line.startsWith("ERROR"));
  assertEquals(lines.length, 1);
  assertStringIncludes(lines[0] ?? "", "no room");
  drain.abort();
  await done;
});
