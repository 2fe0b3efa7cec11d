import { assert, assertEquals, assertMatch } from "@std/assert";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { Backdoor } from "../store/postgres/subject.ts";
import { until } from "../support/until.ts";
import { AT_ONCE, Folder } from "./cli.ts";

function hasRun(folder: Folder): boolean {
  return folder.read("journal") !== "";
}

/** Says that its limit is reached, once, until so many seconds from then. */
const LIMIT_ONCE = `if mkdir met 2>/dev/null; then
    echo '{"agent_runner": "limit", "reason": "five-hour limit", "until":' \\
      "$(($(date +%s) + \${SECONDS_LEFT:-3600}))}"
  else echo done >> journal; fi`;

function configure(folder: Folder, fields: Record<string, unknown> = {}): void {
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        claude: {
          processor: "command",
          shell: LIMIT_ONCE,
          cwd: ".",
          ...fields,
        },
        codex: { processor: "command", command: ["true"] },
      },
    }),
  );
}

const CLAUDE = { provider: "claude" };

/** A limit stops a provider's tasks, and says so wherever they are seen. */
async function testLimit(env: Record<string, string>): Promise<void> {
  using folder = new Folder();
  configure(folder);
  const options = { env: { ...AT_ONCE, ...env } };
  await folder.create([CLAUDE, CLAUDE, { provider: "codex" }], options.env);
  const run = (...args: string[]) => folder.run(args, options);
  const once = await run("run", "--once", "--concurrency", "1");
  assertMatch(
    once.stdout,
    /^2 started, 1 completed, 0 failed, 1 stopped by a limit/m,
  );
  const line = /claude: limit until .*, 2 tasks wait \(five-hour limit\)/;
  for (
    const args of [["pauses"], ["list"], ["stats"]]
  ) assertMatch((await run(...args)).stdout, line, args.join(" "));
  assertMatch(once.stdout, line);
  const [, , claude = ""] = (await run("list")).stdout.split("\n");
  const shown = await run("show", claude.slice(0, 8));
  assertMatch(shown.stdout, /Waits +claude: limit until .*: five-hour limit/);
  const plan = await run("run", "--once", "--dry-run");
  assertMatch(plan.stdout, /claude .*limit until .*: five-hour limit/);
  assertMatch(plan.stdout, /^2 would not run/m);
  assertEquals((await run("resume", "claude")).stdout, "claude goes on\n");
  assertMatch((await run("run", "--once")).stdout, /^2 started, 2 completed/m);
  assertEquals((await run("pauses")).stdout, "Nothing is paused.\n");
  const { stdout } = await run("list", "--json");
  const attempts = JSON.parse(stdout).map((it: { attempt: number }) =>
    it.attempt
  );
  assertEquals(attempts, [1, 1, 1]);
}

Deno.test("a limit that a command meets stops its provider, and all say so", () =>
  testLimit({}));

Deno.test({
  name: "a limit stops a provider on PostgreSQL",
  ignore: !hasPostgres,
  fn: async () => {
    const address = sharedServer().address();
    await using backdoor = new Backdoor(address);
    await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
    await testLimit({ HANDSFREE_DB: address });
  },
});

Deno.test("run --loop goes on by itself when a person's pause is over", async () => {
  using folder = new Folder();
  configure(folder);
  folder.write("journal", "");
  Deno.mkdirSync(`${folder.path}/met`);
  const options = { env: AT_ONCE };
  await folder.create([CLAUDE], options.env);
  const paused = await folder.run(
    ["pause", "claude", "--until", "4s", "--reason", "Look first"],
    options,
  );
  assertMatch(paused.stdout, /^claude: paused until .* \(Look first\)$/m);
  await using runner = folder.start(
    ["run", "--loop", "--interval", "3600"],
    options,
  );
  await runner.line(/Provider claude: paused until .*: Look first/);
  assert(!hasRun(folder));
  await runner.line(/Provider claude goes on/);
  await until("it has run", () => hasRun(folder));
});

Deno.test("a fallback gets what waits when a limit is met", async () => {
  using folder = new Folder();
  configure(folder, { fallback: "codex" });
  const options = { env: AT_ONCE };
  await folder.create([CLAUDE, CLAUDE], options.env);
  const { stdout } = await folder.run(
    ["run", "--once", "--concurrency", "1"],
    options,
  );
  assertMatch(stdout, /^3 started, 2 completed/m);
  const listed = await folder.run(["list"], options);
  assertEquals(listed.stdout.match(/codex/g)?.length, 2);
});

Deno.test("pause says where nothing has such a name, and does it all the same", async () => {
  using folder = new Folder();
  configure(folder);
  const options = { env: AT_ONCE };
  await folder.create([CLAUDE], options.env);
  const { stdout, stderr } = await folder.run(["pause", "cluade"], options);
  assertMatch(stderr, /does not name it\. Did you mean claude\?/);
  assertMatch(stdout, /^cluade: paused until it is resumed, no task waits$/m);
  const known = await folder.run(["pause", "claude"], options);
  assertEquals(known.stderr, "");
});

const MISTAKES: [args: string[], error: RegExp][] = [
  [["pause"], /Cannot pause a provider without its name/],
  [["resume", " "], /Cannot resume a provider without its name/],
  [["pause", "*"], /Cannot pause \*: give the name of one provider/],
  [["pause", "claude", "--until", "yesterday"], /expected a span like/],
  [["pause", "claude", "--until", "2020-01-01"], /a time in the future/],
];

for (const [args, error] of MISTAKES) {
  Deno.test(`agent-runner ${args.join(" ")} says what is wrong`, async () => {
    using folder = new Folder();
    const { code, stderr } = await folder.run(args, { env: AT_ONCE });
    assertEquals(code, 2);
    assertMatch(stderr, error);
  });
}
