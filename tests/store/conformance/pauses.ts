/**
 * Providers that are paused: by a person, by a limit that a run met.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Store } from "../../../lib/store/contract.ts";
import type { ClaimedTask } from "../../../lib/task/task.ts";
import {
  cancel,
  complete,
  fail,
  limited,
  noteInRun,
  release,
  retryLater,
} from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  HOUR,
  idsOf,
  later,
  MINUTE,
  minutes,
  nth,
  record,
  type StoreUnderTest,
  taskOf,
  type Test,
} from "./subject.ts";

const PERSON = { kind: "person", reason: "Look first", waitMs: null } as const;
const CLAUDE = { provider: "claude" };

/** Until a pause ends, in minutes; null for never. */
async function minutesLeft(
  { store, now }: StoreUnderTest,
): Promise<(number | null)[]> {
  const at = await now();
  return (await store.admin.pauses()).map(({ until }) =>
    until && minutes(+until - +at)
  );
}

async function isPaused({ admin }: Store): Promise<boolean> {
  return (await admin.pauses()).length > 0;
}

/** Runs into a limit that ends then. */
async function meetLimit(
  store: Store,
  waitMs: number | undefined,
): Promise<ClaimedTask> {
  const run = await claimOne(store, { limit: 1 });
  await record(store, limited(run, { reason: "weekly", waitMs }));
  return run;
}

