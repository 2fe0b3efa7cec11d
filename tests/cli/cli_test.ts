import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import deno from "../../deno.json" with { type: "json" };
import { ENABLED, Folder } from "./cli.ts";

const DATABASE = "handsfree.duckdb";
const ID = "550e8400-e29b-41d4-a716-446655440000";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Row {
  [field: string]: unknown;
  id: string;
  state: string;
  instruction: string | null;
}

async function listed(folder: Folder, ...args: string[]): Promise<Row[]> {
  return JSON.parse(await folder.ok(["list", "--json", ...args]));
}

// Help

Deno.test("agent-runner --help, -h and help name every command on one screen", async () => {
  using folder = new Folder();
  const [long, short, word] = await Promise.all([
    folder.ok(["--help"]),
    folder.ok(["-h"]),
    folder.ok(["help"]),
  ]);
  for (const name of ["run", "create", "list", "show"]) {
    assertMatch(long, new RegExp(`^  ${name} `, "m"));
  }
  assertStringIncludes(long, "HANDSFREE_AGENT_RUNNER_ENABLED");
  assertEquals(long.split("\n").filter((line) => line.length > 100), []);
  assert(long.trimEnd().split("\n").length <= 48);
  assertEquals([short, word], [long, long]);
  assertEquals(folder.names(), []);
});

Deno.test("help COMMAND, COMMAND --help and COMMAND -h show its flags", async () => {
  using folder = new Folder();
  const flags = {
    run: ["--once", "--loop", "--interval", "--concurrency", "--lease"],
    create: ["--file", "--target-type", "--trace", "--run-at", "--attempts"],
    list: ["--state", "--provider", "--limit"],
    show: ["--json"],
  };
  for (const [name, names] of Object.entries(flags)) {
    const [word, long] = await Promise.all([
      folder.ok(["help", name]),
      folder.ok([name, name === "list" ? "-h" : "--help"]),
    ]);
    assertStringIncludes(word, `Usage: agent-runner ${name} `);
    assertEquals(long, word);
    for (const flag of [...names, "--db", "--help"]) {
      assertMatch(word, new RegExp(`^  .*${flag}\\b`, "m"));
    }
  }
  assertEquals(folder.names(), []);
});

Deno.test("--version prints the version of deno.json", async () => {
  using folder = new Folder();
  const [long, short] = await Promise.all([
    folder.ok(["--version"]),
    folder.ok(["-V"]),
  ]);
  assertEquals([long, short], Array(2).fill(`agent-runner ${deno.version}\n`));
});

// What a user mistypes

