import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseBusyError, DatabaseError } from "../../lib/base/errors.ts";
import { runLoop, runOnce } from "../../lib/runner.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { setUp, summary, takes } from "./set_up.ts";

const PASSES = Object.entries({ runOnce, runLoop });

Deno.test("a stop finishes the task in hand and gives back the rest", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 3,
    settings: { concurrency: 1 },
    process: takes(clock, 500),
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  drain.abort();
  await clock.advance(1_500);
  assertEquals((await done).completed, 1);
  assertEquals(queue.idsIn("completed"), ["task-1"]);
  for (const id of ["task-2", "task-3"]) {
    const { state, attempt, leaseOwner } = queue.row(id);
    assertEquals([state, attempt, leaseOwner], ["created", 0, null]);
  }
});

Deno.test("a stop gives back a task that takes longer than the drain", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 1,
    process: takes(clock, 60_000),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await turn();
  drain.abort();
  await clock.advance(999);
  assertEquals(queue.recorded, []);
  await clock.advance(101);
  assertEquals((await done).released, 1);
  const { state, attempt, leaseOwner } = queue.row("task-1");
  assertEquals([state, attempt, leaseOwner], ["running", 0, null]);
});

Deno.test("a second stop aborts the task in hand, which costs no attempt", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain, abort } = setUp({
    clock,
    tasks: 1,
    process: takes(clock, 60_000),
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  drain.abort();
  abort.abort();
  await clock.advance(100);
  assertEquals(await done, summary({ started: 1, released: 1 }));
  const { state, attempt, leaseOwner } = queue.row("task-1");
  assertEquals([state, attempt, leaseOwner], ["running", 0, null]);
  assertEquals(queue.eventsOf("task-1"), ["released"]);
});

Deno.test("a second stop gives back a task that takes its time to end", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain, abort } = setUp({
    clock,
    tasks: 1,
    stopGraceMs: 8_000,
    process: async (_task, { signal }) => {
      await clock.sleep(60_000, signal);
      await clock.sleep(5_000);
      throw new Error("interrupted");
    },
  });
  await using _ = runner;
  const done = runOnce(runner, stop);
  await turn();
  drain.abort();
  abort.abort();
  await clock.advance(5_100);
  assertEquals(await done, summary({ started: 1, released: 1 }));
  assertEquals(queue.row("task-1").leaseOwner, null);
});

