import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { Webhook } from "standardwebhooks";
import manifest from "../../../deno.json" with { type: "json" };
import { systemClock } from "../../../lib/base/clock.ts";
import type { Outcome } from "../../../lib/task/task.ts";
import { Folder } from "../../cli/cli.ts";
import {
  contextWith,
  failed,
  HastyClock,
  processorFor,
  send,
  Service,
  TASK,
} from "./http_service.ts";
import { RESULTS, RESULTS_TEXT } from "../../support/sample_results.ts";

/** Answers the task with one response. */
function answering(body: BodyInit | null, init?: ResponseInit): Service {
  return new Service(() => new Response(body, init));
}

Deno.test("http sends the task as JSON, with a key for it", async () => {
  await using service = answering(null);
  const outcome = await send(service.url() + "/tasks?a=1#x", {
    context: {
      trace: { big: 12345678901234567890n, note: "é" },
      answers: [{ question: "Q", answer: "A", answered_at: "now" }],
      results: RESULTS.slice(2),
    },
  });
  assertEquals(outcome, { kind: "completed" });
  const [{ method, path, headers, body } = fail()] = service.received;
  assertEquals({ method, path, headers }, {
    method: "POST",
    path: "/tasks?a=1",
    headers: {
      "accept": "application/json, */*",
      "accept-encoding": "identity",
      "connection": "close",
      "content-length": String(new TextEncoder().encode(body).length),
      "content-type": "application/json",
      "host": new URL(service.url()).host,
      "idempotency-key": "t1:2",
      "user-agent": `agent-runner/${manifest.version}`,
    },
  });
  assertMatch(body, /"big":12345678901234567890\b/);
  assertEquals(JSON.parse(body.replace("12345678901234567890", "1")), {
    id: "t1",
    user_id: "u1",
    provider: "api",
    target_type: "pr",
    target_ref: "octo/app#12",
    instruction: "Répare ça\n🙂",
    attempt: 2,
    idempotency_key: "t1:2",
    answers: [{ question: "Q", answer: "A", answered_at: "now" }],
    results: JSON.parse(RESULTS_TEXT).slice(2),
    trace: { big: 1, note: "é" },
  });
  assertEquals(service.received.length, 1);
});

function fail(): never {
  throw new Error("Nothing was received");
}

Deno.test("http sends by the method and with the headers that are configured", async () => {
  await using service = answering(null);
  await send(service.url(), {
    fields: {
      method: "PUT",
      headers: {
        "Authorization": "Bearer ${env:TOKEN}",
        "X-Two": "${env:A}-${env:TOKEN}",
        "user-agent": "mine",
        "X-Plain": "$5 {env}",
      },
    },
    parts: { variable: (name) => ({ TOKEN: "s3cret", A: "a" })[name] },
  });
  const [{ method, headers } = fail()] = service.received;
  assertEquals(method, "PUT");
  assertEquals(headers["authorization"], "Bearer s3cret");
  assertEquals(headers["x-two"], "a-s3cret");
  assertEquals(headers["x-plain"], "$5 {env}");
  assertEquals(headers["user-agent"], "mine");
});

Deno.test("http signs the task as Standard Webhooks says", async () => {
  await using service = answering(null);
  const secret = "whsec_" + btoa("0123456789abcdef0123456789abcdef");
  await send(service.url(), {
    fields: { secretEnv: "SECRET" },
    parts: { variable: () => secret },
  });
  const [{ headers, body } = fail()] = service.received;
  new Webhook(secret).verify(body, headers as Record<string, string>);
  assertEquals(headers["webhook-id"], "t1:2");
});

Deno.test("http signs with both secrets while one is changed for the other", async () => {
  await using service = answering(null);
  const secrets = ["the old one of the two keys", "the new one of the two keys"]
    .map((key) => `whsec_${btoa(key)}`);
  await send(service.url(), {
    fields: { secretEnv: "SECRET" },
    parts: { variable: () => secrets.join(" ") },
  });
  const [{ headers, body } = fail()] = service.received;
  for (const secret of secrets) {
    new Webhook(secret).verify(body, headers as Record<string, string>);
  }
});

const DEEP = "[".repeat(5_000) + "]".repeat(5_000);
const BROKEN_UTF8 = new Uint8Array([0x68, 0xff, 0xc3, 0x28]);

