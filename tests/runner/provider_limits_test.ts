import { assert, assertEquals } from "@std/assert";
import { autoStartCreatedTasks, runLoop, runOnce } from "../../lib/runner.ts";
import { FakeClock } from "../support/fake_clock.ts";
import type { StubQueue } from "../support/stub_queue.ts";
import { setUp, summary, takes } from "./set_up.ts";

function createFor(queue: StubQueue, ...providers: string[]): void {
  queue.create(...providers.map((provider) => ({ provider })));
}

Deno.test("runOnce() keeps a provider within its limit, and fills the other slots", async () => {
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const { runner, queue, stop, clock } = setUp({
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
  createFor(
    queue,
    ...[..."ssssssssffffffff"].map((it) => it === "s" ? "slow" : "fast"),
  );
  assertEquals((await runOnce(runner, stop)).completed, 16);
  assertEquals(most.get("slow"), 2);
  assert(most.get("fast")! >= 3, `${most.get("fast")}`);
});

for (const [name, run] of Object.entries({ runOnce, runLoop })) {
  Deno.test(`${name}() claims again when a run of a full provider ends, however soon`, async () => {
    const clock = new FakeClock();
    const { runner, queue, stop, drain } = setUp({
      clock,
      settings: { limits: new Map([["slow", 1]]) },
    });
    await using _ = runner;
    createFor(queue, "slow", "slow", "slow");
    const done = run(runner, stop);
    await clock.advance(1_000);
    drain.abort();
    assertEquals(await done, summary({ started: 3, completed: 3 }));
  });
}

for (const [name, run] of Object.entries({ runOnce, runLoop })) {
  Deno.test(`${name}() claims again when a run of a full provider ends during a claim`, async () => {
    const clock = new FakeClock();
    const { runner, queue, stop, drain } = setUp({
      clock,
      settings: { limits: new Map([["slow", 1]]) },
      process: (task, context) =>
        takes(clock, task.provider === "slow" ? 100 : 50)(task, context),
    });
    await using _ = runner;
    createFor(queue, "other", "slow", "slow");
    const claim = queue.claim.bind(queue);
    queue.claim = async (options) => {
      const result = await claim(options);
      if (queue.claims.length === 2) await clock.sleep(70);
      return result;
    };
    const done = run(runner, stop);
    await clock.advance(1_000);
    drain.abort();
    await clock.advance(100);
    assertEquals(await done, summary({ started: 3, completed: 3 }));
  });
}

Deno.test("a provider's limit counts what waits for a slot", async () => {
  const { runner, queue } = setUp({
    settings: { limits: new Map([["slow", 2]]) },
  });
  await using _ = runner;
  createFor(queue, "fast", "slow", "slow", "slow");
  const first = { limit: 1, ahead: 9 };
  const { runs } = await autoStartCreatedTasks(runner, first);
  assertEquals(runs.map(({ isBegun }) => isBegun), [true, false, false]);
  const more = { limit: 0, ahead: 9 };
  assertEquals((await autoStartCreatedTasks(runner, more)).runs, []);
});

Deno.test("runOnce() ends where a limit lets nothing run", async () => {
  const { runner, queue, stop } = setUp({
    settings: { limits: new Map([["none", 0]]) },
  });
  await using _ = runner;
  createFor(queue, "none", "other");
  assertEquals((await runOnce(runner, stop)).completed, 1);
  assertEquals(queue.idsIn("created"), ["task-1"]);
});

Deno.test("runOnce() runs only the providers that there are settings for", async () => {
  const { runner, queue, stop } = setUp({
    settings: { providers: new Map([["claude", {}], ["codex", {}]]) },
  });
  await using _ = runner;
  createFor(queue, "claude", "other", "codex");
  assertEquals((await runOnce(runner, stop)).completed, 2);
  assertEquals(queue.idsIn("created"), ["task-2"]);
});

Deno.test("runOnce() runs all providers where there are settings for the others", async () => {
  const { runner, queue, stop } = setUp({
    settings: { providers: new Map([["claude", {}], ["*", {}]]) },
  });
  await using _ = runner;
  createFor(queue, "claude", "other");
  assertEquals((await runOnce(runner, stop)).completed, 2);
});

Deno.test("a provider's concurrency bounds its tasks, and * those of the others together", async () => {
  const running: string[] = [];
  let most = 0;
  const { runner, queue, stop, clock } = setUp({
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
  createFor(queue, ..."aaaabbbxyzxyz");
  assertEquals(
    await runOnce(runner, stop),
    summary({ started: 13, completed: 13 }),
  );
  assertEquals(most, 5);
});

Deno.test("a provider's timeout counts for its tasks, unless they set their own", async () => {
  const { runner, queue, stop, clock } = setUp({
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
  createFor(queue, "slow", "other");
  queue.create({ provider: "slow", timeoutMs: 5_000 });
  const done = runOnce(runner, stop);
  await clock.advance(3_000);
  assertEquals(queue.idsIn("failed"), ["task-1"]);
  await clock.advance(3_000);
  assertEquals(queue.idsIn("failed"), ["task-1", "task-3"]);
  await clock.advance(60_000);
  assertEquals((await done).failed, 3);
});

Deno.test("a provider's attempts and backoff count for its tasks", async () => {
  const { runner, queue, stop, clock } = setUp({
    settings: {
      providers: new Map([
        ["flaky", { attempts: 3, backoff: { baseMs: 60_000, maxMs: 60_000 } }],
        ["*", {}],
      ]),
    },
    process: () => Promise.reject(new Error("boom")),
  });
  await using _ = runner;
  createFor(queue, "flaky", "other");
  await runOnce(runner, stop);
  assertEquals(queue.recorded.map(({ event }) => event), [
    "retry_scheduled",
    "failed",
  ]);
  const { runAt } = queue.row("task-1");
  const waitMs = runAt!.getTime() - clock.now().getTime();
  assert(waitMs > 29_000 && waitMs <= 60_000, `${waitMs}`);
});

Deno.test("autoStartCreatedTasks() claims one task by its id, whatever its limit", async () => {
  const { runner, queue } = setUp({
    settings: {
      limits: new Map([["slow", 1]]),
      providers: new Map([["slow", {}]]),
    },
  });
  await using _ = runner;
  createFor(queue, "slow", "other", "slow");
  await autoStartCreatedTasks(runner, { limit: 5 });
  const one = { limit: 1, taskId: "task-3" };
  const { runs } = await autoStartCreatedTasks(runner, one);
  assertEquals(runs.map(({ task }) => task.id), ["task-3"]);
});
