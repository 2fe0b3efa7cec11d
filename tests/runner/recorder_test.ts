import { assert, assertEquals } from "@std/assert";
import { DatabaseError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import { Recorder, type RecordResult } from "../../lib/runner/recorder.ts";
import type { Transition } from "../../lib/task/task.ts";
import { complete } from "../../lib/task/transitions.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { StubQueue } from "../support/stub_queue.ts";

const LEASE = { owner: "runner", attempt: 1 };

function setUp() {
  const clock = new FakeClock();
  const queue = new StubQueue(clock);
  const commits: number[] = [];
  let logged = "";
  const log = createLog({ write: (text) => logged += text });
  const recorder = new Recorder({
    queue,
    clock,
    log,
    onCommit: (rows) => commits.push(rows),
  });
  const results: Result[] = [];
  /** Begun tasks with these ids are completed, and wait to be written. */
  const add = (...ids: string[]) => {
    for (const id of ids) {
      const transition = completed(queue, id);
      recorder.add(transition, (result) => results.push([id, result]));
    }
  };
  const lines = () => {
    log.flush();
    return logged;
  };
  return { clock, queue, recorder, commits, results, add, lines };
}

function completed(queue: StubQueue, id: string): Transition {
  const lease = { ...LEASE, taskId: id, id: `lease-${id}` };
  if (!queue.rows.has(id)) queue.create({ id });
  queue.change(id, { state: "running", leaseId: lease.id });
  return complete({ task: queue.row(id), lease });
}

type Result = [id: string, result: RecordResult];

function written(...ids: string[]): Result[] {
  return ids.map((id) => [id, "written"]);
}

Deno.test("Recorder writes what ends within a few milliseconds at once, in its order", async () => {
  const { clock, queue, recorder, commits, results, add } = setUp();
  add("a", "b");
  await clock.advance(4);
  add("c");
  assertEquals([queue.groups, recorder.size], [[], 3]);
  await clock.advance(1);
  assertEquals([queue.groups, commits, recorder.size], [[3], [3], 0]);
  assertEquals(results, written("a", "b", "c"));
});

Deno.test("Recorder.record() gives what came of it, with the store's time", async () => {
  const { clock, queue, recorder } = setUp();
  const first = completed(queue, "a");
  const at = Promise.withResolvers<Date>();
  recorder.add(first, (_result, time) => at.resolve(time));
  const again = recorder.record(first);
  await clock.advance(5);
  assertEquals(await at.promise, clock.now());
  assertEquals(await again, "lost");
});

Deno.test("Recorder writes a second group while the first is told", async () => {
  const { clock, queue, results, add } = setUp();
  queue.hangs("record");
  add("a");
  await clock.advance(5);
  add("b", "c");
  await clock.advance(100);
  assertEquals(queue.groups, [1]);
  queue.heals("record");
  await clock.advance(10);
  assertEquals(queue.groups, [1, 2]);
  assertEquals(results, written("a", "b", "c"));
});

Deno.test("Recorder makes fewer, larger groups while it is busy", async () => {
  const { clock, queue, add } = setUp();
  const ids = (prefix: string) =>
    Array.from({ length: 100 }, (_, n) => `${prefix}${n}`);
  add(...ids("a"));
  await clock.advance(5);
  add(...ids("b"));
  await clock.advance(119);
  assertEquals(queue.groups, [100]);
  await clock.advance(1);
  await turn();
  assertEquals(queue.groups, [100, 100]);
});

Deno.test("Recorder writes a large group at once", async () => {
  const { clock, queue, recorder } = setUp();
  const transition = completed(queue, "a");
  for (let n = 0; n < 20_000; n++) recorder.add(transition, () => {});
  await turn();
  await turn();
  assertEquals([queue.groups, clock.monotonic()], [[20_000], 0]);
  while (recorder.size > 0) await turn();
});

Deno.test("Recorder lets timers fire while it tells a large group", async () => {
  const { clock, queue, recorder } = setUp();
  const transition = completed(queue, "a");
  let told = 0;
  for (let n = 0; n < 5_000; n++) recorder.add(transition, () => told++);
  await clock.advance(5);
  assert(told < 5_000, `${told}`);
  while (recorder.size > 0) await turn();
  assertEquals(told, 5_000);
});

Deno.test("Recorder lets a claim go first that waits behind a large group", async () => {
  const order: string[] = [];
  const committed = Promise.withResolvers<void>();
  const { clock, queue, recorder } = setUp();
  queue.before("record", () => {
    order.push("record");
    return committed.promise;
  });
  const transition = completed(queue, "a");
  const addGroup = () =>
    Promise.all(Array.from({ length: 100 }, () => recorder.record(transition)));

  const first = addGroup();
  await clock.advance(5);
  const second = addGroup();
  await clock.advance(120);
  const claim = committed.promise.then(async () => {
    for (let hops = 0; hops < 20; hops++) await null;
    order.push("claim");
  });
  committed.resolve();
  await Promise.all([first, second, claim]);
  assertEquals(order, ["record", "claim", "record"]);
});

Deno.test("Recorder says which row the store refuses, and writes the others", async () => {
  const { clock, queue, results, add } = setUp();
  queue.refused.add("b");
  add("a", "b", "c");
  await clock.advance(5);
  const [first, [, refused] = [], third] = results;
  assert(first && third);
  assertEquals([first, third], written("a", "c"));
  assert(refused instanceof DatabaseError);
  assertEquals(queue.groups, [3]);
});

Deno.test("Recorder finds the row that the store fails at, and writes the others in their order", async () => {
  const { clock, queue, recorder, results, add } = setUp();
  const error = new TypeError("Cannot read this");
  add("a", "b");
  const bad = completed(queue, "bad");
  const broken = {
    ...bad,
    patch: () => {
      throw error;
    },
  };
  recorder.add(broken, (result) => results.push(["bad", result]));
  add("c", "d");
  await clock.advance(5);
  assertEquals(results, [
    ...written("a", "b"),
    ["bad", error],
    ...written("c", "d"),
  ]);
  assertEquals(queue.row("bad").state, "running");
});

Deno.test("Recorder tries again for as long as the store can't be used, and says so", async () => {
  const { clock, queue, recorder, results, add, lines } = setUp();
  queue.fails("record", new DatabaseError("full"));
  add("a");
  await clock.advance(3_600_000);
  add("b");
  assertEquals([results, recorder.size], [[], 2]);
  queue.heals("record");
  await clock.advance(6_000);
  assertEquals(results, written("a", "b"));
  assert(
    /WARNING - Cannot record 1 outcome yet: full Next try in \d+ ms\./
      .test(lines()),
  );
});

Deno.test("Recorder gives up at the time that it is told, and not before", async () => {
  const { clock, queue, recorder, results, add } = setUp();
  const error = new DatabaseError("full");
  queue.fails("record", error);
  add("a");
  recorder.giveUpAt(clock.monotonic() + 30_000);
  recorder.giveUpAt(clock.monotonic() + 90_000);
  await clock.advance(29_999);
  assertEquals(results, []);
  await clock.advance(6_000);
  assertEquals(results, [["a", error]]);
  assertEquals([recorder.size, clock.sleepers], [0, 0]);
});

Deno.test("Recorder.abandon() ends the wait for the store, and for the next try", async () => {
  for (const method of ["hangs", "isBusyFor"] as const) {
    const { clock, queue, recorder, results, add } = setUp();
    queue[method]("record");
    add("a");
    await clock.advance(5_000);
    add("b");
    recorder.abandon();
    await turn();
    await clock.advance(5);
    assertEquals(results.map(([id]) => id), ["a", "b"]);
    assert(results.every(([, it]) => it instanceof DatabaseError));
    assertEquals([recorder.abandoned.aborted, clock.sleepers], [true, 0]);
  }
});

Deno.test("Recorder.abandon() lets be written what the store takes at once", async () => {
  const { recorder, results, add } = setUp();
  add("a");
  recorder.abandon();
  await turn();
  assertEquals(results, written("a"));
});
