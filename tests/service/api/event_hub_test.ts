import { assertEquals } from "@std/assert";
import { createLog } from "../../../lib/base/log.ts";
import { EventHub } from "../../../lib/service/api/event_hub.ts";
import type {
  EventPage,
  Events,
  EventsOptions,
  StoredEvent,
} from "../../../lib/store/contract.ts";
import { FakeClock, turn } from "../../support/fake_clock.ts";

/** Events whose cursors have no order that anybody else could know. */
class StubEvents implements Events {
  readonly first = "alpha";
  readonly listeners = new Set<() => void>();
  readonly reads: string[] = [];
  error: Error | undefined;
  #events: StoredEvent[] = [];

  /** Adds events, and says so. */
  add(count: number, taskId = "a"): void {
    for (let n = 0; n < count; n++) {
      const id = this.#events.length + 1;
      this.#events.push({
        id,
        taskId,
        kind: "created",
        occurredAt: new Date(0),
        attempt: 0,
        runner: null,
        detail: null,
        cursor: cursorOf(id),
      });
    }
    for (const listener of this.listeners) listener();
  }

  after(cursor: string, { limit, taskId }: EventsOptions): Promise<EventPage> {
    this.reads.push(cursor);
    if (this.error) return Promise.reject(this.error);
    const start = this.#events.findIndex((it) => it.cursor === cursor) + 1;
    // A cursor that is still to come.
    const rest = start === 0 && cursor !== this.first
      ? []
      : this.#events.slice(start);
    const events = rest.filter((it) => !taskId || it.taskId === taskId)
      .slice(0, limit);
    const end = events.length < limit ? rest.at(-1) : events.at(-1);
    return Promise.resolve({ events, cursor: end?.cursor ?? cursor });
  }

  last(): Promise<string> {
    return Promise.resolve(this.#events.at(-1)?.cursor ?? this.first);
  }

  isCursor(text: string): boolean {
    return text === this.first || text.startsWith("c");
  }

  onChange(listener: () => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => this.listeners.delete(listener) };
  }
}

/** Later ones come earlier in the alphabet. */
function cursorOf(id: number): string {
  return `c${99_999 - id}`;
}

async function start({ before = 0 } = {}) {
  const events = new StubEvents();
  events.add(before);
  const clock = new FakeClock();
  const log = createLog({ write: () => {} });
  let news = 0;
  const hub = new EventHub({ events, clock, log, onNews: () => news++ });
  const watch = await hub.watch(() => {});
  /** Lets the hub read what it wants to. */
  const settle = async () => {
    for (let n = 0; n < 10; n++) await clock.advance(1_000);
  };
  return { events, clock, hub, watch, settle, news: () => news };
}

function idsOf(events: readonly StoredEvent[]): number[] {
  return events.map(({ id }) => id);
}

Deno.test("EventHub hands on what happens, from memory", async () => {
  const { events, hub, watch, settle, news } = await start({ before: 2 });
  assertEquals(hub.last, cursorOf(2));
  events.add(3);
  await settle();
  assertEquals([hub.last, news()], [cursorOf(5), 1]);
  const reads = events.reads.length;
  const batch = await hub.after(cursorOf(3));
  assertEquals(idsOf(batch.events), [4, 5]);
  assertEquals(batch.place, cursorOf(5));
  assertEquals(idsOf((await hub.after(cursorOf(2))).events), [3, 4, 5]);
  assertEquals((await hub.after(cursorOf(5))).events, []);
  assertEquals(events.reads.length, reads);
  watch[Symbol.dispose]();
});

Deno.test("EventHub reads once for a change, and not at all without one", async () => {
  const { events, watch, settle } = await start();
  await settle();
  assertEquals(events.reads, []);
  events.add(1);
  await settle();
  assertEquals(events.reads, ["alpha"]);
  watch[Symbol.dispose]();
  assertEquals(events.listeners.size, 0);
  events.add(1);
  await settle();
  assertEquals(events.reads, ["alpha"]);
});

Deno.test("EventHub reads at most five times a second, however much changes", async () => {
  const { events, clock, watch } = await start();
  for (let n = 0; n < 99; n++) {
    events.add(1);
    await clock.advance(10);
  }
  assertEquals(events.reads.length, 5);
  watch[Symbol.dispose]();
});

Deno.test("EventHub reads on where there is more than it reads at once", async () => {
  const { events, hub, watch, settle } = await start();
  events.add(2_500);
  await settle();
  assertEquals(hub.last, cursorOf(2_500));
  const first = await hub.after("alpha");
  assertEquals([first.events.length, first.place], [1_000, cursorOf(1_000)]);
  watch[Symbol.dispose]();
});

Deno.test("EventHub tries again where the store can't be read", async () => {
  const { events, hub, watch, settle } = await start();
  events.error = new Error("no");
  events.add(1);
  await settle();
  assertEquals(hub.last, "alpha");
  events.error = undefined;
  await settle();
  assertEquals(hub.last, cursorOf(1));
  watch[Symbol.dispose]();
});

Deno.test("EventHub reads for those who are far behind", async () => {
  const { events, hub, watch, settle } = await start();
  events.add(5_003);
  for (let n = 0; n < 3; n++) await settle();
  assertEquals(hub.last, cursorOf(5_003));
  const reads = events.reads.length;
  assertEquals(idsOf((await hub.after("alpha")).events).slice(0, 2), [1, 2]);
  assertEquals(events.reads.length, reads + 1);
  assertEquals((await hub.after(cursorOf(3))).events.length, 1_000);
  assertEquals(
    events.reads.length,
    reads + 1,
    "those after the third are kept",
  );
  watch[Symbol.dispose]();
});

Deno.test("EventHub skips what is more than somebody wants", async () => {
  const { events, hub, watch, settle } = await start({ before: 4 });
  const read = await hub.after(cursorOf(1), { maxLag: 2 });
  assertEquals([read.isGap, read.place, read.events], [true, cursorOf(4), []]);
  assertEquals((await hub.after(cursorOf(1), { maxLag: 3 })).isGap, false);
  events.add(3);
  await settle();
  const kept = await hub.after(cursorOf(4), { maxLag: 2 });
  assertEquals([kept.isGap, kept.place], [true, cursorOf(7)]);
  const all = await hub.after(cursorOf(4), { maxLag: 3 });
  assertEquals(idsOf(all.events), [5, 6, 7]);
  watch[Symbol.dispose]();
});

Deno.test("EventHub leaves out other tasks' events, from memory and from the store", async () => {
  const { events, hub, watch, settle } = await start({ before: 2 });
  events.add(1, "b");
  events.add(1, "a");
  await settle();
  for (const place of ["alpha", cursorOf(2)]) {
    const batch = await hub.after(place, { taskId: "b" });
    assertEquals([idsOf(batch.events), batch.place], [[3], cursorOf(4)]);
  }
  watch[Symbol.dispose]();
});

Deno.test("EventHub takes a place that is still to come for the newest", async () => {
  const { events, hub, watch, settle } = await start({ before: 2 });
  assertEquals(await hub.known("c0"), cursorOf(2));
  assertEquals(await hub.known("alpha"), "alpha");
  assertEquals(await hub.known(cursorOf(1)), cursorOf(1));
  events.add(1);
  await settle();
  assertEquals(await hub.known(cursorOf(3)), cursorOf(3));
  watch[Symbol.dispose]();
  await turn();
});
