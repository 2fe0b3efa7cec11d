import {
  assert,
  assertArrayIncludes,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertRejects,
} from "@std/assert";
import { DuckDBInstance } from "duckdb";
import { DatabaseError } from "../../../lib/base/errors.ts";
import type { Store } from "../../../lib/store/contract.ts";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import type { AgentTask } from "../../../lib/task/task.ts";
import { parseTrace } from "../../../lib/task/trace.ts";
import {
  askInput,
  complete,
  fail,
  noteProgress,
  release,
  retryLater,
} from "../../../lib/task/transitions.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { runChild } from "../../support/fixtures/child.ts";
import {
  claim,
  createMany,
  createOne,
  endAbandoned,
  idsOf,
  leasesOf,
  nth,
  record,
  statesOf,
  taskOf,
  USER,
} from "../conformance/subject.ts";
import { handsFreeTable, TIME_TYPES } from "./subject.ts";

type TimeType = (typeof TIME_TYPES)[number];

const COLUMNS = "id, user_id, provider, repo_full_name, issue_number, " +
  "pr_number, instruction, status, last_update, created_at, updated_at";

/** Ids of the rows below. */
const ID = {
  fresh: "00000000-0000-4000-8000-000000000001",
  traced: "00000000-0000-4000-8000-000000000002",
  running: "00000000-0000-4000-8000-000000000003",
  completed: "00000000-0000-4000-8000-000000000004",
  failed: "00000000-0000-4000-8000-000000000005",
  asked: "00000000-0000-4000-8000-000000000006",
  endless: "00000000-0000-4000-8000-000000000007",
  listed: "00000000-0000-4000-8000-000000000008",
  endlessDone: "00000000-0000-4000-8000-000000000009",
};
const CLAIMABLE = [ID.fresh, ID.traced, ID.running, ID.listed, ID.endless];

/** As Python's `json.dumps` writes it. */
const PYTHON_TRACE = '{"source": "caf\\u00e9 \\ud83e\\udd86", ' +
  '"delivery": 12345678901234567890123, "score": NaN, "limit": Infinity, ' +
  '"nested": {"ok": true, "none": null, "list": [1, 2.50]}}';
const RUNNING_TRACE =
  '{"auto_started_at": "2026-01-19T18:30:00.123456+00:00", ' +
  '"auto_started_by": "runner_loop", "progress": "Task started"}';

/** Rows as its backend leaves them. */
const ROWS: readonly (readonly (string | number | null)[])[] = [
  row(ID.fresh, "created", null, "2026-01-19 18:30:00.123456", [
    "a/b",
    7,
    null,
  ]),
  row(ID.traced, "created", PYTHON_TRACE, "2026-01-19 18:30:01", [
    "a/b",
    null,
    8,
  ]),
  row(ID.running, "running", RUNNING_TRACE, "2026-01-19 18:30:02"),
  row(
    ID.completed,
    "completed",
    '{"result": "success"}',
    "2026-01-01 00:00:00",
  ),
  row(ID.failed, "failed", '{"error": "no"}', "2026-01-01 00:00:00"),
  row(ID.asked, "needs_input", "{}", "2026-01-01 00:00:00", [null, 9, null]),
  row(ID.listed, "created", '["not", "an", "object"]', "2026-01-19 18:30:03"),
  row(ID.endless, "created", "", "infinity"),
  row(ID.endlessDone, "completed", null, "-infinity"),
];

function row(
  id: string,
  status: string,
  trace: string | null,
  time: string,
  target: readonly (string | number | null)[] = [null, null, null],
): (string | number | null)[] {
  const text = `Instruction of ${status}: "é 漢字 🦆"`;
  return [id, USER, "simulate", ...target, text, status, trace, time, time];
}

