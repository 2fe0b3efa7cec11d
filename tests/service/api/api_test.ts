import { assert, assertEquals, assertMatch } from "@std/assert";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import type { JsonObject } from "../../../lib/task/task.ts";
import { askInput, complete } from "../../../lib/task/transitions.ts";
import { NO_ID, TestService } from "../service.ts";

const TASKS = "/api/v1/tasks";

Deno.test("POST /tasks creates a task with every field, GET has it", async () => {
  await using test = await TestService.start();
  const given = {
    id: "11111111-2222-4333-8444-555555555555",
    instruction: "Fix the flaky test",
    provider: "claude",
    user: "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    target: "octo/app#12",
    target_type: "pr",
    trace: { note: "ü", deep: { list: [1, null] } },
    priority: -5,
    run_at: "2126-12-31T08:00:00Z",
    attempts: 4,
    timeout: 1.5,
    batch: "nightly",
    key: "flaky",
    tags: ["small", "tests"],
  };
  const { status, headers, body } = await test.post(TASKS, given);
  assertEquals(status, 201);
  assertEquals(headers.get("Location"), `${TASKS}/${given.id}`);
  const { warnings, ...created } = body;
  assertEquals(warnings, []);
  const { created_at, updated_at, ...rest } = created;
  assertEquals(created_at, updated_at);
  assertEquals(rest, {
    id: given.id,
    state: "created",
    shown_state: "created",
    simulated: false,
    user_id: given.user,
    provider: "claude",
    target_type: "pr",
    target_ref: "octo/app#12",
    instruction: given.instruction,
    trace: given.trace,
    priority: -5,
    attempt: 0,
    questions: 0,
    max_attempts: 4,
    timeout_seconds: 1.5,
    run_at: "2126-12-31T08:00:00.000Z",
    batch: "nightly",
    key: "flaky",
    tags: ["small", "tests"],
    if_failed: null,
    blocked: false,
    repo: null,
    base: null,
    branch: null,
    touches: [],
    needs_approval: false,
    lease_owner: null,
    lease_expires_at: null,
    cancel_requested_at: null,
  });
  assertEquals(await test.ok(`${TASKS}/${given.id}`), created);
});

Deno.test("POST /tasks and /tasks/batch say whose tasks nobody works on", async () => {
  await using test = await TestService.start({
    served: {
      defaultProvider: "claude",
      warningFor: (provider) =>
        provider === "claude" ? undefined : `Nobody serves ${provider}`,
    },
  });
  const { body } = await test.post(TASKS, { instruction: "x" });
  assertEquals([body.provider, body.warnings], ["claude", []]);
  const tasks = ["a", "claude", "a", "b"].map((provider) => ({
    instruction: "x",
    provider,
  }));
  const batch = await test.post(`${TASKS}/batch`, { tasks });
  assertEquals(batch.body.warnings, ["Nobody serves a", "Nobody serves b"]);
  const session = await test.ok("/api/v1/session");
  assertEquals(session.default_provider, "claude");
});

Deno.test("POST /tasks keeps integers beyond 2^53 of a trace", async () => {
  await using test = await TestService.start();
  const body = '{"instruction": "x", "trace": {"n": 12345678901234567890}}';
  const { status } = await test.post(TASKS, body);
  assertEquals(status, 201);
  const response = await fetch(`${test.url}${TASKS}`);
  const { tasks: [{ id }] } = await response.json();
  const text = await (await fetch(`${test.url}${TASKS}/${id}`)).text();
  assert(text.includes('"trace":{"n":12345678901234567890}'), text);
});

Deno.test("POST /tasks puts a traceparent header into the trace", async () => {
  await using test = await TestService.start();
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const { body } = await test.post(TASKS, { instruction: "x" }, {
    traceparent,
  });
  assertEquals(body.trace, { traceparent });
  const own = { traceparent: "mine" };
  const task = { instruction: "x", trace: own };
  const other = await test.post(TASKS, task, { traceparent });
  assertEquals(other.body.trace, own);
});