for (const [name, run] of PASSES) {
  Deno.test(`${name}() ends at a stop while nothing runs`, async () => {
    const clock = new FakeClock();
    const { runner, stop, drain } = setUp({ clock });
    drain.abort();
    assertEquals(await run(runner, stop), summary({}));
    await runner[Symbol.asyncDispose]();
    assertEquals(clock.sleepers, 0);
  });

  Deno.test(`${name}() ends at an abort that no drain came before`, async () => {
    const clock = new FakeClock();
    const { runner, queue, stop, abort } = setUp({
      clock,
      tasks: 3,
      process: takes(clock, 60_000),
    });
    await using _ = runner;
    const done = run(runner, stop);
    await turn();
    abort.abort();
    await clock.advance(100);
    assertEquals(await done, summary({ started: 2, released: 2 }));
    assertEquals(queue.row("task-3").state, "created");
  });

  for (const method of ["claim", "endAbandoned"] as const) {
    Deno.test(`${name}() ends at a stop while ${method}() waits for the store`, async () => {
      const clock = new FakeClock();
      const { runner, queue, stop, drain, logged } = setUp({ clock, tasks: 1 });
      await using _ = runner;
      queue.hangs(method);
      const done = run(runner, stop);
      await clock.advance(5_000);
      drain.abort();
      assertEquals(await done, summary({}));
      assertEquals(logged().filter((line) => line.startsWith("ERROR")), []);
    });
  }

  Deno.test(`${name}() ends at a stop while old history is deleted`, async () => {
    const clock = new FakeClock();
    const { runner, queue, stop, drain } = setUp({
      clock,
      tasks: 1,
      settings: { eventRetentionMs: 1 },
    });
    await using _ = runner;
    queue.hangs("pruneHistory");
    const done = run(runner, stop);
    // runLoop() does it every hour, and runOnce() at its end too.
    await clock.advance(3_800_000);
    drain.abort();
    await turn();
    assertEquals((await done).completed, 1);
    queue.heals("pruneHistory");
  });

  Deno.test(`${name}() says nothing of old history whose deletion a stop ends`, async () => {
    const clock = new FakeClock();
    const { runner, queue, stop, drain, logged } = setUp({
      clock,
      tasks: 1,
      settings: { eventRetentionMs: 1 },
    });
    await using _ = runner;
    queue.hangs("pruneHistory");
    const done = run(runner, stop);
    await clock.advance(3_800_000);
    drain.abort();
    assertEquals((await done).completed, 1);
    await turn();
    assertEquals(logged().filter((line) => line.startsWith("ERROR")), []);
    assertEquals(queue.pruned, [], "it was ended");
  });

  Deno.test(`${name}() ends at a second stop while record() waits for the store`, async () => {
    const clock = new FakeClock();
    const { runner, queue, stop, drain, abort, logged } = setUp({
      clock,
      tasks: 2,
    });
    await using _ = runner;
    queue.hangs("record");
    let isOver = false;
    const done = run(runner, stop).finally(() => isOver = true);
    await clock.advance(1_000);
    drain.abort();
    await clock.advance(1_000);
    abort.abort();
    await clock.advance(499);
    assertEquals(isOver, false);
    await clock.advance(1);
    assertEquals(await done, summary({ started: 2, skipped: 2 }));
    assertEquals(
      logged().filter((line) => line.includes("could not be recorded")).length,
      2,
    );
  });

  Deno.test(`${name}() ends at a second stop while it waits to record again`, async () => {
    const clock = new FakeClock();
    const { runner, queue, stop, drain, abort } = setUp({ clock, tasks: 1 });
    await using _ = runner;
    queue.isBusyFor("record");
    const done = run(runner, stop);
    await clock.advance(60_000);
    drain.abort();
    abort.abort();
    await clock.advance(500);
    assertEquals(await done, summary({ started: 1, skipped: 1 }));
  });
}

Deno.test("runOnce() looks up who has the first ten of many lost tasks", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, logged } = setUp({
    clock,
    tasks: 30,
    settings: { concurrency: 30 },
    process: takes(clock, 500),
  });
  await using _ = runner;
  queue.hangs("get");
  const done = runOnce(runner, stop);
  await turn();
  for (let n = 1; n <= 30; n++) queue.takeOver(`task-${n}`);
  await clock.advance(1_000);
  const told = () => logged().filter((it) => it.includes("was skipped")).length;
  assertEquals(told(), 20);
  queue.heals("get");
  assertEquals(await done, summary({ started: 30, skipped: 30 }));
  assertEquals(told(), 30);
});

Deno.test("a second stop waits for no look at who has a lost task", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain, abort, logged } = setUp({
    clock,
    tasks: 1,
  });
  await using _ = runner;
  queue.hangs("get");
  const done = runOnce(runner, stop);
  await turn();
  queue.takeOver("task-1");
  await clock.advance(1_000);
  drain.abort();
  abort.abort();
  await clock.advance(500);
  assertEquals(await done, summary({ started: 1, skipped: 1 }));
  const line = "WARNING - Task task-1 was skipped: its lease was lost. " +
    "This run was not recorded.";
  assert(logged().includes(line), logged().join("\n"));
  queue.heals("get");
});

Deno.test("a stop gives back what a claim brings after it", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({ clock, tasks: 3 });
  await using _ = runner;
  const claimed = Promise.withResolvers<void>();
  queue.before("claim", () => claimed.promise);
  const done = runLoop(runner, stop);
  await turn();
  drain.abort();
  claimed.resolve();
  await clock.advance(100);
  assertEquals(await done, summary({}));
  for (const id of ["task-1", "task-2"]) {
    const { attempt, leaseOwner } = queue.row(id);
    assertEquals([attempt, leaseOwner], [0, null]);
  }
  assertEquals(runner.runs.size, 0);
});

