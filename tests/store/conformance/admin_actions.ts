/**
 * Stepping in: cancelling tasks and answering their questions, in sets.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Store } from "../../../lib/store/contract.ts";
import { answersOf, UNREADABLE_KEY } from "../../../lib/task/trace.ts";
import {
  askInput,
  complete,
  fail,
  release,
  retryLater,
  traceTime,
} from "../../../lib/task/transitions.ts";
import {
  assertNow,
  claim,
  claimOne,
  createMany,
  createOne,
  endAbandoned,
  historyOf,
  HOUR,
  idsOf,
  lastEventAt,
  later,
  LEASE_MS,
  nth,
  record,
  startOne,
  statesOf,
  taskOf,
  type Test,
  traceOf,
} from "./subject.ts";

/** One task of each kind, by what it is; oldest first. */
export async function createEach(store: Store) {
  const ids = await createMany(store, 6, { provider: "claude" });
  const [completed, failed, waiting, asking, running, cancelling] = ids;
  const { tasks } = await claim(store, { leaseMs: HOUR });
  await record(
    store,
    complete(nth(tasks, 0)),
    fail(nth(tasks, 1), "no"),
    retryLater(nth(tasks, 2), { error: "busy", delayMs: 500 * HOUR }),
    askInput(nth(tasks, 3), "Which?"),
  );
  const [result] = await store.admin.cancel(ids.slice(5));
  assertEquals(result, "requested");
  const created = await createOne(store, { provider: "claude" });
  assert(completed && failed && waiting && asking && running && cancelling);
  return { completed, failed, waiting, asking, running, cancelling, created };
}

export function testActions(test: Test): void {
  testCancel(test);
  testAnswer(test);
}

