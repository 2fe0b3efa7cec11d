/**
 * How much of a provider's work begins: keys, rates, turns.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { ClaimOptions, Store } from "../../../lib/store/contract.ts";
import { parseKey, type TaskLimits } from "../../../lib/task/limits.ts";
import type { ClaimedTask, NewTask } from "../../../lib/task/task.ts";
import { complete } from "../../../lib/task/transitions.ts";
import {
  claim,
  create,
  createMany,
  createOne,
  HOUR,
  idsOf,
  later,
  MINUTE,
  minutes,
  nth,
  record,
  type StoreUnderTest,
  type Test,
} from "./subject.ts";

type Options = Partial<ClaimOptions>;

/** Claims with limits of provider "simulate". */
function claimWith(
  store: Store,
  limits: TaskLimits,
  options: Options = {},
) {
  const taskLimits = new Map([["simulate", limits], ["free", {}]]);
  return claim(store, { taskLimits, leaseMs: 9 * HOUR, ...options });
}

/** `octo/app#1`: a task of that repository. */
function of(repository: string, number = 1): Partial<NewTask> {
  return { targetType: "issue", targetRef: `${repository}#${number}` };
}

const KEY = { key: parseKey("{repository}") } as const satisfies TaskLimits;
const RATE = { rate: { count: 2, spanMs: HOUR } } as const;

/** Claims one after the other, and ends each before the next. */
async function batchesInTurn(
  { store, elapse }: StoreUnderTest,
  limits: TaskLimits,
  count: number,
): Promise<(string | null)[]> {
  const batches: (string | null)[] = [];
  for (let n = 0; n < count; n++) {
    const { tasks } = await claimWith(store, limits, { limit: 1 });
    const run = nth(tasks, 0);
    batches.push(run.task.batch);
    await record(store, complete(run));
    await elapse(1);
  }
  return batches;
}

const batchesOf = (tasks: readonly ClaimedTask[]) =>
  tasks.map(({ task }) => task.batch);