const SUCCESSES: [name: string, body: BodyInit | null, outcome: Outcome][] = [
  ["JSON", '{"a":[1,null]}', {
    kind: "completed",
    result: { a: [1, null] },
  }],
  ["null", "null", { kind: "completed", result: null }],
  ["a number beyond 2^53", "12345678901234567890", {
    kind: "completed",
    result: 12345678901234567890n,
  }],
  ["text", "done\n", { kind: "completed", result: "done\n" }],
  ["what looks like JSON", '{"a":', { kind: "completed", result: '{"a":' }],
  ["nothing", "", { kind: "completed" }],
  ["blanks", " \n", { kind: "completed" }],
  ["broken UTF-8", BROKEN_UTF8, {
    kind: "completed",
    result: "h\ufffd\ufffd(",
  }],
  ["JSON that is nested too deep", DEEP, { kind: "completed", result: DEEP }],
  ["a result", '{"agent_runner":"result","value":{"pr":5},"message":"Done"}', {
    kind: "completed",
    result: { pr: 5 },
    message: "Done",
  }],
  ["a question", '{"agent_runner":"question","question":"Which?"}', {
    kind: "needs_input",
    question: "Which?",
  }],
  ["an empty question", '{"agent_runner":"question","question":" "}', {
    kind: "completed",
    result: { agent_runner: "question", question: " " },
  }],
  ["a state that is no poll's", '{"status":"running"}', {
    kind: "completed",
    result: { status: "running" },
  }],
];

for (const [name, body, outcome] of SUCCESSES) {
  Deno.test(`http takes 200 with ${name} for ${outcome.kind}`, async () => {
    await using service = answering(body);
    assertEquals(await send(service.url()), outcome);
  });
}

Deno.test("http limits how long a question waits, where that is configured", async () => {
  await using service = answering(
    '{"agent_runner":"question","question":"Which?"}',
  );
  const fields = { answerWithin: 60 };
  assertEquals(await send(service.url(), { fields }), {
    kind: "needs_input",
    question: "Which?",
    answerWithinMs: 60_000,
  });
});

for (const status of [201, 204, 206]) {
  Deno.test(`http takes ${status} for completed`, async () => {
    await using service = answering(null, { status });
    assertEquals(await send(service.url()), { kind: "completed" });
  });
}

Deno.test("http takes 202 that names no status URL for completed", async () => {
  await using service = answering('{"queued":true}', { status: 202 });
  assertEquals(await send(service.url()), {
    kind: "completed",
    result: { queued: true },
  });
});

const FAILURES: [status: number, name: string, retryable: boolean][] = [
  [400, "400 Bad Request", false],
  [401, "401 Unauthorized", false],
  [404, "404 Not Found", false],
  [408, "408 Request Timeout", true],
  [409, "409 Conflict", false],
  [425, "425 Too Early", true],
  [429, "429 Too Many Requests", true],
  [499, "499", false],
  [500, "500 Internal Server Error", true],
  [503, "503 Service Unavailable", true],
  [599, "599", true],
];

for (const [status, name, retryable] of FAILURES) {
  Deno.test(`http takes ${status} for a failure ${retryable ? "to try again" : "for good"}`, async () => {
    await using service = answering("so\n sorry \x1b[31m", { status });
    const { host } = new URL(service.url());
    assertEquals(
      await send(service.url()),
      failed(`${host} answered ${name}: so sorry \\x1b[31m`, { retryable }),
    );
  });
}

Deno.test("http quotes a bounded part of an error", async () => {
  await using service = answering("😀".repeat(500_000), { status: 400 });
  const outcome = await send(service.url());
  assert(outcome.kind === "failed");
  assert(outcome.error.length < 1_100, String(outcome.error.length));
  assertMatch(
    outcome.error,
    /Bad Request: (😀)+… \(cut: [\d,]+ characters in all\)$/u,
  );
});

/** Nothing, where the header says nothing that counts. */
const RETRY_AFTER: [header: string, ms: number | undefined][] = [
  ["0", 0],
  ["7", 7_000],
  ["Mon, 19 Jan 2026 18:32:00 GMT", 120_000],
  ["Mon, 19 Jan 2026 18:00:00 GMT", 0],
  ["300", 300_000],
  ["-5", undefined],
  ["soon", undefined],
  ["", undefined],
];

/** Beyond five minutes, it is the provider's limit. */
const LIMITS: [header: string, status: number, ms: number][] = [
  ["301", 429, 301_000],
  ["999999999999999999999999", 503, 86_400_000],
  ["Fri, 31 Dec 2100 23:59:59 GMT", 429, 86_400_000],
];

