/**
 * Holding tasks ahead: a lease, and nothing that anybody can notice.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { AgentTask } from "../../../lib/task/task.ts";
import {
  askInput,
  begin,
  complete,
  release,
  retryLater,
  traceTime,
} from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  endAbandoned,
  historyOf,
  idsOf,
  LARGE,
  later,
  LEASE_MS,
  leasesOf,
  MINUTE,
  nth,
  record,
  startOne,
  statesOf,
  taskOf,
  type Test,
  traceOf,
} from "./subject.ts";

export function testAhead(test: Test): void {
  testHeld(test);
  testBegin(test);
  testGiveBack(test);
}

/** What holding a task changes. */
function withoutLease(
  { leaseOwner: _owner, leaseExpiresAt: _at, ...rest }: AgentTask,
): Partial<AgentTask> {
  return rest;
}

function testHeld(test: Test): void {
  test("claim() holds what can be read at once, and leaves the rest to others", async ({ store }) => {
    const ids = await createMany(store, 5, LARGE);
    const { tasks } = await claim(store, { limit: 1, ahead: 4 });
    const { tasks: others } = await claim(store, { limit: 1 });
    assertEquals(
      [...tasks, ...others].map(({ task }) => task.id),
      ids.slice(0, tasks.length + 1),
    );
  });

  test("claim() holds as many more as it may, and changes nothing of them but their lease", async ({ store, elapse }) => {
    const ids = await createMany(store, 6, { trace: { mine: 1 } });
    const before = await Promise.all(ids.map((id) => taskOf(store, id)));
    await elapse(MINUTE);
    const { tasks, at } = await claim(store, { limit: 2, ahead: 3 });
    assertEquals(tasks.map(({ task }) => task.id), ids.slice(0, 5));
    assertEquals(
      tasks.map(({ task, lease }) => [task.state, task.attempt, lease.attempt]),
      [
        ["running", 1, 1],
        ["running", 1, 1],
        ["created", 0, 1],
        ["created", 0, 1],
        ["created", 0, 1],
      ],
    );
    for (const id of ids.slice(2, 5)) {
      const task = await taskOf(store, id);
      const held = nth(before, ids.indexOf(id));
      assertEquals(task.leaseOwner, "runner-a");
      assertEquals(task.leaseExpiresAt, later(at, LEASE_MS));
      assertEquals(withoutLease(task), {
        ...withoutLease(held),
        // A store whose rows are made older instead of its clock being moved.
        createdAt: task.createdAt,
        updatedAt: task.createdAt,
      });
      assertEquals(await historyOf(store, id), [["created", 0, null, null]]);
    }
    assertEquals((await taskOf(store, nth(ids, 5))).leaseOwner, null);
  });

  test("claim() begins the first in order, and holds those after them", async ({ store }) => {
    const ids = await create(
      store,
      [0, 5, 1, 9].map((priority) => ({ priority })),
    );
    const { tasks } = await claim(store, { limit: 2, ahead: 9 });
    assertEquals(
      tasks.map(({ task }) => [ids.indexOf(task.id), task.state]),
      [[3, "running"], [1, "running"], [2, "created"], [0, "created"]],
    );
  });

  test("claim() holds only what never ran", async ({ store, elapse, changeTask }) => {
    const ids = await createMany(store, 6);
    const [released, retried, answered, rescued, started] = ids;
    const { tasks } = await claim(store, { limit: 4 });
    await record(
      store,
      release(nth(tasks, 0), "The runner was stopped"),
      retryLater(nth(tasks, 1), { error: "no", delayMs: 0 }),
      askInput(nth(tasks, 2), "Which?"),
    );
    await store.admin.answer([answered!], "main");
    await changeTask(started!, { state: "running" });
    await elapse(LEASE_MS);
    const first = await createOne(store, { priority: 9 });
    const young = await createOne(store);
    const held = await claim(store, { limit: 1, ahead: 9 });
    assertEquals(idsOf(held), [first, nth(ids, 5), young]);
    // They are begun, where there is room for that.
    const { tasks: begun } = await claim(store, { limit: 9, ahead: 9 });
    assertEquals(
      begun.map(({ task }) => [task.id, task.state]),
      [released, retried, answered, rescued, started].map((
        id,
      ) => [id, "running"]),
    );
  });

  test("claim() holds what a dead runner held and never began", async ({ store, elapse }) => {
    const ids = await createMany(store, 4);
    await claim(store, { limit: 1, ahead: 3 });
    await elapse(LEASE_MS);
    const first = await createOne(store, { priority: 9 });
    const { tasks } = await claim(store, { limit: 1, ahead: 9 });
    assertEquals(
      tasks.map(({ task }) => [task.id, task.state]),
      [[first, "running"], ...ids.slice(1).map((id) => [id, "created"])],
    );
  });

  test("claim() leaves what another holds, while its lease lives", async ({ store, elapse }) => {
    const ids = await createMany(store, 3);
    await claim(store, { limit: 1, ahead: 2 });
    assertEquals(idsOf(await claim(store, { owner: "runner-b" })), []);
    const [, held] = ids;
    assertEquals(idsOf(await claim(store, { taskId: held })), []);
    await elapse(LEASE_MS);
    const { tasks } = await claim(store, { owner: "runner-b" });
    assertEquals(
      tasks.map(({ task, lease }) => [task.id, lease.attempt]),
      [[ids[0], 2], [ids[1], 1], [ids[2], 1]],
    );
  });

  test("claim() holds no more of a provider than it has room for", async ({ store }) => {
    const providers = ["a", "a", "b", "a", "b", "c"];
    const ids = await create(
      store,
      providers.map((provider) => ({ provider })),
    );
    const providerRoom = new Map([["a", 2], ["b", 1]]);
    const claimed = await claim(store, { limit: 1, ahead: 9, providerRoom });
    assertEquals(idsOf(claimed).map((id) => ids.indexOf(id)), [0, 1, 2, 5]);
  });

  test("claim() of tasks that a dead runner only held spends no attempt, however often", async ({ store, elapse }) => {
    const ids = await createMany(store, 500, { maxAttempts: 1 });
    for (let n = 0; n < 4; n++) {
      const first = await createOne(store, { priority: 9 });
      const { tasks } = await claim(store, { limit: 1, ahead: 500 });
      assertEquals(nth(tasks, 0).task.id, first);
      assert(n > 0 || tasks.length === 501, `it held ${tasks.length - 1}`);
      await record(store, complete(nth(tasks, 0)));
      await elapse(LEASE_MS);
      assertEquals(await endAbandoned(store), []);
    }
    const { tasks, waitsForIdle } = await claim(store, { limit: 500 });
    assertEquals(waitsForIdle, false);
    assertEquals(tasks.map(({ task }) => task.id), ids);
    assertEquals(
      new Set(tasks.map(({ lease }) => lease.attempt)),
      new Set([1]),
    );
    assertEquals(await statesOf(store), { running: 500, completed: 4 });
  });

  test("heartbeat() keeps what is held", async ({ store, elapse }) => {
    await createMany(store, 3);
    const { tasks } = await claim(store, { limit: 1, ahead: 2 });
    await elapse(LEASE_MS / 2);
    assertEquals(
      await store.queue.heartbeat(leasesOf(tasks), { leaseMs: LEASE_MS }),
      ["held", "held", "held"],
    );
    await elapse(LEASE_MS / 2);
    assertEquals(idsOf(await claim(store, { owner: "runner-b" })), []);
    const held = nth(tasks, 1);
    assertEquals((await taskOf(store, held.task.id)).state, "created");
    assertEquals((await record(store, begin(held))).results, ["written"]);
  });

  test("cancel() ends what is only held, and it never begins", async ({ store }) => {
    await createMany(store, 2);
    const { tasks } = await claim(store, { limit: 1, ahead: 1 });
    const held = nth(tasks, 1);
    const { id } = held.task;
    assertEquals(await store.admin.cancel([id]), ["cancelled"]);
    assertEquals(
      await store.queue.heartbeat([held.lease], { leaseMs: LEASE_MS }),
      ["lost"],
    );
    assertEquals((await record(store, begin(held))).results, ["lost"]);
    await store.queue.giveBack([held.lease]);
    assertEquals((await taskOf(store, id)).state, "failed");
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null],
      ["cancelled", 0, null, null],
    ]);
  });
}

