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

async function shownState(store: Store, id: string): Promise<string> {
  return shownStateOf(await taskOf(store, id));
}
