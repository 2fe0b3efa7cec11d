/**
 * Rows that DuckDB refuses to change: a foreign key of another table refers to
 * them, and an index covers the column. They take no other with them.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { DatabaseError } from "../../../lib/base/errors.ts";
import { complete } from "../../../lib/task/transitions.ts";
import {
  assertOthersEnd,
  claim,
  create,
  createMany,
  createOne,
  endAbandoned,
  HOUR,
  idsOf,
  LEASE_MS,
  leasesOf,
  record,
  statesOf,
  type StoreUnderTest,
  taskOf,
} from "../conformance/subject.ts";
import { openInFolder } from "./subject.ts";

function test(
  behaviour: string,
  body: (subject: StoreUnderTest) => Promise<void>,
): void {
  Deno.test(behaviour, async () => {
    await using subject = await openInFolder({ exclusive: true });
    await body(subject);
  });
}

test("claim() keeps to the room of a provider where it leaves out a row", async ({ store, refuseWrites }) => {
  const [bad = "", ...ids] = await createMany(store, 6, { provider: "a" });
  const others = await createMany(store, 3, { provider: "b" });
  await refuseWrites(bad);
  const providerRoom = new Map([["a", 2], ["b", Infinity]]);
  const claimed = await claim(store, { providerRoom });
  assertEquals(idsOf(claimed), [...ids.slice(0, 2), ...others]);
});

test("claim() gives by itself what is to run by itself, where it leaves out a row", async (subject) => {
  const { store, elapse, refuseWrites } = subject;
  const suspect = await createOne(store, { priority: 2 });
  for (let n = 0; n < 2; n++) {
    await claim(store);
    await elapse(LEASE_MS);
  }
  const bad = await createOne(store, { priority: 3 });
  const ids = await createMany(store, 3);
  await refuseWrites(bad);
  const busy = await claim(store);
  assertEquals([idsOf(busy), busy.waitsForIdle], [[], true]);
  assertEquals(idsOf(await claim(store, { isIdle: true })), [suspect]);
  assertEquals(idsOf(await claim(store)), ids);
});

test("claim() takes nothing that is to run by itself beside others, where it leaves out a row", async (subject) => {
  const { store, elapse, refuseWrites } = subject;
  const suspect = await createOne(store, { priority: -1 });
  for (let n = 0; n < 2; n++) {
    await claim(store);
    await elapse(LEASE_MS);
  }
  const [bad = "", ...ids] = await createMany(store, 4);
  await refuseWrites(bad);
  assertEquals(idsOf(await claim(store, { isIdle: true })), ids);
  assertEquals(idsOf(await claim(store, { isIdle: true })), [suspect]);
});

test("claim() says once in a while what it leaves out, and tries again", async (subject) => {
  const { store, elapse, refuseWrites, problems } = subject;
  const bad = await createOne(store);
  await refuseWrites(bad);
  for (let n = 0; n < 3; n++) {
    const [id] = await createMany(store, 1);
    assertEquals(idsOf(await claim(store, { leaseMs: HOUR })), [id]);
  }
  assertEquals(problems.length, 1);
  assertMatch(
    problems[0] ?? "",
    new RegExp(
      `^Cannot write the row of task ${bad}: DuckDB refuses .* Drop the index or the foreign key. It is left alone`,
    ),
  );
  await elapse(60_000);
  assertEquals(idsOf(await claim(store)), []);
  assertEquals(problems.length, 2);
});

test("claim() begins what it can, where it can hold nothing", async ({ store, refuseWrites }) => {
  const ids = await createMany(store, 6);
  await refuseWrites(ids[3] ?? "");
  for (const id of ids.slice(0, 3)) {
    assertEquals(idsOf(await claim(store, { limit: 1, ahead: 9 })), [id]);
  }
  assertEquals(
    idsOf(await claim(store, { limit: 1, ahead: 9 })),
    ids.slice(4, 5),
  );
  // That one is known by now.
  assertEquals(idsOf(await claim(store, { limit: 0, ahead: 9 })), ids.slice(5));
});

test("endAbandoned() ends the others, and says once what it leaves alone", async (subject) => {
  const { store, elapse, refuseWrites, problems } = subject;
  const [bad = "", ...ids] = await createMany(store, 4, { maxAttempts: 1 });
  await claim(store);
  await refuseWrites(bad);
  await elapse(LEASE_MS);
  const ended = await endAbandoned(store);
  assertEquals(ended.map(({ task }) => task.id), ids);
  for (let n = 0; n < 3; n++) assertEquals(await endAbandoned(store), []);
  assertEquals(problems.length, 1, problems.join("\n"));
  assertEquals(await statesOf(store), { running: 1, failed: 3 });
  // Others that come later, too.
  await createOne(store, { maxAttempts: 1 });
  await claim(store);
  await elapse(LEASE_MS / 2);
  assertEquals(await endAbandoned(store), []);
  await elapse(LEASE_MS / 2);
  assertEquals((await endAbandoned(store)).length, 1);
});

test("giveBack() gives the others back", async (subject) => {
  const { store, refuseWrites } = subject;
  await createMany(store, 6);
  const { tasks } = await claim(store, { limit: 1, ahead: 5 });
  const held = tasks.slice(1);
  const bad = held[2]!.task.id;
  await refuseWrites(bad);
  await store.queue.giveBack(leasesOf(held));
  const others = held.map(({ task }) => task.id).filter((id) => id !== bad);
  // An index of the leases moves their rows, and so changes their order.
  assertEquals(idsOf(await claim(store)).toSorted(), others.toSorted());
});

test("heartbeat() renews the others", async (subject) => {
  const { store, elapse, refuseWrites } = subject;
  const ids = await createMany(store, 4);
  const { tasks } = await claim(store);
  await refuseWrites(ids[1] ?? "");
  const { queue } = store;
  const states = await queue.heartbeat(leasesOf(tasks), { leaseMs: HOUR });
  assertEquals(states, ["held", "held", "held", "held"]);
  await elapse(LEASE_MS);
  assertEquals(idsOf(await claim(store)), []);
  assertEquals((await taskOf(store, ids[0] ?? "")).attempt, 1);
});

test("record() says what DuckDB says of a row, with what to do", async (subject) => {
  const { store, refuseWrites } = subject;
  const ids = await createMany(store, 5);
  const { tasks } = await claim(store);
  await refuseWrites(ids[3] ?? "");
  const { results } = await record(store, ...tasks.map((it) => complete(it)));
  assertEquals(
    results.map((it) => it instanceof DatabaseError ? "refused" : it),
    ["written", "written", "written", "refused", "written"],
  );
  assertMatch(
    String(results[3]),
    new RegExp(
      `Cannot write the row of task ${
        ids[3]
      }: .*Drop the index or the foreign key\\.$`,
    ),
  );
});

test(
  "endAbandoned() ends the others where a row behind one is refused",
  assertOthersEnd,
);

test("endAbandoned() ends where the row is refused of what another program lets go", async (subject) => {
  const { store, changeTask, refuseWrites, problems } = subject;
  const [root = "", bad = "", good = ""] = await create(store, [
    { key: "root" },
    { after: ["root"] },
    { after: ["root"] },
  ]);
  await refuseWrites(bad);
  await changeTask(root, { state: "failed" });
  for (let n = 0; n < 2; n++) assertEquals(await endAbandoned(store), []);
  assertEquals((await taskOf(store, good)).state, "failed");
  assertEquals((await taskOf(store, bad)).state, "created");
  assertEquals(problems.length, 1, problems.join("\n"));
});
