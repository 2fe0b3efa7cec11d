import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  AT_ONCE,
  type CliProcess,
  type CliResult,
  ENABLED,
  Folder,
} from "./cli.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";
const LOG_LINE =
  /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - agent-runner - (DEBUG|INFO|WARNING|ERROR) - \S/;

/** A configuration with which there is nothing to warn of. */
const SIMULATED = '{ "providers": { "*": { "processor": "simulate" } } }';

function taking(seconds: string): Record<string, string> {
  return { ...ENABLED, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: seconds };
}

function tasks(count: number): { instruction: string }[] {
  return Array.from({ length: count }, (_, n) => ({ instruction: `${n}` }));
}

async function shown(folder: Folder, id: string) {
  return JSON.parse(await folder.ok(["show", id, "--json"]));
}

/** The database's tasks by state. */
async function counts(folder: Folder): Promise<Record<string, number>> {
  const rows = await folder.rows(
    "SELECT status, count(*)::INTEGER AS n FROM agent_tasks GROUP BY status",
  );
  return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
}

/** How often each kind of event was written, and for how many tasks. */
async function events(folder: Folder): Promise<Record<string, number[]>> {
  const rows = await folder.rows(
    `SELECT kind, count(*)::INTEGER AS n,
       count(DISTINCT task_id)::INTEGER AS tasks
     FROM agent_task_events GROUP BY kind`,
  );
  return Object.fromEntries(
    rows.map(({ kind, n, tasks }) => [kind, [n, tasks]]),
  ) as Record<string, number[]>;
}

/** Sends SIGTERM and expects a clean end. Returns the process's counts. */
async function stopped(
  process: CliProcess,
  signal: Deno.Signal = "SIGTERM",
): Promise<string> {
  process.signal(signal);
  const { code, stdout, stderr } = await process.ended();
  assertEquals(code, 0, stderr);
  return stdout;
}

/** The counts of `run --json`. */
function countsOf(stdout: string): Record<string, number> {
  const { tasks_started, tasks_completed, tasks_failed, tasks_skipped } = JSON
    .parse(stdout);
  return { tasks_started, tasks_completed, tasks_failed, tasks_skipped };
}

// One pass

Deno.test("run on an empty queue says so, writes nothing wrong, and exits 0", async () => {
  using folder = new Folder();
  const variants = [[], ["run"], ["--once"], ["run", "--once"]];
  for (const args of variants) {
    const { code, stdout, stderr } = await folder.run(args, { env: ENABLED });
    assertEquals(code, 0);
    assertMatch(
      stdout,
      /^0 started, 0 completed, 0 failed in \d+\.\d s\n$/,
    );
    assertStringIncludes(stderr, "Connected to database: handsfree.duckdb\n");
    assertEquals(stderr.match(/WARNING|ERROR/g), ["WARNING"], stderr);
    assertMatch(stderr, /WARNING - No provider is configured: every task is /);
  }
});

Deno.test("run --once runs what waits; counts on stdout, log lines in the guide's form on stderr", async () => {
  using folder = new Folder();
  const ids = await folder.create(tasks(3));
  const { code, stdout, stderr } = await folder.run(["run", "--once"], {
    env: AT_ONCE,
  });
  assertEquals(code, 0);
  assertMatch(
    stdout,
    /^3 started, 3 completed, 0 failed, 3 simulated in \d+\.\d s\n$/,
  );
  const lines = stderr.trimEnd().split("\n");
  for (const line of lines) assertMatch(line, LOG_LINE);
  assertMatch(
    lines[0] ?? "",
    / - agent-runner - INFO - Connected to database: handsfree\.duckdb$/,
  );
  for (const id of ids) {
    assertMatch(stderr, new RegExp(`INFO - Task ${id} started`));
    assertMatch(stderr, new RegExp(`INFO - Task ${id} completed`));
  }
  // No progress bar, no colours: this is no terminal.
  // deno-lint-ignore no-control-regex -- looking for them is the point
  assertFalse(/[\r\x1b\x08]/.test(stdout + stderr));
});

