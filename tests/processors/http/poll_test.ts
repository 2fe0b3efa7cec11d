import { assertEquals } from "@std/assert";
import type { JsonValue, Outcome } from "../../../lib/task/task.ts";
import { failed, HastyClock, send, Service } from "./http_service.ts";

/** What a service answers one after another; a number is a bare status. */
type Script = readonly (
  | number
  | { status?: number; headers?: Record<string, string>; json?: JsonValue }
)[];

function scripted(script: Script): Service {
  return new Service((_, index) => {
    const answer = script[index] ?? 418;
    const { status = 200, headers, json } = typeof answer === "number"
      ? { status: answer }
      : answer;
    return json === undefined
      ? new Response(null, { status, headers })
      : Response.json(json, { status, headers });
  });
}

/** Long limits, which are not confused with waits; and short waits. */
const LIMITS = { connectTimeout: 7_000, requestTimeout: 8_000 };

async function follow(script: Script, poll: Record<string, number> = {}) {
  await using service = scripted(script);
  const clock = new HastyClock();
  const progress: unknown[] = [];
  const outcome = await send(service.url() + "/tasks", {
    fields: { ...LIMITS, poll },
    parts: { clock },
    context: { progress: (...note) => progress.push(note) },
  });
  return {
    outcome,
    progress,
    paths: service.received.map(({ method, path }) => `${method} ${path}`),
    waits: clock.waits.filter((ms) => ms < 7_000_000),
    host: new URL(service.url()).host,
  };
}

const LOCATION = { status: 202, headers: { Location: "/status/5?a=1" } };
const RUNNING = { json: { status: "running" } };

Deno.test("http polls the status URL of 202 until it gives a result", async () => {
  const { outcome, paths, waits } = await follow([
    LOCATION,
    { json: { status: "queued" } },
    202,
    RUNNING,
    { json: { agent_runner: "progress", message: "Nearly" } },
    { json: { pr: 5 } },
  ]);
  assertEquals(outcome, { kind: "completed", result: { pr: 5 } });
  assertEquals(paths, [
    "POST /tasks",
    ...Array(5).fill("GET /status/5?a=1"),
  ]);
  assertEquals(waits, [2_000, 3_000, 4_500, 6_750, 10_125]);
});

Deno.test("http takes the status URL from the body, and a new one from later answers", async () => {
  const { outcome, paths } = await follow([
    { status: 202, json: { status_url: "one" } },
    { status: 202, json: { status_url: "/two" } },
    RUNNING,
    204,
  ], { interval: 0.1 });
  assertEquals(outcome, { kind: "completed" });
  assertEquals(paths, ["POST /tasks", "GET /one", "GET /two", "GET /two"]);
});

Deno.test("http polls a status URL with a secret in it as it is", async () => {
  await using service = new Service(({ path }) =>
    path === "/tasks"
      ? Response.json({ status_url: "/s3cret" }, { status: 202 })
      : new Response(path)
  );
  const fields = {
    headers: { "X-Key": "${env:KEY}" },
    poll: { interval: 0.1 },
  };
  const parts = { variable: () => "s3cret" };
  assertEquals(await send(`${service.url()}/tasks`, { fields, parts }), {
    kind: "completed",
    result: "/***",
  });
});

Deno.test("http understands an answer that has the words of a secret", async () => {
  const answers = [
    Response.json({ status_url: "/status" }, { status: 202 }),
    Response.json({ status: "running", progress: "a running one" }),
    Response.json({ agent_runner: "question", question: "Is it running?" }),
  ];
  await using service = new Service(() => answers.shift() ?? new Response());
  const fields = {
    headers: { "X-1": "${env:status}", "X-2": "${env:running}" },
    poll: { interval: 0.1 },
  };
  const notes: string[] = [];
  const outcome = await send(service.url(), {
    fields,
    parts: { variable: (name: string) => name },
    context: { progress: (message: string) => notes.push(message) },
  });
  assertEquals(outcome, { kind: "needs_input", question: "Is it ***?" });
  assertEquals(notes, ["a *** one"]);
});

Deno.test("http polls what a 303 leads to", async () => {
  const { outcome, paths } = await follow([
    { status: 303, headers: { Location: "/status" } },
    RUNNING,
    { json: "done" },
  ]);
  assertEquals(outcome, { kind: "completed", result: "done" });
  assertEquals(paths, ["POST /tasks", "GET /status", "GET /status"]);
});

