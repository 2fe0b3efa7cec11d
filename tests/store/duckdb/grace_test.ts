/**
 * What runners do with leases that ran out while nobody could renew them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { DatabaseBusyError } from "../../../lib/base/errors.ts";
import type { LeaseState, Store } from "../../../lib/store/contract.ts";
import {
  connectDuckDb,
  type Connection,
} from "../../../lib/store/duckdb/connection.ts";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import type { Lease } from "../../../lib/task/task.ts";
import { Folder } from "../../cli/cli.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { Child } from "../../support/fixtures/child.ts";
import { until, within } from "../../support/until.ts";
import {
  claim,
  createMany,
  endAbandoned,
  idsOf,
  LEASE_MS,
  leasesOf,
} from "../conformance/subject.ts";
import { overriding } from "./subject.ts";

const heartbeat = ({ queue }: Store, leases: readonly Lease[]) =>
  queue.heartbeat(leases, { leaseMs: LEASE_MS });

/** A file that several runners have in turn, and their time. */
class Shared implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly #folder = new Folder();
  readonly #stores = new AsyncDisposableStack();
  #free = Promise.resolve();

  /** What another runner has of it. */
  async open(): Promise<Store> {
    const store = await openDuckDbStore(`${this.#folder.path}/tasks.duckdb`, {
      clock: this.clock,
      connect: (path) => this.#connect(path),
    });
    return this.#stores.use(store);
  }

  /** One after the other: within a process, DuckDB's own lock does not hold. */
  async #connect(path: string): Promise<Connection> {
    const before = this.#free;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#free = promise;
    await before;
    const connection = await connectDuckDb(path);
    return overriding(connection, {
      close() {
        connection.close();
        resolve();
      },
    });
  }

  /** Waits until somebody waits for others. */
  async waits(): Promise<void> {
    await until("somebody waits", () => this.clock.sleepers > 0);
  }

  /** Lets the time pass until it is over. */
  async end<T>(waiting: Promise<T>): Promise<T> {
    let isOver = false;
    const ended = waiting.finally(() => isOver = true);
    await until("the wait is over", async () => {
      if (this.clock.sleepers > 0) await this.clock.advance(STEP_MS);
      return isOver;
    });
    return await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stores[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

async function idsFrom(child: Child): Promise<string[]> {
  return JSON.parse(await child.hear());
}

/** How often whoever waits looks at the file. */
const STEP_MS = 250;
/** For so long, another program had the file, or the clock was set. */
const AWAY_MS = LEASE_MS + 1;

Deno.test("claim() leaves leases that ran out while nobody had the file alone, until they can be renewed", async () => {
  await using shared = new Shared();
  const living = await shared.open();
  await createMany(living, 4);
  const { tasks } = await claim(living);
  shared.clock.jump(AWAY_MS);
  const claimed = claim(await shared.open());
  await shared.waits();
  const states = await heartbeat(living, leasesOf(tasks));
  assertEquals(new Set(states), new Set(["held"]));
  assertEquals(idsOf(await shared.end(claimed)), []);
});

Deno.test("claim() takes what a dead runner had, when the others had their time", async () => {
  await using shared = new Shared();
  const dead = await shared.open();
  const ids = await createMany(dead, 4);
  await claim(dead);
  shared.clock.jump(AWAY_MS);
  const claimed = claim(await shared.open());
  await shared.waits();
  // A living one looks at the clock each second, and may be late.
  for (let ms = 0; ms < 1_750; ms += STEP_MS) {
    await shared.clock.advance(STEP_MS);
    await shared.waits();
  }
  assertEquals(idsOf(await shared.end(claimed)), ids);
});

Deno.test("claim() takes at once what ran out while the file was in use", async () => {
  await using shared = new Shared();
  const [dead, living] = [await shared.open(), await shared.open()];
  const ids = await createMany(dead, 2);
  await claim(dead, { leaseMs: 1_500 });
  for (let n = 1; n <= 5; n++) {
    shared.clock.jump(300);
    assertEquals(idsOf(await claim(living)), n < 5 ? [] : ids);
  }
  assertEquals(shared.clock.sleepers, 0);
});

Deno.test("claim() of another newcomer waits, too, though the file was in use since", async () => {
  await using shared = new Shared();
  const living = await shared.open();
  await createMany(living, 4);
  const { tasks } = await claim(living);
  shared.clock.jump(AWAY_MS);
  const first = claim(await shared.open());
  await shared.waits();
  const second = claim(await shared.open());
  await until("both wait", () => shared.clock.sleepers === 2);
  await heartbeat(living, leasesOf(tasks));
  const both = await shared.end(Promise.all([first, second]));
  assertEquals(both.map(idsOf), [[], []]);
});

Deno.test("claim() waits for those who have not renewed, though others have", async () => {
  await using shared = new Shared();
  const [one, other] = [await shared.open(), await shared.open()];
  await createMany(one, 4);
  const ones = await claim(one, { limit: 2 });
  const others = await claim(other, { limit: 2, owner: "runner-b" });
  shared.clock.jump(AWAY_MS);
  await heartbeat(one, leasesOf(ones.tasks));
  const claimed = claim(one);
  await shared.waits();
  const states = await heartbeat(other, leasesOf(others.tasks));
  assertEquals(states, ["held", "held"]);
  assertEquals(idsOf(await shared.end(claimed)), []);
});

Deno.test("claim() begins to wait anew where another program has the file again meanwhile", async () => {
  await using shared = new Shared();
  const living = await shared.open();
  await createMany(living, 4);
  const { tasks } = await claim(living);
  shared.clock.jump(AWAY_MS);
  const claimed = claim(await shared.open());
  await shared.waits();
  // Nobody but it came in, for a moment.
  shared.clock.jump(60_000);
  for (let ms = 0; ms < 1_750; ms += STEP_MS) {
    await shared.clock.advance(STEP_MS);
    await shared.waits();
  }
  await heartbeat(living, leasesOf(tasks));
  assertEquals(idsOf(await shared.end(claimed)), []);
});

Deno.test("claim() waits once, though the clock is set back then", async () => {
  await using shared = new Shared();
  const dead = await shared.open();
  const ids = await createMany(dead, 2);
  await claim(dead, { limit: 1 });
  shared.clock.jump(86_400_000);
  const living = await shared.open();
  const stop = new AbortController();
  const claimed = claim(living, { signal: stop.signal });
  await shared.waits();
  stop.abort();
  assertEquals(idsOf(await within("the end of the wait", claimed)), []);
  shared.clock.jump(-86_400_000);
  assertEquals(idsOf(await claim(living)), ids.slice(1));
  assertEquals(shared.clock.sleepers, 0);
});

Deno.test("endAbandoned() ends nothing before others could renew their leases", async () => {
  await using shared = new Shared();
  const living = await shared.open();
  await createMany(living, 1, { maxAttempts: 1 });
  const [dead] = await createMany(living, 1, { maxAttempts: 1 });
  const { tasks } = await claim(living);
  shared.clock.jump(AWAY_MS);
  const ended = endAbandoned(await shared.open());
  await shared.waits();
  await heartbeat(living, leasesOf(tasks).slice(0, 1));
  const tasksEnded = await shared.end(ended);
  assertEquals(tasksEnded.map(({ task }) => task.id), [dead]);
});

Deno.test("claim() waits for those with a short lease, too", async () => {
  await using shared = new Shared();
  const living = await shared.open();
  await createMany(living, 2);
  const { tasks } = await claim(living, { leaseMs: 1_000 });
  shared.clock.jump(1_001);
  const claimed = claim(await shared.open());
  await shared.waits();
  await heartbeat(living, leasesOf(tasks));
  assertEquals(idsOf(await shared.end(claimed)), []);
});

Deno.test("claim() waits for nobody where no lease ran out meanwhile", async () => {
  await using shared = new Shared();
  const store = await shared.open();
  const ids = await createMany(store, 3);
  await claim(store, { limit: 1, leaseMs: 86_400_000 });
  shared.clock.jump(AWAY_MS);
  assertEquals(idsOf(await claim(await shared.open())), ids.slice(1));
});

/** Renews leases as a runner does whom another program keeps out. */
async function renew(
  { queue }: Store,
  leases: readonly Lease[],
  leaseMs: number,
): Promise<readonly LeaseState[]> {
  while (true) {
    try {
      return await queue.heartbeat(leases, { leaseMs });
    } catch (error) {
      if (!(error instanceof DatabaseBusyError)) throw error;
    }
  }
}

Deno.test("claim() of a process that starts while another program has the file takes nothing from a living runner", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks.duckdb`;
  await using living = await openDuckDbStore(path);
  await createMany(living, 4);
  const leaseMs = 3_000;
  const { tasks, at } = await claim(living, { leaseMs });
  await using holder = await hold(path);
  const renewed = renew(living, leasesOf(tasks), 60_000);
  await using newcomer = new Child(["claim", path, "60000"]);
  assertEquals(await newcomer.hear(), "opening");
  await until("the leases ran out", () => Date.now() > at.getTime() + leaseMs);
  await letGo(holder);
  assertEquals(await idsFrom(newcomer), []);
  assertEquals(await renewed, tasks.map(() => "held"));
});

Deno.test("claim() takes what a process had that died while another program had the file", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks.duckdb`;
  const ids: string[] = [];
  {
    await using store = await openDuckDbStore(path);
    ids.push(...await createMany(store, 4));
  }
  {
    await using dead = new Child(["claim", path, "3000"]);
    assertEquals(await dead.hear(), "opening");
    assertEquals(await idsFrom(dead), ids);
  }
  const diedAt = Date.now();
  await using holder = await hold(path);
  await until("the leases ran out", () => Date.now() > diedAt + 3_000);
  await letGo(holder);
  await using rescuer = new Child(["claim", path, "60000"]);
  assertEquals(await rescuer.hear(), "opening");
  assertEquals(await idsFrom(rescuer), ids);
});

/** Another program, which keeps the file. */
async function hold(path: string): Promise<Child> {
  const child = new Child(["hold", path]);
  assertEquals(await child.hear(), "held");
  return child;
}

async function letGo(holder: Child): Promise<void> {
  await holder.say("close");
  assertEquals(await holder.hear(), '"closed"');
}
