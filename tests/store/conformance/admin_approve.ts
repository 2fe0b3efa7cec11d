/**
 * Approving what tasks ask for, and noting what came of their changes.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Store } from "../../../lib/store/contract.ts";
import type { JsonObject } from "../../../lib/task/task.ts";
import {
  askInput,
  complete,
  noteInRun,
  traceTime,
} from "../../../lib/task/transitions.ts";
import { amendedFacts } from "../../../lib/task/workspace.ts";
import { createEach } from "./admin_actions.ts";
import {
  assertNow,
  claim,
  claimOne,
  createOne,
  endAbandoned,
  historyOf,
  HOUR,
  idsOf,
  lastEventAt,
  LEASE_MS,
  record,
  startOne,
  taskOf,
  type Test,
  traceOf,
} from "./subject.ts";

const WORKSPACE = {
  repo: "/srv/app",
  host: "here",
  path: "/state/1",
  branch: "agent/mend",
  base: "main",
  baseCommit: "abc",
  head: "def",
};
const OF_MERGE = { of: "merge", head: "def" } as const;

/** A task that asks to have its changes approved. */
async function askMerge(store: Store, answerWithinMs?: number) {
  const run = await startOne(store, { trace: { mine: 1 } });
  const asked = askInput(run, "Merge it?", {
    approval: OF_MERGE,
    ...answerWithinMs !== undefined && { answerWithinMs },
  });
  await record(store, asked);
  return run.task.id;
}

export function testApprove(test: Test): void {
  testApproved(test);
  testAmend(test);
}

