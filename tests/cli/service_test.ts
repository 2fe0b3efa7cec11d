import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { COMMANDS } from "../../lib/cli/commands.ts";
import { AT_ONCE, type CliProcess, Folder } from "./cli.ts";

/** A runner that nobody else can use the file beside. */
async function startExclusive(
  folder: Folder,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<{ runner: CliProcess; url: string }> {
  const runner = folder.start(
    ["run", "--loop", "--exclusive", "--listen", "0", ...args],
    { env: { ...AT_ONCE, ...env } },
  );
  await runner.line(/Listening on http/);
  const [, url] = /Listening on (http:\S+)/.exec(runner.seen) ?? [];
  assert(url);
  return { runner, url };
}

Deno.test("commands reach the tasks of an exclusive runner by --server, which the error beside it names", async () => {
  using folder = new Folder();
  const { runner, url } = await startExclusive(folder);
  await using _ = runner;
  const stderr = await folder.fails(3, ["list", "--db-wait", "0"]);
  assertMatch(stderr, new RegExp(`PID ${runner.pid}`));
  assertStringIncludes(stderr, "--server");

  using elsewhere = new Folder();
  const env = { HANDSFREE_AGENT_RUNNER_SERVER: url };
  const created = await elsewhere.ok(["create", "Over there", "--server", url]);
  const [, id = ""] = /^Created task (\S+)\n$/.exec(created) ?? [];
  await runner.line(new RegExp(`Task ${id} completed`));
  assertMatch(await elsewhere.ok(["list"], { env }), /completed .*Over there/);
  const short = id.slice(0, 8);
  assertMatch(
    await elsewhere.ok(["show", short], { env }),
    /completed by agent-runner-/,
  );
  assertStringIncludes(
    await elsewhere.fails(1, ["result", short], { env }),
    "it completed without one",
  );
  elsewhere.write(
    "agent-runner.json",
    JSON.stringify({
      settings: { server: url },
    }),
  );
  assertStringIncludes(await elsewhere.ok(["stats"]), "simulate");
  await elsewhere.ok(["export", "tasks.parquet"]);
  assertStringIncludes(
    await elsewhere.ok(["retry", "--state", "completed", "--yes"]),
    "1 task retried",
  );
  await runner.line(/Task \S+ completed/, 2);
  assertStringIncludes(
    await elsewhere.ok(["prune", "--older-than", "0.001s", "--yes"]),
    "Deleted 2 tasks",
  );
  assertEquals(elsewhere.names(), ["agent-runner.json", "tasks.parquet"]);
  // A file that is named wins over an address that is not.
  assertStringIncludes(
    await elsewhere.fails(3, ["list", "--db-path", "own.duckdb"], { env }),
    "Cannot open own.duckdb: there is no such file",
  );
});

Deno.test("create --file --server takes a large file, and the service is silent about it", async () => {
  using folder = new Folder();
  await using service = folder.start(["serve", "--listen", "0"]);
  await service.line(/Listening on http/);
  const [, url = ""] = /Listening on (http:\S+)/.exec(service.seen) ?? [];
  const line = JSON.stringify({ instruction: "Large ".repeat(50) });
  folder.write("tasks.jsonl", `${line}\n`.repeat(20_000));
  assertEquals(
    await folder.ok(["create", "--file", "tasks.jsonl", "--server", url]),
    "Created 20000 tasks\n",
  );
  assert(!/warning/i.test(service.seen), service.seen);
});

Deno.test("watch --server prints what changes, through a pause of the service", async () => {
  using folder = new Folder();
  const env = { LOG_LEVEL: "DEBUG" };
  const looked = /GET \/api\/v1\/stats\/overview 200/;
  await using first = folder.start(["serve", "--listen", "0"], { env });
  await first.line(/Listening on http/);
  const [, url = ""] = /Listening on (http:\S+)/.exec(first.seen) ?? [];
  await using watch = folder.start([
    "watch",
    "--interval",
    "0.05",
    "--server",
    url,
  ]);
  await first.line(looked);
  first.signal("SIGTERM");
  await first.ended();
  await watch.line(/WARNING - Cannot reach the service/);
  const port = new URL(url).port;
  await using second = folder.start(["serve", "--listen", port], { env });
  await second.line(looked);
  await folder.create([{ instruction: "New" }]);
  // The one after the next was begun when the last was done, and printed.
  const looks = second.seen.split("\n").filter((it) => looked.test(it)).length;
  await second.line(looked, looks + 3);
  watch.signal("SIGINT");
  const { code, stdout } = await watch.ended();
  assertEquals(code, 0);
  assertMatch(stdout, /created 1, running 0/);
});

Deno.test("a token from the environment or a file opens the service, and is shown to nobody", async () => {
  using folder = new Folder();
  const token = "s3cret-s3cret-s3cret";
  const env = { HANDSFREE_AGENT_TOKEN: token, LOG_LEVEL: "DEBUG" };
  const { runner, url } = await startExclusive(folder, [], env);
  await using _ = runner;
  const server = ["--server", url];
  const said = [
    await folder.ok(["create", "x", ...server], { env }),
    await folder.fails(2, ["list", ...server]),
    await folder.fails(2, ["list", ...server], {
      env: { HANDSFREE_AGENT_TOKEN: "another-s3cret-s3cret" },
    }),
  ];
  folder.write("token", `${token}\n`);
  const withFile = ["--token-file", "token", ...server];
  said.push(await folder.ok(["list", ...withFile]));
  assertStringIncludes(said.at(-1) ?? "", "simulate");
  assertStringIncludes(said[1] ?? "", "it wants a token");
  assertStringIncludes(said[2] ?? "", "it has another token");
  assertEquals(said.filter((text) => text.includes("s3cret")), []);
  assert(!runner.seen.includes(token));
});

const OTHERS = COMMANDS.filter(({ settings = [] }) =>
  !settings.includes("server")
);

for (const { name } of OTHERS) {
  Deno.test(`${name} refuses --server, and says which commands take it`, async () => {
    using folder = new Folder();
    const stderr = await folder.fails(2, [
      ...name.split(" "),
      "--server",
      "http://127.0.0.1:1",
    ]);
    assertStringIncludes(stderr, `Cannot use --server with "${name}"`);
    assertStringIncludes(stderr, "create, list, batches, show");
    assertEquals(folder.names(), []);
  });
}

Deno.test("what a strange service says can't steer the terminal", async () => {
  using folder = new Folder();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () =>
      Response.json({
        type: "about:blank",
        title: "x",
        status: 400,
        detail: "\u001b[2J\u009b31m Gone",
      }, { status: 400 }),
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  const stderr = await folder.fails(2, ["list", "--server", url]);
  assertStringIncludes(stderr, "\\x1b[2J\\x9b31m Gone");
  await server.shutdown();
});
