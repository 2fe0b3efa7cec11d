import { assert, assertEquals, assertMatch } from "@std/assert";
import { runLoop, runOnce } from "../../lib/runner.ts";
import type { ProviderSettings } from "../../lib/processors/processor.ts";
import { pauseText } from "../../lib/runner/pauses.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { setUp, summary } from "./set_up.ts";

const HOUR = 3_600_000;
const NOON = new Date(2026, 10, 28, 12, 0);
const LIMIT = { kind: "limit", reason: "weekly", tries: 0 } as const;
const PROVIDERS = new Map<string, ProviderSettings>([
  ["claude", { fallback: "codex" }],
  ["codex", {}],
]);

Deno.test("pauseText() says until when, and the day where it is another", () => {
  const at = (hours: number | null) =>
    hours === null ? null : new Date(NOON.getTime() + hours * HOUR);
  for (
    const [until, text] of [
      [4.5, "limit until 16:30: weekly"],
      [24, "limit until 2026-11-29 12:00: weekly"],
      [0, "limit to be tried by one task: weekly"],
      [null, "limit until it is resumed: weekly"],
    ] as const
  ) assertEquals(pauseText({ ...LIMIT, until: at(until) }, NOON), text);
  const pause = { kind: "person", reason: "", until: null } as const;
  assertEquals(pauseText(pause, NOON), "paused until it is resumed");
});

Deno.test("runOnce() ends when a limit is met: no task behind it is begun", async () => {
  const { runner, queue, stop } = setUp({
    settings: { concurrency: 1 },
    process: () =>
      Promise.resolve({ kind: "limited", reason: "weekly", waitMs: HOUR }),
  });
  await using _ = runner;
  queue.create({ provider: "claude" }, { provider: "claude" });
  assertEquals(
    await runOnce(runner, stop),
    summary({ started: 1, limited: 1 }),
  );
  assertEquals(queue.row("task-1").attempt, 0);
  assertEquals(queue.row("task-2").leaseId, null);
});

Deno.test("runOnce() begins no task behind one that failed of the account", async () => {
  const { runner, queue, stop } = setUp({
    settings: { concurrency: 1, attempts: 3 },
    process: () =>
      Promise.resolve({
        kind: "failed",
        error: "Not logged in",
        retryable: false,
        pausesProvider: true,
      }),
  });
  await using _ = runner;
  queue.create(...Array(3).fill({ provider: "claude" }));
  assertEquals(await runOnce(runner, stop), summary({ started: 1, failed: 1 }));
  assertEquals(
    ["task-1", "task-2", "task-3"].map((id) => queue.row(id).state),
    ["failed", "created", "created"],
  );
  assertEquals(queue.row("task-3").leaseId, null);
  assertEquals(
    queue.pauses.map(({ provider, kind, reason }) => [provider, kind, reason]),
    [["claude", "limit", "Not logged in"]],
  );
});

Deno.test("runLoop() goes on by itself when a limit is over, and says each once", async () => {
  const clock = new FakeClock();
  let calls = 0;
  const { runner, queue, stop, drain, logged } = setUp({
    clock,
    settings: { concurrency: 1 },
    process: () =>
      Promise.resolve(
        ++calls === 1
          ? { kind: "limited", reason: "weekly", waitMs: HOUR }
          : { kind: "completed" },
      ),
  });
  await using _ = runner;
  queue.create({ provider: "claude" }, { provider: "claude" });
  const done = runLoop(runner, stop);
  await clock.advance(HOUR - 1_000);
  assertEquals(calls, 1);
  // Somebody else's task that tried has ended the limit by then.
  queue.pauses = [];
  await clock.advance(2 * 60_000);
  assertEquals(calls, 3);
  drain.abort();
  assertEquals(
    await done,
    summary({ started: 3, limited: 1, completed: 2 }),
  );
  const lines = logged().filter((it) => it.includes("Provider claude"));
  assertEquals(lines.length, 2, lines.join("\n"));
  assertMatch(lines[0] ?? "", / limit until .*: weekly\. Its tasks wait\.$/);
  assertMatch(lines[1] ?? "", /claude goes on$/);
});

