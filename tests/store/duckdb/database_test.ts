import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { assertSpyCalls, spy } from "@std/testing/mock";
import { type Clock, systemClock } from "../../../lib/base/clock.ts";
import {
  type Connect,
  connectDuckDb,
  type Connection,
} from "../../../lib/store/duckdb/connection.ts";
import {
  Database,
  type DatabaseOptions,
} from "../../../lib/store/duckdb/database.ts";
import { DatabaseBusyError, DatabaseError } from "../../../lib/base/errors.ts";
import { Child, runChild } from "../../support/fixtures/child.ts";

/** Time passes when a test says so. */
class FakeClock implements Clock {
  readonly slept: number[] = [];
  #time = 1_000_000;
  #sleepers: { readonly until: number; readonly wake: () => void }[] = [];
  #asleep = Promise.withResolvers<void>();

  /** @param isHasty a sleep passes the time itself. */
  constructor(readonly isHasty = false) {}

  get sleepers(): number {
    return this.#sleepers.length;
  }

  now(): Date {
    return new Date(this.#time);
  }

  monotonic(): number {
    return this.#time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted) return Promise.resolve();
    this.slept.push(ms);
    if (this.isHasty) {
      this.#time += ms;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#sleepers.push({ until: this.#time + ms, wake: resolve });
      signal?.addEventListener("abort", () => resolve(), { once: true });
      this.#asleep.resolve();
    });
  }

  /** Resolves when somebody sleeps. */
  async asleep(): Promise<void> {
    if (this.#sleepers.length === 0) await this.#asleep.promise;
    this.#asleep = Promise.withResolvers();
  }

  advance(ms: number): void {
    this.#time += ms;
    const due = this.#sleepers.filter(({ until }) => until <= this.#time);
    this.#sleepers = this.#sleepers.filter((it) => !due.includes(it));
    for (const { wake } of due) wake();
  }
}

/** A database of stubs, and what is done to it. */
class Stubs {
  readonly log: string[] = [];
  /** Statements that fail, once each. */
  readonly failures = new Map<string, Error>();
  #closed = Promise.withResolvers<void>();

  connect: Connect = () => {
    this.log.push("open");
    const failure = this.#takeFailure("open");
    if (failure) return Promise.reject(failure);
    const deferred: string[] = [];
    return Promise.resolve<Connection>({
      defer: (sql) => void deferred.push(sql),
      run: (sql) => {
        for (const each of [...deferred.splice(0), sql]) {
          this.log.push(each);
          const failure = this.#takeFailure(each);
          if (failure) return Promise.reject(failure);
        }
        return Promise.resolve(0);
      },
      json: () => Promise.resolve(null),
      text: () => Promise.resolve(null),
      append: () => Promise.resolve(),
      close: () => {
        this.log.push("close");
        this.#closed.resolve();
      },
    });
  };

  /** Resolves when a connection is closed. */
  async closed(): Promise<void> {
    await this.#closed.promise;
    this.#closed = Promise.withResolvers();
  }

  count(entry: string): number {
    return this.log.filter((it) => it === entry).length;
  }

  #takeFailure(sql: string): Error | undefined {
    const failure = this.failures.get(sql);
    this.failures.delete(sql);
    return failure;
  }
}

const PATH = "/nonexistent/stub.duckdb";
const busy = () => new DatabaseBusyError("Cannot open it: deno holds it.");

function setUp(
  { path = PATH, clock = new FakeClock(), ...options }:
    & Partial<DatabaseOptions>
    & { path?: string; clock?: FakeClock } = {},
) {
  const stubs = new Stubs();
  const database = new Database(path, { clock, connect: stubs.connect }, {
    onOpen: () => {
      stubs.log.push("onOpen");
      return Promise.resolve();
    },
    ...options,
  });
  return { database, stubs, clock, log: stubs.log };
}

const nothing = () => Promise.resolve();

