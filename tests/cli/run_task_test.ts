import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { AT_ONCE, ENABLED, Folder } from "./cli.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";
const OTHER = "660e8400-e29b-41d4-a716-446655440000";
const SLOW = { ...ENABLED, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "3600" };

async function shown(folder: Folder, id = ID) {
  return JSON.parse(await folder.ok(["show", id, "--json"]));
}

// run-task

Deno.test("run-task runs that task before its time, and no other", async () => {
  using folder = new Folder();
  await folder.create([{ id: OTHER, priority: 9 }, {
    id: ID,
    run_at: "2099-01-01T00:00:00Z",
  }]);
  const { code, stdout, stderr } = await folder.run(["run-task", "550e"], {
    env: AT_ONCE,
  });
  assertEquals([code, stdout], [0, ""]);
  assertMatch(stderr, /WARNING - No provider is configured/);
  assertMatch(stderr, /Task 550e8400-.* completed in \d+ ms$/m);
  assertEquals((await shown(folder)).state, "completed");
  assertEquals((await shown(folder, OTHER)).state, "created");
});

Deno.test("run-task exits 1 where the task fails, is tried later, or asks", async () => {
  using folder = new Folder();
  const cases = [
    [{ trace: { simulate_failure: "No luck" } }, /failed: No luck$/m],
    [
      { trace: { simulate_failure: "No luck" }, attempts: 2 },
      /is tried again at .*: No luck$/m,
    ],
    [
      { trace: { simulate_question: "Which?" } },
      /needs input: Which\?\n.*Answer it: agent-runner answer [0-9a-f]{8} "…"$/m,
    ],
  ] as const;
  for (const [task, says] of cases) {
    const [id = ""] = await folder.create([task]);
    const { code, stderr } = await folder.run(["run-task", id], {
      env: AT_ONCE,
    });
    assertEquals(code, 1);
    assertMatch(stderr, says);
  }
});

Deno.test("run-task needs permission, an id, and a task that is there", async () => {
  using folder = new Folder();
  assertStringIncludes(
    await folder.fails(1, ["run-task", ID]),
    "HANDSFREE_AGENT_RUNNER_ENABLED=true",
  );
  const options = { env: AT_ONCE };
  assertStringIncludes(
    await folder.fails(2, ["run-task"], options),
    "without its id",
  );
  await folder.ok(["create", "x"]);
  assertStringIncludes(
    await folder.fails(2, ["run-task", "ffff"], options),
    '"ffff"',
  );
});

Deno.test("run-task says why a task can't be run", async () => {
  using folder = new Folder();
  const options = { env: AT_ONCE };
  const [done = "", asked = "", paused = ""] = await folder.create([
    {},
    { trace: { simulate_question: "Which?\nThis\x07 one?" } },
    {},
  ]);
  for (const id of [done, asked]) await folder.run(["run-task", id], options);
  await folder.rows(
    `UPDATE agent_tasks SET status = 'paused' WHERE id = '${paused}'`,
  );
  assertStringIncludes(
    await folder.fails(1, ["run-task", done], options),
    "it has completed already. See how: agent-runner show",
  );
  const stderr = await folder.fails(1, ["run-task", asked], options);
  assertStringIncludes(stderr, "waits for an answer: Which?\n       This\\x07");
  assertStringIncludes(stderr, "Answer it: agent-runner answer");
  assertStringIncludes(
    await folder.fails(1, ["run-task", paused], options),
    'the state "paused"',
  );
});

Deno.test("run-task names the runner that has the task, and until when", async () => {
  using folder = new Folder();
  await folder.create([{ id: ID }]);
  await using process = folder.start(["run", "--once"], { env: SLOW });
  await process.line(/started/);
  const stderr = await folder.fails(1, ["run-task", ID], { env: AT_ONCE });
  assertMatch(
    stderr,
    new RegExp(
      `agent-runner-${process.pid}-\\w+ runs it, until \\d{4}-.* at least`,
    ),
  );
  assertStringIncludes(stderr, "agent-runner cancel 550e8400");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`run-task gives the task back at ${signal}`, async () => {
    using folder = new Folder();
    await folder.create([{ id: ID }]);
    await using process = folder.start(["run-task", ID], { env: SLOW });
    await process.line(/Working on the task/);
    process.signal(signal);
    const { code, stderr } = await process.ended();
    assertEquals(code, 1);
    assertStringIncludes(stderr, "Stopping: the task is given back");
    assertMatch(stderr, /was given back: The runner was stopped$/m);
    const { state, attempt, lease_owner } = await shown(folder);
    assertEquals([state, attempt, lease_owner], ["running", 0, null]);
    const after = await folder.run(["run-task", ID], { env: AT_ONCE });
    assertEquals(after.code, 0);
  });
}

Deno.test("run-task leaves a task alone whose provider has no processor", async () => {
  using folder = new Folder();
  folder.write(
    "agent-runner.json",
    JSON.stringify({ providers: { mine: { processor: "simulate" } } }),
  );
  await folder.create([{ id: ID, provider: "theirs" }]);
  assertStringIncludes(
    await folder.fails(1, ["run-task", ID], { env: AT_ONCE }),
    "no processor is configured for its provider, theirs.",
  );
  assertEquals((await shown(folder)).state, "created");
});

// run --dry-run

Deno.test("run --dry-run shows what would run, in order, and touches nothing", async () => {
  using folder = new Folder();
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: { mine: { processor: "simulate", concurrency: 2 } },
    }),
  );
  const [second = "", first = "", later = "", theirs = ""] = await folder
    .create([
      { provider: "mine" },
      { provider: "mine", priority: 5 },
      { provider: "mine", run_at: "2099-01-01T00:00:00Z" },
      { provider: "theirs" },
    ]);
  const sql = "SELECT * FROM agent_tasks, agent_task_events ORDER BY ALL";
  const before = await folder.rows(sql);
  const json = JSON.parse(await folder.ok(["run", "--dry-run", "--json"]));
  assertEquals([json.would_run, json.would_not_run], [2, 2]);
  const idOf = ({ id }: { id: string }) => id;
  assertEquals(json.tasks.map(idOf), [first, second]);
  assertEquals(json.others.map(idOf), [later, theirs]);
  const lines = (await folder.ok(["--dry-run", "--once"])).split("\n");
  assertMatch(
    lines[1] ?? "",
    new RegExp(`^${first.slice(0, 8)} +mine +simulate +.*\\(2 at a time\\)$`),
  );
  assertEquals(lines[3], "2 would run.");
  assertMatch(lines[6] ?? "", / mine +created +not before 2099-/);
  assertMatch(lines[7] ?? "", / theirs +created +no processor is configured/);
  assertEquals(await folder.rows(sql), before);
});

Deno.test("run --dry-run says where nothing waits, and refuses --loop", async () => {
  using folder = new Folder();
  assertEquals(await folder.ok(["--dry-run"]), "Nothing waits.\n");
  assertStringIncludes(
    await folder.fails(2, ["run", "--dry-run", "--loop"]),
    "Cannot run --loop and --dry-run",
  );
});
