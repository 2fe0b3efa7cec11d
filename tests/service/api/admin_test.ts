import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { askInput, fail } from "../../../lib/task/transitions.ts";
import { Folder } from "../../cli/cli.ts";
import { NO_ID, TestService } from "../service.ts";

const API = "/api/v1";
const TASKS = `${API}/tasks`;

/** A service with a task that failed, and one that waits. */
async function start() {
  const test = await TestService.start({ exclusive: true });
  const failed = await test.create({ provider: "claude" });
  await test.run((claimed) => fail(claimed, "Exit code 3"));
  const waiting = await test.create({ provider: "http", trace: { a: 1 } });
  return { test, failed, waiting };
}

Deno.test("GET /tasks/whole shows traces, by page and by the start of an id", async () => {
  const { test, failed, waiting } = await start();
  await using _ = test;
  const { tasks } = await test.ok(`${TASKS}/whole`);
  assertEquals(tasks.map(({ id }: { id: string }) => id), [waiting, failed]);
  assertEquals(tasks[0].trace, { a: 1 });
  const page = await test.ok(`${TASKS}/whole?limit=1&offset=1&state=failed`);
  assertEquals([page.tasks, page.next_cursor], [[], null]);
  const older = await test.ok(`${TASKS}/whole?limit=1&offset=1`);
  assertEquals([older.tasks, older.total], [[tasks[1]], 2]);
  const found = await test.ok(`${TASKS}/whole?id=${failed.slice(0, 13)}`);
  assertEquals(found.tasks, [tasks[1]]);
  const wrong = ["limit=501", "offset=-1", "id=", "state=x", "cursor=x"];
  for (const query of wrong) {
    const { status } = await test.get(`${TASKS}/whole?${query}`);
    assertEquals(status, 400, query);
  }
});

Deno.test("GET /tasks/whole goes on at a cursor, and cuts what is long on demand", async () => {
  await using test = await TestService.start({ exclusive: true });
  const long = { a: "x".repeat(20_000) };
  const instruction = "i".repeat(1_001);
  const older = await test.create({ instruction, trace: long });
  const newer = await test.create({ trace: { a: 1 } });
  const path = `${TASKS}/whole?limit=1`;
  const first = await test.ok(path);
  assertEquals([first.tasks[0].id, first.total], [newer, 2]);
  const second = await test.ok(`${path}&cursor=${first.next_cursor}`);
  assertEquals([second.tasks[0].id, second.next_cursor], [older, null]);
  assertEquals(second.tasks[0].instruction, instruction);
  assertEquals(second.tasks[0].trace, long);
  const { tasks } = await test.ok(`${TASKS}/whole?brief=true`);
  assertEquals(tasks[0].trace, { a: 1 });
  assertEquals(tasks[1].instruction, instruction.slice(0, 1_000));
  assertEquals(tasks[1].trace, {});
  const found = await test.ok(`${TASKS}/whole?q=DO%20SOME`);
  assertEquals(found.tasks.map(({ id }: { id: string }) => id), [newer]);
});

Deno.test("sets of tasks are found, cancelled and retried", async () => {
  const { test, failed, waiting } = await start();
  await using _ = test;
  assertEquals(await test.ok(`${TASKS}/cancellable`), {
    count: 1,
    tasks: [{ id: waiting, state: "created" }],
  });
  const query = "?state=failed,running&provider=claude";
  assertEquals(await test.ok(`${TASKS}/retryable${query}`), {
    count: 1,
    tasks: [{ id: failed, state: "failed" }],
  });
  const ids = [failed.toUpperCase(), waiting, NO_ID];
  const retried = await test.post(`${TASKS}/retry`, { ids });
  assertMatch(retried.body.results[0].new_id, /^[0-9a-f-]{36}$/);
  assertEquals(retried.body.results.slice(1), [
    { result: "refused", reason: "created" },
    { result: "refused", reason: "missing" },
  ]);
  const cancelled = await test.post(`${TASKS}/cancel`, { ids });
  assertEquals(cancelled.body.results, ["ended", "cancelled", "missing"]);
});

Deno.test("POST /tasks/answer gives many tasks the same answer", async () => {
  const { test, failed } = await start();
  await using _ = test;
  const asking = await test.create();
  const claimed = await test.claim();
  const asked = claimed.filter(({ task }) => task.id === asking);
  await test.store.queue.record(asked.map((it) => askInput(it, "Which?")));
  const created = await test.create();
  const ids = [failed, asking.toUpperCase(), created, NO_ID];
  const { body } = await test.post(`${TASKS}/answer`, { ids, answer: "Main" });
  assertEquals(body.results, ["ended", "answered", "not asked", "missing"]);
  const { trace } = await test.ok(`${TASKS}/${asking}`);
  assertEquals(trace.answers[0].answer, "Main");
  for (const answer of [" ", undefined, "x".repeat(1024 ** 2 + 1)]) {
    const { status } = await test.post(`${TASKS}/answer`, { ids, answer });
    assertEquals(status, 422);
  }
});

