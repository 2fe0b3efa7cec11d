import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Clock, systemClock } from "../../../lib/base/clock.ts";
import { RunnerEvents } from "../../../lib/runner/events.ts";
import { bounded } from "../../../lib/service/api/guard.ts";
import { Problem } from "../../../lib/service/api/responses.ts";
import { FakeClock, turn } from "../../support/fake_clock.ts";
import { until, within } from "../../support/until.ts";
import { type Answer, type Json, TestService } from "../service.ts";

const TASKS = "/api/v1/tasks";
const SESSION = "/api/v1/session";
const TOKEN = "0123456789abcdef-secret";

/** A second is over at once. */
class HastyClock implements Clock {
  #elapsedMs = 0;
  readonly now = systemClock.now;
  readonly monotonic = () => this.#elapsedMs;

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms !== 1_000) return systemClock.sleep(ms, signal);
    this.#elapsedMs += ms;
    return Promise.resolve();
  }
}

/** What the service answers to bytes as they are: its status, and the rest. */
async function raw(test: TestService, lines: string[]): Promise<string> {
  const { port } = new URL(test.url);
  using connection = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(port),
  });
  const text = `${lines.join("\r\n")}\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(text));
  // One read: where a body was announced, the connection stays open for it.
  const buffer = new Uint8Array(4_096);
  const length = await connection.read(buffer) ?? 0;
  return new TextDecoder().decode(buffer.subarray(0, length));
}

async function statusFor(test: TestService, headers: string[]) {
  const answer = await raw(test, [`GET ${TASKS} HTTP/1.1`, ...headers]);
  return Number(answer.split(" ")[1]);
}

Deno.test("only loopback names and configured ones are taken for the service's", async (t) => {
  await using test = await TestService.start({
    allowedHosts: ["Runner.example.com"],
  });
  const { port } = new URL(test.url);
  const cases: [host: string, status: number][] = [
    [`127.0.0.1:${port}`, 200],
    ["127.0.0.1", 200],
    ["127.9.9.9:1", 200],
    ["LOCALHOST:8080", 200],
    ["[::1]:8080", 200],
    ["runner.example.com", 200],
    ["runner.example.com:8443", 200],
    ["evil.example.com", 421],
    [`evil.example.com:${port}`, 421],
    ["127.0.0.1.evil.example.com", 421],
    ["localhost.evil.example.com", 421],
    ["x.runner.example.com", 421],
    ["192.168.1.5", 421],
    ["", 421],
  ];
  for (const [host, status] of cases) {
    await t.step(`${host || "(empty)"}: ${status}`, async () => {
      assertEquals(await statusFor(test, [`Host: ${host}`]), status);
    });
  }
});

Deno.test("requests from other sites' pages are refused, whatever they are", async (t) => {
  await using test = await TestService.start();
  const { host } = new URL(test.url);
  const cases: [headers: string[], status: number][] = [
    [["Sec-Fetch-Site: none"], 200],
    [["Sec-Fetch-Site: same-origin"], 200],
    [["Sec-Fetch-Site: same-origin", `Origin: http://${host}`], 200],
    [[`Origin: https://${host}`], 200],
    [["Sec-Fetch-Site: cross-site"], 403],
    [["Sec-Fetch-Site: same-site"], 403],
    [["Origin: http://evil.example.com"], 403],
    [["Origin: http://127.0.0.1:1"], 403],
    [["Origin: null"], 403],
    [["Sec-Fetch-Site: same-origin", "Origin: http://evil.example.com"], 403],
    [[
      "Sec-Fetch-Site: cross-site",
      "Sec-Fetch-Mode: navigate",
      "Sec-Fetch-Dest: document",
    ], 200],
    [[
      "Sec-Fetch-Site: cross-site",
      "Sec-Fetch-Mode: navigate",
      "Sec-Fetch-Dest: iframe",
    ], 403],
  ];
  for (const [headers, status] of cases) {
    await t.step(`${headers.join(", ")}: ${status}`, async () => {
      assertEquals(
        await statusFor(test, [`Host: ${host}`, ...headers]),
        status,
      );
    });
  }
  await t.step("a form that a page of another site sends", async () => {
    const { status } = await test.send("POST", TASKS, {
      body: '{"instruction": "x"}',
      headers: {
        "Content-Type": "text/plain",
        "Origin": "http://evil.example.com",
      },
    });
    assertEquals(status, 403);
  });
  assertEquals((await test.ok(TASKS)).total, 0);
});

