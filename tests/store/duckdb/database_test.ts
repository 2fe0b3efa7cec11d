import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { assertSpyCalls, spy } from "@std/testing/mock";
import { DatabaseBusyError, DatabaseError } from "../../../lib/base/errors.ts";
import {
  type Connect,
  type Connection,
  USE_MORE_MEMORY,
} from "../../../lib/store/duckdb/connection.ts";
import {
  Database,
  type DatabaseOptions,
} from "../../../lib/store/duckdb/database.ts";
import { FakeClock, turn } from "../../support/fake_clock.ts";
import { until, within } from "../../support/until.ts";

/** Connections of stubs, and what is done to them. */
class Stubs {
  readonly log: string[] = [];
  /** Another process has the file. */
  isBusy = false;
  /** What another process does at once when the file is free. */
  afterClose = () => {};
  /** Statements that fail, once each. */
  readonly failures = new Map<string, Error>();

  readonly connect: Connect = () => {
    this.log.push("open");
    if (this.isBusy) {
      return Promise.reject(
        new DatabaseBusyError("Cannot open it: deno has it."),
      );
    }
    const failure = this.#takeFailure("open");
    if (failure) return Promise.reject(failure);
    return Promise.resolve<Connection>({
      run: (sql) => {
        this.log.push(sql);
        const failure = this.#takeFailure(sql);
        if (failure) return Promise.reject(failure);
        return Promise.resolve(sql.startsWith("UPDATE") ? 1 : 0);
      },
      json: () => Promise.resolve(null),
      close: () => {
        this.log.push("close");
        this.afterClose();
      },
    });
  };

  count(entry: string): number {
    return this.log.filter((it) => it === entry).length;
  }

  /** Waits until the connections were closed so many times. */
  closed(times: number): Promise<void> {
    return until("the file was let go", () => this.count("close") >= times);
  }

  #takeFailure(sql: string): Error | undefined {
    const failure = this.failures.get(sql);
    this.failures.delete(sql);
    return failure;
  }
}

const PATH = "/nonexistent/stub.duckdb";

function setUp(
  { path = PATH, clock = new FakeClock(), ...options }:
    & Partial<DatabaseOptions>
    & { path?: string; clock?: FakeClock } = {},
) {
  const stubs = new Stubs();
  const database = new Database(path, { clock, connect: stubs.connect }, {
    onOpen: () => {
      stubs.log.push("onOpen");
      return Promise.resolve(undefined);
    },
    ...options,
  });
  return { database, stubs, clock, log: stubs.log };
}

const nothing = () => Promise.resolve();
const asleep = (clock: FakeClock) =>
  until("somebody waits", () => clock.sleepers > 0);

/** What becomes of a promise, and when. */
function follow(
  promise: Promise<unknown>,
): { state: "waits" | "done" | Error } {
  const followed: ReturnType<typeof follow> = { state: "waits" };
  promise.then(
    () => followed.state = "done",
    (error) => followed.state = error,
  );
  return followed;
}

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

// Linger, hold and yield

Deno.test("transaction() uses the connection that is open", async () => {
  const { database, stubs } = setUp();
  for (let n = 0; n < 3; n++) await database.transaction(nothing);
  assertEquals(stubs.count("open"), 1);
  assertEquals(stubs.count("onOpen"), 1);
  assertEquals(stubs.count("COMMIT"), 3);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() lets the file go soon after, by itself, and opens it again", async () => {
  const { database, stubs, clock, log } = setUp();
  for (let times = 1; times <= 2; times++) {
    await database.transaction(nothing);
    await stubs.closed(times);
    assertEquals(log.at(-1), "close");
  }
  assertEquals([stubs.count("open"), stubs.count("onOpen")], [2, 2]);
  assertEquals(
    clock.sleepers,
    0,
    "It let others in, though nobody had to wait",
  );
  await database[Symbol.asyncDispose]();
  assertEquals(stubs.count("close"), 2);
});