const MISTYPED: Readonly<Record<string, [args: string[], says: string[]]>> = {
  "an unknown command": [["lst"], ['"lst"', '"list"']],
  "help for an unknown command": [["help", "craete"], ['"craete"', '"create"']],
  "an unknown flag": [["--onec"], ["--onec", "--once"]],
  "an unknown flag of a command": [
    ["list", "--stae", "failed"],
    ["--stae", '"list"', "--state"],
  ],
  "an unknown state": [["list", "--state", "faild"], ['"faild"', '"failed"']],
  "an unknown state among good ones": [
    ["list", "--state", "failed,complete"],
    ['"complete"', '"completed"'],
  ],
  "a limit that is no number": [
    ["list", "--limit", "ten"],
    ["--limit", '"ten"', "1 or more"],
  ],
  "a limit of 0": [["list", "--limit", "0"], ["--limit", '"0"', "1 or more"]],
  "a priority that is no integer": [
    ["create", "x", "--priority", "1.5"],
    ["priority", '"1.5"', "whole number"],
  ],
  "a flag without its value": [["create", "--provider"], [
    "--provider",
    "NAME",
  ]],
  "a negative wait": [
    ["list", "--db-wait", "-1"],
    ["--db-wait", '"-1"', "0 or more"],
  ],
  "too many arguments": [["create", "two", "words"], ['"words"', "quotes"]],
  "an argument for list": [["list", "failed"], ['"failed"']],
  "show without an id": [["show"], ["id", "list"]],
  "create without an instruction": [["create"], ["instruction"]],
  "an empty instruction": [["create", " "], ["instruction is empty"]],
  "--once with --loop": [["--once", "--loop"], ["--once", "--loop"]],
  "a target that is none": [
    ["create", "x", "--target", "octo/app"],
    ["target", '"octo/app"', "owner/repo#12"],
  ],
  "a target type without a target": [
    ["create", "x", "--target-type", "pr"],
    ["target"],
  ],
  "an unknown target type": [
    ["create", "x", "--target", "#1", "--target-type", "pull"],
    ['"pull"', "issue or pr"],
  ],
  "a trace that is no object": [
    ["create", "x", "--trace", "[1]"],
    ["trace", "[1]", "JSON object"],
  ],
  "a time that is none": [
    ["create", "x", "--run-at", "tomorrow"],
    ['"tomorrow"', "2026-12-31T08:00:00Z"],
  ],
  "a day that no month has": [
    ["create", "x", "--run-at", "2026-02-31"],
    ['"2026-02-31"'],
  ],
  "zero attempts": [["create", "x", "--attempts", "0"], ["attempts", '"0"']],
  "--file with an instruction": [
    ["create", "x", "--file", "y"],
    ["--file", "instruction"],
  ],
  "--file with another flag": [
    ["create", "--file", "y", "--user", "me"],
    ["--file", "--user"],
  ],
};

for (const [what, [args, says]] of Object.entries(MISTYPED)) {
  Deno.test(`${what} is an error that says what is wrong, and exit 2`, async () => {
    using folder = new Folder();
    const stderr = await folder.fails(2, args);
    assertMatch(stderr, /^error: [^\n]+\n$/);
    for (const text of says) assertStringIncludes(stderr, text);
    assertEquals(folder.names(), []);
  });
}

Deno.test("all mistakes in flags and variables are reported at once", async () => {
  using folder = new Folder();
  const stderr = await folder.fails(
    2,
    ["run", "--interval", "soon", "--concurrency", "0", "--lease=0.1"],
    {
      env: {
        HANDSFREE_AGENT_RUNNER_ENABLED: "maybe",
        HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "1y",
        LOG_LEVEL: "LOUD",
        LOG_FORMAT: "xml",
      },
    },
  );
  const lines = stderr.trimEnd().split("\n");
  assertEquals(lines.length, 7, stderr);
  for (
    const text of [
      '--interval is "soon"',
      '--concurrency is "0"',
      '--lease is "0.1"',
      'HANDSFREE_AGENT_RUNNER_ENABLED is "maybe"',
      'HANDSFREE_AGENT_TASK_COMPLETION_DELAY is "1y"',
      'LOG_LEVEL is "LOUD": expected one of DEBUG, INFO, WARNING, ERROR',
      'LOG_FORMAT is "xml": expected one of text, json',
    ]
  ) assertStringIncludes(stderr, text);
  assertEquals(folder.names(), []);
});

Deno.test("a flag wins over its variable", async () => {
  using folder = new Folder();
  const env = { HANDSFREE_DB_PATH: "variable.duckdb", LOG_LEVEL: "LOUD" };
  await folder.ok(["create", "x", "--db-path=flag.db", "--log-level=info"], {
    env,
  });
  assertEquals(folder.names(), ["flag.db"]);
});

// Disabled

Deno.test("a runner that is not enabled says how, exits 1 and makes no database", async () => {
  using folder = new Folder();
  const variants = [[], ["run"], ["--once"], ["run", "--loop", "--json"]];
  for (const args of variants) {
    const env = args[0] === "run"
      ? { HANDSFREE_AGENT_RUNNER_ENABLED: "false" }
      : undefined;
    const stderr = await folder.fails(1, args, { env });
    assertStringIncludes(stderr, "HANDSFREE_AGENT_RUNNER_ENABLED=true");
    assertEquals(folder.names(), []);
  }
});

