/**
 * Running tasks again.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { AgentTask } from "../../../lib/task/task.ts";
import { complete, fail } from "../../../lib/task/transitions.ts";
import { createEach } from "./admin_actions.ts";
import {
  assertNow,
  claim,
  claimOne,
  createOne,
  historyOf,
  HOUR,
  idsOf,
  record,
  startOne,
  taskOf,
  type Test,
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
