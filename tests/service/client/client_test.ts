import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { clientSettings } from "../../../lib/config/service.ts";
import { loadConfig } from "../../../lib/config/config.ts";
import {
  ServiceError,
  UsageError,
  UserError,
} from "../../../lib/base/errors.ts";
import type { TaskDesk } from "../../../lib/store/task_admin.ts";
import { deskAt, runOn } from "../../cli/service_commands.ts";
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

const SESSION = { token_needed: false, authorized: true };

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
    const error = await failure(() => deskAt(server.url, { token: TOKEN }));
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
  await failure(() => deskAt(server.url, { token: TOKEN }));
  assertEquals(other.requests, []);
});

Deno.test("a service that nobody runs is an error with exit code 3, after a second try", async () => {
  const closed = new Impostor(() => json(SESSION));
  await closed[Symbol.asyncDispose]();
  const error = await failure(() => deskAt(closed.url));
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
  const error = await failure(() => deskAt(server.url, { silenceMs: 50 }));
  assertStringIncludes(error.message, "it said nothing for 0.05 s");
  assertEquals([error.exitCode, server.requests.length], [3, 1]);
  resolve(json(SESSION));
});

Deno.test("a service that stops in the middle of its answer is given up", async () => {
  const stop = new AbortController();
  await using server = afterSession(() =>
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
  const desk = await deskAt(server.url, { silenceMs: 100 });
  const error = await failure(() => desk.list({ limit: 1 }));
  assertStringIncludes(error.message, "it said nothing for 0.1 s");
  stop.abort();
});

Deno.test("what changes nothing is asked again where the database is busy", async () => {
  let count = 0;
  await using server = afterSession(() =>
    count++ === 0 ? problem(503, "Try again.") : json({ tasks: [] })
  );
  const desk = await deskAt(server.url);
  assertEquals(await desk.list({ limit: 1 }), []);
  assertEquals(count, 2);
});

Deno.test("what changes tasks is asked once; create again, with the same key", async () => {
  const keys: (string | null)[] = [];
  await using server = afterSession((request) => {
    keys.push(request.headers.get("Idempotency-Key"));
    return keys.length === 2
      ? json({ count: 1, ids: [NO_ID] }, 201)
      : problem(503, "Try again.");
  });
  const desk = await deskAt(server.url);
  const now = new Date();
  const task = { userId: NO_ID, provider: "p", instruction: "x" };
  assertEquals(await desk.create([task], now), [NO_ID]);
  assertEquals(keys.length, 2);
  assertEquals(keys[0], keys[1]);
  assertMatch(keys[0] ?? "", /^[0-9a-f-]{36}$/);
  const changes: ((desk: TaskDesk) => Promise<unknown>)[] = [
    (desk) => desk.sets.retry([NO_ID], now),
    (desk) => desk.sets.cancel([NO_ID], now),
    (desk) => desk.answer(NO_ID, "x", now),
    (desk) => desk.history.prune(now),
  ];
  for (const [index, change] of changes.entries()) {
    const error = await failure(() => change(desk));
    assert(error instanceof ServiceError);
    assertEquals(keys.length, 3 + index);
  }
});

Deno.test("what does not fit is an error that names the place", async () => {
  await using server = afterSession(() => json({ tasks: [{ id: "x" }] }));
  const desk = await deskAt(server.url);
  const error = await failure(() => desk.list({ limit: 1 }));
  assertStringIncludes(error.message, "(tasks.0.id)");
  assertStringIncludes(error.message, "the same version");
});

Deno.test("an answer that is cut off is an error; an export leaves no file, a change is in doubt", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = serveHalf(listener);
  const folder = Deno.makeTempDirSync();
  const desk = await deskAt(`http://127.0.0.1:${listener.addr.port}`);
  const { code, error } = await runOn(["export", `${folder}/a.jsonl`], {
    desk,
  });
  assertEquals(code, 3);
  assertStringIncludes(error, "Cannot reach the service");
  const change = await failure(() => desk.sets.cancel([NO_ID], new Date()));
  assertStringIncludes(
    change.message,
    "it hung up. What was to be changed may",
  );
  assertEquals([...Deno.readDirSync(folder)], []);
  Deno.removeSync(folder);
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
  const none = await failure(() => deskAt(service.url));
  assertStringIncludes(none.message, "it wants a token. Set HANDSFREE_AGENT_T");
  const wrong = "another-token-of-26-letters";
  const other = await failure(() => deskAt(service.url, { token: wrong }));
  assertStringIncludes(other.message, "it has another token");
  assertEquals([none.exitCode, other.exitCode], [2, 2]);
  assert(!other.message.includes(wrong));
  const desk = await deskAt(service.url, { token: TOKEN });
  assertEquals(await desk.list({ limit: 1 }), []);
});

Deno.test("a service behind a path is found there", async () => {
  await using service = await TestService.start();
  await using proxy = new Impostor((request) => {
    const { pathname, search } = new URL(request.url);
    return fetch(service.url + pathname.replace(/^\/runner/, "") + search);
  });
  const desk = await deskAt(`${proxy.url}/runner/`);
  assertEquals(await desk.list({ limit: 1 }), []);
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
