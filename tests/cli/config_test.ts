import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { jsonSchema } from "../../lib/config/schema.ts";
import { TestRepository } from "../workspaces/repository.ts";
import { AT_ONCE, ENABLED, Folder } from "./cli.ts";

const FILE = "agent-runner.json";

const CONFIG = `{
  // A comment
  "settings": { "enabled": true, "concurrency": 4, "completion-delay": 0 },
  "providers": {
    "claude": {
      "processor": "simulate", "timeout": 1800, "attempts": 2,
      "concurrency": 3, "backoff": { "base": 5 },
    },
    "*": { "processor": "simulate" },
  },
}`;

Deno.test("config schema prints the JSON schema, whatever the file is", async () => {
  using folder = new Folder();
  folder.write(FILE, "{ broken");
  const out = await folder.ok(["config", "schema"]);
  assertEquals(JSON.parse(out), JSON.parse(JSON.stringify(jsonSchema())));
  assertEquals(folder.names(), [FILE]);
});

Deno.test("config check says what runs, what is in force, and by what", async () => {
  using folder = new Folder();
  folder.write(FILE, CONFIG);
  const out = await folder.ok(["config", "check"], {
    env: { HANDSFREE_AGENT_CONCURRENCY: "7" },
  });
  assertEquals(
    out.slice(0, out.indexOf("\nSettings")),
    `\
Configuration file: agent-runner.json

claude
  processor    simulate
  does         waits 0 s, then completes
  timeout      1800 s           agent-runner.json
  attempts     2                agent-runner.json
  concurrency  3                agent-runner.json
  backoff      base=5, max=300  agent-runner.json

All other providers
  processor    simulate
  does         waits 0 s, then completes
  timeout      no limit  default
  attempts     1         default
  concurrency  7         HANDSFREE_AGENT_CONCURRENCY
`,
  );
  assertMatch(out, /^ {2}enabled +true +agent-runner.json:3:28$/m);
  assertMatch(out, /^ {2}concurrency +7 +HANDSFREE_AGENT_CONCURRENCY$/m);
  assertMatch(out, /^ {2}event-retention +30 days +default$/m);
  assertMatch(out, /\nNothing wrong was found.\n$/);
  assertEquals(folder.names(), [FILE]);
});

Deno.test("config check --json is for scripts", async () => {
  using folder = new Folder();
  folder.write(FILE, CONFIG);
  const out = JSON.parse(
    await folder.ok(["config", "check", "--json", "--db-path", "x.duckdb"]),
  );
  const source = FILE;
  assertEquals(out.file, FILE);
  assertEquals(out.providers.claude, {
    processor: "simulate",
    does: "waits 0 s, then completes",
    settings: {
      timeout: { value: 1800, source },
      attempts: { value: 2, source },
      concurrency: { value: 3, source },
      backoff: { value: { base: 5, max: 300 }, source },
    },
    problems: [],
    warnings: [],
  });
  assertEquals(Object.keys(out.providers), ["claude", "*"]);
  assertEquals(out.settings["db-path"], {
    value: "x.duckdb",
    source: "--db-path",
  });
  assertEquals(out.settings.interval, { value: 5, source: "default" });
});

Deno.test("config check says that without a file all is simulated", async () => {
  using folder = new Folder();
  const out = await folder.ok(["config", "check"]);
  assertMatch(out, /^There is no configuration file. Every provider is sim/);
  assertMatch(out, /The runner is disabled: HANDSFREE_AGENT_RUNNER_ENABLED=tr/);
  assertEquals(folder.names(), []);
});

Deno.test("config check says whose tasks are left alone", async () => {
  using folder = new Folder();
  folder.write(FILE, '{ "providers": { "a": { "processor": "simulate" } } }');
  const out = await folder.ok(["config", "check"]);
  assertMatch(
    out,
    /^.*Tasks of providers that it does not name are left alone/,
  );
  assert(!out.includes("All other providers"), out);
});