for (const [header, status, waitMs] of LIMITS) {
  Deno.test(`http takes ${status} with Retry-After "${header}" for a limit`, async () => {
    await using service = answering(null, {
      status,
      headers: { "Retry-After": header },
    });
    const outcome = await send(service.url());
    assertEquals(outcome.kind, "limited");
    const { waitMs: told = 0 } = outcome as { waitMs?: number };
    assert(Math.abs(told - waitMs) < 60_000, `${told}`);
  });
}

Deno.test("http takes a body that says so for a limit", async () => {
  await using service = answering(
    JSON.stringify({ agent_runner: "limit", reason: "Weekly" }),
  );
  assertEquals(await send(service.url()), {
    kind: "limited",
    reason: "Weekly",
  });
});

for (const [header, retryAfterMs] of RETRY_AFTER) {
  Deno.test(`http takes Retry-After "${header}" for ${retryAfterMs} ms`, async () => {
    await using service = answering(null, {
      status: 503,
      headers: { "Retry-After": header },
    });
    const clock = {
      ...systemClock,
      now: () => new Date("2026-01-19T18:30:00Z"),
    };
    const { host } = new URL(service.url());
    assertEquals(
      await send(service.url(), { parts: { clock } }),
      failed(`${host} answered 503 Service Unavailable.`, {
        retryable: true,
        ...retryAfterMs !== undefined && { retryAfterMs },
      }),
    );
  });
}

const SIGNING_KEY = btoa("a signing key, long enough");

const SECRET = {
  fields: {
    headers: {
      "Authorization": "Bearer l1teral",
      "X-Any": "of ${env:TOKEN}",
    },
    secretEnv: "KEY",
    poll: { interval: 0.1 },
  },
  parts: {
    variable: (name: string) =>
      name === "TOKEN" ? 't0ken-"quoted"' : `whsec_${SIGNING_KEY}`,
  },
};

for (const status of [200, 400, 202]) {
  Deno.test(`http keeps secrets out of what ${status} brings`, async () => {
    await using service = new Service(({ headers, method }) => {
      const progress = `I got l1teral and ${headers["x-any"]}`;
      const echo = { ...headers, progress, key: SIGNING_KEY };
      return method === "GET"
        ? Response.json({ status: "failed", error: progress })
        : Response.json(echo, { status, headers: { Location: "/status" } });
    });
    const notes: string[] = [];
    const context = {
      progress: (message: string) => notes.push(message),
      output: (line: string) => notes.push(line),
    };
    const outcome = await send(service.url(), { ...SECRET, context });
    const all = JSON.stringify([outcome, notes]);
    assertMatch(all, /I got \*\*\* and of \*\*\*/);
    assert(!all.includes("t0ken"), all);
    assert(!all.includes("l1teral"), all);
    assert(!all.includes(SIGNING_KEY), all);
    assert(notes.length > 0);
  });
}

Deno.test("http does not send a task whose variables are not set", async () => {
  await using service = answering(null);
  const fields = {
    headers: { "X-A": "${env:ONE}", "X-B": "${env:TWO}" },
    secretEnv: "THREE",
  };
  const variable = (name: string) => ({ TWO: "a\nb", THREE: "%" })[name];
  assertEquals(
    await send(service.url(), { fields, parts: { variable } }),
    failed(
      "Cannot send the task: The variable ONE is not set. The variable TWO " +
        "can't be part of the header X-B: it has a line break or a character " +
        "beyond Latin-1. The variable THREE holds no secret to sign with. " +
        "Set it to whsec_ and 24 bytes or more in base64.",
      { retryable: false },
    ),
  );
  assertEquals(service.received, []);
});

Deno.test("describe() names the URL without what may be secret", () => {
  const url = "https://user.test/hook?key=s3cret#x";
  assertEquals(
    processorFor(url).describe?.(TASK),
    "sends the task to https://user.test/hook (POST)",
  );
});

Deno.test("check() connects and sends nothing", async () => {
  await using service = answering(null);
  assertEquals(await processorFor(service.url()).check?.(), []);
  assertEquals(service.received, []);
});