const FORWARDED = [
  "Forwarded: for=192.0.2.1",
  "X-Forwarded-For: 192.0.2.1",
  "x-forwarded-proto: https",
  "X-Forwarded-Host: runner.example.com",
  "X-Forwarded: 1",
  "Forwarded-For: 192.0.2.1",
  "X-Client-IP: 192.0.2.1",
  "X-Envoy-External-Address: 192.0.2.1",
  "X-Original-Host: runner.example.com",
  "True-Client-IP: 192.0.2.1",
  "CF-Connecting-IP: 192.0.2.1",
  "Fly-Client-IP: 192.0.2.1",
  "Via: 1.1 proxy",
];

Deno.test("what comes through a proxy is refused until there is a token", async (t) => {
  await using open = await TestService.start();
  await using guarded = await TestService.start({ token: TOKEN });
  for (const header of FORWARDED) {
    await t.step(header, async () => {
      const headers = ["Host: localhost", header];
      assertEquals(await statusFor(open, headers), 403);
      const token = `Authorization: Bearer ${TOKEN}`;
      assertEquals(await statusFor(guarded, [...headers, token]), 200);
    });
  }
  for (const path of ["/", "/health", "/openapi.json"]) {
    const { status } = await open.get(path, { Via: "1.1 proxy" });
    assertEquals(status, 403, path);
  }
});

Deno.test("a body must be JSON in UTF-8", async (t) => {
  await using test = await TestService.start();
  const post = (body: unknown, type: string) =>
    test.send("POST", TASKS, { body, headers: { "Content-Type": type } });
  const json = '{"instruction": "x"}';
  for (
    const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/jsonx",
      "",
    ]
  ) {
    await t.step(`not ${type || "nothing"}`, async () => {
      assertEquals((await post(json, type)).status, 415);
    });
  }
  for (const type of ["application/json", "Application/JSON; charset=utf-8"]) {
    await t.step(type, async () => {
      assertEquals((await post(json, type)).status, 201);
    });
  }
  for (const wrong of ["{", "", "{'a': 1}", "undefined", "NaN"]) {
    await t.step(`not the JSON ${wrong}`, async () => {
      const { status, body } = await post(wrong, "application/json");
      assertEquals([status, body.detail], [400, "The body is not valid JSON."]);
    });
  }
  await t.step("not broken UTF-8", async () => {
    const bytes = new Uint8Array([34, 255, 34]);
    const { status, body } = await post(bytes, "application/json");
    assertEquals([status, body.detail], [400, "The body is not valid UTF-8."]);
  });
});

Deno.test("a body that is too large is refused, announced or not", async () => {
  await using test = await TestService.start();
  const instruction = "x".repeat(1024 ** 2);
  assertEquals((await test.post(TASKS, { instruction })).status, 413);
  assertEquals(
    (await test.post(`${TASKS}/batch`, { tasks: [{ instruction }] })).status,
    201,
  );
  const { host } = new URL(test.url);
  const announced = await raw(test, [
    `POST ${TASKS} HTTP/1.1`,
    `Host: ${host}`,
    "Content-Type: application/json",
    "Content-Length: 99999999999",
  ]);
  assertMatch(announced, /^HTTP\/1.1 413 /);
  const stream = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
  });
  const response = await fetch(test.url + TASKS, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: stream,
  });
  assertEquals(response.status, 413);
  await response.body?.cancel();
});

const HEADERS = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
};

