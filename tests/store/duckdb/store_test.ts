import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { DatabaseBusyError, DatabaseError } from "../../../lib/base/errors.ts";
import {
  connectDuckDb,
  type Connection,
} from "../../../lib/store/duckdb/connection.ts";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import {
  begin,
  complete,
  noteProgress,
} from "../../../lib/task/transitions.ts";
import { Folder } from "../../cli/cli.ts";
import { Child } from "../../support/fixtures/child.ts";
import {
  claim,
  createMany,
  createOne,
  idsOf,
  LEASE_MS,
  leasesOf,
  newTask,
  nth,
  record,
  statesOf,
  taskOf,
} from "../conformance/subject.ts";
import { overriding } from "./subject.ts";

/** A connection that fails once, at a statement that the test chooses. */
class Saboteur {
  #pattern: RegExp | undefined;

  failAt(pattern: RegExp): void {
    this.#pattern = pattern;
  }

  connect = async (path: string): Promise<Connection> => {
    const connection = await connectDuckDb(path);
    return overriding(connection, {
      run: async (sql, values) => {
        if (this.#pattern?.test(sql)) {
          this.#pattern = undefined;
          throw new Error("IO Error: sabotage");
        }
        return await connection.run(sql, values);
      },
    });
  };
}

async function openSabotaged() {
  const saboteur = new Saboteur();
  const { connect } = saboteur;
  const store = await openDuckDbStore(":memory:", { connect });
  return { store, saboteur };
}

const STEPS = [
  ["the lease", /SET lease_id = /],
  ["the state", /UPDATE agent_tasks t SET/],
  ["the history", /INSERT INTO agent_task_events/],
  ["the commit", /^COMMIT$/],
] as const;

for (const [what, pattern] of STEPS) {
  Deno.test(`claim() that fails at ${what} leaves nothing, and the next one works`, async () => {
    const opened = await openSabotaged();
    await using store = opened.store;
    const ids = await createMany(store, 6);
    assertEquals(idsOf(await claim(store, { limit: 2 })), ids.slice(0, 2));
    const before = await Promise.all(ids.map((id) => store.admin.history(id)));
    opened.saboteur.failAt(pattern);
    await assertRejects(
      () => claim(store, { limit: 2 }),
      DatabaseError,
      "sabotage",
    );
    assertEquals(await statesOf(store), { created: 4, running: 2 });
    assertEquals(
      await Promise.all(ids.map((id) => store.admin.history(id))),
      before,
    );
    assertEquals(idsOf(await claim(store, { limit: 2 })), ids.slice(2, 4));
    assertEquals(idsOf(await claim(store, { limit: 9 })), ids.slice(4));
  });
}

for (const [what, pattern] of STEPS.slice(1)) {
  Deno.test(`record() that fails at ${what} leaves nothing, and can be done again`, async () => {
    const opened = await openSabotaged();
    await using store = opened.store;
    const ids = await createMany(store, 3);
    const { tasks } = await claim(store, { limit: 2, ahead: 1 });
    const held = nth(tasks, 2);
    const group = [
      noteProgress(nth(tasks, 0), { message: "half", at: new Date() }),
      ...tasks.slice(0, 2).map((it) => complete(it)),
      begin(held),
      complete(held),
    ];
    opened.saboteur.failAt(pattern);
    await assertRejects(
      () => record(store, ...group),
      DatabaseError,
      "sabotage",
    );
    assertEquals(await statesOf(store), { created: 1, running: 2 });
    assertEquals((await store.admin.history(nth(ids, 0))).length, 2);
    const { results } = await record(store, ...group);
    assertEquals(results, group.map(() => "written"));
    assertEquals(await statesOf(store), { completed: 3 });
  });
}

for (
  const [what, rest] of Object.entries({
    "put into another order": "ORDER BY rowid DESC",
    "moved up, the first one gone": "WHERE rowid > 0",
    "moved down behind the last one": "ORDER BY rowid < 4, rowid",
    "swapped between others": "ORDER BY [0, 3, 2, 1, 4][rowid + 1]",
  })
) {
  for (
    const [how, limits] of Object.entries({
      begun: { limit: 5 },
      held: { limit: 0, ahead: 5 },
    })
  ) {
    Deno.test(`record() ends the right tasks, ${how}, where their rows were ${what}`, async () => {
      let connection: Connection | undefined;
      await using store = await openDuckDbStore(":memory:", {
        connect: async (path) => connection = await connectDuckDb(path),
      });
      const ids = await createMany(store, 5);
      const { tasks } = await claim(store, limits);
      // As another program might, while the file is free.
      await connection?.run(
        `CREATE TABLE moved AS FROM agent_tasks ${rest};
         DROP TABLE agent_tasks; ALTER TABLE moved RENAME TO agent_tasks`,
      );
      const ended = tasks.slice(1, 3).flatMap((it) =>
        how === "held" ? [begin(it), complete(it)] : [complete(it)]
      );
      const { results } = await record(store, ...ended);
      assertEquals(results, ended.map(() => "written"));
      const left = how === "held" ? "created" : "running";
      for (const [index, id] of ids.entries()) {
        const isEnded = index === 1 || index === 2;
        const isGone = index === 0 && what.includes("gone");
        assertEquals(
          (await store.admin.get(id))?.state,
          isEnded ? "completed" : isGone ? undefined : left,
        );
      }
    });
  }
}

