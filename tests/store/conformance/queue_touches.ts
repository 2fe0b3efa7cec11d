/**
 * Tasks that touch the same files do not run at the same time.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Store } from "../../../lib/store/contract.ts";
import { parseKey } from "../../../lib/task/limits.ts";
import type { NewTask } from "../../../lib/task/task.ts";
import {
  askInput,
  complete,
  fail,
  release,
  retryLater,
} from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  HOUR,
  idsOf,
  LEASE_MS,
  nth,
  record,
  startOne,
  type Test,
} from "./subject.ts";

function touching(
  glob: string,
  { repo, target }: { readonly repo?: string; readonly target?: string } = {},
): Partial<NewTask> {
  return {
    touches: [glob],
    ...repo !== undefined && { workspace: { repo } },
    ...target !== undefined && {
      targetType: "issue",
      targetRef: `${target}#1`,
    },
  };
}

async function claimed(
  store: Store,
  options: Parameters<typeof claim>[1] = {},
): Promise<string[]> {
  return idsOf(await claim(store, { leaseMs: 9 * HOUR, ...options }));
}

export function testTouches(test: Test): void {
  test("claim() takes no task that touches what one in hand touches", async ({ store }) => {
    const [first, second, other, none] = await create(store, [
      touching("src/api/**"),
      touching("src/**/*.ts"),
      touching("docs"),
      {},
    ]);
    const { tasks } = await claim(store, { leaseMs: 9 * HOUR });
    const ids = tasks.map(({ task }) => task.id);
    assertEquals(ids, [first, other, none]);
    const owner = "runner-b";
    assertEquals(await claimed(store, { owner }), []);
    const { hasUnblocked } = await record(store, complete(nth(tasks, 2)));
    assertEquals(hasUnblocked ?? false, false);
    assertEquals(await claimed(store, { owner }), []);
    const recorded = await record(store, complete(nth(tasks, 0)));
    assertEquals(recorded.hasUnblocked, true);
    assertEquals(await claimed(store, { owner }), [second]);
  });

  test("claim() goes past those that others hold back", async ({ store }) => {
    await startOne(store, touching("src/a"), { leaseMs: 9 * HOUR });
    await createMany(store, 30, { ...touching("src"), priority: 1 });
    const [plain, other, last] = await create(store, [
      {},
      touching("lib"),
      touching("lib/b"),
    ]);
    assertEquals(await claimed(store, { limit: 1 }), [plain]);
    assertEquals(await claimed(store, { limit: 1 }), [other]);
    assertEquals(await claimed(store, { limit: 1 }), []);
    assert(last);
  });

  test("claim() says that there are more where it took one of many", async ({ store }) => {
    const ids = await create(store, [
      touching("src"),
      touching("src"),
      touching("src"),
      touching("lib"),
    ]);
    const first = await claim(store, { limit: 3, leaseMs: 9 * HOUR });
    assertEquals(idsOf(first), ids.slice(0, 1));
    assert(first.hasMore);
    const second = await claim(store, { limit: 2, leaseMs: 9 * HOUR });
    assertEquals(idsOf(second), ids.slice(3));
    const third = await claim(store, { limit: 2, leaseMs: 9 * HOUR });
    assertEquals(idsOf(third), []);
    assert(!third.hasMore);
  });

  test("claim() tells repositories apart, as far as it knows them", async ({ store }) => {
    const glob = "src/**";
    const [one, two, three] = await create(store, [
      touching(glob, { repo: "/srv/one", target: "octo/app" }),
      touching(glob, { repo: "/srv/two", target: "octo/app" }),
      touching(glob, { target: "octo/app" }),
      touching(glob, { target: "octo/app" }),
      touching(glob, { repo: "/srv/one" }),
      touching(glob),
    ]);
    const { tasks } = await claim(store, { leaseMs: 9 * HOUR });
    assertEquals(tasks.map(({ task }) => task.id), [one, two, three]);
    await record(store, ...tasks.map((it) => complete(it)));
    const unknown = await createOne(store, {
      ...touching("src/a"),
      priority: 9,
    });
    assertEquals(await claimed(store), [unknown]);
    assertEquals(await claimed(store), []);
  });

  test("claim() is not held back by what nobody has in hand", async ({ store, elapse }) => {
    const [first, second] = await create(store, [
      touching("src"),
      { ...touching("src"), priority: -1 },
    ]);
    for (
      const end of [
        (it: Parameters<typeof release>[0]) => release(it, "Q"),
        (it: Parameters<typeof askInput>[0]) => askInput(it, "Q?"),
      ]
    ) {
      const { tasks } = await claim(store, { taskId: first });
      const run = nth(tasks, 0);
      assertEquals(await claimed(store), []);
      assertEquals((await record(store, end(run))).hasUnblocked, true);
    }
    assertEquals(idsOf(await claim(store)), [second]);
    assertEquals(await claimed(store), []);
    // Its runner is dead.
    await elapse(LEASE_MS);
    assertEquals(await claimed(store), [second]);
  });

  test("claim() takes others while one waits for its next attempt", async ({ store }) => {
    const run = await startOne(store, touching("src"));
    const second = await createOne(store, touching("src"));
    assertEquals(await claimed(store), []);
    const later = retryLater(run, { delayMs: HOUR, error: "no" });
    assertEquals((await record(store, later)).hasUnblocked, true);
    const { tasks } = await claim(store);
    assertEquals(tasks.map(({ task }) => task.id), [second]);
    const failed = fail(nth(tasks, 0), "no");
    assertEquals((await record(store, failed)).hasUnblocked, true);
  });

  test("claim() takes a task by its name, whatever that touches", async ({ store }) => {
    await startOne(store, touching("src"), { leaseMs: 9 * HOUR });
    const second = await createOne(store, touching("src"));
    assertEquals(await claimed(store, { taskId: second }), [second]);
  });

  test("claim() holds no task that touches anything", async ({ store }) => {
    const [plain, , ahead] = await create(store, [{}, touching("src"), {}]);
    assertEquals(await claimed(store, { limit: 1, ahead: 5 }), [plain, ahead]);
  });

  test("claim() heeds what tasks touch beside limits and pauses", async ({ store }) => {
    const taskLimits = new Map([["simulate", { key: parseKey("{batch}") }]]);
    await startOne(store, touching("src"), { leaseMs: 9 * HOUR });
    const [, one, , other] = await create(store, [
      { ...touching("src"), batch: "a" },
      { batch: "a" },
      { batch: "a" },
      { ...touching("lib"), batch: "b" },
      { ...touching("lib"), batch: "c" },
    ]);
    await store.queue.pause({ batch: "none" }, {
      kind: "person",
      reason: "r",
      waitMs: null,
    });
    assertEquals(await claimed(store, { taskLimits }), [one, other]);
    assertEquals(await claimed(store, { taskLimits }), []);
  });

  test("preview() says which task in hand holds others back", async ({ store }) => {
    const run = await startOne(store, {
      touches: ["docs", "src/**/*.ts"],
    }, { leaseMs: 9 * HOUR });
    const [held, free] = await create(store, [
      touching("src"),
      touching("lib"),
    ]);
    const options = { limit: 9, maxAttempts: 3 };
    const all = await store.queue.preview(options);
    assertEquals(all.claimable.map(({ id }) => id), [free]);
    const reason = {
      kind: "touches",
      id: run.task.id,
      glob: "src/**/*.ts",
    } as const;
    assertEquals(all.heldBy.get(held ?? ""), reason);
    assertEquals(all.held, [{
      provider: "simulate",
      kind: "touches",
      count: 1,
    }]);
    const one = await store.queue.preview({ ...options, taskId: held ?? "" });
    assertEquals([...one.heldBy], [[held, reason]]);
    await record(store, complete(run));
    assertEquals((await store.queue.preview(options)).claimableCount, 2);
  });

  test("claim() has one of each file in hand, however tasks come", async ({ store }) => {
    const globs = [
      "src/**",
      "src/a",
      "src/b/*",
      "lib",
      "lib/**/*.md",
      "docs/*",
    ];
    await create(
      store,
      Array.from({ length: 24 }, (_, n) => touching(nth(globs, n % 6))),
    );
    let ran = 0;
    for (let n = 0; n < 40 && ran < 24; n++) {
      const { tasks } = await claim(store, { limit: 1 + n % 3 });
      const inHand = tasks.map(({ task }) => task.touches[0] ?? "");
      const roots = inHand.filter((it) => it !== "src/a" && it !== "src/b/*");
      const names = roots.map((it) => it.split("/")[0]);
      assertEquals(new Set(names).size, names.length, inHand.join());
      assert(
        !inHand.includes("src/**") ||
          inHand.every((it) => it === "src/**" || !it.startsWith("src")),
      );
      await record(store, ...tasks.map((it) => complete(it)));
      ran += tasks.length;
    }
    assertEquals(ran, 24);
    const plain = await createOne(store);
    assertEquals((await claimOne(store)).task.id, plain);
  });
}
