/**
 * Claiming what a dead runner had begun, so that one bad task falls alone.
 *
 * @module
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { ClaimOptions } from "../../../lib/store/contract.ts";
import {
  askInput,
  complete,
  release,
  retryLater,
} from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  endAbandoned,
  HOUR,
  idsOf,
  LEASE_MS,
  nth,
  record,
  startOne,
  type StoreUnderTest,
  taskOf,
  type Test,
} from "./subject.ts";

/** A runner claims all that it can, so many times, and dies with it each time. */
async function dieWithAll(
  { store, elapse }: StoreUnderTest,
  times: number,
  options: Partial<ClaimOptions> = {},
): Promise<void> {
  for (let n = 0; n < times; n++) {
    assertNotEquals(idsOf(await claim(store, options)), []);
    await elapse(LEASE_MS);
  }
}

export function testRescue(test: Test): void {
  testTaken(test);
  testAlone(test);
}

function testTaken(test: Test): void {
  test("claim() takes a task whose lease has run out, as another attempt", async ({ store, elapse }) => {
    const first = await startOne(store);
    await elapse(LEASE_MS / 2);
    assertEquals(idsOf(await claim(store, { owner: "runner-b" })), []);
    await elapse(LEASE_MS / 2);
    const { task, lease } = await claimOne(store, { owner: "runner-b" });
    assertEquals(
      [task.id, task.leaseOwner, lease.attempt, task.attempt],
      [first.task.id, "runner-b", 2, 2],
    );
    assertNotEquals(lease.id, first.lease.id);
  });

  test("claim() takes expired leases while other tasks wait", async ({ store, elapse }) => {
    const ids = await createMany(store, 6);
    await claim(store, { limit: 2 });
    await elapse(LEASE_MS);
    assertEquals(idsOf(await claim(store, { limit: 10 })), ids);
  });

  test("claim() takes together what a runner died with before its last attempt", async (subject) => {
    const { store } = subject;
    const ids = await createMany(store, 4);
    await dieWithAll(subject, 1);
    const { tasks, waitsForIdle } = await claim(store);
    assertEquals(tasks.map(({ task }) => task.id), ids);
    assertEquals(tasks.map(({ lease }) => lease.attempt), [2, 2, 2, 2]);
    assertEquals(waitsForIdle, false);
  });

  test("claim() never takes or ends what a runner died with at its last attempt", async (subject) => {
    const { store, storedTextOf } = subject;
    const ids = await createMany(store, 2, { maxAttempts: 1 });
    await dieWithAll(subject, 1);
    const before = await Promise.all(ids.map(storedTextOf));
    for (const isIdle of [false, true]) {
      const { tasks, waitsForIdle } = await claim(store, { isIdle, ahead: 9 });
      assertEquals([tasks, waitsForIdle], [[], false]);
    }
    const [taskId] = ids;
    assertEquals(idsOf(await claim(store, { taskId, isIdle: true })), []);
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
  });

  test("claim() goes by its maxAttempts where a task sets none", async (subject) => {
    const { store } = subject;
    const [one, five] = await create(store, [{}, { maxAttempts: 5 }]);
    await dieWithAll(subject, 1);
    assertEquals(idsOf(await claim(store, { maxAttempts: 1 })), [five]);
    await subject.elapse(LEASE_MS);
    assertEquals(idsOf(await claim(store, { maxAttempts: 9 })), [one, five]);
  });

  test("claim() counts no question as an attempt that is spent", async (subject) => {
    const { store, elapse } = subject;
    const asked = await startOne(store, { maxAttempts: 2 });
    const { id } = asked.task;
    await record(store, askInput(asked, "Which?"));
    await store.admin.answer([id], "main");
    const answered = await claimOne(store);
    assertEquals([answered.lease.attempt, answered.task.questions], [2, 1]);
    await elapse(LEASE_MS);
    assertEquals(await endAbandoned(store), []);
    const last = await claimOne(store, { isIdle: true });
    assertEquals(last.lease.attempt, 3);
    await elapse(LEASE_MS);
    assertEquals(idsOf(await claim(store, { isIdle: true })), []);
    assertEquals((await endAbandoned(store)).length, 1);
  });

  test("claim() counts no task without a lease as one whose runner died", async (subject) => {
    const { store, elapse, changeTask } = subject;
    const [answered = "", retried = ""] = await createMany(store, 2);
    const { tasks } = await claim(store, { maxAttempts: 1 });
    await record(
      store,
      askInput(nth(tasks, 0), "Which?"),
      retryLater(nth(tasks, 1), { error: "no", delayMs: HOUR }),
    );
    await changeTask(answered, { state: "running" });
    await elapse(HOUR);
    assertEquals(await endAbandoned(store, { maxAttempts: 1 }), []);
    const again = await claim(store, { maxAttempts: 1 });
    assertEquals(idsOf(again), [answered, retried]);
    assertEquals(again.tasks.map(({ lease }) => lease.attempt), [2, 2]);
  });
}

