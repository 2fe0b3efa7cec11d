import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import { clientSettings } from "../../../lib/config/service.ts";
import { loadConfig } from "../../../lib/config/config.ts";
import {
  ServiceError,
  UsageError,
  UserError,
} from "../../../lib/base/errors.ts";
import { openServiceAdmin } from "../../../lib/service/client/admin.ts";
import { type Admin, newTasks } from "../../../lib/store/contract.ts";
import { NO_ID, TestService } from "../service.ts";

const TOKEN = "a-token-of-20-letters";

/** A server that is not agent-runner's, or one that fails. */
class Impostor implements AsyncDisposable {
  readonly requests: Request[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(answer: (request: Request) => Response | Promise<Response>) {
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
    }, (request) => {
      this.requests.push(request);
      return answer(request);
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: {
      "Content-Type": status < 400
        ? "application/json"
        : "application/problem+json",
    },
  });
}

function problem(status: number, detail: string): Response {
  return json({ type: "about:blank", title: "No", status, detail }, status);
}

const SESSION = {
  token_needed: false,
  authorized: true,
  may_change: true,
  default_provider: "simulate",
};
const NO_TASKS = { tasks: [], total: 0, next_cursor: null };
const NO_PAGE = { tasks: [], total: 0, next: undefined };

/** The tasks behind a service. */
async function adminAt(
  url: string,
  { token = "", silenceMs }: { token?: string; silenceMs?: number } = {},
): Promise<Admin> {
  const clock = systemClock;
  const { admin } = await openServiceAdmin({
    url: new URL(url),
    token,
    clock,
    silenceMs,
    onWarning: () => {},
  });
  return admin;
}

/** Says of a session what it should, and of all else what the test wants. */
function afterSession(
  answer: (request: Request, path: string) => Response | Promise<Response>,
): Impostor {
  return new Impostor((request) => {
    const { pathname } = new URL(request.url);
    return pathname === "/api/v1/session"
      ? json(SESSION)
      : answer(request, pathname);
  });
}

async function failure(work: () => Promise<unknown>): Promise<UserError> {
  const error = await assertRejects(work, UserError);
  assertMatch(error.message, /^Cannot [^\n]+: [^\n]+\.( [^\n]+\.)*$/);
  return error;
}

const STRANGERS: Readonly<
  Record<string, [answer: () => Response, says: string]>
> = {
  "a page": [
    () => new Response("<html>", { headers: { "Content-Type": "text/html" } }),
    "does not understand",
  ],
  "a page that is not found": [
    () => new Response("<html>", { status: 404 }),
    "answers as no agent-runner does (status 404)",
  ],
  "other JSON": [() => json({ hello: 1 }), "does not understand"],
  "JSON that is none": [
    () =>
      new Response("{", { headers: { "Content-Type": "application/json" } }),
    "does not understand (all of it)",
  ],
  "a redirect": [
    () => Response.redirect("http://192.0.2.1:1/other", 307),
    "sends its callers to http://192.0.2.1:1/other",
  ],
  "an agent-runner of before": [
    () => problem(404, "There is nothing at /api/v1/session."),
    "another version of agent-runner",
  ],
  "a name that is not its own": [
    () => problem(421, "This service is not known by that name."),
    "not known by that name",
  ],
  "a defect": [() => problem(500, "A defect."), "A defect."],
};

for (const [what, [answer, says]] of Object.entries(STRANGERS)) {
  Deno.test(`a service that answers with ${what} is an error that says so`, async () => {
    await using server = new Impostor(answer);
    const error = await failure(() => adminAt(server.url, { token: TOKEN }));
    assertStringIncludes(error.message, `the service at ${server.url}/: `);
    assertStringIncludes(error.message, says);
    assert(!error.message.includes(TOKEN));
    assertEquals(server.requests.length, 1);
    const is401Or421 = what === "a name that is not its own";
    assertEquals(error.exitCode, is401Or421 ? 2 : 3);
  });
}

Deno.test("the token is not taken along where a service sends elsewhere", async () => {
  await using other = new Impostor(() => json(SESSION));
  await using server = new Impostor(() =>
    Response.redirect(`${other.url}/api/v1/session`, 302)
  );
  await failure(() => adminAt(server.url, { token: TOKEN }));
  assertEquals(other.requests, []);
});