const INVALID: [what: string, task: unknown, path: string][] = [
  ["no instruction", {}, "body.instruction"],
  ["a blank instruction", { instruction: " \n" }, "body.instruction"],
  ["a number for a text", { instruction: 1 }, "body.instruction"],
  ["an unknown field", { instruction: "x", prio: 1 }, "body"],
  ["a bad id", { instruction: "x", id: "1" }, "body.id"],
  ["a bad target", { instruction: "x", target: "app" }, "body.target"],
  ["a text for a number", { instruction: "x", priority: "1" }, "body.priority"],
  ["a fraction", { instruction: "x", attempts: 1.5 }, "body.attempts"],
  ["no attempts", { instruction: "x", attempts: 0 }, "body.attempts"],
  ["no time", { instruction: "x", timeout: 0 }, "body.timeout"],
  ["no duration", { instruction: "x", timeout: "soon" }, "body.timeout"],
  ["a day only", { instruction: "x", run_at: "2026-12-31" }, "body.run_at"],
  [
    "February 30",
    { instruction: "x", run_at: "2026-02-30T00:00:00Z" },
    "body.run_at",
  ],
  ["a list for a trace", { instruction: "x", trace: [] }, "body.trace"],
  ["a list", [], "body"],
  ["null", null, "body"],
];

Deno.test("POST /tasks says what is wrong with a field", async (t) => {
  await using test = await TestService.start();
  for (const [what, task, path] of INVALID) {
    await t.step(what, async () => {
      const { status, body } = await test.post(TASKS, task);
      assertEquals(status, 422, JSON.stringify(body));
      const [error] = body.errors;
      assertEquals(error.path, path);
      assert(body.detail.includes(error.message), body.detail);
    });
  }
  await t.step("a target type without a target", async () => {
    const task = { instruction: "x", target_type: "pr" };
    const { status, body } = await test.post(TASKS, task);
    assertEquals(status, 422);
    assertMatch(body.detail, /Give a target too/);
  });
  assertEquals((await test.ok(TASKS)).total, 0);
});

Deno.test("POST /tasks refuses an id that is taken", async () => {
  await using test = await TestService.start();
  const id = await test.create();
  const { status, body } = await test.post(TASKS, { instruction: "y", id });
  assertEquals(status, 409);
  assertMatch(body.detail, /there is one with this id/);
});

Deno.test("an Idempotency-Key creates one task, also after a restart of the service", async () => {
  await using test = await TestService.start();
  const key = { "Idempotency-Key": "order 66" };
  const task = { instruction: "Once", trace: { a: 1 } };
  const first = await test.post(TASKS, task, key);
  assertEquals(first.status, 201);
  // A run changes the trace; the digest stays.
  await test.run((claimed) => complete(claimed));
  const traced = {
    ...key,
    traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
  };
  const second = await test.post(TASKS, task, traced);
  assertEquals([second.status, second.body.id], [200, first.body.id]);
  assertEquals(second.body.state, "completed");
  const other = await test.post(TASKS, { instruction: "Twice" }, key);
  assertEquals(other.status, 422);
  assertMatch(other.body.detail, /Idempotency-Key was used before/);
  const user = await test.post(TASKS, { ...task, user: "else" }, key);
  assertEquals(user.status, 201, "another user's key is another key");
  assertEquals((await test.ok(TASKS)).total, 2);
});

Deno.test("one Idempotency-Key at the same time creates one task", async () => {
  await using test = await TestService.start();
  const headers = { "Idempotency-Key": "at once" };
  const answers = await Promise.all(
    Array.from(
      { length: 8 },
      () => test.post(TASKS, { instruction: "Once" }, headers),
    ),
  );
  assertEquals(new Set(answers.map(({ body }) => body.id)).size, 1);
  assertEquals(
    answers.map(({ status }) => status).sort(),
    [200, 200, 200, 200, 200, 200, 200, 201],
  );
});

Deno.test("an Idempotency-Key that is empty or too long is refused", async () => {
  await using test = await TestService.start();
  for (const key of ["", "x".repeat(256)]) {
    const headers = { "Idempotency-Key": key };
    const { status } = await test.post(TASKS, { instruction: "x" }, headers);
    assertEquals(status, 400);
  }
});

