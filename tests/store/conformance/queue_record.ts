/**
 * Recording what came of runs: written once, and only by who has the lease.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import { DatabaseError } from "../../../lib/base/errors.ts";
import type { ClaimedTask, Transition } from "../../../lib/task/task.ts";
import {
  askInput,
  cancel,
  complete,
  fail,
  limited,
  noteInRun,
  noteProgress,
  release,
  retryLater,
  traceTime,
  withPrinted,
  withUsage,
} from "../../../lib/task/transitions.ts";
import {
  assertNow,
  claim,
  claimOne,
  createMany,
  createOne,
  historyOf,
  HOUR,
  idsOf,
  later,
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

export function testRecord(test: Test): void {
  testOutcomes(test);
  testFence(test);
  testGroups(test);
}

type Note = Parameters<typeof noteProgress>[1];

function note(message: string, more: Partial<Note> = {}): Note {
  return { message, at: new Date("2026-01-02T03:04:05.678Z"), ...more };
}

function testOutcomes(test: Test): void {
  test("record() writes a completion", async ({ store, elapse }) => {
    const run = await startOne(store, { trace: { mine: 1 } });
    const { id } = run.task;
    const { auto_started_at } = await traceOf(store, id);
    await elapse(MINUTE / 2);
    const done = { result: { n: 1n << 60n }, message: "Done" };
    const { results, at } = await record(store, complete(run, done));
    assertEquals(results, ["written"]);
    const task = await taskOf(store, id);
    assertEquals([task.state, task.attempt], ["completed", 1]);
    assertEquals([task.leaseOwner, task.leaseExpiresAt], [null, null]);
    assertEquals(task.updatedAt, at);
    assertEquals(await traceOf(store, id), {
      mine: 1,
      auto_started_at: auto_started_at!,
      auto_started_by: "runner_loop",
      progress: "Done",
      completed_at: traceTime(at),
      completed_by: "runner_loop",
      result: "success",
      output: { n: 1n << 60n },
    });
  });

  test("record() says when it wrote", async (subject) => {
    const { store } = subject;
    const run = await startOne(store);
    await assertNow(subject, async () => {
      const { at } = await record(store, complete(run));
      const event = nth((await store.admin.history(run.task.id)).slice(-1), 0);
      assertEquals(event.occurredAt, at);
      return [at];
    });
  });

  test("record() writes a failure", async ({ store, kept }) => {
    const run = await startOne(store);
    const { id } = run.task;
    const text = 'exit 1: "é 🦆"\n\0';
    await record(store, fail(run, text));
    assertEquals((await taskOf(store, id)).state, "failed");
    const trace = await traceOf(store, id);
    assertEquals([trace.error, trace.failed_by], [text, "runner_loop"]);
    assertEquals((await store.admin.history(id)).at(-1)?.detail, kept(text));
  });

  test("record() keeps what was printed: for the history of the task, and in no page of all", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    const printed = { stdout: 'é 🦆 "\n\0'.repeat(10_000), stderr: "\u2028" };
    await record(store, withPrinted(fail(run, "no"), printed));
    assertEquals((await traceOf(store, id)).printed, printed);
    const history = await store.admin.history(id);
    assertEquals(history.map((event) => event.printed), [
      undefined,
      undefined,
      printed,
    ]);
    const { first } = store.events;
    const { events } = await store.events.after(first, { limit: 9 });
    assertEquals(events.map(({ kind }) => kind), [
      "created",
      "started",
      "failed",
    ]);
    assertEquals(events.filter((event) => "printed" in event), []);
  });

  test("record() keeps what a run used, and a limit costs no attempt", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    const usage = { input: 12, output: 3.5, costUsd: 0.01, model: "opus" };
    const { provider } = run.task;
    await record(
      store,
      withUsage(limited(run, { reason: "weekly" }), { ...usage, provider }),
    );
    assertEquals((await traceOf(store, id)).usage, usage);
    const task = await taskOf(store, id);
    assertEquals([task.state, task.attempt], ["running", 0]);
    assertEquals(task.leaseOwner, null);
    const [, , ended] = await store.admin.history(id);
    assertEquals([ended?.kind, ended?.detail], ["limited", "weekly"]);
    assertEquals(ended?.usage, usage);
    const { events } = await store.events.after(store.events.first, {
      limit: 9,
    });
    assertEquals(events.map((event) => event.usage), [
      undefined,
      undefined,
      usage,
    ]);
  });

  test("record() keeps the session of a run that goes on", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    const session = { agent: "claude", id: "s-1", folder: "/w" };
    await record(
      store,
      noteInRun(run, { kind: "session", detail: "claude s-1", session }),
    );
    assertEquals((await traceOf(store, id)).session, session);
    const task = await taskOf(store, id);
    assertEquals([task.attempt, task.leaseOwner], [1, run.lease.owner]);
    await record(store, complete(run));
    assertEquals((await taskOf(store, id)).state, "completed");
  });

  test("record() makes a task wait for input, with its attempt spent", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    await record(store, askInput(run, "Which?"));
    const task = await taskOf(store, id);
    assertEquals([task.state, task.runAt], ["needs_input", null]);
    assertEquals([task.attempt, task.questions], [1, 1]);
    assertEquals([task.leaseOwner, task.leaseExpiresAt], [null, null]);
    assertEquals((await traceOf(store, id)).question, "Which?");
  });

  test("record() notes until when it waits for an answer", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    const asked = askInput(run, "Which?", { answerWithinMs: HOUR });
    const { at } = await record(store, asked);
    assertEquals((await taskOf(store, id)).runAt, later(at, HOUR));
    const { question_asked_at, answer_by } = await traceOf(store, id);
    assertEquals(
      [question_asked_at, answer_by],
      [traceTime(at), traceTime(later(at, HOUR))],
    );
  });

  test("record() makes a task wait for its retry", async ({ store, elapse }) => {
    const run = await startOne(store);
    const { id } = run.task;
    const retry = retryLater(run, { error: "no", delayMs: HOUR });
    const { at } = await record(store, retry);
    const task = await taskOf(store, id);
    assertEquals([task.state, task.attempt], ["running", 1]);
    assertEquals(task.runAt, later(at, HOUR));
    assertEquals([task.leaseOwner, task.leaseExpiresAt], [null, null]);
    assertEquals((await traceOf(store, id)).retry_at, traceTime(task.runAt!));
    await elapse(HOUR - MINUTE);
    assertEquals(idsOf(await claim(store)), []);
    await elapse(MINUTE);
    const again = await claimOne(store);
    assertEquals([again.task.id, again.lease.attempt], [id, 2]);
    assertEquals(again.task.runAt, null);
  });

  test("record() gives a released task back", async ({ store }) => {
    const run = await startOne(store, { trace: { mine: 1 } });
    const { id } = run.task;
    const { results } = await record(store, release(run, "stopped"));
    assertEquals(results, ["written"]);
    const task = await taskOf(store, id);
    assertEquals([task.state, task.attempt], ["running", 0]);
    assertEquals([task.leaseOwner, task.leaseExpiresAt], [null, null]);
    assertEquals(task.traceText, run.task.traceText);
    assertEquals((await claimOne(store)).task.id, id);
  });

  test("record() keeps the lease of a run that notes its progress", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    const half = note("half", { fraction: 0.5 });
    const { results } = await record(store, noteProgress(run, half));
    assertEquals(results, ["written"]);
    const task = await taskOf(store, id);
    assertEquals([task.state, task.attempt], ["running", 1]);
    assertEquals(task.leaseOwner, "runner-a");
    assertEquals(task.leaseExpiresAt, run.task.leaseExpiresAt);
    const trace = await traceOf(store, id);
    assertEquals([trace.progress, trace.progress_fraction], ["half", 0.5]);
    assertEquals(trace.last_progress_at, traceTime(half.at));
    assertEquals(
      await store.queue.heartbeat([run.lease], { leaseMs: LEASE_MS }),
      ["held"],
    );
  });

  test("record() ends a run that somebody cancelled", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    assertEquals(await store.admin.cancel([id]), ["requested"]);
    const { results } = await record(store, cancel(run, "running"));
    assertEquals(results, ["written"]);
    assertEquals((await taskOf(store, id)).state, "failed");
    assertEquals((await traceOf(store, id)).result, "cancelled");
  });

  test("record() writes a completion that comes before the cancel was seen", async ({ store, storedTextOf }) => {
    const run = await startOne(store);
    const { id } = run.task;
    assertEquals(await store.admin.cancel([id]), ["requested"]);
    assertEquals((await record(store, complete(run))).results, ["written"]);
    assertEquals((await taskOf(store, id)).state, "completed");
    const before = await storedTextOf(id);
    assertEquals(await store.admin.cancel([id]), ["ended"]);
    const late = await record(store, cancel(run, "running"));
    assertEquals(late.results, ["lost"]);
    assertEquals(await storedTextOf(id), before);
  });
}

const LATE: Readonly<Record<string, (run: ClaimedTask) => Transition>> = {
  complete: (run) => complete(run, { message: "late" }),
  fail: (run) => fail(run, "late"),
  askInput: (run) => askInput(run, "late"),
  noteProgress: (run) => noteProgress(run, note("late")),
  release: (run) => release(run, "late"),
  retryLater: (run) => retryLater(run, { error: "late", delayMs: HOUR }),
  cancel: (run) => cancel(run, "running"),
};

function testFence(test: Test): void {
  for (const [write, transitionOf] of Object.entries(LATE)) {
    test(`record() refuses ${write}() of a run that was taken over`, async ({ store, elapse, storedTextOf }) => {
      const old = await startOne(store);
      const { id } = old.task;
      await elapse(LEASE_MS);
      const run = await claimOne(store, { owner: "runner-b" });
      const before = await storedTextOf(id);
      const refused = await record(store, transitionOf(old));
      assertEquals(refused.results, ["lost"]);
      assertEquals(await storedTextOf(id), before);
      assertEquals((await record(store, complete(run))).results, ["written"]);
      const after = await storedTextOf(id);
      await record(store, transitionOf(old));
      assertEquals(await storedTextOf(id), after);
    });
  }

  test("record() changes no outcome that was recorded", async ({ store, storedTextOf }) => {
    const run = await startOne(store);
    await record(store, complete(run));
    const before = await storedTextOf(run.task.id);
    const { results } = await record(store, complete(run), fail(run, "late"));
    assertEquals(results, ["lost", "lost"]);
    assertEquals(await storedTextOf(run.task.id), before);
  });

  test("record() writes for a lease that ran out while nobody took it", async ({ store, elapse }) => {
    const run = await startOne(store);
    await elapse(9 * LEASE_MS);
    assertEquals((await record(store, complete(run))).results, ["written"]);
    assertEquals((await taskOf(store, run.task.id)).state, "completed");
  });

  test("record() refuses a run whose task does not exist", async ({ store }) => {
    const run = await startOne(store);
    const taskId = crypto.randomUUID();
    const lease = { ...run.lease, taskId };
    const { results } = await record(store, complete({ ...run, lease }));
    assertEquals(results, ["lost"]);
    assertEquals(await store.admin.history(taskId), []);
    assertEquals((await taskOf(store, run.task.id)).state, "running");
  });

  for (const state of ["failed", "completed", "needs_input"] as const) {
    test(`record() does not overwrite ${state}, set by a person`, async ({ store, changeTask, storedTextOf }) => {
      const run = await startOne(store);
      const { id } = run.task;
      await changeTask(id, { state, traceText: '{"by": "a person"}' });
      const before = await storedTextOf(id);
      assertEquals((await record(store, complete(run))).results, ["lost"]);
      assertEquals(await storedTextOf(id), before);
    });
  }
}

function testGroups(test: Test): void {
  test("record() takes an empty group", async (subject) => {
    await assertNow(subject, async () => {
      const { results, at } = await record(subject.store);
      assertEquals(results, []);
      return [at];
    });
  });

  test("record() writes a group of which some lost their lease", async ({ store, changeTask, storedTextOf }) => {
    const ids = await createMany(store, 3_000);
    const { tasks } = await claim(store, { limit: 3_000 });
    const lost = new Set(ids.filter((_, index) => index % 1_000 === 7));
    for (const id of lost) await changeTask(id, { state: "failed" });
    const before = await Promise.all([...lost].map(storedTextOf));
    const { results } = await record(
      store,
      ...tasks.map((it, index) =>
        index % 2 === 0
          ? complete(it, { message: `n ${index}` })
          : fail(it, "no")
      ),
    );
    assertEquals(
      results,
      tasks.map(({ task }) => lost.has(task.id) ? "lost" : "written"),
    );
    assertEquals(await Promise.all([...lost].map(storedTextOf)), before);
    assertEquals(await statesOf(store), { completed: 1_500, failed: 1_500 });
    for (const index of [0, 1, 2_998, 2_999]) {
      const events = await historyOf(store, nth(ids, index));
      const detail = index % 2 === 0 ? `n ${index}` : "no";
      assertEquals(events.length, 3);
      assertEquals(events.at(-1)?.[3], detail);
    }
  });

  test("record() leaves out a row that it can't write, and writes the others", async ({ store, refuseWrites, storedTextOf }) => {
    const ids = await createMany(store, 5);
    const { tasks } = await claim(store);
    const bad = nth(ids, 2);
    await refuseWrites(bad);
    const before = await storedTextOf(bad);
    const { results } = await record(
      store,
      ...tasks.map((it) => complete(it, { message: "Done" })),
    );
    const refusal = results[2];
    assertEquals(results.toSpliced(2, 1), Array(4).fill("written"));
    assertInstanceOf(refusal, DatabaseError);
    assertStringIncludes(refusal.message, bad);
    assertEquals(await storedTextOf(bad), before);
    assertEquals(await statesOf(store), { running: 1, completed: 4 });
    for (const id of ids.filter((id) => id !== bad)) {
      assertEquals((await historyOf(store, id)).length, 3);
    }
  });

  test("record() gives each task of a mixed group its own attempt and time", async ({ store }) => {
    const ids = await createMany(store, 4);
    const { tasks: [one, two, three, four] } = await claim(store);
    assert(one && two && three && four);
    const { at } = await record(
      store,
      complete(one),
      retryLater(two, { error: "no", delayMs: 2 * HOUR }),
      release(three, "stopped"),
      askInput(four, "Which?", { answerWithinMs: HOUR }),
    );
    const tasks = await Promise.all(ids.map((id) => taskOf(store, id)));
    assertEquals(
      tasks.map(({ state, attempt, questions, runAt }) => [
        state,
        attempt,
        questions,
        runAt && minutes(runAt.getTime() - at.getTime()),
      ]),
      [
        ["completed", 1, 0, null],
        ["running", 1, 0, 120],
        ["running", 0, 0, null],
        ["needs_input", 1, 1, 60],
      ],
    );
  });

  test("record() applies several of one task in their order", async ({ store }) => {
    const ids = await createMany(store, 2);
    const { tasks: [one, other] } = await claim(store);
    assert(one && other);
    const { results, at } = await record(
      store,
      noteProgress(one, note("one")),
      noteProgress(other, note("its own")),
      noteProgress(one, note("two")),
      complete(one),
      noteProgress(one, note("too late")),
      fail(other, "no"),
    );
    assertEquals(
      results,
      ["written", "written", "written", "written", "lost", "written"],
    );
    const [id = "", otherId = ""] = ids;
    assertEquals((await taskOf(store, id)).state, "completed");
    const { progress, result } = await traceOf(store, id);
    assertEquals([progress, result], ["two", "success"]);
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null],
      ["started", 1, "runner-a", null],
      ["progress", 1, "runner-a", "one"],
      ["progress", 1, "runner-a", "two"],
      ["completed", 1, "runner-a", null],
    ]);
    const times = (await store.admin.history(id)).slice(2)
      .map(({ occurredAt }) => occurredAt);
    assertEquals(times, [at, at, at]);
    const kinds = (await historyOf(store, otherId)).map(([kind]) => kind);
    assertEquals(kinds, ["created", "started", "progress", "failed"]);
  });

  test("record() applies the same outcome once", async ({ store }) => {
    const run = await startOne(store);
    const done = complete(run);
    const { results } = await record(store, done, done, complete(run));
    assertEquals(results, ["written", "lost", "lost"]);
    assertEquals((await taskOf(store, run.task.id)).state, "completed");
    assertEquals((await historyOf(store, run.task.id)).length, 3);
  });

  test("record() writes one event for each transition, in their order", async ({ store }) => {
    const id = await createOne(store);
    const again = (owner: string) => claimOne(store, { owner, maxAttempts: 9 });
    let run = await again("a");
    await record(store, noteProgress(run, note("half", { fraction: 0.5 })));
    await record(store, retryLater(run, { error: "no", delayMs: 0 }));
    run = await again("b");
    await record(store, release(run, "stopped"));
    run = await again("c");
    await record(store, complete(run, { message: "Done" }));
    await record(store, fail(run, "late"));
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null],
      ["started", 1, "a", null],
      ["progress", 1, "a", "50%: half"],
      ["retry_scheduled", 1, "a", "no"],
      ["started", 2, "b", null],
      ["released", 2, "b", "stopped"],
      ["started", 2, "c", null],
      ["completed", 2, "c", "Done"],
    ]);
    const events = await store.admin.history(id);
    assertEquals(new Set(events.map((event) => event.id)).size, events.length);
    const times = events.map(({ occurredAt }) => occurredAt.getTime());
    assertEquals(times, times.toSorted((a, b) => a - b));
  });
}