/** Runs statements without the store, in UTC as the backend does. */
async function query(
  path: string,
  ...statements:
    (string | readonly [string, readonly (string | number | null)[]])[]
): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  try {
    await connection.run("SET TimeZone = 'UTC'");
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) {
      const [sql, values] = typeof statement === "string"
        ? [statement, []]
        : statement;
      const reader = await connection.runAndReadAll(sql, [...values]);
      rows = reader.getRowObjectsJson();
    }
    return rows;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

const INSERT = `INSERT INTO agent_tasks (${COLUMNS})
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`;
const SELECT_ROWS = `SELECT ${
  COLUMNS.replace(/(\w+_at)/g, "$1::TEXT AS $1")
} FROM agent_tasks ORDER BY id`;
const SELECT_COLUMNS = `
  SELECT column_name, data_type, is_nullable, column_default, column_index
  FROM duckdb_columns() WHERE table_name = 'agent_tasks' ORDER BY column_index`;

async function withFolder(
  body: (path: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "handsfree_test_" });
  try {
    await body(`${folder}/handsfree.duckdb`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs with a database of the backend's, once for each type of its times. */
function testWithBackend(
  behaviour: string,
  body: (path: string, type: TimeType) => Promise<void>,
): void {
  for (const type of TIME_TYPES) {
    Deno.test(`${behaviour} (${type})`, () =>
      withFolder(async (path) => {
        await query(
          path,
          handsFreeTable(type),
          ...ROWS.map((values): [string, typeof values] => [INSERT, values]),
        );
        await body(path, type);
      }));
  }
}

const NOW = new Date("2026-06-01T10:00:00.000Z");

/**
 * A store in the backend's file, whose time stands still. Exclusive: it is alone
 * there, and waits for nobody who could not renew a lease.
 */
async function open(path: string) {
  const clock = new FakeClock({ start: NOW });
  const problems: string[] = [];
  const store = await openDuckDbStore(path, {
    clock,
    exclusive: true,
    onProblem: (message) => problems.push(message),
  });
  return { store, clock, problems };
}

/** Works with a store, and lets the file go. */
async function withStore<T>(
  path: string,
  body: (store: Store, clock: FakeClock) => Promise<T>,
): Promise<T> {
  const { store, clock } = await open(path);
  await using _ = store;
  return await body(store, clock);
}

testWithBackend(
  "openDuckDbStore() adds columns and keeps every value",
  async (path) => {
    const rows = await query(path, SELECT_ROWS);
    const columns = await query(path, SELECT_COLUMNS);
    assertEquals(rows.length, ROWS.length);
    for (let n = 0; n < 2; n++) {
      await withStore(path, async ({ admin }) => {
        const { total } = await admin.page({ limit: 1 });
        assertEquals(total, ROWS.length);
      });
    }
    assertEquals(await query(path, SELECT_ROWS), rows);
    const columnsAfter = await query(path, SELECT_COLUMNS);
    assertEquals(columnsAfter.slice(0, columns.length), columns);
    const added = columnsAfter.slice(columns.length);
    assertArrayIncludes(added.map((it) => it.column_name), [
      "priority",
      "run_at",
      "attempt",
      "max_attempts",
      "lease_id",
      "lease_owner",
      "lease_expires_at",
      "cancel_requested_at",
      "questions",
      "rescues",
    ]);
    // Else the backend's INSERT would fail.
    assertEquals(added.filter((it) => it.is_nullable !== true), []);
  },
);

testWithBackend("get() reads its rows", async (path) => {
  await using store = (await open(path)).store;
  const { admin } = store;
  const fresh = await admin.get(ID.fresh);
  const expected: Partial<AgentTask> = {
    id: ID.fresh,
    userId: USER,
    provider: "simulate",
    targetType: "issue",
    targetRef: "a/b#7",
    instruction: 'Instruction of created: "é 漢字 🦆"',
    state: "created",
    traceText: null,
    priority: 0,
    runAt: null,
    attempt: 0,
    questions: 0,
    maxAttempts: null,
    leaseOwner: null,
    leaseExpiresAt: null,
    cancelRequestedAt: null,
    createdAt: new Date("2026-01-19T18:30:00.123Z"),
    updatedAt: new Date("2026-01-19T18:30:00.123Z"),
  };
  assertEquals({ ...fresh, ...expected } as unknown, fresh);
  const traced = await admin.get(ID.traced);
  assertEquals([traced?.targetType, traced?.targetRef], ["pr", "a/b#8"]);
  assertEquals(traced?.traceText, PYTHON_TRACE);
  const asked = await admin.get(ID.asked);
  assertEquals([asked?.targetType, asked?.targetRef], ["issue", "#9"]);
  const endless = await admin.get(ID.endless);
  assertEquals(endless?.instruction, 'Instruction of created: "é 漢字 🦆"');
  assert(endless?.createdAt instanceof Date);
});

testWithBackend("claim() and record() work on its rows", async (path, type) => {
  const before = await query(path, SELECT_ROWS);
  await withStore(path, async (store, clock) => {
    const { tasks } = await claim(store);
    assertEquals(tasks.map(({ task }) => task.id), CLAIMABLE);
    assertEquals(await endAbandoned(store), []);
    await clock.advance(5);
    const { results } = await record(
      store,
      ...tasks.map((it) => complete(it)),
    );
    assertEquals(results, CLAIMABLE.map(() => "written"));
    await clock.advance(1e9);
    assertEquals(idsOf(await claim(store)), []);
  });
  const after = await query(path, SELECT_ROWS);
  const zone = type === "TIMESTAMPTZ" ? "+00" : "";
  for (const [index, old] of before.entries()) {
    const row = after[index];
    if (!CLAIMABLE.includes(String(old.id))) {
      assertEquals(row, old);
      continue;
    }
    // What is not the runner's stays as it is.
    assertEquals(
      {
        ...row,
        status: old.status,
        last_update: "",
        updated_at: "",
      } as unknown,
      { ...old, last_update: "", updated_at: "" },
    );
    assertEquals(row?.status, "completed");
    assertEquals(
      row?.updated_at,
      `2026-06-01 10:00:00.005${zone}`,
    );
    const trace = parseTrace(String(row?.last_update));
    assertEquals(trace?.completed_at, "2026-06-01T10:00:00.005+00:00");
    assertEquals(trace?.completed_by, "runner_loop");
    assertEquals(trace?.result, "success");
    assertEquals(
      trace?.auto_started_at,
      old.id === ID.running
        ? "2026-01-19T18:30:00.123456+00:00"
        : "2026-06-01T10:00:00.000+00:00",
    );
  }
  const [traced] = after.filter(({ id }) => id === ID.traced);
  const kept = PYTHON_TRACE.slice(0, -1);
  assertEquals(String(traced?.last_update).slice(0, kept.length), kept);
  const [listed] = after.filter(({ id }) => id === ID.listed);
  assertEquals(
    parseTrace(String(listed?.last_update))?.unreadable_trace,
    '["not", "an", "object"]',
  );
});

testWithBackend(
  "claim() takes what the backend inserts afterwards",
  async (path, type) => {
    await withStore(path, (store) => claim(store));
    const id = crypto.randomUUID();
    const defaulted = crypto.randomUUID();
    const time = "2026-01-01 00:00:00.5";
    await query(
      path,
      [INSERT, row(id, "created", null, time)],
      [
        "INSERT INTO agent_tasks (id, user_id, provider, status) VALUES ($1, $2, 'x', 'created')",
        [defaulted, USER],
      ],
      // Its code updates only what it knows, too.
      [
        `UPDATE agent_tasks SET status = 'failed', last_update = $2,
         updated_at = now() WHERE id = $1 AND status = 'running'`,
        [ID.running, '{"error": "stopped by a person"}'],
      ],
    );
    await using store = (await open(path)).store;
    const { tasks } = await claim(store);
    assertEquals(tasks.map(({ task }) => task.id), [id, defaulted]);
    const { task, lease } = nth(tasks, 0);
    assertEquals(task.createdAt, new Date("2026-01-01T00:00:00.500Z"));
    assertEquals(lease.attempt, 1);
    assertEquals(
      await store.queue.heartbeat(leasesOf(tasks), { leaseMs: 60_000 }),
      ["held", "held"],
    );
    assertEquals((await taskOf(store, ID.running)).state, "failed");
    // The column is the backend's own.
    const created = nth(tasks, 1).task.createdAt.getTime();
    assert(Math.abs(created - Date.now()) < 60_000, `${created} as ${type}`);
  },
);

for (const zone of ["America/New_York", "Asia/Kathmandu"]) {
  testWithBackend(
    `openDuckDbStore() keeps UTC where TZ is ${zone}`,
    async (path, type) => {
      const tasks = await runChild<Record<string, string>[]>(["pass", path], {
        env: { TZ: zone },
      });
      const byId = new Map(tasks.map((task) => [task.id, task]));
      assertEquals(byId.get(ID.fresh)?.createdAt, "2026-01-19T18:30:00.123Z");
      assertEquals(
        byId.get(ID.completed)?.createdAt,
        "2026-01-01T00:00:00.000Z",
      );
      const made = tasks.find(({ instruction }) => instruction === "new");
      assertEquals(made?.createdAt, "2026-07-01T12:00:00.000Z");
      assertEquals(made?.updatedAt, "2026-07-01T12:00:00.000Z");
      assertEquals(made?.state, "completed");
      const rows = await query(path, [
        `SELECT created_at::TEXT AS created, updated_at::TEXT AS updated
       FROM agent_tasks WHERE id = $1`,
        [made?.id ?? ""],
      ]);
      const time = `2026-07-01 12:00:00${type === "TIMESTAMPTZ" ? "+00" : ""}`;
      assertEquals(rows, [{ created: time, updated: time }]);
    },
  );
}

/** What a backend of its own might have beside the table. */
const EXTRAS = {
  "an index on status": ["CREATE INDEX by_status ON agent_tasks (status)"],
  "an index on status and time": [
    "CREATE INDEX by_time ON agent_tasks (status, created_at)",
    "CREATE INDEX by_update ON agent_tasks (updated_at)",
  ],
  "a foreign key": [
    `CREATE TABLE task_notes (
       note TEXT, task_id UUID NOT NULL REFERENCES agent_tasks (id))`,
    "INSERT INTO task_notes SELECT 'note', id FROM agent_tasks",
  ],
  "an index and a foreign key of no row": [
    "CREATE INDEX by_status ON agent_tasks (status)",
    `CREATE TABLE task_notes (
       note TEXT, task_id UUID NOT NULL REFERENCES agent_tasks (id))`,
  ],
  "a view": [
    "CREATE VIEW open_tasks AS FROM agent_tasks WHERE status = 'running'",
  ],
  "a table of its own schema": [
    "CREATE SCHEMA other",
    "CREATE TABLE other.agent_tasks (n INTEGER)",
  ],
};

for (const [what, statements] of Object.entries(EXTRAS)) {
  testWithBackend(`openDuckDbStore() works beside ${what}`, async (path) => {
    await query(path, ...statements);
    await withStore(path, async (store, clock) => {
      const own = await createOne(store, { maxAttempts: 1 });
      const { tasks } = await claim(store);
      const ids = [...CLAIMABLE.slice(0, -1), own, ID.endless];
      assertEquals(tasks.map(({ task }) => task.id), ids);
      const [a, b, c, d] = tasks;
      assert(a && b && c && d);
      await store.queue.heartbeat([a.lease, b.lease], { leaseMs: 90_000 });
      const { results } = await record(
        store,
        noteProgress(a, { message: "half", at: NOW }),
        complete(a),
        fail(b, "no"),
        retryLater(c, { error: "no", delayMs: 50 }),
        release(d, "shutdown"),
      );
      assertEquals(results, Array(5).fill("written"));
      await clock.advance(2_000);
      const again = await claim(store);
      assertEquals(idsOf(again), [c.task.id, d.task.id]);
      await record(store, ...again.tasks.map((it) => complete(it)));
      // Two are left to a runner that died, one of them at its last attempt.
      await clock.advance(120_000);
      const ended = await endAbandoned(store);
      assertEquals(ended.map(({ task }) => task.id), [own]);
      const last = await claim(store);
      assertEquals(idsOf(last), [ID.endless]);
      await record(store, ...last.tasks.map((it) => complete(it)));
    });
    const counts = await query(
      path,
      "SELECT status, count(*)::INT AS n FROM agent_tasks GROUP BY 1 ORDER BY 1",
    );
    assertEquals(counts, [
      { status: "completed", n: 6 },
      { status: "failed", n: 3 },
      { status: "needs_input", n: 1 },
    ]);
    const indexed = await query(
      path,
      "SELECT count(*)::INT AS n FROM agent_tasks WHERE status = 'completed'",
    );
    assertEquals(indexed, [{ n: 6 }]);
  });
}

testWithBackend(
  "claim() takes what the backend answered, beside an index on status",
  async (path) => {
    await query(
      path,
      "DELETE FROM agent_tasks",
      "CREATE INDEX by_status ON agent_tasks (status)",
    );
    await withStore(path, async (store) => {
      await createMany(store, 2);
      const { tasks } = await claim(store);
      const wait = { answerWithinMs: 60_000 };
      await record(store, ...tasks.map((it) => askInput(it, "Which?", wait)));
    });
    await query(path, "UPDATE agent_tasks SET status = 'running'");
    await using store = (await open(path)).store;
    // Taking note of the answers moves the rows before they are claimed.
    assertEquals(await endAbandoned(store), []);
    const { tasks } = await claim(store);
    assertEquals(tasks.length, 2);
    const { results } = await record(
      store,
      ...tasks.map((it) => complete(it)),
    );
    assertEquals(results, ["written", "written"]);
  },
);

/** With both, DuckDB refuses each UPDATE of a row that is referred to. */
const BOTH = [
  "CREATE INDEX by_status ON agent_tasks (status)",
  `CREATE TABLE task_notes (
     note TEXT, task_id UUID NOT NULL REFERENCES agent_tasks (id))`,
];

testWithBackend(
  "claim() says what to do about an index and a foreign key, and takes the others",
  async (path) => {
    const bad = [ID.traced, ID.listed];
    await query(
      path,
      ...BOTH,
      [
        "INSERT INTO task_notes SELECT 'note', id FROM agent_tasks WHERE id IN ($1, $2)",
        bad,
      ],
    );
    const before = await query(path, SELECT_ROWS);
    {
      const { store, problems } = await open(path);
      await using _ = store;
      const { tasks } = await claim(store);
      const others = CLAIMABLE.filter((id) => !bad.includes(id));
      assertEquals(tasks.map(({ task }) => task.id), others);
      assertEquals(problems.length, 2);
      for (const [index, message] of problems.entries()) {
        assertMatch(message, new RegExp(bad[index] ?? ""));
        assertMatch(message, /Drop the index or the foreign key/);
        assertNotMatch(message, / Error: /);
      }
      // The next one goes on, and says nothing new.
      assertEquals(idsOf(await claim(store)), []);
      assertEquals(problems.length, 2);
      const { results } = await record(
        store,
        ...tasks.map((it) => complete(it)),
      );
      assertEquals(results, others.map(() => "written"));
    }
    const after = await query(path, SELECT_ROWS);
    for (const [index, row] of after.entries()) {
      if (bad.includes(String(row.id))) assertEquals(row, before[index]);
    }
  },
);

testWithBackend(
  "record() writes all outcomes of a group but that of a row that another table refers to",
  async (path) => {
    await query(path, ...BOTH);
    const { tasks } = await withStore(
      path,
      (store) => claim(store, { leaseMs: 1e9 }),
    );
    // A note about a task that runs.
    await query(
      path,
      ["INSERT INTO task_notes VALUES ('note', $1)", [ID.traced]],
    );
    await using store = (await open(path)).store;
    const { results } = await record(
      store,
      ...tasks.map((it) => complete(it)),
    );
    assertEquals(
      results.map((it) => it instanceof DatabaseError ? "refused" : it),
      CLAIMABLE.map((id) => id === ID.traced ? "refused" : "written"),
    );
    const refusal = String(results[CLAIMABLE.indexOf(ID.traced)]);
    assertMatch(
      refusal,
      new RegExp(`Cannot write the row of task ${ID.traced}`),
    );
    // Claims go on.
    const fresh = await createOne(store);
    assertEquals(idsOf(await claim(store)), [fresh]);
  },
);

for (
  const [what, table] of [
    ["a table", "CREATE TABLE agent_tasks (id INTEGER PRIMARY KEY, name TEXT)"],
    ["a view", "CREATE VIEW agent_tasks AS SELECT 1 AS id, 'x' AS status"],
    [
      "a table that lacks one column",
      handsFreeTable("TIMESTAMP").replace("last_update TEXT,", ""),
    ],
  ] as const
) {
  Deno.test(`openDuckDbStore() leaves another program's ${what} alone`, () =>
    withFolder(async (path) => {
      await query(path, table, "CREATE TABLE more (n INTEGER)");
      const before = await Deno.readFile(path);
      const error = await assertRejects(
        () => openDuckDbStore(path),
        DatabaseError,
        "agent_tasks",
      );
      assertEquals(error.exitCode, 3);
      const after = await Deno.readFile(path);
      assert(
        before.every((byte, index) => byte === after[index]) &&
          before.length === after.length,
        "The file was changed.",
      );
    }));
}

testWithBackend(
  "claim() and record() lose none of 10,000 tasks",
  async (path) => {
    await query(
      path,
      "DELETE FROM agent_tasks",
      // In an order that is not that of their times.
      `INSERT INTO agent_tasks (${COLUMNS})
     SELECT gen_random_uuid(), '${USER}', 'simulate', 'a/b', i, NULL,
       'Task ' || i, 'created',
       CASE WHEN i % 3 = 0 THEN '{"n": ' || i || '}' END,
       '2026-01-01'::TIMESTAMP + to_milliseconds(i),
       '2026-01-01'::TIMESTAMP + to_milliseconds(i)
     FROM range(10000) t(i) ORDER BY hash(i)`,
    );
    const seen: string[] = [];
    await withStore(path, async (store, clock) => {
      while (true) {
        const { tasks } = await claim(store, { limit: 1_500 });
        if (tasks.length === 0) break;
        seen.push(...tasks.map(({ task }) => task.instruction ?? ""));
        await clock.advance(400);
        const { results } = await record(
          store,
          ...tasks.map((it) => complete(it)),
        );
        assert(results.every((it) => it === "written"));
      }
      assertEquals(await statesOf(store), { completed: 10_000 });
    });
    assertEquals(seen, Array.from({ length: 10_000 }, (_, i) => `Task ${i}`));
    const [sums] = await query(
      path,
      `SELECT count(*)::INT AS events, count(DISTINCT task_id)::INT AS tasks,
       count(DISTINCT id)::INT AS ids,
       count(*) FILTER (kind = 'completed')::INT AS completed,
       count(*) FILTER (kind = 'started')::INT AS started
     FROM agent_task_events`,
    );
    assertEquals(sums, {
      events: 20_000,
      tasks: 10_000,
      ids: 20_000,
      completed: 10_000,
      started: 10_000,
    });
    const [traces] = await query(
      path,
      `SELECT count(*)::INT AS n FROM agent_tasks
     WHERE last_update::JSON->>'result' = 'success'
       AND (issue_number % 3 <> 0
         OR (last_update::JSON->>'n')::INT = issue_number)`,
    );
    assertEquals(traces, { n: 10_000 });
  },
);
