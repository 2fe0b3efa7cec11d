import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import { DatabaseBusyError, DatabaseError } from "../../../lib/base/errors.ts";
import { newTasks, type Store } from "../../../lib/store/contract.ts";
import { parsePostgresAddress } from "../../../lib/store/postgres/address.ts";
import { readPlace } from "../../../lib/store/postgres/announcements.ts";
import { Database } from "../../../lib/store/postgres/database.ts";
import { openClient } from "../../../lib/store/postgres/connection.ts";
import {
  migratePostgres,
  openPostgresStore,
} from "../../../lib/store/postgres/store.ts";
import { askInput, complete } from "../../../lib/task/transitions.ts";
import { HalfOpenProxy } from "../../support/half_open.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";
import { until, within } from "../../support/until.ts";
import {
  claim,
  claimOne,
  createMany,
  createOne,
  HOUR,
  idsOf,
  nth,
  record,
  statesOf,
  taskOf,
  USER,
} from "../conformance/subject.ts";
import { Backdoor, openSubject } from "./subject.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !hasPostgres, fn });
}

/** A database in which there is nothing. */
async function emptyDatabase(): Promise<Backdoor> {
  const backdoor = new Backdoor(sharedServer().address());
  await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
  return backdoor;
}

function open(options = {}): Promise<Store> {
  return openPostgresStore(sharedServer().address(), options);
}

test("ten stores that are opened at once make the tables once", async () => {
  await using backdoor = await emptyDatabase();
  let made = 0;
  const stores = await Promise.all(
    Array.from({ length: 10 }, () => open({ onCreate: () => made++ })),
  );
  assertEquals(made, 1);
  const ids = await Promise.all(stores.map((store) => createOne(store)));
  assertEquals(new Set(ids).size, 10);
  const claims = await Promise.all(
    stores.map((store) => claim(store, { limit: 3 })),
  );
  const claimed = claims.flatMap(({ tasks }) =>
    tasks.map(({ task }) => task.id)
  );
  assertEquals(claimed.sort(), ids.sort());
  assertEquals(await versionsIn(backdoor), [1, 2, 3, 4]);
  for (const store of stores) await store[Symbol.asyncDispose]();
});

async function versionsIn(backdoor: Backdoor): Promise<number[]> {
  const rows = await backdoor.ask<{ version: number }>(
    "SELECT version FROM agent_runner_version ORDER BY version",
  );
  return rows.map(({ version }) => version);
}

test("openPostgresStore() brings the tables of the first version up to date, and keeps all", async () => {
  await using backdoor = await emptyDatabase();
  const id = await (async () => {
    await using store = await open();
    return await createOne(store);
  })();
  for (
    const sql of [
      "DROP VIEW tasks",
      "CREATE VIEW tasks AS SELECT id FROM agent_tasks",
      ...["batch", "key", "tags", "if_failed", "blocked", "workspace"]
        .concat("touches", "needs_approval")
        .map((name) => `ALTER TABLE agent_tasks DROP COLUMN ${name}`),
      "CREATE INDEX agent_tasks_ready ON agent_tasks (provider)",
      "DROP TABLE agent_task_dependencies, agent_starts, agent_schedules",
      "DROP TABLE agent_pauses, agent_task_logs",
      "ALTER TABLE agent_task_events DROP COLUMN usage",
      "DELETE FROM agent_runner_version WHERE version > 1",
    ]
  ) await backdoor.ask(sql);
  await using store = await open();
  assertEquals(await versionsIn(backdoor), [1, 2, 3, 4]);
  assertEquals((await store.admin.history(id)).length, 1);
  const { tasks: [run], pauses } = await claim(store, { limit: 3 });
  assertEquals([run?.task.id, pauses], [id, []]);
});

