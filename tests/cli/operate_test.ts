import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { AT_ONCE, Folder } from "./cli.ts";
import { hasPseudoTerminals, PseudoTerminal } from "./pseudo_terminal.ts";

const DATABASE = "handsfree.duckdb";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const FAILS = { simulate_failure: "No luck" };

interface TaskJson {
  readonly id: string;
  readonly state: string;
  readonly provider: string;
  readonly trace: Record<string, unknown> | null;
}

async function listed(folder: Folder, ...args: string[]): Promise<TaskJson[]> {
  return JSON.parse(await folder.ok(["list", "--json", ...args]));
}

async function runOnce(folder: Folder): Promise<void> {
  await folder.run(["run", "--once"], { env: AT_ONCE });
}

/** How many tasks there are in each state. */
async function statesIn(folder: Folder): Promise<Record<string, number>> {
  const states: Record<string, number> = {};
  for (const { state } of await listed(folder, "--limit", "1000")) {
    states[state] = (states[state] ?? 0) + 1;
  }
  return states;
}

// What a user mistypes

const MISTYPED: Readonly<Record<string, [args: string[], says: string[]]>> = {
  "retry without a task": [["retry"], ["id", "--state", "--all"]],
  "cancel without a task": [["cancel"], ["id", "--provider"]],
  "retry by id and by state": [
    ["retry", "550e", "--state", "failed"],
    ["by id and by --state", "one of the two"],
  ],
  "cancel by id and all": [["cancel", "550e", "--all"], ["one of the two"]],
  "cancel --all --state": [
    ["cancel", "--all", "--state", "created"],
    ["--all and --state"],
  ],
  "cancel what has ended": [
    ["cancel", "--state", "created,completed", "--yes"],
    ["completed", "created, running, retrying, queued, needs_input"],
  ],
  "retry what has not run": [
    ["retry", "--state", "created"],
    [
      "created",
      "running, retrying, queued, completed, simulated, failed, cancelled",
    ],
  ],
  "retry an unknown state": [
    ["retry", "--state", "faild"],
    ['"faild"', '"failed"'],
  ],
  "stats since nonsense": [["stats", "--since", "5x"], ["--since", '"5x"']],
  "stats since tomorrow": [
    ["stats", "--since", "2999-01-01"],
    ["--since", "in the past"],
  ],
  "stats of no time": [["stats", "--since", "0d"], ["--since", '"0d"']],
  "prune without an age": [["prune", "--yes"], ["--older-than 30d"]],
  "prune with a wrong age": [
    ["prune", "--older-than", "month"],
    ["--older-than", '"month"'],
  ],
  "export to a name that says nothing": [
    ["export", "tasks.xlsx"],
    ["tasks.xlsx", "--format", "parquet, csv, jsonl"],
  ],
  "export in an unknown format": [
    ["export", "tasks.csv", "--format", "xml"],
    ['"xml"', "parquet, csv, jsonl"],
  ],
  "export Parquet to standard output": [
    ["export", "--format", "parquet"],
    ["standard output", "tasks.parquet"],
  ],
  "export JSON of an export to standard output": [
    ["export", "-", "--json"],
    ["--json", "standard output"],
  ],
  "export into a folder that is not there": [
    ["export", "none/tasks.csv"],
    ["none/tasks.csv", "folder does not exist"],
  ],
  "export to a folder": [["export", ".", "--format", "csv"], [
    "it is a folder",
  ]],
  "sql as JSON and as CSV": [["sql", "x", "--json", "--csv"], ["JSON and CSV"]],
  "sql with a wrong limit": [["sql", "x", "--limit", "0"], ["--limit"]],
  "sql with a wrong timeout": [["sql", "x", "--timeout", "0"], ["--timeout"]],
  "watch with a wrong interval": [
    ["watch", "--interval", "-1"],
    ["--interval", '"-1"'],
  ],
  "completions for no shell": [["completions"], ["bash, zsh, fish"]],
  "completions for an unknown shell": [["completions", "tcsh"], ['"tcsh"']],
};