function testBegin(test: Test): void {
  test("record() begins what is held", async ({ store }) => {
    await createMany(store, 2, { trace: { mine: 1 } });
    const { tasks } = await claim(store, { limit: 1, ahead: 1 });
    const held = nth(tasks, 1);
    const { id } = held.task;
    const { results, at } = await record(store, begin(held));
    assertEquals(results, ["written"]);
    const task = await taskOf(store, id);
    assertEquals([task.state, task.attempt], ["running", 1]);
    assertEquals([task.leaseOwner, task.updatedAt], ["runner-a", at]);
    assertEquals(await traceOf(store, id), {
      mine: 1,
      auto_started_at: traceTime(at),
      auto_started_by: "runner_loop",
      progress: "Task started",
    });
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null],
      ["started", 1, "runner-a", null],
    ]);
    assertEquals((await record(store, begin(held))).results, ["lost"]);
    assertEquals((await record(store, complete(held))).results, ["written"]);
  });

  test("record() begins and completes in one call", async ({ store }) => {
    await createMany(store, 3);
    const { tasks: [, one, other] } = await claim(store, {
      limit: 1,
      ahead: 2,
    });
    assert(one && other);
    const { results } = await record(
      store,
      begin(one),
      begin(other),
      complete(one, { message: "Done" }),
      complete(other),
    );
    assertEquals(results, Array(4).fill("written"));
    for (
      const [{ task: { id } }, message] of [[one, "Done"], [
        other,
        null,
      ]] as const
    ) {
      const { state, attempt, leaseOwner } = await taskOf(store, id);
      assertEquals([state, attempt, leaseOwner], ["completed", 1, null]);
      assertEquals(await historyOf(store, id), [
        ["created", 0, null, null],
        ["started", 1, "runner-a", null],
        ["completed", 1, "runner-a", message],
      ]);
    }
  });

  test("record() ends nothing that is held and was not begun", async ({ store, storedTextOf }) => {
    const id = await createOne(store);
    const { tasks } = await claim(store, { limit: 0, ahead: 1 });
    const before = await storedTextOf(id);
    const { results } = await record(store, complete(nth(tasks, 0)));
    assertEquals(results, ["lost"]);
    assertEquals(await storedTextOf(id), before);
  });
}