test("openPostgresStore() refuses tables of a newer version", async () => {
  await using backdoor = await emptyDatabase();
  await (await open())[Symbol.asyncDispose]();
  await backdoor.ask("INSERT INTO agent_runner_version (version) VALUES (99)");
  const error = await assertRejects(() => open(), DatabaseError);
  assertStringIncludes(error.message, "of version 99");
  assertStringIncludes(error.message, "Update agent-runner.");
});

test("migratePostgres() says what it would do, does it, and then has nothing to do", async () => {
  await using backdoor = await emptyDatabase();
  const address = sharedServer().address();
  const steps = await migratePostgres(address, { isDry: true });
  assertMatch(steps.join("\n"), /CREATE TABLE agent_tasks /);
  const [found] = await backdoor.ask<{ name: string | null }>(
    "SELECT to_regnamespace('agent_runner')::text AS name",
  );
  assertEquals(found?.name, null);
  // What it says is what it does: an administrator may run it.
  for (const step of steps) await backdoor.ask(step);
  assertEquals(await migratePostgres(address, { isDry: false }), []);
  await using store = await open();
  assertEquals(await statesOf(store), {});
});

test("openPostgresStore() works with a role that may not make tables, and says who may", async () => {
  await using backdoor = await emptyDatabase();
  await backdoor.ask("DROP ROLE IF EXISTS weak");
  await backdoor.ask("CREATE ROLE weak LOGIN");
  const address = sharedServer().address("postgres", "weak");
  const error = await assertRejects(
    () => openPostgresStore(address),
    DatabaseError,
  );
  assertStringIncludes(error.message, "agent-runner migrate");
  await migratePostgres(sharedServer().address(), { isDry: false });
  for (
    const grant of [
      "GRANT USAGE ON SCHEMA agent_runner TO weak",
      "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA agent_runner TO weak",
    ]
  ) await backdoor.ask(grant);
  {
    await using store = await openPostgresStore(address);
    const id = await createOne(store);
    await record(store, complete(await claimOne(store)));
    assertEquals((await taskOf(store, id)).state, "completed");
  }
  await backdoor.ask("DROP OWNED BY weak");
});

test("after() and exchange() lose nothing of a transaction that commits late", async () => {
  await using subject = await openSubject();
  const { store } = subject;
  const address = sharedServer().address();
  const late = openClient(parsePostgresAddress(address), { max: 1 });
  const subscription = {
    endpoint: "https://example.com/",
    events: ["completed"],
  } as const;
  await store.outbox.register([subscription]);
  const exchange = async () => {
    const { deliveries } = await store.outbox.exchange(subscription, {
      results: [],
      limit: 100,
      leaseMs: HOUR,
      patience: { ms: HOUR, tries: 9 },
    });
    return deliveries.map(({ taskId }) => taskId);
  };
  const lateId = crypto.randomUUID();
  const begun = Promise.withResolvers<void>();
  const mayCommit = Promise.withResolvers<void>();
  // Its number is smaller than those of all that commit before it.
  const lateWriter = late.begin(async (transaction) => {
    await transaction.unsafe("SET LOCAL search_path TO agent_runner");
    await transaction.unsafe(
      `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt)
       VALUES ($1::uuid, 'completed', now(), 1)`,
      [lateId],
    );
    begun.resolve();
    await mayCommit.promise;
  });
  await begun.promise;
  const ids = await createMany(store, 3);
  const { tasks } = await claim(store);
  await record(store, ...tasks.map((it) => complete(it)));
  let cursor = store.events.first;
  const early = await store.events.after(cursor, { limit: 100 });
  cursor = early.cursor;
  assertEquals(early.events, []);
  assertEquals(await store.events.last(), store.events.first);
  assertEquals(await exchange(), []);
  mayCommit.resolve();
  await lateWriter;
  await late.end();
  const { events } = await store.events.after(cursor, { limit: 100 });
  assertEquals(events.length, 1 + 3 * 3);
  assertEquals(events[0]?.taskId, lateId);
  assertEquals((await exchange()).sort(), [lateId, ...ids].sort());
  // In the history of a task, they are there at once.
  assertEquals((await store.admin.history(nth(ids, 0))).length, 3);
});

