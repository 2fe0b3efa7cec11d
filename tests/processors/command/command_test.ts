import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import { createLog } from "../../../lib/base/log.ts";
import { createCommandProcessor } from "../../../lib/processors/command/command.ts";
import { commandConfig } from "../../../lib/processors/command/config.ts";
import type { JsonValue, Outcome } from "../../../lib/task/task.ts";
import { AT_ONCE, Folder } from "../../cli/cli.ts";
import {
  CommandRun,
  type CommandRunOptions,
  runCommand,
  TASK_ID,
  taskWith,
} from "./run_command.ts";

/** A folder that is gone after the test. */
function tempFolder(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync({ prefix: "agent-runner-test-" });
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/** Runs a command that completes, and returns its result. */
async function resultOf(
  config: object,
  options: CommandRunOptions = {},
): Promise<JsonValue | undefined> {
  const outcome = await runCommand(config, options);
  assert(outcome.kind === "completed", JSON.stringify(outcome));
  return outcome.result;
}

/** Runs a command that fails, and returns its error. */
async function errorOf(
  config: object,
  options: CommandRunOptions = {},
): Promise<string> {
  const outcome = await runCommand(config, options);
  assert(outcome.kind === "failed", JSON.stringify(outcome));
  return outcome.error;
}

const OUTCOMES: [shell: string, outcome: Outcome, config?: object][] = [
  ["true", { kind: "completed" }],
  ["echo one; echo two; echo >&2 three", {
    kind: "completed",
    result: "one\ntwo",
    printed: { stderr: "three" },
  }],
  ["printf 'no end\\r\\nof line'", {
    kind: "completed",
    result: "no end\nof line",
  }],
  ["exit 1", { kind: "failed", error: "Exit code 1", retryable: true }],
  ["echo out; echo >&2 'no key'; exit 2", {
    kind: "failed",
    error: "Exit code 2: no key",
    retryable: true,
    printed: { stdout: "out", stderr: "no key" },
  }],
  ["echo only this; exit 2", {
    kind: "failed",
    error: "Exit code 2: only this",
    retryable: true,
    printed: { stdout: "only this" },
  }],
  ["exit 75", { kind: "failed", error: "Exit code 75", retryable: true }],
  ["exit 78", { kind: "failed", error: "Exit code 78", retryable: false }],
  ["kill -s SEGV $$", {
    kind: "failed",
    error: "Killed by SIGSEGV",
    retryable: true,
  }],
  ["no-such-program-anywhere 2>&1 | wc -l; exit 127", {
    kind: "failed",
    error: "Exit code 127: 1",
    retryable: false,
    printed: { stdout: "1" },
  }],
  ["exit 3", { kind: "completed" }, { exitCodes: { completed: [0, 3] } }],
  [
    "exit 3",
    { kind: "failed", error: "Exit code 3", retryable: false },
    { exitCodes: { others: "failed" } },
  ],
  [
    "exit 0",
    { kind: "failed", error: "Exit code 0", retryable: false },
    { exitCodes: { completed: [], failed: [0] } },
  ],
  [
    "echo 'Which branch?'; exit 10",
    {
      kind: "needs_input",
      question: "Which branch?",
      printed: { stdout: "Which branch?" },
    },
    { exitCodes: { needsInput: [10] } },
  ],
  [
    "exit 10",
    {
      kind: "needs_input",
      question: "The program needs input, and does not say which",
      answerWithinMs: 90_000,
    },
    { exitCodes: { needsInput: [10] }, answerWithin: 90 },
  ],
];

for (const [shell, outcome, config] of OUTCOMES) {
  Deno.test(`command takes ${shell} ${config ? `with ${JSON.stringify(config)} ` : ""}for ${outcome.kind}`, async () => {
    assertEquals(await runCommand({ shell, ...config }), outcome);
  });
}

const MESSAGES: [lines: string[], outcome: Outcome][] = [
  [
    ['{"agent_runner": "result", "value": {"pr": 12}}', "and text"],
    { kind: "completed", result: { pr: 12 }, printed: { stdout: "and text" } },
  ],
  [
    [
      '{"agent_runner":"result","value":1}',
      '{"agent_runner":"result","value":null}',
    ],
    { kind: "completed", result: null },
  ],
  [
    ['{"agent_runner":"result","value":9007199254740993}'],
    { kind: "completed", result: 9_007_199_254_740_993n },
  ],
  [
    ['{"agent_runner":"question","question":"Which?"}'],
    { kind: "needs_input", question: "Which?" },
  ],
  [
    [
      '{"agent_runner":"question","question":"Which?"}',
      '{"agent_runner":"result","value":"this"}',
    ],
    { kind: "completed", result: "this" },
  ],
  [
    ['\x1b[32m{"agent_runner":"result","value":"green"}\x1b[0m'],
    { kind: "completed", result: "green" },
  ],
  [
    ['{"\x1b[1magent_runner\x1b[0m":"result","value":"dull"}'],
    { kind: "completed", result: "dull" },
  ],
  [
    ['{"agent_runner":"limit"}'],
    { kind: "limited", reason: "its limit is reached" },
  ],
  [
    ['{"agent_runner":"limit","reason":"Weekly","until":5}'],
    { kind: "limited", reason: "Weekly", waitMs: 1 },
  ],
  // What is no message is kept as text.
  ...[
    '{"agent_runner":"reslt","value":1}',
    '{"agent_runner":"limit","until":"tomorrow"}',
    '{"agent_runner":"limit","until":1795000000000}',
    '{"agent_runner":"result"}',
    '{"agent_runner":"question","question":" "}',
    '{"agent_runner":"progress","message":5}',
    '["agent_runner","result"]',
    '"agent_runner"',
    '{"agent_runner":"result","value":1',
    '{"type":"result","result":"of another tool"}',
  ].map((line): [string[], Outcome] => [
    [line],
    { kind: "completed", result: line },
  ]),
];

for (const [lines, outcome] of MESSAGES) {
  Deno.test(`command takes ${lines.join(" then ")} for ${outcome.kind}`, async () => {
    await using run = new CommandRun({ shell: "cat", stdin: "instruction" }, {
      task: { instruction: lines.join("\n") },
    });
    assertEquals(await run.outcome, outcome);
    assertEquals(run.lines, lines);
  });
}

Deno.test("command waits for a limit until the time that it says, whatever its exit code", async () => {
  for (const until of ["2090-01-01T00:00:00Z", 3_786_912_000]) {
    const line = JSON.stringify({ agent_runner: "limit", until });
    const before = Date.now();
    await using run = new CommandRun({
      shell: "cat; exit 3",
      stdin: "instruction",
    }, { task: { instruction: line } });
    const { kind, waitMs = 0 } = await run.outcome as {
      kind: string;
      waitMs?: number;
    };
    assertEquals(kind, "limited");
    const end = Date.UTC(2090, 0, 1);
    assert(waitMs <= end - before && waitMs > end - Date.now() - 60_000);
  }
});

const HINTS: [lines: string[], hint: RegExp | undefined][] = [
  [
    ['{"agent_runner":"progress","message":"x","fraction":.05}'],
    /is no message, and kept as text: it is no JSON/,
  ],
  [
    ["{", '  "agent_runner": "result", "value": 1', "}"],
    /on a line of its own/,
  ],
  [['{"agent_runner":"reslt","value":1}'], /kind is "reslt", not "progress"/],
  [['{"agent_runner":null}'], /kind is null, not/],
  [
    ['Here: {"agent_runner": "question", "question": "Which?"}'],
    /other text is before it/,
  ],
  [['{"agent_runner":"result"}'], /no "value"/],
  [['{"agent_runner":"question","question":" "}'], /no "question"/],
  [
    ['{"agent_runner":"progress"}', '{"agent_runner":"result"}'],
    /no "message"/,
  ],
  [['{"agent_runner":"result","value":1}', '{"value":1}'], undefined],
  [['Print {"agent_runner": "result", …} at the end'], undefined],
  [
    ['{"text":"{\\"agent_runner\\": \\"done\\"}","in":{"agent_runner":1}}'],
    undefined,
  ],
];

for (const [lines, hint] of HINTS) {
  Deno.test(`command says once a run what is wrong with ${lines.join(" then ")}`, async () => {
    await using run = new CommandRun({ shell: "cat", stdin: "instruction" }, {
      task: { instruction: lines.join("\n") },
    });
    await run.outcome;
    const log = await run.log();
    if (hint) assertMatch(log, hint);
    assertEquals(log.trim().split("\n").filter(Boolean).length, hint ? 1 : 0);
  });
}

Deno.test("command hands progress on with its fraction", async () => {
  await using run = new CommandRun({
    command: [
      "printf",
      "%s\\n",
      "x",
      ...[
        '{{"agent_runner": "progress", "message": "Half", "fraction": 0.5}',
        '{"agent_runner": "progress", "message": "More"}',
      ].map((it) => it.replace("{{", "{")),
    ],
  });
  assertEquals(await run.outcome, { kind: "completed", result: "x" });
  assertEquals(run.notes, [["Half", 0.5], ["More", undefined]]);
});

Deno.test("command hands a line on while the program runs", async () => {
  using folder = tempFolder();
  await using run = new CommandRun({
    shell: "echo started; while [ ! -e go ]; do sleep 0.02; done; echo done",
    cwd: folder.path,
  });
  await run.printed("started");
  Deno.writeTextFileSync(`${folder.path}/go`, "");
  assertEquals(await run.outcome, {
    kind: "completed",
    result: "started\ndone",
  });
});

const HOSTILE = "'; touch hacked; echo \"$(touch hacked)` touch hacked`\n{id}";

Deno.test("command gives a task's texts as arguments, not to a shell", async () => {
  using folder = tempFolder();
  const result = await resultOf({
    command: [
      "printf",
      "[%s]",
      "{instruction}",
      "a {target} b",
      "{{id}}",
      '{"id": {"a": 1}}',
      "{id}",
      "{configDir}",
      "{answers}",
    ],
    cwd: folder.path,
  }, {
    task: {
      instruction: HOSTILE,
      targetRef: "octo/app#12",
      traceText: '{"answers": [{"question": "Which?", "answer": "Both"}]}',
    },
    baseFolder: folder.path,
  });
  assertEquals(
    result,
    `[${HOSTILE}][a octo/app#12 b][{id}][{"id": {"a": 1}}][${TASK_ID}][${folder.path}]` +
      "[Question: Which?\nAnswer: Both]",
  );
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("command gives a task's texts to a shell in variables only", async () => {
  using folder = tempFolder();
  const result = await resultOf({
    shell: 'printf "[%s]" "$AGENT_TASK_INSTRUCTION" "{instruction}"',
    cwd: folder.path,
  }, { task: { instruction: HOSTILE } });
  assertEquals(result, `[${HOSTILE}][{instruction}]`);
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

const OPTIONS: [command: string[], error: RegExp | undefined][] = [
  [["echo", "{instruction}"], /argument \{instruction\} begins with "-"/],
  [["echo", "{instruction} {id}"], /begins with "-"/],
  [["echo", "x", "--", "{instruction}"], undefined],
  [
    ["env", "--", "ls", "{instruction}"],
    /begins with "-".* Put "--" directly before it/,
  ],
  [["env", "--", "echo", "--", "{instruction}"], undefined],
  [["echo", "--text={instruction}"], undefined],
  [["echo", "Do: {instruction}"], undefined],
];

for (const [command, error] of OPTIONS) {
  Deno.test(`command lets no task make an option of ${command.join(" ")}`, async () => {
    const outcome = await runCommand({ command }, {
      task: { instruction: "--dangerous" },
    });
    if (!error) return assertEquals(outcome.kind, "completed");
    assert(outcome.kind === "failed" && !outcome.retryable);
    assertEquals(outcome.isUnbegun, undefined);
    assertMatch(outcome.error, error);
  });
}

const CONTEXT = {
  idempotencyKey: `${TASK_ID}:2`,
  trace: { big: 9_007_199_254_740_993n, note: "é" },
  answers: [{ question: "Which?", answer: "main", answered_at: "then" }],
};
const TASK = {
  instruction: "Fix é",
  targetRef: "octo/app#12",
  targetType: "pr",
  attempt: 2,
} as const;

Deno.test("command gives the task as JSON on stdin", async () => {
  const text = await resultOf({ command: ["cat"] }, {
    task: TASK,
    context: CONTEXT,
  });
  assertStringIncludes(String(text), '"big":9007199254740993');
  assertEquals(JSON.parse(String(text)), {
    id: TASK_ID,
    user_id: TASK_ID,
    provider: "claude",
    target_type: "pr",
    target_ref: "octo/app#12",
    instruction: "Fix é",
    attempt: 2,
    idempotency_key: `${TASK_ID}:2`,
    answers: CONTEXT.answers,
    results: [],
    trace: { big: 9_007_199_254_740_992, note: "é" },
  });
});

Deno.test("command gives the instruction on stdin, or nothing", async () => {
  const task = { instruction: "Fix é" };
  const command = ["cat"];
  assertEquals(
    await resultOf({ command, stdin: "instruction" }, { task }),
    "Fix é",
  );
  assertEquals(
    await resultOf({ command, stdin: "none" }, { task }),
    undefined,
  );
});

Deno.test("command minds no program that closes its stdin", async () => {
  const task = { instruction: "x".repeat(1_000_000) };
  for (const shell of ["exec <&-; sleep 0.1; echo ok", "echo ok"]) {
    assertEquals(
      await resultOf({ shell, stdin: "instruction" }, { task }),
      "ok",
    );
  }
});

Deno.test("command passes a few variables, those allowed, and those of the task", async () => {
  const text = await resultOf({
    command: ["env"],
    env: ["ALLOWED", "NOT_SET?"],
    setEnv: { SET: "a=b\nc", HOME: "/other" },
  }, {
    task: TASK,
    context: CONTEXT,
    variables: {
      PATH: "/usr/bin:/bin",
      HOME: "/root",
      LANG: "C",
      ALLOWED: "yes",
      AWS_SECRET_ACCESS_KEY: "no",
      HANDSFREE_DB_PATH: "no",
    },
    baseFolder: "/tmp",
  });
  const lines = String(text).split("\n").filter((line) =>
    !/^(AGENT_RUNNER_RUN|PWD|SHLVL|_)=/.test(line)
  );
  assertEquals(lines.sort(), [
    "AGENT_RUNNER_CONFIG_DIR=/tmp",
    "AGENT_TASK_ANSWER=main",
    'AGENT_TASK_ANSWERS=[{"question":"Which?","answer":"main","answered_at":"then"}]',
    "AGENT_TASK_ATTEMPT=2",
    `AGENT_TASK_ID=${TASK_ID}`,
    `AGENT_TASK_IDEMPOTENCY_KEY=${TASK_ID}:2`,
    "AGENT_TASK_INSTRUCTION=Fix é",
    "AGENT_TASK_PROVIDER=claude",
    "AGENT_TASK_TARGET=octo/app#12",
    "ALLOWED=yes",
    "HOME=/other",
    "LANG=C",
    "PATH=/usr/bin:/bin",
    "SET=a=b",
    "c",
  ]);
});

Deno.test("command gives an instruction of 10 MB on stdin, and says what it left out", async () => {
  await using run = new CommandRun({
    shell: 'echo "[$AGENT_TASK_INSTRUCTION] $AGENT_TASK_OMITTED $(wc -c)"',
    stdin: "instruction",
  }, { task: { instruction: "é".repeat(5_000_000) } });
  assertEquals(await run.outcome, {
    kind: "completed",
    result: "[] AGENT_TASK_INSTRUCTION 10000000",
  });
  assertEquals(
    run.lines[0],
    "The variable AGENT_TASK_INSTRUCTION was left out: it has 10,000,000 " +
      "bytes, more than 100,000",
  );
});

const NO_ARGUMENTS: [instruction: string, problem: string][] = [
  ["x".repeat(10_000_000), "has 10,000,000 bytes, more than 100,000"],
  ["a\0b", "has a NUL character"],
];

for (const [instruction, problem] of NO_ARGUMENTS) {
  Deno.test(`command fails a task for good whose instruction ${problem}`, async () => {
    assertEquals(
      await runCommand({ command: ["echo", "{instruction}"] }, {
        task: { instruction },
      }),
      {
        kind: "failed",
        error: `Cannot run echo: the argument {instruction} ${problem}. ` +
          "Let the program read the task from its stdin.",
        retryable: false,
      },
    );
  });
}

Deno.test("command leaves a variable out that has a NUL", async () => {
  const task = { instruction: "a\0b" };
  const shell = 'echo "[$AGENT_TASK_INSTRUCTION] $AGENT_TASK_OMITTED"';
  assertEquals(
    await resultOf({ shell }, { task }),
    "[] AGENT_TASK_INSTRUCTION",
  );
});

Deno.test("command says what keeps a program from being started", async () => {
  using folder = tempFolder();
  Deno.writeTextFileSync(`${folder.path}/plain`, "text");
  Deno.writeTextFileSync(`${folder.path}/lost`, "#!/no/such/interpreter\n", {
    mode: 0o755,
  });
  const errors: [program: string, error: RegExp][] = [
    [
      "no-such-program",
      /^Cannot run no-such-program: there is no such program on PATH/,
    ],
    ["./no-such-program", /no such program/],
    ["./lost", /no such interpreter as its first line says/],
    ["./plain", /plain: it is not executable. Run: chmod \+x \//],
  ];
  for (const [program, error] of errors) {
    const outcome = await runCommand({ command: [program] }, {
      baseFolder: folder.path,
    });
    assert(outcome.kind === "failed" && outcome.isUnbegun);
    assertMatch(outcome.error, error);
  }
});

Deno.test("command says which arguments are too long together", async () => {
  const command = ["true", ...Array(30).fill("{instruction}")];
  assertMatch(
    await errorOf({ command }, { task: { instruction: "x".repeat(99_000) } }),
    /its arguments and variables are too long together/,
  );
});

Deno.test("command finds programs and folders from the configuration's folder", async () => {
  using folder = tempFolder();
  Deno.mkdirSync(`${folder.path}/repo`);
  Deno.writeTextFileSync(`${folder.path}/agent.sh`, "#!/bin/sh\npwd -P\n", {
    mode: 0o755,
  });
  const repo = Deno.realPathSync(`${folder.path}/repo`);
  for (const program of ["./agent.sh", "{configDir}/agent.sh"]) {
    assertEquals(
      await resultOf({ command: [program], cwd: "repo" }, {
        baseFolder: folder.path,
      }),
      repo,
    );
  }
});

Deno.test("command fails a task whose folder can't be had", async () => {
  using folder = tempFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "");
  const parts = { baseFolder: folder.path };
  const command = ["true"];
  const run = (config: object) =>
    runCommand({ command, ...config }, parts).catch((error) => error.message);
  assertEquals(
    await run({ cwd: "gone" }),
    `Cannot run in ${folder.path}/gone: it does not exist. Make it, or give ` +
      "another.",
  );
  assertEquals(
    await run({ cwd: "file" }),
    `Cannot run in ${folder.path}/file: it is no folder.`,
  );
  assertMatch(await run({ workspace: "file" }), /^Cannot make a folder/);
});

const KEPT: [keep: string | undefined, code: number, isKept: boolean][] = [
  [undefined, 0, false],
  ["never", 1, false],
  ["failed", 0, false],
  ["failed", 1, true],
  ["always", 0, true],
];

for (const [keepWorkspace, code, isKept] of KEPT) {
  Deno.test(`command ${isKept ? "keeps" : "removes"} a folder after exit code ${code} with keepWorkspace ${keepWorkspace}`, async () => {
    using folder = tempFolder();
    const workspace = "deep/folders";
    for (const place of [{ workspace }, {}]) {
      await using run = new CommandRun({
        shell: `echo x > left; pwd -P; exit ${code}`,
        ...place,
        ...(keepWorkspace ? { keepWorkspace } : {}),
      }, { baseFolder: folder.path });
      await run.outcome;
      const path = run.lines[0] ?? "";
      assertEquals(
        path.endsWith(`/deep/folders/${TASK_ID}`),
        "workspace" in place,
      );
      const exists = await Deno.stat(path).then(() => true, () => false);
      assertEquals(exists, isKept, path);
      const isSaid = (await run.log()).includes(`its folder was kept: `);
      assertEquals(isSaid, isKept && !("workspace" in place));
      if (isKept) await Deno.remove(path, { recursive: true });
    }
  });
}

Deno.test("command finds the folder of a task again that met a limit", async () => {
  using folder = tempFolder();
  const limit = '{"agent_runner":"limit"}';
  const outcome = await runCommand({
    shell: `echo first > notes; echo '${limit}'`,
    workspace: "work",
  }, { baseFolder: folder.path });
  assertEquals(outcome.kind, "limited");
  assertEquals(
    await Deno.readTextFile(`${folder.path}/work/${TASK_ID}/notes`),
    "first\n",
  );
});

Deno.test("command finds the folder of a task again that asked, or was stopped", async () => {
  using folder = tempFolder();
  const parts = { baseFolder: folder.path };
  const workspace = "work";
  const ask = '{"agent_runner":"question","question":"Which?"}';
  const asked = await runCommand({
    shell: `echo first > notes; echo '${ask}'`,
    workspace,
  }, parts);
  assertEquals(asked.kind, "needs_input");
  for (const reason of ["shutdown", "lease lost"]) {
    await using run = new CommandRun({
      shell: "echo more >> notes; echo ready; sleep 20",
      workspace,
    }, parts);
    await run.printed("ready");
    run.stop.abort(reason);
    assertEquals((await run.outcome).kind, "failed");
  }
  assertEquals(
    await resultOf({ shell: "cat notes", workspace }, parts),
    "first\nmore\nmore",
  );
  assertEquals([...Deno.readDirSync(`${folder.path}/work`)], []);
});

const SECRET = 's3cret-Value"+1';
const PEM =
  "-----BEGIN KEY-----\r\nabcdefgh12345678\nijklmnop\n-----END KEY-----\n";

Deno.test("command tells the lines of stdout from those of stderr", async () => {
  await using run = new CommandRun({ shell: "echo one; echo two >&2" });
  await run.outcome;
  const said = run.lines.map((line, index) => [line, run.kinds[index]]).sort();
  assertEquals(said, [["one", "stdout"], ["two", "stderr"]]);
});

Deno.test("command shows no secret, in whatever way it is printed", async () => {
  await using run = new CommandRun({
    shell: [
      // Split across writes.
      't=$TOKEN; while [ -n "$t" ]; do rest=${t#?}; printf %s "${t%"$rest"}"; t=$rest; sleep 0.005; done; echo',
      'echo "to stderr $TOKEN" >&2',
      'echo "$KEY"',
      'printf \'%s\\n\' "$KEY" | while read -r line; do echo "> $line"; done',
      String
        .raw`printf '{"agent_runner":"progress","message":"with %s"}\n' "$(printf %s "$TOKEN" | sed 's/"/\\"/')"`,
      String
        .raw`printf '{"agent_runner":"result","value":{"a %s":["%s"]}}\n' "$(printf %s "$TOKEN" | sed 's/"/\\"/')" "$(printf %s "$TOKEN" | sed 's/"/\\"/')"`,
    ].join("\n"),
    secrets: ["TOKEN?", "KEY", "UNSET?"],
  }, { variables: { TOKEN: SECRET, KEY: PEM } });
  const outcome = await run.outcome;
  assert(outcome.kind === "completed");
  assertEquals(outcome.result, { "a ***": ["***"] });
  assertEquals(run.notes, [["with ***", undefined]]);
  const all = [...run.lines, JSON.stringify(outcome), await run.log()].join();
  for (const part of ["s3cret", "Value", "abcdefgh", "ijklmnop", "BEGIN KEY"]) {
    assertEquals(all.includes(part), false, `${part} in ${all}`);
  }
  assertStringIncludes(all, "to stderr ***");
  assertStringIncludes(all, "> ***");
});

Deno.test("command understands messages that have the words of a secret", async () => {
  const said = [
    '{"agent_runner": "progress", "message": "runner 0.7401", "fraction": 0.7401}',
    '{"agent_runner": "progress", "message": "half", "fraction": 0.5}',
    '{"agent_runner": "result", "value": {"runner": ["\\u0072unner", 7401]}}',
    '{"agent_runner": "question", "question": "Which runner?"}',
  ].join("\n");
  await using run = new CommandRun({
    shell: 'echo a runner; cat; printf "run"; sleep 0.05; echo ner',
    stdin: "instruction",
    secrets: ["A", "B", "C"],
  }, {
    task: { instruction: `${said}\n` },
    variables: { A: "runner", B: "7401", C: "question" },
  });
  assertEquals(await run.outcome, {
    kind: "needs_input",
    question: "Which ***?",
    printed: { stdout: "a ***\n***" },
  });
  assertEquals(run.notes, [["*** 0.***", undefined], ["half", 0.5]]);
  assertEquals(run.lines, [
    "a ***",
    '{"agent_***":"progress","message":"*** 0.***","fraction":"0.***"}',
    '{"agent_***":"progress","message":"half","fraction":0.5}',
    '{"agent_***":"result","value":{"***":["***","***"]}}',
    '{"agent_***":"***","***":"Which ***?"}',
    "***",
  ]);
});

Deno.test("command shows no secret in a question or an error", async () => {
  const parts = { variables: { TOKEN: SECRET } };
  const secrets = ["TOKEN"];
  assertEquals(
    await errorOf({ shell: 'echo "bad $TOKEN" >&2; exit 1', secrets }, parts),
    "Exit code 1: bad ***",
  );
  assertEquals(
    await runCommand({
      shell: 'echo "Is $TOKEN right?"; exit 9',
      secrets,
      exitCodes: { needsInput: [9] },
    }, parts),
    {
      kind: "needs_input",
      question: "Is *** right?",
      printed: { stdout: "Is *** right?" },
    },
  );
});

Deno.test("command keeps a secret of setEnv", async () => {
  assertEquals(
    await resultOf({
      shell: 'echo "$TOKEN"',
      setEnv: { TOKEN: "hidden value" },
      secrets: ["TOKEN"],
    }),
    "***",
  );
});

Deno.test("command runs nothing without a variable that it must have", async () => {
  assertEquals(await runCommand({ shell: "echo", env: ["REPO"] }), {
    kind: "failed",
    error:
      'The variable REPO is not set. Set it, or call it "REPO?" where it ' +
      "may be missing.",
    retryable: false,
  });
});

Deno.test("command runs nothing with a secret that is too short to be found", async () => {
  assertEquals(
    await runCommand({ shell: "echo $PIN", secrets: ["PIN"] }, {
      variables: { PIN: "123" },
    }),
    {
      kind: "failed",
      error: "The secret PIN has less than 4 characters: it can't be told " +
        "from other text.",
      retryable: false,
    },
  );
});

Deno.test("command keeps head and tail of a flood, in bounded memory", async () => {
  const before = Deno.memoryUsage().rss;
  let peak = 0;
  const watching = setInterval(() => {
    peak = Math.max(peak, Deno.memoryUsage().rss);
  }, 20);
  const limit = 10_000;
  const lines = String(
    await resultOf({
      shell:
        "echo first; yes 0123456789abcdef | head -c 300000000; echo; echo last",
      outputLimit: limit,
    }, { context: { output: () => {} } }),
  ).split("\n");
  clearInterval(watching);
  assertEquals(lines[0], "first");
  assertEquals(lines.at(-1), "last");
  assert(
    lines.includes("… (cut: 299,990,012 characters left out) …"),
    lines.find((line) => line.includes("cut")),
  );
  assert(peak - before < 200e6, `${(peak - before) / 1e6} MB more`);
});

Deno.test("command takes a line without end in bounded memory", async () => {
  const before = Deno.memoryUsage().rss;
  let longest = 0;
  let length = 0;
  const outcome = await runCommand({
    shell: "head -c 400000000 /dev/zero | tr '\\0' x; echo; echo last",
  }, {
    context: {
      output: (line) => {
        length += line.length;
        longest = Math.max(longest, line.length);
      },
    },
  });
  assert(outcome.kind === "completed");
  assertMatch(
    String(outcome.result),
    /^x{32768}\n… \(cut: 399,934,4\d\d characters left out\) …\nx+\nlast$/,
  );
  assertEquals(length, 400_000_004);
  assert(longest < 2_000_000, `a line of ${longest}`);
  const more = Deno.memoryUsage().rss - before;
  assert(more < 200e6, `${more / 1e6} MB more`);
});

Deno.test("command replaces what is no UTF-8, and keeps what comes in halves", async () => {
  assertEquals(
    await resultOf({
      shell: "printf 'a\\377b \\303'; sleep 0.1; printf '\\251 \\342\\202\\n'",
    }),
    "a\ufffdb é \ufffd",
  );
});

Deno.test("command keeps as much of what a failed program printed as of a result", async () => {
  const flood = "yes | head -n 100000";
  const { printed } = await runCommand({
    shell:
      `echo first; ${flood}; (echo first; ${flood}; echo last) >&2; exit 1`,
    outputLimit: 10_000,
  });
  for (const text of [printed?.stdout, printed?.stderr]) {
    assertMatch(text ?? "", /^first\ny\n[^]*characters left out[^]*y/);
    assert(text && text.length > 9_900 && text.length < 10_100);
  }
  assertMatch(printed?.stderr ?? "", /last$/);
});

Deno.test("command quotes only so much of stderr in an error", async () => {
  const error = await errorOf({
    shell: "echo first >&2; yes | head -n 100000 >&2; echo last >&2; exit 1",
  });
  assertMatch(
    error,
    /^Exit code 1: first\ny\n[^]*characters left out[^]*last$/,
  );
  assert(error.length < 5_000);
});

Deno.test("describe() shows the program with the task's texts", () => {
  const task = taskWith({ instruction: "Fix it\n\x1b[2J", targetRef: "o/r#1" });
  const parts = {
    baseFolder: "/etc/x",
    clock: systemClock,
    log: createLog(),
  };
  const shown = (config: object) =>
    createCommandProcessor(commandConfig.parse(config), parts).describe?.(task);
  assertEquals(shown({ shell: "true" }), "runs /bin/sh -c true");
  assertEquals(
    shown({
      command: [
        "claude",
        "-p",
        "{instruction}",
        "--in={configDir}",
        "{target}",
      ],
    }),
    'runs claude -p "Fix it\\n\\u001b[2J" --in=/etc/x "o/r#1"',
  );
});

Deno.test("run works through tasks with the commands of the configuration file", async () => {
  using folder = new Folder();
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        agent: {
          processor: "command",
          command: ["{configDir}/agent.sh", "{instruction}"],
          secrets: ["API_KEY"],
        },
        gone: {
          processor: "command",
          command: ["sh", "-c", "echo no; exit 3"],
        },
        updated: { processor: "command", command: ["./updated"] },
      },
    }),
  );
  folder.write("agent.sh", '#!/bin/sh\necho "Did $1 with $API_KEY"\n');
  Deno.chmodSync(`${folder.path}/agent.sh`, 0o755);
  const env = { ...AT_ONCE, API_KEY: "sk-very-secret" };
  folder.write("updated", '#!/bin/sh\nrm "$0"\n');
  Deno.chmodSync(`${folder.path}/updated`, 0o755);
  const [done, failed, , waiting = ""] = await folder.create([
    { instruction: "this; id", provider: "agent" },
    { instruction: "that", provider: "gone" },
    { provider: "updated" },
    { provider: "updated" },
  ]);
  const args = ["run", "--once", "--concurrency", "1"];
  const { code, stderr } = await folder.run(args, { env });
  assertEquals(code, 1);
  assertMatch(stderr, new RegExp(`Task ${done} completed`));
  assertMatch(stderr, new RegExp(`Task ${failed} failed: Exit code 3: no`));
  // Its program is gone while it is updated, say: that costs no attempt.
  const text = await folder.ok(["show", waiting, "--json"]);
  const { shown_state, attempt } = JSON.parse(text);
  assertEquals([shown_state, attempt], ["retrying", 0]);
  assertMatch(
    text,
    /Cannot run .*updated: there is no such/,
  );
  assertStringIncludes(
    await folder.ok(["show", done ?? ""]),
    "Did this; id with ***",
  );
});