for (const [what, [args, says]] of Object.entries(MISTYPED)) {
  Deno.test(`${what}: an error says what is wrong, exit 2, no file is made`, async () => {
    using folder = new Folder();
    const stderr = await folder.fails(2, args);
    assertMatch(stderr, /^error: [^\n]+\n$/);
    for (const text of says) assertStringIncludes(stderr, text);
    assertEquals(folder.names(), []);
  });
}

// retry

Deno.test("retry ID makes a new task of a failed one, and says both ids", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create([{
    instruction: "Mend it",
    trace: FAILS,
  }]);
  await runOnce(folder);
  const out = await folder.ok(["retry", id.slice(0, 8)]);
  const [, old, newId = ""] =
    /^Task (\S+) runs again as task (\S+)\n$/.exec(out) ?? [];
  assertEquals(old, id);
  assertMatch(newId, UUID);
  await runOnce(folder);
  assertEquals(await statesIn(folder), { failed: 1, completed: 1 });
  assertStringIncludes(await folder.ok(["show", newId]), "Mend it");
  assertStringIncludes(
    await folder.ok(["show", id]),
    `retried: as task ${newId}`,
  );
});

Deno.test("retry takes a task once, however often it is named, and says where it is not the first time", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create([{ instruction: "x", trace: FAILS }]);
  await runOnce(folder);
  const first = await folder.ok([
    "retry",
    id,
    id.toUpperCase(),
    id.slice(0, 9),
  ]);
  assertMatch(first, /^Task \S+ runs again as task \S+\n$/);
  const [, newId] = /as task (\S+)/.exec(first) ?? [];
  const second = await folder.ok(["retry", id]);
  assertStringIncludes(
    second,
    `not for the first time: there is task ${newId}`,
  );
  const json = JSON.parse(await folder.ok(["retry", id, "--json"]));
  assertEquals([json.id, json.result], [id, "created"]);
  assertMatch(json.new_id, UUID);
  assertMatch(json.earlier_id, UUID);
  assertEquals(await statesIn(folder), { failed: 1, created: 3 });
});

Deno.test("retry says of each task why it can't be retried, does the others, and exits 1", async () => {
  using folder = new Folder();
  const [failed = ""] = await folder.create([{ trace: FAILS }]);
  await runOnce(folder);
  const [created = ""] = await folder.create([{ instruction: "later" }]);
  const missing = "550e8400-e29b-41d4-a716-446655440000";
  const result = await folder.run(["retry", created, failed, missing]);
  assertEquals(result.code, 1);
  assertMatch(result.stdout, /^Task \S+ runs again as task \S+\n$/);
  assertStringIncludes(
    result.stderr,
    `Cannot retry task ${created}: it has not run yet.`,
  );
  assertStringIncludes(
    result.stderr,
    `Cannot retry task ${missing}: it is not there.`,
  );
  const json = await folder.run(["retry", created, missing, "--json"]);
  assertEquals([json.code, json.stderr], [1, ""]);
  assertEquals(JSON.parse(json.stdout), {
    created: 0,
    due: 0,
    refused: 2,
    tasks: [
      { id: created, result: "refused", reason: "created" },
      { id: missing, result: "refused", reason: "missing" },
    ],
  });
});

Deno.test("retry by state asks for --yes without a terminal, then does each once", async () => {
  using folder = new Folder();
  await folder.create([
    ...Array(3).fill({ provider: "claude", trace: FAILS }),
    { provider: "http", trace: FAILS },
    { provider: "claude" },
  ]);
  await runOnce(folder);
  const args = ["retry", "--state", "failed", "--provider", "claude"];
  const stderr = await folder.fails(2, args);
  assertStringIncludes(stderr, "Cannot retry 3 tasks (3 failed)");
  assertStringIncludes(stderr, "Give --yes.");
  assertEquals(await statesIn(folder), { failed: 4, completed: 1 });
  assertEquals(
    await folder.ok([...args, "--yes"]),
    "3 tasks retried\n",
  );
  assertEquals(await folder.ok([...args, "--yes"]), "No such tasks.\n");
  assertEquals(
    await folder.ok(["retry", "--all", "--yes"]),
    "1 task retried\n",
  );
  assertEquals(await statesIn(folder), {
    failed: 4,
    completed: 1,
    created: 4,
  });
  const json = JSON.parse(
    await folder.ok(["retry", "--state", "completed", "--yes", "--json"]),
  );
  assertEquals([json.created, json.due, json.refused], [1, 0, 0]);
  assertEquals(json.tasks.length, 1);
});