Deno.test("every answer has the security headers", async (t) => {
  await using test = await TestService.start({ token: TOKEN });
  for (
    const path of [
      "/health",
      "/ready",
      "/metrics",
      "/openapi.json",
      TASKS,
      "/nope",
    ]
  ) {
    await t.step(path, async () => {
      const { headers } = await test.get(path);
      for (const [name, value] of Object.entries(HEADERS)) {
        assertEquals(headers.get(name), value, name);
      }
      assertEquals(headers.get("access-control-allow-origin"), null);
    });
  }
});

Deno.test("without the token, only what tells nothing of tasks is answered", async () => {
  await using test = await TestService.start({ token: TOKEN });
  for (const path of ["/health", "/ready", "/openapi.json", SESSION]) {
    assertEquals((await test.get(path)).status, 200, path);
  }
  for (
    const path of [TASKS, "/metrics", "/api/v1/stats", "/api/v1/events", "/x"]
  ) {
    const { status, headers } = await test.get(path);
    assertEquals(status, 401, path);
    assertMatch(headers.get("WWW-Authenticate") ?? "", /^Bearer /);
  }
  assertEquals((await test.post(TASKS, { instruction: "x" })).status, 401);
});

Deno.test("the token is taken as a bearer token, and no other", async (t) => {
  const clock = new HastyClock();
  await using test = await TestService.start({ token: TOKEN, clock });
  const cases: [value: string, status: number][] = [
    [`Bearer ${TOKEN}`, 200],
    [`bearer   ${TOKEN} `, 200],
    [`Bearer ${TOKEN}x`, 401],
    [`Bearer ${TOKEN.slice(0, -1)}`, 401],
    [`Bearer ${TOKEN.toUpperCase()}`, 401],
    ["Bearer ", 401],
    [TOKEN, 401],
    [`Basic ${btoa(`x:${TOKEN}`)}`, 401],
  ];
  for (const [value, status] of cases) {
    await t.step(`${value}: ${status}`, async () => {
      const answer = await test.get(TASKS, { Authorization: value });
      assertEquals(answer.status, status);
    });
  }
  assert(!test.log.join("").includes(TOKEN));
});

async function login(test: TestService, token: string, origin?: string) {
  const { status, headers, body } = await test.post(SESSION, { token }, {
    ...origin ? { Origin: origin } : {},
  });
  return { status, body, cookie: headers.get("Set-Cookie") ?? "" };
}

