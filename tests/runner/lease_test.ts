import { assert, assertEquals } from "@std/assert";
import { DatabaseError } from "../../lib/base/errors.ts";
import {
  autoStartCreatedTasks,
  processRunningTask,
  runLoop,
  runOnce,
} from "../../lib/runner.ts";
import { parseTrace } from "../../lib/task/trace.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { claimOne, setUp, summary, takes } from "./set_up.ts";

Deno.test("a run whose lease was lost is stopped and writes nothing", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop } = setUp({
    clock,
    tasks: 1,
    process: takes(clock, 100_000),
  });
  await using _ = runner;
  const lost: string[] = [];
  runner.events.subscribe((event) => {
    if (event.type === "lost") lost.push(event.task.id);
  });
  const done = runOnce(runner, stop);
  await turn();
  queue.takeOver("task-1");
  await clock.advance(21_000);
  assertEquals(await done, summary({ started: 1, skipped: 1 }));
  assertEquals([queue.recorded, lost], [[], ["task-1"]]);
});

Deno.test("a run is stopped when its lease ends though the store says nothing", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop } = setUp({
    clock,
    tasks: 1,
    settings: { leaseMs: 6_000 },
    process: takes(clock, 100_000),
  });
  await using _ = runner;
  queue.hangs("heartbeat");
  const done = runOnce(runner, stop);
  await turn();
  queue.takeOver("task-1");
  await clock.advance(5_999);
  const [run] = runner.runs.all();
  assert(run && !run.reason);
  await clock.advance(1);
  assertEquals(await done, summary({ started: 1, skipped: 1 }));
  queue.heals("heartbeat");
});

Deno.test("a runner that is disposed of waits for no note of a lost run", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 1,
    process: (task, context) => {
      context.progress("Half way");
      return takes(clock, 100_000)(task, context);
    },
  });
  queue.hangs("record");
  const done = runLoop(runner, stop);
  await clock.advance(1_500);
  assertEquals(queue.groups, [1]);
  queue.takeOver("task-1");
  await clock.advance(21_000);
  drain.abort();
  assertEquals(await done, summary({ started: 1, skipped: 1 }));
  await runner[Symbol.asyncDispose]();
  assertEquals(clock.sleepers, 0);
});

Deno.test("a long run's lease is renewed, with one call for all", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop } = setUp({
    clock,
    tasks: 2,
    process: takes(clock, 100_000),
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(99_000);
  const counts = queue.heartbeats.map((leases) => leases.length);
  assertEquals(counts, [2, 2, 2, 2, 2]);
  await clock.advance(2_000);
  assertEquals((await done).completed, 2);
});

Deno.test("a run's notes are written while it goes on, the last one of a second", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop } = setUp({
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
  const notes = queue.recorded.filter(({ event }) => event === "progress");
  assertEquals(notes.map(({ keepsLease }) => keepsLease), [true, true]);
  await clock.advance(1_000);
  assertEquals((await done).completed, 1);
  const trace = parseTrace(queue.row("task-1").traceText);
  assertEquals(trace?.progress, "Step 30");
});