Deno.test("retry makes a task that waits for its next attempt due", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create([{ trace: FAILS, attempts: 5 }]);
  const env = { ...AT_ONCE };
  await using runner = folder.start(["run", "--loop"], { env });
  await runner.line(/tried again|attempt|retry/i);
  runner.signal("SIGTERM");
  await runner.ended();
  const far = "2999-01-01 00:00:00+00";
  await folder.rows(`UPDATE agent_tasks SET run_at = '${far}'`);
  assertEquals(await folder.ok(["retry", id]), `Task ${id} is due now\n`);
  const [row] = await folder.rows("SELECT status, run_at FROM agent_tasks");
  assertEquals(row, { status: "running", run_at: null });
});

// cancel

Deno.test("cancel takes many ids, and exits 1 where one had ended", async () => {
  using folder = new Folder();
  const [done = ""] = await folder.create([{ instruction: "done" }]);
  await runOnce(folder);
  const ids = await folder.create([{ instruction: "a" }, { instruction: "b" }]);
  const { code, stdout, stderr } = await folder.run(["cancel", ...ids, done]);
  assertEquals([code, stdout], [
    1,
    ids.map((id) => `Task ${id} is cancelled\n`).join(""),
  ]);
  assertStringIncludes(
    stderr,
    `Cannot cancel task ${done}: it had ended already.`,
  );
  assertEquals(await statesIn(folder), { completed: 1, failed: 2 });
});

Deno.test("cancel --all --yes cancels what has not ended", async () => {
  using folder = new Folder();
  await folder.create([{ provider: "a" }, { provider: "b" }, {
    provider: "b",
  }]);
  assertStringIncludes(
    await folder.fails(2, ["cancel", "--provider", "b"]),
    "Cannot cancel 2 tasks (2 created)",
  );
  const json = JSON.parse(
    await folder.ok(["cancel", "--provider", "b", "--yes", "--json"]),
  );
  assertEquals([json.cancelled, json.ended, json.tasks.length], [2, 0, 2]);
  assertEquals(
    await folder.ok(["cancel", "--all", "--yes"]),
    "1 task cancelled\n",
  );
  assertEquals(
    await folder.ok(["cancel", "--all", "--yes"]),
    "No such tasks.\n",
  );
});

for (
  const [answer, isYes] of [["y\r", true], ["n\r", false], [
    "\r",
    false,
  ]] as const
) {
  Deno.test({
    name: `cancel --all on a terminal asks, and ${
      isYes ? "does" : "does not"
    } for ${JSON.stringify(answer)}`,
    ignore: !hasPseudoTerminals,
    async fn() {
      using folder = new Folder();
      await folder.create([{ instruction: "a" }, { instruction: "b" }]);
      await using terminal = new PseudoTerminal(["cancel", "--all"], {
        folder: folder.path,
      });
      await terminal.shows(/Cancel 2 tasks \(2 created\)\? \[y\/N\]/);
      // Nobody holds the file while a person thinks.
      assertEquals(await statesIn(folder), { created: 2 });
      await terminal.type(answer);
      assertEquals(await terminal.ended(), isYes ? 0 : 1);
      assertStringIncludes(
        terminal.text,
        isYes ? "2 tasks cancelled" : "Nothing was done.",
      );
      assertEquals(
        await statesIn(folder),
        isYes ? { failed: 2 } : { created: 2 },
      );
    },
  });
}

// stats