Deno.test("run writes what HandsFree's own runner writes into the trace", async () => {
  using folder = new Folder();
  await folder.create([
    { id: ID, instruction: "x", trace: { mine: 1, progress: "old" } },
  ]);
  await folder.ok(["run"], { env: AT_ONCE });
  const { trace, state, attempt, lease_owner } = await shown(folder, ID);
  assertEquals([state, attempt, lease_owner], ["completed", 1, null]);
  assertEquals(Object.keys(trace).slice(0, 2), ["mine", "progress"]);
  assertEquals(
    [trace.mine, trace.auto_started_by, trace.completed_by, trace.result],
    [1, "runner_loop", "runner_loop", "success"],
  );
  for (const key of ["auto_started_at", "completed_at"]) {
    assertMatch(trace[key], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00$/);
  }
});

Deno.test("run --json prints the guide's result and nothing else; a failed task means exit 1", async () => {
  using folder = new Folder();
  const [, bad = ""] = await folder.create([
    { instruction: "good" },
    { instruction: "bad", trace: { simulate_failure: "No luck" } },
  ]);
  const { code, stdout, stderr } = await folder.run(["run", "--json"], {
    env: AT_ONCE,
  });
  assertEquals(code, 1);
  const { timestamp, ...result } = JSON.parse(stdout);
  assertEquals(Object.entries(result), [
    ["enabled", true],
    ["tasks_started", 2],
    ["tasks_completed", 1],
    ["tasks_failed", 1],
    ["tasks_needs_input", 0],
    ["tasks_retrying", 0],
    ["tasks_cancelled", 0],
    ["tasks_released", 0],
    ["tasks_limited", 0],
    ["tasks_skipped", 0],
    ["tasks_simulated", 2],
    ["tasks_warned", 0],
    ["left", {
      created: 0,
      running: 0,
      needs_input: 0,
      unserved: 0,
      due_seconds: null,
    }],
  ]);
  assertMatch(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
  assertMatch(stderr, new RegExp(`ERROR - Task ${bad} failed: No luck`));
  const { trace, state } = await shown(folder, bad);
  assertEquals([state, trace.error, trace.failed_by], [
    "failed",
    "No luck",
    "runner_loop",
  ]);
  // It is over: the next run does not try again, and is content.
  const again = await folder.ok(["run", "--json"], { env: AT_ONCE });
  assertEquals(JSON.parse(again).tasks_started, 0);
});

Deno.test("HANDSFREE_AGENT_SIMULATE_FAILURE=true fails every task", async () => {
  using folder = new Folder();
  await folder.create(tasks(2));
  const { code, stdout } = await folder.run(["run"], {
    env: { ...AT_ONCE, HANDSFREE_AGENT_SIMULATE_FAILURE: "true" },
  });
  assertEquals(code, 1);
  assertMatch(stdout, /^2 started, 0 completed, 2 failed, 2 simulated in /);
  assertEquals(await counts(folder), { failed: 2 });
});

Deno.test("HANDSFREE_AGENT_TASK_COMPLETION_DELAY takes fractions of a second", async () => {
  using folder = new Folder();
  await folder.create(tasks(1));
  const { stderr } = await folder.run(["run"], { env: taking("0.25") });
  const [, ms = "0"] = /completed in (\d+) ms/.exec(stderr) ?? [];
  assert(Number(ms) >= 249, stderr);
});

Deno.test("--concurrency 1 runs one task after the other", async () => {
  using folder = new Folder();
  const journal = `${folder.path}/journal`;
  const script = `echo begun >> ${journal}; sleep 0.1; ` +
    `echo ended >> ${journal}`;
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        "*": { processor: "command", command: ["sh", "-c", script] },
      },
    }),
  );
  await folder.create(tasks(3));
  await folder.ok(["run", "--concurrency=1"], { env: ENABLED });
  assertEquals(folder.read("journal"), "begun\nended\n".repeat(3));
});

Deno.test("LOG_FORMAT=json writes one object a line", async () => {
  using folder = new Folder();
  const [, bad] = await folder.create([
    { instruction: "good" },
    { instruction: "bad", trace: { simulate_failure: "No\nluck\u001b[2J" } },
  ]);
  const { stderr } = await folder.run(["run"], {
    env: { ...taking("0.01"), LOG_FORMAT: "json", LOG_LEVEL: "debug" },
  });
  const lines = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertGreater(lines.length, 5);
  for (const { time, level, logger, message } of lines) {
    assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assertMatch(level, /^(DEBUG|INFO|WARNING|ERROR)$/);
    assertEquals(logger, "agent-runner");
    assertEquals(typeof message, "string");
  }
  assert(lines.some(({ level }) => level === "DEBUG"));
  const failure = lines.find(({ level }) => level === "ERROR");
  assertEquals([failure.task, failure.error], [bad, "No\nluck\u001b[2J"]);
});

