import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { DrainResult, RunnerInfo } from "../../lib/store/contract.ts";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { until } from "../support/until.ts";
import { openSubject } from "../store/postgres/subject.ts";
import { TestService } from "../service/service.ts";
import { type CliProcess, ENABLED, Folder } from "./cli.ts";
import { adminAt, runOn } from "./service_commands.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1_000);

function runner(name: string, fields: Partial<RunnerInfo> = {}): RunnerInfo {
  return {
    name,
    host: "machine-a",
    pid: 4711,
    version: "1.2.3",
    concurrency: 4,
    startedAt: ago(7_200),
    seenAt: ago(9),
    isDraining: false,
    isGone: false,
    inHand: 0,
    ...fields,
  };
}

const THREE = [
  runner("runner-a", { inHand: 12 }),
  runner("runner-ab", { isDraining: true }),
  runner("runner-b", { isGone: true, seenAt: ago(300), host: "\u001b[31m" }),
];

/** Runs a command where these runners are. */
async function run(
  argv: readonly string[],
  { all = THREE, result = "asked" as DrainResult } = {},
) {
  const drained: string[] = [];
  const admin = {
    runners: () => Promise.resolve(all),
    drain: (names: readonly string[]) => {
      drained.push(...names);
      return Promise.resolve(names.map(() => result));
    },
  };
  const end = await runOn(argv, { admin: admin as never, now: NOW });
  return { ...end, drained };
}

Deno.test("runners shows a table, and nothing in it steers the terminal", async () => {
  const { output } = await run(["runners"]);
  assertEquals(
    output,
    `\
NAME       STATE     IN HAND  SINCE  SEEN  HOST       PID   VERSION
runner-a   running        12  2h     9s    machine-a  4711  1.2.3
runner-ab  draining        0  2h     9s    machine-a  4711  1.2.3
runner-b   gone            0  2h     5m    \\x1b[31m   4711  1.2.3
`,
  );
  assertStringIncludes(
    (await run(["runners"], { all: [] })).output,
    "No runner is there. agent-runner run --loop starts one.",
  );
});

Deno.test("drain takes the start of a name, and says what is in hand", async () => {
  const { code, output, drained } = await run([
    "drain",
    "runner-ab",
    "runner-b",
  ]);
  assertEquals([code, drained], [0, ["runner-ab", "runner-b"]]);
  assertEquals(
    output,
    "Runner runner-ab is asked to drain, with 0 tasks in hand\n" +
      "Runner runner-b is to drain, but was not seen for 5m\n",
  );
  // A whole name is meant, though others begin so.
  assertEquals((await run(["drain", "runner-a"])).drained, ["runner-a"]);
  const missing = await run(["drain", "runner-a"], { result: "missing" });
  assertStringIncludes(missing.output, "runner-a has ended already");
});

Deno.test("drain --all means those that are there", async () => {
  const { output, drained } = await run(["drain", "--all", "--json"]);
  assertEquals(drained, ["runner-a", "runner-ab"]);
  assertEquals(JSON.parse(output), [
    { name: "runner-a", result: "asked" },
    { name: "runner-ab", result: "asked" },
  ]);
  const none = await run(["drain", "--all"], { all: [] });
  assertEquals([none.code, none.output], [0, "No runner is there.\n"]);
});

Deno.test("drain refuses names that are no runner's, or several runners'", async () => {
  for (
    const [argv, message] of [
      [["drain"], "Cannot drain a runner without its name"],
      [["drain", "runner-a", "--all"], "by name and --all"],
      [["drain", "nobody"], 'no runner whose name begins with "nobody"'],
      [["drain", ""], 'no runner whose name begins with ""'],
      [["drain", "runner"], 'begins with "runner":\n  runner-a\n  runner-ab'],
    ] as const
  ) {
    const { code, error, drained } = await run(argv);
    assertEquals([code, drained], [2, []]);
    assertStringIncludes(error, message);
  }
});

Deno.test("runners and drain work through a service", async () => {
  await using service = await TestService.start({ exclusive: true });
  const { name, host, pid, version, concurrency } = runner("runner-a");
  const facts = { name, host, pid, version, concurrency };
  await service.store.queue.present({ ...facts, upMs: 0 });
  const admin = await adminAt(service.url);
  assertMatch(
    (await runOn(["runners"], { admin })).output,
    /runner-a +running/,
  );
  await runOn(["drain", "--all"], { admin });
  assertMatch(
    (await runOn(["runners"], { admin })).output,
    /runner-a +draining/,
  );
});

/** Drains a runner with a task in hand, and one without. */
async function drainBoth(
  folder: Folder,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const slow = { ...env, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "3600" };
  await using busy = folder.start(["run", "--loop"], { env: slow });
  await folder.create([{ provider: "a" }], env);
  await busy.line(/ started \(a\)/);
  await using idle = folder.start(["run", "--loop"], { env: slow });
  await idle.line(/Running until stopped/);
  const list = async (): Promise<Record<string, unknown>[]> =>
    JSON.parse(await folder.ok(["runners", "--json"], { env }));
  let all: Record<string, unknown>[] = [];
  await until("both are there", async () => {
    all = await list();
    return all.length === 2 && all[0]?.in_hand === 1;
  });
  assertEquals(all.map(({ pid }) => pid), [busy.pid, idle.pid]);
  await folder.ok(["drain", String(all[1]?.name)], { env });
  await endsAsAsked(idle);
  assertEquals((await list()).map(({ pid }) => pid), [busy.pid]);
  const out = await folder.ok(["drain", "--all"], { env });
  assertMatch(out, /is asked to drain, with 1 task in hand/);
  await busy.line(ASKED);
  assertEquals((await list()).map(({ draining }) => draining), [true]);
  // The second signal: nobody waits for the task.
  busy.signal("SIGTERM");
  await endsAsAsked(busy);
  assertMatch(await folder.ok(["runners"], { env }), /^No runner is there/);
}

const ASKED = /Stopping, as agent-runner drain, .* asked: finishing the tasks/;

async function endsAsAsked(process: CliProcess): Promise<void> {
  const { code, stderr } = await process.ended();
  assertEquals(code, 0, stderr);
  assertMatch(stderr, ASKED);
}

Deno.test("drain ends runners on a file", async () => {
  using folder = new Folder();
  await drainBoth(folder, ENABLED);
});

Deno.test({
  name: "drain ends runners on PostgreSQL",
  ignore: !hasPostgres,
  async fn() {
    await using _ = await openSubject();
    using folder = new Folder();
    const address = sharedServer().address();
    await drainBoth(folder, { ...ENABLED, HANDSFREE_DB: address });
  },
});