function testCancel(test: Test): void {
  test("cancel() fails a task that nobody works on", async (subject) => {
    const { store, elapse } = subject;
    const ids = await createMany(store, 5, { trace: { mine: 1 } });
    const { tasks } = await claim(store, { limit: 4 });
    await record(
      store,
      release(nth(tasks, 0), "stopped"),
      askInput(nth(tasks, 1), "Which?"),
      retryLater(nth(tasks, 2), { error: "no", delayMs: HOUR }),
    );
    await elapse(LEASE_MS);
    await assertNow(subject, async () => {
      const results = await store.admin.cancel(ids);
      assertEquals(results, Array(5).fill("cancelled"));
      return (await Promise.all(ids.map((id) => taskOf(store, id))))
        .map(({ updatedAt }) => updatedAt);
    });
    for (const id of ids) {
      const { state, leaseOwner, runAt, updatedAt } = await taskOf(store, id);
      assertEquals([state, leaseOwner, runAt], ["failed", null, null]);
      const { mine, result, cancelled_at } = await traceOf(store, id);
      assertEquals([mine, result], [1, "cancelled"]);
      assertEquals(cancelled_at, traceTime(updatedAt));
      const [kind, , runner] = nth((await historyOf(store, id)).slice(-1), 0);
      assertEquals([kind, runner], ["cancelled", null]);
      assertEquals(await lastEventAt(store, id), updatedAt);
    }
    await elapse(HOUR);
    assertEquals(idsOf(await claim(store)), []);
    assertEquals(await endAbandoned(store, { maxAttempts: 1 }), []);
    const late = await record(store, complete(nth(tasks, 3)));
    assertEquals(late.results, ["lost"]);
  });

  test("cancel() fails a task that was never claimed", async ({ store }) => {
    const [id = "", other] = await createMany(store, 2);
    assertEquals(await store.admin.cancel([id]), ["cancelled"]);
    assertEquals((await taskOf(store, id)).state, "failed");
    assertEquals(idsOf(await claim(store)), [other]);
  });

  test("cancel() asks the runner of a task to stop", async (subject) => {
    const { store } = subject;
    const run = await startOne(store);
    const { id } = run.task;
    await assertNow(subject, async () => {
      assertEquals(await store.admin.cancel([id]), ["requested"]);
      const { state, cancelRequestedAt } = await taskOf(store, id);
      assertEquals(state, "running");
      return [cancelRequestedAt, await lastEventAt(store, id)];
    });
    const [kind, attempt] = nth((await historyOf(store, id)).slice(-1), 0);
    assertEquals([kind, attempt], ["cancel_requested", 1]);
    const states = await store.queue.heartbeat([run.lease], {
      leaseMs: LEASE_MS,
    });
    assertEquals(states, ["cancelled"]);
  });

  test("cancel() changes nothing that has ended, or is missing", async ({ store, storedTextOf }) => {
    const { completed, failed } = await createEach(store);
    const missing = crypto.randomUUID();
    const ids = [completed, failed];
    const before = await Promise.all(ids.map(storedTextOf));
    assertEquals(
      await store.admin.cancel([...ids, missing]),
      ["ended", "ended", "missing"],
    );
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
    assertEquals(await store.admin.history(missing), []);
  });

  test("cancel() fails a task that waits for an answer", async ({ store, elapse }) => {
    const run = await startOne(store);
    const { id } = run.task;
    await record(store, askInput(run, "Q?", { answerWithinMs: HOUR }));
    assertEquals(await store.admin.cancel([id]), ["cancelled"]);
    assertEquals(await store.admin.answer([id], "A"), ["ended"]);
    await elapse(HOUR);
    assertEquals(await endAbandoned(store), []);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("cancel() says of each task, in their order, what came of it", async ({ store }) => {
    const tasks = await createEach(store);
    const ids = [
      tasks.created,
      tasks.running,
      crypto.randomUUID(),
      tasks.completed,
      tasks.asking,
      tasks.created.toUpperCase(),
      tasks.waiting,
    ];
    assertEquals(await store.admin.cancel(ids), [
      "cancelled",
      "requested",
      "missing",
      "ended",
      "cancelled",
      "cancelled",
      "cancelled",
    ]);
    assertEquals(await historyOf(store, tasks.created), [
      ["created", 0, null, null],
      ["cancelled", 0, null, null],
    ]);
    assertEquals((await taskOf(store, tasks.running)).state, "running");
    assertEquals(await store.admin.cancel([]), []);
  });

  test("cancel() and retry() take more tasks than one transaction does", async ({ store }) => {
    const count = 20_001;
    const ids = await createMany(store, count, { provider: "bulk" });
    const cancelled = await store.admin.cancel(ids);
    assertEquals(cancelled.filter((it) => it === "cancelled").length, count);
    const found = await store.admin.retryable({ provider: "bulk" });
    assertEquals(found.length, count);
    const retried = await store.admin.retry(ids);
    const newIds = retried.map((it) => it.kind === "created" ? it.newId : "");
    assertEquals(new Set(newIds).size, count);
    assertEquals(await statesOf(store), { created: count, failed: count });
    const last = await traceOf(store, nth(newIds, count - 1));
    assertEquals(last, { retry_of: nth(ids, count - 1) });
    assertEquals(await store.admin.retryable({}), []);
  });

  test("cancellable() finds what has not ended, oldest first", async ({ store }) => {
    const { created, running, asking, waiting, cancelling } = await createEach(
      store,
    );
    const all = await store.admin.cancellable({});
    assertEquals(all.at(-1), { id: created, state: "created" });
    assertEquals(
      all.map(({ id }) => id),
      [waiting, asking, running, cancelling, created],
    );
    assertEquals(await store.admin.cancellable({ states: ["needs_input"] }), [
      { id: asking, state: "needs_input" },
    ]);
    assertEquals(await store.admin.cancellable({ provider: "none" }), []);
    assertEquals(
      (await store.admin.cancellable({ provider: "claude" })).length,
      5,
    );
  });
}

function testAnswer(test: Test): void {
  test("answer() makes a task claimable, with the answer in its trace", async (subject) => {
    const { store, elapse } = subject;
    const asked = await startOne(
      store,
      { trace: { mine: 1 } },
      { maxAttempts: 1 },
    );
    const { id } = asked.task;
    await record(store, askInput(asked, "Which?", { answerWithinMs: HOUR }));
    await elapse(1_000);
    await assertNow(subject, async () => {
      assertEquals(await store.admin.answer([id], "main 漢\n"), ["answered"]);
      return [(await taskOf(store, id)).updatedAt];
    });
    const { updatedAt, ...task } = await taskOf(store, id);
    assertEquals([task.state, task.runAt], ["running", null]);
    assertEquals([task.leaseOwner, task.leaseExpiresAt], [null, null]);
    assertEquals([task.attempt, task.questions], [1, 1]);
    const trace = await traceOf(store, id);
    assertEquals([trace.mine, trace.question], [1, null]);
    assertEquals(trace.answers, [{
      question: "Which?",
      answer: "main 漢\n",
      answered_at: traceTime(updatedAt),
    }]);
    // One attempt is all that it has, and a question counts as none.
    const again = await claimOne(store, { maxAttempts: 1 });
    assertEquals([again.task.id, again.lease.attempt], [id, 2]);
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null],
      ["started", 1, "runner-a", null],
      ["needs_input", 1, "runner-a", "Which?"],
      ["answered", 1, null, "main 漢\n"],
      ["started", 2, "runner-a", null],
    ]);
    assertEquals((await record(store, complete(asked))).results, ["lost"]);
    await record(store, fail(again, "no"));
    assertEquals((await taskOf(store, id)).state, "failed");
  });

  test("note() is kept for the next attempt, and changes nothing else", async (subject) => {
    const { store, now } = subject;
    const runAt = later(await now(), HOUR);
    const id = await createOne(store, { runAt });
    const before = await taskOf(store, id);
    assertEquals(await store.admin.note(id, "Use é 🦆"), "noted");
    const after = await taskOf(store, id);
    const { traceText, updatedAt } = after;
    assertEquals({ ...before, traceText, updatedAt }, after);
    const texts = async () => {
      const { notes = [] } = await traceOf(store, id);
      return (notes as { text: string }[]).map(({ text }) => text);
    };
    assertEquals(await texts(), ["Use é 🦆"]);
    const [, event] = await store.admin.history(id);
    assertEquals([event?.kind, event?.runner, event?.detail], [
      "noted",
      null,
      "Use é 🦆",
    ]);
    const run = await claimOne(store, { taskId: id });
    assertEquals(await store.admin.note(id, "Second"), "noted");
    assertEquals(await texts(), ["Use é 🦆", "Second"]);
    // Its run is not disturbed.
    const { results } = await record(store, complete(run));
    assertEquals(results, ["written"]);
    assertEquals(await texts(), ["Use é 🦆", "Second"]);
    assertEquals(await store.admin.note(id, "Third"), "ended");
    assertEquals(await store.admin.note(crypto.randomUUID(), "a"), "missing");
  });

  test("answer() gives each run of a task a number of its own", async ({ store }) => {
    const id = await createOne(store);
    const attempts: number[] = [];
    for (const n of [1, 2, 3]) {
      const run = await claimOne(store, { maxAttempts: 1 });
      attempts.push(run.lease.attempt);
      await record(store, askInput(run, `Question ${n}?`));
      await store.admin.answer([id], `Answer ${n}`);
    }
    assertEquals(attempts, [1, 2, 3]);
    const answers = answersOf(await traceOf(store, id));
    assertEquals(
      answers.map(({ question, answer }) => `${question} ${answer}`),
      [1, 2, 3].map((n) => `Question ${n}? Answer ${n}`),
    );
    const { attempt, questions } = await taskOf(store, id);
    assertEquals([attempt, questions], [3, 3]);
  });

  test("answer() changes nothing that has not asked", async ({ store, storedTextOf }) => {
    const tasks = await createEach(store);
    const ids = [
      tasks.running,
      tasks.completed,
      tasks.failed,
      tasks.created,
      tasks.waiting,
    ];
    const before = await Promise.all(ids.map(storedTextOf));
    const missing = crypto.randomUUID();
    assertEquals(await store.admin.answer([...ids, missing], "x"), [
      "not asked",
      "ended",
      "ended",
      "not asked",
      "not asked",
      "missing",
    ]);
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
    assertEquals(await store.admin.history(missing), []);
  });

  test("answer() counts once where two answer", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    await record(store, askInput(run, "Which?"));
    const results = await Promise.all(
      ["one", "two"].map((text) => store.admin.answer([id], text)),
    );
    assertEquals(results.flat().sort(), ["answered", "not asked"]);
    const answers = answersOf(await traceOf(store, id));
    const first = results[0]?.[0] === "answered" ? "one" : "two";
    assertEquals(answers.map(({ answer }) => answer), [first]);
  });

  test("answer() keeps a trace that can't be read", async ({ store, changeTask }) => {
    const id = await createOne(store);
    await changeTask(id, { state: "needs_input", traceText: "[1, 2]" });
    assertEquals(await store.admin.answer([id], "x"), ["answered"]);
    const trace = await traceOf(store, id);
    assertEquals(trace[UNREADABLE_KEY], "[1, 2]");
    assertEquals(answersOf(trace)[0]?.answer, "x");
    assertEquals(idsOf(await claim(store)), [id]);
  });

  test("answer() says of each task what came of it, also of more text than one transaction takes", async ({ store }) => {
    const { asking, completed, running } = await createEach(store);
    const more = await createMany(store, 20);
    const { tasks } = await claim(store, { providers: ["simulate"] });
    await record(store, ...tasks.map((it) => askInput(it, "Which?")));
    const asked = [asking, ...more];
    const missing = crypto.randomUUID();
    const ids = [...asked, completed, running, missing, asking];
    const text = "x".repeat(1_000_000);
    assertEquals(await store.admin.answer(ids, text), [
      ...Array(21).fill("answered"),
      "ended",
      "not asked",
      "missing",
      // In the second transaction.
      "not asked",
    ]);
    for (const id of asked) {
      assertEquals((await historyOf(store, id)).at(-1)?.[0], "answered");
      assertEquals((await taskOf(store, id)).state, "running");
    }
    const states = ["needs_input"] as const;
    assertEquals(await store.admin.cancellable({ states }), []);
  });
}
