import { assertEquals, assertMatch } from "@std/assert";
import { DuckDBInstance } from "duckdb";
import {
  type DuckDbStoreOptions,
  openDuckDbStore,
} from "../../../lib/store/duckdb/store.ts";
import {
  begin,
  cancel,
  complete,
  fail,
  release,
} from "../../../lib/task/transitions.ts";
import { AT_ONCE, Folder } from "../../cli/cli.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import {
  claim,
  claimOne,
  create,
  createOne,
  nth,
  record,
  statesOf,
  USER,
} from "../conformance/subject.ts";
const NOW = new Date("2026-07-01T12:00:00.000Z");

/** The table as HandsFree makes it. */
const TABLE = `CREATE TABLE notifications (
  id UUID PRIMARY KEY, user_id UUID NOT NULL, event_type TEXT NOT NULL,
  message TEXT NOT NULL, metadata JSON, created_at TIMESTAMPTZ NOT NULL,
  priority INTEGER NOT NULL, dedupe_key TEXT, profile TEXT NOT NULL,
  delivery_status TEXT NOT NULL)`;

/** A database file with a table of notifications. */
class Scratch implements Disposable {
  readonly folder = new Folder();
  readonly path = `${this.folder.path}/handsfree.duckdb`;

  async sql(...statements: string[]): Promise<Record<string, unknown>[]> {
    const instance = await DuckDBInstance.create(this.path);
    const connection = await instance.connect();
    try {
      let rows: Record<string, unknown>[] = [];
      for (const statement of statements) {
        const reader = await connection.runAndReadAll(statement);
        rows = reader.getRowObjectsJson();
      }
      return rows;
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

function open(scratch: Scratch, options: DuckDbStoreOptions = {}) {
  const clock = new FakeClock({ start: NOW });
  return openDuckDbStore(scratch.path, { clock, ...options });
}

/** Runs two tasks, of which the second fails. Returns what was said. */
async function runTwo(
  scratch: Scratch,
  options: { readonly notifications?: boolean } = {},
): Promise<{ ids: string[]; problems: string[] }> {
  const problems: string[] = [];
  await using store = await open(scratch, {
    ...options,
    onProblem: (message) => problems.push(message),
  });
  const ids = await create(store, [
    {
      instruction: "Say “hi”",
      targetType: "pr",
      targetRef: "octo/app#7",
    },
    { provider: "other" },
  ]);
  const { tasks } = await claim(store);
  const { results } = await record(
    store,
    complete(nth(tasks, 0)),
    fail(nth(tasks, 1), "it broke"),
  );
  assertEquals(results, ["written", "written"]);
  assertEquals(await statesOf(store), { completed: 1, failed: 1 });
  return { ids, problems };
}

const ROWS = `SELECT * EXCLUDE (id, metadata), metadata::JSON::TEXT AS metadata
  FROM notifications ORDER BY event_type DESC, message DESC`;

for (
  const [name, table] of [
    ["HandsFree's table", TABLE],
    ["TIMESTAMP and TEXT", TABLE.replace("TZ", "").replace("JSON", "TEXT")],
    ["no key at all", TABLE.replace(" PRIMARY KEY", "")],
    ["a column more", TABLE.replace(/\)$/, ", read_at TIMESTAMPTZ)")],
  ] as const
) {
  Deno.test(`claim() and record() notify in the form of HandsFree: ${name}`, async () => {
    using scratch = new Scratch();
    await scratch.sql(table);
    const { ids: [first, second], problems } = await runTwo(scratch);
    assertEquals(problems, []);
    const row = (
      event: string,
      rest: { message: string; id: string | undefined },
    ) => ({
      user_id: USER,
      event_type: `agent.task_${event}`,
      message: rest.message,
      metadata: JSON.stringify(
        rest.id === first
          ? {
            task_id: first,
            provider: "simulate",
            target_type: "pr",
            target_ref: "octo/app#7",
          }
          : {
            task_id: second,
            provider: "other",
            target_type: null,
            target_ref: null,
          },
      ),
      created_at: "2026-07-01 12:00:00",
      priority: 3,
      dedupe_key: `agent.task_${event}:${rest.id}:1`,
      profile: "default",
      delivery_status: "pending",
    });
    const rows = await scratch.sql("SET TimeZone = 'UTC'", ROWS);
    assertEquals(
      rows.map(({ read_at: _, created_at, ...rest }) => ({
        ...rest,
        created_at: String(created_at).slice(0, 19),
      })),
      [
        row("started", { id: first, message: "Agent task started: Say “hi”" }),
        row("started", {
          id: second,
          message: "Agent task started: No instruction",
        }),
        row("failed", {
          id: second,
          message: "Agent task failed: No instruction",
        }),
        row("completed", {
          id: first,
          message: "Agent task completed: Say “hi”",
        }),
      ] as Record<string, unknown>[],
    );
  });
}

Deno.test("claim() notifies of each attempt, and of one that was given back once", async () => {
  using scratch = new Scratch();
  await scratch.sql(
    TABLE,
    "CREATE UNIQUE INDEX k ON notifications(dedupe_key)",
  );
  {
    await using store = await open(scratch);
    await createOne(store);
    await record(store, release(await claimOne(store), "stopped"));
    await record(store, cancel(await claimOne(store)));
  }
  const rows = await scratch.sql(ROWS);
  assertEquals(
    rows.map(({ event_type }) => event_type),
    ["agent.task_started", "agent.task_failed"],
  );
});

Deno.test("record() notifies of what begins, not of what is held", async () => {
  using scratch = new Scratch();
  await scratch.sql(TABLE);
  const ids: string[] = [];
  {
    await using store = await open(scratch);
    ids.push(...await create(store, [{}, {}, {}]));
    const { tasks } = await claim(store, { limit: 1, ahead: 2 });
    const second = nth(tasks, 1);
    await record(store, begin(second), complete(second));
  }
  const rows = await scratch.sql(ROWS);
  assertEquals(
    rows.map(({ dedupe_key }) => String(dedupe_key)).toSorted(),
    [
      `agent.task_completed:${ids[1]}:1`,
      `agent.task_started:${ids[0]}:1`,
      `agent.task_started:${ids[1]}:1`,
    ].toSorted(),
  );
});

const GAPS: [name: string, table: string, count: number, problem: RegExp][] = [
  [
    "without optional columns",
    "CREATE TABLE notifications (user_id UUID, event_type TEXT, message TEXT)",
    4,
    /^The table notifications has no column id, metadata, .*: notifications are written without\.$/,
  ],
  [
    "of somebody else",
    "CREATE TABLE notifications (x INTEGER)",
    0,
    /^The table notifications has no column id, .*: no notifications are written\.$/,
  ],
  [
    "with a column that must be filled",
    TABLE.replace(/\)$/, ", tenant TEXT NOT NULL)"),
    0,
    /^Cannot write to the table notifications: Constraint Error: .*tenant.* Tasks are run without notifications until the next start\.$/,
  ],
  [
    "with another type",
    TABLE.replace("priority INTEGER", "priority UUID"),
    0,
    /^Cannot write to the table notifications: .*Tasks are run/,
  ],
];

for (const [name, table, count, problem] of GAPS) {
  Deno.test(`claim() and record() work with a table notifications ${name}`, async () => {
    using scratch = new Scratch();
    await scratch.sql(table);
    const { problems } = await runTwo(scratch);
    assertEquals(problems.length, 1, problems.join("\n"));
    assertMatch(problems[0] ?? "", problem);
    const rows = await scratch.sql("SELECT * FROM notifications");
    assertEquals(rows.length, count);
  });
}

Deno.test("claim() and record() make no table and write nothing where they are told not to", async () => {
  using without = new Scratch();
  assertEquals((await runTwo(without)).problems, []);
  const tables = await without.sql(
    "SELECT table_name FROM duckdb_tables() ORDER BY ALL",
  );
  assertEquals(
    tables.map(({ table_name }) => table_name),
    [
      "agent_pauses",
      "agent_runner_file",
      "agent_runners",
      "agent_schedules",
      "agent_starts",
      "agent_task_dependencies",
      "agent_task_events",
      "agent_task_logs",
      "agent_tasks",
    ],
  );
  using off = new Scratch();
  await off.sql(TABLE);
  await runTwo(off, { notifications: false });
  assertEquals(await off.sql(ROWS), []);
});

Deno.test("run fills the table, unless HANDSFREE_AGENT_NOTIFICATIONS is false", async () => {
  using scratch = new Scratch();
  const { folder } = scratch;
  await scratch.sql(TABLE);
  await folder.ok(["create", "one"]);
  await folder.ok(["run"], { env: AT_ONCE });
  assertEquals((await scratch.sql(ROWS)).length, 2);
  await folder.ok(["create", "two"]);
  await folder.ok(["run"], {
    env: { ...AT_ONCE, HANDSFREE_AGENT_NOTIFICATIONS: "false" },
  });
  assertEquals((await scratch.sql(ROWS)).length, 2);
});