function testAlone(test: Test): void {
  test("claim() leaves what a runner died with at its last attempt but one to an idle runner", async (subject) => {
    const { store, storedTextOf } = subject;
    const bad = await createMany(store, 3);
    await dieWithAll(subject, 2);
    const fresh = await createMany(store, 2);
    const all = [...bad, ...fresh];
    const before = await Promise.all(all.map(storedTextOf));
    const { tasks, waitsForIdle } = await claim(store, { limit: 10, ahead: 9 });
    assertEquals([tasks, waitsForIdle], [[], true]);
    assertEquals(await Promise.all(all.map(storedTextOf)), before);
  });

  test("claim() gives it to an idle runner by itself, though others wait", async (subject) => {
    const { store } = subject;
    const bad = await createMany(store, 3);
    await dieWithAll(subject, 2);
    const fresh = await createMany(store, 2);
    const options = { limit: 10, ahead: 9, isIdle: true };
    for (const id of bad) {
      const { tasks } = await claim(store, options);
      const run = nth(tasks, 0);
      assertEquals(tasks.length, 1);
      assertEquals([run.task.id, run.lease.attempt], [id, 3]);
      assertEquals(run.isAlone, true);
      // Now it has something in hand.
      const meanwhile = await claim(store, { ...options, isIdle: false });
      const isLast = id === bad.at(-1);
      if (isLast) assertEquals(idsOf(meanwhile), fresh);
      else assertEquals([meanwhile.tasks, meanwhile.waitsForIdle], [[], true]);
      assertEquals((await record(store, complete(run))).results, ["written"]);
    }
  });

  test("claim() holds nothing beside it", async (subject) => {
    const { store } = subject;
    const bad = await createOne(store);
    await dieWithAll(subject, 2);
    const [fresh] = await createMany(store, 1);
    const one = await claim(store, { limit: 1, ahead: 9, isIdle: true });
    assertEquals(idsOf(one), [bad]);
    assertEquals(idsOf(await claim(store, { limit: 1 })), [fresh]);
  });

  test("claim() takes what comes before it in order as usual, without it", async (subject) => {
    const { store } = subject;
    const bad = await createOne(store);
    await dieWithAll(subject, 2);
    const first = await createMany(store, 3, { priority: 9 });
    const one = await claim(store, { limit: 1 });
    assertEquals([idsOf(one), one.waitsForIdle], [[first[0]], false]);
    const rest = await claim(store, { limit: 10, isIdle: true });
    assertEquals([idsOf(rest), rest.waitsForIdle], [first.slice(1), true]);
    assertEquals(rest.tasks.some(({ isAlone }) => isAlone), false);
    const waiting = await claim(store, { limit: 10 });
    assertEquals([waiting.tasks, waiting.waitsForIdle], [[], true]);
    const alone = await claim(store, { limit: 10, isIdle: true });
    assertEquals(idsOf(alone), [bad]);
  });

  test("claim() gives by itself what was rescued before, then failed, and has its last retry", async (subject) => {
    const { store, elapse } = subject;
    const id = await createOne(store);
    await dieWithAll(subject, 1);
    const second = await claimOne(store);
    assertEquals(second.lease.attempt, 2);
    await record(store, retryLater(second, { error: "no", delayMs: HOUR }));
    await elapse(HOUR);
    await createOne(store);
    const busy = await claim(store);
    assertEquals([busy.tasks, busy.waitsForIdle], [[], true]);
    const { task, lease } = await claimOne(store, { isIdle: true });
    assertEquals([task.id, lease.attempt], [id, 3]);
  });

  test("claim() takes together what failed before its last attempt, and no runner died with", async ({ store }) => {
    const ids = await createMany(store, 3);
    for (let n = 0; n < 2; n++) {
      const { tasks } = await claim(store);
      const retry = { error: "no", delayMs: 0 };
      await record(store, ...tasks.map((it) => retryLater(it, retry)));
    }
    const { tasks, waitsForIdle } = await claim(store);
    assertEquals(tasks.map(({ task }) => task.id), ids);
    assertEquals(tasks.map(({ lease }) => lease.attempt), [3, 3, 3]);
    assertEquals(waitsForIdle, false);
  });

  test("claim() takes together what has one attempt only", async ({ store }) => {
    const ids = await createMany(store, 3, { maxAttempts: 1 });
    const { tasks, waitsForIdle } = await claim(store);
    assertEquals(tasks.map(({ task }) => task.id), ids);
    assertEquals(waitsForIdle, false);
    await record(store, ...tasks.map((it) => release(it, "stopped")));
    assertEquals(idsOf(await claim(store)), ids);
  });

  test("claim() waits for nothing that it may not claim", async (subject) => {
    const { store } = subject;
    await createOne(store, { provider: "a" });
    await dieWithAll(subject, 2);
    const other = await createOne(store, { provider: "b" });
    const options: Partial<ClaimOptions>[] = [
      { providers: ["b"] },
      { providers: ["b"], isIdle: true },
      { providerRoom: new Map([["a", 0]]) },
      { providerRoom: new Map([["a", 0]]), isIdle: true },
      { taskId: other },
    ];
    for (const option of options) {
      const { tasks, waitsForIdle } = await claim(store, option);
      assertEquals(tasks.map(({ task }) => task.id), [other]);
      assert(!waitsForIdle);
      await record(store, release(nth(tasks, 0), "stopped"));
    }
    assertEquals((await taskOf(store, other)).attempt, 0);
  });
}