test("events.onChange() tells once more when what was held back can be read", async () => {
  await using subject = await openSubject();
  const { store } = subject;
  const late = openClient(
    parsePostgresAddress(sharedServer().address()),
    { max: 1 },
  );
  const begun = Promise.withResolvers<void>();
  const mayEnd = Promise.withResolvers<void>();
  const other = late.begin(async (transaction) => {
    await transaction.unsafe("SELECT pg_current_xact_id()");
    begun.resolve();
    await mayEnd.promise;
  });
  await begun.promise;
  let seen = 0;
  const read = async () => {
    const { events } = await store.events.after(store.events.first, {
      limit: 9,
    });
    seen = events.length;
  };
  using _ = store.events.onChange(read);
  await createOne(store);
  await read();
  assertEquals(seen, 0);
  mayEnd.resolve();
  await other;
  await until("the event is read", () => seen === 1);
  await late.end();
});

test("onChange() tells of what other processes announce, of tasks or of events", async () => {
  await using _subject = await openSubject();
  await using other = await open();
  await using backdoor = new Backdoor(sharedServer().address());
  const heard = { tasks: 0, events: 0 };
  using _tasks = other.queue.onChange(() => heard.tasks++);
  using _events = other.events.onChange(() => heard.events++);
  const announce = (what: string) =>
    backdoor.ask("SELECT pg_notify('agent_runner', $1)", [`somebody ${what}`]);
  // Nothing is changed: whoever only looks is told nothing.
  await until("it listens", async () => {
    await announce("tasks");
    await systemClock.sleep(20);
    return heard.tasks > 0;
  });
  // Notifications keep their order: after these, no earlier one is under way.
  const toldOfEvents = async () => {
    const { events } = heard;
    await announce("events");
    await until("it is told of events", () => heard.events > events);
  };
  await until("what was announced before is heard", async () => {
    const { tasks } = heard;
    await toldOfEvents();
    return heard.tasks === tasks;
  });
  const { tasks } = heard;
  await toldOfEvents();
  assertEquals(heard.tasks, tasks);
});

test("what may be claimed is announced as tasks, all else as events", async () => {
  await using subject = await openSubject();
  const said: string[] = [];
  const client = openClient(parsePostgresAddress(sharedServer().address()), {
    max: 1,
    onNotify: (_, payload) => said.push(payload.replace(/^.* /, "")),
  });
  await using _client = {
    [Symbol.asyncDispose]: () => client.end({ timeout: 0 }),
  };
  await client.unsafe("LISTEN agent_runner");
  const { store } = subject;
  async function announcedBy<T>(
    work: () => Promise<T>,
  ): Promise<[T, string[]]> {
    said.length = 0;
    const done = await work();
    await until("it is announced", () => said.length > 0);
    return [done, [...said]];
  }
  const [, ofNew] = await announcedBy(() => createMany(store, 2));
  assertEquals(ofNew, ["tasks"]);
  const claims = () => announcedBy(() => claim(store, { limit: 1 }));
  const [{ tasks: [one] }, ofClaim] = await claims();
  assertEquals(ofClaim, ["events"]);
  const [, ofEnd] = await announcedBy(() => record(store, complete(one!)));
  assertEquals(ofEnd, ["events"]);
  // Others wait for the room that it leaves.
  const globalLimits = new Map([["simulate", 1]]);
  const [{ tasks: [two] }] = await announcedBy(() =>
    claim(store, { globalLimits })
  );
  said.length = 0;
  assertEquals((await claim(store, { globalLimits })).tasks, []);
  const [, ofRoom] = await announcedBy(() => record(store, complete(two!)));
  assertEquals(ofRoom, ["tasks"]);
});