Deno.test("LOG_LEVEL=ERROR is quiet but for failures", async () => {
  using folder = new Folder();
  await folder.create(tasks(1));
  const env = { ...AT_ONCE, LOG_LEVEL: "ERROR" };
  assertEquals((await folder.run(["run"], { env })).stderr, "");
  await folder.create([{
    instruction: "x",
    trace: { simulate_failure: true },
  }]);
  const { stderr } = await folder.run(["run"], { env });
  assertEquals(stderr.trimEnd().split("\n").length, 1);
  assertMatch(stderr, LOG_LINE);
  assertStringIncludes(stderr, " - ERROR - ");
});

Deno.test("the counts come after the last log line where both go to one place", async () => {
  using folder = new Folder();
  await folder.create(tasks(2));
  // The shell gives the program one pipe for both, as `2>&1` or a terminal does.
  const { stdout } = await folder.run(["run"], {
    env: taking("0.05"),
    isErrorsToOutput: true,
  });
  const lines = stdout.trimEnd().split("\n");
  assertMatch(lines.at(-1) ?? "", /^2 started, 2 completed/, stdout);
  assertMatch(lines.at(-2) ?? "", LOG_LINE);
});

Deno.test("higher priority runs first, and a task is not run before its time", async () => {
  using folder = new Folder();
  await folder.create([
    { instruction: "low", priority: -1 },
    { instruction: "normal" },
    { instruction: "later", priority: 9, run_at: "2100-01-01T00:00:00Z" },
    { instruction: "high", priority: 5 },
  ]);
  await folder.ok(["run", "--concurrency=1"], { env: AT_ONCE });
  const rows = await folder.rows(
    `SELECT instruction FROM agent_task_events e JOIN agent_tasks t
       ON t.id = e.task_id WHERE kind = 'completed' ORDER BY e.id`,
  );
  assertEquals(rows.map(({ instruction }) => instruction), [
    "high",
    "normal",
    "low",
  ]);
  assertEquals(await counts(folder), { completed: 3, created: 1 });
});

Deno.test("one --once drains 10,000 tasks, oldest first, none lost, none twice", async () => {
  using folder = new Folder();
  const all = tasks(10_000);
  await folder.create(all.slice(0, 5_000));
  await folder.create(all.slice(5_000));
  const stdout = await folder.ok(["run", "--once", "--json"], {
    env: { ...AT_ONCE, LOG_LEVEL: "WARNING" },
  });
  assertEquals(countsOf(stdout), {
    tasks_started: 10_000,
    tasks_completed: 10_000,
    tasks_failed: 0,
    tasks_skipped: 0,
  });
  assertEquals(await counts(folder), { completed: 10_000 });
  const { created, started, completed } = await events(folder);
  assertEquals([created, started, completed], Array(3).fill([10_000, 10_000]));
  for (const kind of ["started", "completed"]) {
    const rows = await folder.rows(
      `SELECT instruction FROM agent_task_events e JOIN agent_tasks t
         ON t.id = e.task_id WHERE kind = '${kind}' ORDER BY e.id`,
    );
    const order = rows.map(({ instruction }) => Number(instruction));
    const wrong = order.findIndex((n, index) => n !== index);
    assertEquals(wrong, -1, `${kind}: ${order.slice(wrong, wrong + 9)}`);
  }
});

// For ever

Deno.test("run --loop runs what another process creates, at once, and ends with exit 0 on SIGTERM", async () => {
  using folder = new Folder();
  await using runner = folder.start(["run", "--loop", "--interval", "3600"], {
    env: AT_ONCE,
  });
  await runner.line(/Running until stopped/);
  for (const instruction of ["first", "second"]) {
    const stdout = await folder.ok(["create", instruction, "--json"]);
    // Long before the interval is over; a test's patience is shorter.
    await runner.line(new RegExp(`Task ${JSON.parse(stdout).id} completed`));
  }
  assertMatch(
    await stopped(runner),
    /^2 started, 2 completed, 0 failed, 2 simulated in /,
  );
  assertEquals(await counts(folder), { completed: 2 });
});