Deno.test("POST /tasks/batch creates all tasks or none", async () => {
  await using test = await TestService.start();
  const path = `${TASKS}/batch`;
  const tasks = [{ instruction: "a" }, { instruction: "b", provider: "p" }];
  const { status, body } = await test.post(path, { tasks });
  assertEquals([status, body.count, body.ids.length], [201, 2, 2]);
  assertEquals((await test.ok(`${TASKS}/${body.ids[1]}`)).provider, "p");

  const half = [{ instruction: "c" }, { instruction: "d", id: body.ids[0] }];
  assertEquals((await test.post(path, { tasks: half })).status, 409);
  const wrong = [{ instruction: "c" }, { instruction: "" }];
  const refused = await test.post(path, { tasks: wrong });
  assertEquals(refused.status, 422);
  assertEquals(refused.body.errors[0].path, "body.tasks.1.instruction");
  const twins = [{ instruction: "c", id: NO_ID }, {
    instruction: "d",
    id: NO_ID,
  }];
  const twice = await test.post(path, { tasks: twins });
  assertEquals(twice.status, 422);
  assertMatch(twice.body.detail, /Two of the tasks have the id/);
  assertEquals((await test.post(path, { tasks: [] })).status, 422);
  assertEquals((await test.ok(TASKS)).total, 2);
});

Deno.test("POST /tasks/batch with an Idempotency-Key gives the same ids again", async () => {
  await using test = await TestService.start();
  const path = `${TASKS}/batch`;
  const key = { "Idempotency-Key": "batch 1" };
  const tasks = [{ instruction: "a" }, { instruction: "a" }, {
    instruction: "a",
    user: "else",
  }];
  const first = await test.post(path, { tasks }, key);
  const again = await test.post(path, { tasks }, key);
  assertEquals([first.status, again.status], [201, 200]);
  assertEquals(again.body, first.body);
  const shorter = await test.post(path, { tasks: tasks.slice(1) }, key);
  assertEquals(shorter.status, 422);
  assertEquals((await test.ok(TASKS)).total, 3);
});

Deno.test("POST /tasks/batch is bounded", async () => {
  await using test = await TestService.start();
  const path = `${TASKS}/batch`;
  const tasks = Array.from({ length: 10_001 }, () => ({ instruction: "x" }));
  assertEquals((await test.post(path, { tasks })).status, 422);
  const most = await test.post(path, { tasks: tasks.slice(1) });
  assertEquals([most.status, most.body.count], [201, 10_000]);
});

Deno.test("GET /tasks filters by state, provider and text, newest first", async () => {
  await using test = await TestService.start();
  const ids = [];
  for (
    const task of [
      { instruction: "Alpha ONE", provider: "a" },
      { instruction: "beta two", provider: "b", target: "Octo/App#7" },
      { instruction: "gamma % _ one", provider: "a" },
    ]
  ) ids.push(await test.create(task));
  const [one, two, three] = ids;
  const list = async (query: string) =>
    (await test.ok(`${TASKS}?${query}`)).tasks.map((it: { id: string }) =>
      it.id
    );
  assertEquals(await list(""), [three, two, one]);
  assertEquals(await list("provider=a"), [three, one]);
  assertEquals(await list("q=one"), [three, one]);
  assertEquals(await list("q=%20OcTo/app%237%20"), [two]);
  assertEquals(await list(`q=${two!.slice(0, 13)}`), [two]);
  assertEquals(await list(`q=${two!.toUpperCase()}`), [two]);
  assertEquals(await list("q=%25"), [three], "no wildcard");
  assertEquals(await list("q=nothing"), []);
  await test.post(`${TASKS}/${one}/cancel`);
  assertEquals(await list("state=failed"), [one]);
  assertEquals(await list("state=created,failed&provider=a"), [three, one]);
  assertEquals(await list("state=completed"), []);
  assertEquals((await test.ok(`${TASKS}?limit=1&state=created`)).total, 2);
});

Deno.test("GET /tasks refuses what it does not understand", async (t) => {
  await using test = await TestService.start();
  const cursor = btoa("12.not-an-id");
  for (
    const query of [
      "state=done",
      "state=",
      "limit=0",
      "limit=501",
      "limit=x",
      "limit=1&limit=2",
      "cursor=x",
      `cursor=${cursor}`,
      `q=${"x".repeat(201)}`,
    ]
  ) {
    await t.step(query.slice(0, 30), async () => {
      const { status, body } = await test.get(`${TASKS}?${query}`);
      assertEquals(status, 400);
      assertMatch(body.errors[0].path, /^query\.\w+/);
    });
  }
});