Deno.test("transaction() opens the database at its first use", async () => {
  const { database, log } = setUp();
  assertEquals(log, []);
  const result = await database.transaction(async (connection) => {
    await connection.run("work");
    return 42;
  });
  assertEquals(result, 42);
  assertEquals(log, ["open", "onOpen", "BEGIN TRANSACTION", "work", "COMMIT"]);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() uses the connection that is open", async () => {
  const { database, stubs } = setUp();
  for (let n = 0; n < 3; n++) await database.transaction(nothing);
  assertEquals(stubs.count("open"), 1);
  assertEquals(stubs.count("onOpen"), 1);
  assertEquals(stubs.count("COMMIT"), 3);
  assertEquals(stubs.count("close"), 0);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() closes after it lingered, and opens again", async () => {
  const { database, stubs, clock, log } = setUp();
  await database.transaction(nothing);
  assertEquals(stubs.count("close"), 0);
  clock.advance(20);
  await stubs.closed();
  assertEquals(log.at(-1), "close");
  await database.transaction(nothing);
  assertEquals(stubs.count("open"), 2);
  assertEquals(stubs.count("onOpen"), 2);
  clock.advance(20);
  await stubs.closed();
  await database[Symbol.asyncDispose]();
  assertEquals(stubs.count("close"), 2);
});

