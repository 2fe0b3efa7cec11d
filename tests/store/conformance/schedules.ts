/**
 * What makes tasks at its times, and which slot was seen to last.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type {
  Schedule,
  Store,
  TakenSlot,
} from "../../../lib/store/contract.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { within } from "../../support/until.ts";
import {
  assertNow,
  claimOne,
  createOne,
  historyOf,
  HOUR,
  later,
  MINUTE,
  newTask,
  nth,
  record,
  startOne,
  statesOf,
  taskOf,
  type Test,
} from "./subject.ts";

const NIGHTLY = { name: "nightly", definition: "{}", source: "command" };
const SLOT = new Date("2026-03-29T01:00:00Z");
const ID = "1b671a64-40d5-491e-99b0-da01ff1f3341";
const OTHER_ID = "2b671a64-40d5-491e-99b0-da01ff1f3341";

async function only({ schedules }: Store): Promise<Schedule> {
  const { schedules: found } = await schedules.list();
  assertEquals(found.length, 1);
  return nth(found, 0);
}

async function take(
  { schedules }: Store,
  fields: Partial<TakenSlot> = {},
): Promise<"taken" | "lost"> {
  const slot: TakenSlot = {
    ...{ name: "nightly", slot: SLOT, lastSlot: null },
    task: { ...newTask(), id: ID },
    ...fields,
  };
  const taken = await schedules.take(slot);
  if (taken === "lost") return "lost";
  assertEquals(taken, slot.task?.id ?? null);
  return "taken";
}

export function testSchedules(test: Test): void {
  test("list() gives schedules by their names, and the store's time", async (subject) => {
    const { store: { schedules } } = subject;
    assertEquals((await schedules.list()).schedules, []);
    await assertNow(subject, async () => {
      await schedules.put({ ...NIGHTLY, name: "b", definition: 'é"🦆\n' });
      await schedules.put({ ...NIGHTLY, name: "a", source: "file h /x y" });
      const { schedules: [a, b, ...others], at } = await schedules.list();
      assertEquals(others, []);
      assert(a && b);
      const none = { pausedAt: null, lastSlot: null, lastTask: null };
      assertEquals(a, {
        ...{ ...NIGHTLY, name: "a", source: "file h /x y" },
        ...{ addedAt: a.addedAt, ...none },
      });
      assertEquals([b.name, b.definition], ["b", 'é"🦆\n']);
      return [at, a.addedAt, b.addedAt];
    });
  });

  test("put() replaces a schedule, and keeps how far it is", async (subject) => {
    const { store } = subject;
    await store.schedules.put(NIGHTLY);
    await take(store);
    await store.schedules.pause("nightly");
    const before = await only(store);
    await subject.elapse(HOUR);
    const other = { ...NIGHTLY, definition: "[]", source: "file" };
    await store.schedules.put({ ...other, keepsSlots: true });
    assertEquals(await only(store), { ...before, ...other });
    await assertNow(subject, async () => {
      await store.schedules.put({ ...other, keepsSlots: false });
      const { addedAt, ...rest } = await only(store);
      const { addedAt: _, ...kept } = { ...before, ...other };
      assertEquals(rest, kept);
      return [addedAt];
    });
  });

  test("remove() forgets a schedule, and leaves its tasks", async ({ store }) => {
    await store.schedules.put(NIGHTLY);
    await take(store);
    assertEquals(await store.schedules.remove("nightl"), false);
    assertEquals(await store.schedules.remove("nightly"), true);
    assertEquals(await store.schedules.remove("nightly"), false);
    assertEquals((await store.schedules.list()).schedules, []);
    assertEquals(await statesOf(store), { created: 1 });
  });

  test("pause() has no slot taken, and resume() forgets what was missed", async (subject) => {
    const { store } = subject;
    const { schedules } = store;
    for (const change of ["pause", "resume"] as const) {
      assertEquals(await schedules[change]("nightly"), false);
    }
    await schedules.put(NIGHTLY);
    const { addedAt } = await only(store);
    assertEquals(await schedules.resume("nightly"), true);
    assertEquals((await only(store)).addedAt, addedAt);
    await subject.elapse(HOUR);
    assertEquals(await schedules.pause("nightly"), true);
    const { pausedAt } = await only(store);
    assert(pausedAt && pausedAt >= later(addedAt, HOUR));
    assertEquals(await take(store), "lost");
    await subject.elapse(HOUR);
    assertEquals(await schedules.pause("nightly"), true);
    assertEquals((await only(store)).pausedAt, pausedAt);
    await schedules.resume("nightly");
    const resumed = await only(store);
    assertEquals(resumed.pausedAt, null);
    assert(resumed.addedAt >= later(pausedAt, HOUR));
    assertEquals(await take(store), "taken");
  });

  test("take() makes the task of a slot, which can be claimed at once", async ({ store }) => {
    await store.schedules.put(NIGHTLY);
    assertEquals(await take(store), "taken");
    const schedule = await only(store);
    assertEquals(schedule.lastSlot, SLOT);
    assertEquals(schedule.lastTask, { id: ID, state: "created" });
    const { task, lease } = await claimOne(store);
    assertEquals(task.id, ID);
    await record(store, complete({ task, lease }));
    assertEquals((await only(store)).lastTask?.state, "completed");
  });

  test("take() makes a slot's task once, and no slot goes back", async ({ store }) => {
    await store.schedules.put(NIGHTLY);
    assertEquals(await take(store), "taken");
    const earlier = later(SLOT, -HOUR);
    for (
      const fields of [
        { lastSlot: null },
        { lastSlot: SLOT },
        { lastSlot: earlier, slot: later(SLOT, HOUR) },
        { lastSlot: SLOT, slot: earlier },
        { name: "other" },
      ]
    ) {
      const task = { ...newTask(), id: OTHER_ID };
      assertEquals(await take(store, { ...fields, task }), "lost");
    }
    assertEquals(await statesOf(store), { created: 1 });
    assertEquals((await only(store)).lastSlot, SLOT);
  });

  test("take() of many at the same time makes one task", async ({ store }) => {
    await store.schedules.put(NIGHTLY);
    const taken = await Promise.all(
      Array.from(
        { length: 8 },
        () => take(store, { task: { ...newTask(), id: crypto.randomUUID() } }),
      ),
    );
    assertEquals(taken.filter((it) => it === "taken").length, 1);
    assertEquals(await statesOf(store), { created: 1 });
  });

  test("take() takes a slot whose task is there already, and does nothing else", async ({ store }) => {
    await createOne(store, { id: ID });
    await store.schedules.put(NIGHTLY);
    const last = await startOne(store, { id: OTHER_ID });
    assertEquals(await take(store, { cancels: last.task.id }), "taken");
    const { lastSlot, lastTask } = await only(store);
    assertEquals([lastSlot, lastTask?.id], [SLOT, ID]);
    assertEquals((await taskOf(store, OTHER_ID)).cancelRequestedAt, null);
    assertEquals((await store.admin.count()).counts.length, 2);
  });

  test("take() gives the task that has the key of the slot's", async ({ store }) => {
    const key = "k";
    await createOne(store, { id: OTHER_ID, key });
    await store.schedules.put(NIGHTLY);
    const slot = { name: "nightly", slot: SLOT, lastSlot: null };
    const task = { ...newTask({ key }), id: ID };
    assertEquals(await store.schedules.take({ ...slot, task }), OTHER_ID);
    assertEquals((await only(store)).lastTask?.id, OTHER_ID);
    assertEquals(await statesOf(store), { created: 1 });
  });

  test("take() never empties the batch of what it cancels", async ({ store }) => {
    await store.schedules.put(NIGHTLY);
    const batch = "nightly";
    await take(store, { task: { ...newTask({ batch }), id: ID } });
    const task = { ...newTask({ batch }), id: OTHER_ID };
    const slot = later(SLOT, HOUR);
    await take(store, { slot, lastSlot: SLOT, task, cancels: ID });
    const kinds = (await historyOf(store, ID)).map(([kind]) => kind);
    assertEquals(kinds, ["created", "cancelled"]);
  });

  test("take() cancels a task in favour of the next", async ({ store }) => {
    await store.schedules.put(NIGHTLY);
    await take(store);
    const slot = later(SLOT, HOUR);
    const task = { ...newTask(), id: OTHER_ID };
    const next = { slot, lastSlot: SLOT, task, cancels: ID };
    assertEquals(await take(store, next), "taken");
    assertEquals((await taskOf(store, ID)).state, "failed");
    assertEquals((await only(store)).lastTask?.id, OTHER_ID);
    await claimOne(store);
    const last = {
      ...{ slot: later(slot, HOUR), lastSlot: slot, cancels: OTHER_ID },
      task: { ...newTask(), id: crypto.randomUUID() },
    };
    assertEquals(await take(store, last), "taken");
    assert((await taskOf(store, OTHER_ID)).cancelRequestedAt);
  });

  test("take() notes in a task's history that a slot got none", async ({ store }) => {
    await store.schedules.put(NIGHTLY);
    await take(store);
    await claimOne(store);
    const skipped = { taskId: ID, detail: "it is still running" };
    const next = { slot: later(SLOT, MINUTE), task: undefined, skipped };
    assertEquals(await take(store, { ...next, lastSlot: null }), "lost");
    assertEquals(await take(store, { ...next, lastSlot: SLOT }), "taken");
    const history = await historyOf(store, ID);
    assertEquals(history.map(([kind]) => kind), [
      ...["created", "started", "slot_skipped"],
    ]);
    assertEquals(history.at(-1), [
      ...["slot_skipped", 1, null, "it is still running"],
    ]);
    const schedule = await only(store);
    assertEquals(schedule.lastSlot, next.slot);
    assertEquals(schedule.lastTask?.id, ID);
    const gone = { taskId: OTHER_ID, detail: "" };
    const another = { slot: later(next.slot, MINUTE), lastSlot: next.slot };
    assertEquals(
      await take(store, { ...another, task: undefined, skipped: gone }),
      "taken",
    );
  });

  test("schedules that change wake the queue's listeners", async ({ store }) => {
    const { schedules } = store;
    const changes = [
      () => schedules.put(NIGHTLY),
      () => schedules.pause("nightly"),
      () => schedules.resume("nightly"),
      () => take(store),
      () => schedules.remove("nightly"),
    ];
    for (const change of changes) {
      const woken = Promise.withResolvers<void>();
      using _ = store.queue.onChange(woken.resolve);
      await change();
      await within("it is woken", woken.promise);
    }
  });
}