test("to look whether anything has changed reads no more for a long history", async () => {
  await using subject = await openSubject();
  const id = await createOne(subject.store);
  await using backdoor = new Backdoor(sharedServer().address());
  await backdoor.ask(
    `INSERT INTO agent_runner.agent_task_events (task_id, kind, occurred_at, attempt)
     SELECT $1, 'completed', now(), 1 FROM generate_series(1, 50000)`,
    [id],
  );
  await backdoor.ask("VACUUM ANALYZE agent_runner.agent_task_events");
  await using database = new Database(
    parsePostgresAddress(sharedServer().address()),
    { clock: systemClock, onProblem: () => {} },
  );
  const scans = await database.read(async (connection) => {
    let place = await readPlace(connection, undefined, false);
    // After a few times, the server plans for values that it does not know.
    for (let n = 0; n < 10; n++) {
      place = await readPlace(connection, place, false);
    }
    return await connection.rows<{ count: number }>(
      `SELECT seq_scan AS count FROM pg_stat_xact_user_tables
       WHERE relname = 'agent_task_events'`,
    );
  });
  assertEquals(scans, [{ count: 0 }]);
});

test("who can't LISTEN sees by a look what people have made claimable", async () => {
  await using subject = await openSubject();
  const { store } = subject;
  await using database = new Database(
    parsePostgresAddress(sharedServer().address()),
    { clock: systemClock, onProblem: () => {} },
  );
  let place = await database.read((it) => readPlace(it, undefined, false));
  const isSeen = async (done: Promise<unknown>) => {
    await done;
    place = await database.read((it) => readPlace(it, place, false));
    return place.isClaimable;
  };
  const asks = { approval: { of: "start" } } as const;
  assert(await isSeen(createMany(store, 2)));
  const claimed = await claim(store);
  const asked = claimed.tasks.map((it) => askInput(it, "Shall I?", asks));
  assert(!await isSeen(record(store, ...asked)));
  const [one = "", two = ""] = idsOf(claimed);
  assert(await isSeen(store.admin.approve([one])));
  assert(await isSeen(store.admin.answer([two], "Yes")));
});

test("a LISTEN that hangs is given up, and tried again", async () => {
  await using proxy = new HalfOpenProxy(sharedServer().port);
  await using _subject = await openSubject();
  await using backdoor = new Backdoor(sharedServer().address());
  await using store = await openPostgresStore(
    `postgres://postgres@127.0.0.1:${proxy.port}/postgres?sslmode=disable`,
  );
  proxy.hangsAt = "LISTEN";
  let heard = 0;
  using _ = store.queue.onChange(() => heard++);
  await until("it hangs", () => proxy.hasHung);
  proxy.hangsAt = undefined;
  await until("it listens", async () => {
    await backdoor.ask("SELECT pg_notify('agent_runner', 'somebody tasks')");
    await systemClock.sleep(100);
    return heard > 0;
  });
});

