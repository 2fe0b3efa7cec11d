/**
 * A database that an earlier version left, in each state that a task can be in: see
 * `earlier_version.sql`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  connectDuckDb,
  type SqlValue,
} from "../../../lib/store/duckdb/connection.ts";
import type { Store } from "../../../lib/store/contract.ts";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import type { AgentTask, Lease } from "../../../lib/task/task.ts";
import { parseTrace } from "../../../lib/task/trace.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { Folder } from "../../cli/cli.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import {
  claim,
  endAbandoned,
  endsOf,
  HOUR,
  idsOf,
  nth,
  record,
  statesOf,
  taskOf,
} from "../conformance/subject.ts";

const SCRIPT = new URL(
  "../../support/fixtures/earlier_version.sql",
  import.meta.url,
);
/** When the script ends. */
const NOW = new Date("2026-01-19T18:31:04.500Z");
const ENDPOINT = {
  endpoint: "https://hooks.example/agent",
  events: ["completed", "failed", "needs_input", "cancelled"],
} as const;

const id = (n: number) =>
  `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const numberOf = (id: string) => Number(id.slice(-12));
const leaseOf = (n: number): Lease => ({
  taskId: id(n),
  id: `eeeeeeee${id(n).slice(8)}`,
  owner: "earlier:1",
  attempt: 1,
});

/** The database, and a clock that goes on from there. */
class Earlier implements Disposable {
  readonly clock = new FakeClock({ start: NOW, autoAdvance: true });
  readonly #folder = new Folder();
  readonly path = `${this.#folder.path}/tasks.duckdb`;

  static async make(): Promise<Earlier> {
    const earlier = new Earlier();
    await earlier.sql(await Deno.readTextFile(SCRIPT));
    return earlier;
  }

  /** Runs a statement while no store is open. */
  async sql<T>(sql: string, values?: readonly SqlValue[]): Promise<T | null> {
    const connection = await connectDuckDb(this.path);
    try {
      if (/^SELECT/.test(sql)) return await connection.json<T>(sql, values);
      await connection.run(sql, values);
      return null;
    } finally {
      connection.close();
    }
  }

  open(): Promise<Store> {
    return openDuckDbStore(this.path, { clock: this.clock, exclusive: true });
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

function test(
  behaviour: string,
  body: (store: Store, earlier: Earlier) => Promise<void>,
): void {
  Deno.test(`${behaviour} in an earlier version's database`, async () => {
    using earlier = await Earlier.make();
    await using store = await earlier.open();
    await body(store, earlier);
  });
}

Deno.test("openDuckDbStore() adds what is missing to an earlier version's database, and keeps every value", async () => {
  using earlier = await Earlier.make();
  const tables = [
    "agent_tasks",
    "agent_task_events",
    "agent_webhook_endpoints",
    "agent_webhook_deliveries",
  ];
  const read = async () => {
    const texts = tables.map(async (table) =>
      await earlier.sql<Record<string, unknown>[]>(
        `SELECT to_json(list(t ORDER BY rowid)) FROM ${table} t`,
      ) ?? []
    );
    return await Array.fromAsync(texts);
  };
  const readColumns = () =>
    earlier.sql<string[]>(
      `SELECT to_json(list(table_name || '.' || column_name
         ORDER BY table_name, column_index)) FROM duckdb_columns()
       WHERE NOT internal`,
    );
  const columns = await readColumns() ?? [];
  const before = await read();
  for (let n = 0; n < 2; n++) {
    const store = await earlier.open();
    await store[Symbol.asyncDispose]();
  }
  const after = await read();
  const added = (await readColumns() ?? [])
    .filter((it) => !columns.includes(it));
  assertEquals(added, [
    ...[
      ...["provider", "kind", "reason", "since", "until", "tries", "trial"],
      "batch",
    ].map((name) => `agent_pauses.${name}`),
    "agent_runner_file.last_used_at",
    "agent_runner_file.rescues_from",
    ...[
      ...["name", "host", "pid", "version", "concurrency", "started_at"],
      ...["seen_at", "draining_at"],
    ].map((name) => `agent_runners.${name}`),
    ...[
      ...["name", "definition", "source", "added_at", "paused_at"],
      ...["last_slot", "last_task_id"],
    ].map((name) => `agent_schedules.${name}`),
    ...["provider", "limit_key", "turn", "started_at", "until"]
      .map((name) => `agent_starts.${name}`),
    "agent_task_dependencies.task_id",
    "agent_task_dependencies.after_id",
    "agent_task_dependencies.position",
    "agent_task_events.printed",
    "agent_task_events.usage",
    ...[
      ...["id", "task_id", "attempt", "lease_id", "first_line", "line_count"],
      ...["began_at", "text"],
    ].map((name) => `agent_task_logs.${name}`),
    "agent_tasks.questions",
    "agent_tasks.rescues",
    ...["batch", "key", "tags", "if_failed", "workspace", "touches"]
      .concat("needs_approval", "blocked")
      .map((name) => `agent_tasks.${name}`),
  ]);
  const [tasks = [], events = [], ...others] = after;
  assertEquals(others, before.slice(2));
  assertEquals(
    events,
    before[1]?.map((old) => ({ ...old, printed: null, usage: null })),
  );
  for (const [index, old] of before[0]?.entries() ?? []) {
    const { questions, rescues, attempt, ...others } = tasks[index] ?? {};
    const { batch, key, tags, if_failed, blocked, ...later } = others;
    const { workspace, touches, needs_approval, ...rest } = later;
    assertEquals(
      [batch, key, tags, if_failed, blocked],
      [null, null, null, null, false],
    );
    assertEquals([workspace, touches, needs_approval], [null, null, null]);
    const { attempt: attemptBefore, ...restBefore } = old;
    assertEquals(rest, restBefore);
    assertEquals(rescues, 0);
    // That a question's attempt was given back is made up for.
    assertEquals(attempt, Number(attemptBefore) + Number(questions));
    const hasAsked = [5, 6, 12, 13, 14].includes(numberOf(String(old.id)));
    assertEquals(questions, hasAsked ? 1 : 0);
  }
});

test("get(), find(), page() and history() read all", async ({ admin }) => {
  const { tasks, next, total } = await admin.page({ limit: 50, isWhole: true });
  assertEquals([tasks.length, next, total], [19, undefined, 19]);
  for (const task of tasks) assertEquals(await admin.get(task.id), task);
  assertEquals((await admin.find(id(1).slice(0, -1), 50)).length, 9);
  const seven = await admin.get(id(7));
  const expected: Partial<AgentTask> = {
    targetType: "pr",
    targetRef: "octo/app#7",
    instruction: 'Task 7: "é 漢字 🦆"',
    state: "completed",
    attempt: 1,
    questions: 0,
    leaseOwner: null,
    createdAt: new Date("2026-01-19T18:30:00.000Z"),
    updatedAt: new Date("2026-01-19T18:30:02.500Z"),
  };
  assertEquals({ ...seven, ...expected } as unknown, seven);
  const { é, output, progress_fraction } =
    parseTrace(seven?.traceText ?? null) ?? {};
  assertEquals([é, output, progress_fraction], [
    [1, 2.5, null],
    { pr: 8, text: 'it\'s "done"\n' },
    0.5,
  ]);
  assertEquals(
    (await admin.history(id(7))).map((
      { kind, attempt, runner, detail },
    ) => [kind, attempt, runner, detail]),
    [
      ["created", 0, null, null],
      ["started", 1, "earlier:1", null],
      ["progress", 1, "earlier:1", "50%: half of it"],
      ["completed", 1, "earlier:1", "Opened #8"],
    ],
  );
  const first = await admin.get(id(1));
  assertEquals(
    [first?.priority, first?.maxAttempts, first?.timeoutMs, first?.targetRef],
    [-1, 5, 5_000, "#9"],
  );
});

test("count(), cancellable(), retryable(), stats() and export() look at all", async (store) => {
  const { admin } = store;
  assertEquals(await statesOf(store), {
    created: 3,
    running: 9,
    needs_input: 3,
    completed: 1,
    failed: 3,
  });
  const { waiting, inFlight } = await admin.count();
  // 1, 3, 11, 13, 15, and 16, which is only to be ended; 2 and 18.
  assertEquals([waiting, inFlight], [6, 2]);
  const numbersOf = (tasks: readonly { id: string }[]) =>
    tasks.map(({ id }) => numberOf(id)).toSorted((a, b) => a - b);
  assertEquals(numbersOf(await admin.cancellable({})).length, 15);
  // What HandsFree answered looks as if it waited for its retry, until it is set going.
  assertEquals(numbersOf(await admin.retryable({})), [4, 7, 8, 9, 14]);
  const { failures } = await admin.stats({
    start: new Date("2026-01-19T18:00:00Z"),
    bucketMs: HOUR,
    buckets: 1,
    reasons: 5,
  });
  assertEquals(failures.length, 2);
  for (const format of ["csv", "jsonl"] as const) {
    const { rows, body } = await admin.export({ format, events: false });
    assertEquals(rows, 19);
    assertMatch(await new Response(body).text(), /漢字 🦆/);
  }
});

test("cancel(), answer() and retry() work", async ({ admin }) => {
  assertEquals(
    await admin.cancel([1, 2, 3, 4, 5, 7].map(id)),
    ["cancelled", "requested", "cancelled", "cancelled", "cancelled", "ended"],
  );
  assertEquals(await admin.answer([6, 12, 8].map(id), "main"), [
    "answered",
    "answered",
    "ended",
  ]);
  const [eight, ten] = await admin.retry([8, 10].map(id));
  assert(eight?.kind === "created" && ten?.kind === "created");
  assertEquals([eight.earlierId, ten.earlierId], [null, id(11)]);
  const [refused] = await admin.retry([id(11)]);
  assertEquals(refused, { kind: "refused", why: "created" });
});

test("endAbandoned() ends what nobody will run again", async (store) => {
  const ended = await endAbandoned(store);
  assertEquals(
    endsOf(ended).toSorted(([a], [b]) => a < b ? -1 : 1),
    [[id(12), "failed"], [id(16), "failed"], [id(17), "cancelled"]],
  );
  const errorOf = async (n: number) =>
    parseTrace((await taskOf(store, id(n))).traceText)?.error;
  assertMatch(String(await errorOf(12)), /^Nobody answered within 10s?.*Now\?/);
  assertEquals(
    await errorOf(16),
    "The runner died at attempt 1 of 1; it was earlier:2",
  );
  // What HandsFree answered goes on at once.
  assertEquals((await taskOf(store, id(14))).runAt, null);
});

test("claim() takes what may be claimed, in its order, with attempts that nobody had", async (store) => {
  await store.admin.answer([5, 6].map(id), "main");
  await store.admin.retry([id(4)]);
  await endAbandoned(store);
  const claimed = await claim(store);
  const numbers = idsOf(claimed).map(numberOf);
  assertEquals(numbers, [4, 11, 5, 6, 13, 14, 15, 3, 1]);
  const attempts = Object.fromEntries(
    claimed.tasks.map(({ lease }, n) => [nth(numbers, n), lease.attempt]),
  );
  assertEquals(attempts, {
    1: 1,
    3: 2,
    4: 2,
    11: 1,
    // Each of these has asked in its first.
    5: 2,
    6: 2,
    13: 2,
    14: 2,
    // Its first was given back.
    15: 1,
  });
  const answers = parseTrace(nth(claimed.tasks, 4).task.traceText)?.answers;
  assertEquals(answers, [{
    question: "Which?",
    answer: "the first",
    answered_at: "2026-01-19T18:30:03.500+00:00",
  }]);
  const { results } = await record(
    store,
    ...claimed.tasks.map((it) => complete(it)),
  );
  assertEquals(results, claimed.tasks.map(() => "written"));
});

test("heartbeat() and record() know the leases", async (store) => {
  const { queue } = store;
  const leases = [2, 18, 3].map(leaseOf);
  assertEquals(await queue.heartbeat(leases, { leaseMs: HOUR }), [
    "held",
    "cancelled",
    "held",
  ]);
  const task = await taskOf(store, id(2));
  const { results } = await record(
    store,
    complete({ task, lease: leaseOf(2) }),
    complete({ task, lease: { ...leaseOf(2), id: crypto.randomUUID() } }),
  );
  assertEquals(results, ["written", "lost"]);
});

test("all tasks come to their end", async (store, { clock }) => {
  await store.admin.answer([5, 6].map(id), "main");
  // A day later, all is due, and each lease is over.
  await clock.advance(25 * HOUR);
  while (true) {
    await endAbandoned(store);
    const { tasks } = await claim(store, { isIdle: true });
    if (tasks.length === 0) break;
    await record(store, ...tasks.map((it) => complete(it)));
  }
  assertEquals(await statesOf(store), { completed: 12, failed: 7 });
});

test("after() gives the history, and goes on with it", async (store) => {
  const { events } = store;
  const page = await events.after(events.first, { limit: 100 });
  assertEquals(page.events.length, 50);
  assertEquals(page.cursor, await events.last());
  await store.admin.cancel([id(1)]);
  const { events: more } = await events.after(page.cursor, { limit: 100 });
  assertEquals(more.map(({ kind }) => kind), ["cancelled"]);
});

test("exchange() delivers what waits for a webhook", async ({ outbox }) => {
  await outbox.register([ENDPOINT]);
  const [before] = await outbox.status([ENDPOINT]);
  assertEquals([before?.pending, before?.lastError], [8, "HTTP 503"]);
  const options = {
    limit: 20,
    leaseMs: 30_000,
    patience: { ms: 24 * HOUR, tries: 10 },
  };
  const { deliveries } = await outbox.exchange(ENDPOINT, {
    ...options,
    results: [],
  });
  assertEquals(
    deliveries.map((
      { taskId, event, tries },
    ) => [numberOf(taskId), event, tries]),
    [
      [8, "failed", 2],
      [9, "cancelled", 1],
      [10, "failed", 1],
      [5, "needs_input", 1],
      [6, "needs_input", 1],
      [12, "needs_input", 1],
      [13, "needs_input", 1],
      [14, "needs_input", 1],
    ],
  );
  await outbox.exchange(ENDPOINT, {
    ...options,
    results: deliveries.map(({ eventId }) => ({ kind: "delivered", eventId })),
  });
  const [after] = await outbox.status([ENDPOINT]);
  assertEquals([after?.pending, after?.givenUp], [0, 0]);
});