Deno.test("sets of tasks are bounded, and a task is retried once", async () => {
  await using test = await TestService.start();
  const paths = ["cancel", "retry", "answer"];
  const send = (path: string, ids: readonly string[]) =>
    test.post(`${TASKS}/${path}`, {
      ids,
      ...path === "answer" && { answer: "x" },
    });
  for (const ids of [[], ["x"], Array(10_001).fill(NO_ID)]) {
    for (const path of paths) {
      assertEquals(
        (await send(path, ids)).status,
        422,
        `${path} ${ids.length}`,
      );
    }
  }
  const twice = [NO_ID, NO_ID.toUpperCase()];
  assertEquals((await send("retry", twice)).status, 422);
  for (const path of ["cancel", "answer"]) {
    const { body } = await send(path, twice);
    assertEquals(body.results, ["missing", "missing"]);
  }
  const huge = await send("cancel", ["x".repeat(1024 ** 2)]);
  assertEquals(huge.status, 413);
});

Deno.test("GET /stats/figures and /stats/overview say what happened", async () => {
  const { test, failed } = await start();
  await using _ = test;
  const day = new Date(Date.now() - 86_400_000).toISOString();
  const figures = await test.ok(
    `${API}/stats/figures?start=${day}&bucket_seconds=86400&buckets=2`,
  );
  assertEquals(figures.failures, [
    { reason: "Exit code <n>", count: 1, example_id: failed },
  ]);
  assertEquals(figures.buckets[1].created + figures.buckets[0].created, 2);
  assertEquals(figures.tasks.length, 2);
  const counts = await test.ok(`${API}/stats/counts`);
  assertEquals(counts.tasks, figures.tasks);
  assertEquals([counts.waiting, counts.in_flight], [1, 0]);
  const overview = await test.ok(`${API}/stats/overview`);
  assertEquals(overview.states, { created: 1, failed: 1 });
  assertEquals([overview.running, overview.running_count], [[], 0]);
  assertEquals(overview.ended[0].id, failed);
  for (
    const path of [
      "figures",
      "figures?start=now&bucket_seconds=1&buckets=1",
      `figures?start=${day}&bucket_seconds=0&buckets=1`,
      `figures?start=${day}&bucket_seconds=1&buckets=10001`,
      "overview?limit=501",
    ]
  ) assertEquals((await test.get(`${API}/stats/${path}`)).status, 400, path);
});

Deno.test("POST /prune deletes what GET /prunable counts", async () => {
  const { test, failed } = await start();
  await using _ = test;
  const before = new Date(Date.now() + 1_000).toISOString();
  const count = await test.ok(`${API}/prunable?before=${before}`);
  assertEquals(count, { tasks: 1, events: 3, kept: 0 });
  const pruned = await test.post(`${API}/prune`, { before });
  const { bytes_before, bytes, free_bytes, ...rest } = pruned.body;
  assertEquals([pruned.status, rest], [200, count]);
  assert(bytes_before > 0 && bytes > 0 && free_bytes >= 0);
  assertEquals((await test.get(`${TASKS}/${failed}`)).status, 404);
  assertEquals((await test.post(`${API}/prune`, {})).status, 422);
  assertEquals((await test.get(`${API}/prunable`)).status, 400);
});

Deno.test("GET /export gives a file and leaves none behind", async () => {
  const { test, failed } = await start();
  await using _ = test;
  const usual = Deno.env.get("TMPDIR");
  using own = new Folder();
  Deno.env.set("TMPDIR", own.path);
  using _usual = new DisposableStack();
  _usual.defer(() =>
    usual === undefined
      ? Deno.env.delete("TMPDIR")
      : Deno.env.set("TMPDIR", usual)
  );
  const { headers, body } = await test.get(`${API}/export?state=failed`);
  assertEquals(headers.get("Agent-Runner-Rows"), "1");
  assertEquals(JSON.parse(body).id, failed);
  const csv = await test.get(`${API}/export?format=csv&events=true`);
  assertMatch(csv.body, /^id,task_id,kind,/);
  const parquet = await test.get(`${API}/export?format=parquet`);
  assertStringIncludes(parquet.body, "PAR1");
  const head = await fetch(`${test.url}${API}/export`, { method: "HEAD" });
  assertEquals(head.status, 200);
  assertEquals(own.names(), []);
  for (const query of ["format=xml", "events=1", "since=x", "state=x"]) {
    assertEquals((await test.get(`${API}/export?${query}`)).status, 400);
  }
});

Deno.test("a refusal has a word for programs", async () => {
  const { test, failed, waiting } = await start();
  await using _ = test;
  const answer = { answer: "x" };
  const cases: [path: string, body: unknown, reason: string, id: string][] = [
    [`${TASKS}/${failed}/cancel`, undefined, "ended", failed],
    [`${TASKS}/${waiting}/answer`, answer, "not asked", waiting],
    [`${TASKS}/${NO_ID}/answer`, answer, "missing", NO_ID],
    [`${TASKS}/${waiting}/retry`, undefined, "created", waiting],
    [TASKS, { instruction: "x", id: failed }, "duplicate id", failed],
  ];
  for (const [path, body, reason, id] of cases) {
    const refused = await test.post(path, body);
    assertEquals([refused.body.reason, refused.body.task_id], [reason, id]);
  }
});

Deno.test("an id that is taken is said to be so, also under an Idempotency-Key", async () => {
  const { test, failed } = await start();
  await using _ = test;
  const key = { "Idempotency-Key": "k" };
  const task = { instruction: "x", id: failed };
  const { status, body } = await test.post(TASKS, task, key);
  assertEquals([status, body.reason], [409, "duplicate id"]);
  const own = { ...task, id: NO_ID };
  assertEquals((await test.post(TASKS, own, key)).status, 201);
  assertEquals((await test.post(TASKS, own, key)).status, 200);
});