Deno.test("a cursor's pages have each task once, whatever is created meanwhile", async () => {
  await using test = await TestService.start();
  // Many of one moment, and some later.
  const ids = await test.add(Array(13).fill({}));
  for (let n = 0; n < 10; n++) ids.push(...await test.add([{}]));
  const seen: string[] = [];
  let query = "limit=5";
  for (let page = 0; page < 5; page++) {
    const body = await test.ok(`${TASKS}?${query}`);
    seen.push(...body.tasks.map(({ id }: { id: string }) => id));
    assertEquals(body.total, 23 + page, "the new ones count");
    assertEquals(body.next_cursor === null, page === 4);
    query = `limit=5&cursor=${body.next_cursor}`;
    await test.create();
  }
  assertEquals(seen.length, 23);
  assertEquals(seen.toSorted(), ids.toSorted());
  assertEquals(seen.slice(0, 10), ids.slice(13).toReversed());
});

Deno.test("GET /tasks shows progress, error and question, and cuts what is long", async () => {
  await using test = await TestService.start();
  const trace = {
    progress: "Half way",
    progress_fraction: 0.5,
    question: "Which branch?",
    error: "not while it is created",
  };
  await test.create({ instruction: "i".repeat(5_000), trace });
  const [task] = (await test.ok(TASKS)).tasks;
  assertEquals(task.instruction, "i".repeat(1_000));
  assertEquals("trace" in task, false);
  const { progress, progress_fraction, error, question } = task;
  assertEquals([progress, progress_fraction, error, question], [
    "Half way",
    0.5,
    null,
    "Which branch?",
  ]);
  await test.create({ trace: { ...trace, long: "x".repeat(20_000) } });
  assertEquals((await test.ok(TASKS)).tasks[0].progress, "Half way");
});

Deno.test("GET /tasks/{id} and its events say 404 for none and 400 for no id", async () => {
  await using test = await TestService.start();
  for (const rest of ["", "/events"]) {
    assertEquals((await test.get(`${TASKS}/${NO_ID}${rest}`)).status, 404);
    assertEquals((await test.get(`${TASKS}/1${rest}`)).status, 400);
  }
  const id = await test.create();
  assertEquals((await test.ok(`${TASKS}/${id.toUpperCase()}`)).id, id);
});

Deno.test("GET /tasks/{id}/events is the task's history, oldest first", async () => {
  await using test = await TestService.start();
  const id = await test.create();
  await test.create();
  await test.claim();
  const { events } = await test.ok(`${TASKS}/${id}/events`);
  assertEquals(
    events.map((
      { kind, task_id, attempt, runner }: Record<string, unknown>,
    ) => [
      kind,
      task_id,
      attempt,
      runner,
    ]),
    [["created", id, 0, null], ["started", id, 1, "tester"]],
  );
});

Deno.test("a trace that is no JSON object is shown as it is", async () => {
  await using test = await TestService.start();
  const id = await test.create();
  await test.claim();
  await test.released();
  const connection = await connectDuckDb(test.path);
  await connection.run("UPDATE agent_tasks SET last_update = 'not {json'");
  connection.close();
  assertEquals((await test.ok(`${TASKS}/${id}`)).trace, "not {json");
  assertEquals((await test.ok(TASKS)).tasks[0].progress, null);
});

Deno.test("POST /tasks/{id}/retry makes a new task of one that ended", async () => {
  await using test = await TestService.start();
  const id = await test.create();
  const retry = (id: string) => test.post(`${TASKS}/${id}/retry`);
  assertEquals((await retry(id)).status, 409);
  await test.post(`${TASKS}/${id}/cancel`);
  const { status, body } = await retry(id);
  assertEquals([status, body.id, body.result], [201, id, "retried"]);
  const again = await test.ok(`${TASKS}/${body.new_id}`);
  assertEquals([again.state, again.trace], ["created", { retry_of: id }]);
  assertEquals((await retry(NO_ID)).status, 404);
  const noted = { note: "Look at é first" };
  const other = await test.post(`${TASKS}/${id}/retry`, noted);
  const { trace } = await test.ok(`${TASKS}/${other.body.new_id}`);
  assertEquals(trace.notes[0].text, noted.note);
  for (const body of [{ note: " " }, { notes: "x" }]) {
    assertEquals((await test.post(`${TASKS}/${id}/retry`, body)).status, 422);
  }
});

