import { assert, assertEquals, assertMatch } from "@std/assert";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { systemClock } from "../../lib/base/clock.ts";
import { until } from "../support/until.ts";
import { Backdoor } from "../store/postgres/subject.ts";
import { AT_ONCE, Folder } from "./cli.ts";

/** Says from outside when it begins and ends, and of which task. */
const SCRIPT = "echo + $(date +%s%3N) $0 >> journal; sleep 0.2; " +
  "echo - $(date +%s%3N) $0 >> journal";

function configure(folder: Folder, fields: Record<string, unknown>): void {
  folder.write("journal", "");
  const command = ["sh", "-c", SCRIPT, "{instruction}"];
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: { p: { processor: "command", command, cwd: ".", ...fields } },
    }),
  );
}

interface Step {
  readonly isStart: boolean;
  readonly ms: number;
  readonly name: string;
}

function stepsIn(folder: Folder): Step[] {
  return folder.read("journal").split("\n").slice(0, -1).map((line) => {
    const [sign, ms, name = ""] = line.split(" ");
    return { isStart: sign === "+", ms: Number(ms), name };
  });
}

/** The steps of three runners that did so many tasks. */
async function runByThree(
  folder: Folder,
  tasks: readonly Record<string, unknown>[],
  env: Record<string, string>,
): Promise<Step[]> {
  const options = { env: { ...AT_ONCE, ...env } };
  const loop = ["run", "--loop", "--interval", "3600"];
  await using one = folder.start(loop, options);
  await using two = folder.start(loop, options);
  await using three = folder.start(loop, options);
  for (const it of [one, two, three]) await it.line(/Running until stopped/);
  await folder.create(tasks, options.env);
  await until("all have run", async () => {
    await systemClock.sleep(50);
    return stepsIn(folder).length === 2 * tasks.length;
  });
  return stepsIn(folder);
}

async function testKeys(env: Record<string, string>): Promise<void> {
  using folder = new Folder();
  configure(folder, { concurrencyKey: "{batch}", keyConcurrency: 2 });
  const tasks = Array.from({ length: 16 }, (_, n) => {
    const batch = n % 3 === 0 ? "a" : "b";
    return { provider: "p", instruction: batch, batch };
  });
  const steps = await runByThree(folder, tasks, env);
  for (const batch of ["a", "b"]) {
    let running = 0;
    const together = steps.filter(({ name }) => name === batch)
      .map(({ isStart }) => running += isStart ? 1 : -1);
    assertEquals(Math.max(...together), 2, `of ${batch} at a time`);
  }
}

const RATE = { count: 4, spanMs: 2_000 };
/** From a claim to the start of a program, on a machine with much to do. */
const SLACK_MS = 400;

async function testRate(env: Record<string, string>): Promise<void> {
  using folder = new Folder();
  configure(folder, { rate: `${RATE.count}/${RATE.spanMs / 1_000}s` });
  const tasks = Array(10).fill({ provider: "p", instruction: "x" });
  const steps = await runByThree(folder, tasks, env);
  const starts = steps.filter(({ isStart }) => isStart).map(({ ms }) => ms)
    .sort((one, other) => one - other);
  for (const [n, ms] of starts.entries()) {
    const before = starts[n - RATE.count];
    if (before === undefined) continue;
    const spanMs = ms - before;
    assert(
      spanMs > RATE.spanMs - SLACK_MS,
      `${RATE.count + 1} in ${spanMs} ms`,
    );
  }
}

for (
  const [name, body] of [
    ["runners keep to a key's limit together", testKeys],
    ["runners keep to a rate together, and go on when it allows", testRate],
  ] as const
) {
  Deno.test(`${name}, on one file`, () => body({}));
  Deno.test({
    name: `${name}, on one server`,
    ignore: !hasPostgres,
    async fn() {
      const address = sharedServer().address();
      await using backdoor = new Backdoor(address);
      await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
      await body({ HANDSFREE_DB: address });
    },
  });
}

Deno.test("show and run --dry-run say which limit holds a task back", async () => {
  using folder = new Folder();
  configure(folder, { rate: "1/1h", concurrencyKey: "{batch}" });
  const options = { env: { ...AT_ONCE } };
  const task = { provider: "p", instruction: "x", batch: "nightly" };
  await folder.create([task, task], options.env);
  const once = await folder.run(["run", "--once"], options);
  assertMatch(once.stdout, /^1 started, 1 completed/m);
  const plan = await folder.ok(["run", "--dry-run"], options);
  assertMatch(plan, /created +waits: rate 1\/1h of p, again at .*\d\d:\d\d/);
  const [, id = ""] = /^(\w{8}) +p +created/m.exec(plan) ?? [];
  const shown = await folder.ok(["show", id], options);
  assertMatch(shown, /Waits +rate 1\/1h of p, again at .*\d\d:\d\d/);
  await folder.ok(["pause", "--batch", "nightly"], options);
  assertMatch(
    await folder.ok(["run", "--dry-run"], options),
    /batch nightly: paused until it is resumed/,
  );
});

Deno.test("run --once waits for a rate as for a retry", async () => {
  using folder = new Folder();
  configure(folder, { rate: "1/2s" });
  const options = { env: { ...AT_ONCE } };
  const task = { provider: "p", instruction: "x" };
  await folder.create([task, task], options.env);
  const { stdout } = await folder.run(["run", "--once"], options);
  assertMatch(stdout, /^2 started, 2 completed/m);
});

Deno.test("pause, pauses and resume take a batch, and everything", async () => {
  using folder = new Folder();
  configure(folder, {});
  const options = { env: { ...AT_ONCE } };
  const run = (...args: string[]) => folder.run(args, options);
  await folder.create([{ provider: "p", batch: "nightly" }], options.env);
  const nightly = "batch nightly: paused until it is resumed, 1 task waits\n";
  assertEquals((await run("pause", "--batch", "nightly")).stdout, nightly);
  const all = "everything: paused until it is resumed, 1 task waits\n";
  assertEquals((await run("pause", "--all")).stdout, all + nightly);
  assertMatch((await run("run", "--once")).stdout, /^0 started/m);
  assertEquals((await run("resume", "--all")).stdout, "everything goes on\n");
  assertMatch((await run("run", "--once")).stdout, /^0 started/m);
  assertEquals(
    (await run("resume", "--batch", "nightly")).stdout,
    "batch nightly goes on\n",
  );
  assertMatch((await run("run", "--once")).stdout, /^1 started/m);
  const both = await run("pause", "p", "--all");
  assertEquals(both.code, 2);
  assertMatch(both.stderr, /Cannot pause more than one thing/);
});
