import { assert, assertEquals, assertMatch } from "@std/assert";
import { type CliOptions, type CliProcess, ENABLED, Folder } from "./cli.ts";

const TASKS = "/api/v1/tasks";

/** Waits for the service to listen. Returns its URL. */
async function urlOf(process: CliProcess): Promise<string> {
  await process.line(/Listening on http/);
  const [, url] = /Listening on (http:\S+)/.exec(process.seen) ?? [];
  assert(url);
  return url;
}

function start(
  folder: Folder,
  args: string[] = [],
  options: CliOptions = {},
): CliProcess {
  return folder.start(["serve", "--listen", "127.0.0.1:0", ...args], options);
}

function startLoop(
  folder: Folder,
  args: string[] = [],
  env: Record<string, string> = {},
): CliProcess {
  return folder.start(
    // The longest wait: whatever is noticed sooner was not by chance.
    ["run", "--loop", "--interval", "3600", "--listen", "0", ...args],
    { env: { ...ENABLED, ...env } },
  );
}

// deno-lint-ignore no-explicit-any -- what JSON gives; the test looks at it
async function get(url: string, path: string): Promise<any> {
  const response = await fetch(url + path);
  const body = await response.text();
  assertEquals(response.status, 200, body);
  return JSON.parse(body);
}