Deno.test("POST /tasks/{id}/cancel cancels at once, or asks the runner to", async () => {
  await using test = await TestService.start();
  const waiting = await test.create();
  const cancel = (id: string) => test.post(`${TASKS}/${id}/cancel`);
  const done = await cancel(waiting);
  assertEquals([done.status, done.body], [200, {
    id: waiting,
    result: "cancelled",
  }]);
  assertEquals((await test.ok(`${TASKS}/${waiting}`)).state, "failed");
  assertEquals((await cancel(waiting)).status, 409);
  const running = await test.create();
  await test.claim();
  const asked = await cancel(running);
  assertEquals([asked.status, asked.body.result], [202, "requested"]);
  assert((await test.ok(`${TASKS}/${running}`)).cancel_requested_at);
  assertEquals((await cancel(NO_ID)).status, 404);
  const withBody = await test.post(`${TASKS}/${running}/cancel`, {});
  assertEquals(withBody.status, 202);
});

Deno.test("POST /tasks/{id}/answer answers the question of a task", async () => {
  await using test = await TestService.start();
  const id = await test.create();
  const answer = (body: unknown, to = id) =>
    test.post(`${TASKS}/${to}/answer`, body);
  assertEquals((await answer({ answer: "main" })).status, 409);
  await test.run((claimed) => askInput(claimed, "Which branch?"));
  assertEquals((await test.ok(TASKS)).tasks[0].question, "Which branch?");
  for (const wrong of [{}, { answer: " " }, { answer: 1 }, { text: "x" }]) {
    assertEquals((await answer(wrong)).status, 422);
  }
  const { status, body } = await answer({ answer: "main" });
  assertEquals([status, body], [200, { id, result: "answered" }]);
  const { trace } = await test.ok(`${TASKS}/${id}`);
  assertEquals(trace.answers[0].answer, "main");
  assertEquals((await answer({ answer: "x" }, NO_ID)).status, 404);
});

Deno.test("POST /tasks/amend moves no task to another folder", async () => {
  await using test = await TestService.start();
  const { body: { id } } = await test.post(TASKS, { instruction: "x" });
  const amend = (workspace: JsonObject) =>
    test.post(`${TASKS}/amend`, { id, kind: "merged", detail: "x", workspace });
  assertEquals((await amend({ merged: "1" })).body, { result: "amended" });
  for (const name of ["path", "repo", "host", "branch", "base"]) {
    assertEquals((await amend({ [name]: "/etc" })).status, 422, name);
  }
});

Deno.test("GET /stats counts by state and provider, and over time", async () => {
  await using test = await TestService.start();
  for (const provider of ["a", "a", "b"]) await test.create({ provider });
  await test.create({ provider: "a", run_at: "2126-01-01T00:00:00Z" });
  const [first, second] = await test.claim(2);
  await test.store.queue.record([complete(first!)]);
  const stats = await test.ok("/api/v1/stats?window=1h&buckets=4");
  assertEquals(stats.states, {
    created: 2,
    running: 1,
    needs_input: 0,
    completed: 1,
    failed: 0,
  });
  assertEquals(stats.providers, [
    {
      provider: "a",
      total: 3,
      states: { created: 1, running: 1, completed: 1 },
    },
    { provider: "b", total: 1, states: { created: 1 } },
  ]);
  assertEquals([stats.total, stats.waiting, stats.in_flight], [4, 1, 1]);
  assert(second && stats.waiting_since <= stats.as_of);
  assertEquals([stats.window_seconds, stats.bucket_seconds], [3_600, 900]);
  assertEquals(stats.buckets.length, 4);
  const sum = (name: string) =>
    stats.buckets.reduce(
      (n: number, it: Record<string, number>) => n + it[name]!,
      0,
    );
  assertEquals(["created", "started", "completed", "failed"].map(sum), [
    4,
    2,
    1,
    0,
  ]);
  const { wait_seconds, run_seconds } = stats.buckets.at(-1);
  assert(wait_seconds.p95 >= wait_seconds.p50 && wait_seconds.p50 >= 0);
  assert(run_seconds.p50 >= 0 && run_seconds.p95 >= run_seconds.p50);
  assertEquals(stats.buckets[0].wait_seconds, null);
});

