/**
 * All that a store keeps, into another store and back.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import { ARCHIVE_TABLES, copyArchive } from "../../../lib/store/archive.ts";
import type {
  Archive,
  ArchiveRow,
  Store,
} from "../../../lib/store/contract.ts";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import { complete, fail, retryLater } from "../../../lib/task/transitions.ts";
import {
  claim,
  create,
  createMany,
  createOne,
  idsOf,
  LARGE,
  nth,
  record,
  startOne,
  statesOf,
  type Test,
} from "./subject.ts";

const ENDPOINT = { endpoint: "one", events: ["completed", "failed"] } as const;
const PATIENCE = { ms: 3_600_000, tries: 9 };

/** Tasks in several states, with texts of all kinds, and a receiver that lags. */
async function fill(store: Store): Promise<void> {
  await store.schedules.put({ name: "s", definition: "{}", source: "command" });
  await store.schedules.take({
    ...{ name: "s", slot: new Date("2026-03-29T01:00:00Z"), lastSlot: null },
  });
  await store.schedules.pause("s");
  await store.outbox.register([ENDPOINT]);
  await create(store, [
    { instruction: 'a "quoted"\n\\ 🦆', trace: { n: 12345678901234567890n } },
    { priority: 3, maxAttempts: 2, timeoutMs: 1_500, targetRef: "a/b#7" },
    {
      runAt: new Date("2099-01-02T03:04:05.678Z"),
      workspace: { repo: "/srv/é", branch: "mine" },
      touches: ["src/**", "docs/*"],
      needsApproval: true,
    },
    {},
  ]);
  const { tasks } = await claim(store, { limit: 2 });
  await record(store, complete(nth(tasks, 0)), fail(nth(tasks, 1), "no"));
  await record(
    store,
    retryLater(await startOne(store), { error: "later", delayMs: 99_000 }),
  );
  await startOne(store);
  await store.outbox.exchange(ENDPOINT, {
    results: [],
    limit: 1,
    leaseMs: 60_000,
    patience: PATIENCE,
  });
}

/** All rows of an archive, table by table. */
async function contentOf(archive: Archive) {
  return await archive.read(async (contents) => {
    const content: Record<string, ArchiveRow[]> = {};
    for (const table of ARCHIVE_TABLES) {
      const rows = content[table] = [] as ArchiveRow[];
      for await (const set of contents.rows(table, { afterEvent: 0 })) {
        rows.push(...set);
      }
    }
    return content;
  });
}

const copyTo = (from: Store, to: Store) =>
  copyArchive(from.archive, to.archive, () => {});