Deno.test("a runner that is not enabled leaves the database as it is", async () => {
  using folder = new Folder();
  await folder.ok(["create", "x"]);
  const before = Deno.statSync(`${folder.path}/${DATABASE}`);
  await folder.fails(1, ["run", "--once"]);
  const after = Deno.statSync(`${folder.path}/${DATABASE}`);
  assertEquals(
    [after.size, after.mtime, folder.names()],
    [before.size, before.mtime, [DATABASE]],
  );
});

// create

Deno.test("create makes the database, prints the task's id, and list shows it", async () => {
  using folder = new Folder();
  const stdout = await folder.ok(["create", "Summarise the open issues"]);
  const [, id = ""] = /^Created task (\S+)\n$/.exec(stdout) ?? [];
  assertMatch(id, UUID);
  assertEquals(folder.names(), [DATABASE]);
  const table = await folder.ok(["list"]);
  assertMatch(
    table,
    new RegExp(
      `^ID +STATE +PROVIDER +AGE +ATTEMPT +TARGET +INSTRUCTION\n${
        id.slice(0, 8)
      }` +
        " +created +simulate +\\d+s +0 +Summarise the open issues\n$",
    ),
  );
});

Deno.test("create takes every flag", async () => {
  using folder = new Folder();
  const stdout = await folder.ok([
    "create",
    "Fix it",
    "--provider=codex",
    "--user=me@example.org",
    "--target=octo/app#12",
    "--target-type=pr",
    '--trace={"note": 12345678901234567890, "deep": {"a": [1]}}',
    "--priority=7",
    "--run-at=2026-12-31T08:00:00+02:00",
    "--attempts=4",
    "--json",
  ]);
  const { id, ...rest } = JSON.parse(stdout);
  assertMatch(id, UUID);
  assertEquals(rest, {});
  const shown = await folder.ok(["show", id, "--json"]);
  assertStringIncludes(shown, '"note": 12345678901234567890');
  const task = JSON.parse(shown);
  assertEquals(
    {
      instruction: task.instruction,
      provider: task.provider,
      user: task.user_id,
      type: task.target_type,
      ref: task.target_ref,
      deep: task.trace.deep,
      priority: task.priority,
      runAt: task.run_at,
      maxAttempts: task.max_attempts,
      state: task.state,
      attempt: task.attempt,
    },
    {
      instruction: "Fix it",
      provider: "codex",
      // uuid.uuid5(uuid.NAMESPACE_DNS, "me@example.org") in Python.
      user: "7b0ff810-9071-5713-9c20-d1988ccbf725",
      type: "pr",
      ref: "octo/app#12",
      deep: { a: [1] },
      priority: 7,
      runAt: "2026-12-31T06:00:00.000Z",
      maxAttempts: 4,
      state: "created",
      attempt: 0,
    },
  );
});

Deno.test("create takes a negative number as a flag's value", async () => {
  using folder = new Folder();
  await folder.ok(["create", "x", "--priority", "-5"]);
  const [task] = await listed(folder);
  assertEquals(task?.priority, -5);
});

Deno.test("create - reads the instruction from standard input, all its lines", async () => {
  using folder = new Folder();
  await folder.ok(["create", "-"], { stdin: "Größe prüfen\n  zweite Zeile\n" });
  const [task] = await listed(folder);
  assertEquals(task?.instruction, "Größe prüfen\n  zweite Zeile");
  const stderr = await folder.fails(2, ["create", "-"], { stdin: "\n" });
  assertStringIncludes(stderr, "instruction is empty");
});

Deno.test("create takes an instruction that begins with a dash after --", async () => {
  using folder = new Folder();
  await folder.ok(["create", "--", "--help is wrong"]);
  const [task] = await listed(folder);
  assertEquals(task?.instruction, "--help is wrong");
});