Deno.test("GET /stats refuses windows that make no sense", async () => {
  await using test = await TestService.start();
  for (
    const query of [
      "window=1",
      "window=0h",
      "window=367d",
      "buckets=0",
      "buckets=501",
    ]
  ) {
    assertEquals((await test.get(`/api/v1/stats?${query}`)).status, 400, query);
  }
  assertEquals((await test.ok("/api/v1/stats")).buckets.length, 96);
});

Deno.test("/health and /ready say how it is", async () => {
  await using test = await TestService.start();
  assertEquals(await test.ok("/health"), { status: "ok", version: "1.2.3" });
  assertEquals(await test.ok("/ready"), {
    status: "ready",
    database: "reachable",
    runner: "none",
  });
});

Deno.test("/ready says 503 where the database can't be used", async () => {
  await using test = await TestService.start();
  await test.released();
  Deno.removeSync(test.path);
  Deno.mkdirSync(test.path);
  const { status, body } = await test.get("/ready");
  assertEquals([status, body.status, body.runner], [503, "not ready", "none"]);
  assertMatch(body.database, /it is a folder/);
  assertEquals((await test.get(TASKS)).status, 503);
  assertEquals((await test.get("/health")).status, 200);
  Deno.removeSync(test.path);
});

Deno.test("an unknown path is 404, an unknown method 405 with those that there are", async () => {
  await using test = await TestService.start();
  assertEquals((await test.get("/api/v1/nope")).status, 404);
  const { status, headers } = await test.send("PUT", TASKS);
  assertEquals([status, headers.get("Allow")], [405, "GET, HEAD, POST"]);
  const options = await test.send("OPTIONS", `${TASKS}/${NO_ID}`);
  assertEquals([options.status, options.headers.get("Allow")], [
    405,
    "GET, HEAD, PATCH",
  ]);
});

Deno.test("the document names every route and is closed", async () => {
  await using test = await TestService.start();
  const { json } = await test.document();
  assertEquals(json.openapi, "3.1.0");
  assertEquals(
    Object.entries(json.paths as Record<string, object>)
      .flatMap(([path, it]) =>
        Object.keys(it).map((method) => `${method} ${path}`)
      )
      .sort(),
    [
      "delete /api/v1/session",
      "get /api/v1/batches",
      "get /api/v1/batches/{name}",
      "get /api/v1/events",
      "get /api/v1/export",
      "get /api/v1/pauses",
      "get /api/v1/prunable",
      "get /api/v1/runners",
      "get /api/v1/schedules",
      "get /api/v1/session",
      "get /api/v1/stats",
      "get /api/v1/stats/counts",
      "get /api/v1/stats/figures",
      "get /api/v1/stats/overview",
      "get /api/v1/tasks",
      "get /api/v1/tasks/cancellable",
      "get /api/v1/tasks/retryable",
      "get /api/v1/tasks/whole",
      "get /api/v1/tasks/{id}",
      "get /api/v1/tasks/{id}/diff",
      "get /api/v1/tasks/{id}/events",
      "get /api/v1/tasks/{id}/graph",
      "get /api/v1/tasks/{id}/logs",
      "get /api/v1/tasks/{id}/logs/stream",
      "get /health",
      "get /metrics",
      "get /ready",
      "patch /api/v1/tasks/{id}",
      "post /api/v1/pauses",
      "post /api/v1/pauses/resume",
      "post /api/v1/prune",
      "post /api/v1/runners/drain",
      "post /api/v1/schedules",
      "post /api/v1/schedules/pause",
      "post /api/v1/schedules/remove",
      "post /api/v1/schedules/resume",
      "post /api/v1/session",
      "post /api/v1/tasks",
      "post /api/v1/tasks/amend",
      "post /api/v1/tasks/answer",
      "post /api/v1/tasks/approve",
      "post /api/v1/tasks/batch",
      "post /api/v1/tasks/cancel",
      "post /api/v1/tasks/dependents",
      "post /api/v1/tasks/move",
      "post /api/v1/tasks/note",
      "post /api/v1/tasks/retry",
      "post /api/v1/tasks/{id}/answer",
      "post /api/v1/tasks/{id}/cancel",
      "post /api/v1/tasks/{id}/retry",
    ],
  );
});
