import { assert, assertEquals } from "@std/assert";
import { systemClock } from "../../lib/base/clock.ts";
import { createLog } from "../../lib/base/log.ts";
import type { Processor } from "../../lib/processors/processor.ts";
import { createRunner, runLoop, runOnce } from "../../lib/runner.ts";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import { newTasks, type Store } from "../../lib/store/contract.ts";
import { within } from "../support/until.ts";
import { newTask } from "../store/conformance/subject.ts";

function runnerOn(store: Store, process: Processor["process"]) {
  return createRunner({
    queue: store.queue,
    admin: store.admin,
    processorFor: () => ({ name: "scripted", process }),
    clock: systemClock,
    log: createLog({ write: () => {} }),
    owner: "runner-1",
    settings: {
      enabled: true,
      concurrency: 2,
      leaseMs: 60_000,
      retryWaitMs: 0,
      maxAttempts: 3,
      intervalMs: 600_000,
      drainMs: 1_000,
      attempts: 1,
      timeoutMs: 0,
      limits: new Map(),
      runLogLimit: 0,
      eventRetentionMs: 0,
    },
  });
}

async function createChain({ admin }: Store): Promise<void> {
  await admin.create(newTasks([
    newTask({ key: "c", after: ["b"] }),
    newTask({ key: "b", after: ["a"] }),
    newTask({ key: "a" }),
  ]));
}

function signals() {
  const drain = new AbortController();
  const { signal: abort } = new AbortController();
  return { drain, stop: { drain: drain.signal, abort } };
}

Deno.test("runOnce() runs a chain to its end", async () => {
  await using store = await openDuckDbStore(":memory:");
  await createChain(store);
  const keys: (string | null)[] = [];
  await using runner = runnerOn(store, ({ key }) => {
    keys.push(key);
    return Promise.resolve({ kind: "completed" });
  });
  const { completed } = await within(
    "the pass",
    runOnce(runner, signals().stop),
  );
  assertEquals([completed, keys], [3, ["a", "b", "c"]]);
});

Deno.test("runOnce() goes on with a chain while another task still runs", async () => {
  await using store = await openDuckDbStore(":memory:");
  const isOver = Promise.withResolvers<void>();
  await createChain(store);
  await store.admin.create(newTasks([newTask({ key: "long" })]));
  await using runner = runnerOn(store, async ({ key }) => {
    if (key === "long") await isOver.promise;
    if (key === "c") isOver.resolve();
    return { kind: "completed" };
  });
  const { completed } = await within(
    "the pass",
    runOnce(runner, signals().stop),
  );
  assertEquals(completed, 4);
});

Deno.test("runLoop() goes on with a chain without waiting for its interval", async () => {
  await using store = await openDuckDbStore(":memory:");
  await createChain(store);
  const { drain, stop } = signals();
  await using runner = runnerOn(store, ({ key }) => {
    if (key === "c") drain.abort();
    return Promise.resolve({ kind: "completed" });
  });
  const { completed } = await within("the loop", runLoop(runner, stop));
  assert(drain.signal.aborted);
  assertEquals(completed, 3);
});