Deno.test("create --file creates a task per line, with Windows line ends and a BOM too", async () => {
  using folder = new Folder();
  folder.write(
    "tasks.jsonl",
    `\ufeff{"id": "${ID}", "instruction": "first", "trace": {"n": 1}}\r\n` +
      '\r\n{"instruction": "second", "target": "#5", "priority": 3,' +
      ' "user": null}\r\n{"provider": "codex", "instruction": "third"}',
  );
  assertEquals(
    await folder.ok(["create", "--file", "tasks.jsonl"]),
    "Created 3 tasks\n",
  );
  const rows = await listed(folder);
  assertEquals(
    rows.map(({ instruction, provider, target_ref, priority }) => [
      instruction,
      provider,
      target_ref,
      priority,
    ]),
    [
      ["third", "codex", null, 0],
      ["second", "simulate", "#5", 3],
      ["first", "simulate", null, 0],
    ],
  );
  assertEquals([rows[2]?.id, rows[2]?.trace], [ID, { n: 1 }]);
});

Deno.test("create --file says one task where it is one", async () => {
  using folder = new Folder();
  folder.write("tasks.jsonl", '{"instruction": "only"}\n');
  assertEquals(
    await folder.ok(["create", "--file", "tasks.jsonl"]),
    "Created 1 task\n",
  );
});

for (const args of [["--file", "-"], ["--file=-"]]) {
  Deno.test(`create ${args.join(" ")} reads the lines from standard input`, async () => {
    using folder = new Folder();
    const stdout = await folder.ok(["create", ...args, "--json"], {
      stdin: '{"instruction": "one"}\n{"instruction": "two"}\n',
    });
    const ids = JSON.parse(stdout).map(({ id }: Row) => id);
    const rows = await listed(folder);
    assertEquals(
      rows.map(({ id, instruction }) => [id, instruction]),
      [[ids[1], "two"], [ids[0], "one"]],
    );
  });
}

const GOOD_LINE = '{"instruction": "good"}\n';
const BAD_FILES: Readonly<Record<string, [text: string, says: string[]]>> = {
  "bad JSON": [`${GOOD_LINE}{"instruction": \n`, ["line 2", "JSON object"]],
  "a line that is JSON but no object": [
    `${GOOD_LINE}\n["x"]\n`,
    ["line 3", "JSON object"],
  ],
  "an unknown field": [
    `${GOOD_LINE}{"instructon": "x"}\n`,
    ["line 2", '"instructon"', '"instruction"'],
  ],
  "the same id twice": [
    `{"id": "${ID}"}\n${GOOD_LINE}{"id": "${ID.toUpperCase()}"}\n`,
    ["line 3", ID, "line 1"],
  ],
  "an id that is no UUID": [`${GOOD_LINE}{"id": "7"}\n`, ["line 2", '"7"']],
  "a number for a text": [
    `${GOOD_LINE}{"instruction": 7}\n`,
    ["line 2", "instruction", '"7"', "text"],
  ],
  "a text for a number": [
    `${GOOD_LINE}{"priority": "high"}\n`,
    ["line 2", "priority", '"high"', "whole number"],
  ],
  "a number that is too large": [
    `${GOOD_LINE}{"attempts": 12345678901234567890}\n`,
    ["line 2", "attempts", "12345678901234567890", "whole number"],
  ],
  "a list for a trace": [
    `${GOOD_LINE}{"trace": [1]}\n`,
    ["line 2", "trace", "[1]", "JSON object"],
  ],
  "control characters": [
    `${GOOD_LINE}{"\\u001b]0;owned\\u0007\\u009b2J": 1}\n`,
    ["line 2", "owned"],
  ],
  "no lines": ["", ["no lines"]],
  "blank lines only": ["\r\n\n  \n", ["no lines"]],
};

for (const [what, [text, says]] of Object.entries(BAD_FILES)) {
  Deno.test(`create --file with ${what} creates nothing and says why`, async () => {
    using folder = new Folder();
    folder.write("tasks.jsonl", text);
    const stderr = await folder.fails(2, ["create", "--file", "tasks.jsonl"]);
    assertStringIncludes(stderr, "tasks.jsonl");
    for (const part of says) assertStringIncludes(stderr, part);
    assertEquals(folder.names(), ["tasks.jsonl"]);
  });
}