Deno.test("run --loop runs a task when its time comes", async () => {
  using folder = new Folder();
  const runAt = new Date(Date.now() + 1_500);
  const [id] = await folder.create([
    { instruction: "soon", run_at: runAt.toISOString() },
  ]);
  await using runner = folder.start(["run", "--loop", "--interval", "3600"], {
    env: AT_ONCE,
  });
  await runner.line(new RegExp(`Task ${id} completed`));
  assert(Date.now() >= runAt.getTime());
  await stopped(runner);
});

Deno.test("run --loop goes on after a failed task, and SIGINT ends it with exit 0", async () => {
  using folder = new Folder();
  await folder.create([{
    instruction: "x",
    trace: { simulate_failure: true },
  }]);
  await using runner = folder.start(["--loop", "--json"], { env: AT_ONCE });
  await runner.line(/ERROR - Task \S+ failed/);
  await folder.ok(["create", "next"]);
  await runner.line(/Task \S+ completed/);
  assertEquals(countsOf(await stopped(runner, "SIGINT")), {
    tasks_started: 2,
    tasks_completed: 1,
    tasks_failed: 1,
    tasks_skipped: 0,
  });
});

Deno.test("run says of each task that it started what came of it", async () => {
  using folder = new Folder();
  await folder.create([
    { instruction: "good" },
    { instruction: "bad", trace: { simulate_failure: true } },
    { instruction: "asks", trace: { simulate_question: "Which?" } },
    { instruction: "asks too", trace: { simulate_question: "Which?" } },
    { instruction: "again", attempts: 2, trace: { simulate_failure: true } },
  ]);
  const { code, stdout } = await folder.run(["run", "--retry-wait=0"], {
    env: AT_ONCE,
  });
  assertEquals(code, 1);
  assertMatch(
    stdout,
    /^5 started, 1 completed, 1 failed, 2 need input, 1 to be retried, 5 simulated in /,
  );
});

Deno.test("a task that asks for attempts is tried again after a while", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create([
    { instruction: "x", attempts: 2, trace: { simulate_failure: true } },
  ]);
  await using runner = folder.start(["run", "--loop", "--interval", "3600"], {
    env: AT_ONCE,
  });
  await runner.line(/WARNING - Task \S+ failed and is tried again at/);
  await runner.line(/ERROR - Task \S+ failed: Simulated failure/);
  await stopped(runner);
  const { state, attempt, events } = await shown(folder, id);
  assertEquals([state, attempt], ["failed", 2]);
  assertEquals(events.map(({ kind }: { kind: string }) => kind), [
    "created",
    "started",
    "retry_scheduled",
    "started",
    "failed",
  ]);
});

// While another program holds the file

