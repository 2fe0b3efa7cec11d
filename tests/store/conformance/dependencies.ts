/**
 * Tasks that wait for others.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../lib/base/errors.ts";
import { newTasks, type Store } from "../../../lib/store/contract.ts";
import { shownStateOf } from "../../../lib/task/shown_state.ts";
import type { NewTask } from "../../../lib/task/task.ts";
import { complete, fail } from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  endAbandoned,
  historyOf,
  HOUR,
  idsOf,
  LEASE_MS,
  newTask,
  nth,
  record,
  statesOf,
  taskOf,
  type Test,
  traceOf,
} from "./subject.ts";

/** Enough that a look at each for each would be seen. */
const MANY = 2_000;

export function testDependencies(test: Test): void {
  test("claim() passes over what waits until all of it is completed", async ({ store }) => {
    const [one, two, last] = await create3(store, [
      {},
      { key: "two" },
      { after: ["two"] },
    ]);
    const both = await createOne(store, { after: [one, last] });
    const first = await claim(store);
    assertEquals(idsOf(first), [one, two]);
    assertEquals((await taskOf(store, both)).isBlocked, true);
    assertEquals(await shownState(store, both), "blocked");
    const [runOne, runTwo] = first.tasks;
    assert(runOne && runTwo);
    assertEquals((await record(store, complete(runOne))).hasUnblocked, false);
    assertEquals(idsOf(await claim(store)), []);
    assertEquals((await record(store, complete(runTwo))).hasUnblocked, true);
    const runLast = await claimOne(store);
    assertEquals(runLast.task.id, last);
    await record(store, complete(runLast));
    assertEquals(idsOf(await claim(store)), [both]);
    assertEquals((await taskOf(store, both)).isBlocked, false);
  });

  test("create() takes keys of tasks that come later, and of the newest before", async ({ store }) => {
    await createOne(store, { key: "old", instruction: "first" });
    const ended = await claimOne(store);
    await record(store, complete(ended));
    const newest = await createOne(store, { key: "old" });
    const [behind, ahead] = await create3(store, [
      { after: ["ahead", "old"] },
      { key: "ahead" },
      {},
    ]);
    const { tasks } = await claim(store);
    assertEquals(tasks.map(({ task }) => task.id).slice(0, 2), [newest, ahead]);
    await record(store, ...tasks.map((it) => complete(it)));
    assertEquals(idsOf(await claim(store)), [behind]);
  });

  test("create() refuses what is not there, and creates none", async ({ store }) => {
    const gone = "6ba7b810-9dad-41d1-80b4-00c04fd430c9";
    for (const name of [gone, "lint"]) {
      const error = await assertRejects(
        () => create(store, [{}, { after: [name] }]),
        UserError,
      );
      assert(error.message.includes(name), error.message);
    }
    assertEquals(await statesOf(store), {});
  });

  test("create() refuses tasks that wait for each other, or for themselves", async ({ store }) => {
    const error = await assertRejects(
      () =>
        create(store, [
          { key: "start" },
          { key: "a", after: ["start", "c"] },
          { key: "b", after: ["a"] },
          { key: "c", after: ["b"] },
          { after: ["c"] },
        ]),
      UserError,
    );
    assert(/[abc] → [abc] → [abc] → [abc]/.test(error.message), error.message);
    const alone = await assertRejects(
      () => create(store, [{ key: "me", after: ["me"] }]),
      UserError,
    );
    assert(alone.message.includes("itself: me"), alone.message);
    assertEquals(await statesOf(store), {});
  });

  test("record() ends what waits for a failed task as it says", async ({ store }) => {
    const [root, ...ids] = await create(store, [
      { key: "root" },
      { key: "failing", after: ["root"] },
      { key: "skipping", after: ["root"], ifFailed: "skip" },
      { key: "running", after: ["root", "failing"], ifFailed: "run" },
      { after: ["failing"] },
      { after: ["skipping"] },
      { after: ["skipping"], ifFailed: "run" },
      { after: ["running"] },
      { after: ["skipping", "failing"] },
    ]);
    assert(root);
    const run = await claimOne(store);
    const { hasUnblocked } = await record(store, fail(run, "no disk\nat all"));
    assertEquals(hasUnblocked, true);
    assertEquals(await Promise.all(ids.map((it) => shownState(store, it))), [
      "failed",
      "skipped",
      "created",
      "failed",
      "skipped",
      "created",
      "blocked",
      "failed",
    ]);
    const reason = `It waits for task ${root}, which failed: no disk`;
    const { error, waited_for } = await traceOf(store, nth(ids, 0));
    assertEquals([error, waited_for], [reason, root]);
    assertEquals(
      (await traceOf(store, nth(ids, 3))).error,
      `It waits for task ${nth(ids, 0)}, which did not run because of ` +
        `task ${root}, which failed: no disk`,
    );
    assertEquals(await historyOf(store, nth(ids, 1)), [
      ["created", 0, null, null],
      ["skipped", 0, null, reason],
    ]);
    assertEquals(idsOf(await claim(store)), [nth(ids, 2), nth(ids, 5)]);
  });

  test("create() settles at once what waits for what has ended", async ({ store }) => {
    const [good, bad] = await create3(store, [{}, {}, {}]);
    const { tasks } = await claim(store, { limit: 2 });
    const [goodRun, badRun] = tasks;
    assert(goodRun && badRun);
    await record(store, complete(goodRun), fail(badRun, "no"));
    const ids = await create(store, [
      { after: [good] },
      { after: [bad, good] },
      { after: [bad], ifFailed: "skip" },
      { after: [bad], ifFailed: "run" },
    ]);
    assertEquals(await Promise.all(ids.map((it) => shownState(store, it))), [
      "created",
      "failed",
      "skipped",
      "created",
    ]);
  });

  test("cancel() of what others wait for ends them, and of one that waits, too", async ({ store }) => {
    const [root, middle, last] = await create3(store, [
      { key: "root" },
      { key: "middle", after: ["root"] },
      { after: ["middle"] },
    ]);
    assertEquals(await store.admin.cancel([middle]), ["cancelled"]);
    assertEquals(await shownState(store, middle), "cancelled");
    assertEquals(await shownState(store, last), "failed");
    assertEquals(await shownState(store, root), "created");
  });

  test("endAbandoned() settles what waits for those whose runner died", async (subject) => {
    const { store } = subject;
    const [root] = await create3(store, [
      { key: "root", maxAttempts: 1 },
      { after: ["root"] },
      { after: ["root"], ifFailed: "run" },
    ]);
    assertEquals((await claimOne(store)).task.id, root);
    await subject.elapse(LEASE_MS + 1);
    assertEquals((await endAbandoned(store)).length, 1);
    assertEquals(await statesOf(store), { failed: 2, created: 1 });
    await claimOne(store);
  });

  test(`one task waits for ${MANY}, and ${MANY} for one`, async ({ store }) => {
    const keys = Array.from({ length: MANY }, (_, index) => `part ${index}`);
    const ids = await create(store, [
      { key: "root" },
      ...keys.map((key): Partial<NewTask> => ({ key, after: ["root"] })),
      { key: "end", after: keys },
    ]);
    await record(store, complete(await claimOne(store)));
    for (let left = MANY; left > 0;) {
      const { tasks } = await claim(store, { limit: 300 });
      assert(tasks.length > 0, `${left} are left`);
      left -= tasks.length;
      const ends = tasks.map((it) => complete(it));
      const { hasUnblocked } = await record(store, ...ends);
      assertEquals(hasUnblocked, left === 0);
    }
    assertEquals(idsOf(await claim(store)), ids.slice(-1));
  });

  test(`a failure ends ${MANY} behind it`, async ({ store }) => {
    await create(store, [
      { key: "root" },
      ...Array.from(
        { length: MANY },
        () => ({ key: undefined, after: ["root"] }),
      ),
    ]);
    await record(store, fail(await claimOne(store), "no"));
    assertEquals(await statesOf(store), { failed: MANY + 1 });
  });

  test("a chain of hundreds is ended at once", async ({ store }) => {
    await store.admin.create(newTasks(
      Array.from({ length: 300 }, (_, index) =>
        newTask({
          key: `${index}`,
          ...index > 0 && { after: [`${index - 1}`] },
        })),
    ));
    await record(store, fail(await claimOne(store), "no"));
    assertEquals(await statesOf(store), { failed: 300 });
  });

  test("retry() of one behind waits for what has been made of the others", async ({ store }) => {
    const { admin } = store;
    const [root, other, behind] = await create3(store, [
      { key: "root" },
      { key: "other" },
      { after: ["other", "root"], batch: "b", key: "k", tags: ["t"] },
    ]);
    const { tasks: [run, otherRun] } = await claim(store);
    assert(run && otherRun);
    await record(store, fail(run, "no"), complete(otherRun));
    const first = await retryAll(store, [root]);
    const [again] = await retryAll(store, [behind]);
    assert(again !== undefined);
    const task = await taskOf(store, again);
    assertEquals(
      [task.batch, task.key, task.tags, task.ifFailed, task.isBlocked],
      ["b", "k", ["t"], "fail", true],
    );
    const { edges } = await admin.graph(again, { limit: 10 });
    assertEquals(edges.filter(({ task }) => task === again), [
      { task: again, after: other },
      { task: again, after: nth(first, 0) },
    ]);
    await record(store, complete(await claimOne(store)));
    assertEquals(idsOf(await claim(store)), [again]);
  });

  test("retry() of one behind a failed one that is not retried fails again", async ({ store }) => {
    const [root, behind] = await create3(store, [
      { key: "root" },
      { after: ["root"] },
      {},
    ]);
    await record(store, fail(await claimOne(store, { taskId: root }), "no"));
    const [again] = await retryAll(store, [behind]);
    assertEquals(await shownState(store, again ?? ""), "failed");
  });

  test("dependents() has those that ended because of a task, and were not retried", async ({ store }) => {
    const { admin } = store;
    const ids = await create(store, [
      { key: "root" },
      { key: "failing", after: ["root"] },
      { key: "skipping", after: ["root"], ifFailed: "skip" },
      { after: ["skipping"] },
      { after: ["root"], ifFailed: "run" },
      { key: "cancelled", after: ["root"] },
      { after: ["cancelled"] },
    ]);
    const [root] = ids;
    assert(root);
    await admin.cancel([nth(ids, 5)]);
    await record(store, fail(await claimOne(store, { taskId: root }), "no"));
    const behind = await admin.dependents([root]);
    assertEquals(behind, ids.slice(1, 4));
    assertEquals(await admin.dependents([nth(ids, 5)]), [nth(ids, 6)]);
    const retried = await retryAll(store, [root, ...behind]);
    assertEquals(
      await Promise.all(retried.map((it) => shownState(store, it))),
      ["created", "blocked", "blocked", "blocked"],
    );
    assertEquals(await admin.dependents([root]), []);
    for (let left = 5; left > 0;) {
      const { tasks } = await claim(store);
      assert(tasks.length > 0);
      await record(store, ...tasks.map((it) => complete(it)));
      left -= tasks.length;
    }
    assertEquals(
      await Promise.all(retried.map((it) => shownState(store, it))),
      Array(4).fill("completed"),
    );
  });

  test("prune() keeps what a task still waits for, and forgets what waited", async (subject) => {
    const { admin } = subject.store;
    const [root, , last] = await create3(subject.store, [
      { key: "root" },
      { key: "middle", after: ["root"] },
      { after: ["root", "middle"] },
    ]);
    await record(subject.store, complete(await claimOne(subject.store)));
    await subject.elapse(HOUR);
    const before = new Date((await subject.now()).getTime() - HOUR / 2);
    assertEquals(await admin.prunable(before), {
      tasks: 0,
      events: 0,
      kept: 1,
    });
    const { tasks, kept } = await admin.prune(before);
    assertEquals([tasks, kept], [0, 1]);
    assertEquals((await taskOf(subject.store, root)).state, "completed");
    const middle = await claimOne(subject.store);
    await record(subject.store, fail(middle, "no"));
    assertEquals(await shownState(subject.store, last), "failed");
    await subject.elapse(HOUR);
    const later = new Date((await subject.now()).getTime() - HOUR / 2);
    assertEquals((await admin.prune(later)).tasks, 3);
    assertEquals(await admin.graph(last, { limit: 10 }), {
      nodes: [],
      edges: [],
      hasMore: false,
    });
  });

  test("retry() of one whose dependencies were pruned waits for nothing", async ({ store, elapse, now }) => {
    const [root, other, behind] = await create3(store, [
      { key: "root" },
      { key: "other" },
      { after: ["root", "other"], ifFailed: "run" },
    ]);
    const { tasks } = await claim(store);
    await record(store, ...tasks.map((it) => complete(it)));
    await elapse(HOUR);
    const before = await now();
    await elapse(HOUR);
    await record(store, complete(await claimOne(store, { taskId: behind })));
    await store.admin.prune(before);
    assertEquals(await store.admin.get(root), undefined);
    assertEquals(await store.admin.get(other), undefined);
    const again = await retryAll(store, [behind]);
    assertEquals(idsOf(await claim(store)), again);
  });

  test("graph() has the nearest tasks both ways, and says that there are more", async ({ store }) => {
    const ids = await create(store, [
      { key: "a", instruction: "x".repeat(1_000) },
      { key: "b", after: ["a"], ifFailed: "run" },
      { key: "c", after: ["b"] },
      { key: "d", after: ["c", "a"] },
      { key: "alone" },
    ]);
    const [a, b, c, d] = ids;
    assert(a && b && c && d);
    const { nodes, edges, hasMore } = await store.admin.graph(b, { limit: 10 });
    assertEquals(nodes.map(({ id }) => id).slice(0, 1), [b]);
    assertEquals(new Set(nodes.map(({ key }) => key)), new Set("abcd"));
    assertEquals(nodes.find(({ id }) => id === a), {
      id: a,
      key: "a",
      instruction: "x".repeat(200),
      provider: "simulate",
      state: "created",
      shownState: "created",
      ifFailed: null,
    });
    assertEquals(nodes[0]?.shownState, "blocked");
    assertEquals(nodes[0]?.ifFailed, "run");
    const named = (id: string) => "abcd"[ids.indexOf(id)];
    assertEquals(
      edges.map(({ task, after }) => `${named(task)}${named(after)}`).sort(),
      ["ba", "cb", "da", "dc"],
    );
    assertEquals(hasMore, false);
    const few = await store.admin.graph(b, { limit: 3 });
    assertEquals([few.nodes.length, few.hasMore], [3, true]);
  });

  test("results() has what came of what a task waited for, in that order", async ({ store }) => {
    const ids = await create(store, [
      { key: "one", instruction: "First" },
      { key: "two", provider: "claude" },
      { after: ["two", "one"], ifFailed: "run" },
    ]);
    const { tasks: [one, two] } = await claim(store);
    assert(one && two);
    await record(
      store,
      complete(one, { result: { text: "Done", n: 1 } }),
      fail(two, "no"),
    );
    assertEquals(await store.queue.results(nth(ids, 2)), [
      {
        id: nth(ids, 1),
        key: "two",
        provider: "claude",
        instruction: null,
        state: "failed",
        output: undefined,
        error: "no",
      },
      {
        id: nth(ids, 0),
        key: "one",
        provider: "simulate",
        instruction: "First",
        state: "completed",
        output: { text: "Done", n: 1 },
      },
    ]);
    assertEquals(await store.queue.results(nth(ids, 0)), []);
  });

  test("results() leaves out what does not fit, and says so", async ({ store }) => {
    const ids = await create(store, [
      ...Array.from({ length: 10 }, (_, index) => ({ key: `${index}` })),
      { after: Array.from({ length: 10 }, (_, index) => `${index}`) },
    ]);
    const { tasks } = await claim(store);
    const result = "x".repeat(1_000_000);
    await record(store, ...tasks.map((it) => complete(it, { result })));
    const results = await store.queue.results(nth(ids, 10));
    assertEquals(
      results.map(({ output, isTruncated = false }) =>
        isTruncated ? output === undefined : output === result
      ),
      Array(10).fill(true),
    );
    assertEquals(
      results.map(({ isTruncated = false }) => isTruncated),
      [...Array(8).fill(false), true, true],
    );
  });

  test("preview() and count() know what waits for others, and for what", async ({ store }) => {
    const [one, two, last] = await create3(store, [
      { key: "one" },
      { key: "two" },
      { after: ["two", "one"] },
    ]);
    const options = { limit: 10, maxAttempts: 3 };
    const { claimable, others, blockedBy } = await store.queue.preview(options);
    assertEquals(claimable.map(({ id }) => id), [one, two]);
    assertEquals(others.map(({ id }) => id), [last]);
    assertEquals(
      [...blockedBy],
      [[last, { id: two, state: "created", count: 2 }]],
    );
    assertEquals((await store.admin.count()).waiting, 2);
    const { total } = await store.admin.page({ states: ["blocked"], limit: 1 });
    assertEquals(total, 1);
  });

  test("what waits for none is as before beside those that wait", async ({ store }) => {
    const [root] = await create3(store, [{ key: "r" }, { after: ["r"] }, {}]);
    const others = await createMany(store, 3);
    const ids = idsOf(await claim(store));
    assertEquals(ids.length, 5);
    assert(ids.includes(root) && others.every((it) => ids.includes(it)));
  });
}

async function create3(
  store: Store,
  tasks: readonly [Partial<NewTask>, Partial<NewTask>, Partial<NewTask>],
): Promise<[string, string, string]> {
  const ids = await create(store, tasks);
  return [nth(ids, 0), nth(ids, 1), nth(ids, 2)];
}

/** Retries tasks that have ended. Returns the ids of the new ones. */
async function retryAll(
  { admin }: Store,
  ids: readonly string[],
): Promise<string[]> {
  return (await admin.retry(ids)).map((result) => {
    assert(result.kind === "created", result.kind);
    return result.newId;
  });
}

async function shownState(store: Store, id: string): Promise<string> {
  return shownStateOf(await taskOf(store, id));
}
