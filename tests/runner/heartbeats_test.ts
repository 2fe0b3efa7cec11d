import { assert, assertEquals } from "@std/assert";
import { DatabaseBusyError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import { Heartbeats } from "../../lib/runner/heartbeats.ts";
import { Recorder } from "../../lib/runner/recorder.ts";
import { Run, Runs } from "../../lib/runner/runs.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { StubQueue } from "../support/stub_queue.ts";

const LEASE_MS = 6_000;

function setUp({ leaseMs = LEASE_MS } = {}) {
  const clock = new FakeClock();
  const queue = new StubQueue(clock);
  const runs = new Runs();
  const log = createLog({ write: (text) => void lines.push(text) });
  const lines: string[] = [];
  const recorder = new Recorder({ queue, clock, log });
  const options = { queue, runs, recorder, clock, log, leaseMs };
  const heartbeats = new Heartbeats(options);
  /** Claims a new task, and takes it in hand. */
  const begin = async () => {
    const [taskId] = queue.create({});
    const request = { limit: 1, owner: "me", leaseMs, maxAttempts: 3, taskId };
    const { tasks: [claimed] } = await queue.claim(request);
    assert(claimed);
    const run = new Run(claimed, clock.monotonic() + leaseMs);
    runs.add(run);
    return run;
  };
  const logged = () => {
    log.flush();
    return lines.join("").split("\n");
  };
  return { clock, queue, runs, heartbeats, recorder, begin, logged };
}

const note = (message: string) => ({ message, at: new Date(0) });

Deno.test("Heartbeats renews the leases of all runs three times within their time", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const [first, second] = [await begin(), await begin()];
  await clock.advance(18_000);
  assertEquals(
    queue.heartbeats,
    Array(9).fill([first.lease, second.lease]),
  );
  assertEquals(first.heldUntil, 18_000 + LEASE_MS);
  assertEquals([first.reason, second.reason], [undefined, undefined]);
});

Deno.test("Heartbeats sleeps while there is no run, and wakes with the next", async () => {
  const { clock, queue, runs, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  assertEquals(clock.sleepers, 0);
  const first = await begin();
  await clock.advance(500);
  runs.delete(first);
  await clock.advance(1_000);
  assertEquals([clock.sleepers, queue.heartbeats.length], [0, 0]);
  await clock.advance(3_600_000);
  const second = await begin();
  await clock.advance(2_000);
  assertEquals(queue.heartbeats, [[second.lease]]);
});

Deno.test("Heartbeats goes on where the next run comes before its tick", async () => {
  const { clock, queue, runs, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const first = await begin();
  await clock.advance(500);
  runs.delete(first);
  const second = await begin();
  await clock.advance(60_000);
  assertEquals(second.reason, undefined);
  assert(queue.heartbeats.every(([lease]) => lease === second.lease));
});

Deno.test("Heartbeats tells each run of its own lease", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const [lost, cancelled, held] = [
    await begin(),
    await begin(),
    await begin(),
  ];
  queue.takeOver(lost.task.id);
  queue.change(cancelled.task.id, { cancelRequestedAt: clock.now() });
  await clock.advance(2_000);
  const reasons = [lost, cancelled, held].map(({ reason }) => reason);
  assertEquals(reasons, ["lease lost", "cancelled", undefined]);
});

Deno.test("Heartbeats asks within a second of a change, or of a jump of the clock", async () => {
  const { clock, queue, heartbeats, begin } = setUp({ leaseMs: 60_000 });
  await using _ = heartbeats;
  await begin();
  await clock.advance(5_500);
  assertEquals(queue.heartbeats.length, 0);
  queue.announce();
  await clock.advance(1_000);
  assertEquals(queue.heartbeats.length, 1);
  clock.jump(3_600_000);
  await clock.advance(1_000);
  assertEquals(queue.heartbeats.length, 2);
  await clock.advance(10_000);
  assertEquals(queue.heartbeats.length, 2);
});

Deno.test("Heartbeats goes on while record() hangs", async () => {
  const { clock, queue, recorder, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const run = await begin();
  queue.hangs("record");
  run.note = note("Half way");
  await clock.advance(30_000);
  assertEquals([queue.groups, queue.heartbeats.length], [[1], 15]);
  assertEquals(run.reason, undefined);
  recorder.abandon();
});

Deno.test("Heartbeats tells a run when its lease is over, whatever the store does", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const run = await begin();
  queue.hangs("heartbeat");
  await clock.advance(LEASE_MS - 1);
  assertEquals(run.reason, undefined);
  await clock.advance(1);
  assertEquals(run.reason, "lease lost");
  queue.heals("heartbeat");
});

Deno.test("Heartbeats tries again each second while it fails, and tells a run in time", async () => {
  const { clock, queue, heartbeats, begin, logged } = setUp();
  await using _ = heartbeats;
  const run = await begin();
  queue.fails("heartbeat");
  await clock.advance(LEASE_MS - 1);
  assertEquals([run.reason, queue.heartbeats.length], [undefined, 4]);
  await clock.advance(1);
  assertEquals(run.reason, "lease lost");
  const lines = logged().filter((line) => line.includes("Cannot renew 1"));
  assert(lines.length >= 4, lines.join("\n"));
});

Deno.test("Heartbeats needs one answer only to keep a run", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const run = await begin();
  queue.fails("heartbeat");
  await clock.advance(5_900);
  queue.heals("heartbeat");
  await clock.advance(100);
  // Too late: that tick came at the end of the lease.
  assertEquals(run.reason, "lease lost");
  const other = await begin();
  queue.fails("heartbeat");
  await clock.advance(4_500);
  queue.heals("heartbeat");
  await clock.advance(60_000);
  assertEquals(other.reason, undefined);
});