Deno.test("create() takes a long text with quotes", async () => {
  await using store = await openDuckDbStore(":memory:");
  // It takes half a minute, and more memory than there is, where a column has no name.
  const instruction = "it's long; ".repeat(400_000);
  const id = await createOne(store, { instruction });
  assertEquals((await taskOf(store, id)).instruction, instruction);
});

Deno.test("openDuckDbStore() keeps everything when a file is opened again", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks with spaces, ünïcode & 'quotes'.duckdb`;
  let id: string;
  {
    await using store = await openDuckDbStore(path);
    id = nth(await createMany(store, 3), 0);
    const { tasks } = await claim(store, { limit: 2 });
    await record(store, complete(nth(tasks, 0)));
  }
  await using store = await openDuckDbStore(path);
  assertEquals(await statesOf(store), { created: 1, running: 1, completed: 1 });
  const events = await store.admin.history(id);
  assertEquals(events.map(({ kind }) => kind), [
    "created",
    "started",
    "completed",
  ]);
  // The sequence of the event ids goes on.
  const [event] = await store.admin.history(await createOne(store));
  for (const older of events) assertGreater(event?.id ?? 0, older.id);
});

Deno.test("openDuckDbStore() changes nothing in a file of its own", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks.duckdb`;
  {
    await using store = await openDuckDbStore(path);
    await createMany(store, 3);
  }
  const before = await Deno.readFile(path);
  {
    await using store = await openDuckDbStore(path);
    await store.admin.page({ limit: 9 });
    await store.queue.untilDue(new Date());
    await store.queue.preview({ limit: 9, maxAttempts: 3 });
  }
  assertEquals(await Deno.readFile(path), before);
  assertEquals(folder.names(), ["tasks.duckdb"]);
});

Deno.test("openDuckDbStore() tells once that it made the tables", async () => {
  using folder = new Folder();
  let count = 0;
  for (let n = 0; n < 2; n++) {
    const store = await openDuckDbStore(`${folder.path}/tasks.duckdb`, {
      onCreate: () => count++,
    });
    await store[Symbol.asyncDispose]();
  }
  assertEquals(count, 1);
});

Deno.test("openDuckDbStore() waits as long as it is told, and its store as long as it is told", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks.duckdb`;
  await using holder = new Child(["hold", path]);
  assertEquals(await holder.hear(), "held");
  await assertRejects(
    () => openDuckDbStore(path, { openWaitMs: 0, waitMs: 3_600_000 }),
    DatabaseBusyError,
    `(PID ${holder.pid}) holds it`,
  );
  const opening = openDuckDbStore(path, { openWaitMs: 60_000, waitMs: 0 });
  await holder.say("close");
  assertEquals(await holder.hear(), '"closed"');
  await using store = await opening;
  await using again = new Child(["hold", path]);
  assertEquals(await again.hear(), "held");
  await assertRejects(() => store.admin.count(), DatabaseBusyError);
  await again.say("close");
  assertEquals(await again.hear(), '"closed"');
});

Deno.test("claim() and record() end their waits for the file with their signals, heartbeat() by itself", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks.duckdb`;
  await using store = await openDuckDbStore(path, { waitMs: 3_600_000 });
  await createMany(store, 2);
  const { tasks } = await claim(store, { limit: 1 });
  await using holder = new Child(["hold", path]);
  assertEquals(await holder.hear(), "held");
  const stop = new AbortController();
  const { signal } = stop;
  const { queue } = store;
  const claimed = claim(store, { signal });
  const ended = queue.endAbandoned({ maxAttempts: 3, signal });
  const recorded = assertRejects(
    () => queue.record([complete(nth(tasks, 0))], { signal }),
    DatabaseBusyError,
  );
  let isStopped = false;
  claimed.then(() => isStopped = true);
  await assertRejects(
    () => queue.heartbeat(leasesOf(tasks), { leaseMs: LEASE_MS }),
    DatabaseBusyError,
  );
  assertEquals(isStopped, false);
  stop.abort();
  assertEquals([idsOf(await claimed), await ended], [[], []]);
  await recorded;
  await holder.say("close");
  assertEquals(await holder.hear(), '"closed"');
  const { results } = await record(store, complete(nth(tasks, 0)));
  assertEquals(results, ["written"]);
});

Deno.test("create() has the memory that much text takes until it is committed, where there is such already", async () => {
  using folder = new Folder();
  const text = new Uint8Array(750_000);
  for (let batch = 1; batch <= 2; batch++) {
    // As the next command of a script would.
    await using store = await openDuckDbStore(`${folder.path}/tasks.duckdb`);
    await store.admin.create({
      count: 150,
      *sets() {
        for (let n = 0; n < 150; n++) {
          for (let at = 0; at < text.length; at += 50_000) {
            crypto.getRandomValues(text.subarray(at, at + 50_000));
          }
          yield [newTask({ instruction: text.toBase64() })];
        }
      },
    });
    const { counts: [count] } = await store.admin.count();
    assertEquals(count?.count, 150 * batch);
  }
});