async function post(
  url: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** Sends SIGTERM and expects a clean end. */
async function stop(process: CliProcess): Promise<string> {
  process.signal("SIGTERM");
  const { code, stdout, stderr } = await process.ended();
  assertEquals(code, 0, stderr);
  return stdout;
}

/** Waits until a task is as a test wants it. */
async function until(
  url: string,
  id: string,
  isSo: (task: { state: string }) => boolean,
) {
  while (true) {
    const task = await get(url, `${TASKS}/${id}`);
    if (isSo(task)) return task;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

Deno.test("serve shares the file with the other commands, and ends cleanly", async () => {
  using folder = new Folder();
  await using process = start(folder);
  const url = await urlOf(process);
  assertEquals(await get(url, TASKS), {
    tasks: [],
    total: 0,
    next_cursor: null,
  });
  const { status, body } = await post(url, TASKS, { instruction: "By HTTP" });
  assertEquals(status, 201);
  assertMatch(await folder.ok(["list"]), /By HTTP/);
  const [id] = await folder.create([{ instruction: "By command" }]);
  const { tasks, total } = await get(url, TASKS);
  assertEquals([tasks[0].id, total], [id, 2], "at once");
  await folder.ok(["cancel", body.id]);
  assertEquals((await get(url, `${TASKS}/${body.id}`)).state, "failed");
  assertEquals(await stop(process), "");
  assertMatch(process.seen, /Connected to database: handsfree.duckdb/);
  assertMatch(process.seen, /Stopping: finishing the requests in hand/);
});

Deno.test("serve keeps a task's Idempotency-Key over a restart", async () => {
  using folder = new Folder();
  const ids = [];
  for (const expected of [201, 200]) {
    await using process = start(folder);
    const { status, body } = await post(
      await urlOf(process),
      TASKS,
      { instruction: "Once" },
      { "Idempotency-Key": "k1" },
    );
    assertEquals(status, expected);
    ids.push(body.id);
    await stop(process);
  }
  assertEquals(ids[0], ids[1]);
});

Deno.test("run --loop --listen runs what is created over HTTP at once, and stops what is cancelled", async () => {
  using folder = new Folder();
  await using process = startLoop(folder, [], {
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0",
  });
  const url = await urlOf(process);
  await process.line(/Running until stopped/);
  for (let n = 0; n < 2; n++) {
    const { body } = await post(url, TASKS, { instruction: "x" });
    await until(url, body.id, ({ state }) => state === "completed");
  }
  assertEquals(await get(url, "/ready"), {
    status: "ready",
    database: "reachable",
    runner: "claiming",
  });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assertMatch(
    metrics,
    /^agent_runner_tasks_completed_total{provider="simulate"} 2$/m,
  );
  assertMatch(await stop(process), /2 started, 2 completed/);
});

Deno.test("a task that runs is stopped within seconds when it is cancelled over HTTP", async () => {
  using folder = new Folder();
  await using process = startLoop(folder, [], {
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "3600",
  });
  const url = await urlOf(process);
  const { body } = await post(url, TASKS, { instruction: "Long" });
  await until(url, body.id, ({ state }) => state === "running");
  const cancelled = await post(url, `${TASKS}/${body.id}/cancel`);
  assertEquals([cancelled.status, cancelled.body.result], [202, "requested"]);
  const task = await until(url, body.id, ({ state }) => state === "failed");
  assertEquals(task.trace.result, "cancelled");
  await stop(process);
});

Deno.test("SIGTERM ends streams, and a loop gives its tasks back", async () => {
  using folder = new Folder();
  await using process = startLoop(folder, ["--drain", "0.1"], {
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "3600",
  });
  const url = await urlOf(process);
  const stream = await fetch(`${url}/api/v1/events`);
  await post(url, TASKS, { instruction: "Long" });
  let seen = "";
  for await (const text of stream.body!.pipeThrough(new TextDecoderStream())) {
    if (/"kind":"started"/.test(text)) process.signal("SIGTERM");
    seen += text;
  }
  assertMatch(seen, /"kind":"started"/);
  assertEquals((await process.ended()).code, 0);
  const [row] = await folder.rows(
    "SELECT status, attempt, lease_id FROM agent_tasks",
  );
  assertEquals(row, { status: "running", attempt: 0, lease_id: null });
});

Deno.test("SIGTERM lets requests in hand be answered, and takes no new ones", async () => {
  using folder = new Folder();
  await using process = start(folder);
  const url = await urlOf(process);
  await post(url, TASKS, { instruction: "x" });
  // Another process has the file: requests wait for it.
  await using holder = folder.start([
    "run",
    "--loop",
    "--exclusive",
  ], { env: ENABLED });
  await holder.line(/Running until stopped/);
  const inHand = fetch(`${url}${TASKS}?q=waiting`);
  // It has arrived when what was sent after it is answered.
  await get(url, "/health");
  process.signal("SIGTERM");
  await process.line(/Stopping/);
  const refused = await fetch(`${url}/health`).then(
    (response) => response.text(),
    (error) => error,
  );
  assert(refused instanceof Error, String(refused));
  await stop(holder);
  const response = await inHand;
  assertEquals(response.status, 200);
  assertEquals((await response.json()).total, 0);
  assertEquals((await process.ended()).code, 0);
});

Deno.test("a file that another process keeps is a 503 that says to try again", async () => {
  using folder = new Folder();
  await using process = start(folder, ["--db-wait", "0.1"]);
  const url = await urlOf(process);
  await using holder = folder.start(["run", "--loop", "--exclusive"], {
    env: ENABLED,
  });
  await holder.line(/Running until stopped/);
  const response = await fetch(url + TASKS);
  assertEquals(response.status, 503);
  assertEquals(response.headers.get("Retry-After"), "2");
  const { detail } = await response.json();
  assertEquals(detail, "The database can't be used now. Try again.");
  await process.line(/A request failed: .*holds it/);
  assertEquals((await fetch(`${url}/ready`)).status, 503);
  assertEquals((await fetch(`${url}/health`)).status, 200);
  await stop(holder);
  assertEquals((await get(url, TASKS)).total, 0);
  await stop(process);
});

Deno.test("a token from a file or the environment is needed then, and shown nowhere", async () => {
  using folder = new Folder();
  const token = "0123456789abcdef-secret";
  folder.write("token", `${token}\n`);
  for (
    const [args, env] of [
      [["--token-file", "token"], {}],
      [[], { HANDSFREE_AGENT_TOKEN: token }],
    ] as [string[], Record<string, string>][]
  ) {
    const all = { ...env, LOG_LEVEL: "DEBUG" };
    await using process = start(folder, args, { env: all });
    const url = await urlOf(process);
    const refused = await fetch(url + TASKS);
    assertEquals(refused.status, 401);
    await refused.body?.cancel();
    const taken = await fetch(url + TASKS, {
      headers: { Authorization: `Bearer ${token}` },
    });
    assertEquals(taken.status, 200);
    await taken.body?.cancel();
    await stop(process);
    assert(!process.seen.includes(token));
  }
});

const WRONG: [args: string[], env: Record<string, string>, message: RegExp][] =
  [
    [
      ["serve", "--listen", "here"],
      {},
      /"here": expected an address like 8080/,
    ],
    [
      ["serve", "--listen", "0.0.0.0:0"],
      {},
      /without a token: other machines could create tasks/,
    ],
    [
      ["serve", "--listen", "203.0.113.7:0"],
      { HANDSFREE_AGENT_TOKEN: "0123456789abcdef" },
      /203.0.113.7:0: this machine does not have the address/,
    ],
    [["serve"], { HANDSFREE_AGENT_TOKEN: "short" }, /expected 16 or more/],
    [["serve", "--token-file", "none"], {}, /there is no such file/],
    [["serve", "--allow-host", "http://x"], {}, /without scheme and port/],
    [["serve", "--port", "1"], {}, /Unknown flag --port/],
    [["run", "--once", "--listen", "0"], ENABLED, /Give --loop too/],
    [["run", "--listen", "0"], ENABLED, /Give --loop too/],
    [
      ["run", "--loop", "--listen", "x"],
      ENABLED,
      /--listen is "x": expected an address/,
    ],
  ];

for (const [args, env, message] of WRONG) {
  Deno.test(`${args.join(" ")} says what is wrong and makes no database`, async () => {
    using folder = new Folder();
    assertMatch(await folder.fails(2, args, { env }), message);
    const isLate = args.includes("203.0.113.7:0");
    assertEquals(folder.names(), isLate ? ["handsfree.duckdb"] : []);
  });
}

Deno.test("a port that is taken is exit code 2", async () => {
  using folder = new Folder();
  await using process = start(folder);
  const { host } = new URL(await urlOf(process));
  const error = await folder.fails(2, ["serve", "--listen", host]);
  assertMatch(error, new RegExp(`Cannot listen on ${host}: another program`));
  const loop = ["run", "--loop", "--listen", host];
  assertMatch(await folder.fails(2, loop, { env: ENABLED }), /another program/);
  await stop(process);
});

Deno.test("a Unix socket is its owner's alone, leads commands to the service, and is gone at the end", async () => {
  using folder = new Folder();
  const address = `unix:${folder.path}/runner.sock`;
  const listen = ["serve", "--listen", address];
  await using process = folder.start(listen);
  await process.line(/Listening on unix:/);
  const { mode } = Deno.statSync(`${folder.path}/runner.sock`);
  assertEquals((mode ?? 0) & 0o777, 0o600);
  await folder.ok(["create", "Through it", "--server", address]);
  assertMatch(await folder.ok(["list", "--server", address]), /Through it/);
  assertMatch(await folder.fails(2, listen), /another program listens there/);
  await stop(process);
  assertEquals(folder.names(), ["handsfree.duckdb"]);
  assertMatch(
    await folder.fails(3, ["list", "--server", address]),
    /runner.sock: there is no such socket/,
  );
});

Deno.test("a socket that a dead service left is replaced, and a file that is none is not", async () => {
  using folder = new Folder();
  const listen = ["serve", "--listen", `unix:${folder.path}/runner.sock`];
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await using process = folder.start(listen);
    await process.line(/Listening on unix:/);
    process.signal(signal);
    await process.ended();
    assertEquals(folder.names().includes("runner.sock"), signal === "SIGKILL");
  }
  folder.write("runner.sock", "of somebody");
  assertMatch(await folder.fails(2, listen), /a file that is no socket/);
  assertEquals(folder.read("runner.sock"), "of somebody");
  const nowhere = ["serve", "--listen", "unix:/nowhere/runner.sock"];
  assertMatch(await folder.fails(2, nowhere), /its folder does not exist/);
});

Deno.test("serve without a database that can be used is exit code 3", async () => {
  using folder = new Folder();
  const args = ["serve", "--db-path", "/nowhere/x.duckdb"];
  assertMatch(await folder.fails(3, args), /its folder does not exist/);
});

Deno.test("run --once listens nowhere, whatever the environment says", async () => {
  using folder = new Folder();
  const env = { ...ENABLED, HANDSFREE_AGENT_LISTEN: "0" };
  const { code, stderr } = await folder.run(["run", "--once"], { env });
  assertEquals(code, 0, stderr);
  assert(!stderr.includes("Listening"), stderr);
});
