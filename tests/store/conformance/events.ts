/**
 * The events of all tasks, in an order in which none is missed.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Store, StoredEvent } from "../../../lib/store/contract.ts";
import { begin, complete, fail } from "../../../lib/task/transitions.ts";
import {
  claim,
  createMany,
  createOne,
  nth,
  record,
  startOne,
  type Test,
} from "./subject.ts";

/** All events after a cursor, so many at a time, and the cursor after them. */
async function readAll(
  { events }: Store,
  cursor: string,
  { limit = 100, taskId }: { limit?: number; taskId?: string } = {},
): Promise<{ events: StoredEvent[]; cursor: string }> {
  const read: StoredEvent[] = [];
  while (true) {
    const page = await events.after(cursor, { limit, taskId });
    assert(page.events.length <= limit);
    read.push(...page.events);
    cursor = page.cursor;
    if (page.events.length === 0) return { events: read, cursor };
  }
}

function textsOf(events: readonly StoredEvent[]): string[] {
  return events.map(({ taskId, kind }) => `${taskId} ${kind}`);
}

export function testEvents(test: Test): void {
  test("after() gives all events in their order, as the history has them", async ({ store, elapse }) => {
    const [one = "", other = ""] = await createMany(store, 2);
    await elapse(1_000);
    const { tasks } = await claim(store, { limit: 1, ahead: 1 });
    await record(store, begin(nth(tasks, 1)), fail(nth(tasks, 1), "no"));
    await record(store, complete(nth(tasks, 0), { message: "Done" }));
    const { events } = await readAll(store, store.events.first);
    assertEquals(textsOf(events), [
      `${one} created`,
      `${other} created`,
      `${one} started`,
      `${other} started`,
      `${other} failed`,
      `${one} completed`,
    ]);
    for (const taskId of [one, other]) {
      const own = events.filter((event) => event.taskId === taskId);
      assertEquals(
        own.map(({ cursor: _, ...event }) => event),
        await store.admin.history(taskId),
      );
    }
  });

  test("after() goes on where a page ended, and where each event stood", async ({ store }) => {
    await createMany(store, 7);
    const { events: all } = await readAll(store, store.events.first);
    assertEquals(all.length, 7);
    for (const limit of [1, 2, 7, 100]) {
      const { events } = await readAll(store, store.events.first, { limit });
      assertEquals(textsOf(events), textsOf(all));
    }
    for (const [index, { cursor }] of all.entries()) {
      const { events } = await readAll(store, cursor);
      assertEquals(textsOf(events), textsOf(all.slice(index + 1)));
    }
  });

  test("after() of one task has no other's, and its cursor is behind theirs", async ({ store }) => {
    const { task: { id: taskId } } = await startOne(store);
    await createMany(store, 5);
    const { events, cursor } = await readAll(store, store.events.first, {
      limit: 1,
      taskId,
    });
    assertEquals(textsOf(events), [`${taskId} created`, `${taskId} started`]);
    await store.admin.cancel([taskId]);
    await createOne(store);
    const more = await readAll(store, cursor, { taskId });
    assertEquals(textsOf(more.events), [`${taskId} cancel_requested`]);
    const unknown = await store.events.after(store.events.first, {
      limit: 9,
      taskId: crypto.randomUUID(),
    });
    assertEquals(unknown.events, []);
  });

  test("last() is the cursor of the newest event, or the first", async ({ store }) => {
    const { first } = store.events;
    assertEquals(await store.events.last(), first);
    assertEquals(await store.events.after(first, { limit: 9 }), {
      events: [],
      cursor: first,
    });
    await createMany(store, 3);
    const last = await store.events.last();
    const { events } = await readAll(store, first);
    assertEquals(last, nth(events, 2).cursor);
    assertEquals((await readAll(store, last)).events, []);
    const id = await createOne(store);
    const later = await readAll(store, last);
    assertEquals(textsOf(later.events), [`${id} created`]);
    assertEquals(later.cursor, await store.events.last());
  });

  test("after() misses no event of those who write at once, and has none twice", async ({ store }) => {
    const writers = Array.from({ length: 5 }, async () => {
      for (let n = 0; n < 3; n++) {
        const run = await startOne(store);
        await record(store, complete(run));
      }
    });
    let isDone = false;
    const done = Promise.all(writers).then(() => isDone = true);
    const seen: StoredEvent[] = [];
    let cursor = store.events.first;
    for (let isLast = false; !isLast;) {
      isLast = isDone;
      const page = await readAll(store, cursor, { limit: 3 });
      seen.push(...page.events);
      cursor = page.cursor;
    }
    await done;
    assertEquals(seen.length, 5 * 3 * 3);
    assertEquals(new Set(textsOf(seen)).size, seen.length);
    const { events } = await readAll(store, store.events.first);
    assertEquals(textsOf(seen), textsOf(events));
    for (const { id } of (await store.admin.page({ limit: 100 })).tasks) {
      const own = seen.filter(({ taskId }) => taskId === id);
      assertEquals(
        own.map(({ kind }) => kind),
        ["created", "started", "completed"],
      );
    }
  });

  test("isCursor() knows the store's cursors from other texts", async ({ store }) => {
    await createMany(store, 2);
    const { events } = await readAll(store, store.events.first);
    const cursors = [
      store.events.first,
      await store.events.last(),
      ...events.map(({ cursor }) => cursor),
    ];
    for (const cursor of cursors) {
      assert(store.events.isCursor(cursor), cursor);
    }
    const others = [
      "",
      " ",
      "x",
      "-1",
      "1.5",
      "1e3",
      "NaN",
      `${cursors[1]} `,
      `${cursors[1]}'`,
      "9".repeat(100),
      "\0",
      crypto.randomUUID(),
    ];
    for (const text of others) {
      assertEquals(store.events.isCursor(text), false, JSON.stringify(text));
    }
  });
}