Deno.test("transaction() lets go under load, and lets others in", async () => {
  const { database, clock, log } = setUp();
  const first = database.transaction(nothing);
  const second = database.transaction(() => clock.advance(2_000));
  const third = database.transaction((connection) => connection.run("third"));
  await Promise.all([first, second]);
  await asleep(clock);
  const held = [
    "open",
    "onOpen",
    ...Array(2).fill(["BEGIN TRANSACTION", "COMMIT"]).flat(),
  ];
  assertEquals(log, [...held, "close"]);
  await clock.advance(50);
  assertEquals(log, [...held, "close"]);
  await clock.advance(10);
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

Deno.test("transaction() lets go after twenty that were short, or one and a half of others", async () => {
  const { database, clock, stubs } = setUp();
  for (let n = 0; n < 19; n++) await database.transaction(nothing);
  assertEquals(stubs.count("close"), 0);
  await database.transaction(nothing);
  await stubs.closed(1);
  await clock.advance(60);
  const takesMs = 30;
  for (let n = 0; n < 49; n++) {
    await database.transaction(() => clock.advance(takesMs));
  }
  assertEquals(stubs.count("close"), 1);
  await database.transaction(() => clock.advance(takesMs));
  await stubs.closed(2);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() lets go where the log has grown long", async () => {
  await using file = await StubFile.make();
  const { database, stubs, clock } = setUp({ path: file.path });
  await file.setLogSize(80_000_000);
  await database.transaction(nothing);
  await database.transaction(() => file.setLogSize(100_000_000));
  await stubs.closed(1);
  const next = database.transaction(nothing);
  await asleep(clock);
  await clock.advance(1_000);
  await next;
  assertEquals(stubs.count("open"), 2);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() does not let go each time where the log can't be folded in", async () => {
  await using file = await StubFile.make();
  const clock = new FakeClock({ autoAdvance: true });
  const { database, stubs } = setUp({ path: file.path, clock });
  await file.setLogSize(100_000_000);
  stubs.failures.set("CHECKPOINT", new Error("IO Error: no space left"));
  await database.transaction(nothing);
  await stubs.closed(1);
  const both = [database.transaction(nothing), database.transaction(nothing)];
  await Promise.all(both);
  assertEquals([stubs.count("open"), stubs.count("close")], [2, 1]);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() waits for others no longer than they may need", async () => {
  const { database, stubs, clock } = setUp();
  await database.transaction(() => clock.advance(2_000));
  await stubs.closed(1);
  await clock.advance(5_000);
  const sleep = spy(clock, "sleep");
  await database.transaction(nothing);
  assertSpyCalls(sleep, 0);
  await database[Symbol.asyncDispose]();
});

for (const options of [{ exclusive: true }, { path: ":memory:" }]) {
  Deno.test(`transaction() never lets go with ${JSON.stringify(options)}`, async () => {
    const { database, stubs, clock } = setUp(options);
    for (let n = 0; n < 3; n++) {
      await database.transaction(() => clock.advance(10_000));
    }
    using timers = spy(globalThis, "setTimeout");
    for (let n = 0; n < 30; n++) await database.transaction(nothing);
    assertSpyCalls(timers, 0);
    assertEquals(clock.sleepers, 0);
    assertEquals([stubs.count("open"), stubs.count("close")], [1, 0]);
    await database[Symbol.asyncDispose]();
    assertEquals(stubs.count("close"), 1);
  });
}

// Whose turn it is, and for how long somebody waits

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
    log.slice(2),
    [0, 1, 2].flatMap((index) => [
      "BEGIN TRANSACTION",
      `begin ${index}`,
      `end ${index}`,
      "COMMIT",
    ]),
  );
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() runs the urgent ones first, in their order", async () => {
  const { database, clock, stubs, log } = setUp();
  const ask = (name: string, isUrgent: boolean) =>
    database.transaction((connection) => connection.run(name), { isUrgent });
  const names = () => log.filter((entry) => /^(urgent|other)/.test(entry));
  const gate = Promise.withResolvers<void>();
  const first = database.transaction(() => gate.promise);
  const behind = [
    ask("other 1", false),
    ask("urgent 1", true),
    ask("other 2", false),
    ask("urgent 2", true),
  ];
  gate.resolve();
  await Promise.all([first, ...behind]);
  const inOrder = ["urgent 1", "urgent 2", "other 1", "other 2"];
  assertEquals(names(), inOrder);
  // While others wait for the file, too.
  await stubs.closed(1);
  stubs.isBusy = true;
  const waiting = [ask("other 1", false), ask("other 2", false)];
  await asleep(clock);
  waiting.push(ask("urgent 1", true), ask("urgent 2", true));
  stubs.isBusy = false;
  await clock.advance(100);
  await Promise.all(waiting);
  assertEquals(names().slice(4), inOrder);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() waits while another process holds the file", async () => {
  const clock = new FakeClock({ autoAdvance: true });
  const { database, stubs, log } = setUp({ clock });
  stubs.isBusy = true;
  using sleep = spy(clock, "sleep");
  const done = database.transaction(nothing);
  await until("it tried often", () => stubs.count("open") >= 9);
  stubs.isBusy = false;
  await done;
  assertEquals(stubs.count("onOpen"), 1);
  assertEquals(log.at(-1), "COMMIT");
  const waits = sleep.calls.map(({ args: [ms] }) => ms);
  for (const ms of waits) {
    assertGreater(ms, 0);
    assertLessOrEqual(ms, 30, "It could miss its turn.");
  }
  assertGreater(new Set(waits).size, 1, "The waits have no jitter.");
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() gives up when it waited long enough", async () => {
  const clock = new FakeClock({ autoAdvance: true });
  const { database, stubs } = setUp({ clock, waitMs: 500 });
  stubs.isBusy = true;
  const error = await assertRejects(
    () => database.transaction(nothing),
    DatabaseBusyError,
  );
  assertEquals(error.message, "Cannot open it: deno has it.");
  assertGreaterOrEqual(clock.monotonic(), 500);
  assertLessOrEqual(clock.monotonic(), 530);
  assertGreater(stubs.count("open"), 10);
  assertEquals(stubs.count("BEGIN TRANSACTION"), 0);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() tries once where it may not wait", async () => {
  const { database, stubs, clock } = setUp({ waitMs: 0 });
  stubs.isBusy = true;
  await assertRejects(() => database.transaction(nothing), DatabaseBusyError);
  assertEquals(stubs.count("open"), 1);
  assertEquals(clock.sleepers, 0);
  stubs.isBusy = false;
  await database.transaction(nothing);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() ends each wait for the file at its own time, while others go on", async () => {
  const { database, stubs, clock } = setUp({ waitMs: 60_000 });
  stubs.isBusy = true;
  const stop = new AbortController();
  const patient = follow(database.transaction(nothing));
  const brief = follow(database.transaction(nothing, { waitMs: 500 }));
  const stopped = follow(
    database.transaction(nothing, { signal: stop.signal }),
  );
  const urgent = follow(
    database.transaction(nothing, { isUrgent: true, waitMs: 900 }),
  );
  const states = () =>
    [patient, brief, stopped, urgent].map(({ state }) =>
      state instanceof DatabaseBusyError ? "busy" : state
    );
  await clock.advance(490);
  assertEquals(states(), ["waits", "waits", "waits", "waits"]);
  await clock.advance(40);
  assertEquals(states(), ["waits", "busy", "waits", "waits"]);
  stop.abort();
  await turn();
  assertEquals(states(), ["waits", "busy", "busy", "waits"]);
  assertEquals(String(stopped.state).includes("deno has it"), true);
  await clock.advance(400);
  assertEquals(states(), ["waits", "busy", "busy", "busy"]);
  stubs.isBusy = false;
  await clock.advance(30);
  assertEquals(states(), ["done", "busy", "busy", "busy"]);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() ends the wait for its turn where its signal aborts", async () => {
  const { database, log } = setUp();
  const gate = Promise.withResolvers<void>();
  const first = database.transaction(() => gate.promise);
  const stop = new AbortController();
  const stopped = database.transaction(
    (connection) => connection.run("stopped"),
    { signal: stop.signal },
  );
  const next = database.transaction((connection) => connection.run("next"));
  stop.abort();
  gate.resolve();
  await assertRejects(() => stopped, DatabaseBusyError, "the wait for it");
  await Promise.all([first, next]);
  assertEquals(log.filter((entry) => /stopped|next/.test(entry)), ["next"]);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() opens nothing for one that was stopped", async () => {
  const { database, clock, stubs } = setUp();
  await assertRejects(
    () => database.transaction(nothing, { signal: AbortSignal.abort() }),
    DatabaseBusyError,
    "the wait for it was ended",
  );
  assertEquals(stubs.log, []);
  // Nor before others had the file, where it was let go under load.
  await database.transaction(() => clock.advance(2_000));
  await stubs.closed(1);
  const stop = new AbortController();
  const stopped = database.transaction(nothing, { signal: stop.signal });
  const next = database.transaction(nothing);
  await asleep(clock);
  stop.abort();
  await assertRejects(() => stopped, DatabaseBusyError);
  await asleep(clock);
  assertEquals(stubs.count("open"), 1);
  await clock.advance(60);
  await next;
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() does not wait where waiting can't help", async () => {
  const { database, stubs, clock } = setUp();
  const error = new DatabaseError("Cannot use it: it is a folder.");
  stubs.failures.set("open", error);
  const first = database.transaction(nothing);
  const second = database.transaction(nothing);
  assertStrictEquals(await assertRejects(() => first), error);
  assertEquals(clock.sleepers, 0);
  // Whoever waits behind it tries for itself.
  await second;
  assertEquals(stubs.count("open"), 2);
  await database[Symbol.asyncDispose]();
});

