/**
 * Changing what has not begun, and its place in the order.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import type { Store } from "../../../lib/store/contract.ts";
import type { TaskEdit } from "../../../lib/task/task.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { createEach } from "./admin_actions.ts";
import {
  assertNow,
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  historyOf,
  HOUR,
  idsOf,
  lastEventAt,
  later,
  LEASE_MS,
  MINUTE,
  nth,
  record,
  taskOf,
  type Test,
} from "./subject.ts";

export function testEdit(test: Test): void {
  testEdited(test);
  testTimes(test);
  testFence(test);
  testMove(test);
}

function testEdited(test: Test): void {
  test("edit() changes every field, and tells the history", async (subject) => {
    const { store, now } = subject;
    const id = await createOne(store, {
      instruction: "old",
      trace: { kept: true },
      targetType: "issue",
      targetRef: "a/b#1",
      key: "k",
      tags: ["a"],
      workspace: { repo: "/srv/app", base: "main" },
    });
    const before = await taskOf(store, id);
    const changes = {
      instruction: "new",
      provider: "claude",
      targetType: "pr",
      targetRef: "#2",
      priority: -5,
      runAt: later(await now(), HOUR),
      maxAttempts: 2,
      timeoutMs: 90_500,
      batch: "night",
      tags: ["b", "c"],
      workspace: { base: "dev", branch: "mine" },
      touches: ["src/**"],
      needsApproval: true,
    } as const satisfies TaskEdit;
    await assertNow(subject, async () => {
      assertEquals(await store.admin.edit(id, changes), "edited");
      const task = await taskOf(store, id);
      const { updatedAt } = task;
      // What it said of its repository, and is not changed, stays.
      const workspace = { repo: "/srv/app", base: "dev", branch: "mine" };
      assertEquals(task, { ...before, ...changes, workspace, updatedAt });
      return [updatedAt, await lastEventAt(store, id)];
    });
    assertEquals((await historyOf(store, id)).slice(1), [[
      "edited",
      0,
      null,
      "instruction changed, provider simulate → claude, " +
      "target issue a/b#1 → pr #2, priority 0 → -5, " +
      `run at none → ${changes.runAt.toISOString()}, attempts none → 2, ` +
      "timeout none → 90.5s, batch none → night, tags a → b,c, " +
      "workspace /srv/app,main → /srv/app,dev,mine, touches none → src/**, " +
      "needs approval false → true",
    ]]);
  });

  test("edit() leaves the rest as it is, and writes nothing where it is so already", async ({ store, storedTextOf }) => {
    const fields = {
      instruction: "é 漢字 🦆 '\"",
      targetType: "issue",
      targetRef: "a/b#1",
      priority: 3,
      trace: { a: 1 },
    } as const;
    const id = await createOne(store, fields);
    const before = await taskOf(store, id);
    const stored = await storedTextOf(id);
    const same = { priority: 3, instruction: fields.instruction };
    assertEquals(await store.admin.edit(id, same), "edited");
    assertEquals(await storedTextOf(id), stored);
    assertEquals(await store.admin.edit(id, { tags: ["x"] }), "edited");
    const { updatedAt, tags, ...after } = await taskOf(store, id);
    const { updatedAt: _at, tags: _tags, ...rest } = before;
    assertEquals([after, tags], [rest, ["x"]]);
    assert(updatedAt >= before.updatedAt);
  });

  test("edit() of a provider and a priority is what the next claim sees", async ({ store }) => {
    const [a = "", b = "", c = ""] = await createMany(store, 3);
    await store.admin.edit(b, { provider: "claude" });
    await store.admin.edit(c, { priority: 1 });
    const of = async (provider: string) =>
      idsOf(await claim(store, { providers: [provider] }));
    assertEquals(await of("simulate"), [c, a]);
    assertEquals(await of("claude"), [b]);
  });
}

function testTimes(test: Test): void {
  test("edit() of a time is obeyed, whatever it was before", async ({ store, elapse, now }) => {
    const [late = "", none = ""] = await create(store, [
      { runAt: later(await now(), 9 * HOUR) },
      {},
    ]);
    assertEquals(await store.admin.edit(late, { runAt: null }), "edited");
    const next = later(await now(), HOUR);
    assertEquals(await store.admin.edit(none, { runAt: next }), "edited");
    const [run] = (await claim(store)).tasks;
    assert(run);
    assertEquals(run.task.id, late);
    await record(store, complete(run));
    await elapse(HOUR);
    assertEquals(idsOf(await claim(store)), [none]);
  });

  test("edit() of a time that has come puts it off, and brings it back", async ({ store, elapse, now }) => {
    const came = later(await now(), MINUTE);
    const [id = "", other = ""] = await create(store, [
      { runAt: came },
      { runAt: came, priority: 1 },
    ]);
    await elapse(2 * MINUTE);
    // Both have come; one is claimed.
    await record(store, complete(await claimOne(store, { limit: 1 })));
    assertEquals((await taskOf(store, other)).state, "completed");
    await store.admin.edit(id, { runAt: later(came, HOUR) });
    assertEquals(idsOf(await claim(store)), []);
    const untilDue = await store.queue.untilDue(await now());
    assert(untilDue !== null && untilDue > 50 * MINUTE, `${untilDue}`);
    // To when it came first.
    await store.admin.edit(id, { runAt: came });
    assertEquals(idsOf(await claim(store)), [id]);
  });

  test("edit() of a time is noticed by who waits for the next one", async ({ store, now }) => {
    const id = await createOne(store, { runAt: later(await now(), HOUR) });
    const seen = Promise.withResolvers<void>();
    using _listening = store.queue.onChange(seen.resolve);
    await store.admin.edit(id, { runAt: null });
    await seen.promise;
    assertEquals(idsOf(await claim(store)), [id]);
  });
}

function testFence(test: Test): void {
  test("edit() and move() change nothing of what has begun, has ended or is not there", async ({ store, storedTextOf, changeTask }) => {
    const { completed, failed, waiting, asking, running, created } =
      await createEach(store);
    const strange = await createOne(store);
    await changeTask(strange, { state: "paused" });
    const ids = [completed, failed, waiting, asking, running, strange];
    const before = await Promise.all(ids.map(storedTextOf));
    const missing = crypto.randomUUID();
    const expected = [
      "ended",
      "ended",
      "begun",
      "begun",
      "begun",
      "unknown state",
      "missing",
    ];
    for (const [index, id] of [...ids, missing].entries()) {
      assertEquals(
        await store.admin.edit(id, { instruction: "new", priority: 4 }),
        expected[index],
      );
    }
    assertEquals(
      [...await store.admin.move([...ids, missing, created], "first")],
      [...expected, "moved"],
    );
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
  });

  test("edit() leaves alone what a runner holds, and not what a dead one held", async ({ store, elapse }) => {
    const [, held = ""] = await createMany(store, 2);
    const { tasks } = await claim(store, { limit: 1, ahead: 1 });
    assertEquals(tasks.length, 2);
    assertEquals(await store.admin.edit(held, { priority: 1 }), "begun");
    assertEquals(await store.admin.move([held], "first"), ["begun"]);
    await elapse(LEASE_MS + 1_000);
    assertEquals(await store.admin.edit(held, { priority: 1 }), "edited");
    assertEquals(nth(idsOf(await claim(store)), 0), held);
  });

  test("edit() against a claim at the same time: one of them is first", async ({ store }) => {
    const ids = await createMany(store, 20, { instruction: "old" });
    const [claimed, ...results] = await Promise.all([
      claim(store, { limit: 20 }),
      ...ids.map((id) => store.admin.edit(id, { instruction: "new" })),
    ]);
    const ran = new Map(
      claimed.tasks.map(({ task }) => [task.id, task.instruction]),
    );
    for (const [index, id] of ids.entries()) {
      if (!ran.has(id)) continue;
      const before = results[index] === "edited" &&
        (await historyOf(store, id))[1]?.[0] === "edited";
      assertEquals(ran.get(id), before ? "new" : "old");
    }
  });
}

/** The order in which the tasks of a provider are claimed, by their names. */
async function orderOf(store: Store, names: Map<string, string>) {
  return idsOf(await claim(store, { providers: ["p"] }))
    .map((id) => names.get(id) ?? id).join("");
}

