/**
 * Telling those who wait that there is something new.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { begin, complete } from "../../../lib/task/transitions.ts";
import {
  claim,
  createMany,
  createOne,
  LEASE_MS,
  leasesOf,
  MINUTE,
  nth,
  record,
  type StoreUnderTest,
  type Test,
} from "./subject.ts";

/** Hears of changes, and knows what was going on then. */
class Listener {
  readonly heard: string[] = [];
  /** What goes on. */
  now = "nothing";
  #waiting = Promise.withResolvers<void>();

  readonly tell = (): void => {
    this.heard.push(this.now);
    this.#waiting.resolve();
  };

  /** Forgets what was told. */
  reset(): void {
    this.heard.length = 0;
    this.#waiting = Promise.withResolvers();
  }

  /** Waits until something was told, for a minute at most. */
  async told(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hang = new Promise<never>((_, reject) => {
      const fail = () => reject(new Error("Nothing was told for a minute"));
      timer = setTimeout(fail, MINUTE);
    });
    try {
      await Promise.race([this.#waiting.promise, hang]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** All that a runner does with the queue. */
async function runAll({ store }: StoreUnderTest): Promise<void> {
  const { tasks } = await claim(store, { limit: 1, ahead: 2 });
  assert(tasks.length === 3);
  const { queue } = store;
  await queue.heartbeat(leasesOf(tasks), { leaseMs: LEASE_MS });
  await record(store, complete(nth(tasks, 0)), begin(nth(tasks, 1)));
  await queue.giveBack(leasesOf(tasks.slice(2)));
  await queue.endAbandoned({ maxAttempts: 3 });
  await record(store, complete(nth(tasks, 1)));
}

/** Reads, which takes as long as being told of what was done before. */
async function readMuch({ store }: StoreUnderTest): Promise<void> {
  for (let n = 0; n < 10; n++) {
    await store.admin.page({ limit: 10 });
    await store.queue.preview({ limit: 10, maxAttempts: 3 });
    await store.events.last();
  }
}

export function testChanges(test: Test): void {
  test("queue.onChange() tells of what people do in this process", async (subject) => {
    const { store } = subject;
    const listener = new Listener();
    using _ = store.queue.onChange(listener.tell);
    const id = await createOne(store);
    await listener.told();
    const actions = [
      () => store.admin.cancel([id]),
      () => store.admin.retry([id]),
    ];
    for (const act of actions) {
      await readMuch(subject);
      listener.reset();
      await act();
      await listener.told();
    }
  });

  test("queue.onChange() tells its own callers nothing of what they did, or read", async (subject) => {
    const { store } = subject;
    await createMany(store, 3);
    await readMuch(subject);
    const listener = new Listener();
    using _ = store.queue.onChange(listener.tell);
    listener.now = "own writes";
    await runAll(subject);
    listener.now = "reads";
    await readMuch(subject);
    listener.now = "another's write";
    await createOne(store);
    await listener.told();
    assertEquals(new Set(listener.heard), new Set(["another's write"]));
  });

  test("events.onChange() tells of what anybody did", async (subject) => {
    const { store } = subject;
    await createMany(store, 3);
    await readMuch(subject);
    const listener = new Listener();
    using _ = store.events.onChange(listener.tell);
    const { tasks } = await claim(store, { limit: 1 });
    await listener.told();
    await readMuch(subject);
    listener.reset();
    await record(store, complete(nth(tasks, 0)));
    await listener.told();
    await readMuch(subject);
    listener.reset();
    await createOne(store);
    await listener.told();
  });

  test("onChange() tells nobody who does not listen any more", async (subject) => {
    const { store } = subject;
    const gone = new Listener();
    const here = new Listener();
    const subscriptions = [store.queue, store.events].map((it) =>
      it.onChange(gone.tell)
    );
    using _queue = store.queue.onChange(here.tell);
    for (const subscription of subscriptions) subscription[Symbol.dispose]();
    await createOne(store);
    await here.told();
    await readMuch(subject);
    assertEquals(gone.heard, []);
  });
}
