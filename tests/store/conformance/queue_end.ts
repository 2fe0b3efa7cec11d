/**
 * Ending what nobody will run again, and setting going what was answered elsewhere.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import {
  askInput,
  complete,
  release,
  retryLater,
  traceTime,
} from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  createMany,
  createOne,
  endAbandoned,
  endsOf,
  historyOf,
  HOUR,
  idsOf,
  lastEventAt,
  LEASE_MS,
  MINUTE,
  minutes,
  nth,
  record,
  startOne,
  statesOf,
  taskOf,
  type Test,
  traceOf,
} from "./subject.ts";

export function testEnd(test: Test): void {
  testDied(test);
  testCancelled(test);
  testQuestions(test);
}

function testDied(test: Test): void {
  test("endAbandoned() fails a task whose runner died at every attempt, once", async ({ store, elapse }) => {
    const id = await createOne(store);
    for (const owner of ["runner-0", "runner-1", "runner-2"]) {
      assertEquals(await endAbandoned(store), []);
      assertEquals(idsOf(await claim(store, { owner, isIdle: true })), [id]);
      assertEquals(await endAbandoned(store), []);
      await elapse(LEASE_MS);
    }
    const ended = await endAbandoned(store);
    assertEquals(endsOf(ended), [[id, "failed"]]);
    const { transition } = nth(ended, 0);
    assertEquals([transition.from, transition.to], ["running", "failed"]);
    const task = await taskOf(store, id);
    assertEquals([task.state, task.attempt], ["failed", 3]);
    assertEquals([task.leaseOwner, task.leaseExpiresAt], [null, null]);
    const trace = await traceOf(store, id);
    assertMatch(String(trace.error), /runner died/i);
    assertEquals(trace.failed_at, traceTime(await lastEventAt(store, id)));
    assertEquals(trace.failed_by, "runner_loop");
    const [kind, attempt, , detail] = nth(await historyOf(store, id), 4);
    assertEquals([kind, attempt, detail], ["failed", 3, trace.error]);
    for (const ms of [0, MINUTE, 1_000 * HOUR]) {
      await elapse(ms);
      assertEquals(await endAbandoned(store), []);
      assertEquals(idsOf(await claim(store, { isIdle: true })), []);
    }
  });

  test("endAbandoned() fails those that died at their last attempt and leaves the others", async ({ store, elapse, storedTextOf }) => {
    const dead = await createMany(store, 3, { maxAttempts: 1 });
    const again = await createOne(store, { maxAttempts: 2 });
    await claim(store);
    await elapse(LEASE_MS);
    const [fresh = "", released = "", retried = "", alive = ""] =
      await createMany(store, 4, { maxAttempts: 1 });
    const { tasks } = await claim(store, { limit: 9, taskId: released });
    await record(store, release(nth(tasks, 0), "stopped"));
    const run = await claimOne(store, { taskId: retried });
    await record(store, retryLater(run, { error: "no", delayMs: 0 }));
    await claimOne(store, { taskId: alive });
    const others = [again, fresh, released, retried, alive];
    const before = await Promise.all(others.map(storedTextOf));
    const ended = await endAbandoned(store);
    assertEquals(ended.map(({ task }) => task.id).sort(), dead.sort());
    assertEquals(await Promise.all(others.map(storedTextOf)), before);
    assertEquals(await statesOf(store), { created: 1, running: 4, failed: 3 });
  });

  test("endAbandoned() lets a task's own max_attempts win", async ({ store, elapse }) => {
    const one = await createOne(store, { maxAttempts: 1 });
    const five = await createOne(store, { maxAttempts: 5 });
    async function pass(): Promise<[string[], string[]]> {
      const ended = await endAbandoned(store, { maxAttempts: 3 });
      const claimed = await claim(store, { maxAttempts: 3, isIdle: true });
      await elapse(LEASE_MS);
      return [idsOf(claimed), ended.map(({ task }) => task.id)];
    }
    assertEquals(await pass(), [[one, five], []]);
    assertEquals(await pass(), [[five], [one]]);
    for (let n = 3; n <= 5; n++) assertEquals(await pass(), [[five], []]);
    assertEquals(await pass(), [[], [five]]);
  });

  test("endAbandoned() of one task leaves the others alone", async ({ store, elapse }) => {
    const [one = "", other = ""] = await createMany(store, 2, {
      maxAttempts: 1,
    });
    await claim(store);
    await elapse(LEASE_MS);
    const ended = await endAbandoned(store, { taskId: one });
    assertEquals(endsOf(ended), [[one, "failed"]]);
    assertEquals((await taskOf(store, other)).state, "running");
  });

  test("record() writes nothing of a run that was ended as abandoned", async ({ store, elapse, storedTextOf }) => {
    const run = await startOne(store, { maxAttempts: 1 });
    await elapse(LEASE_MS);
    await endAbandoned(store);
    const before = await storedTextOf(run.task.id);
    assertEquals((await record(store, complete(run))).results, ["lost"]);
    assertEquals(await storedTextOf(run.task.id), before);
  });
}

function testCancelled(test: Test): void {
  test("endAbandoned() ends a cancelled task whose runner died", async ({ store, elapse }) => {
    const run = await startOne(store);
    const { id } = run.task;
    assertEquals(await store.admin.cancel([id]), ["requested"]);
    await elapse(LEASE_MS / 2);
    assertEquals(await endAbandoned(store), []);
    await elapse(LEASE_MS / 2);
    assertEquals(idsOf(await claim(store, { isIdle: true })), []);
    assertEquals(endsOf(await endAbandoned(store)), [[id, "cancelled"]]);
    assertEquals((await taskOf(store, id)).state, "failed");
    assertEquals((await traceOf(store, id)).result, "cancelled");
    assertEquals(await endAbandoned(store), []);
    assertEquals((await record(store, complete(run))).results, ["lost"]);
  });

  test("endAbandoned() ends a cancelled task that waits for its retry", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    await store.admin.cancel([id]);
    await record(store, retryLater(run, { error: "no", delayMs: 1e9 }));
    assertEquals(idsOf(await claim(store)), []);
    assertEquals(endsOf(await endAbandoned(store)), [[id, "cancelled"]]);
    assertEquals((await taskOf(store, id)).state, "failed");
  });

  test("endAbandoned() ends a task that was given back after it was cancelled", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    await store.admin.cancel([id]);
    await record(store, release(run, "The runner was stopped"));
    assertEquals(idsOf(await claim(store)), []);
    assertEquals(endsOf(await endAbandoned(store)), [[id, "cancelled"]]);
  });

  test("endAbandoned() ends a task that asked after it was cancelled", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    await store.admin.cancel([id]);
    await record(store, askInput(run, "Q?", { answerWithinMs: HOUR }));
    assertEquals(endsOf(await endAbandoned(store)), [[id, "cancelled"]]);
    assertEquals((await taskOf(store, id)).state, "failed");
  });
}

function testQuestions(test: Test): void {
  test("endAbandoned() fails a question that nobody answered in time", async ({ store, elapse }) => {
    const [id = "", other = ""] = await createMany(store, 2);
    const { tasks } = await claim(store);
    await record(
      store,
      askInput(nth(tasks, 0), "Which?", { answerWithinMs: HOUR }),
      askInput(nth(tasks, 1), "And here?"),
    );
    await elapse(HOUR - MINUTE);
    assertEquals(await endAbandoned(store), []);
    await elapse(MINUTE);
    assertEquals(idsOf(await claim(store)), []);
    assertEquals(endsOf(await endAbandoned(store)), [[id, "failed"]]);
    const task = await taskOf(store, id);
    assertEquals([task.state, task.runAt], ["failed", null]);
    const { error } = await traceOf(store, id);
    assertMatch(String(error), /^Nobody answered .*: Which\?$/);
    const [kind, , , detail] = nth((await historyOf(store, id)).slice(-1), 0);
    assertEquals([kind, detail], ["failed", error]);
    assertEquals(await store.admin.answer([id], "late"), ["ended"]);
    assertEquals((await taskOf(store, other)).state, "needs_input");
  });

  test("endAbandoned() leaves a question that was answered in time", async ({ store, elapse }) => {
    const run = await startOne(store);
    const { id } = run.task;
    await record(store, askInput(run, "Q?", { answerWithinMs: HOUR }));
    await elapse(HOUR - MINUTE);
    assertEquals(await store.admin.answer([id], "A"), ["answered"]);
    await elapse(HOUR);
    assertEquals(await endAbandoned(store), []);
    assertEquals((await claimOne(store)).task.id, id);
  });

  test("endAbandoned() sets going what another program answered, though its question had a time", async ({ store, changeTask }) => {
    const [id = "", retried = ""] = await createMany(store, 2);
    const { tasks } = await claim(store);
    const asked = { answerWithinMs: 1_000 * HOUR };
    await record(store, ...tasks.map((it) => askInput(it, "Which?", asked)));
    // One that was answered here, and then waits for its retry.
    await store.admin.answer([retried], "main");
    const again = await claimOne(store);
    const delayMs = 100 * HOUR;
    await record(store, retryLater(again, { error: "no", delayMs }));
    await changeTask(id, { state: "running" });
    assertEquals(idsOf(await claim(store)), []);
    assertEquals(await endAbandoned(store), []);
    const run = await claimOne(store);
    assertEquals([run.task.id, run.task.runAt], [id, null]);
    assertEquals([run.lease.attempt, run.task.questions], [2, 1]);
    const kinds = (await historyOf(store, id)).map(([kind]) => kind);
    assertEquals(kinds.slice(-2), ["answered", "started"]);
    const { runAt, updatedAt } = await taskOf(store, retried);
    assertEquals(
      runAt && minutes(runAt.getTime() - updatedAt.getTime()),
      delayMs / MINUTE,
    );
  });
}
