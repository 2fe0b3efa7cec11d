/**
 * Running tasks again.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type {
  AgentTask,
  JsonObject,
  JsonValue,
  Transition,
} from "../../../lib/task/task.ts";
import {
  askInput,
  complete,
  fail,
  type Held,
  noteInRun,
  traceTime,
} from "../../../lib/task/transitions.ts";
import { createEach } from "./admin_actions.ts";
import {
  assertNow,
  claim,
  claimOne,
  createMany,
  createOne,
  historyOf,
  HOUR,
  idsOf,
  nth,
  record,
  startOne,
  taskOf,
  type Test,
  traceOf,
} from "./subject.ts";

export function testRetry(test: Test): void {
  test("retry() makes a new task with the content of an ended one", async (subject) => {
    const { store } = subject;
    const run = await startOne(store, {
      provider: "codex",
      instruction: "Mend it\nnow",
      targetType: "pr",
      targetRef: "octo/app#12",
      trace: { simulate_failure: true },
      priority: -3,
      maxAttempts: 4,
      timeoutMs: 1_500,
    });
    await record(store, fail(run, "no"));
    const { id } = run.task;
    const before = await taskOf(store, id);
    let newId = "";
    await assertNow(subject, async () => {
      const [result] = await store.admin.retry([id]);
      assert(result?.kind === "created");
      assertEquals(result.earlierId, null);
      newId = result.newId;
      const { createdAt, updatedAt } = await taskOf(store, newId);
      return [createdAt, updatedAt];
    });
    assertEquals(await taskOf(store, id), before);
    const again = await taskOf(store, newId);
    const { createdAt, updatedAt } = again;
    const expected: AgentTask = {
      ...before,
      id: newId,
      state: "created",
      traceText: `{"retry_of":"${id}"}`,
      attempt: 0,
      createdAt,
      updatedAt,
    };
    assertEquals(again, expected);
    const [kind, , , detail] = (await historyOf(store, id)).at(-1) ?? [];
    assertEquals([kind, detail], ["retried", `as task ${newId}`]);
    assertEquals(await historyOf(store, newId), [
      ["created", 0, null, `retry of ${id}`],
    ]);
  });

  test("retry() makes a task that waits for its next attempt due", async (subject) => {
    const { store } = subject;
    const { waiting } = await createEach(store);
    const before = await taskOf(store, waiting);
    await assertNow(subject, async () => {
      assertEquals(await store.admin.retry([waiting]), [{ kind: "due" }]);
      const task = await taskOf(store, waiting);
      const { updatedAt } = task;
      assertEquals(task, { ...before, runAt: null, updatedAt });
      return [updatedAt];
    });
    const [kind, , , detail] = (await historyOf(store, waiting)).at(-1) ?? [];
    assertEquals([kind, detail], ["retried", "at once"]);
    const run = await claimOne(store, { limit: 1 });
    assertEquals([run.task.id, run.lease.attempt], [waiting, 2]);
  });

  test("retry() goes on with the branch and the session of the old task", async ({ store, storedTextOf }) => {
    const workspace = {
      repo: "/srv/é\ud800",
      host: "here",
      path: "/state/1",
      branch: "agent/mend",
      base: "main",
      baseCommit: "abc",
      head: "def",
      commits: 3,
    };
    const session = { agent: "claude", id: "s1", folder: "/state/1" };
    const end = async (done: "completed" | "failed", of = workspace) => {
      const run = await startOne(store);
      const kept = { session: { ...session, told: { answers: 1, notes: 2 } } };
      const noted = noteInRun(run, {
        kind: "workspace",
        detail: "agent/mend",
        workspace: { ...of, merged: "123", pullRequest: "https://x" },
        ...kept,
      });
      await record(store, noted);
      await record(
        store,
        done === "completed" ? complete(run) : fail(run, "no 漢"),
      );
      return run.task.id;
    };
    const ids = [await end("completed"), await end("failed")];
    const results = await store.admin.retry(ids);
    const traces = await Promise.all(results.map(async (it) => {
      assert(it.kind === "created");
      return await traceOf(store, it.newId);
    }));
    const kept = { ...workspace, repo: "/srv/é\ufffd" };
    const failed = await traceOf(store, nth(ids, 1));
    assertEquals(traces, [
      { retry_of: nth(ids, 0), workspace: kept, session },
      {
        retry_of: nth(ids, 1),
        workspace: kept,
        session,
        last_error: "no 漢",
        last_failed_at: String(failed.failed_at),
      },
    ]);
    assertStringIncludes(await storedTextOf(nth(ids, 0)), "pullRequest");
  });

  test("retry() knows what was done and approved before it failed", async ({ store }) => {
    const workspace = {
      repo: "/srv/app",
      host: "here",
      path: "/state/1",
      branch: "agent/mend",
      base: "main",
      baseCommit: "abc",
      head: "def",
    };
    const doneAfter = async (
      { end = fail, result = "é", ...more }: {
        readonly end?: (run: Held, why: string) => Transition;
        readonly result?: JsonValue;
        readonly head?: string;
        readonly merged?: string;
      } = {},
    ) => {
      const run = await startOne(store);
      const { id } = run.task;
      const noted = noteInRun(run, {
        kind: "workspace",
        detail: "agent/mend",
        workspace: { ...workspace, ...more },
      });
      await record(store, noted);
      const approval = { of: "merge", head: "def" } as const;
      await record(store, askInput(run, "Merge it?", { approval, result }));
      await store.admin.approve([id]);
      await record(store, end(await claimOne(store), "no"));
      const [retried] = await store.admin.retry([id]);
      assert(retried?.kind === "created");
      const { done_before } = await traceOf(store, retried.newId);
      await store.admin.cancel([retried.newId]);
      return done_before;
    };
    assertEquals(await doneAfter(), { head: "def", output: "é" });
    assertEquals(await doneAfter({ result: { n: [1] } }), {
      head: "def",
      output: { n: [1] },
    });
    assertEquals(await doneAfter({ head: "ghi" }), undefined);
    assertEquals(await doneAfter({ merged: "def" }), undefined);
    assertEquals(await doneAfter({ end: (run) => complete(run) }), undefined);
  });

  test("retry() goes on in no session where there was no branch, or what is none", async ({ store }) => {
    const session = { agent: "claude", id: "s1", folder: "/tmp/1" };
    for (const workspace of [undefined, "text", { repo: 1 }]) {
      const trace = { session, ...workspace && { workspace } };
      const run = await startOne(store, { trace });
      await record(store, fail(run, "no"));
      const { id } = run.task;
      const [result] = await store.admin.retry([id]);
      assert(result?.kind === "created");
      assertEquals(await traceOf(store, result.newId), { retry_of: id });
    }
  });

  test("retry() leaves its note with the new task from its start, or with the one that waits", async (subject) => {
    const { store } = subject;
    const { failed, waiting, running } = await createEach(store);
    const note = "Use é 🦆";
    const [again, due, refused] = await store.admin.retry(
      [failed, waiting, running],
      { note },
    );
    assert(again?.kind === "created");
    assertEquals([due?.kind, refused?.kind], ["due", "refused"]);
    for (const id of [again.newId, waiting]) {
      const [kept, ...others] = (await traceOf(store, id))
        .notes as JsonObject[];
      assertEquals([kept?.text, others], [note, []]);
      const { updatedAt, runAt } = await taskOf(store, id);
      assertEquals([kept?.at, runAt], [traceTime(updatedAt), null]);
      const noted = (await historyOf(store, id))
        .filter(([kind]) => kind === "noted");
      assertEquals(noted.map(([, , who, detail]) => [who, detail]), [
        [null, note],
      ]);
    }
    assertEquals((await traceOf(store, again.newId)).retry_of, failed);
    assertEquals((await traceOf(store, running)).notes, undefined);
    assertEquals((await traceOf(store, failed)).notes, undefined);
    const { tasks } = await claim(store);
    assert(tasks.some(({ task }) => task.id === waiting));
  });

  test("retry() takes more notes than one transaction does", async ({ store }) => {
    const ids = await createMany(store, 20);
    await store.admin.cancel(ids);
    const note = "x".repeat(1_000_000);
    const results = await store.admin.retry(ids, { note });
    for (const result of results) {
      assert(result.kind === "created");
      const { notes } = await traceOf(store, result.newId);
      assertEquals((notes as JsonObject[])[0]?.text, note);
    }
  });

  test("retry() refuses what need not or can't be retried, and changes nothing", async ({ store, storedTextOf }) => {
    const { created, running, asking, cancelling } = await createEach(store);
    const missing = crypto.randomUUID();
    const ids = [created, running, asking, cancelling];
    const before = await Promise.all(ids.map(storedTextOf));
    const results = await store.admin.retry([...ids, missing]);
    assertEquals(
      results.map((result) => result.kind === "refused" && result.why),
      ["created", "running", "needs_input", "cancelling", "missing"],
    );
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
  });

  test("retry() refuses what any runner takes over at once", async ({ store, elapse }) => {
    const { running } = await createEach(store);
    await elapse(HOUR);
    assertEquals(await store.admin.retry([running]), [
      { kind: "refused", why: "claimable" },
    ]);
  });

  test("retry() says which task the last retry made", async ({ store, elapse }) => {
    const { failed } = await createEach(store);
    const newIds: string[] = [];
    const earlierIds: (string | null)[] = [];
    for (let n = 0; n < 3; n++) {
      await elapse(1_000);
      const [result] = await store.admin.retry([failed]);
      assert(result?.kind === "created");
      newIds.push(result.newId);
      earlierIds.push(result.earlierId);
    }
    assertEquals(earlierIds, [null, newIds[0], newIds[1]]);
  });

  test("retryable() finds what ended or waits for its next attempt, oldest first", async ({ store }) => {
    const { completed, failed, waiting } = await createEach(store);
    const find = async (filter = {}) =>
      (await store.admin.retryable(filter)).map(({ id }) => id);
    assertEquals(await find(), [completed, failed, waiting]);
    assertEquals(await find({ states: ["failed"] }), [failed]);
    assertEquals(await find({ provider: "codex" }), []);
    assertEquals(await store.admin.retryable({ states: ["running"] }), [
      { id: waiting, state: "running" },
    ]);
  });

  test("retryable() leaves out what was retried, also where its trace was rewritten", async ({ store }) => {
    const { failed } = await createEach(store);
    const [result] = await store.admin.retry([failed]);
    assert(result?.kind === "created");
    const again = await claimOne(store, { taskId: result.newId });
    await record(store, fail(again, "no"));
    // Of the chain, only its last one; else each retry would double them.
    assertEquals(await store.admin.retryable({ states: ["failed"] }), [
      { id: result.newId, state: "failed" },
    ]);
  });

  test("retryable() keeps what another task's output only quotes", async ({ store }) => {
    const run = await startOne(store);
    await record(store, fail(run, "no"));
    const { id } = run.task;
    const quote = { nested: { retry_of: id }, text: `{"retry_of":"${id}"}` };
    const other = await startOne(store, { trace: { quote } });
    await record(store, complete(other, { result: quote }));
    assertEquals(
      await store.admin.retryable({ states: ["failed"] }),
      [{ id, state: "failed" }],
    );
    const [result] = await store.admin.retry([id]);
    assert(result?.kind === "created");
    assertEquals(result.earlierId, null);
  });

  test("retry() of an empty set does nothing", async ({ store }) => {
    const id = await createOne(store);
    assertEquals(await store.admin.retry([]), []);
    assertEquals(idsOf(await claim(store)), [id]);
  });
}