// Errors

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
  await database.transaction((connection) => connection.run("next"));
  assertEquals(log.slice(-2), ["next", "COMMIT"]);
  assertEquals(stubs.count("open"), 1);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() runs once more, with more memory, what took too much", async () => {
  const { database, stubs, log } = setUp();
  stubs.failures.set("work", new Error("Out of Memory Error: 244.1 MiB used"));
  await database.transaction((connection) => connection.run("work"));
  assertEquals(log.slice(3), [
    "work",
    "ROLLBACK",
    USE_MORE_MEMORY,
    "BEGIN TRANSACTION",
    "work",
    "COMMIT",
  ]);
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() opens the file with more memory where DuckDB gave up for too little", async () => {
  const { database, stubs, log } = setUp();
  stubs.failures.set(
    "work",
    new Error("FATAL Error: Failed\nOriginal Error: Out of Memory Error: used"),
  );
  stubs.failures.set("ROLLBACK", new Error("FATAL Error: invalidated"));
  await database.transaction((connection) => connection.run("work"));
  assertEquals(log.slice(log.indexOf("close")), [
    "close",
    "open",
    USE_MORE_MEMORY,
    "onOpen",
    "BEGIN TRANSACTION",
    "work",
    "COMMIT",
  ]);
  stubs.failures.set("work", new Error("Out of Memory Error: all of it"));
  await assertRejects(
    () => database.transaction((connection) => connection.run("work")),
    DatabaseError,
    "its texts take more memory than there is",
  );
  await database[Symbol.asyncDispose]();
});

