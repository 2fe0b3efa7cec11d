/**
 * Choosing tasks by what they have in common, wherever that can be done.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Admin, TaskFilter } from "../../../lib/store/contract.ts";
import { complete } from "../../../lib/task/transitions.ts";
import {
  create,
  createOne,
  HOUR,
  later,
  MINUTE,
  record,
  startOne,
  type Test,
} from "./subject.ts";

/** The tasks of a page, with whether the total is right. */
async function listed(admin: Admin, filter: TaskFilter): Promise<string[]> {
  const { tasks, total } = await admin.page({ ...filter, limit: 100 });
  assertEquals(total, tasks.length);
  return tasks.map(({ id }) => id).sort();
}

async function chosen(
  admin: Admin,
  filter: TaskFilter,
  how: "cancellable" | "retryable" = "cancellable",
): Promise<string[]> {
  return (await admin[how](filter)).map(({ id }) => id).sort();
}

async function exported(
  admin: Admin,
  filter: TaskFilter,
  events = false,
): Promise<string[]> {
  const { body } = await admin.export({ ...filter, events, format: "jsonl" });
  const lines = (await new Response(body).text()).trimEnd().split("\n");
  return lines.filter((line) => line !== "").map((line) => {
    const row = JSON.parse(line);
    return events ? row.task_id : row.id;
  }).sort();
}

export function testFilters(test: Test): void {
  test("page(), cancellable() and export() filter by batch, key, tags and text", async ({ store }) => {
    const { admin } = store;
    const ids = await create(store, [
      { batch: "nightly", tags: ["x"], instruction: "Mend the DOOR" },
      { batch: "nightly", tags: ["y", "x"], key: "one" },
      { batch: "nightly 2", key: "two", tags: ['a"x', "ab"] },
      { tags: ["Größe", "b"], instruction: "A door, 50%" },
      {},
    ]);
    async function assertChosen(filter: TaskFilter, expected: number[]) {
      const wanted = expected.map((index) => ids[index]!).sort();
      assertEquals(await listed(admin, filter), wanted);
      assertEquals(await chosen(admin, filter), wanted);
      assertEquals(await exported(admin, filter), wanted);
      // Each has one event: that it was created.
      assertEquals(await exported(admin, filter, true), wanted);
    }
    await assertChosen({}, [0, 1, 2, 3, 4]);
    await assertChosen({ batch: "nightly" }, [0, 1]);
    await assertChosen({ batch: "nightly 2" }, [2]);
    await assertChosen({ batch: "night" }, []);
    await assertChosen({ key: "one" }, [1]);
    await assertChosen({ key: "One" }, []);
    await assertChosen({ tags: ["x"] }, [0, 1]);
    await assertChosen({ tags: ["x", "y"] }, [1]);
    await assertChosen({ tags: ['a"x'] }, [2]);
    await assertChosen({ tags: ["a"] }, []);
    await assertChosen({ tags: ["ab"] }, [2]);
    await assertChosen({ tags: ["Größe"] }, [3]);
    await assertChosen({ text: "door" }, [0, 3]);
    await assertChosen({ text: "50%" }, [3]);
    await assertChosen({ text: "door", batch: "nightly" }, [0]);
    await assertChosen({ provider: "simulate", tags: ["b"] }, [3]);
    await assertChosen({ states: ["completed"], batch: "nightly" }, []);
  });

  test("page(), cancellable() and export() filter by the time of creation", async (subject) => {
    const { store: { admin }, store } = subject;
    const old = await createOne(store);
    await subject.elapse(HOUR);
    const young = await createOne(store);
    const half = later(await subject.now(), -30 * MINUTE);
    const all = [old, young].sort();
    for (const choose of [listed, chosen, exported]) {
      assertEquals(await choose(admin, { createdSince: half }), [young]);
      assertEquals(await choose(admin, { createdBefore: half }), [old]);
      const createdSince = later(half, -HOUR);
      assertEquals(await choose(admin, { createdSince }), all);
      const span = { createdSince, createdBefore: half };
      assertEquals(await choose(admin, span), [old]);
    }
    await admin.cancel([old]);
    const happened = await exported(admin, { createdSince: half }, true);
    assertEquals(happened, all);
    const before = await exported(admin, { createdBefore: half }, true);
    assertEquals(before, [old]);
  });

  test("retryable() filters by batch and tags, beside the states", async ({ store }) => {
    const fields = { batch: "nightly", tags: ["x"] };
    const run = await startOne(store, fields);
    await record(store, complete(run));
    const cancelled = await createOne(store, fields);
    const other = await createOne(store, { tags: ["x"] });
    await store.admin.cancel([cancelled, other]);
    const choose = (filter: TaskFilter) =>
      chosen(store.admin, filter, "retryable");
    assertEquals(
      await choose({ batch: "nightly" }),
      [cancelled, run.task.id].sort(),
    );
    assertEquals(await choose({ batch: "nightly", states: ["failed"] }), [
      cancelled,
    ]);
    assertEquals(
      await choose({ tags: ["x"], states: ["cancelled"] }),
      [
        cancelled,
        other,
      ].sort(),
    );
    assertEquals(await choose({ key: "none" }), []);
  });
}