Deno.test("http polls as often as configured", async () => {
  const { waits } = await follow(
    [LOCATION, ...Array(4).fill(RUNNING), 200],
    { interval: 1, maxInterval: 2 },
  );
  assertEquals(waits, [1_000, 1_500, 2_000, 2_000, 2_000]);
});

Deno.test("http waits between polls as long as the service says", async () => {
  const { waits } = await follow([
    { ...LOCATION, headers: { ...LOCATION.headers, "Retry-After": "9" } },
    { ...RUNNING, headers: { "Retry-After": "0" } },
    { status: 503, headers: { "Retry-After": "5" } },
    RUNNING,
    200,
  ], { interval: 1 });
  assertEquals(waits, [9_000, 100, 5_000, 1_000]);
});

Deno.test("http tells progress, and nothing twice", async () => {
  const { progress } = await follow([
    { ...LOCATION, json: { progress: "Taken" } },
    { json: { status: "running", progress: "Half\n way", fraction: 0.5 } },
    { json: { status: "running", progress: "Half\n way", fraction: 0.5 } },
    RUNNING,
    { json: { status: "running", fraction: 0.75 } },
    { json: { status: "running", progress: 7, fraction: 2 } },
    { json: { status: "running", fraction: "1" } },
    { json: { status: "running", progress: "x".repeat(2_000) } },
    200,
  ], { interval: 0.1 });
  assertEquals(progress, [
    ["Taken", undefined],
    ["Half way", 0.5],
    ["Working", 0.75],
    ["Working", 2],
    ["x".repeat(1_000) + "… (cut: 2,000 characters in all)", undefined],
  ]);
});

const ENDS: [name: string, last: Script[number], outcome: Outcome][] = [
  ["a failure", { json: { status: "failed", error: "No\n repo" } }, {
    kind: "failed",
    error: "No repo",
    retryable: true,
  }],
  ["a failure for good", { json: { status: "failed", retryable: false } }, {
    kind: "failed",
    error: "The service says that it failed",
    retryable: false,
  }],
  [
    "a question",
    { json: { agent_runner: "question", question: "Which?" } },
    { kind: "needs_input", question: "Which?" },
  ],
  ["a result", { json: { status: "succeeded", pr: 5 } }, {
    kind: "completed",
    result: { status: "succeeded", pr: 5 },
  }],
];

for (const [name, last, outcome] of ENDS) {
  Deno.test(`http takes ${name} from a status URL`, async () => {
    assertEquals((await follow([LOCATION, last])).outcome, outcome);
  });
}

Deno.test("http goes on where a status URL fails five times in a row", async () => {
  const { outcome, paths } = await follow([
    LOCATION,
    ...Array(5).fill(502),
    RUNNING,
    ...Array(5).fill(429),
    { json: 1 },
  ], { interval: 0.1 });
  assertEquals(outcome, { kind: "completed", result: 1 });
  assertEquals(paths.length, 13);
});

Deno.test("http gives up where a status URL fails six times in a row", async () => {
  const { outcome, paths, host } = await follow(
    [LOCATION, RUNNING, ...Array(6).fill(502), { json: 1 }],
    { interval: 0.1 },
  );
  assertEquals(
    outcome,
    failed(`${host} answered 502 Bad Gateway.`, { retryable: true }),
  );
  assertEquals(paths.length, 8);
});

Deno.test("http gives up at once where a status URL refuses", async () => {
  const { outcome, host } = await follow([LOCATION, 404, { json: 1 }]);
  assertEquals(
    outcome,
    failed(`${host} answered 404 Not Found.`, { retryable: false }),
  );
});

for (const location of ["ftp://127.0.0.1/x", "http://[", "javascript:1"]) {
  Deno.test(`http refuses the status URL ${location}`, async () => {
    const { outcome, host } = await follow([
      { status: 202, headers: { Location: location } },
    ]);
    const error =
      `http://${host}/tasks names ${location}, which is no http URL.`;
    assertEquals(outcome, failed(error, { retryable: false }));
  });
}

Deno.test("http refuses a status URL at an address that is not allowed", async () => {
  const { outcome } = await follow([
    { status: 202, headers: { Location: "http://169.254.169.254/latest" } },
  ], { interval: 0.1 });
  assertEquals(
    outcome,
    failed(
      "Cannot connect to 169.254.169.254: 169.254.169.254 is not a public " +
        'address. If it is meant, allow it with "allowPrivate" in the ' +
        "configuration.",
      { retryable: false },
    ),
  );
});