Deno.test("stats shows counts, times and reasons within 80 columns, and as JSON", async () => {
  using folder = new Folder();
  await folder.create([
    { provider: "claude" },
    { provider: "a-provider-with-a-very-long-name-indeed" },
    {
      provider: "http",
      trace: { simulate_failure: "Exit code 3\n\x1b[31mred" },
    },
  ]);
  await runOnce(folder);
  await folder.create([{ provider: "http" }]);
  const text = await folder.ok(["stats", "--since", "10m"]);
  assertMatch(text, /^ {2}PROVIDER +CREATED +RUNNING +NEEDS_INPUT +COMPLETED/m);
  assertMatch(text, /^ {2}http +1 +0 +0 +0 +1 +2$/m);
  assertMatch(text, /^ {2}all +1 +0 +0 +2 +1 +4$/m);
  assertMatch(text, /^ {2}a-provider-with-a-v… /m);
  assertMatch(text, /^ {2}all +4 +2 +2 +1 +0 +\d+ completed\/h$/m);
  assertMatch(text, /^ {6}1 {2}[0-9a-f]{8} {2}Exit code <n>$/m);
  assertEquals(text.split("\n").filter((line) => [...line].length > 80), []);
  const json = JSON.parse(await folder.ok(["stats", "--json"]));
  assertEquals(json.bucket_seconds, 3_600);
  assertEquals(json.buckets.length, 25);
  assertEquals(json.failures[0].reason, "Exit code <n>");
  assertEquals(
    json.tasks.find((it: TaskJson) => it.provider === "http"),
    { provider: "http", total: 2, states: { created: 1, failed: 1 } },
  );
  const all = json.times.find((it: TaskJson) => it.provider === null);
  assert(all.wait_seconds.p50 > 0 && all.run_seconds.p99 >= 0);
});

Deno.test("stats says that there are no tasks, and that nothing happened", async () => {
  using folder = new Folder();
  await folder.ok(["run"], { env: AT_ONCE }); // Makes the database.
  assertEquals(await folder.ok(["stats"]), "There are no tasks yet.\n");
  await folder.create([{ provider: "http" }]);
  await folder.rows(
    "UPDATE agent_task_events SET occurred_at = '2020-01-01'",
  );
  assertStringIncludes(await folder.ok(["stats"]), "Nothing happened.");
});

// prune

for (const isServed of [false, true]) {
  const how = isServed ? " through a service" : "";
  Deno.test(`prune${how} removes the folders of what it deletes, and show says where they are`, async () => {
    using folder = new Folder();
    Deno.writeTextFileSync(
      `${folder.path}/agent-runner.json`,
      JSON.stringify({
        providers: {
          shell: {
            processor: "command",
            shell: "echo done > note",
            workspace: "work",
            keepWorkspace: "always",
          },
        },
      }),
    );
    for (const text of ["old", "new"]) {
      await folder.ok(["create", text, "--provider", "shell"]);
    }
    await runOnce(folder);
    const tasks = await listed(folder);
    const [kept = "", pruned = ""] = tasks.map(({ id }) => id);
    assertMatch(
      await folder.ok(["show", pruned]),
      new RegExp(`^ {2}Folder +/.*/work/${pruned}$`, "m"),
    );
    const foreign = crypto.randomUUID();
    for (const name of [foreign, "notes"]) {
      Deno.mkdirSync(`${folder.path}/work/${name}`);
    }
    await folder.rows(
      `UPDATE agent_tasks SET updated_at = '2020-01-01' WHERE id = '${pruned}'`,
    );
    await using served = isServed ? await startService(folder) : undefined;
    assertMatch(
      await folder.ok([
        ...["prune", "--older-than", "30d", "--yes"],
        ...served?.flags ?? [],
      ]),
      /^Deleted 1 task with \d+ events, 1 folder\n/,
    );
    const names = [...Deno.readDirSync(`${folder.path}/work`)]
      .map(({ name }) => name);
    assertEquals(names.sort(), [foreign, "notes", kept].sort());
  });
}