Deno.test("config check names every mistake, with exit code 2", async () => {
  using folder = new Folder();
  folder.write(
    FILE,
    `{ "settings": { "interval": "soon" },
  "providers": { "claude": { "processor": "simulate", "timeot": 3 } } }`,
  );
  assertEquals(
    await folder.fails(2, ["config", "check"], { env: { LOG_LEVEL: "LOUD" } }),
    `error: agent-runner.json:1:29: settings.interval is "soon": \
expected a number of seconds, 0.01 or more, or a duration like 90s, 15m, 24h or 7d.
       agent-runner.json:2:55: providers.claude.timeot is unknown. \
Did you mean "timeout"? There are processor, timeout, attempts, concurrency, globalConcurrency, concurrencyKey, keyConcurrency, rate, ratePer, fairBy, hours, zone, fallback, budget, prices, backoff.
       LOG_LEVEL is "LOUD": expected one of DEBUG, INFO, WARNING, ERROR.
`,
  );
});

Deno.test("config check prints no control character of a file", async () => {
  using folder = new Folder();
  const config = { providers: { "\x1b[31m": { processor: "\x1b[32m" } } };
  folder.write(FILE, JSON.stringify(config));
  // What fails() returns was looked through for raw control bytes.
  const said = await folder.fails(2, ["config", "check"]);
  assertStringIncludes(said, String.raw`providers["\u001b[31m"].processor is `);
});

for (
  const [how, args, env] of [
    ["--config", ["--config", "conf/a.json"], {}],
    ["the variable", [], { HANDSFREE_AGENT_RUNNER_CONFIG: "conf/a.json" }],
  ] as const
) {
  Deno.test(`${how} names the file, whose paths are seen from its folder`, async () => {
    using folder = new Folder();
    Deno.mkdirSync(`${folder.path}/conf`);
    folder.write("conf/a.json", '{ "settings": { "db-path": "b.duckdb" } }');
    folder.write(FILE, "{ not read");
    await folder.ok(["create", "Hello", ...args], { env });
    assertEquals(
      JSON.parse(await folder.ok(["list", "--json", ...args], { env })).length,
      1,
    );
    assert(folder.names().every((name) => !name.includes("duckdb")));
    assert(Deno.statSync(`${folder.path}/conf/b.duckdb`).isFile);
  });
}

Deno.test("a file that was asked for and is not there is an error", async () => {
  using folder = new Folder();
  for (const command of ["run", "list", "create"]) {
    const said = await folder.fails(2, [command, "--config", "a.json"], {
      env: ENABLED,
    });
    assertEquals(
      said,
      "error: Cannot read the configuration file a.json: there is no such " +
        "file. Give another one with --config or HANDSFREE_AGENT_RUNNER_CONFIG.\n",
    );
  }
  assertEquals(folder.names(), []);
});

Deno.test("a wrong file keeps every command from touching anything", async () => {
  using folder = new Folder();
  folder.write(FILE, '{ "providers": { "a": { "processor": "simulat" } } }');
  for (const command of ["run", "list", "create"]) {
    const said = await folder.fails(2, [command], { env: ENABLED });
    assertMatch(
      said,
      /^error: agent-runner.json:1:38: providers.a.processor is/,
    );
  }
  assertEquals(folder.names(), [FILE]);
});

Deno.test("--help and --version do not mind a wrong file", async () => {
  using folder = new Folder();
  folder.write(FILE, "{ broken");
  await folder.ok(["--version"]);
  await folder.ok(["config", "check", "--help"]);
});

Deno.test("run takes settings and providers from the file, and says so", async () => {
  using folder = new Folder();
  folder.write(FILE, CONFIG);
  await folder.create([
    { instruction: "One", provider: "claude" },
    { instruction: "Two", provider: "other" },
  ]);
  const { code, stderr, stdout } = await folder.run(["run", "--once"]);
  assertEquals(code, 0, stderr);
  assertMatch(
    stderr,
    /Providers: claude \(simulate\), all others \(simulate\)\n/,
  );
  assertMatch(stdout, /^2 started, 2 completed/);
});

Deno.test("run says that other providers' tasks are left alone", async () => {
  using folder = new Folder();
  folder.write(FILE, '{ "providers": { "a": { "processor": "simulate" } } }');
  const { stderr } = await folder.run(["run", "--once"], { env: AT_ONCE });
  assertMatch(
    stderr,
    /Providers: a \(simulate\); tasks of others are left alone\n/,
  );
});