export function testPauses(test: Test): void {
  test("claim() leaves the tasks of a paused provider, those held ahead too", async ({ store }) => {
    const [a, b, c] = await create(store, [CLAUDE, {}, CLAUDE]);
    await store.admin.pause({ provider: "claude" }, PERSON);
    const claimed = await claim(store, { limit: 1, ahead: 5 });
    assertEquals(idsOf(claimed), [b]);
    assertEquals(
      claimed.pauses.map(({ provider, kind, reason, until }) => (
        { provider, kind, reason, until }
      )),
      [{
        ...CLAUDE,
        kind: "person",
        reason: "Look first",
        until: null,
      }],
    );
    assertEquals(idsOf(await claim(store, { ahead: 5 })), []);
    assertEquals(await store.admin.resume({ provider: "claude" }), 1);
    assertEquals(await store.admin.resume({ provider: "claude" }), 0);
    assertEquals(idsOf(await claim(store)), [a, c]);
  });

  test("claim() takes a task that is named though its provider is paused", async ({ store }) => {
    const taskId = await createOne(store, CLAUDE);
    await store.admin.pause({ provider: "claude" }, PERSON);
    assertEquals(idsOf(await claim(store, { taskId })), [taskId]);
  });

  test("claim() heeds a pause beside the limits of the runner and of all", async ({ store }) => {
    await createMany(store, 3, CLAUDE);
    const others = await createMany(store, 3);
    await store.admin.pause({ provider: "claude" }, PERSON);
    const one = await claim(store, {
      providerRoom: new Map([["simulate", 2], ["claude", 3]]),
    });
    assertEquals(idsOf(one), others.slice(0, 2));
    const two = await claim(store, { globalLimits: new Map([["*", 3]]) });
    assertEquals(idsOf(two), others.slice(2));
  });

  test("pauses() lists who is paused, with what waits, by their names", async (subject) => {
    const { store } = subject;
    await createMany(store, 2, CLAUDE);
    await claimOne(store, { limit: 1 });
    await createOne(store, { provider: "é 🦆" });
    await store.queue.pause({ provider: "é 🦆" }, { ...PERSON, waitMs: HOUR });
    await store.admin.pause({ provider: "claude" }, PERSON);
    await store.admin.pause({ provider: "claude" }, {
      ...PERSON,
      reason: "Again",
    });
    const found = await store.admin.pauses();
    assertEquals(
      found.map(({ provider, reason, waiting }) => [provider, reason, waiting]),
      [["claude", "Again", 1], ["é 🦆", "Look first", 1]],
    );
    assertEquals(await minutesLeft(subject), [null, 60]);
  });

  test("claim() leaves the tasks of a batch that is paused, whatever their provider", async ({ store, elapse }) => {
    const night = { batch: "nightly" };
    const [a, b, c] = await create(store, [night, { ...night, ...CLAUDE }, {}]);
    const { admin } = store;
    await admin.pause(night, { ...PERSON, waitMs: HOUR });
    const options = { limit: 1, ahead: 9, leaseMs: 9 * HOUR };
    assertEquals(idsOf(await claim(store, options)), [c]);
    assertEquals(idsOf(await claim(store, options)), []);
    const [pause, ...others] = await admin.pauses();
    assertEquals(
      [pause?.provider, pause?.batch, pause?.waiting, others],
      ["*", "nightly", 2, []],
    );
    assertEquals(await admin.resume({ batch: "other" }), 0);
    await elapse(HOUR);
    assertEquals(idsOf(await claim(store)), [a, b]);
  });

  test("claim() leaves everything where that is paused, but what is named", async ({ store }) => {
    const [a, b, c] = await create(store, [CLAUDE, { batch: "nightly" }, {}]);
    const { admin } = store;
    await admin.pause({ provider: "*" }, PERSON);
    await admin.pause({ batch: "nightly" }, PERSON);
    for (const globalLimits of [undefined, new Map([["claude", 3]])]) {
      const providerRoom = new Map([["claude", 3]]);
      const claimed = await claim(store, { globalLimits, providerRoom });
      assertEquals(idsOf(claimed), []);
    }
    const preview = await store.queue.preview({ limit: 9, maxAttempts: 3 });
    assertEquals([preview.claimableCount, preview.othersCount], [0, 3]);
    assertEquals(
      (await admin.pauses()).map(({ batch, waiting }) => [batch, waiting]),
      [["", 3], ["nightly", 1]],
    );
    assertEquals(idsOf(await claim(store, { taskId: b })), [b]);
    assertEquals(await admin.resume({ provider: "*" }), 1);
    assertEquals(idsOf(await claim(store)), [a, c]);
  });

  test("preview() knows what a pause keeps back", async ({ store, elapse }) => {
    const [a, b] = await create(store, [CLAUDE, {}]);
    await store.queue.pause({ provider: "claude" }, {
      ...PERSON,
      waitMs: HOUR,
    });
    const see = async () => {
      const options = { limit: 9, maxAttempts: 3 };
      const preview = await store.queue.preview(options);
      return [
        preview.claimable.map(({ id }) => id),
        preview.others.map(({ id }) => id),
        preview.pauses.map(({ provider }) => provider),
      ];
    };
    assertEquals(await see(), [[b], [a], ["claude"]]);
    await elapse(HOUR);
    assertEquals(await see(), [[a, b], [], []]);
  });

  test("a pause ends by itself at its time, and untilDue() knows it", async ({ store, elapse, now }) => {
    const id = await createOne(store, CLAUDE);
    await store.admin.pause({ provider: "claude" }, {
      ...PERSON,
      waitMs: HOUR,
    });
    const { at } = await claim(store);
    const { queue } = store;
    assertEquals(minutes(await queue.untilDue(at)), 60);
    assertEquals(await queue.untilDue(at, { isRetry: true }), null);
    assertEquals(await queue.untilDue(later(await now(), 2 * HOUR)), null);
    await elapse(HOUR);
    assertEquals(await isPaused(store), false);
    assertEquals(idsOf(await claim(store)), [id]);
  });

  test("record() pauses the provider of a run that met a limit, for all", async (subject) => {
    const { store, elapse } = subject;
    await createMany(store, 3, CLAUDE);
    const run = await meetLimit(store, HOUR);
    const { state, attempt } = await taskOf(store, run.task.id);
    assertEquals([state, attempt], ["running", 0]);
    assertEquals(await minutesLeft(subject), [60]);
    assertEquals(idsOf(await claim(store, { owner: "runner-b" })), []);
    await elapse(HOUR - MINUTE);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("claim() has one task try when a limit should be over, then the rest", async ({ store, elapse }) => {
    const [first, ...rest] = await createMany(store, 4, CLAUDE);
    await meetLimit(store, HOUR);
    await elapse(HOUR + MINUTE);
    const trying = await claimOne(store, { ahead: 9 });
    assertEquals(trying.task.id, first);
    assertEquals(trying.lease.attempt, 1);
    assertEquals(idsOf(await claim(store, { owner: "runner-b" })), []);
    await record(store, complete(trying));
    assertEquals(await isPaused(store), false);
    assertEquals(idsOf(await claim(store)), rest);
  });

  test("one of many runners has a task that tries, however many claim at once", async ({ store, elapse }) => {
    await createMany(store, 9, CLAUDE);
    await meetLimit(store, HOUR);
    await elapse(HOUR + MINUTE);
    const claims = await Promise.all(
      ["a", "b", "c", "d"].map((owner) => claim(store, { owner, limit: 2 })),
    );
    assertEquals(claims.flatMap(idsOf).length, 1);
  });

  test("a run that began before a limit keeps none from trying, and ends no limit", async ({ store, elapse }) => {
    await createMany(store, 4, CLAUDE);
    const { tasks } = await claim(store, { limit: 2, leaseMs: 9 * HOUR });
    const [old, met] = [nth(tasks, 0), nth(tasks, 1)];
    await record(store, limited(met, { reason: "weekly", waitMs: HOUR }));
    await elapse(HOUR + MINUTE);
    const trial = await claimOne(store, { limit: 9 });
    await record(store, fail(old, "no"));
    assertEquals(await isPaused(store), true);
    assertEquals(idsOf(await claim(store)), []);
    // As soon as it is seen to work, the rest go on.
    const detail = "claude works";
    await record(store, noteInRun(trial, { kind: "limit_over", detail }));
    assertEquals(await isPaused(store), false);
    assertEquals(idsOf(await claim(store)).length, 2);
    assertEquals((await taskOf(store, trial.task.id)).state, "running");
  });

  test("a task that meets a limit again lets others try before it", async ({ store, elapse }) => {
    const [bad, ...rest] = await createMany(store, 3, CLAUDE);
    const trials: string[] = [];
    for (let n = 0; n < 3; n++) {
      const { task } = await meetLimit(store, HOUR);
      trials.push(task.id);
      await elapse(HOUR + 20_000);
    }
    assertEquals(trials, [bad, bad, rest[0]]);
    assertEquals((await taskOf(store, bad ?? "")).attempt, 0);
  });

  test("a limit without an end after one with an end waits as a first one", async (subject) => {
    const { store, elapse } = subject;
    await createMany(store, 2, CLAUDE);
    await meetLimit(store, 48 * HOUR);
    await elapse(49 * HOUR);
    await meetLimit(store, undefined);
    assertEquals(await minutesLeft(subject), [15]);
    // And so does one whose end is told to be now, though it has just been tried.
    await elapse(16 * MINUTE);
    await meetLimit(store, 1);
    assertEquals(await minutesLeft(subject), [30]);
    // Nobody's limit takes ten years.
    await store.admin.resume({ provider: "claude" });
    await meetLimit(store, 10 * 365 * 24 * HOUR);
    assertEquals(await minutesLeft(subject), [15]);
  });

  test("what tries ends the limit by any end but a stop, a cancel or the limit", async ({ store, elapse }) => {
    await createMany(store, 9, CLAUDE);
    await meetLimit(store, HOUR);
    await elapse(HOUR + MINUTE);
    const ends = [
      [(run: ClaimedTask) => release(run, "stopped"), true],
      [(run: ClaimedTask) => cancel(run), true],
      [
        (run: ClaimedTask) => retryLater(run, { error: "no", delayMs: 1 }),
        false,
      ],
    ] as const;
    for (const [end, isOn] of ends) {
      await record(store, end(await claimOne(store, { limit: 9 })));
      assertEquals(await isPaused(store), isOn);
    }
    await meetLimit(store, HOUR);
    await elapse(HOUR + MINUTE);
    await record(store, fail(await claimOne(store), "no"));
    assertEquals(await isPaused(store), false);
  });

  test("a failure of the account pauses its provider, and so does that of what tries", async (subject) => {
    const { store, elapse } = subject;
    const [first, second, third] = await createMany(store, 3, CLAUDE);
    const failOfAccount = async () => {
      const run = await claimOne(store, { limit: 1 });
      const limit = { provider: "claude", reason: "Not logged in" };
      await record(store, { ...fail(run, "Not logged in"), limit });
      assertEquals((await taskOf(store, run.task.id)).state, "failed");
      return run.task.id;
    };
    assertEquals(await failOfAccount(), first);
    assertEquals(await minutesLeft(subject), [15]);
    assertEquals(idsOf(await claim(store)), []);
    await elapse(16 * MINUTE);
    assertEquals(await failOfAccount(), second);
    assertEquals(await minutesLeft(subject), [30]);
    await elapse(31 * MINUTE);
    await record(store, complete(await claimOne(store)));
    assertEquals(await isPaused(store), false);
    assertEquals((await taskOf(store, third ?? "")).state, "completed");
  });

  test("a limit that is met again pauses anew, and one with a later end counts", async (subject) => {
    const { store, elapse } = subject;
    await createMany(store, 3, CLAUDE);
    const { tasks } = await claim(store, { leaseMs: 9 * HOUR });
    const [one, two, three] = [nth(tasks, 0), nth(tasks, 1), nth(tasks, 2)];
    await record(
      store,
      limited(one, { reason: "five hours", waitMs: 2 * HOUR }),
      limited(two, { reason: "five hours", waitMs: HOUR }),
    );
    assertEquals(await minutesLeft(subject), [120]);
    await elapse(3 * HOUR);
    await record(store, limited(three, { reason: "weekly", waitMs: HOUR }));
    assertEquals(await minutesLeft(subject), [60]);
  });

  test("a limit without an end waits longer each time, then for a person", async (subject) => {
    const { store, elapse } = subject;
    await createMany(store, 2, CLAUDE);
    const waits: (number | null)[] = [];
    for (;;) {
      await meetLimit(store, undefined);
      const [left = null] = await minutesLeft(subject);
      waits.push(left);
      if (left === null) break;
      await elapse((left + 1) * MINUTE);
    }
    assertEquals(waits.slice(0, 6), [15, 30, 60, 120, 240, 480]);
    const [last] = waits.slice(-2);
    assertEquals(waits.length, 8);
    // So that it is a day since the first.
    assertEquals(Math.round((last ?? 0) / 60), 8);
    assertEquals(await store.admin.resume({ provider: "claude" }), 1);
    // Whoever met it so often comes ten minutes behind the others at most.
    await elapse(11 * MINUTE);
    assertEquals(idsOf(await claim(store)).length, 2);
  });

  test("handOver() gives what waits to another provider, and says so in its history", async (subject) => {
    const { store } = subject;
    const [running, waiting] = await createMany(store, 2, CLAUDE);
    const runAt = later(await subject.now(), HOUR);
    const scheduled = await createOne(store, { ...CLAUDE, runAt });
    await claimOne(store, { limit: 1 });
    const options = { from: "claude", to: "codex", reason: "weekly" };
    assertEquals(await store.queue.handOver(options), 1);
    assertEquals(await store.queue.handOver(options), 0);
    assertEquals((await taskOf(store, running ?? "")).provider, "claude");
    assertEquals((await taskOf(store, scheduled)).provider, "claude");
    assertEquals((await taskOf(store, waiting ?? "")).provider, "codex");
    const [, event] = await store.admin.history(waiting ?? "");
    assertEquals([event?.kind, event?.detail], [
      "handed_over",
      "claude → codex: weekly",
    ]);
  });
}