test("a runner's work goes on when its connections are ended again and again", async () => {
  await using subject = await openSubject({ waitMs: 30_000 });
  const { store } = subject;
  const ids = await createMany(store, 60);
  await using backdoor = new Backdoor(sharedServer().address());
  let isDone = false;
  const attack = (async () => {
    // Ever more seldom: a busy machine must get something done in between.
    for (let n = 1; n <= 30 && !isDone; n++) {
      await backdoor.ask(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'agent-runner' AND pid <> pg_backend_pid()`,
      );
      await systemClock.sleep(15 * n);
    }
  })();
  const done: string[] = [];
  await using _attack = {
    async [Symbol.asyncDispose]() {
      isDone = true;
      await attack;
    },
  };
  while (done.length < ids.length) {
    const { tasks } = await claim(store, { limit: 3, leaseMs: HOUR });
    const { results } = await record(
      store,
      ...tasks.map((it) => complete(it)),
    );
    // What was committed without an answer is not taken for lost.
    assertEquals(results, tasks.map(() => "written"));
    done.push(...tasks.map(({ task }) => task.id));
  }
  assertEquals(done.sort(), ids.sort());
  assertEquals(await statesOf(store), { completed: 60 });
  for (const id of ids) {
    const kinds = (await store.admin.history(id)).map(({ kind }) => kind);
    assertEquals(kinds, ["created", "started", "completed"]);
  }
});

test("a server that is away is waited for, and said to be", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const error = await assertRejects(
    () =>
      openPostgresStore(`postgres://somebody:secret@127.0.0.1:${port}/x`, {
        waitMs: 100,
      }),
    DatabaseBusyError,
  );
  assertMatch(error.message, /^Cannot use postgres:\/\/somebody@127/);
  assertStringIncludes(error.message, "no server answers there");
  assert(!error.message.includes("secret"));
});

test("a database that there is not, is said at once", async () => {
  const startedAt = performance.now();
  const error = await assertRejects(
    () => openPostgresStore(sharedServer().address("nothing")),
    DatabaseError,
  );
  assertStringIncludes(error.message, "there is no such database");
  assert(performance.now() - startedAt < 5_000);
});

test("a connection that hangs is given up, and the next one is used", async () => {
  await using proxy = new HalfOpenProxy(sharedServer().port);
  await using subject = await openSubject();
  const id = await createOne(subject.store);
  await using store = await openPostgresStore(
    `postgres://postgres@127.0.0.1:${proxy.port}/postgres?sslmode=disable`,
    { waitMs: 60_000 },
  );
  const { task, lease } = await claimOne(store);
  assertEquals(task.id, id);
  await store.queue.heartbeat([lease], { leaseMs: HOUR });
  proxy.hangs = true;
  const error = await assertRejects(
    () => store.queue.heartbeat([lease], { leaseMs: HOUR }),
    DatabaseBusyError,
  );
  assertStringIncludes(error.message, "the connection was lost");
  assertEquals(error.keepsAllOut, false, "others can claim meanwhile");
  assertEquals(
    await store.queue.heartbeat([lease], { leaseMs: HOUR }),
    ["held"],
  );
});

test("a notification that hangs holds up neither events nor the end", async () => {
  await using proxy = new HalfOpenProxy(sharedServer().port);
  await using _subject = await openSubject();
  const store = await openPostgresStore(
    `postgres://postgres@127.0.0.1:${proxy.port}/postgres?sslmode=disable`,
  );
  proxy.hangsAt = "pg_notify";
  const id = await createOne(store);
  const { events } = await within(
    "events are read",
    store.events.after(store.events.first, { limit: 9 }),
  );
  assertEquals(events.map(({ taskId }) => taskId), [id]);
  await createOne(store);
  const closed = Promise.resolve(store[Symbol.asyncDispose]());
  await within("the store is closed", closed);
});

/** A database behind the proxy. */
function databaseAt({ port }: HalfOpenProxy, waitMs: number): Database {
  const address = parsePostgresAddress(
    `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`,
  );
  return new Database(address, {
    clock: systemClock,
    waitMs,
    onProblem: () => {},
  });
}

const CHANGE = "UPDATE agent_tasks SET priority = priority + 1";

test("a COMMIT that is under way is asked for no longer than the wait, or the signal", async () => {
  await using subject = await openSubject();
  await createOne(subject.store);
  for (const waitMs of [300, HOUR]) {
    await using proxy = new HalfOpenProxy(sharedServer().port);
    await using database = databaseAt(proxy, waitMs);
    const stop = new AbortController();
    const change = database.transaction(async (connection) => {
      await connection.run(CHANGE);
      proxy.cutsAt = "COMMIT";
      if (waitMs === HOUR) setTimeout(() => stop.abort(), 300);
    }, { timeoutMs: HOUR, signal: stop.signal });
    const error = await assertRejects(
      () => within("it is given up", change),
      DatabaseBusyError,
    );
    assertStringIncludes(
      error.message,
      waitMs === HOUR ? "the wait for it was ended" : "still under way",
    );
  }
});

test("a COMMIT that the server has never heard of is done again", async () => {
  await using subject = await openSubject();
  const id = await createOne(subject.store);
  await using backdoor = new Backdoor(sharedServer().address());
  // As the number is on a server that was replaced by one that is behind.
  await backdoor.ask(
    `CREATE FUNCTION pg_current_xact_id_if_assigned() RETURNS xid8
     LANGUAGE sql AS $$ SELECT '999999999999'::xid8 $$`,
  );
  await using proxy = new HalfOpenProxy(sharedServer().port);
  await using database = databaseAt(proxy, 20_000);
  proxy.cutsAt = "COMMIT";
  await database.transaction(async (connection) => {
    await connection.run("SET LOCAL search_path TO agent_runner, pg_catalog");
    await connection.run(CHANGE);
  }, { timeoutMs: 1_000 });
  assertEquals(proxy.cutsAt, undefined);
  assertEquals((await taskOf(subject.store, id)).priority, 1);
});

test("reads that take long hold up neither claims nor outcomes, and others say so", async () => {
  await using subject = await openSubject();
  await createOne(subject.store);
  await using backdoor = new Backdoor(sharedServer().address());
  const holder = openClient(
    parsePostgresAddress(sharedServer().address()),
    { max: 1 },
  );
  await using store = await open({ waitMs: 700 });
  const begun = Promise.withResolvers<void>();
  const mayEnd = Promise.withResolvers<void>();
  // What reads the outbox waits until this ends.
  const held = holder.begin(async (transaction) => {
    await transaction.unsafe(
      "LOCK TABLE agent_runner.agent_webhook_deliveries IN ACCESS EXCLUSIVE MODE",
    );
    begun.resolve();
    await mayEnd.promise;
  });
  await begun.promise;
  const reads = Array.from(
    { length: 3 },
    () =>
      store.outbox.status([{ endpoint: "https://example.com/", events: [] }])
        .then(
          () => "",
          (error: Error) => `${error.name}: ${error.message}`,
        ),
  );
  await until("two reads wait", async () => {
    const [row] = await backdoor.ask<{ count: number }>(
      `SELECT count(*) FROM pg_stat_activity
       WHERE wait_event_type = 'Lock' AND query LIKE '%deliveries%'`,
    );
    return row?.count === 2;
  });
  const run = await within("a claim", claimOne(store));
  const { results } = await within("a record", record(store, complete(run)));
  assertEquals(results, ["written"]);
  const late = await within("a read gives up", Promise.race(reads));
  assertStringIncludes(late, "DatabaseBusyError: Cannot use ");
  assertStringIncludes(late, "this program uses all of its connections");
  mayEnd.resolve();
  await held;
  assertEquals((await Promise.all(reads)).sort(), ["", "", late]);
  await holder.end();
});

test("what the server can't keep is kept as U+FFFD, wherever it is given", async () => {
  await using subject = await openSubject();
  const { store } = subject;
  const bad = "a\0b\ud800c";
  const good = "a\ufffdb\ufffdc";
  const ids = await store.admin.create(newTasks([{
    userId: USER,
    provider: bad,
    instruction: bad,
    trace: { [bad]: bad },
  }]));
  const [id = ""] = [...ids.sets()].flat();
  const task = await taskOf(store, id);
  assertEquals([task.provider, task.instruction], [good, good]);
  const run = await claimOne(store, { owner: bad, providers: [bad] });
  assertEquals((await taskOf(store, id)).leaseOwner, good);
  await record(store, complete(run, { message: bad, result: bad }));
  const { events } = await store.events.after(store.events.first, { limit: 9 });
  assertEquals(events.at(-1)?.detail, good);
  assertEquals(events.at(-1)?.runner, good);
  for (const text of [bad, "\0", "%_"]) {
    assertEquals(
      (await store.admin.page({ limit: 9, text })).total,
      text === bad || text === "\0" ? 1 : 0,
    );
  }
  assertEquals(await store.admin.find("\0", 9), []);
});

test("page() lists tasks with any long trace, and sql reads them", async () => {
  await using subject = await openSubject();
  const { store } = subject;
  const log = "x".repeat(20_000);
  const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  const traces = [
    `{"simulated":"yes","progress_fraction":0.5,"log":"${log}"}`,
    `{"simulated":{"a":["${log}"]},"progress":"half"}`,
    `{"simulated":${deep(100_000)}}`,
    deep(100_000),
    `{"simulated":tru,"log":"${log}"}`,
  ];
  const ids = await createMany(store, traces.length);
  for (const [index, traceText] of traces.entries()) {
    await subject.changeTask(nth(ids, index), { state: "failed", traceText });
  }
  const { tasks } = await store.admin.page({ limit: 9 });
  const listed = ids.map((id) =>
    tasks.find((task) => task.id === id)?.traceText
  );
  assertEquals(listed.map((text) => JSON.parse(text ?? "null")), [
    { simulated: "yes", progress_fraction: 0.5 },
    { progress: "half" },
    {},
    {},
    {},
  ]);
  await using backdoor = new Backdoor(sharedServer().address());
  const rows = await backdoor.ask<{ simulated: boolean }>(
    "SELECT simulated, trace::text FROM tasks",
  );
  assertEquals(rows.map((it) => it.simulated), traces.map(() => false));
});

test("events of a dump that was restored into another server are told, each receiver's once", async () => {
  await using subject = await openSubject();
  await using backdoor = new Backdoor(sharedServer().address());
  const subscription = {
    endpoint: "https://example.com/",
    events: ["completed"],
  } as const;
  const exchange = async (store: Store) => {
    const { deliveries } = await store.outbox.exchange(subscription, {
      results: [],
      limit: 100,
      leaseMs: HOUR,
      patience: { ms: HOUR, tries: 9 },
    });
    return deliveries.map(({ taskId }) => taskId);
  };
  const { store } = subject;
  await store.outbox.register([subscription]);
  await createMany(store, 2);
  const [early, late] = (await claim(store)).tasks;
  assert(early && late);
  await record(store, complete(early));
  assertEquals(await exchange(store), [early.task.id]);
  await record(store, complete(late));
  // That server had many more transactions.
  const far = "(xid::text::bigint + 1000000000)::text::xid8";
  await backdoor.ask(`UPDATE agent_task_events SET xid = ${far}`);
  for (
    const [table, name] of [
      ["endpoints", "last_xid"],
      ["deliveries", "event_xid"],
    ] as const
  ) {
    await backdoor.ask(
      `UPDATE agent_webhook_${table} SET ${name} = ${
        far.replace("xid:", `${name}:`)
      }`,
    );
  }
  await using restored = await open();
  const { events } = await restored.events.after(restored.events.first, {
    limit: 100,
  });
  assertEquals(events.map(({ kind }) => kind), [
    ...["created", "created", "started", "started"],
    ...["completed", "completed"],
  ]);
  assertEquals(await exchange(restored), [late.task.id]);
});

test("a store that is closed does first what it was asked for", async () => {
  await using subject = await openSubject();
  await using backdoor = new Backdoor(sharedServer().address());
  const store = await open();
  const asked = Array.from({ length: 9 }, () => createOne(store));
  await store[Symbol.asyncDispose]();
  const ids = await Promise.all(asked);
  assertEquals(new Set(ids).size, 9);
  assertEquals(await statesOf(subject.store), { created: 9 });
  const error = await assertRejects(() => createOne(store), DatabaseError);
  assertStringIncludes(error.message, "it was closed");
  await until("no connection is left", async () => {
    const left = await backdoor.ask(
      `SELECT pid FROM pg_stat_activity
       WHERE application_name = 'agent-runner' AND pid <> pg_backend_pid()`,
    );
    return left.length <= 5;
  });
});
