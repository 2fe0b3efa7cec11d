import { assertEquals } from "@std/assert";
import { createLog } from "../../lib/base/log.ts";
import { Recorder } from "../../lib/runner/recorder.ts";
import type { RecordResult } from "../../lib/store/contract.ts";
import { complete } from "../../lib/task/transitions.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { sampleTask } from "../support/sample_task.ts";
import { StubStore } from "../support/stub_store.ts";

Deno.test("Recorder lets a claim go first that waits behind a large group", async () => {
  const order: string[] = [];
  const committed = Promise.withResolvers<void>();
  const store = new class extends StubStore {
    override async record(): Promise<RecordResult[]> {
      order.push("record");
      await committed.promise;
      return [];
    }
  }();
  const clock = new FakeClock();
  const recorder = new Recorder({ store, clock, log: createLog() });
  const task = sampleTask();
  const lease = { taskId: task.id, id: "lease", owner: "runner", attempt: 1 };
  const transition = complete({ task, lease }, clock.now());
  const addGroup = () =>
    Promise.all(Array.from({ length: 100 }, () => recorder.record(transition)));

  const first = addGroup();
  await clock.advance(5);
  const second = addGroup();
  await clock.advance(60);
  const claim = committed.promise.then(async () => {
    for (let hops = 0; hops < 20; hops++) await null;
    order.push("claim");
  });
  committed.resolve();
  await Promise.all([first, second, claim]);
  assertEquals(order, ["record", "claim", "record"]);
});
