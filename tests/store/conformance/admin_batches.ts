/**
 * Batches: counted, and told when their last task has ended.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Batch, Store } from "../../../lib/store/contract.ts";
import { askInput, complete, fail } from "../../../lib/task/transitions.ts";
import {
  assertNow,
  claim,
  create,
  createMany,
  createOne,
  endAbandoned,
  historyOf,
  HOUR,
  LEASE_MS,
  nth,
  record,
  startOne,
  taskOf,
  type Test,
} from "./subject.ts";

/** The batch with the name, without what is not looked at here. */
async function countsOf(store: Store, name: string) {
  const [batch, other] = await store.admin.batches({ name, limit: 1 });
  assert(batch && !other, `batch ${name}`);
  const { counts, total, ended, completed, failed, retried } = batch;
  return { counts, total, ended, completed, failed, retried };
}

/** What the history says of ended batches, by the places of their tasks. */
async function endsIn(
  store: Store,
  ids: readonly string[],
): Promise<[number, string | null][]> {
  const ends: [number, string | null][] = [];
  for (const [index, id] of ids.entries()) {
    for (const [kind, , , detail] of await historyOf(store, id)) {
      if (kind === "batch_ended") ends.push([index, detail]);
    }
  }
  return ends;
}

export function testBatches(test: Test): void {
  test("batches() counts the tasks that share a name, by their states", async (subject) => {
    const { store } = subject;
    const batch = "nightly / A: 1 b";
    await assertNow(subject, async () => {
      await createMany(store, 6, { batch });
      const [{ createdAt, endedAt } = {} as Batch] = await store.admin.batches({
        name: batch,
        limit: 1,
      });
      assertEquals(endedAt, null);
      return [createdAt];
    });
    await createMany(store, 2);
    const { tasks } = await claim(store, { limit: 5 });
    await record(
      store,
      complete(nth(tasks, 0)),
      complete({ ...nth(tasks, 1), isSimulated: true }, { message: "Done" }),
      fail(nth(tasks, 2), "no"),
      askInput(nth(tasks, 3), "Which?"),
    );
    const [last] = (await store.admin.page({ batch, limit: 1 })).tasks;
    await store.admin.cancel([last?.id ?? ""]);
    assertEquals(await countsOf(store, batch), {
      counts: {
        completed: 1,
        simulated: 1,
        failed: 1,
        cancelled: 1,
        running: 1,
        needs_input: 1,
      },
      total: 6,
      ended: 4,
      completed: 2,
      failed: 1,
      retried: 0,
    });
    assertEquals(await store.admin.batches({ name: "other", limit: 1 }), []);
  });

  test("batches() lists the names, the one with the newest task first", async ({ store, elapse }) => {
    assertEquals(await store.admin.batches({ limit: 50 }), []);
    for (const batch of ["a", "b", "c", "a"]) {
      await createOne(store, { batch });
      await createOne(store);
      await elapse(1_000);
    }
    const names = async (limit: number) =>
      (await store.admin.batches({ limit })).map(({ name }) => name);
    assertEquals(await names(50), ["a", "c", "b"]);
    assertEquals(await names(2), ["a", "c"]);
  });

  test("batches() knows when a batch ended, and what it cost", async (subject) => {
    const { store, elapse } = subject;
    const one = await startOne(store, { batch: "a" });
    const two = await startOne(store, { batch: "a" });
    const usage = { provider: "simulate", costUsd: 0.25 };
    await record(store, { ...complete(one), usage });
    await elapse(HOUR / 120);
    await assertNow(subject, async () => {
      await record(store, { ...fail(two, "no"), usage });
      const [batch] = await store.admin.batches({ name: "a", limit: 1 });
      assertEquals(batch?.costUsd, 0.5);
      return [batch?.endedAt];
    });
  });

  test("the last task of a batch that ends says so once, with the counts", async ({ store }) => {
    const ids = await create(store, [
      { batch: "a" },
      { batch: "a" },
      { batch: "b" },
      {},
    ]);
    const { tasks } = await claim(store);
    const runs = ids.map((id) => tasks.find(({ task }) => task.id === id)!);
    await record(store, complete(runs[1]!), complete(runs[3]!));
    assertEquals(await endsIn(store, ids), []);
    await record(store, fail(runs[0]!, "no"), complete(runs[2]!));
    assertEquals(await endsIn(store, ids), [
      [0, "a: 1 completed, 1 failed"],
      [2, "b: 1 completed"],
    ]);
    const [kinds] = [(await historyOf(store, ids[0]!)).map(([kind]) => kind)];
    assertEquals(kinds, ["created", "started", "failed", "batch_ended"]);
  });

  test("a batch ends where an edit takes the last open task out of it, at what ended last", async ({ store, elapse }) => {
    const ids = await createMany(store, 5, { batch: "a" });
    const { tasks } = await claim(store, { limit: 3 });
    const runs = ids.flatMap((id) =>
      tasks.find(({ task }) => task.id === id) ?? []
    );
    const open = ids.filter((id) => !tasks.some(({ task }) => task.id === id));
    for (const index of [0, 2, 1]) {
      await elapse(1_000);
      await record(store, complete(runs[index]!));
    }
    await store.admin.edit(open[0]!, { batch: "b" });
    assertEquals(await endsIn(store, ids), []);
    await store.admin.edit(open[1]!, { batch: "a", priority: 1 });
    assertEquals(await endsIn(store, ids), []);
    await store.admin.edit(open[1]!, { batch: "b" });
    const last = ids.indexOf(runs[1]!.task.id);
    assertEquals(await endsIn(store, ids), [[last, "a: 3 completed"]]);
    await store.admin.edit(open[0]!, { batch: "c" });
    await store.admin.edit(open[1]!, { batch: "c" });
    assertEquals(await endsIn(store, ids), [[last, "a: 3 completed"]]);
  });

  test("a batch ends where a task is replaced by one of another, unless it gets more", async ({ store }) => {
    const replace = async (batch: string, key: string, more: string) => {
      const done = await startOne(store, { batch });
      await createOne(store, { batch, key });
      await record(store, complete(done));
      await create(store, [{ batch: "new", key, replaces: true }, {
        batch: more,
      }]);
      return await endsIn(store, [done.task.id]);
    };
    assertEquals(await replace("a", "k", "a"), []);
    assertEquals(await replace("b", "l", "new"), [[0, "b: 1 completed"]]);
  });

  test("a batch ends with what is cancelled, and with what is ended without a run", async ({ store, elapse }) => {
    const cancelled = await createMany(store, 3, { batch: "a" });
    await store.admin.cancel(cancelled);
    assertEquals(
      (await endsIn(store, cancelled)).map(([, detail]) => detail),
      ["a: 3 cancelled"],
    );
    const run = await startOne(store, { batch: "b", maxAttempts: 1 });
    await elapse(2 * LEASE_MS);
    assertEquals((await endAbandoned(store)).length, 1);
    assertEquals(await endsIn(store, [run.task.id]), [[0, "b: 1 failed"]]);
  });

  test("a batch ends with what fails because what it waited for did", async ({ store }) => {
    const first = await startOne(store);
    const after = [first.task.id];
    const ids = await create(store, [
      { batch: "a", after },
      { batch: "a", after, ifFailed: "run" },
    ]);
    await record(store, fail(first, "no"));
    assertEquals(await endsIn(store, ids), []);
    const { tasks: [last] } = await claim(store);
    await record(store, complete(last!));
    assertEquals((await endsIn(store, ids)).map(([index]) => index), [1]);
    await createOne(store, { batch: "b", after });
    const [late] = (await store.admin.page({ batch: "b", limit: 1 })).tasks;
    assertEquals(await endsIn(store, [late?.id ?? ""]), [[0, "b: 1 failed"]]);
  });

  test("a batch that waits for an answer, or for an attempt, has not ended", async ({ store }) => {
    const run = await startOne(store, { batch: "a" });
    const other = await startOne(store, { batch: "a" });
    await record(store, askInput(run, "Which?"), complete(other));
    const ids = [run.task.id, other.task.id];
    assertEquals(await endsIn(store, ids), []);
    await store.admin.cancel([run.task.id]);
    assertEquals(await endsIn(store, ids), [
      [0, "a: 1 completed, 1 cancelled"],
    ]);
  });

  test("a batch ends again when what was added to it has ended", async ({ store }) => {
    const one = await startOne(store, { batch: "a" });
    await record(store, complete(one));
    const two = await startOne(store, { batch: "a" });
    await record(store, complete(two));
    assertEquals(await endsIn(store, [one.task.id, two.task.id]), [
      [0, "a: 1 completed"],
      [1, "a: 2 completed"],
    ]);
  });

  test("retry() keeps batch and tags, and what it repeats counts no more", async ({ store }) => {
    const fields = { batch: "a", tags: ["x", "y"] };
    const one = await startOne(store, fields);
    const two = await startOne(store, fields);
    await record(store, fail(one, "no"), complete(two));
    const [result] = await store.admin.retry([one.task.id]);
    assert(result?.kind === "created");
    const { batch, tags } = await taskOf(store, result.newId);
    assertEquals([batch, tags], ["a", ["x", "y"]]);
    assertEquals(await countsOf(store, "a"), {
      counts: { completed: 1, created: 1 },
      total: 2,
      ended: 1,
      completed: 1,
      failed: 0,
      retried: 1,
    });
    const { tasks: [again] } = await claim(store);
    await record(store, complete(again!));
    assertEquals(
      (await endsIn(store, [one.task.id, two.task.id, result.newId]))
        .map(([, detail]) => detail),
      ["a: 1 completed, 1 failed", "a: 2 completed"],
    );
  });
}
