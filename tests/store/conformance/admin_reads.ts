/**
 * Looking at tasks: one, by the start of an id, by page, counted.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  type Admin,
  MAX_LISTED_TEXT,
  type PageOptions,
} from "../../../lib/store/contract.ts";
import {
  isSimulated,
  SHOWN_STATES,
  shownStateOf,
} from "../../../lib/task/shown_state.ts";
import type { TaskState } from "../../../lib/task/task.ts";
import { parseTrace } from "../../../lib/task/trace.ts";
import {
  askInput,
  complete,
  fail,
  release,
  retryLater,
} from "../../../lib/task/transitions.ts";
import {
  assertNow,
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  HOUR,
  LARGE,
  later,
  LEASE_MS,
  minutes,
  nth,
  record,
  startOne,
  statesOf,
  taskOf,
  type Test,
} from "./subject.ts";

export function testReads(test: Test): void {
  testFind(test);
  testPage(test);
  testCount(test);
}

function testFind(test: Test): void {
  test("get() finds nothing under an unknown id", async ({ store }) => {
    await createOne(store);
    assertEquals(await store.admin.get(crypto.randomUUID()), undefined);
  });

  test("history() knows nothing of an unknown task", async ({ store }) => {
    await createOne(store);
    assertEquals(await store.admin.history(crypto.randomUUID()), []);
  });

  test("find() finds what begins with the prefix, by its id", async ({ store }) => {
    const ids = [
      "abcdef00-0000-4000-8000-000000000002",
      "00abcdef-0000-4000-8000-000000000004",
      "abcdef00-0000-4000-8000-000000000001",
      "abc00000-0000-4000-8000-000000000003",
    ];
    const [two, , one, three] = ids;
    await create(store, ids.map((id) => ({ id })));
    async function find(prefix: string, limit = 10): Promise<string[]> {
      return (await store.admin.find(prefix, limit)).map(({ id }) => id);
    }
    assertEquals(await find("abcdef00"), [one, two]);
    assertEquals(await find("ABCDEF00-0000"), [one, two]);
    assertEquals(await find(three!), [three]);
    assertEquals(await find("abc"), [three, one, two]);
    assertEquals(await find("abc", 2), [three, one]);
    assertEquals(await find("%"), []);
    assertEquals(await find("abc_"), []);
    assertEquals(await find("ff"), []);
  });
}

/** The ids of all pages, one page after the other. */
async function allPages(admin: Admin, options: PageOptions): Promise<string[]> {
  const ids: string[] = [];
  let after: string | undefined;
  do {
    const page = await admin.page({ ...options, after });
    assert(page.tasks.length <= options.limit);
    ids.push(...page.tasks.map(({ id }) => id));
    after = page.next;
  } while (after !== undefined);
  return ids;
}