for (const leaseMs of [500, 1_000, LEASE_MS, 60_000]) {
  Deno.test(`Heartbeats keeps a run with a lease of ${leaseMs} ms for as long as another program keeps everybody out`, async () => {
    const { clock, queue, heartbeats, begin, logged } = setUp({ leaseMs });
    await using _ = heartbeats;
    const run = await begin();
    // As the store does it: it waits for a while before it says so.
    queue.before("heartbeat", async () => {
      await clock.sleep(Math.min(500, leaseMs / 3));
      throw new DatabaseBusyError("held", { keepsAllOut: true });
    });
    await clock.advance(3 * Math.max(leaseMs, 3_000));
    assertEquals(run.reason, undefined);
    queue.heals("heartbeat");
    await clock.advance(2 * leaseMs);
    assertEquals(run.reason, undefined);
    assertEquals(queue.heartbeats.at(-1), [run.lease]);
    const lines = logged().filter((line) => line.includes("Cannot renew"));
    assertEquals(lines.length, 1, "It is said once");
  });
}

Deno.test("Heartbeats gives a run up after its lease where only this runner is cut off from the store", async () => {
  const { clock, queue, heartbeats, begin, logged } = setUp();
  await using _ = heartbeats;
  const run = await begin();
  queue.before("heartbeat", async () => {
    await clock.sleep(500);
    throw new DatabaseBusyError("the connection was lost", { holder: "" });
  });
  await clock.advance(LEASE_MS - 1);
  assertEquals(run.reason, undefined);
  await clock.advance(1);
  assertEquals(run.reason, "lease lost");
  const lines = logged().filter((line) => line.includes("Cannot renew"));
  assertEquals(lines.length, 1, "It is said once");
  queue.heals("heartbeat");
  await clock.advance(1_000);
});

Deno.test("Heartbeats asks again for a run whose row is busy, and gives that one alone up after its lease", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const [free, brief, long] = [await begin(), await begin(), await begin()];
  for (const { task } of [brief, long]) queue.busy.add(task.id);
  await clock.advance(4_000);
  assertEquals([brief.heldUntil, long.heldUntil], [LEASE_MS, LEASE_MS]);
  queue.busy.delete(brief.task.id);
  await clock.advance(2_000);
  assertEquals(
    [free, brief, long].map(({ reason }) => reason),
    [undefined, undefined, "lease lost"],
  );
  assertEquals(queue.heartbeats.length, 5, "each second, once it was busy");
});

Deno.test("Heartbeats is back within the time that others leave it when the file is free", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  await begin();
  queue.isBusyFor("heartbeat");
  await clock.advance(10_000);
  queue.heals("heartbeat");
  const before = queue.heartbeats.length;
  await clock.advance(50);
  assert(queue.heartbeats.length > before);
});

Deno.test("Heartbeats keeps no run whose lease was over before anybody was kept out", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const run = await begin();
  const stopped = Promise.withResolvers<void>();
  queue.before("heartbeat", async () => {
    await stopped.promise;
    throw new DatabaseBusyError("held", { keepsAllOut: true });
  });
  await clock.advance(2_500);
  // This process was stopped meanwhile: others could claim.
  run.heldUntil = clock.monotonic();
  stopped.resolve();
  await turn();
  await clock.advance(500);
  assertEquals(run.reason, "lease lost");
});

Deno.test("Heartbeats renews the lease of a run whose outcome is not written yet, and stops it no more", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const run = await begin();
  run.end();
  await clock.advance(2_000);
  assertEquals(queue.heartbeats, [[run.lease]]);
  queue.takeOver(run.task.id);
  await clock.advance(60_000);
  assertEquals(run.reason, undefined);
});

Deno.test("Heartbeats writes the last note of a second, with those of others at once", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await using _ = heartbeats;
  const [first, second, over] = [await begin(), await begin(), await begin()];
  first.note = note("early");
  first.note = note("late");
  second.note = note("other");
  over.note = note("over");
  over.end();
  await clock.advance(1_010);
  assertEquals(queue.groups, [2]);
  const texts = queue.recorded.map(({ detail }) => detail);
  assertEquals(texts, ["late", "other"]);
  await clock.advance(5_000);
  assertEquals(queue.groups, [2]);
});

Deno.test("Heartbeats stops a run whose note finds that its lease is lost", async () => {
  const { clock, queue, heartbeats, begin } = setUp({ leaseMs: 60_000 });
  await using _ = heartbeats;
  const run = await begin();
  queue.takeOver(run.task.id);
  run.note = note("Half way");
  await clock.advance(1_010);
  assertEquals(run.reason, "lease lost");
});

Deno.test("Heartbeats says where a note can't be written, and leaves the run alone", async () => {
  const { clock, queue, heartbeats, begin, logged } = setUp();
  await using _ = heartbeats;
  const run = await begin();
  queue.refused.add(run.task.id);
  run.note = note("Half way");
  await clock.advance(1_010);
  assertEquals(run.reason, undefined);
  assert(logged().some((line) => line.includes("Cannot write progress")));
});

Deno.test("Heartbeats ends at its disposal, in the middle of a try too", async () => {
  const { clock, queue, heartbeats, begin } = setUp();
  await begin();
  queue.isBusyFor("heartbeat");
  await clock.advance(10_000);
  await heartbeats[Symbol.asyncDispose]();
  assertEquals([clock.sleepers, queue.listeners], [0, 0]);
  const before = queue.heartbeats.length;
  await clock.advance(60_000);
  await turn();
  assertEquals(queue.heartbeats.length, before);
});