export function testLimits(test: Test): void {
  test("claim() has one task of a key in hand, of all runners", async ({ store }) => {
    const [a1, a2, b, none1, none2, free] = await create(store, [
      of("octo/a"),
      of("octo/a", 2),
      of("octo/b"),
      {},
      {},
      { ...of("octo/a", 3), provider: "free" },
    ]);
    const first = await claimWith(store, KEY, { limit: 9, ahead: 9 });
    assertEquals(idsOf(first), [a1, b, none1, none2, free]);
    const owner = "runner-b";
    assertEquals(idsOf(await claimWith(store, KEY, { owner })), []);
    await record(store, complete(nth(first.tasks, 0)));
    assertEquals(idsOf(await claimWith(store, KEY, { owner })), [a2]);
  });

  test("claim() has so many tasks of a key as its provider allows", async ({ store }) => {
    const ids = await createMany(store, 5, { ...of("octo/a"), batch: "k" });
    const limits = {
      key: parseKey("{batch} in {repository}, by {user}"),
      keyConcurrency: 2,
    };
    const first = await claimWith(store, limits, { limit: 1 });
    const second = await claimWith(store, limits);
    const third = await claimWith(store, limits);
    assertEquals([first, second, third].map(idsOf), [
      ids.slice(0, 1),
      ids.slice(1, 2),
      [],
    ]);
  });

  test("claim() counts the key of * with all providers, whoever claims which", async ({ store }) => {
    const task = of("octo/a");
    const [a, b] = await create(store, [
      { ...task, provider: "a" },
      { ...task, provider: "b" },
    ]);
    const taskLimits = new Map([["*", KEY]]);
    const leaseMs = 9 * HOUR;
    const first = await claim(store, { taskLimits, leaseMs, providers: ["a"] });
    assertEquals(idsOf(first), [a]);
    const owner = "runner-b";
    for (
      const options of [
        { providers: ["b"] },
        { globalLimits: new Map([["a", 1]]) },
      ]
    ) {
      const other = { taskLimits, leaseMs, owner, ...options };
      assertEquals(idsOf(await claim(store, other)), []);
    }
    await record(store, complete(nth(first.tasks, 0)));
    const last = await claim(store, { taskLimits, leaseMs, providers: ["b"] });
    assertEquals(idsOf(last), [b]);
  });

  test("claim() finds the task of another key behind any number of one", async ({ store }) => {
    const many = await createMany(store, 2_500, of("octo/a"));
    const [b, c] = await create(store, [of("octo/b"), of("octo/c")]);
    const options = { limit: 3, ahead: 5 };
    const claimed = await claimWith(store, KEY, options);
    assertEquals(idsOf(claimed), [many[0], b, c]);
    assertEquals(idsOf(await claimWith(store, KEY, options)), []);
  });

  test("claim() counts a key over all others where it is set for those", async ({ store }) => {
    const [a, _x, named] = await create(store, [
      { ...of("octo/a"), provider: "one" },
      { ...of("octo/a", 2), provider: "two" },
      { ...of("octo/a", 3), provider: "free" },
    ]);
    const taskLimits = new Map<string, TaskLimits>([["*", KEY], ["free", {}]]);
    assertEquals(idsOf(await claim(store, { taskLimits })), [a, named]);
    assertEquals(idsOf(await claim(store, { taskLimits })), []);
  });

  test("claim() keeps to the room of runners beside keys, and merges by age", async ({ store }) => {
    const fields = [
      of("octo/a"),
      { provider: "free" },
      of("octo/b"),
      of("octo/c"),
    ];
    const [a, free, b, c] = await create(store, fields);
    const room = new Map([["simulate", 2]]);
    const claimed = await claimWith(store, KEY, { providerRoom: room });
    assertEquals(idsOf(claimed), [a, free, b]);
    const globalLimits = new Map([["simulate", 3]]);
    assertEquals(idsOf(await claimWith(store, KEY, { globalLimits })), [c]);
    const urgent = await createOne(store, { ...of("octo/d"), priority: 3 });
    await createOne(store, { provider: "free" });
    const one = await claimWith(store, KEY, { limit: 1 });
    assertEquals(idsOf(one), [urgent]);
  });

  test("claim() begins so many in a span and no more, whoever claims", async ({ store, elapse }) => {
    const ids = await createMany(store, 6);
    const claimed = await claimWith(store, RATE, { limit: 1, ahead: 9 });
    assertEquals(idsOf(claimed), ids.slice(0, 1));
    assertEquals(claimed.nextAt, undefined);
    await elapse(20 * MINUTE);
    const second = await claimWith(store, RATE, { owner: "runner-b" });
    assertEquals(idsOf(second), ids.slice(1, 2));
    assertEquals(minutes(+second.nextAt! - +second.at), 40);
    await elapse(39 * MINUTE);
    const early = await claimWith(store, RATE);
    assertEquals(idsOf(early), []);
    assertEquals(minutes(+early.nextAt! - +early.at), 1);
    await elapse(MINUTE);
    assertEquals(idsOf(await claimWith(store, RATE)), ids.slice(2, 3));
    await elapse(20 * MINUTE);
    assertEquals(idsOf(await claimWith(store, RATE)), ids.slice(3, 4));
    await elapse(HOUR);
    const last = await claimWith(store, RATE);
    assertEquals(idsOf(last), ids.slice(4, 6));
    assertEquals(last.nextAt, undefined);
  });

  test("claim() says of no rate when nothing waits for it, and counts what is named", async ({ store }) => {
    const [one, two] = await createMany(store, 3);
    const taskLimits = new Map([["simulate", RATE]]);
    assertEquals(idsOf(await claim(store, { taskId: two, taskLimits })), [two]);
    assertEquals(idsOf(await claimWith(store, RATE)), [one]);
    const { nextAt } = await claimWith(store, RATE);
    assert(nextAt);
    const [last] = await create(store, [{ provider: "free" }]);
    const free = { providers: ["free"] };
    const other = await claimWith(store, RATE, free);
    assertEquals([idsOf(other), other.nextAt], [[last], undefined]);
  });

  test("claim() counts a rate by key, where it is one of keys", async ({ store, elapse }) => {
    const [a1, a2, b, none1, none2] = await create(store, [
      of("octo/a"),
      of("octo/a", 2),
      of("octo/b"),
      {},
      {},
    ]);
    const limits = {
      ...{ ...KEY, keyConcurrency: 9 },
      rate: { count: 1, spanMs: HOUR, per: "key" },
    } as const;
    const claimed = await claimWith(store, limits);
    assertEquals(idsOf(claimed), [a1, b, none1, none2]);
    assertEquals(minutes(+claimed.nextAt! - +claimed.at), 60);
    assertEquals(idsOf(await claimWith(store, limits)), []);
    await elapse(HOUR);
    assertEquals(idsOf(await claimWith(store, limits)), [a2]);
  });

  for (const fairBy of ["batch", "user"] as const) {
    test(`claim() has each ${fairBy} take its turn, one after the other`, async (subject) => {
      const { store } = subject;
      const user = (n: number) => `6ba7b810-9dad-41d1-80b4-00c04fd430c${n}`;
      const big = { batch: "big", userId: user(1) };
      const small = { batch: "small", userId: user(2) };
      await createMany(store, 2_000, big);
      await createMany(store, 3, small);
      await createMany(store, 2, { userId: user(3) });
      assertEquals(await batchesInTurn(subject, { fairBy }, 9), [
        ...["big", "small", null, "big", "small", null, "big", "small", "big"],
      ]);
    });
  }

  test("claim() has whoever has the fewest in hand go first", async ({ store }) => {
    await createMany(store, 2_000, { batch: "big" });
    const limits = { fairBy: "batch" } as const;
    const first = await claimWith(store, limits, { limit: 4 });
    assertEquals(batchesOf(first.tasks), ["big", "big", "big", "big"]);
    await createMany(store, 10, { batch: "small" });
    const next = await claimWith(store, limits, { limit: 4, owner: "b" });
    assertEquals(batchesOf(next.tasks), ["small", "small", "small", "small"]);
    const last = await claimWith(store, limits, { limit: 4 });
    assertEquals(batchesOf(last.tasks), ["big", "small", "big", "small"]);
    await createOne(store, { batch: "urgent", priority: 1 });
    const { tasks } = await claimWith(store, limits, { limit: 1 });
    assertEquals(batchesOf(tasks), ["urgent"]);
  });

  test("claim() has turns taken within a key too, and beside other providers", async (subject) => {
    const { store } = subject;
    await createMany(store, 1_500, { ...of("octo/a"), batch: "big" });
    await createMany(store, 2, { provider: "free", batch: "free" });
    await createMany(store, 2, { ...of("octo/a"), batch: "small" });
    const limits = { ...KEY, fairBy: "batch" } as const;
    assertEquals(await batchesInTurn(subject, limits, 5), [
      ...["big", "small", "big", "small", "big"],
    ]);
    const { tasks } = await claimWith(store, limits, { limit: 9 });
    assertEquals(batchesOf(tasks), ["big", "free", "free"]);
  });

  test("preview() says which limit holds a task back, and how many there are", async (subject) => {
    const { store } = subject;
    const [_, a2, b, free] = await create(store, [
      of("octo/a"),
      of("octo/a", 2),
      of("octo/b"),
      { provider: "free" },
    ]);
    const limits = { ...KEY, ...RATE };
    const see = async (taskId?: string) => {
      const taskLimits = new Map<string, TaskLimits>([["simulate", limits]]);
      const options = { limit: 9, maxAttempts: 3, taskLimits, taskId };
      const { claimable, heldBy, held } = await store.queue.preview(options);
      return { ids: claimable.map(({ id }) => id), heldBy, held };
    };
    await claimWith(store, limits, { limit: 1 });
    const one = await see();
    assertEquals(one.ids, [b, free]);
    assertEquals(one.heldBy.get(a2 ?? ""), {
      ...{ kind: "key", key: "octo/a", inHand: 1, most: 1 },
    });
    assertEquals(one.held, [{ provider: "simulate", kind: "key", count: 1 }]);
    assertEquals((await see(a2)).heldBy.size, 1);
    assertEquals((await see(free)).ids, [free]);
    await claimWith(store, limits, { providers: ["simulate"] });
    const two = await see();
    assertEquals(two.ids, [free]);
    const reason = two.heldBy.get(a2 ?? "");
    assert(reason?.kind === "rate");
    assertEquals([reason.key, reason.rate], ["", RATE.rate]);
    const inAnHour = later(await subject.now(), HOUR);
    assertEquals(minutes(+reason.nextAt - +inAnHour), 0);
    assertEquals(two.held, [{ provider: "simulate", kind: "rate", count: 1 }]);
  });

  test("one of many runners has the task of a key, however many claim at once", async ({ store }) => {
    await createMany(store, 40, of("octo/a"));
    await createMany(store, 40, of("octo/b"));
    const claims = await Promise.all(
      ["a", "b", "c", "d"].map((owner) =>
        claimWith(store, KEY, { owner, limit: 4 })
      ),
    );
    assertEquals(claims.flatMap(idsOf).length, 2);
  });
}