Deno.test("runOnce() gives the tasks of a limited provider to its fallback", async () => {
  const done: string[] = [];
  const { runner, queue, stop } = setUp({
    settings: { concurrency: 1, providers: PROVIDERS },
    process: ({ provider }) => {
      done.push(provider);
      return Promise.resolve(
        provider === "claude"
          ? { kind: "limited", reason: "weekly", waitMs: HOUR }
          : { kind: "completed" },
      );
    },
  });
  await using _ = runner;
  queue.create(...Array(3).fill({ provider: "claude" }));
  const { completed, limited } = await runOnce(runner, stop);
  assertEquals([completed, limited], [2, 1]);
  assertEquals(done, ["claude", "codex", "codex"]);
});

Deno.test("a fallback gets nothing of what a person has paused, nor while it is paused", async () => {
  for (
    const pauses of [
      [["claude", "person"]],
      [["claude", "limit"], ["codex", "limit"]],
    ] as const
  ) {
    const { runner, queue, stop } = setUp({
      settings: { providers: PROVIDERS },
    });
    await using _ = runner;
    queue.create({ provider: "claude" });
    for (const [provider, kind] of pauses) {
      await queue.pause({ provider }, { kind, reason: "", waitMs: HOUR });
    }
    assertEquals(await runOnce(runner, stop), summary({}));
    assertEquals(queue.handedOver, []);
  }
});

for (const [name, run] of Object.entries({ runOnce, runLoop })) {
  Deno.test(`${name}() has the rest go on as soon as the one that tries is seen to work`, async () => {
    const clock = new FakeClock();
    const started: string[] = [];
    const { runner, queue, stop, drain } = setUp({
      clock,
      settings: { concurrency: 2 },
      process: async ({ id }, { note }) => {
        started.push(id);
        await clock.sleep(10_000);
        note("limit_over", "claude works");
        await clock.sleep(3_600_000);
        return { kind: "completed" };
      },
    });
    await using _ = runner;
    queue.create({ provider: "claude" }, { provider: "claude" });
    queue.limitTried("claude");
    const done = run(runner, stop);
    await clock.advance(5_000);
    assertEquals(started, ["task-1"]);
    await clock.advance(7_000);
    assertEquals(started, ["task-1", "task-2"]);
    drain.abort();
    await clock.advance(2 * 3_600_000);
    await done;
  });
}

Deno.test("a fallback gets nothing where a limit is to be tried", async () => {
  const { runner, queue, stop, clock } = setUp({
    settings: { providers: PROVIDERS },
  });
  await using _ = runner;
  queue.create({ provider: "claude" });
  await queue.pause({ provider: "claude" }, {
    kind: "limit",
    reason: "",
    waitMs: 1_000,
  });
  await clock.sleep(2_000);
  await runOnce(runner, stop);
  assertEquals(queue.handedOver, []);
});

Deno.test("a fallback of all other providers gets what waits of one of them", async () => {
  const { runner, queue, stop } = setUp({
    settings: {
      providers: new Map([["*", { fallback: "codex" }], ["codex", {}]]),
    },
  });
  await using _ = runner;
  queue.create({ provider: "gemini" });
  await queue.pause({ provider: "gemini" }, {
    kind: "budget",
    reason: "",
    waitMs: HOUR,
  });
  assertEquals((await runOnce(runner, stop)).completed, 1);
  assertEquals(
    new Set(queue.handedOver.map(({ to }) => to)),
    new Set(["codex"]),
  );
});

Deno.test("runOnce() runs what it has claimed though nothing can be handed over", async () => {
  const { runner, queue, stop, logged } = setUp({
    settings: { providers: PROVIDERS },
  });
  await using _ = runner;
  queue.create({ provider: "codex" });
  await queue.pause({ provider: "claude" }, {
    kind: "limit",
    reason: "",
    waitMs: HOUR,
  });
  queue.handOver = () => Promise.reject(new Error("gone"));
  assertEquals((await runOnce(runner, stop)).completed, 1);
  assert(logged().some((it) => it.includes("Cannot give tasks")));
});