Deno.test("run leaves tasks of providers that the file does not name", async () => {
  using folder = new Folder();
  folder.write(FILE, '{ "providers": { "a": { "processor": "simulate" } } }');
  await folder.create([
    { instruction: "Mine", provider: "a" },
    { instruction: "Not mine", provider: "aa" },
  ]);
  const out = await folder.ok(["run", "--once"], { env: AT_ONCE });
  assertMatch(
    out,
    /^1 started, 1 completed, 0 failed, 1 simulated in .*\nLeft: 1 created\n$/,
  );
  const tasks = JSON.parse(await folder.ok(["list", "--json"]));
  assertEquals(
    tasks.map((it: Record<string, unknown>) => [it.provider, it.state]).sort(),
    [["a", "completed"], ["aa", "created"]],
  );
});

Deno.test("run does a provider's tasks as the file says: program, tries, timeout", async () => {
  using folder = new Folder();
  folder.write(
    FILE,
    `{ "settings": { "enabled": true }, "providers": {
      "echo": { "processor": "command", "command": ["echo", "{instruction}"] },
      "false": { "processor": "command", "command": ["false"], "attempts": 2,
        "backoff": { "base": 0, "max": 0 } },
      "sleep": { "processor": "command", "command": ["sleep", "60"],
        "timeout": 0.2, "killGrace": 0 },
    } }`,
  );
  const providers = ["echo", "false", "sleep"];
  const ids = await folder.create(
    providers.map((provider) => ({ instruction: "Hello", provider })),
  );
  const { code, stderr } = await folder.run(["run", "--once"]);
  assertEquals(code, 1, stderr);
  // A second try is another pass's.
  await folder.run(["run", "--once"]);
  const [echo, no, sleep] = await Promise.all(
    ids.map(async (id) => JSON.parse(await folder.ok(["show", id, "--json"]))),
  );
  assertEquals([echo.state, echo.attempt], ["completed", 1]);
  assertEquals((await folder.ok(["result", echo.id])).trim(), "Hello");
  assertEquals([no.state, no.attempt], ["failed", 2]);
  assertEquals([sleep.state, sleep.attempt], ["failed", 1]);
  assertStringIncludes(JSON.stringify(sleep.trace), "Timed out after 0.2 s");
});

Deno.test("config check tries programs and modules, with exit code 2", async () => {
  using folder = new Folder();
  folder.write("right.ts", "export default { process() {} };");
  folder.write("wrong.ts", "throw new Error('Not today');");
  folder.write(
    FILE,
    `{ "providers": {
      "right": { "processor": "module", "module": "right.ts" },
      "wrong": { "processor": "module", "module": "wrong.ts" },
      "here": { "processor": "command", "command": ["echo", "{instruction}"] },
      "nowhere": { "processor": "command", "command": ["no-such-program"] },
    } }`,
  );
  const json = await folder.run(["config", "check", "--json"]);
  const { providers } = JSON.parse(json.stdout);
  assertEquals(json.code, 2);
  assertEquals(providers.right.problems, []);
  assertEquals(providers.here.problems, []);
  assertEquals(providers.here.does, "runs echo {instruction}");
  assertMatch(providers.wrong.problems.join(), /Not today/);
  assertMatch(providers.nowhere.problems.join(), /no-such-program is not on/);
  const { code, stdout } = await folder.run(["config", "check"]);
  assertEquals(code, 2);
  assertMatch(
    stdout,
    /^nowhere\n(?: .*\n)* {2}WRONG +The program no-such-pro/m,
  );
  assertMatch(stdout, /\n2 things are wrong\./);
});

Deno.test("config check finds wrong what keeps run from starting", async () => {
  using folder = new Folder();
  const env = {
    HANDSFREE_AGENT_RUNNER_ENABLED: "true",
    HANDSFREE_AGENT_LISTEN: "0.0.0.0:8080",
  };
  const check = await folder.run(["config", "check"], { env });
  assertEquals(check.code, 2);
  assertMatch(check.stdout, /^ {2}WRONG +Cannot listen on .* without a token/m);
  const run = await folder.run(["run", "--loop"], { env });
  assertEquals(run.code, 2);
  assertMatch(run.stderr, /Cannot listen on .* without a token/);
});