Deno.test("transaction() runs nothing again that DuckDB may have committed, and opens the file with more memory", async () => {
  const { database, stubs, log } = setUp();
  stubs.failures.set("COMMIT", new Error("Out of Memory Error: used"));
  stubs.failures.set("ROLLBACK", new Error("FATAL Error: invalidated"));
  const work = () =>
    database.transaction((connection) => connection.run("work"));
  await assertRejects(work, DatabaseError);
  assertEquals(log.filter((it) => it === "work").length, 1);
  await work();
  assertEquals(log.filter((it) => it === USE_MORE_MEMORY).length, 1);
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

for (const exclusive of [false, true]) {
  Deno.test(`transaction() opens again where it could not roll back (exclusive: ${exclusive})`, async () => {
    const { database, stubs, log } = setUp({ exclusive });
    const fatal = new Error("FATAL Error: invalidated");
    stubs.failures.set("COMMIT", fatal).set("ROLLBACK", fatal);
    await assertRejects(() => database.transaction(nothing), DatabaseError);
    assertEquals(log.slice(-3), ["COMMIT", "ROLLBACK", "close"]);
    await database.transaction(nothing);
    assertEquals(log.slice(6), [
      "open",
      "onOpen",
      "BEGIN TRANSACTION",
      "COMMIT",
    ]);
    await database[Symbol.asyncDispose]();
    assertEquals(stubs.count("close"), 2);
  });
}

Deno.test("transaction() runs once more what is worth it, and no oftener", async () => {
  const error = new Error("mine");
  const { database, log } = setUp({ isWorthAnother: (it) => it === error });
  const failing = (times: number) =>
    database.transaction(async (connection) => {
      await connection.run("work");
      if (times-- > 0) throw error;
    });
  await failing(1);
  const once = ["BEGIN TRANSACTION", "work", "ROLLBACK"];
  const well = ["BEGIN TRANSACTION", "work", "COMMIT"];
  assertEquals(log.splice(0).slice(2), [...once, ...well]);
  await assertRejects(() => failing(2), Error, "mine");
  assertEquals(log, [...once, ...once]);
  await database[Symbol.asyncDispose]();
});

Deno.test("onOpen() closes the connection where it throws", async () => {
  const error = new DatabaseError("Cannot use the table.");
  const errors = [error];
  const { database, log } = setUp({
    onOpen: () => {
      const error = errors.pop();
      return error ? Promise.reject(error) : Promise.resolve(undefined);
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
  await database[Symbol.asyncDispose]();
});

// The end

Deno.test("asyncDispose() closes what is open, and opens nothing", async () => {
  const { database, stubs } = setUp();
  await database[Symbol.asyncDispose]();
  assertEquals(stubs.log, []);
  const second = setUp();
  await second.database.transaction(nothing);
  await second.database[Symbol.asyncDispose]();
  await second.database[Symbol.asyncDispose]();
  assertEquals([second.stubs.count("open"), second.stubs.count("close")], [
    1,
    1,
  ]);
});

Deno.test("transaction() is refused once asyncDispose() has begun, and opens nothing", async () => {
  const { database, stubs } = setUp();
  await database.transaction(nothing);
  const disposal = database[Symbol.asyncDispose]();
  const opened = stubs.count("open");
  await assertRejects(
    () => database.transaction(nothing),
    DatabaseError,
    `Cannot use ${PATH}: it was closed.`,
  );
  await disposal;
  await assertRejects(() => database.transaction(nothing), DatabaseError);
  assertEquals(stubs.count("open"), opened);
  assertEquals(stubs.log.at(-1), "close");
});

Deno.test("asyncDispose() waits for the transactions before it, however many", async () => {
  const clock = new FakeClock({ autoAdvance: true });
  const { database, stubs, log } = setUp({ clock });
  // More than the file is held for at once.
  const all = Array.from(
    { length: 50 },
    () => database.transaction((connection) => connection.run("work")),
  );
  await database[Symbol.asyncDispose]();
  assertEquals(stubs.count("work"), 50);
  assertEquals(log.at(-1), "close");
  await Promise.all(all);
});

Deno.test("asyncDispose() leaves nothing open, whenever the last was asked for", async () => {
  for (let ticks = 0; ticks < 24; ticks++) {
    const { database, stubs } = setUp({ exclusive: ticks % 2 === 0 });
    await database.transaction(nothing);
    // One of these moments is that in which nothing was left to do.
    for (let n = 0; n < ticks / 2; n++) await null;
    const last = database.transaction((connection) => connection.run("last"));
    await database[Symbol.asyncDispose]();
    assertEquals(stubs.log.slice(-3), ["last", "COMMIT", "close"]);
    await last;
    await turn();
    assertEquals(stubs.count("open"), stubs.count("close"));
  }
});

Deno.test("asyncDispose() does not wait for a file that another process holds", async () => {
  const { database, stubs, clock } = setUp({ waitMs: 3_600_000 });
  stubs.isBusy = true;
  const waiting = [
    follow(database.transaction(nothing)),
    follow(database.transaction(nothing, { isUrgent: true })),
  ];
  await asleep(clock);
  const disposal = database[Symbol.asyncDispose]();
  await clock.advance(30);
  await within("the end", disposal);
  for (const { state } of waiting) assert(state instanceof DatabaseBusyError);
  const { length } = stubs.log;
  await clock.advance(10_000);
  assertEquals(clock.sleepers, 0);
  assertEquals(stubs.log.length, length);
});

// Who is told of changes

const UPDATE = "UPDATE agent_tasks";

Deno.test("onChange() tells with `own` of commits that changed something, and of no others", async () => {
  const { database } = setUp({ exclusive: true });
  const heard: string[] = [];
  let now = "";
  using _own = database.onChange(() => void heard.push(now), { own: true });
  using _others = database.onChange(() => void heard.push(`${now} to others`), {
    own: false,
  });
  now = "read";
  await database.transaction((connection) => connection.run("SELECT 1"));
  now = "rolled back";
  await assertRejects(() =>
    database.transaction(async (connection) => {
      await connection.run(UPDATE);
      throw new Error("mine");
    })
  );
  now = "read again";
  await database.transaction((connection) => connection.run("SELECT 1"));
  assertEquals(heard, []);
  now = "write";
  await database.transaction((connection) => connection.run(UPDATE));
  assertEquals(heard, ["write"]);
  now = "announced";
  database.announce();
  assertEquals(heard.slice(1), ["announced", "announced to others"]);
  await database[Symbol.asyncDispose]();
});

Deno.test("onChange() looks at the file while somebody listens, and no longer", async () => {
  using started = spy(globalThis, "setInterval");
  using ended = spy(globalThis, "clearInterval");
  await using file = await StubFile.make();
  const { database } = setUp({ path: file.path });
  const listeners = [1, 2].map(() =>
    database.onChange(() => {}, { own: true })
  );
  assertSpyCalls(started, 1);
  listeners[0]?.[Symbol.dispose]();
  assertSpyCalls(ended, 0);
  listeners[1]?.[Symbol.dispose]();
  assertSpyCalls(ended, 1);
  using _ = database.onChange(() => {}, { own: true });
  await database[Symbol.asyncDispose]();
  // A timer that is left fails this test.
});

Deno.test("onChange() tells of what another process writes as soon as the file is free", async () => {
  await using file = await StubFile.make();
  const { database, stubs } = setUp({ path: file.path });
  const heard: string[] = [];
  using _ = database.onChange(() => void heard.push("change"), { own: false });
  await database.transaction(nothing);
  stubs.afterClose = () => Deno.writeTextFileSync(file.path, "another's");
  await stubs.closed(1);
  await until("it was told", () => heard.length > 0);
  await database[Symbol.asyncDispose]();
});

/** A file in the place of a database, and one in the place of its log. */
class StubFile implements AsyncDisposable {
  readonly #folder: string;
  readonly path: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = `${folder}/tasks.duckdb`;
  }

  static async make(): Promise<StubFile> {
    const folder = await Deno.makeTempDir({ prefix: "database_test_" });
    const file = new StubFile(folder);
    await Deno.writeTextFile(file.path, "");
    return file;
  }

  async setLogSize(bytes: number): Promise<void> {
    using log = await Deno.create(`${this.path}.wal`);
    await log.truncate(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}