Deno.test("create --file with an id that the database has creates nothing and names the line", async () => {
  using folder = new Folder();
  await folder.create([{ id: ID, instruction: "old" }]);
  folder.write("more.jsonl", `${GOOD_LINE}{"id": "${ID}"}\n`);
  const stderr = await folder.fails(2, ["create", "--file", "more.jsonl"]);
  assertStringIncludes(stderr, ID);
  assertEquals((await listed(folder)).length, 1);
  assertStringIncludes(stderr, "line 2");
  assertStringIncludes(stderr, "No task was created");
});

Deno.test("create --file with a file that is not there, or a folder, says so in plain words", async () => {
  using folder = new Folder();
  Deno.mkdirSync(`${folder.path}/tasks`);
  const missing = await folder.fails(2, ["create", "--file", "nope.jsonl"]);
  assertMatch(missing, /nope\.jsonl.*(no such file|does not exist|not there)/i);
  assertFalse(/os error|readfile/.test(missing), missing);
  const isFolder = await folder.fails(2, ["create", "--file", "tasks"]);
  assertMatch(isFolder, /tasks.*folder|directory/i);
  assertFalse(/os error|readfile/.test(isFolder), isFolder);
  assertEquals(folder.names(), ["tasks"]);
});

// list

Deno.test("list says that there are no tasks, as text and as JSON", async () => {
  using folder = new Folder();
  await folder.ok(["run"], { env: ENABLED }); // Makes the database.
  assertEquals(await folder.ok(["list"]), "There are no tasks yet.\n");
  assertEquals(await folder.ok(["list", "--json"]), "[]\n");
  await folder.ok(["create", "x"]);
  assertEquals(
    await folder.ok(["list", "--state", "failed"]),
    "No such tasks.\n",
  );
});