function testGiveBack(test: Test): void {
  test("giveBack() leaves what was held as if it had never been claimed", async (subject) => {
    const { store, storedTextOf } = subject;
    const ids = await createMany(store, 3, { maxAttempts: 1 });
    const before = await Promise.all(ids.map(storedTextOf));
    const { tasks } = await claim(store, { limit: 0, ahead: 3 });
    assertEquals(tasks.length, 3);
    await store.queue.giveBack(leasesOf(tasks));
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
    const { tasks: again } = await claim(store, { owner: "runner-b" });
    assertEquals(
      again.map(({ task, lease }) => [task.id, lease.attempt]),
      ids.map((id) => [id, 1]),
    );
  });

  test("record() refuses what was given back", async ({ store, storedTextOf }) => {
    const id = await createOne(store);
    const { tasks } = await claim(store, { limit: 0, ahead: 1 });
    const held = nth(tasks, 0);
    await store.queue.giveBack([held.lease]);
    const before = await storedTextOf(id);
    const { results } = await record(store, begin(held), complete(held));
    assertEquals(results, ["lost", "lost"]);
    assertEquals(
      await store.queue.heartbeat([held.lease], { leaseMs: LEASE_MS }),
      ["lost"],
    );
    assertEquals(await storedTextOf(id), before);
  });

  test("giveBack() leaves alone what was begun, lost or taken over", async (subject) => {
    const { store, elapse, storedTextOf } = subject;
    const ids = await createMany(store, 4);
    const { tasks } = await claim(store, { limit: 1, ahead: 2 });
    const [running, begun] = tasks;
    assert(running && begun);
    await record(store, begin(begun));
    await store.queue.heartbeat(leasesOf([running, begun]), {
      leaseMs: 9 * LEASE_MS,
    });
    await elapse(LEASE_MS);
    const other = await claim(store, { owner: "runner-b" });
    assertEquals(idsOf(other), ids.slice(2));
    const before = await Promise.all(ids.map(storedTextOf));
    await store.queue.giveBack(leasesOf(tasks));
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
  });

  test("giveBack() takes no leases", async ({ store }) => {
    await store.queue.giveBack([]);
    const run = await startOne(store);
    await store.queue.giveBack([]);
    assertEquals((await record(store, complete(run))).results, ["written"]);
  });

  test("giveBack() leaves the others of the same claim alone", async ({ store }) => {
    const ids = await createMany(store, 2);
    const { tasks } = await claim(store, { limit: 0, ahead: 2 });
    await store.queue.giveBack([nth(tasks, 0).lease]);
    assertEquals((await claimOne(store)).task.id, ids[0]);
    assertEquals((await record(store, begin(nth(tasks, 1)))).results, [
      "written",
    ]);
  });
}