Deno.test("a run's fraction is kept while only its message changes, and is 1 at the end", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop } = setUp({
    clock,
    tasks: 1,
    process: async (_task, { progress }) => {
      progress("Half way", 0.5);
      progress("Still there");
      await clock.sleep(1_500);
      progress("Not done yet");
      await clock.sleep(1_500);
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await clock.advance(2_500);
  const note = parseTrace(queue.row("task-1").traceText);
  assertEquals(note?.progress_fraction, 0.5);
  // The note was written in between: what it said of the fraction still holds.
  assertEquals(queue.recorded.map(({ detail }) => detail), [
    "50%: Still there",
    "50%: Not done yet",
  ]);
  await clock.advance(1_500);
  await done;
  const trace = parseTrace(queue.row("task-1").traceText);
  assertEquals(trace?.progress_fraction, 1);
});

Deno.test("a run goes on where its lease can't be renewed because the file is held", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { runner, queue, stop, drain, clock } = setUp({
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
  queue.isBusyFor("heartbeat");
  queue.before("claim", () => {
    // Nobody can claim meanwhile.
    if (queue.claims.length > 1) throw new DatabaseError("held");
  });
  const done = runLoop(runner, stop);
  await turn();
  await clock.advance(10_000);
  queue.heals("heartbeat");
  await clock.advance(1_000);
  resolve();
  await clock.advance(1_000);
  drain.abort();
  await clock.advance(100);
  assertEquals((await done).completed, 1);
});

Deno.test("a run that somebody cancels is stopped within a second", async () => {
  const { runner, queue, stop, clock } = setUp({
    clock: new FakeClock(),
    tasks: 1,
    process: async (_task, { signal }) => {
      await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error("interrupted")))
      );
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  await clock.advance(5_000);
  queue.cancel("task-1");
  await clock.advance(1_100);
  assertEquals((await done).cancelled, 1);
  const { state, traceText } = queue.row("task-1");
  assertEquals([state, parseTrace(traceText)?.result], ["failed", "cancelled"]);
});

Deno.test("a run of a task that is in hand is told and gone before the task begins again", async () => {
  const clock = new FakeClock();
  const seen: string[] = [];
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 1,
    settings: { leaseMs: 4_000 },
    stopGraceMs: 60_000,
    process: async ({ attempt }, { signal }) => {
      seen.push(`begin ${attempt}`);
      await clock.sleep(attempt === 1 ? 60_000 : 0, signal);
      if (signal.aborted) seen.push(`told ${attempt}: ${signal.reason}`);
      await clock.sleep(500);
      seen.push(`end ${attempt}`);
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  queue.hangs("heartbeat");
  const done = runLoop(runner, stop);
  await turn();
  // As if this process had been stopped for longer than the lease.
  queue.change("task-1", { leaseExpiresAt: new Date(0) });
  queue.announce();
  await clock.advance(1_000);
  queue.heals("heartbeat");
  await clock.advance(1_000);
  drain.abort();
  await clock.advance(1_000);
  assertEquals(
    await done,
    summary({ started: 2, completed: 1, skipped: 1 }),
  );
  assertEquals(seen, [
    "begin 1",
    "told 1: lease lost",
    "end 1",
    "begin 2",
    "end 2",
  ]);
});

Deno.test("a task is not begun whose lease ended while its runner was stopped", async () => {
  const clock = new FakeClock();
  let calls = 0;
  const { runner, queue } = setUp({
    clock,
    tasks: 1,
    process: () => {
      calls++;
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  const run = await claimOne(runner);
  await clock.advance(60_000);
  queue.takeOver("task-1");
  const done = processRunningTask(runner, run);
  await clock.advance(100);
  assertEquals(await done, "skipped");
  assertEquals(calls, 0);
});

Deno.test("a run that could not begin within its lease costs no attempt", async () => {
  const clock = new FakeClock();
  const { runner, queue } = setUp({ clock, tasks: 1 });
  await using _ = runner;
  const run = await claimOne(runner);
  await clock.advance(60_000);
  const done = processRunningTask(runner, run);
  await clock.advance(100);
  assertEquals(await done, "released");
  assertEquals(queue.row("task-1").attempt, 0);
});

for (const isTaken of [true, false]) {
  Deno.test(`what a claim brings late is ${isTaken ? "lost" : "begun"} where somebody ${isTaken ? "has" : "doesn't have"} it`, async () => {
    const clock = new FakeClock();
    const { runner, queue } = setUp({ clock, tasks: 1 });
    await using _ = runner;
    const claim = queue.claim.bind(queue);
    queue.claim = async (options) => {
      const result = await claim(options);
      await clock.sleep(61_000); // The process is stopped.
      if (isTaken) queue.takeOver("task-1");
      return result;
    };
    const claiming = claimOne(runner);
    await clock.advance(61_000);
    const done = processRunningTask(runner, await claiming);
    await clock.advance(100);
    assertEquals(await done, isTaken ? "skipped" : "completed");
  });
}

Deno.test("what a claim brings late is given back where nobody can say whose it is", async () => {
  const clock = new FakeClock();
  const { runner, queue, logged } = setUp({ clock, tasks: 1 });
  await using _ = runner;
  queue.fails("heartbeat");
  queue.before("claim", () => clock.sleep(61_000));
  const claiming = claimOne(runner);
  await clock.advance(61_000);
  const done = processRunningTask(runner, await claiming);
  await clock.advance(100);
  assertEquals(await done, "released");
  assert(logged().includes("WARNING - Cannot renew 1 lease: gone"));
});

Deno.test("what a claim brings late is given back where somebody else writes its row", async () => {
  const clock = new FakeClock();
  const { runner, queue } = setUp({ clock, tasks: 1 });
  await using _ = runner;
  queue.busy.add("task-1");
  queue.before("claim", () => clock.sleep(61_000));
  const claiming = claimOne(runner);
  await clock.advance(61_000);
  const done = processRunningTask(runner, await claiming);
  await clock.advance(100);
  assertEquals(await done, "released");
});

Deno.test("a held task is begun before its processor is called, and only then", async () => {
  const clock = new FakeClock();
  const calls: string[] = [];
  const begun: string[] = [];
  const { runner, queue } = setUp({
    clock,
    tasks: 3,
    process: ({ id, attempt }, { idempotencyKey }) => {
      const { state } = queue.row(id);
      calls.push(`${id} ${attempt} ${idempotencyKey} ${state}`);
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  runner.events.subscribe((event) => {
    if (event.type === "begun") begun.push(...event.tasks.map(({ id }) => id));
  });
  const request = { limit: 1, ahead: 2 };
  const { runs } = await autoStartCreatedTasks(runner, request);
  assertEquals(begun, ["task-1"]);
  const [, held] = runs;
  assert(held);
  const done = processRunningTask(runner, held);
  await clock.advance(10);
  assertEquals(await done, "completed");
  assertEquals(queue.eventsOf("task-2"), ["started", "completed"]);
  assertEquals(calls, ["task-2 1 task-2:1 running"]);
  assertEquals(begun, ["task-1", "task-2"]);
  const { state, attempt } = queue.row("task-3");
  assertEquals([state, attempt], ["created", 0]);
});

Deno.test("a held task that can't be begun is not, and that is said", async () => {
  const clock = new FakeClock();
  const begun: string[] = [];
  let calls = 0;
  const { runner, queue, logged } = setUp({
    clock,
    tasks: 2,
    process: () => {
      calls++;
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  queue.refused.add("task-1");
  runner.events.subscribe(({ type }) => begun.push(type));
  const request = { limit: 0, ahead: 1 };
  const { runs: [held] } = await autoStartCreatedTasks(runner, request);
  assert(held);
  const done = processRunningTask(runner, held);
  await clock.advance(100);
  assertEquals(await done, "skipped");
  assert(!begun.includes("begun"));
  const line =
    "ERROR - Task task-1 was started, but that could not be recorded";
  assert(logged().some((it) => it.startsWith(line)), logged().join("\n"));
  assertEquals(calls, 0);
});

Deno.test("a held task whose work nobody notices waits for nothing", async () => {
  const clock = new FakeClock();
  let calls = 0;
  const { runner } = setUp({
    clock,
    tasks: 1,
    isSimulated: true,
    process: () => {
      calls++;
      return Promise.resolve({ kind: "completed" });
    },
  });
  await using _ = runner;
  const request = { limit: 0, ahead: 1 };
  const { runs: [held] } = await autoStartCreatedTasks(runner, request);
  assert(held);
  const done = processRunningTask(runner, held);
  assertEquals(calls, 1);
  await clock.advance(10);
  assertEquals(await done, "completed");
});

for (const [name, run] of Object.entries({ runOnce, runLoop })) {
  Deno.test(`${name}() waits until it has nothing in hand where a task wants that, and runs it alone`, async () => {
    const clock = new FakeClock();
    const running = new Set<string>();
    const beside: string[][] = [];
    const { runner, queue, stop, drain } = setUp({
      clock,
      tasks: 6,
      settings: { concurrency: 3 },
      process: async ({ id }, { signal }) => {
        running.add(id);
        beside.push([...running]);
        await clock.sleep(1_000, signal);
        running.delete(id);
        return { kind: "completed" };
      },
    });
    await using _ = runner;
    queue.suspects.add("task-1");
    queue.takeOver("task-1", "dead");
    const done = run(runner, stop);
    await clock.advance(500);
    // The dead runner's lease ends, while others run.
    queue.change("task-1", { leaseExpiresAt: new Date(0), state: "running" });
    queue.announce();
    await clock.advance(1_000);
    // Others change something: that must not bring more beside it.
    queue.announce();
    await clock.advance(4_000);
    drain.abort();
    assertEquals(await done, summary({ started: 6, completed: 6 }));
    assertEquals(beside.map((it) => it.includes("task-1") ? it : it.length), [
      1,
      2,
      3,
      ["task-1"],
      1,
      2,
    ]);
  });

  Deno.test(`${name}() has an outcome in hand until it is recorded`, async () => {
    const clock = new FakeClock();
    const { runner, queue, stop, drain } = setUp({
      clock,
      tasks: 2,
      process: takes(clock, 100),
    });
    await using _ = runner;
    queue.suspects.add("task-2");
    queue.takeOver("task-2", "dead");
    queue.hangs("record");
    const done = run(runner, stop);
    await clock.advance(99);
    queue.change("task-2", { leaseId: null, leaseExpiresAt: null });
    await clock.advance(1);
    queue.announce();
    await clock.advance(5_000);
    assertEquals(queue.row("task-2").attempt, 0);
    // It does not ask again and again meanwhile.
    assert(queue.claims.length <= 3, `${queue.claims.length}`);
    queue.heals("record");
    await clock.advance(1_000);
    drain.abort();
    assertEquals(await done, summary({ started: 2, completed: 2 }));
  });
}

Deno.test("runLoop() goes on where another runner takes what it waits for", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 1,
    process: takes(clock, 30_000),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await turn();
  const [id = ""] = queue.create({});
  queue.suspects.add(id);
  queue.announce();
  await clock.advance(1_000);
  assertEquals(queue.row(id).leaseOwner, null);
  queue.takeOver(id);
  queue.create({});
  queue.announce();
  await clock.advance(1_000);
  assertEquals(queue.row("task-3").leaseOwner, "runner-1");
  drain.abort();
  await clock.advance(5_000);
  assertEquals((await done).released, 2);
});
