import {
  assertEquals,
  assertFalse,
  assertLess,
  assertRejects,
} from "@std/assert";
import { stub } from "@std/testing/mock";
import type { NewTask } from "../../../lib/task/task.ts";
import { complete } from "../../../lib/task/transitions.ts";
import {
  connectDuckDb,
  type Connection,
} from "../../../lib/store/duckdb/connection.ts";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import { Folder } from "../../cli/cli.ts";
import { openInFolder, openSubject, overriding } from "./subject.ts";
import { testTaskStore } from "../conformance.ts";

testTaskStore("memory", () => openSubject(":memory:", {}));
testTaskStore("shared file", () => openInFolder({}));
testTaskStore("exclusive file", () => openInFolder({ exclusive: true }));

/** A connection that fails once, at a statement that the test chooses. */
class Saboteur {
  #pattern: RegExp | undefined;

  failAt(pattern: RegExp): void {
    this.#pattern = pattern;
  }

  connect = async (path: string): Promise<Connection> => {
    const connection = await connectDuckDb(path);
    return overriding(connection, {
      defer: (sql, values) => {
        if (this.#pattern?.test(sql)) {
          this.#pattern = undefined;
          connection.defer("SELECT error('sabotage')");
        } else connection.defer(sql, values);
      },
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

const START = Date.UTC(2026, 0, 1);
const NEW_TASK: NewTask = {
  userId: "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
  provider: "simulate",
};
const CLAIM = {
  limit: 2,
  owner: "runner-a",
  leaseMs: 60_000,
  maxAttempts: 3,
  now: new Date(START),
};

async function createTasks(
  store: { create(tasks: readonly NewTask[], now: Date): Promise<string[]> },
  count: number,
): Promise<string[]> {
  return await store.create(
    Array.from({ length: count }, () => NEW_TASK),
    new Date(START),
  );
}

Deno.test("create() takes a long text with quotes in no time", async () => {
  await using store = await openDuckDbStore(":memory:");
  const instruction = "it's long; ".repeat(400_000);
  const startedAt = performance.now();
  const [id = ""] = await store.create(
    [{ ...NEW_TASK, instruction }],
    CLAIM.now,
  );
  // Half a minute, where a column has no name.
  assertLess(performance.now() - startedAt, 3_000);
  assertEquals((await store.get(id))?.instruction, instruction);
});

for (
  const [what, pattern] of [
    ["the history", /INSERT INTO agent_task_events/],
    ["the lease", /UPDATE agent_tasks/],
    ["the commit", /^COMMIT$/],
  ] as const
) {
  Deno.test(`claim() works again after one that failed at ${what}`, async () => {
    const saboteur = new Saboteur();
    await using store = await openDuckDbStore(":memory:", {
      connect: saboteur.connect,
    });
    const ids = await createTasks(store, 5);
    saboteur.failAt(pattern);
    await assertRejects(() => store.claim(CLAIM), Error, "sabotage");
    assertEquals(await store.countByState(), { created: 5 });
    const seen: string[] = [];
    for (let n = 0; n < 3; n++) {
      const { claimed } = await store.claim(CLAIM);
      seen.push(...claimed.map(({ task }) => task.id));
    }
    assertEquals(seen, ids);
  });

  Deno.test(`claim() skips nothing after a later one that failed at ${what}`, async () => {
    const saboteur = new Saboteur();
    await using store = await openDuckDbStore(":memory:", {
      connect: saboteur.connect,
    });
    const ids = await createTasks(store, 6);
    const { claimed } = await store.claim(CLAIM);
    assertEquals(claimed.map(({ task }) => task.id), ids.slice(0, 2));
    saboteur.failAt(pattern);
    await assertRejects(() => store.claim(CLAIM), Error, "sabotage");
    const seen: string[] = [];
    for (let n = 0; n < 2; n++) {
      const { claimed } = await store.claim(CLAIM);
      seen.push(...claimed.map(({ task }) => task.id));
    }
    assertEquals(seen, ids.slice(2));
  });
}

Deno.test("claim() has the leases written while it reads the tasks", async () => {
  const order: string[] = [];
  await using store = await openDuckDbStore(":memory:", {
    connect: async (path) => {
      const connection = await connectDuckDb(path);
      return overriding(connection, {
        run: (sql, values) => {
          if (sql.includes("lease_id = ")) order.push("write");
          return connection.run(sql, values);
        },
      });
    },
  });
  const [id = ""] = await createTasks(store, 2);
  const { parse } = JSON;
  using _ = stub(JSON, "parse", (text) => {
    if (text.includes(id)) order.push("read");
    return parse(text);
  });
  await store.claim(CLAIM);
  assertEquals(order, ["write", "read"]);
});

Deno.test("record() writes a group again after a commit that failed", async () => {
  const saboteur = new Saboteur();
  await using store = await openDuckDbStore(":memory:", {
    connect: saboteur.connect,
  });
  await createTasks(store, 2);
  const { claimed } = await store.claim(CLAIM);
  const group = claimed.map((it) => complete(it, CLAIM.now));
  saboteur.failAt(/^COMMIT$/);
  await assertRejects(() => store.record(group, CLAIM.now), Error, "sabotage");
  assertEquals(await store.countByState(), { running: 2 });
  const results = await store.record(group, CLAIM.now);
  assertEquals(results.map(({ applied }) => applied), [true, true]);
  assertEquals(await store.countByState(), { completed: 2 });
});

for (
  const [what, rest] of Object.entries({
    "put into another order": "ORDER BY rowid DESC",
    "moved up, the first one gone": "WHERE rowid > 0",
    "moved down behind the last one": "ORDER BY rowid < 4, rowid",
  })
) {
  Deno.test(`record() ends the right tasks where their rows were ${what}`, async () => {
    let connection: Connection | undefined;
    await using store = await openDuckDbStore(":memory:", {
      connect: async (path) => connection = await connectDuckDb(path),
    });
    const ids = await createTasks(store, 5);
    const { claimed } = await store.claim({ ...CLAIM, limit: 5 });
    // As another program might, while the file is free.
    await connection?.run(
      `CREATE TABLE moved AS FROM agent_tasks ${rest};
       DROP TABLE agent_tasks; ALTER TABLE moved RENAME TO agent_tasks`,
    );
    const results = await store.record(
      claimed.slice(1, 3).map((it) => complete(it, CLAIM.now)),
      CLAIM.now,
    );
    assertEquals(results.map(({ applied }) => applied), [true, true]);
    for (const [index, id] of ids.entries()) {
      const isEnded = index === 1 || index === 2;
      const isGone = index === 0 && what.includes("gone");
      const events = await store.events(id);
      assertEquals(
        [(await store.get(id))?.state, events.at(-1)?.kind],
        isEnded
          ? ["completed", "completed"]
          : [isGone ? undefined : "running", "started"],
      );
    }
  });
}

Deno.test("record() ends the right tasks where another program swapped rows between others", async () => {
  using folder = new Folder();
  const path = `${folder.path}/tasks.duckdb`;
  let closed = Promise.withResolvers<void>();
  await using store = await openDuckDbStore(path, {
    connect: async (path) => {
      const connection = await connectDuckDb(path);
      return overriding(connection, {
        close: () => {
          connection.close();
          closed.resolve();
        },
      });
    },
  });
  const ids = await createTasks(store, 5);
  closed = Promise.withResolvers();
  const { claimed } = await store.claim({ ...CLAIM, limit: 5 });
  await closed.promise;
  const other = await connectDuckDb(path);
  await other.run(
    `CREATE TABLE moved AS FROM agent_tasks ORDER BY [0, 3, 2, 1, 4][rowid + 1];
     DROP TABLE agent_tasks; ALTER TABLE moved RENAME TO agent_tasks`,
  );
  other.close();
  await store.record(
    claimed.slice(0, 3).map((it) => complete(it, CLAIM.now)),
    CLAIM.now,
  );
  const states = await Promise.all(ids.map((id) => store.get(id)));
  assertEquals(
    states.map((task) => task?.state),
    ["completed", "completed", "completed", "running", "running"],
  );
});

Deno.test("openDuckDbStore() keeps everything when a file is opened again", async () => {
  const folder = await Deno.makeTempDir({ prefix: "duckdb_store_test_" });
  const path = `${folder}/tasks with spaces, ünïcode & 'quotes'.duckdb`;
  try {
    let ids: string[];
    {
      await using store = await openDuckDbStore(path);
      ids = await createTasks(store, 3);
      const { claimed } = await store.claim(CLAIM);
      await store.record(
        claimed.slice(0, 1).map((it) => complete(it, CLAIM.now)),
        CLAIM.now,
      );
    }
    await using store = await openDuckDbStore(path);
    assertEquals(await store.countByState(), {
      created: 1,
      running: 1,
      completed: 1,
    });
    const events = await store.events(ids[0] ?? "");
    assertEquals(events.map(({ kind }) => kind), [
      "created",
      "started",
      "completed",
    ]);
    // The sequence of the event ids goes on.
    const [id = ""] = await createTasks(store, 1);
    const [event] = await store.events(id);
    assertFalse(events.some((older) => older.id >= (event?.id ?? 0)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("openDuckDbStore() changes nothing in a file of its own", async () => {
  const folder = await Deno.makeTempDir({ prefix: "duckdb_store_test_" });
  const path = `${folder}/tasks.duckdb`;
  try {
    {
      await using store = await openDuckDbStore(path);
      await createTasks(store, 3);
    }
    const before = await Deno.readFile(path);
    {
      await using store = await openDuckDbStore(path);
      await store.list({ limit: 9 });
      await store.nextDueAt(CLAIM.now);
    }
    assertEquals((await Deno.readFile(path)).length, before.length);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), [
      "tasks.duckdb",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
