import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { systemClock } from "../../lib/base/clock.ts";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { until } from "../support/until.ts";
import { Backdoor } from "../store/postgres/subject.ts";
import { AT_ONCE, Folder } from "./cli.ts";

const TASKS = Array(8).fill({ provider: "limited" });
const TRUE = { processor: "command", command: ["true"] };
const LIMIT = 2;
const SCRIPT = "echo 1 >> journal; sleep 0.2; echo -1 >> journal";

function configure(
  folder: Folder,
  globalConcurrency: number,
  script = SCRIPT,
): void {
  folder.write("journal", "");
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        limited: {
          processor: "command",
          command: ["sh", "-c", script],
          cwd: ".",
          globalConcurrency,
        },
        free: TRUE,
      },
    }),
  );
}

function stepsIn(folder: Folder): string[] {
  return folder.read("journal").split("\n").slice(0, -1);
}

/** Two runners never have more of a provider's tasks together than it allows. */
async function testTogether(env: Record<string, string>): Promise<void> {
  using folder = new Folder();
  configure(folder, LIMIT);
  const options = { env: { ...AT_ONCE, ...env } };
  const loop = ["run", "--loop", "--interval", "3600"];
  await using one = folder.start(loop, options);
  await using two = folder.start(loop, options);
  for (const it of [one, two]) await it.line(/Running until stopped/);
  await folder.create(TASKS, options.env);
  await until("all have run", async () => {
    await systemClock.sleep(50);
    return stepsIn(folder).length === 2 * TASKS.length;
  });
  let running = 0;
  const together = stepsIn(folder).map((step) => running += Number(step));
  const most = Math.max(...together);
  assert(most <= LIMIT, `${most} at a time`);
}

/** Nobody else tells a runner of the room that its own tasks leave. */
async function testAlone(env: Record<string, string>): Promise<void> {
  for (const mode of [["--once"], ["--loop", "--interval", "3600"]]) {
    using folder = new Folder();
    configure(folder, 1);
    const options = { env: { ...AT_ONCE, ...env } };
    await folder.create(TASKS, options.env);
    await using runner = folder.start(["run", ...mode], options);
    await until("all have run", async () => {
      await systemClock.sleep(50);
      return stepsIn(folder).length === 2 * TASKS.length;
    });
    if (mode[0] === "--loop") runner.signal("SIGTERM");
    const { code, stderr } = await runner.ended();
    assertEquals(code, 0, stderr);
  }
}

/** What a run would leave is said of all runners together. */
async function testDryRun(env: Record<string, string>): Promise<void> {
  using folder = new Folder();
  configure(folder, LIMIT, "until [ -e go ]; do sleep 0.05; done");
  const options = { env: { ...AT_ONCE, ...env } };
  await folder.create(TASKS, options.env);
  const dry = () => folder.ok(["run", "--dry-run"], options);
  assertStringIncludes(await dry(), `${TASKS.length} would run.\n`);
  await using runner = folder.start(["run", "--once"], options);
  await runner.line(/ started \(limited\)/, LIMIT);
  const said = await dry();
  assertStringIncludes(said, "0 would run.\n");
  const full = "waits: globalConcurrency 2 of limited is in use by all runners";
  assertEquals(said.split(full).length - 1, TASKS.length - LIMIT);
  folder.write("go", "");
  assertEquals((await runner.ended()).code, 0);
}

async function onServer(
  body: (env: Record<string, string>, backdoor: Backdoor) => Promise<void>,
): Promise<void> {
  const address = sharedServer().address();
  await using backdoor = new Backdoor(address);
  await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
  await body({ HANDSFREE_DB: address }, backdoor);
}

for (
  const [name, body] of [
    ["runners keep to a provider's limit together", testTogether],
    ["a runner by itself goes on as soon as there is room", testAlone],
    ["run --dry-run says that a provider's limit is in use", testDryRun],
  ] as const
) {
  Deno.test(`${name}, on one file`, () => body({}));
  Deno.test({
    name: `${name}, on one server`,
    ignore: !hasPostgres,
    fn: () => onServer(body),
  });
}

Deno.test({
  name: "a claim that hangs with a limit holds up neither others nor the end",
  ignore: !hasPostgres,
  fn: () =>
    onServer(async (env, backdoor) => {
      using folder = new Folder();
      configure(folder, 1);
      const options = { env: { ...AT_ONCE, ...env } };
      await folder.ok(["migrate"], options);
      await backdoor.ask(
        `SELECT pg_advisory_lock(7311650, hashtext('agent_runner/limited'))`,
      );
      await using runner = folder.start(
        ["run", "--loop", "--interval", "3600"],
        options,
      );
      await runner.line(/Running until stopped/);
      await folder.create(
        [{ provider: "limited" }, { provider: "free" }],
        options.env,
      );
      await runner.line(/ completed in /);
      await backdoor.ask("SELECT pg_advisory_unlock_all()");
      await runner.line(/ completed in /);
      await backdoor.ask(
        `SELECT pg_advisory_lock(7311650, hashtext('agent_runner/limited'))`,
      );
      await folder.create([{ provider: "limited" }], options.env);
      runner.signal("SIGTERM");
      assertEquals((await runner.ended()).code, 0);
    }),
});
