import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { AT_ONCE, Folder } from "./cli.ts";

const FILE = "agent-runner.json";
const TRUE = { processor: "command", command: ["true"] };

function configure(folder: Folder, config: unknown): void {
  folder.write(FILE, JSON.stringify(config));
}

async function providersOf(folder: Folder): Promise<string[]> {
  const tasks = JSON.parse(await folder.ok(["list", "--json"]));
  return tasks.map(({ provider }: { provider: string }) => provider).sort();
}

Deno.test("create says that nothing will be done where no provider is configured", async () => {
  using folder = new Folder();
  const args = ["create", "x", "--provider", "claude"];
  const { code, stdout, stderr } = await folder.run(args);
  assertEquals(code, 0);
  assertMatch(stdout, /^Created task /);
  assertMatch(
    stderr,
    /WARNING - .*"claude" are only simulated, nothing is done/,
  );
  const plain = await folder.run(["create", "x"]);
  assertEquals(/WARNING/.test(plain.stderr), false, plain.stderr);
});

Deno.test("create takes the only provider, and says where nobody serves one", async () => {
  using folder = new Folder();
  configure(folder, { providers: { claude: TRUE } });
  const { stderr } = await folder.run(["create", "x"]);
  assertEquals(/WARNING/.test(stderr), false, stderr);
  folder.write(
    "tasks.jsonl",
    '{"instruction": "a"}\n{"instruction": "b", "provider": "claud"}\n',
  );
  const many = await folder.run(["create", "--file", "tasks.jsonl"]);
  assertMatch(
    many.stderr,
    /agent-runner\.json names no provider "claud": its tasks wait\. Did you mean "claude"\?/,
  );
  assertEquals(await providersOf(folder), ["claud", "claude", "claude"]);
});

Deno.test("create takes the provider that the configuration names for all", async () => {
  using folder = new Folder();
  configure(folder, {
    settings: { "default-provider": "b" },
    providers: { a: TRUE, b: TRUE },
  });
  await folder.ok(["create", "x"]);
  assertEquals(await providersOf(folder), ["b"]);
});

Deno.test("what is only simulated says so at every turn", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create([{}]);
  const { stdout, stderr } = await folder.run(["run", "--once"], {
    env: AT_ONCE,
  });
  assertMatch(stdout, /^1 started, 1 completed, 0 failed, 1 simulated in /);
  assertMatch(
    stderr,
    /WARNING - No provider is configured: every task is only/,
  );
  assertMatch(await folder.ok(["list"]), / completed \(simulated\) /);
  const shown = await folder.ok(["show", id]);
  assertMatch(shown, /State +completed \(simulated\)$/m);
  assertMatch(shown, /completed by .*: simulated, nothing was done$/m);
  const { simulated, trace } = JSON.parse(
    await folder.ok(["show", id, "--json"]),
  );
  assertEquals([simulated, trace.simulated], [true, true]);
  const { buckets } = JSON.parse(await folder.ok(["stats", "--json"]));
  const sum = buckets.reduce(
    (sum: number, it: { simulated: number }) => sum + it.simulated,
    0,
  );
  assertEquals(sum, 1);
});

Deno.test("what a program did is not marked", async () => {
  using folder = new Folder();
  configure(folder, { providers: { claude: TRUE } });
  await folder.ok(["create", "x"]);
  const { stdout, stderr } = await folder.run(["run", "--once"], {
    env: AT_ONCE,
  });
  assertMatch(stdout, /^1 started, 1 completed, 0 failed in /);
  assertEquals(/simulated/.test(stderr), false, stderr);
  const [{ simulated, trace }] = JSON.parse(
    await folder.ok(["list", "--json"]),
  );
  assertEquals([simulated, trace.simulated], [false, undefined]);
});

for (
  const command of [["run", "--once"], ["run", "--loop"], ["run-task", "x"]]
) {
  Deno.test(`${command.join(" ")} refuses to simulate where that is never to be`, async () => {
    using folder = new Folder();
    const env = { ...AT_ONCE, HANDSFREE_AGENT_SIMULATE: "never" };
    assertStringIncludes(
      await folder.fails(2, command, { env }),
      "Cannot run tasks: no provider is configured, and nothing may be simulated",
    );
    assertEquals(folder.names(), []);
  });
}

