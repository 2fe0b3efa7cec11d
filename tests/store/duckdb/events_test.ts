import { assert, assertEquals } from "@std/assert";
import { TimedStore } from "./timed_store.ts";

Deno.test("after() gives the events of all tasks in their order, each once", async () => {
  await using timed = await TimedStore.open();
  const { events } = timed.store;
  assertEquals(await events.last(), events.first);
  const ids = await timed.create({}, {}, {});
  const first = await events.after(events.first, { limit: 2 });
  const rest = await events.after(first.cursor, { limit: 2 });
  assertEquals(
    [...first.events, ...rest.events].map(({ taskId, kind }) => [taskId, kind]),
    ids.map((id) => [id, "created"]),
  );
  assertEquals(rest.cursor, await events.last());
  assertEquals(rest.events[0]?.cursor, rest.cursor);
  assertEquals(await events.after(rest.cursor, { limit: 2 }), {
    events: [],
    cursor: rest.cursor,
  });
});

Deno.test("after() of one task goes past what the others did", async () => {
  await using timed = await TimedStore.open();
  const { events } = timed.store;
  const [id = ""] = await timed.create({}, {}, {});
  const page = await events.after(events.first, { limit: 9, taskId: id });
  assertEquals(page.events.map(({ taskId }) => taskId), [id]);
  assertEquals(page.cursor, await events.last());
  const full = await events.after(events.first, { limit: 1, taskId: id });
  assertEquals(full.cursor, full.events[0]?.cursor);
});

Deno.test("isCursor() knows what came from after() from what did not", async () => {
  await using timed = await TimedStore.open();
  const { events } = timed.store;
  await timed.create({});
  assert(events.isCursor(events.first));
  assert(events.isCursor(await events.last()));
  for (const text of ["", "-1", "1.5", "1e3", "x", " 1", "9".repeat(20)]) {
    assert(!events.isCursor(text), text);
  }
});

Deno.test("onChange() tells of a change by this process, too", async () => {
  await using timed = await TimedStore.open();
  const changed = Promise.withResolvers<void>();
  using _watch = timed.store.events.onChange(changed.resolve);
  await timed.create({});
  await changed.promise;
});

Deno.test("a change by people wakes the queue's listeners", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  let calls = 0;
  using _watch = queue.onChange(() => calls++);
  const [id = ""] = await timed.create({});
  assertEquals(calls, 1);
  await timed.claim();
  await admin.count();
  assertEquals(calls, 1);
  await admin.cancel([id]);
  assertEquals(calls, 2);
});