for (
  const [args, begun] of [
    [["run", "--loop"], /Running until stopped/],
    [["serve", "--listen", "0"], /Listening on/],
  ] as const
) {
  const command = args.slice(0, 2).join(" ");

  Deno.test(`${command} waits for a program that holds the file, frozen too, and says for whom`, async () => {
    using folder = new Folder();
    await using holder = folder.start(["run", "--loop", "--exclusive"], {
      env: ENABLED,
    });
    await holder.line(/Running until stopped/);
    holder.signal("SIGSTOP");
    await using waiting = folder.start([...args, "--db-wait=0.1"], {
      env: ENABLED,
    });
    await waiting.line(
      new RegExp(`WARNING - Waiting for the database.*PID ${holder.pid}\\b`),
    );
    holder.signal("SIGCONT");
    await stopped(holder);
    await waiting.line(begun);
    await stopped(waiting);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.test(`${command} obeys ${signal} while it waits for the file`, async () => {
      using folder = new Folder();
      await using holder = folder.start(["run", "--loop", "--exclusive"], {
        env: ENABLED,
      });
      await holder.line(/Running until stopped/);
      await using waiting = folder.start([...args, "--db-wait=3600"], {
        env: ENABLED,
      });
      await waiting.line(/Waiting for the database/);
      await stopped(waiting, signal);
      await stopped(holder);
    });
  }
}

Deno.test("run --once does not wait longer than --db-wait for the file", async () => {
  using folder = new Folder();
  await using holder = folder.start(["run", "--loop", "--exclusive"], {
    env: ENABLED,
  });
  await holder.line(/Running until stopped/);
  const args = ["run", "--once", "--db-wait=0.1"];
  assertStringIncludes(
    await folder.fails(3, args, { env: ENABLED }),
    `PID ${holder.pid}`,
  );
  await stopped(holder);
});

// Stopped

Deno.test("SIGTERM finishes the tasks in hand and gives the rest back; the next run does them", async () => {
  using folder = new Folder();
  await folder.create(tasks(300));
  await using runner = folder.start(["run", "--once"], { env: taking("0.1") });
  // Ten at a time: some are held in the fifth round that have not begun.
  await runner.line(/ started/, 45);
  const stdout = await stopped(runner);
  assertStringIncludes(runner.seen, "Stopping");
  const [, started, completed] =
    /^(\d+) started, (\d+) completed, 0 failed, \d+ simulated in /.exec(
      stdout,
    ) ?? [];
  assertEquals(started, completed, stdout);

  const rows = await folder.rows(
    `SELECT status, attempt, lease_id, lease_owner, count(*)::INTEGER AS n
     FROM agent_tasks GROUP BY ALL ORDER BY status`,
  );
  const left = rows.map(({ n: _, ...row }) => row);
  const free = { attempt: 0, lease_id: null, lease_owner: null };
  // What the signal met between the store and the program is running, and free.
  const met = rows.find(({ status }) => status === "running");
  assertEquals(left, [
    { ...free, status: "completed", attempt: 1 },
    { ...free, status: "created" },
    ...(met ? [{ ...free, status: "running" }] : []),
  ]);
  const begun = Number(completed) + Number(met?.n ?? 0);
  const before = await events(folder);
  assertEquals(
    [before.completed?.[0], before.started?.[0]],
    [Number(completed), begun],
  );

  await folder.ok(["run"], { env: AT_ONCE });
  assertEquals(await counts(folder), { completed: 300 });
  const after = await events(folder);
  assertEquals(after.completed, [300, 300]);
  assertEquals(after.started, [300 + Number(met?.n ?? 0), 300]);
  const [attempts] = await folder.rows(
    "SELECT min(attempt) AS low, max(attempt) AS high FROM agent_tasks",
  );
  assertEquals(attempts, { low: 1, high: 1 });
});

Deno.test("an interrupted --once exits 0, even if a task failed", async () => {
  using folder = new Folder();
  await folder.create([
    { instruction: "bad", trace: { simulate_failure: true } },
    ...tasks(1),
  ]);
  await using runner = folder.start(["run", "--concurrency=1"], {
    env: taking("0.4"),
  });
  await runner.line(/started/);
  assertMatch(await stopped(runner, "SIGINT"), /^1 started, 0 completed, 1 f/);
  assertEquals(await counts(folder), { failed: 1, created: 1 });
});

for (const args of [["--once"], ["--loop"]]) {
  Deno.test(`a second signal ends run ${args} at once and gives the task back`, async () => {
    using folder = new Folder();
    const [id = ""] = await folder.create(tasks(1));
    await using runner = folder.start(["run", "--drain=3600", ...args], {
      env: taking("3600"),
    });
    await runner.line(/started/);
    runner.signal("SIGTERM");
    await runner.line(/INFO - Stopping/);
    assertMatch(await stopped(runner), /^1 started, 0 completed, 0 failed, 1 /);
    const task = await shown(folder, id);
    assertEquals(
      [task.state, task.attempt, task.lease_owner, task.trace.completed_at],
      ["running", 0, null, undefined],
    );
    assertEquals(task.events.at(-1).kind, "released");
    assertEquals(
      countsOf(await folder.ok(["run", "--json"], { env: AT_ONCE }))
        .tasks_completed,
      1,
    );
    assertEquals((await shown(folder, id)).attempt, 1);
  });
}

Deno.test("--drain bounds how long the first signal waits", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create(tasks(1));
  await using runner = folder.start(["run", "--drain", "0.2"], {
    env: { ...taking("3600"), HANDSFREE_AGENT_DRAIN: "3600" },
  });
  await runner.line(/started/);
  await stopped(runner);
  const { state, attempt } = await shown(folder, id);
  assertEquals([state, attempt], ["running", 0]);
});