Deno.test("a service that nobody runs is an error with exit code 3, after a second try", async () => {
  const closed = new Impostor(() => json(SESSION));
  await closed[Symbol.asyncDispose]();
  const error = await failure(() => adminAt(closed.url));
  assertStringIncludes(
    error.message,
    `Cannot reach the service at ${closed.url}/`,
  );
  assertStringIncludes(error.message, "the connection was refused");
  assertEquals(error.exitCode, 3);
});

Deno.test("a service that says nothing is given up", async () => {
  const { promise, resolve } = Promise.withResolvers<Response>();
  await using server = new Impostor(() => promise);
  const error = await failure(() => adminAt(server.url, { silenceMs: 50 }));
  assertStringIncludes(error.message, "it said nothing for 0.05 s");
  assertEquals([error.exitCode, server.requests.length], [3, 1]);
  resolve(json(SESSION));
});

Deno.test("a service that stops in the middle of its answer is given up", async () => {
  const stop = new AbortController();
  await using server = new Impostor(() =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('{"tasks": ['));
          stop.signal.addEventListener("abort", () => controller.close());
        },
      }),
      { headers: { "Content-Type": "application/json" } },
    )
  );
  const error = await failure(() => adminAt(server.url, { silenceMs: 500 }));
  assertStringIncludes(error.message, "it said nothing for 0.5 s");
  stop.abort();
});

Deno.test("what changes nothing is asked again where the database is busy", async () => {
  let count = 0;
  await using server = afterSession(() =>
    count++ === 0 ? problem(503, "Try again.") : json(NO_TASKS)
  );
  const admin = await adminAt(server.url);
  assertEquals(await admin.page({ limit: 1 }), NO_PAGE);
  assertEquals(count, 2);
});

const CREATED = { count: 1, warnings: [], existing: [], replaced: [] };

Deno.test("what changes tasks is asked once; create again, with the same key", async () => {
  const keys: (string | null)[] = [];
  await using server = afterSession((request) => {
    keys.push(request.headers.get("Idempotency-Key"));
    return keys.length === 2
      ? json({ ...CREATED, ids: [NO_ID] }, 201)
      : problem(503, "Try again.");
  });
  const admin = await adminAt(server.url);
  const task = { userId: NO_ID, provider: "p", instruction: "x" };
  const ids = await admin.create(newTasks([task]));
  assertEquals([...ids.sets()], [[NO_ID]]);
  assertEquals(keys.length, 2);
  assertEquals(keys[0], keys[1]);
  assertMatch(keys[0] ?? "", /^[0-9a-f-]{36}$/);
  const changes: ((admin: Admin) => Promise<unknown>)[] = [
    (admin) => admin.retry([NO_ID]),
    (admin) => admin.cancel([NO_ID]),
    (admin) => admin.answer([NO_ID], "x"),
    (admin) => admin.prune(new Date()),
  ];
  for (const [index, change] of changes.entries()) {
    const error = await failure(() => change(admin));
    assert(error instanceof ServiceError);
    assertEquals(keys.length, 3 + index);
  }
});

Deno.test("what does not fit is an error that names the place", async () => {
  await using server = afterSession(() =>
    json({ ...NO_TASKS, tasks: [{ id: "x" }] })
  );
  const admin = await adminAt(server.url);
  const error = await failure(() => admin.page({ limit: 1 }));
  assertStringIncludes(error.message, "(tasks.0.id)");
  assertStringIncludes(error.message, "the same version");
});

Deno.test("what is cut off is an error; a change is in doubt", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = serveHalf(listener);
  const admin = await adminAt(`http://127.0.0.1:${listener.addr.port}`);
  const { rows, bytes, body } = await admin.export({
    format: "jsonl",
    events: false,
  });
  assertEquals([rows, bytes], [2, 12]);
  const cut = await failure(() => new Response(body).text());
  assertStringIncludes(cut.message, "Cannot reach the service");
  assertEquals(cut.exitCode, 3);
  const change = await failure(() => admin.cancel([NO_ID]));
  assertStringIncludes(
    change.message,
    "it hung up. What was to be changed may",
  );
  listener.close();
  await serving;
});

/** Answers for the session, and half of what is asked for. */
async function serveHalf(listener: Deno.TcpListener): Promise<void> {
  for await (const connection of listener) {
    const bytes = new Uint8Array(4_096);
    const length = await connection.read(bytes) ?? 0;
    const isSession = new TextDecoder().decode(bytes.subarray(0, length))
      .includes("/session");
    const body = isSession ? JSON.stringify(SESSION) : "{}\n";
    await connection.write(
      new TextEncoder().encode(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nAgent-Runner-Rows: 2\r\n" +
          "Content-Type: application/json\r\n" +
          `Content-Length: ${body.length + (isSession ? 0 : 9)}\r\n\r\n${body}`,
      ),
    );
    connection.close();
  }
}