Deno.test("run says at its start what config check says of its providers", async () => {
  using folder = new Folder();
  folder.write("wrong.ts", "throw new Error('Not today');");
  folder.write(
    FILE,
    JSON.stringify({
      settings: { "default-provider": "zz" },
      providers: {
        a: { processor: "command", command: ["no-such-program"] },
        b: { processor: "module", module: "gone.ts" },
        d: { processor: "module", module: "wrong.ts" },
        e: { processor: "http", url: "http://127.0.0.1:9/" },
        c: {
          processor: "http",
          url: "http://127.0.0.1:9/",
          allowPrivate: true,
          headers: { "X-Key": "${env:NOT_SET}" },
        },
      },
    }),
  );
  const { code, stdout } = await folder.run(["config", "check"]);
  assertEquals(code, 2);
  assertMatch(stdout, /WRONG +.*names no provider "zz"/);
  const { stderr } = await folder.run(["run", "--once"], { env: AT_ONCE });
  for (
    const [provider, what] of [
      ["a", "no-such-program"],
      ["b", "gone.ts"],
      ["c", "NOT_SET"],
      ["d", "Not today"],
      ["e", "not a public address"],
    ] as const
  ) {
    const [, problem] = new RegExp(`WRONG +(.*${what}.*)`).exec(stdout) ?? [];
    assert(problem, stdout);
    assertStringIncludes(
      stderr,
      `ERROR - Provider ${provider} is not served, its tasks wait: ${problem}`,
    );
  }
});

Deno.test("config check says what is worked on, and what is wrong with its folder", async () => {
  using folder = new Folder();
  const workspace = { git: "app", folder: "/proc/x", base: "main" };
  const provider = { processor: "command", shell: "true", workspace };
  folder.write(FILE, JSON.stringify({ providers: { a: provider } }));
  const { stdout, stderr } = await folder.run(["config", "check"]);
  assertMatch(
    stdout + stderr,
    / {2}workspace +git=app, mode=worktree, folder=\/proc\/x, base=main, onApproved=none +agent-r/,
  );
  assertMatch(stdout + stderr, /The folder \/proc(\/x)? /);
  assert(!(stdout + stderr).includes("--allow"), stdout + stderr);
});

Deno.test("a repository that can't be used keeps no task with another one waiting", async () => {
  await using repo = await TestRepository.make();
  using folder = new Folder();
  Deno.mkdirSync(`${folder.path}/empty`);
  const workspace = { git: "empty", folder: "work" };
  const provider = { processor: "command", shell: "echo 1 > new", workspace };
  folder.write(FILE, JSON.stringify({ providers: { a: provider } }));
  const said = `Cannot use the repository ${folder.path}/empty: it is none.`;
  assertStringIncludes(
    await folder.ok(["config", "check"]),
    `WARNING      ${said}`,
  );
  assertStringIncludes((await folder.run(["doctor"])).stdout, `a: ${said}`);
  const create = ["create", "Mend it", "--provider", "a"];
  await folder.ok([...create, "--repo", repo.path]);
  await folder.ok(create);
  const { stderr } = await folder.run(["run", "--once"], { env: AT_ONCE });
  assertStringIncludes(stderr, `Provider a: ${said}`);
  const tasks = JSON.parse(await folder.ok(["list", "--json"]));
  const states = tasks.map(({ state, attempt }: {
    state: string;
    attempt: number;
  }) => [state, attempt]);
  // It waits until the repository is there.
  assertEquals(states.sort(), [["completed", 1], ["running", 0]]);
});

Deno.test("what is to be copied is there, and none of git's own", async () => {
  await using repo = await TestRepository.make();
  using folder = new Folder();
  const write = (copy: readonly string[]) => {
    const workspace = { git: repo.path, folder: "work", copy };
    const provider = { processor: "command", shell: "true", workspace };
    folder.write(FILE, JSON.stringify({ providers: { a: provider } }));
  };
  write([".env", "README.md"]);
  assertMatch(
    await folder.ok(["config", "check"]),
    /WARNING +Nothing is copied of .*\/\.env: it is not there\.\n\n/,
  );
  for (const path of [".git/config", "a/.GIT", ".", "./"]) {
    write([path]);
    assertMatch(
      await folder.fails(2, ["config", "check"]),
      /nothing of \.git is copied/,
    );
  }
  write([".github", "a.git"]);
  await folder.ok(["config", "check"]);
});