Deno.test("a browser gets a session for the token, in a cookie that no script reads", async () => {
  const clock = new FakeClock({ start: new Date("2026-11-23T00:00:00Z") });
  await using test = await TestService.start({ token: TOKEN, clock });
  assertEquals(await test.ok(SESSION), {
    token_needed: true,
    authorized: false,
    may_change: false,
    default_provider: "",
  });
  const { status, body, cookie } = await login(test, TOKEN);
  assertEquals([status, body.authorized], [200, true]);
  assertMatch(cookie, /; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
  assert(!cookie.includes(TOKEN));
  const value = cookie.split(";")[0]!;
  const headers = { Cookie: `other=1; ${value}` };
  assertEquals((await test.get(TASKS, headers)).status, 200);
  assertEquals((await test.get(SESSION, headers)).body.authorized, true);
  for (
    const forged of [`${value}0`, value.slice(0, -1), "agent_runner_session="]
  ) {
    const answer = await test.get(TASKS, { Cookie: forged });
    assertEquals(answer.status, 401, forged);
  }
  await clock.advance(12 * 3_600_000 + 1);
  assertEquals((await test.get(TASKS, headers)).status, 401, "it is over");
});

Deno.test("a session's cookie is for https only where the page came that way", async () => {
  await using test = await TestService.start({ token: TOKEN });
  const { host } = new URL(test.url);
  const { cookie } = await login(test, TOKEN, `https://${host}`);
  assertMatch(cookie, /; Secure$/);
  const ended = await test.send("DELETE", SESSION);
  assertEquals(ended.status, 204);
  assertMatch(ended.headers.get("Set-Cookie") ?? "", /=; .*Max-Age=0/);
});

Deno.test("a session that was ended is worth nothing, and others go on", async () => {
  await using test = await TestService.start({ token: TOKEN });
  const [ended = "", other = ""] = await Promise.all([1, 2].map(async () => {
    const { cookie } = await login(test, TOKEN);
    return cookie.split(";")[0]!;
  }));
  const [endedStream, otherStream] = await Promise.all(
    [ended, other].map((Cookie) =>
      fetch(`${test.url}/api/v1/events`, { headers: { Cookie } })
    ),
  );
  await test.send("DELETE", SESSION, { headers: { Cookie: ended } });
  await within("the end of its stream", endedStream!.text());
  const reader = otherStream!.body!.getReader();
  assertEquals((await reader.read()).done, false);
  await reader.cancel();
  assertEquals((await test.get(TASKS, { Cookie: ended })).status, 401);
  assertEquals((await test.get(TASKS, { Cookie: other })).status, 200);
});

const READ_TOKEN = "0123456789abcdef-only-to-read";

Deno.test("the token for reading lets read everything, and change nothing", async (t) => {
  await using test = await TestService.start({
    token: TOKEN,
    readOnlyToken: READ_TOKEN,
  });
  const [id = ""] = await test.add([{ instruction: "x" }]);
  const { body, cookie } = await login(test, READ_TOKEN);
  assertEquals([body.authorized, body.may_change], [true, false]);
  const ways: Record<string, string>[] = [
    { Authorization: `Bearer ${READ_TOKEN}` },
    { Cookie: cookie.split(";")[0]! },
  ];
  const { paths } = await test.ok("/openapi.json");
  for (const headers of ways) {
    for (const [pattern, operations] of Object.entries<Json>(paths)) {
      if (pattern === SESSION) continue;
      const path = pattern.replace("{id}", id);
      for (const method of Object.keys(operations)) {
        const name = `${method} ${path} by ${Object.keys(headers)}`;
        await t.step(name, async () => {
          const response = await fetch(test.url + path, {
            method: method.toUpperCase(),
            headers,
          });
          await response.body?.cancel(); // One of them is a stream.
          assertEquals(response.status === 403, method !== "get");
          assert(response.status !== 401);
        });
      }
    }
  }
  assertEquals((await test.store.admin.get(id))?.state, "created");
});

Deno.test("who has a wrong token waits to be told so, and nobody else does", async () => {
  const clock = new FakeClock();
  await using test = await TestService.start({ token: TOKEN, clock });
  const idle = clock.sleepers;
  const waits: Promise<number>[] = [];
  const wrong = { Authorization: "Bearer not-the-token" };
  const guess = (send: () => Promise<Answer>) => {
    waits.push(send().then(({ status }) => status));
    // Each waits for its own time limit too.
    return until("it waits", () => clock.sleepers - idle === 2 * waits.length);
  };
  await guess(() => test.post(SESSION, { token: "not-the-token" }));
  await guess(() => test.get(SESSION, wrong));
  while (waits.length < 32) await guess(() => test.get(TASKS, wrong));
  assertEquals((await test.get(TASKS, wrong)).status, 429, "one too many");
  const right = { Authorization: `Bearer ${TOKEN}` };
  assertEquals((await test.get(TASKS, right)).status, 200);
  assertEquals((await login(test, TOKEN)).status, 200);
  await clock.advance(1_000);
  const [, reading, ...others] = await Promise.all(waits);
  assertEquals(reading, 200, "it only says that nobody is let in");
  assertEquals([...new Set(others)], [401]);
});

Deno.test("wrong tokens are logged with whence they come, every ten seconds at most", async () => {
  await using test = await TestService.start({
    token: TOKEN,
    clock: new HastyClock(),
  });
  const guess = (headers = {}) =>
    test.post(SESSION, { token: "a-guess" }, headers);
  for (let n = 0; n < 10; n++) await guess();
  await guess({ "X-Forwarded-For": "192.0.2.7" });
  await until("all is logged", () => test.log.join("").includes("the last"));
  const lines = test.log.join("").match(/Refused .*/g);
  assertEquals(lines, [
    "Refused a wrong token from 127.0.0.1",
    "Refused 10 wrong tokens, the last from 127.0.0.1 for 192.0.2.7",
  ]);
  assert(!test.log.join("").includes("a-guess"));
});

Deno.test("without a token, there is no session to begin", async () => {
  await using test = await TestService.start();
  assertEquals(await test.ok(SESSION), {
    token_needed: false,
    authorized: true,
    may_change: true,
    default_provider: "simulate",
  });
  const { status, cookie } = await login(test, "anything");
  assertEquals([status, cookie], [200, ""]);
});

Deno.test("/ready tells strangers no path", async () => {
  await using test = await TestService.start({ token: TOKEN });
  await test.released();
  Deno.removeSync(test.path);
  Deno.mkdirSync(test.path);
  const stranger = await test.get("/ready");
  assertEquals(stranger.body.database, "not reachable");
  const known = await test.get("/ready", { Authorization: `Bearer ${TOKEN}` });
  assertMatch(known.body.database, /it is a folder/);
  Deno.removeSync(test.path);
});

Deno.test("/ready tells strangers not why a runner beside it does not claim", async () => {
  const events = new RunnerEvents(() => {});
  await using test = await TestService.start({
    token: TOKEN,
    runner: () => ({
      events,
      runs: { size: 0 },
      drain: new AbortController().signal,
    }),
  });
  const readings = async () => {
    const known = { Authorization: `Bearer ${TOKEN}` };
    return [
      (await test.get("/ready")).body.runner,
      (await test.get("/ready", known)).body.runner,
    ];
  };
  events.emit({ type: "claimed" });
  assertEquals(await readings(), ["claiming", "claiming"]);
  const why = "Cannot open /srv/x.duckdb: another program (PID 7) holds it.";
  events.emit({ type: "pass failed", error: new Error(why) });
  assertEquals(await readings(), ["not claiming", why]);
});

Deno.test("a client that goes away within its body is no defect", async () => {
  await using test = await TestService.start();
  {
    using connection = await Deno.connect({
      hostname: "127.0.0.1",
      port: Number(new URL(test.url).port),
    });
    const head = `POST ${TASKS} HTTP/1.1\r\nHost: localhost\r\n` +
      "Content-Type: application/json\r\nContent-Length: 99\r\n\r\n";
    await connection.write(new TextEncoder().encode(`${head}{"instr`));
  }
  await until("it is logged", () => test.log.join().includes("POST"));
  assertMatch(test.log.join(), / DEBUG - POST \/api\/v1\/tasks 400 in /);
  assertEquals(test.log.join().match(/ERROR.*/), null);
});

type Next = () => Promise<void>;
type Middleware = (c: never, next: Next) => Promise<void>;

Deno.test("bounded() refuses more requests at a time than it may take", async () => {
  const clock = new FakeClock();
  const limits = { clock, maxRequests: 2, timeoutMs: 1_000 };
  const run = bounded(limits) as Middleware;
  const gate = Promise.withResolvers<void>();
  const first = [1, 2].map(() => run(undefined as never, () => gate.promise));
  const error = await run(undefined as never, () => gate.promise)
    .catch((error) => error);
  assert(error instanceof Problem);
  assertEquals([error.status, error.response.headers.get("Retry-After")], [
    503,
    "1",
  ]);
  gate.resolve();
  await Promise.all(first);
  await run(undefined as never, () => Promise.resolve());
});

Deno.test("bounded() gives up on what takes too long, and counts it on", async () => {
  const clock = new FakeClock();
  const limits = { clock, maxRequests: 1, timeoutMs: 1_000 };
  const run = bounded(limits) as Middleware;
  const gate = Promise.withResolvers<void>();
  const slow = run(undefined as never, () => gate.promise)
    .catch((error) => error);
  await clock.advance(1_000);
  assertEquals((await slow).status, 504);
  const next = await run(undefined as never, () => Promise.resolve())
    .catch((error) => error);
  assertEquals(next.status, 503, "it still goes on");
  gate.resolve();
  await turn();
  await run(undefined as never, () => Promise.resolve());
});