function testPage(test: Test): void {
  test("page() gives the newest first", async ({ store, elapse }) => {
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      ids.push(await createOne(store));
      await elapse(1_000);
    }
    const page = await store.admin.page({ limit: 3 });
    assertEquals(page.tasks.map(({ id }) => id), ids.slice(2).reverse());
    assertEquals(page.total, 5);
    const { tasks, next, total } = await store.admin.page({
      limit: 3,
      after: page.next,
    });
    assertEquals(tasks.map(({ id }) => id), ids.slice(0, 2).reverse());
    assertEquals([next, total], [undefined, 5]);
  });

  test("page() has each task once, also of those made at one moment", async ({ store, elapse }) => {
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) {
      ids.push(...await createMany(store, 3));
      await elapse(1_000);
    }
    const seen = await allPages(store.admin, { limit: 2 });
    assertEquals(seen.length, 9);
    for (const start of [0, 3, 6]) {
      assertEquals(
        seen.slice(start, start + 3).sort(),
        ids.slice(6 - start, 9 - start).sort(),
      );
    }
  });

  test("page() misses none and shows none twice while tasks come and end", async ({ store }) => {
    const ids = await createMany(store, 6);
    const first = await store.admin.page({ limit: 2 });
    const young = await createMany(store, 3);
    await store.admin.cancel(ids);
    const { next: after } = first;
    const rest = await store.admin.page({ limit: 10, after });
    assertEquals(
      [...first.tasks, ...rest.tasks].map(({ id }) => id).sort(),
      ids.sort(),
    );
    assertEquals(rest.total, ids.length + young.length);
  });

  test("page() gives what can be read at once, and where the next begins", async ({ store }) => {
    const ids = await createMany(store, 4, LARGE);
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await store.admin.page({ limit: 4, isWhole: true, after });
      found.push(...page.tasks.map(({ id }) => id));
      assertEquals([page.total, page.next === undefined], [
        4,
        found.length === 4,
      ]);
      after = page.next;
    } while (after !== undefined);
    assertEquals(found, ids.toReversed());
    const { tasks } = await store.admin.page({ limit: 4 });
    assertEquals(tasks.length, 4);
  });

  test("page() of an empty store is the last one", async ({ store }) => {
    assertEquals(await store.admin.page({ limit: 5 }), {
      tasks: [],
      next: undefined,
      total: 0,
    });
  });

  test("page() that is just full is the last one", async ({ store }) => {
    await createMany(store, 4);
    const { next: after } = await store.admin.page({ limit: 2 });
    assert(after !== undefined);
    const last = await store.admin.page({ limit: 2, after });
    assertEquals([last.tasks.length, last.next], [2, undefined]);
  });

  test("page() filters by state and provider", async ({ store }) => {
    const ids = await create(
      store,
      ["a", "b", "a", "b"].map((provider) => ({ provider })),
    );
    const { tasks } = await claim(store, { limit: 2 });
    await record(store, complete(nth(tasks, 0)));
    async function list(
      states?: readonly TaskState[],
      provider?: string,
    ): Promise<number[]> {
      const options = { states, provider, limit: 1 };
      const found = await allPages(store.admin, options);
      const { total } = await store.admin.page(options);
      assertEquals(total, found.length);
      return found.map((id) => ids.indexOf(id)).sort();
    }
    assertEquals(await list(["completed"]), [0]);
    assertEquals(await list(["running"]), [1]);
    assertEquals(await list(["running", "created"]), [1, 2, 3]);
    assertEquals(await list(["failed"]), []);
    assertEquals(await list(undefined, "a"), [0, 2]);
    assertEquals(await list(["created"], "b"), [3]);
    assertEquals(await list(["created"], "c"), []);
  });

  test("page() finds a text in instruction and target, in any case, and the start of an id", async ({ store }) => {
    const id = "abcdef00-0000-4000-8000-000000000001";
    const ids = await create(store, [
      { id, instruction: "Mend the DOOR" },
      { instruction: "50% of it_all" },
      { targetType: "issue", targetRef: "Octo/Doors#12" },
      { targetType: "pr", targetRef: "#77" },
      {},
    ]);
    async function search(text: string): Promise<number[]> {
      const found = await allPages(store.admin, { limit: 2, text });
      return found.map((id) => ids.indexOf(id)).sort();
    }
    assertEquals(await search("door"), [0, 2]);
    assertEquals(await search("OCTO/doors#12"), [2]);
    assertEquals(await search("#77"), [3]);
    assertEquals(await search("ABCDEF00-"), [0]);
    assertEquals(await search("bcdef00-"), []);
    assertEquals(await search("50%"), [1]);
    assertEquals(await search("t_a"), [1]);
    assertEquals(await search("i_"), []);
    assertEquals(await search("%door%"), []);
  });

  test("page() chooses tasks by each state that is shown, and no others", async ({ store }) => {
    await createMany(store, 9);
    const { tasks } = await claim(store, { limit: 9 });
    const [retried, given, asked, failed, done, simulated] = tasks;
    await record(
      store,
      retryLater(retried!, { error: "busy", delayMs: HOUR }),
      release(given!, "shutdown"),
      askInput(asked!, "Which?"),
      fail(failed!, "no"),
      complete(done!, { message: "Done" }),
      complete({ ...simulated!, isSimulated: true }, { message: "Done" }),
    );
    await store.admin.cancel([await createOne(store)]);
    await createOne(store, { after: [asked!.task.id] });
    await createOne(store, { after: [failed!.task.id], ifFailed: "skip" });
    // What a trace says that came with the task, nobody did.
    await createOne(store, { trace: { simulated: "true" } });
    const faked = await startOne(store, { trace: { result: "cancelled" } });
    await record(store, fail(faked, "no"));
    const all = await store.admin.page({ limit: 100 });
    for (const state of SHOWN_STATES) {
      const { tasks } = await store.admin.page({ states: [state], limit: 100 });
      const expected = all.tasks.filter((task) =>
        shownStateOf(task) === state || task.state === state
      );
      assert(tasks.some((task) => shownStateOf(task) === state), state);
      assertEquals(tasks.map(({ id }) => id), expected.map(({ id }) => id));
    }
  });

  test("page() keeps what people see of a long trace", async ({ store }) => {
    const run = await startOne(store, {
      trace: { long: "x".repeat(1_000_000) },
    });
    const simulated = { ...run, isSimulated: true };
    await record(store, complete(simulated, { message: "Done" }));
    const id = await createOne(store, { trace: { long: "y".repeat(100_000) } });
    await store.admin.cancel([id]);
    const { tasks } = await store.admin.page({ limit: 2 });
    assertEquals(
      tasks.map((task) => [shownStateOf(task), isSimulated(task.traceText)]),
      [["cancelled", false], ["simulated", true]],
    );
    assertEquals(parseTrace(nth(tasks, 1).traceText)?.progress, "Done");
    for (const { traceText } of tasks) assert((traceText ?? "").length < 1_000);
  });

  test("page() cuts long texts, unless it is to be whole", async ({ store }) => {
    const instruction = "long ".repeat(MAX_LISTED_TEXT);
    const trace = { long: "x".repeat(1_000_000), progress: "Far" };
    const id = await createOne(store, { instruction, trace });
    await createOne(store, { instruction: "short", trace: { mine: 1 } });
    const [short, long] = await listed({ limit: 2 });
    assertEquals(short, ["short", '{"mine":1}']);
    const listedTrace = '{"progress":"Far"}';
    assertEquals(long, [instruction.slice(0, MAX_LISTED_TEXT), listedTrace]);
    const [, whole] = await listed({ limit: 2, isWhole: true });
    const { traceText } = await taskOf(store, id);
    assertEquals(whole, [instruction, traceText]);

    async function listed(options: PageOptions) {
      const { tasks } = await store.admin.page(options);
      return tasks.map(({ instruction, traceText }) => [instruction, traceText])
        .sort(([a], [b]) => a!.length - b!.length);
    }
  });
}