Deno.test("run --once waits for the next try, and says what it leaves", async () => {
  using folder = new Folder();
  configure(folder, {
    providers: {
      twice: {
        processor: "command",
        shell: "[ -e seen ] && exit 0; touch seen; exit 1",
        cwd: ".",
        attempts: 2,
      },
      never: {
        processor: "command",
        command: ["false"],
        attempts: 2,
        backoff: { base: 3600, max: 3600 },
      },
    },
  });
  await folder.create([{ provider: "twice" }]);
  const first = await folder.ok(["run", "--once"], { env: AT_ONCE });
  assertMatch(first, /^2 started, 1 completed, 0 failed, 1 to be retried in /);
  await folder.create([{ provider: "never" }]);
  const second = await folder.ok(["run", "--once"], { env: AT_ONCE });
  assertMatch(
    second,
    /^1 started, .*\nLeft: 1 running or to be tried again; the next is due in \d+m( \d+s)?\n$/,
  );
  const json = await folder.ok(["run", "--once", "--json"], { env: AT_ONCE });
  const { created, running, needs_input, due_seconds } = JSON.parse(json).left;
  assertEquals([created, running, needs_input], [0, 1, 0]);
  assert(due_seconds > 0 && due_seconds <= 3_600, json);
  assertMatch(
    await folder.ok(["list", "--state", "retrying"]),
    / retrying in \d+m /,
  );
});

const MISSING = { processor: "command", command: ["no-such-program"] };
const SECRET = {
  processor: "command",
  command: ["true"],
  secrets: ["NO_SUCH_SECRET"],
};

for (const others of [{}, { "*": TRUE }]) {
  Deno.test(`tasks wait whose provider can't be used as it is configured, ${Object.keys(others)}`, async () => {
    using folder = new Folder();
    configure(folder, {
      providers: { missing: MISSING, secret: SECRET, well: TRUE, ...others },
    });
    const [missing = "", , well] = await folder.create([
      { provider: "missing" },
      { provider: "secret" },
      { provider: "well" },
    ]);
    const plan = await folder.ok(["run", "--dry-run"]);
    assertMatch(plan, /\n1 would run\.\n/);
    assertMatch(plan, / missing +created +The program no-such-program is not /);
    const { code, stdout, stderr } = await folder.run(["run", "--once"], {
      env: AT_ONCE,
    });
    assertEquals(code, 1, stderr);
    assertMatch(
      stdout,
      /^1 started, 1 completed, 0 failed in .*\nLeft: 2 created; 2 of a provider that is not served\n$/,
    );
    assertMatch(
      stderr,
      /missing is not served, its tasks wait: The program no-such-program is not on PATH/,
    );
    assertMatch(stderr, /secret is not served.*NO_SUCH_SECRET/);
    const done = await folder.ok(["list", "--json", "--state", "completed"]);
    assertEquals(JSON.parse(done).map(({ id }: { id: string }) => id), [well]);
    assertMatch(
      await folder.fails(1, ["run-task", missing], { env: AT_ONCE }),
      /no-such-program is not on PATH/,
    );
  });
}

Deno.test("run ends at once where no provider can be used", async () => {
  using folder = new Folder();
  configure(folder, { providers: { missing: MISSING, secret: SECRET } });
  await folder.create([{ provider: "missing" }]);
  for (const mode of ["--once", "--loop"]) {
    assertMatch(
      await folder.fails(2, ["run", mode], { env: AT_ONCE }),
      /no provider can be used as it is configured/,
    );
  }
  assertMatch(await folder.ok(["list"]), / created /);
});

Deno.test("list chooses what was cancelled, or waits for its next try", async () => {
  using folder = new Folder();
  const [cancelled = "", other = ""] = await folder.create([{}, {}]);
  await folder.ok(["cancel", cancelled]);
  const args = ["list", "--json", "--state"];
  const ids = async (state: string) =>
    JSON.parse(await folder.ok([...args, state]))
      .map(({ id }: { id: string }) => id);
  assertEquals(await ids("cancelled"), [cancelled]);
  assertEquals(await ids("failed"), [cancelled]);
  assertEquals(await ids("created"), [other]);
  assertEquals(await ids("retrying,created"), [other]);
  assertMatch(await folder.ok(["list"]), / cancelled /);
});