Deno.test("transaction() lets go under load, and lets others in", async () => {
  const { database, clock, log } = setUp();
  const first = database.transaction(nothing);
  const second = database.transaction(() => {
    clock.advance(2_000);
    return nothing();
  });
  const third = database.transaction((connection) => connection.run("third"));
  await Promise.all([first, second]);
  await clock.asleep();
  assertEquals(log, [
    "open",
    "onOpen",
    "BEGIN TRANSACTION",
    "COMMIT",
    "BEGIN TRANSACTION",
    "COMMIT",
    "close",
  ]);
  const [yieldMs = 0] = clock.slept;
  assertGreater(yieldMs, 0);
  clock.advance(yieldMs);
  await third;
  assertEquals(log.slice(7), [
    "open",
    "onOpen",
    "BEGIN TRANSACTION",
    "third",
    "COMMIT",
  ]);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() lets go where the log has grown long", async () => {
  const folder = await Deno.makeTempDir({ prefix: "database_test_" });
  const path = `${folder}/tasks.duckdb`;
  await Deno.writeTextFile(path, "");
  const { database, stubs, clock } = setUp({ path });
  await using log = await Deno.create(`${path}.wal`);
  await log.truncate(80_000_000);
  await database.transaction(nothing);
  await database.transaction(nothing);
  assertEquals(stubs.count("close"), 0);
  await database.transaction(() => log.truncate(100_000_000));
  await stubs.closed();
  const next = database.transaction(nothing);
  await clock.asleep();
  assertGreater(clock.slept[0] ?? 0, 0);
  clock.advance(1_000);
  await next;
  assertEquals(stubs.count("open"), 2);
  await database[Symbol.asyncDispose]();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("transaction() does not let go each time where the log can't be folded in", async () => {
  const folder = await Deno.makeTempDir({ prefix: "database_test_" });
  const path = `${folder}/tasks.duckdb`;
  await Deno.writeTextFile(path, "");
  const { database, stubs } = setUp({ path, clock: new FakeClock(true) });
  await using log = await Deno.create(`${path}.wal`);
  await log.truncate(100_000_000);
  stubs.failures.set("CHECKPOINT", new Error("IO Error: no space left"));
  await database.transaction(nothing);
  await database.transaction(nothing);
  await database.transaction(nothing);
  assertEquals(stubs.count("close"), 1);
  assertEquals(stubs.count("open"), 2);
  await database[Symbol.asyncDispose]();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("transaction() waits for others no longer than they may need", async () => {
  const { database, stubs, clock } = setUp();
  await database.transaction(() => {
    clock.advance(2_000);
    return nothing();
  });
  await stubs.closed();
  clock.advance(5_000);
  await database.transaction(nothing);
  assertEquals(clock.slept, []);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() waits while another process holds the file", async () => {
  const { database, stubs, clock, log } = setUp();
  stubs.failures.set("open", busy());
  const done = database.transaction(nothing);
  for (let n = 0; n < 5; n++) {
    await clock.asleep();
    assertEquals(stubs.count("open"), n + 1);
    assertEquals(stubs.count("onOpen"), 0);
    if (n < 4) stubs.failures.set("open", busy());
    clock.advance(100);
  }
  await done;
  assertEquals(stubs.count("open"), 6);
  assertEquals(log.at(-1), "COMMIT");
  for (const ms of clock.slept) {
    assertGreater(ms, 0);
    assertLessOrEqual(ms, 30, "It could miss its turn.");
  }
  assertGreater(new Set(clock.slept).size, 1, "The waits have no jitter.");
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() gives up when it waited long enough", async () => {
  const clock = new FakeClock(true);
  const { database, stubs } = setUp({ clock, waitMs: 500 });
  stubs.failures.get = busy;
  const start = clock.monotonic();
  await assertRejects(() => database.transaction(nothing), DatabaseBusyError);
  const waitedMs = clock.monotonic() - start;
  assertGreaterOrEqual(waitedMs, 500);
  assertLess(waitedMs, 550);
  assertGreater(stubs.count("open"), 10);
  assertEquals(stubs.count("BEGIN TRANSACTION"), 0);
});

Deno.test("transaction() asks once where it may not wait", async () => {
  const { database, stubs, clock } = setUp({ waitMs: 0 });
  stubs.failures.set("open", busy());
  await assertRejects(() => database.transaction(nothing), DatabaseBusyError);
  assertEquals(stubs.count("open"), 1);
  assertEquals(clock.slept, []);
  await database.transaction(nothing);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() does not wait where waiting can't help", async () => {
  const { database, stubs, clock } = setUp();
  const error = new DatabaseError("Cannot use it: it is a folder.");
  stubs.failures.set("open", error);
  const thrown = await assertRejects(() => database.transaction(nothing));
  assertStrictEquals(thrown, error);
  assertEquals(stubs.log, ["open"]);
  assertEquals(clock.slept, []);
});

Deno.test("transaction() rolls back where its work throws", async () => {
  const { database, stubs, log } = setUp();
  const error = new TypeError("mine");
  const thrown = await assertRejects(() =>
    database.transaction(async (connection) => {
      await connection.run("work");
      throw error;
    })
  );
  assertStrictEquals(thrown, error);
  assertEquals(log.slice(-2), ["work", "ROLLBACK"]);
  await database.transaction(nothing);
  assertEquals(stubs.count("open"), 1);
  await database[Symbol.asyncDispose]();
});

for (const statement of ["BEGIN TRANSACTION", "work", "COMMIT"]) {
  Deno.test(`transaction() explains DuckDB's error at ${statement}`, async () => {
    const { database, stubs, log } = setUp();
    const cause = new Error("IO Error: write: No space left on device");
    stubs.failures.set(statement, cause);
    const error = await assertRejects(
      () => database.transaction((connection) => connection.run("work")),
      DatabaseError,
      "the disk is full",
    );
    assertEquals(error.cause, cause);
    assertEquals(log.at(-1), "ROLLBACK");
    await database[Symbol.asyncDispose]();
  });
}

Deno.test("transaction() opens again where it could not roll back", async () => {
  const { database, stubs, log } = setUp();
  stubs.failures.set("COMMIT", new Error("FATAL Error: invalidated"));
  stubs.failures.set("ROLLBACK", new Error("FATAL Error: invalidated"));
  await assertRejects(() => database.transaction(nothing), DatabaseError);
  assertEquals(log.slice(-3), ["COMMIT", "ROLLBACK", "close"]);
  await database.transaction(nothing);
  assertEquals(log.slice(-4), [
    "open",
    "onOpen",
    "BEGIN TRANSACTION",
    "COMMIT",
  ]);
  await database[Symbol.asyncDispose]();
  assertEquals(stubs.count("close"), 2);
});

Deno.test("transaction() opens again where it could not roll back, exclusive too", async () => {
  const { database, stubs } = setUp({ exclusive: true });
  stubs.failures.set("COMMIT", new Error("FATAL Error: invalidated"));
  stubs.failures.set("ROLLBACK", new Error("FATAL Error: invalidated"));
  await assertRejects(() => database.transaction(nothing), DatabaseError);
  await database.transaction(nothing);
  assertEquals(stubs.count("open"), 2);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() runs one at a time, in order", async () => {
  const { database, log } = setUp();
  const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const all = gates.map(({ promise }, index) =>
    database.transaction(async (connection) => {
      await connection.run(`begin ${index}`);
      await promise;
      await connection.run(`end ${index}`);
    })
  );
  for (const { resolve } of gates.toReversed()) resolve();
  await Promise.all(all);
  assertEquals(
    log.filter((entry) => /\d/.test(entry)),
    [0, 1, 2].flatMap((index) => [`begin ${index}`, `end ${index}`]),
  );
  assertEquals(log.filter((entry) => /[A-Z]{5}/.test(entry)), [
    "BEGIN TRANSACTION",
    "COMMIT",
    "BEGIN TRANSACTION",
    "COMMIT",
    "BEGIN TRANSACTION",
    "COMMIT",
  ]);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() runs after one that failed", async () => {
  const { database, log } = setUp();
  const failed = database.transaction(() => Promise.reject(new Error("mine")));
  const next = database.transaction((connection) => connection.run("next"));
  await assertRejects(() => failed, Error, "mine");
  await next;
  assertEquals(log.slice(-2), ["next", "COMMIT"]);
  await database[Symbol.asyncDispose]();
});

for (const options of [{ exclusive: true }, { path: ":memory:" }]) {
  Deno.test(`transaction() never closes with ${JSON.stringify(options)}`, async () => {
    const { database, stubs, clock } = setUp(options);
    {
      using timers = spy(globalThis, "setTimeout");
      for (let n = 0; n < 3; n++) {
        await database.transaction(() => {
          clock.advance(10_000);
          return nothing();
        });
      }
      assertSpyCalls(timers, 0);
    }
    assertEquals(clock.sleepers, 0);
    assertEquals(stubs.count("open"), 1);
    assertEquals(stubs.count("close"), 0);
    await database[Symbol.asyncDispose]();
    assertEquals(stubs.count("close"), 1);
  });
}

Deno.test("asyncDispose() closes what is open", async () => {
  const { database, stubs, log } = setUp();
  await database.transaction(nothing);
  await database[Symbol.asyncDispose]();
  assertEquals(log.at(-1), "close");
  await database[Symbol.asyncDispose]();
  assertEquals(stubs.count("close"), 1);
});

Deno.test("transaction() prepares the next opening when it let go, and gives that up at the end", async () => {
  const stubs = new Stubs();
  const clock = new FakeClock();
  const connect: Connect = Object.assign(
    (path: string) => stubs.connect(path),
    {
      prepare: () => void stubs.log.push("prepare"),
      dispose: () => {
        stubs.log.push("dispose");
        return nothing();
      },
    },
  );
  const database = new Database(PATH, { clock, connect }, { onOpen: nothing });
  await database.transaction(nothing);
  clock.advance(20);
  await stubs.closed();
  await database.transaction(nothing);
  await database[Symbol.asyncDispose]();
  const session = ["open", "BEGIN TRANSACTION", "COMMIT", "close"];
  assertEquals(stubs.log, [...session, "prepare", ...session, "dispose"]);
});

Deno.test("asyncDispose() opens nothing", async () => {
  const { database, log } = setUp();
  await database[Symbol.asyncDispose]();
  assertEquals(log, []);
});

Deno.test("asyncDispose() waits for the transactions before it", async () => {
  const { database, log } = setUp();
  const work = database.transaction((connection) => connection.run("work"));
  await database[Symbol.asyncDispose]();
  assertEquals(log.slice(-3), ["work", "COMMIT", "close"]);
  await work;
});

Deno.test("onOpen() closes the connection where it throws", async () => {
  const error = new DatabaseError("Cannot use the table.");
  const errors = [error];
  const { database, log } = setUp({
    onOpen: () => {
      const error = errors.pop();
      return error ? Promise.reject(error) : nothing();
    },
  });
  const thrown = await assertRejects(() => database.transaction(nothing));
  assertStrictEquals(thrown, error);
  assertEquals(log, ["open", "close"]);
  await database.transaction(nothing);
  assertEquals(log.slice(2), ["open", "BEGIN TRANSACTION", "COMMIT"]);
  await database[Symbol.asyncDispose]();
});

Deno.test("onOpen() explains DuckDB's errors", async () => {
  const { database } = setUp({
    onOpen: () =>
      Promise.reject(new Error("IO Error: No space left on device")),
  });
  await assertRejects(
    () => database.transaction(nothing),
    DatabaseError,
    "the disk is full",
  );
});

Deno.test("changeCount() opens nothing", async () => {
  const { database, log } = setUp();
  assertEquals(await database.changeCount(), 0);
  assertEquals(log, []);
});

/** A database in a real file, closed whenever a test says so. */
async function withFile(
  body: (file: {
    database: Database;
    path: string;
    /** Resolves when this process has let the file go. */
    closed: () => Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "database_test_" });
  const path = `${folder}/tasks.duckdb`;
  let closing = Promise.withResolvers<void>();
  async function connect(path: string): Promise<Connection> {
    const connection = await connectDuckDb(path);
    const { resolve } = closing = Promise.withResolvers<void>();
    return {
      defer: (sql, values) => connection.defer(sql, values),
      run: (sql, values) => connection.run(sql, values),
      json: (sql, values) => connection.json(sql, values),
      text: (sql, values) => connection.text(sql, values),
      append: (table, columns) => connection.append(table, columns),
      close() {
        connection.close();
        resolve();
      },
    };
  }
  try {
    await using database = new Database(path, { clock: systemClock, connect }, {
      onOpen: async (connection) => {
        await connection.run("CREATE TABLE IF NOT EXISTS numbers (n INTEGER)");
      },
    });
    await body({ database, path, closed: () => closing.promise });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const INSERT = "INSERT INTO numbers VALUES (1)";

async function insert(connection: Connection): Promise<void> {
  await connection.run(INSERT);
}

Deno.test("changeCount() grows by one with another process's commit, not with ours", async () => {
  await withFile(async ({ database, path, closed }) => {
    await database.transaction(insert);
    assertEquals(await database.changeCount(), 0);
    await closed();
    assertEquals(await database.changeCount(), 0);
    await runChild(["sql", path, INSERT]);
    assertEquals(await database.changeCount(), 1);
    const count = await database.transaction((connection) =>
      connection.json<number>("SELECT to_json(count(*)) FROM numbers")
    );
    assertEquals(count, 2);
    await closed();
    assertEquals(await database.changeCount(), 1);
  });
});

Deno.test("changeCount() grows while the commit is only in the .wal", async () => {
  await withFile(async ({ database, path, closed }) => {
    await database.transaction(insert);
    await closed();
    await using child = new Child(["hold", path]);
    assertEquals(await child.hear(), "held");
    await child.say(INSERT);
    assertEquals(await child.hear(), "done");
    assertEquals(await database.changeCount(), 1);
    await child.say("close");
    assertEquals(await child.hear(), '"closed"');
  });
});

Deno.test("changeCount() grows with a commit that came before our next use", async () => {
  await withFile(async ({ database, path, closed }) => {
    await database.transaction(insert);
    await closed();
    await using child = new Child(["hold", path]);
    assertEquals(await child.hear(), "held");
    // A heartbeat, say: it waits for the child, and does not look for tasks.
    const heartbeat = database.transaction(nothing);
    await child.say(INSERT);
    assertEquals(await child.hear(), "done");
    await child.say("close");
    assertEquals(await child.hear(), '"closed"');
    await heartbeat;
    await closed();
    assertEquals(await database.changeCount(), 1);
  });
});

Deno.test("transaction() says that another file was put in the file's place", async () => {
  await withFile(async ({ database, path }) => {
    await database.transaction(insert);
    await runChild(["sql", `${path}.new`, "CREATE TABLE numbers (n INTEGER)"]);
    // Held open: else it would only find the new file.
    await assertRejects(
      () =>
        database.transaction(async (connection) => {
          await insert(connection);
          await Deno.rename(`${path}.new`, path);
        }),
      DatabaseError,
      "another file",
    );
    await database.transaction(insert);
    const count = await database.transaction((connection) =>
      connection.json<number>("SELECT to_json(count(*)) FROM numbers")
    );
    assertEquals(count, 1);
  });
});

Deno.test("transaction() folds the log into the file before it lets go", async () => {
  await withFile(async ({ database, path, closed }) => {
    await database.transaction(insert);
    await closed();
    await assertRejects(() => Deno.stat(`${path}.wal`), Deno.errors.NotFound);
  });
});