Deno.test("a killed runner's task is taken over when its lease has run out, with attempt 2", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create(tasks(1));
  await using killed = folder.start(["run", "--lease", "0.5"], {
    env: taking("3600"),
  });
  await killed.line(/started/);
  killed.signal("SIGKILL");
  await killed.ended();
  const orphan = await shown(folder, id);
  assertEquals([orphan.state, orphan.attempt], ["running", 1]);
  assertFalse(orphan.lease_owner === null);

  await using runner = folder.start(
    ["run", "--loop", "--interval=3600"],
    { env: AT_ONCE },
  );
  await runner.line(new RegExp(`Task ${id} completed`));
  await stopped(runner);
  const { state, attempt, events } = await shown(folder, id);
  assertEquals([state, attempt], ["completed", 2]);
  assertEquals(
    events.filter(({ kind }: { kind: string }) => kind !== "progress")
      .map((event: { kind: string; attempt: number }) => [
        event.kind,
        event.attempt,
      ]),
    [["created", 0], ["started", 1], ["started", 2], ["completed", 2]],
  );
});

Deno.test("a task whose runner dies each time is failed after --max-attempts", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create(tasks(1));
  await using killed = folder.start(["run", "--lease", "0.5"], {
    env: taking("3600"),
  });
  await killed.line(/started/);
  killed.signal("SIGKILL");
  await killed.ended();
  let end: CliResult;
  do { // Until its lease has run out.
    end = await folder.run(["run", "--once", "--max-attempts=1"], {
      env: AT_ONCE,
    });
  } while (end.code === 0);
  const { code, stdout, stderr } = end;
  assertEquals(code, 1);
  assertMatch(stdout, /^0 started, 0 completed, 1 failed in /);
  assertMatch(
    stderr,
    new RegExp(`ERROR - Task ${id} failed: .*runner died`, "i"),
  );
  const { state, attempt, trace } = await shown(folder, id);
  assertEquals([state, attempt], ["failed", 1]);
  assertMatch(trace.error, /runner died/);
});

Deno.test("a live runner keeps its task longer than its lease", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create(tasks(1));
  await using first = folder.start(["run", "--lease", "3"], {
    env: taking("7"),
  });
  await first.line(/started/);
  await using second = folder.start(["run", "--loop", "--interval=0.05"], {
    env: AT_ONCE,
  });
  assertMatch((await first.ended()).stdout, /^1 started, 1 completed/);
  assertMatch(await stopped(second), /^0 started/);
  assertEquals((await shown(folder, id)).attempt, 1);
});

Deno.test("two runners on one file run every task once between them", async () => {
  using folder = new Folder();
  await folder.create(tasks(300));
  folder.write("agent-runner.json", SIMULATED);
  const env = { ...taking("0.01"), LOG_LEVEL: "WARNING" };
  const results = await Promise.all(
    [0, 1].map(() => folder.run(["run", "--json"], { env })),
  );
  assertEquals(results.map(({ code, stderr }) => [code, stderr]), [
    [0, ""],
    [0, ""],
  ]);
  const done = results.map(({ stdout }) => countsOf(stdout));
  const sum = (name: string) => done.reduce((n, it) => n + (it[name] ?? 0), 0);
  assertEquals(
    [sum("tasks_started"), sum("tasks_completed"), sum("tasks_skipped")],
    [300, 300, 0],
  );
  const { started, completed } = await events(folder);
  assertEquals([started, completed], Array(2).fill([300, 300]));
});

Deno.test("a person can create, list and show while a busy runner runs, and nothing breaks", async () => {
  using folder = new Folder();
  await folder.create(tasks(500));
  folder.write("agent-runner.json", SIMULATED);
  await using runner = folder.start(["run", "--loop", "--interval=3600"], {
    env: { ...taking("0.02"), LOG_LEVEL: "WARNING" },
  });
  const [id = ""] = await folder.create([{ instruction: "mine" }]);
  assertStringIncludes(await folder.ok(["list", "--limit=1"]), "mine");
  assertEquals((await shown(folder, id)).instruction, "mine");
  // Whatever makes the runner lose its lock on the file shows here as damage:
  // Deno.watchFs opens and closes each file that changes, which did it.
  for (let n = 0; n < 5; n++) {
    const rows = await folder.ok(["list", "--json", "--limit=5000"]);
    assertEquals(JSON.parse(rows).length, 501);
  }
  const stdout = await stopped(runner);
  assertEquals(runner.seen, "");
  assertMatch(
    stdout,
    /^\d+ started, \d+ completed, 0 failed, \d+ simulated in /,
  );
  const total = Object.values(await counts(folder)).reduce((a, b) => a + b);
  assertEquals(total, 501);
});