Deno.test("list filters by state and provider and shows the newest up to a limit", async () => {
  using folder = new Folder();
  await folder.create([
    { instruction: "a", provider: "codex" },
    { instruction: "b" },
    { instruction: "c", provider: "codex", run_at: "2100-01-01" },
    { instruction: "d", run_at: "2100-01-01T00:00:00Z" },
  ]);
  await folder.ok(["run"], {
    env: { ...ENABLED, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0" },
  });
  const instructions = async (...args: string[]) =>
    (await listed(folder, ...args)).map(({ instruction }) => instruction);
  assertEquals(await instructions("--state=created"), ["d", "c"]);
  assertEquals(await instructions("--state=created,completed"), [
    ..."dcba",
  ]);
  assertEquals(await instructions("--provider=codex"), ["c", "a"]);
  assertEquals(await instructions("--provider=codex", "--state=completed"), [
    "a",
  ]);
  assertEquals(await instructions("--limit", "3"), ["d", "c", "b"]);
  const table = await folder.ok(["list", "--limit", "3"]);
  assertEquals(table.split("\n").length, 6, table);
  assertMatch(table, /--limit \d+ shows more/);
  assertFalse((await folder.ok(["list", "--limit", "4"])).includes("limit"));
});

Deno.test("list keeps a task on one line, whatever its instruction", async () => {
  using folder = new Folder();
  await folder.create([
    { instruction: "line one\t\u001b]0;owned\u0007 \u009b2J 漢字\nline two" },
  ]);
  const lines = (await folder.ok(["list"])).trimEnd().split("\n");
  assertEquals(lines.length, 2);
  // deno-lint-ignore no-control-regex -- looking for them is the point
  assertFalse(/[\x00-\x1f\x7f-\x9f]/.test(lines[1] ?? ""), lines[1]);
  assertMatch(lines[1] ?? "", /line one \\x1b.*漢字$/);
});

Deno.test("list | head -1 ends quietly", async () => {
  using folder = new Folder();
  const instruction = "x".repeat(1_000);
  await folder.create(Array(500).fill({ instruction }));
  // 500 kB: far more than a pipe holds, so the program is still writing.
  await using process = folder.start(["list", "--limit", "500"]);
  process.closeOutput();
  const { code, stdout, stderr } = await process.ended();
  assertEquals([code, stderr], [0, ""]);
  assert(stdout.length < 400_000);
});

// show

Deno.test("show takes an id or the start of one, in any case", async () => {
  using folder = new Folder();
  await folder.create([
    { id: ID, instruction: "first" },
    { id: "550e8401-0000-4000-8000-000000000000", instruction: "second" },
  ]);
  for (const id of [ID, "550e8400", ID.toUpperCase()]) {
    const stdout = await folder.ok(["show", id]);
    assertMatch(stdout, new RegExp(`^ +Task +${ID}\n +State +created\n`));
    assertMatch(
      stdout,
      /^Timeline\n +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +created$/m,
    );
    assertMatch(stdout, /first/);
  }
  const several = await folder.fails(2, ["show", "550E840"]);
  assertStringIncludes(several, ID);
  assertStringIncludes(several, "550e8401-0000-4000-8000-000000000000");
  const none = await folder.fails(2, ["show", "6"]);
  assertMatch(none, /no task.*"6".*list/);
});

Deno.test("show lists only a few of many candidates", async () => {
  using folder = new Folder();
  await folder.create(
    Array.from({ length: 20 }, (_, n) => ({
      id: `aaaaaaaa-0000-4000-8000-0000000000${n + 10}`,
    })),
  );
  const stderr = await folder.fails(2, ["show", "a"]);
  const lines = stderr.trimEnd().split("\n");
  assert(lines.length < 10, stderr);
  assertStringIncludes(stderr, "…");
});

Deno.test("show --json keeps big integers as they are, with the history", async () => {
  using folder = new Folder();
  folder.write(
    "tasks.jsonl",
    `{"id": "${ID}", "instruction": "x", "trace": ` +
      '{"id": 12345678901234567890, "neg": -9007199254740993, "f": 0.5}}\n',
  );
  await folder.ok(["create", "--file", "tasks.jsonl"]);
  const stdout = await folder.ok(["show", "55", "--json"]);
  assertStringIncludes(stdout, '"id": 12345678901234567890');
  assertStringIncludes(stdout, '"neg": -9007199254740993');
  const { events, trace, state } = JSON.parse(stdout);
  assertEquals([trace.f, state], [0.5, "created"]);
  assertEquals(events.map(({ kind }: { kind: string }) => kind), ["created"]);
});

Deno.test("show passes no control sequence of a task to the terminal", async () => {
  using folder = new Folder();
  const evil = "a\u001b]0;owned\u0007\u009b2Jb\r\u007f";
  await folder.create([{
    id: ID,
    instruction: `${evil}\nsecond line`,
    provider: evil,
    trace: { [evil]: evil, list: [evil], simulate_failure: evil },
  }]);
  const env = { ...ENABLED, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0" };
  // The log shows the failure too; `ended` looks at it for control bytes.
  assertEquals((await folder.run(["run"], { env })).code, 1);
  for (const args of [["show", ID], ["show", ID, "--json"], ["list"]]) {
    const stdout = await folder.ok(args);
    // deno-lint-ignore no-control-regex -- looking for them is the point
    assertFalse(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(stdout), args.join(" "));
    assertStringIncludes(stdout, "owned");
  }
});

// A database that can't be used

const NO_MAKERS: Readonly<Record<string, string[]>> = {
  list: [],
  show: [ID],
  result: [ID],
  answer: [ID, "yes"],
  cancel: [ID],
  retry: [ID],
  stats: [],
  watch: [],
  export: ["-"],
  prune: ["--older-than=1d", "--yes"],
  "run-task": [ID],
  workspaces: [],
};

Deno.test("a database that is not there is made by create, run and serve only", async (t) => {
  using folder = new Folder();
  for (const [command, args] of Object.entries(NO_MAKERS)) {
    await t.step(command, async () => {
      const words = [command, ...args, "--db-path=typo.duckdb"];
      const stderr = await folder.fails(3, words, { env: ENABLED });
      assertMatch(
        stderr,
        /^error: Cannot open typo\.duckdb: there is no such file\. .*create/,
      );
      assertEquals(folder.names(), []);
    });
  }
});

Deno.test("a missing folder is an error of its own, and exit 3", async () => {
  using folder = new Folder();
  for (const args of [["list"], ["create", "x"], ["run"]]) {
    const stderr = await folder.fails(3, [...args, "--db-path=no/x.duckdb"], {
      env: ENABLED,
    });
    assertMatch(stderr, /^error: .*no\/x\.duckdb: .*folder does not exist/);
  }
  assertEquals(folder.names(), []);
});

Deno.test("a folder in place of the database is an error of its own, and exit 3", async () => {
  using folder = new Folder();
  Deno.mkdirSync(`${folder.path}/data`);
  const stderr = await folder.fails(3, ["list", "--db-path", "data"]);
  assertMatch(stderr, /^error: .*data: it is a folder\. .*with --db\./);
  assertEquals([...Deno.readDirSync(`${folder.path}/data`)], []);
});

Deno.test("a file with a table is no database: what is put there would be gone", async () => {
  using folder = new Folder();
  await folder.ok(["create", "x"]);
  for (const name of ["t.csv", "t.jsonl", "t.parquet"]) {
    await folder.ok(["export", name]);
    const before = Deno.readFileSync(`${folder.path}/${name}`);
    for (
      const args of [["list"], ["create", "x"], ["run"], ["sql", "SELECT 1"]]
    ) {
      const options = { env: ENABLED };
      const stderr = await folder.fails(3, [...args, "--db", name], options);
      assertMatch(stderr, /^error: .*: it is not a DuckDB database\. /);
    }
    assertEquals(Deno.readFileSync(`${folder.path}/${name}`), before);
  }
  await folder.ok(["create", "x", "--db", "new.csv"]);
  assertMatch(await folder.ok(["list", "--db", "new.csv"]), / created /);
});

Deno.test("tasks are not kept in memory", async () => {
  using folder = new Folder();
  for (const args of [["list"], ["create", "x"], ["sql", "SELECT 1"]]) {
    const stderr = await folder.fails(2, [...args, "--db", ":memory:"]);
    assertMatch(stderr, /^error: Cannot keep tasks in memory/);
  }
});

Deno.test("a file that is no database is an error of its own, exit 3, and is left alone", async () => {
  using folder = new Folder();
  const text = "Dear diary, ".repeat(1_000);
  folder.write("diary.txt", text);
  for (const args of [["list"], ["create", "x"], ["run"]]) {
    const stderr = await folder.fails(3, [...args, "--db-path=diary.txt"], {
      env: ENABLED,
    });
    assertMatch(stderr, /^error: .*diary\.txt: it is not a DuckDB database/);
    assertEquals(folder.read("diary.txt"), text);
  }
  assertEquals(folder.names(), ["diary.txt"]);
});

Deno.test("a file that another process holds is waited for as long as --db-wait says", async () => {
  using folder = new Folder();
  await using holder = folder.start(["run", "--loop", "--exclusive"], {
    env: ENABLED,
  });
  await holder.line(/Running until stopped/);
  const stderr = await folder.fails(3, ["list", "--db-wait", "0.2"], {
    env: { HANDSFREE_AGENT_DB_WAIT: "3600" },
  });
  assertStringIncludes(stderr, DATABASE);
  assertStringIncludes(stderr, `PID ${holder.pid}`);
  assertStringIncludes(stderr, "--db-wait");

  const waiting = folder.ok(["create", "x", "--db-wait", "3600"]);
  holder.signal("SIGTERM");
  assertMatch(await waiting, /^Created task /);
  assertEquals((await holder.ended()).code, 0);
});