Deno.test("a second stop waits for no store that takes nothing back", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain, abort } = setUp({
    clock,
    tasks: 500,
    settings: { concurrency: 1 },
    process: ({ id }) =>
      id === "task-100"
        ? new Promise(() => {})
        : Promise.resolve({ kind: "completed" }),
  });
  await using _ = runner;
  queue.hangs("giveBack");
  const done = runOnce(runner, stop);
  await clock.advance(50);
  const held = [...queue.rows.values()].filter(({ state, leaseId }) =>
    state === "created" && leaseId !== null
  );
  assert(held.length > 0, "Nothing is held");
  drain.abort();
  abort.abort();
  // The task that ignores its signal has a second.
  await clock.advance(1_500);
  assertEquals((await done).released, 1);
  queue.heals("giveBack");
});

Deno.test("runLoop() obeys a stop while too many outcomes wait to be written", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain, abort } = setUp({
    clock,
    tasks: 20_100,
    settings: { concurrency: 20_050 },
  });
  await using _ = runner;
  queue.hangs("record");
  const done = runLoop(runner, stop);
  for (let n = 0; n < 600; n++) await clock.advance(1);
  assertEquals(runner.recorder.size, 20_100);
  const claims = queue.claims.length;
  queue.announce();
  await clock.advance(60_000);
  assertEquals(queue.claims.length, claims);
  drain.abort();
  abort.abort();
  await clock.advance(500);
  const { started, skipped } = await done;
  assertEquals([started, skipped], [20_100, 20_100]);
});

Deno.test("an outcome is tried again for a lease after the last task of a stop has ended", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 1,
    settings: { leaseMs: 3_000, drainMs: 60_000 },
    process: takes(clock, 30_000),
  });
  await using _ = runner;
  const done = runLoop(runner, stop);
  await turn();
  drain.abort();
  await clock.advance(29_000);
  queue.isBusyFor("record");
  await clock.advance(2_000);
  queue.heals("record");
  await clock.advance(6_000);
  assertEquals(await done, summary({ started: 1, completed: 1 }));
});

Deno.test("a stop gives up what can't be recorded for a lease", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    tasks: 1,
    settings: { leaseMs: 3_000 },
  });
  await using _ = runner;
  queue.isBusyFor("record");
  const done = runLoop(runner, stop);
  await clock.advance(60_000);
  drain.abort();
  await clock.advance(10_000);
  assertEquals(await done, summary({ started: 1, skipped: 1 }));
});

Deno.test("runOnce() finishes and records the tasks in hand where a claim fails", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { runner, queue, stop, clock } = setUp({
    clock: new FakeClock(),
    tasks: 3,
    settings: { concurrency: 2, drainMs: 100 },
    process: async (task) => {
      if (task.id === "task-2") await promise;
      return { kind: "completed" };
    },
  });
  await using _ = runner;
  let claims = 0;
  queue.before("claim", () => {
    if (claims++ > 0) throw new DatabaseBusyError("held");
  });
  const rejected = assertRejects(
    () => runOnce(runner, stop),
    DatabaseBusyError,
    "held",
  );
  await clock.advance(60_000);
  resolve();
  await clock.advance(1_000);
  await rejected;
  const events = queue.recorded.map(({ event }) => event);
  assertEquals(events, ["completed", "completed"]);
});

Deno.test("runOnce() ends with the store's error though an outcome can't be recorded either", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop } = setUp({
    clock,
    tasks: 1,
    settings: { leaseMs: 3_000 },
  });
  await using _ = runner;
  queue.before("claim", () => {
    if (queue.claims.length > 1) throw new DatabaseError("gone");
  });
  queue.fails("record");
  const rejected = assertRejects(
    () => runOnce(runner, stop),
    DatabaseError,
    "gone",
  );
  await clock.advance(20_000);
  await rejected;
});
