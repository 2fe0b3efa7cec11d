/**
 * Random graphs, run in random order by runners that die: a task never starts before
 * what it waits for allows it, and every task ends.
 */
import { assert, assertEquals } from "@std/assert";
import type { Store } from "../../lib/store/contract.ts";
import {
  type ClaimedTask,
  IF_FAILED,
  isFinal,
  type NewTask,
} from "../../lib/task/task.ts";
import { isSkipped } from "../../lib/task/shown_state.ts";
import { complete, fail, retryLater } from "../../lib/task/transitions.ts";
import { hasPostgres } from "../support/postgres_server.ts";
import {
  claim,
  create,
  endAbandoned,
  LEASE_MS,
  nth,
  record,
  type StoreUnderTest,
} from "./conformance/subject.ts";
import { openSubject as openMemory } from "./duckdb/subject.ts";
import { openSubject as openPostgres } from "./postgres/subject.ts";

const TASKS = 30;
/** Far more than any graph takes. */
const MOST_STEPS = 2_000;

for (let seed = 1; seed <= 6; seed++) {
  Deno.test(`a graph is run in its order, seed ${seed}`, () =>
    runGraph(() => openMemory(":memory:"), seed));
}

for (let seed = 101; seed <= 102; seed++) {
  Deno.test({
    name: `a graph is run in its order, seed ${seed} (PostgreSQL)`,
    ignore: !hasPostgres,
    fn: () => runGraph(() => openPostgres(), seed),
  });
}

async function runGraph(
  open: () => Promise<StoreUnderTest>,
  seed: number,
): Promise<void> {
  await using subject = await open();
  const { store } = subject;
  const random = randomOf(seed);
  const chance = (share: number) => random() < share;
  const pick = <T>(items: readonly T[]) =>
    nth(items, Math.floor(random() * items.length));
  const plan = graphOf(random);
  const ids = await create(store, plan);
  const idOfKey = new Map(plan.map(({ key }, index) => [key, ids[index]]));
  const tasks = new Map(plan.map((task, index) => [nth(ids, index), task]));
  const assertMayStart = async ({ task }: ClaimedTask) => {
    const { after = [], ifFailed = "fail" } = tasks.get(task.id) ?? {};
    for (const key of after) {
      const before = await store.admin.get(idOfKey.get(key) ?? "");
      assert(before && isFinal(before.state), `${task.key} waits for ${key}`);
      const isAllowed = ifFailed === "run" || before.state === "completed";
      assert(isAllowed, `${task.key} must not run after ${key}`);
    }
  };
  let inHand: ClaimedTask[] = [];
  for (let step = 0; await hasOpen(store); step++) {
    assert(step < MOST_STEPS, "it does not end");
    if (chance(0.5)) {
      const { tasks } = await claim(store, {
        limit: 1 + Math.floor(random() * 4),
        isIdle: inHand.length === 0,
      });
      for (const it of tasks) await assertMayStart(it);
      inHand.push(...tasks);
    } else if (inHand.length > 0 && chance(0.8)) {
      const ending = inHand.filter(() => chance(0.5));
      inHand = inHand.filter((it) => !ending.includes(it));
      await record(
        store,
        ...ending.map((it) =>
          chance(0.75)
            ? complete(it)
            : chance(0.7)
            ? fail(it, "no")
            : retryLater(it, { error: "busy", delayMs: 1 })
        ),
      );
    } else if (chance(0.1)) {
      await store.admin.cancel([pick(ids)]);
    } else if (chance(0.15)) {
      // All runners die.
      inHand = [];
      await subject.elapse(LEASE_MS + 1);
      await endAbandoned(store);
    } else if (inHand.length === 0) {
      await subject.elapse(10);
      await endAbandoned(store);
    }
  }
  for (const [id, { after = [], ifFailed = "fail" }] of tasks) {
    const task = await store.admin.get(id);
    assert(task);
    const [first] = await store.admin.history(id);
    assertEquals(first?.kind, "created");
    if (task.attempt > 0 || ifFailed === "run" || after.length === 0) continue;
    // It never ran: it was cancelled, or is what it says of a failure.
    if (isSkipped(task.traceText)) continue;
    assertEquals(task.state, "failed");
  }
}

async function hasOpen({ admin }: Store): Promise<boolean> {
  const { counts } = await admin.count();
  return counts.some(({ state, count }) => !isFinal(state) && count > 0);
}

/** Each waits for some of those before it; they are created in any order. */
function graphOf(random: () => number): Partial<NewTask>[] {
  const tasks = Array.from({ length: TASKS }, (_, index): Partial<NewTask> => {
    const before = Array.from({ length: index }, (_, other) => `t${other}`);
    const after = before.filter(() => random() < 2 / (index + 1));
    return {
      key: `t${index}`,
      ...after.length > 0 && {
        after,
        ifFailed: nth(IF_FAILED, Math.floor(random() * IF_FAILED.length)),
      },
    };
  });
  return tasks.map((task) => ({ task, place: random() }))
    .sort((one, other) => one.place - other.place).map(({ task }) => task);
}

/** Numbers from 0 to 1, the same for the same seed: mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