Deno.test("a service with a token wants it, and no other", async () => {
  await using service = await TestService.start({ token: TOKEN });
  const none = await failure(() => adminAt(service.url));
  assertStringIncludes(none.message, "it wants a token. Set HANDSFREE_AGENT_T");
  const wrong = "another-token-of-26-letters";
  const other = await failure(() => adminAt(service.url, { token: wrong }));
  assertStringIncludes(other.message, "it has another token");
  assertEquals([none.exitCode, other.exitCode], [2, 2]);
  assert(!other.message.includes(wrong));
  const admin = await adminAt(service.url, { token: TOKEN });
  assertEquals(await admin.page({ limit: 1 }), NO_PAGE);
});

Deno.test("with the token for reading, tasks are seen, and a change is refused", async () => {
  const readOnlyToken = "another-token-only-to-read";
  await using service = await TestService.start({
    token: TOKEN,
    readOnlyToken,
  });
  const admin = await adminAt(service.url, { token: readOnlyToken });
  assertEquals(await admin.page({ limit: 1 }), NO_PAGE);
  const error = await failure(() => admin.cancel([NO_ID]));
  assertStringIncludes(error.message, "This token may only read");
  assertEquals(error.exitCode, 2);
});

Deno.test("a service behind a path is found there", async () => {
  await using service = await TestService.start();
  await using proxy = new Impostor((request) => {
    const { pathname, search } = new URL(request.url);
    return fetch(service.url + pathname.replace(/^\/runner/, "") + search);
  });
  const admin = await adminAt(`${proxy.url}/runner/`);
  assertEquals(await admin.page({ limit: 1 }), NO_PAGE);
});

function settingsOf(flags: Record<string, string>, env = {}) {
  const variables: Readonly<Record<string, string>> = env;
  return clientSettings(loadConfig(flags, (name) => variables[name]));
}

for (
  const url of [
    "127.0.0.1:8080",
    "8080",
    "localhost",
    "ftp://localhost",
    "http://",
    "http://a:b@localhost",
    "http://s3cret@localhost",
    "http://localhost/?a=s3cret",
    "http://localhost/#s3cret",
    "http://[::1",
  ]
) {
  Deno.test(`clientSettings() refuses ${url}, says where it stands, and does not repeat it`, async () => {
    const error = await assertRejects(
      () => settingsOf({ server: url }),
      UsageError,
    );
    assertStringIncludes(error.message, "--server");
    assertStringIncludes(error.message, "http://127.0.0.1:8080");
    assert(!error.message.includes("s3cret"));
    await assertRejects(
      () => settingsOf({}, { HANDSFREE_AGENT_RUNNER_SERVER: url }),
      UsageError,
      "HANDSFREE_AGENT_RUNNER_SERVER ",
    );
  });
}

Deno.test("clientSettings() takes a service by flag or environment, unless a file is named by flag", async () => {
  const server = "https://host/runner";
  const env = { HANDSFREE_AGENT_RUNNER_SERVER: server };
  const found = await settingsOf({ server });
  assertEquals(found?.url.href, "https://host/runner/");
  assertEquals((await settingsOf({}, env))?.url.href, "https://host/runner/");
  assertEquals(await settingsOf({}), undefined);
  assertEquals(await settingsOf({ "db-path": "x" }, env), undefined);
  const both = { ...env, HANDSFREE_DB_PATH: "x" };
  assert(await settingsOf({}, both));
  await assertRejects(
    () => settingsOf({ "db-path": "x", server }),
    UsageError,
    "--db-path and --server at the same time",
  );
});

Deno.test("clientSettings() reads the token as the service does", async () => {
  const env = { HANDSFREE_AGENT_TOKEN: TOKEN };
  const server = "http://localhost";
  assertEquals((await settingsOf({ server }, env))?.token, TOKEN);
  const path = Deno.makeTempFileSync();
  Deno.writeTextFileSync(path, `${TOKEN}\n`);
  const found = await settingsOf({ server, "token-file": path });
  assertEquals(found?.token, TOKEN);
  Deno.removeSync(path);
  await assertRejects(
    () => settingsOf({ server, "token-file": path }),
    UsageError,
    "there is no such file",
  );
});