/** Tasks `a`, `b`, … of these priorities. */
async function createNamed(store: Store, ...priorities: readonly number[]) {
  const ids = await create(
    store,
    priorities.map((priority) => ({ provider: "p", priority })),
  );
  const names = new Map(
    ids.map((id, index) => [id, String.fromCharCode(97 + index)]),
  );
  const idOf = (name: string) => ids[name.charCodeAt(0) - 97] ?? "";
  return {
    names,
    move: (list: string, to: "first" | "last") =>
      store.admin.move([...list].map(idOf), to),
    priorities: async () =>
      (await Promise.all(ids.map((id) => taskOf(store, id))))
        .map(({ priority }) => priority),
    idOf,
  };
}

function testMove(test: Test): void {
  test("move() first has tasks run before all others of their provider, in the order of the ids", async ({ store }) => {
    const other = await createOne(store, { priority: 100 });
    const { names, move, priorities, idOf } = await createNamed(
      store,
      ...[0, 5, 5, 0, -3],
    );
    const before = await taskOf(store, idOf("d"));
    assertEquals(await move("da", "first"), ["moved", "moved"]);
    assertEquals(await priorities(), [6, 5, 5, 7, -3]);
    const { createdAt } = await taskOf(store, idOf("d"));
    assertEquals(createdAt, before.createdAt);
    assertEquals((await historyOf(store, idOf("d"))).slice(1), [
      ["edited", 0, null, "priority 0 → 7"],
    ]);
    assertEquals(await orderOf(store, names), "dabce");
    assertEquals((await taskOf(store, other)).priority, 100);
  });

  test("move() last has tasks run after all others of their provider, in the order of the ids", async ({ store }) => {
    const { names, move, priorities } = await createNamed(store, 0, 5, 5, -3);
    await move("cb", "last");
    assertEquals(await priorities(), [0, -5, -4, -3]);
    assertEquals(await orderOf(store, names), "adcb");
  });

  test("move() changes nothing where it is so already", async ({ store }) => {
    const { names, move, priorities, idOf } = await createNamed(store, 0, 0, 0);
    await move("ab", "first");
    await move("bc", "last");
    await move("abc", "first");
    assertEquals(await priorities(), [0, 0, 0]);
    assertEquals((await historyOf(store, idOf("a"))).length, 1);
    // One of equals is not the first.
    await move("b", "first");
    await move("a", "last");
    assertEquals(await priorities(), [-1, 1, 0]);
    assertEquals(await orderOf(store, names), "bca");
  });

  test("move() looks at what waits only, provider by provider", async ({ store }) => {
    const run = await createOne(store, { provider: "p", priority: 50 });
    await claim(store, { taskId: run });
    const { move, priorities } = await createNamed(store, 0, 1);
    const [q = "", r = ""] = await create(store, [
      { provider: "q", priority: 7 },
      { provider: "q", priority: 8 },
    ]);
    await move("a", "first");
    assertEquals(await store.admin.move([q], "first"), ["moved"]);
    assertEquals(await priorities(), [2, 1]);
    const { priority } = await taskOf(store, q);
    assertEquals([priority, (await taskOf(store, r)).priority], [9, 8]);
  });

  test("move() changes nothing where no priority is left", async ({ store }) => {
    const most = 2_147_483_647;
    const { names, move, priorities } = await createNamed(
      store,
      ...[most, 0, -most],
    );
    await move("a", "first");
    await move("c", "last");
    for (const [name, to] of [["b", "first"], ["b", "last"]] as const) {
      await assertRejects(
        () => move(name, to),
        UsageError,
        `Cannot move what is to run ${to}`,
      );
    }
    assertEquals(await priorities(), [most, 0, -most]);
    assertEquals(await orderOf(store, names), "abc");
    assertEquals(await store.admin.move([], "first"), []);
  });
}