function testApproved(test: Test): void {
  test("approve() makes a task claimable, with what is approved in its trace", async (subject) => {
    const { store, elapse } = subject;
    const id = await askMerge(store, HOUR);
    assertEquals((await traceOf(store, id)).asks_approval, OF_MERGE);
    await elapse(1_000);
    await assertNow(subject, async () => {
      assertEquals(await store.admin.approve([id]), ["approved"]);
      return [
        (await taskOf(store, id)).updatedAt,
        await lastEventAt(store, id),
      ];
    });
    const { updatedAt, ...task } = await taskOf(store, id);
    assertEquals([task.state, task.runAt], ["running", null]);
    assertEquals([task.leaseOwner, task.attempt, task.questions], [null, 1, 1]);
    const trace = await traceOf(store, id);
    assertEquals(trace.approved, { ...OF_MERGE, at: traceTime(updatedAt) });
    assertEquals(
      [trace.mine, trace.question, trace.asks_approval, trace.answers],
      [1, null, null, undefined],
    );
    // One attempt is all that it has, and what a person looks at counts as none.
    await elapse(2 * HOUR);
    const again = await claimOne(store, { maxAttempts: 1 });
    assertEquals([again.task.id, again.lease.attempt], [id, 2]);
    assertEquals((await historyOf(store, id)).slice(2, 4), [
      ["needs_input", 1, "runner-a", "Merge it?"],
      ["approved", 1, null, "its changes, def"],
    ]);
    assertEquals((await record(store, complete(again))).results, ["written"]);
  });

  test("approve() says of each task, in their order, what came of it, and changes no other", async ({ store, storedTextOf }) => {
    const tasks = await createEach(store);
    const others = [
      tasks.asking,
      tasks.created,
      tasks.running,
      tasks.waiting,
      tasks.completed,
      tasks.failed,
    ];
    const before = await Promise.all(others.map(storedTextOf));
    const id = await askMerge(store);
    const missing = crypto.randomUUID();
    const ids = [id.toUpperCase(), ...others, missing];
    assertEquals(await store.admin.approve(ids), [
      "approved",
      ...Array(4).fill("not asked"),
      "ended",
      "ended",
      "missing",
    ]);
    assertEquals(await Promise.all(others.map(storedTextOf)), before);
    assertEquals(await store.admin.approve([id]), ["not asked"]);
    assertEquals(await store.admin.approve([]), []);
  });

  test("approve() of a head approves no other changes, and no start", async ({ store, storedTextOf }) => {
    const id = await askMerge(store);
    const start = await createOne(store, { needsApproval: true });
    const before = await storedTextOf(id);
    const approve = (head: string) =>
      store.admin.approve([id, start], { head });
    assertEquals(await approve("abc"), ["not asked", "not asked"]);
    assertEquals(await storedTextOf(id), before);
    assertEquals(await approve("def"), ["approved", "not asked"]);
  });

  test("approve() counts once where two approve", async ({ store }) => {
    const id = await askMerge(store);
    const results = await Promise.all(
      [1, 2].map(() => store.admin.approve([id])),
    );
    assertEquals(results.flat().sort(), ["approved", "not asked"]);
  });

  test("approve() of a task that needs it does so before it has asked", async (subject) => {
    const { store, elapse } = subject;
    const fields = { needsApproval: true, runAt: await subject.now() };
    const id = await createOne(store, fields);
    const before = await taskOf(store, id);
    await assertNow(subject, async () => {
      assertEquals(await store.admin.approve([id]), ["approved"]);
      return [(await taskOf(store, id)).updatedAt];
    });
    const { updatedAt, traceText } = await taskOf(store, id);
    assertEquals({ ...before, updatedAt, traceText }, await taskOf(store, id));
    const start = { of: "start", at: traceTime(updatedAt) };
    assertEquals(await traceOf(store, id), { approved: start });
    assertEquals((await historyOf(store, id)).at(-1), [
      "approved",
      0,
      null,
      "its start",
    ]);
    assertEquals(await store.admin.approve([id]), ["not asked"]);
    await elapse(1_000);
    const run = await claimOne(store);
    assertEquals((await traceOf(store, run.task.id)).approved, start);
  });

  test("approve() leaves a task alone that a runner has just now", async ({ store, elapse, storedTextOf }) => {
    const run = await startOne(store, { needsApproval: true });
    const { id } = run.task;
    const before = await storedTextOf(id);
    assertEquals(await store.admin.approve([id]), ["not asked"]);
    assertEquals(await storedTextOf(id), before);
    // What a dead runner left is taken over with it, and its old run is fenced off.
    await elapse(LEASE_MS);
    assertEquals(await store.admin.approve([id]), ["approved"]);
    const again = await claimOne(store);
    assertEquals([again.task.id, again.lease.attempt], [id, 2]);
    assertEquals((await record(store, complete(run))).results, ["lost"]);
  });

  test("approve() is what only approve() does: an answer leaves the task unapproved", async ({ store }) => {
    const run = await startOne(store, { needsApproval: true });
    const { id } = run.task;
    const of = "start" as const;
    await record(store, askInput(run, "May it begin?", { approval: { of } }));
    assertEquals(await store.admin.answer([id], "Yes"), ["answered"]);
    const trace = await traceOf(store, id);
    assertEquals([trace.approved, trace.asks_approval], [undefined, null]);
    assertEquals((trace.answers as JsonObject[])[0]?.answer, "Yes");
    // It will ask again; who knows that need not wait.
    assertEquals(await store.admin.approve([id]), ["approved"]);
    const { state, leaseOwner } = await taskOf(store, id);
    assertEquals([state, leaseOwner], ["running", null]);
    assertEquals((await claimOne(store)).task.id, id);
  });

  test("approve() of what nobody approved in time does nothing", async ({ store, elapse }) => {
    const id = await askMerge(store, HOUR);
    await elapse(2 * HOUR);
    assertEquals((await endAbandoned(store)).length, 1);
    assertEquals(await store.admin.approve([id]), ["ended"]);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("edit() takes an approval back", async ({ store }) => {
    const id = await createOne(store, { needsApproval: true, trace: { a: 1 } });
    await store.admin.approve([id]);
    // It is so already.
    await store.admin.edit(id, { priority: 0 });
    assert((await traceOf(store, id)).approved);
    assertEquals(await store.admin.edit(id, { instruction: "b" }), "edited");
    assertEquals(await traceOf(store, id), { a: 1, approved: null });
    assertEquals(await store.admin.approve([id]), ["approved"]);
  });

  test("create() with a key that replaces a task takes its approval back", async ({ store }) => {
    const fields = { key: "k", needsApproval: true };
    const id = await createOne(store, fields);
    await store.admin.approve([id]);
    const replacing = { ...fields, replaces: true, instruction: "b" };
    assertEquals(await createOne(store, replacing), id);
    const { traceText, needsApproval } = await taskOf(store, id);
    assertEquals([traceText, needsApproval], [null, true]);
  });

  test("retry() of a task whose start was approved asks anew", async ({ store }) => {
    const id = await createOne(store, { needsApproval: true });
    await store.admin.approve([id]);
    await record(store, complete(await claimOne(store)));
    const [result] = await store.admin.retry([id]);
    assert(result?.kind === "created");
    const { needsApproval, traceText } = await taskOf(store, result.newId);
    assertEquals(needsApproval, true);
    assertEquals(traceText, `{"retry_of":"${id}"}`);
  });
}

function testAmend(test: Test): void {
  test("amend() notes what came of a task's changes, and leaves its state", async (subject) => {
    const { store } = subject;
    const run = await startOne(store);
    const { id } = run.task;
    const { branch } = WORKSPACE;
    const kept = { detail: branch, workspace: WORKSPACE };
    await record(store, noteInRun(run, { kind: "workspace", ...kept }));
    await record(store, complete(run));
    const before = await taskOf(store, id);
    const after = {
      ...{ ...WORKSPACE, merged: "123", head: "fed", pullRequest: "https:" },
      ...{ commits: 2, files: 1, insertions: 3, deletions: 0 },
    };
    await assertNow(subject, async () => {
      const amendment = {
        kind: "merged",
        detail: "into main é",
        workspace: amendedFacts(after),
      } as const;
      assertEquals(await store.admin.amend(id, amendment), "amended");
      return [
        (await taskOf(store, id)).updatedAt,
        await lastEventAt(store, id),
      ];
    });
    const { traceText, updatedAt, ...rest } = await taskOf(store, id);
    assertEquals({ ...rest, traceText, updatedAt }, {
      ...before,
      traceText,
      updatedAt,
    });
    assertEquals((await traceOf(store, id)).workspace, after);
    assertEquals((await historyOf(store, id)).at(-1), [
      "merged",
      1,
      null,
      "into main é",
    ]);
  });

  test("amend() of a task that asks leaves it asking, and one without a branch as it is", async ({ store }) => {
    const id = await askMerge(store, HOUR);
    const before = await taskOf(store, id);
    const amendment = { kind: "commented", detail: "" } as const;
    assertEquals(await store.admin.amend(id, amendment), "amended");
    const after = await taskOf(store, id);
    assertEquals({ ...before, updatedAt: after.updatedAt }, after);
    const merged = { kind: "merged", detail: "x", workspace: { merged: "1" } };
    assertEquals(
      await store.admin.amend(id, { ...merged, kind: "merged" }),
      "amended",
    );
    assertEquals((await traceOf(store, id)).workspace, undefined);
    assertEquals(await store.admin.approve([id]), ["approved"]);
  });

  test("amend() changes nothing of a task that a runner works on, or that is missing", async ({ store, storedTextOf, changeTask }) => {
    const { running, completed } = await createEach(store);
    const before = await storedTextOf(running);
    const amendment = { kind: "merged", detail: "x" } as const;
    assertEquals(await store.admin.amend(running, amendment), "running");
    assertEquals(await storedTextOf(running), before);
    const missing = crypto.randomUUID();
    assertEquals(await store.admin.amend(missing, amendment), "missing");
    await changeTask(completed, { state: "archived" });
    assertEquals(
      await store.admin.amend(completed, amendment),
      "unknown state",
    );
  });
}