/** A service, and the flags with which it is asked. */
async function startService(folder: Folder) {
  const process = folder.start(["serve", "--listen", "127.0.0.1:0"]);
  await process.line(/Listening on http/);
  const [, url = ""] = /Listening on (http:\S+)/.exec(process.seen) ?? [];
  return {
    flags: ["--server", url],
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

Deno.test("prune says what it would delete, asks for --yes, deletes, and says what the file's size did", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "a" }, { instruction: "b" }]);
  await runOnce(folder);
  await folder.rows("UPDATE agent_tasks SET updated_at = '2020-01-01'");
  await folder.create([{ instruction: "open" }]);
  const dry = await folder.ok(["prune", "--older-than", "30d", "--dry-run"]);
  assertMatch(dry, /^Would delete 2 tasks with \d+ events, all that ended /);
  assertStringIncludes(
    await folder.fails(2, ["prune", "--older-than", "30d"]),
    "Cannot delete 2 tasks",
  );
  assertEquals(await statesIn(folder), { completed: 2, created: 1 });
  const out = await folder.ok(["prune", "--older-than", "30d", "--yes"]);
  assertMatch(
    out,
    /^Deleted 2 tasks with \d+ events\nThe file (still )?has .*free for new tasks\n$/,
  );
  assertEquals(folder.names(), [DATABASE, "tasks.jsonl"]);
  assertEquals(await statesIn(folder), { created: 1 });
  const json = JSON.parse(
    await folder.ok(["prune", "--older-than", "2020-02-01", "--json"]),
  );
  assertEquals([json.tasks, json.events, json.deleted], [0, 0, false]);
});

// doctor

interface CheckJson {
  readonly name: string;
  readonly level: string;
  readonly message: string;
  readonly advice: string | null;
}

async function diagnose(
  folder: Folder,
  args: readonly string[] = [],
  env: Record<string, string> = {},
) {
  const { code, stdout } = await folder.run(["doctor", "--json", ...args], {
    env,
  });
  const { ok, checks } = JSON.parse(stdout) as {
    ok: boolean;
    checks: CheckJson[];
  };
  const find = (name: string) => {
    const found = checks.find((check) => check.name === name);
    assert(found, `${name} is not in ${stdout}`);
    return found;
  };
  return { code, ok, find };
}

Deno.test("doctor finds all well, changes nothing, and says so", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "x" }]);
  const before = Deno.statSync(`${folder.path}/${DATABASE}`);
  const text = await folder.ok(["doctor"], { env: AT_ONCE });
  const after = Deno.statSync(`${folder.path}/${DATABASE}`);
  assertEquals([after.mtime, after.size], [before.mtime, before.size]);
  assertEquals(folder.names(), [DATABASE, "tasks.jsonl"]);
  for (
    const name of ["settings", "file", "disk", "version", "access", "clock"]
  ) {
    assertMatch(text, new RegExp(`^ok {4}${name} `, "m"));
  }
  assertMatch(text, /\n\nAll is well\.\n$/);
  assertStringIncludes(text, "given by HANDSFREE_AGENT_RUNNER_ENABLED");
});

Deno.test("doctor makes no database where there is none", async () => {
  using folder = new Folder();
  const { code, ok, find } = await diagnose(folder);
  assertEquals([code, ok], [0, true]);
  assertEquals(find("file").level, "warn");
  assertEquals(find("enabled").level, "warn");
  assertEquals(folder.names(), []);
});

Deno.test("doctor fails where the folder or the file can't be used", async () => {
  using folder = new Folder();
  const missing = await diagnose(folder, ["--db-path", "none/x.duckdb"]);
  assertEquals([missing.code, missing.find("folder").level], [1, "fail"]);
  folder.write(
    "text.duckdb",
    "This is no database, but long enough. ".repeat(99),
  );
  const text = await diagnose(folder, ["--db-path", "text.duckdb"]);
  assertEquals([text.code, text.find("access").level], [1, "fail"]);
  assertStringIncludes(text.find("access").message, "not a DuckDB database");
  const out = await folder.run(["doctor", "--db-path", "text.duckdb"]);
  assertMatch(out.stdout, /1 thing does not work\.\n$/);
});

Deno.test("doctor warns of a database and a token file that all users may use", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "x" }]);
  folder.write("token", "0123456789abcdef");
  const env = { HANDSFREE_AGENT_TOKEN_FILE: "token" };
  const setModes = (mode: number) => {
    for (const name of [DATABASE, "token"]) {
      Deno.chmodSync(`${folder.path}/${name}`, mode);
    }
  };
  setModes(0o644);
  const open = await diagnose(folder, [], env);
  assertEquals([open.find("file").level, open.find("token").level], [
    "warn",
    "warn",
  ]);
  assertStringIncludes(open.find("file").advice ?? "", "chmod 600");
  assertStringIncludes(open.find("token").message, "chmod 600 token");
  setModes(0o640);
  const kept = await diagnose(folder, [], env);
  assertEquals([kept.find("file").level, kept.find("token").level], [
    "ok",
    "ok",
  ]);
  Deno.removeSync(`${folder.path}/token`);
  assertEquals((await diagnose(folder, [], env)).find("token").level, "fail");
});