export function testArchive(test: Test): void {
  test("archive is the same in a file, and goes on there", async ({ store }) => {
    await fill(store);
    await using file = await openDuckDbStore(":memory:");
    const counts = await copyTo(store, file);
    assertEquals(counts.tasks, { from: 6, to: 6 });
    const { tasks } = await file.admin.page({ limit: 9 });
    assertEquals(
      tasks.filter(({ needsApproval }) => needsApproval)
        .map(({ workspace, touches }) => [workspace, touches]),
      [[{ repo: "/srv/é", branch: "mine" }, ["src/**", "docs/*"]]],
    );
    assertEquals(await contentOf(file.archive), await contentOf(store.archive));
    assertEquals(await statesOf(file), await statesOf(store));
    // What comes next has a number after all that was copied.
    const cursor = await file.events.last();
    const id = await createOne(file);
    const { events } = await file.events.after(cursor, { limit: 9 });
    assertEquals(events.map(({ taskId, kind }) => [taskId, kind]), [
      [id, "created"],
    ]);
  });

  test("archive of a file is the same here, and goes on here", async ({ store }) => {
    await using file = await openDuckDbStore(":memory:");
    await fill(file);
    const progress: [table: string, done: number, total: number][] = [];
    await copyArchive(file.archive, store.archive, ({ table, done, total }) => {
      progress.push([table, done, total]);
    });
    assertEquals(await contentOf(store.archive), await contentOf(file.archive));
    assertEquals(progress.filter(([table]) => table === "tasks"), [
      ["tasks", 0, 6],
      ["tasks", 6, 6],
    ]);
    const { deliveries } = await store.outbox.exchange(ENDPOINT, {
      results: [],
      limit: 9,
      leaseMs: 60_000,
      patience: PATIENCE,
    });
    // One is leased by who had it last; the other was not looked at yet.
    assertEquals(deliveries.length, 1);
    const cursor = await store.events.last();
    const id = await createOne(store);
    const { events } = await store.events.after(cursor, { limit: 9 });
    assertEquals(events.map(({ taskId }) => taskId), [id]);
    assert(idsOf(await claim(store, { limit: 9 })).includes(id));
  });

  test("archive keeps the order of tasks that were created together", async ({ store }) => {
    await using file = await openDuckDbStore(":memory:");
    const ids = await createMany(file, 50);
    await copyTo(file, store);
    assertEquals(idsOf(await claim(store, { limit: 50 })), ids);
  });

  test("archive has what tasks wait for, both ways", async ({ store }) => {
    await using file = await openDuckDbStore(":memory:");
    const ids = await create(store, [
      { key: "a" },
      { key: "b" },
      { after: ["b", "a"] },
    ]);
    await copyTo(store, file);
    assertEquals(await contentOf(file.archive), await contentOf(store.archive));
    const { tasks } = await claim(file);
    assertEquals(tasks.length, 2);
    await record(file, ...tasks.map((it) => complete(it)));
    await copyTo(file, store);
    const { tasks: [last] } = await claim(store);
    assertEquals(last?.task.id, ids[2]);
    const results = await store.queue.results(nth(ids, 2));
    assertEquals(results.map(({ key }) => key), ["b", "a"]);
  });

  test("archive reads texts in sets that fit into memory", async ({ store }) => {
    const ids = await createMany(store, 5, LARGE);
    const sizes: number[] = [];
    await store.archive.read(async (contents) => {
      const options = { afterEvent: 0 };
      for await (const set of contents.rows("tasks", options)) {
        sizes.push(set.length);
      }
    });
    assertEquals(sizes.reduce((sum, size) => sum + size, 0), ids.length);
    assert(Math.max(...sizes) < ids.length, sizes.join());
  });

  test("archive goes on with a copy that was cut off, and takes what changed since", async ({ store }) => {
    await using file = await openDuckDbStore(":memory:");
    await fill(file);
    let sets = 0;
    const cut: Archive = {
      read: (work) => store.archive.read(work),
      prepare: (lastEvent) => store.archive.prepare(lastEvent),
      write: (table, rows) => {
        if (++sets > 3) throw new Error("cut off");
        return store.archive.write(table, rows);
      },
      finish: () => store.archive.finish(),
      isPartial: () => store.archive.isPartial(),
    };
    assertEquals(await store.archive.isPartial(), false);
    await assertRejects(() => copyArchive(file.archive, cut, () => {}), Error);
    assertEquals(await store.archive.isPartial(), true);
    await createOne(file, { instruction: "young" });
    // Its receivers got, or gave up, what they waited for.
    await file.archive.prepare(0);
    for (let times = 1; times <= 2; times++) {
      const counts = await copyTo(file, store);
      assertEquals(counts.tasks, { from: 7, to: 7 });
      assertEquals(await store.archive.isPartial(), false);
      assertEquals(
        await contentOf(store.archive),
        await contentOf(file.archive),
      );
    }
  });

  test("archive stays partial while not as much is there", async ({ store }) => {
    await using file = await openDuckDbStore(":memory:");
    await createMany(file, 3);
    const losing: Archive = {
      read: (work) => store.archive.read(work),
      prepare: (lastEvent) => store.archive.prepare(lastEvent),
      write: (table, rows) =>
        store.archive.write(table, table === "tasks" ? rows.slice(1) : rows),
      finish: () => store.archive.finish(),
      isPartial: () => store.archive.isPartial(),
    };
    const counts = await copyArchive(file.archive, losing, () => {});
    assertEquals(counts.tasks, { from: 3, to: 2 });
    assertEquals(await store.archive.isPartial(), true);
    assertEquals((await copyTo(file, store)).tasks, { from: 3, to: 3 });
    assertEquals(await store.archive.isPartial(), false);
  });

  test("archive is not put where other tasks are", async ({ store }) => {
    await using file = await openDuckDbStore(":memory:");
    await createOne(file);
    const id = await createOne(store);
    const before = await contentOf(store.archive);
    await assertRejects(
      () => copyTo(file, store),
      UsageError,
      "are other tasks already",
    );
    assertEquals(await contentOf(store.archive), before);
    assertEquals(await store.archive.isPartial(), false);
    assertEquals(idsOf(await claim(store)), [id]);
  });
}