function testCount(test: Test): void {
  test("count() counts the states that occur, the largest first", async ({ store }) => {
    assertEquals(await statesOf(store), {});
    await createMany(store, 5);
    const { tasks } = await claim(store, { limit: 3 });
    await record(store, complete(nth(tasks, 0)), fail(nth(tasks, 1), "no"));
    await create(store, Array(3).fill({ provider: "http" }));
    const { counts } = await store.admin.count();
    assertEquals(counts.slice(0, 2), [
      { provider: "http", state: "created", count: 3 },
      { provider: "simulate", state: "created", count: 2 },
    ]);
    assertEquals(counts.length, 5);
    assertEquals(await statesOf(store), {
      created: 5,
      running: 1,
      completed: 1,
      failed: 1,
    });
  });

  test("count() knows what waits, since when, and what is in flight", async (subject) => {
    const { store, elapse, now } = subject;
    await assertNow(subject, async () => {
      const { at, ...nothing } = await store.admin.count();
      assertEquals(nothing, {
        counts: [],
        waiting: 0,
        waitingSince: null,
        inFlight: 0,
      });
      return [at];
    });
    const run = await claimOne(store, {
      taskId: await createOne(store, { provider: "a" }),
    });
    await create(store, [
      { runAt: later(await now(), HOUR) },
      { runAt: later(await now(), 9 * HOUR) },
    ]);
    const idle = await store.admin.count();
    assertEquals([idle.waiting, idle.inFlight], [0, 1]);
    await record(store, release(run, "stopped"));
    await elapse(2 * HOUR);
    await claim(store, { providers: ["a"], leaseMs: LEASE_MS });
    await createMany(store, 2);
    const busy = await store.admin.count();
    assertEquals([busy.waiting, busy.inFlight], [3, 1]);
    assert(busy.waitingSince);
    assertEquals(minutes(busy.at.getTime() - busy.waitingSince.getTime()), 60);
    // The lease of the one that runs is over; nobody knows yet.
    await elapse(HOUR);
    const over = await store.admin.count();
    assertEquals([over.waiting, over.inFlight], [4, 0]);
  });

  test("count() has what runs in flight, and what is only held nowhere", async ({ store }) => {
    await createMany(store, 3);
    await claim(store, { limit: 1, ahead: 1 });
    const { waiting, inFlight } = await store.admin.count();
    assertEquals([waiting, inFlight], [1, 1]);
  });
}