Deno.test("doctor fails where agent_tasks is another program's", async () => {
  using folder = new Folder();
  await folder.rows("CREATE TABLE agent_tasks (id UUID, status INTEGER)");
  const { code, find } = await diagnose(folder);
  assertEquals([code, find("tables").level], [1, "fail"]);
  assertStringIncludes(find("tables").message, "status is INTEGER, not TEXT");
});

Deno.test("doctor fails where a provider can't work", async () => {
  using folder = new Folder();
  const providers = (program: string) =>
    folder.write(
      "agent-runner.json",
      JSON.stringify({
        providers: { claude: { processor: "command", command: [program] } },
      }),
    );
  providers("no-such-program");
  const wrong = await diagnose(folder);
  assertEquals(
    [wrong.code, wrong.find("providers").level],
    [1, "fail"],
  );
  assertStringIncludes(
    wrong.find("providers").message,
    "claude: The program no-such-program is not on PATH",
  );
  providers("sh");
  const right = await diagnose(folder);
  assertEquals([right.code, right.find("providers").level], [0, "ok"]);
});

Deno.test("doctor warns of tasks that wait for a provider which is not configured", async () => {
  using folder = new Folder();
  const configure = (name: string) =>
    folder.write(
      "agent-runner.json",
      JSON.stringify({ providers: { [name]: { processor: "simulate" } } }),
    );
  await folder.create([{ provider: "codex" }, { provider: "claude" }]);
  configure("claude");
  const { code, find } = await diagnose(folder);
  assertEquals([code, find("served").level], [0, "warn"]);
  assertEquals(
    find("served").message,
    "1 task of providers that are not configured: codex has 1",
  );
  await folder.run(["cancel", "--provider=codex", "--yes"]);
  assertEquals((await diagnose(folder)).find("served").level, "ok");
  configure("*");
  assertFalse((await folder.ok(["doctor"])).includes("served"));
});

Deno.test("doctor says who holds the file", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "x" }]);
  await using runner = folder.start(["run", "--loop", "--exclusive"], {
    env: AT_ONCE,
  });
  await runner.line(/Running until stopped/);
  const { code, find } = await diagnose(folder, ["--db-wait", "0.2"]);
  assertEquals([code, find("access").level], [0, "warn"]);
  assertStringIncludes(find("access").message, `(PID ${runner.pid})`);
  runner.signal("SIGTERM");
  await runner.ended();
});

Deno.test("doctor finds tasks that nobody works on, and times from the future", async () => {
  using folder = new Folder();
  await folder.create(Array(6).fill({ instruction: "x" }));
  await folder.rows(`
    UPDATE agent_tasks SET created_at = now() - INTERVAL 2 HOUR,
      updated_at = now() - INTERVAL 2 HOUR;
    UPDATE agent_tasks SET status = ['created', 'running', 'needs_input',
      'running', 'running', 'on_hold'][1 + rowid];
    UPDATE agent_tasks SET lease_expires_at = now() - INTERVAL 1 HOUR
      WHERE rowid = 1;
    UPDATE agent_tasks SET cancel_requested_at = now() WHERE rowid = 3;
    UPDATE agent_tasks SET updated_at = now() + INTERVAL 1 DAY
      WHERE rowid = 5`);
  const { code, find } = await diagnose(folder);
  assertEquals(code, 0);
  const levels = ["waiting", "abandoned", "questions", "cancelled", "states"]
    .concat("clock").map((name) => [name, find(name).level]);
  assertEquals(levels.filter(([, level]) => level !== "warn"), []);
  assertMatch(find("waiting").message, /^1 task waits for a runner, .* 2h 0m$/);
  assertMatch(find("abandoned").message, /^2 tasks run without a live lease/);
  assertStringIncludes(find("states").message, "on_hold");
  assertStringIncludes(find("clock").message, "1 task is from the future");
  for (const [name = ""] of levels) assert(find(name).advice);
});
