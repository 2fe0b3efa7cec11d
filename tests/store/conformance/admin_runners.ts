/**
 * Who is there, and who is to drain.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Presence, Store } from "../../../lib/store/contract.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { within } from "../../support/until.ts";
import {
  claim,
  createMany,
  HOUR,
  later,
  LEASE_MS,
  MINUTE,
  minutes,
  nth,
  record,
  type Test,
} from "./subject.ts";

const FACTS: Presence = {
  name: "runner-a",
  host: "machine-a",
  pid: 4711,
  version: "1.2.3",
  concurrency: 4,
  upMs: 0,
};

async function isDraining(
  { queue }: Store,
  facts: Partial<Presence> = {},
): Promise<boolean> {
  const said = await queue.present({ ...FACTS, ...facts });
  return said.isDraining;
}

async function namesIn({ admin }: Store): Promise<string[]> {
  return (await admin.runners()).map(({ name }) => name);
}

export function testRunners(test: Test): void {
  test("runners() lists who is there, the one that has been there longest first", async (subject) => {
    const { store } = subject;
    assertEquals(await store.admin.runners(), []);
    const from = await subject.now();
    await isDraining(store, { name: "young" });
    await isDraining(store, { name: "old é 🦆", host: "", upMs: HOUR });
    const to = await subject.now();
    const found = await store.admin.runners();
    const { upMs: _, ...facts } = FACTS;
    const rest = { ...facts, isDraining: false, isGone: false, inHand: 0 };
    assertEquals(
      found.map(({ startedAt: _, seenAt: __, ...it }) => it),
      [{ ...rest, name: "old é 🦆", host: "" }, { ...rest, name: "young" }],
    );
    const [old, young] = [nth(found, 0), nth(found, 1)];
    for (
      const at of [later(old.startedAt, HOUR), young.startedAt, old.seenAt]
    ) {
      assertEquals(at >= later(from, -1) && at <= to, true, at.toISOString());
    }
  });

  test("runners() counts the tasks of which each has a live lease", async ({ store, elapse }) => {
    await createMany(store, 7);
    await isDraining(store);
    await isDraining(store, { name: "runner-b" });
    const { tasks } = await claim(store, { limit: 3, ahead: 2 });
    await claim(store, { limit: 1, owner: "runner-b", leaseMs: HOUR });
    await claim(store, { limit: 1, owner: "nobody" });
    await record(store, complete(nth(tasks, 0)));
    const inHand = async () =>
      (await store.admin.runners()).map(({ inHand }) => inHand);
    assertEquals(await inHand(), [4, 1]);
    await elapse(LEASE_MS);
    assertEquals(await inHand(), [0, 1]);
  });

  test("present() keeps when a runner started, and notes when it was seen", async ({ store, elapse, now }) => {
    await isDraining(store);
    const before = nth(await store.admin.runners(), 0);
    await elapse(MINUTE);
    await isDraining(store, { upMs: MINUTE });
    const after = nth(await store.admin.runners(), 0);
    assertEquals(after.startedAt, before.startedAt);
    assertEquals(minutes(+after.seenAt - +before.seenAt), 1);
    assertEquals(minutes(+await now() - +after.seenAt), 0);
  });

  test("runners() says who was not seen for a while, and forgets it after a day", async ({ store, elapse }) => {
    const gone = async () =>
      (await store.admin.runners()).filter(({ isGone }) => isGone)
        .map(({ name }) => name);
    await isDraining(store);
    assertEquals(await gone(), []);
    await elapse(HOUR);
    await isDraining(store, { name: "runner-b" });
    assertEquals(await gone(), ["runner-a"]);
    await isDraining(store);
    assertEquals(await gone(), []);
    await elapse(25 * HOUR);
    assertEquals(await gone(), ["runner-a", "runner-b"]);
    await isDraining(store, { name: "runner-c" });
    assertEquals(await namesIn(store), ["runner-c"]);
  });

  test("drain() is heard by those who are named, at once and for good", async ({ store, elapse }) => {
    const names = ["runner-a", "runner-b", "runner-c"];
    for (const name of names) {
      assertEquals(await isDraining(store, { name }), false);
    }
    assertEquals(
      await store.admin.drain(["runner-c", "nobody", "runner-a"]),
      ["asked", "missing", "asked"],
    );
    const heard = async () => {
      const all: boolean[] = [];
      for (const name of names) all.push(await isDraining(store, { name }));
      return all;
    };
    assertEquals(await heard(), [true, false, true]);
    assertEquals(
      (await store.admin.runners()).map(({ isDraining }) => isDraining),
      [true, false, true],
    );
    await elapse(MINUTE);
    assertEquals(await heard(), [true, false, true]);
    assertEquals(await store.admin.drain(["runner-a"]), ["asked"]);
  });

  test("leave() forgets a runner, and that it was to drain", async ({ store }) => {
    await isDraining(store);
    await isDraining(store, { name: "runner-b" });
    await store.admin.drain(["runner-a"]);
    await store.queue.leave("runner-a");
    await store.queue.leave("nobody");
    assertEquals(await namesIn(store), ["runner-b"]);
    assertEquals(await store.admin.drain(["runner-a"]), ["missing"]);
    assertEquals(await isDraining(store), false);
  });

  test("drain() tells the queue of a change", async ({ store }) => {
    await isDraining(store);
    const told = Promise.withResolvers<void>();
    using _ = store.queue.onChange(told.resolve);
    await store.admin.drain(["runner-a"]);
    await within("a runner is told", told.promise);
  });
}