const WRONG: [
  what: string,
  url: string,
  fields: Record<string, unknown>,
  problems: readonly string[],
][] = [
  ["variables that are not set", "http://127.0.0.1:1", {
    headers: { "X-A": "${env:ONE}${env:ONE}" },
    secretEnv: "TWO",
  }, [
    "The variable ONE is not set.",
    "The variable TWO is not set. Set it to whsec_ and 24 bytes or more in " +
    "base64.",
    "Cannot connect to 127.0.0.1:1: the connection was refused.",
  ]],
  ["an address that is not public", "http://169.254.169.254/latest", {
    allowPrivate: ["10.0.0.0/8"],
  }, [
    "Cannot connect to 169.254.169.254: 169.254.169.254 is not a public " +
    'address. If it is meant, allow it with "allowPrivate" in the ' +
    "configuration.",
  ]],
  ["a host at such an address", "http://inside.test:8080", {
    allowPrivate: false,
  }, [
    "Cannot connect to inside.test:8080: inside.test has the address " +
    "10.0.0.1, which is not public. If it is meant, allow it with " +
    '"allowPrivate" in the configuration.',
  ]],
  ["a host that is none", "http://nobody.test", {}, [
    "Cannot resolve nobody.test: there is no such host.",
  ]],
];

for (const [what, url, fields, problems] of WRONG) {
  Deno.test(`check() finds ${what}`, async () => {
    const processor = processorFor(url, fields, {
      lookup: (host) =>
        host === "inside.test"
          ? Promise.resolve([
            { address: "1.1.1.1", family: 4 },
            { address: "10.0.0.1", family: 4 },
          ])
          : Promise.reject(Object.assign(new Error(), { code: "ENOTFOUND" })),
    });
    assertEquals(await processor.check?.(), problems);
  });
}

Deno.test("http stops at once when its signal aborts", async () => {
  const reached = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Response>();
  await using service = new Service(() => {
    reached.resolve();
    return answer.promise;
  });
  const stop = new AbortController();
  const outcome = send(service.url(), { context: { signal: stop.signal } });
  await reached.promise;
  stop.abort("cancelled");
  assertEquals(await outcome, failed("Stopped", { retryable: true }));
  answer.resolve(new Response());
});

Deno.test("http sends nothing when its signal has aborted", async () => {
  await using service = answering(null);
  const signal = AbortSignal.abort("shutdown");
  assertEquals(
    await send(service.url(), { context: { signal } }),
    failed("Stopped", { retryable: true }),
  );
  assertEquals(service.received, []);
});

Deno.test("http stops its runs when it is disposed of", async () => {
  const clock = new HastyClock();
  await using service = new Service(() =>
    new Response(null, { status: 202, headers: { Location: "/status" } })
  );
  const processor = processorFor(service.url(), {
    poll: { interval: 3_600, maxInterval: 3_600 },
  }, { clock });
  const outcome = processor.process(TASK, contextWith());
  while (!clock.waits.includes(3_600_000)) await systemClock.sleep(1);
  await processor[Symbol.asyncDispose]?.();
  assertEquals(await outcome, failed("Stopped", { retryable: true }));
});

Deno.test("agent-runner runs tasks by http as its configuration file says", async () => {
  await using service = new Service(({ body }) =>
    Response.json({ done: JSON.parse(body).instruction })
  );
  using folder = new Folder();
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      settings: { enabled: true },
      providers: {
        api: {
          processor: "http",
          url: service.url(),
          allowPrivate: ["127.0.0.0/8"],
          headers: { "X-Token": "${env:HANDSFREE_TOKEN}" },
          timeout: 10,
        },
        closed: { processor: "http", url: service.url() },
      },
    }),
  );
  await folder.create([
    { instruction: "Fix it", provider: "api" },
    { instruction: "Break in", provider: "closed" },
  ]);
  const { code, stderr } = await folder.run(["run", "--once"], {
    env: { HANDSFREE_TOKEN: "abcd" },
  });
  assertEquals(code, 1, stderr);
  assertStringIncludes(
    stderr,
    `closed is not served, its tasks wait: Cannot connect to ${
      new URL(service.url()).host
    }: 127.0.0.1 is not a public address. If it is meant, allow it with ` +
      '"allowPrivate" in the configuration.',
  );
  assertEquals(service.received.map(({ headers }) => headers["x-token"]), [
    "abcd",
  ]);
  assertEquals(
    await folder.rows(`SELECT status,
      coalesce(json_extract_string(last_update, '$.output.done'),
        json_extract_string(last_update, '$.error')) AS text
      FROM agent_tasks ORDER BY status`),
    [
      { status: "completed", text: "Fix it" },
      { status: "created", text: null },
    ],
  );
});
