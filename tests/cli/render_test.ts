import { unicodeWidth } from "@std/cli/unicode-width";
import { bold, dim, green, red, stripAnsiCode, yellow } from "@std/fmt/colors";
import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { renderTable } from "../../lib/cli/list.ts";
import { ageOf, type Screen } from "../../lib/cli/render.ts";
import { renderTask } from "../../lib/cli/show.ts";
import type { AgentTask, TaskEvent, TaskState } from "../../lib/task/task.ts";
import { sampleTask } from "../support/sample_task.ts";

const NOW = new Date("2026-01-19T18:30:00Z");
const PLAIN: Screen = { width: undefined, hasColor: false };

function ago(seconds: number): Date {
  return new Date(NOW.getTime() - seconds * 1_000);
}

function taskWith(given: Partial<AgentTask> = {}): AgentTask {
  return sampleTask({
    targetType: "issue",
    targetRef: "octo/app#12",
    instruction: "Fix it",
    state: "completed",
    createdAt: ago(120),
    updatedAt: ago(60),
    ...given,
  });
}

function eventWith(given: Partial<TaskEvent> = {}): TaskEvent {
  return {
    id: 1,
    taskId: taskWith().id,
    kind: "created",
    occurredAt: ago(120),
    attempt: 0,
    runner: null,
    detail: null,
    ...given,
  };
}

/** Runs `use` in a place that is 5:30 ahead of UTC. */
function inKolkata<T>(use: () => T): T {
  const before = Deno.env.get("TZ");
  Deno.env.set("TZ", "Asia/Kolkata");
  try {
    return use();
  } finally {
    if (before === undefined) Deno.env.delete("TZ");
    else Deno.env.set("TZ", before);
  }
}

function table(tasks: Partial<AgentTask>[], screen: Partial<Screen> = {}) {
  const text = renderTable(tasks.map(taskWith), NOW, { ...PLAIN, ...screen });
  assert(text.endsWith("\n"));
  return text.slice(0, -1).split("\n");
}

function show(
  task: Partial<AgentTask>,
  events: TaskEvent[] = [],
  screen: Screen = PLAIN,
): string {
  return inKolkata(() =>
    renderTask(taskWith(task), events, { now: NOW, screen })
  );
}

/** The lines under a heading of `show`. */
function sectionOf(text: string, heading: string): string[] {
  const [, rest = ""] = text.split(`\n${heading}\n`);
  return (rest.split("\n\n")[0] ?? "").trimEnd().split("\n");
}

Deno.test("renderTable() lines columns up", () => {
  assertEquals(
    table([
      { id: "11111111-x", instruction: "Short" },
      { id: "22222222-x", state: "needs_input", attempt: 12, targetRef: null },
    ]),
    [
      "ID        STATE            PROVIDER  AGE  ATTEMPT  TARGET       INSTRUCTION",
      "11111111  completed        simulate  2m   1        octo/app#12  Short",
      "22222222  waiting for you  simulate  2m   12                    Fix it",
    ],
  );
});

Deno.test("renderTable() shows the first line of an instruction", () => {
  const instruction = "\n  Fix it\n```diff\n- a\n+ b\n```\n";
  const [, row] = table([{ instruction }]);
  assertMatch(row ?? "", /octo\/app#12 +Fix it$/);
});

Deno.test("renderTable() marks what completed with a warning", () => {
  const traceText = JSON.stringify({ warning: "Not permitted: Write a" });
  const [, ...rows] = table([
    { state: "completed", traceText },
    { state: "failed", traceText },
    { state: "completed", traceText: '{"warning": 5}' },
  ]);
  assertEquals(
    rows.map((row) => /completed \(warning\)/.test(row)),
    [true, false, false],
  );
});

Deno.test("renderTable() and renderTask() say how far a task is while it runs, no longer", () => {
  const task = { traceText: '{"progress_fraction": 0.404}' };
  const running = { ...task, state: "running", leaseOwner: "r" } as const;
  assertStringIncludes(table([running])[1] ?? "", "  running 40%  simulate");
  assertStringIncludes(
    table([running], { hasColor: true })[1] ?? "",
    bold("running 40%"),
  );
  assertMatch(show(running), /^ {2}State +running 40%$/m);
  for (const state of ["completed", "failed", "needs_input"] as const) {
    assertFalse(table([{ ...task, state }])[1]?.includes("%"));
  }
});

Deno.test("renderTask() shows a task's question, how to answer it and until when", () => {
  const task = {
    state: "needs_input",
    traceText: JSON.stringify({ question: `Which?${HOSTILE}\nmain or next` }),
    runAt: ago(-3_600),
  } as const;
  const text = show(task);
  assertHarmless(text);
  assertMatch(text, /^ {2}Question +Which\?.*\n {4}main or next$/m);
  assertMatch(text, /^ {2}Answer by +2026-01-20 01:00:00 \(in 1h\)$/m);
  assertMatch(
    text,
    /^ {2}Answer with +agent-runner answer 550e8400 "…"$/m,
  );
  assertFalse(text.includes("Not before"));
  assertFalse(show({ ...task, state: "running" }).includes("Answer with"));
  assertFalse(show({ ...task, runAt: null }).includes("Answer by"));
});

Deno.test("renderTask() shows what a task used, what was not permitted, and why it waits", () => {
  const usage = { input: 1_000, cached: 4_000, output: 50, costUsd: 1.234 };
  const trace = { usage, warning: `Not permitted: Write${HOSTILE}` };
  const text = inKolkata(() =>
    renderTask(
      taskWith({ state: "running", traceText: JSON.stringify(trace) }),
      [],
      {
        now: NOW,
        screen: PLAIN,
        waits: `claude: limit until 01:00: ${HOSTILE}`,
      },
    )
  );
  assertHarmless(text);
  assertMatch(text, /^ {2}Waits +claude: limit until 01:00: /m);
  assertMatch(text, /^ {2}Warning +Not permitted: Write/m);
  assertMatch(
    text,
    /^ {2}Used +\$1\.23, 5,000 tokens read \(4,000 of a cache\), 50 written$/m,
  );
});

Deno.test("renderTask() shows a state that nobody knows, harmless", () => {
  const state = `paused${HOSTILE}` as TaskState;
  assertHarmless(show({ state }));
  assertStringIncludes(
    table([{ state }], { hasColor: true })[1] ?? "",
    "paused",
  );
});

Deno.test("renderTable() lines columns up beside wide characters", () => {
  const lines = table([{ provider: "漢字" }, { provider: "ab" }]);
  const columns = lines.slice(1).map((line) =>
    unicodeWidth(line.slice(0, line.indexOf("2m")))
  );
  assertEquals(columns, [31, 31]);
});

const LONG = {
  ascii: "word ".repeat(50),
  wide: "漢字".repeat(50),
  emoji: "😀".repeat(50),
  combining: "e\u0301".repeat(200),
};

for (const [name, instruction] of Object.entries(LONG)) {
  for (const width of [1, 20, 79, 80]) {
    Deno.test(`renderTable() fits ${name} text into ${width} columns`, () => {
      const lines = table([{ instruction }], { width });
      for (const line of lines) {
        assert(unicodeWidth(line) <= width, line);
        if (line !== lines[0]) assert(line.endsWith("…"), line);
      }
    });
  }
}

Deno.test("renderTable() uses the width that there is", () => {
  const [, row = ""] = table([{ instruction: "x".repeat(200) }], { width: 80 });
  assertEquals(row.length, 80);
});

Deno.test("renderTable() cuts nothing that fits", () => {
  const [, full = ""] = table([{}]);
  assertEquals(table([{}], { width: full.length })[1], full);
});

Deno.test("renderTable() colours the state and nothing else", () => {
  const colors: [TaskState, (text: string) => string][] = [
    ["created", dim],
    ["running", bold],
    ["needs_input", yellow],
    ["completed", green],
    ["failed", red],
  ];
  for (const [state, paint] of colors) {
    const task = { state, instruction: `${state}: why?` };
    const [header, row] = table([task]);
    assertEquals(table([task], { hasColor: true }), [
      header ?? "",
      row?.replace(state, paint(state)) ?? "",
    ]);
  }
});

Deno.test("renderTable() counts no colour as width", () => {
  const task = { instruction: "x".repeat(100) };
  const [, plain] = table([task], { width: 70 });
  const [, painted = ""] = table([task], { width: 70, hasColor: true });
  assertEquals(stripAnsiCode(painted), plain);
});

Deno.test("renderTable() puts a text of many lines on one", () => {
  const [, row = "", ...more] = table([{ targetRef: "a\nb\r\n  c\td" }]);
  assertEquals(more, []);
  assertStringIncludes(row, "a b c d");
});

/** Steers a terminal: clears it, sets its title, rings, hides what follows. */
const HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b8m\x00\x7f\r";

function assertHarmless(text: string): void {
  // deno-lint-ignore no-control-regex -- what must not reach a terminal
  const found = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/.exec(text);
  assertEquals(found, null, JSON.stringify(text));
}

const TEXTS = ["provider", "targetRef", "instruction"] as const;

for (const field of TEXTS) {
  Deno.test(`renderTable() makes a hostile ${field} harmless`, () => {
    const lines = table([{ [field]: `x${HOSTILE}\ny` }]);
    assertEquals(lines.length, 2);
    lines.forEach(assertHarmless);
    assertStringIncludes(lines[1] ?? "", "\\x1b[2J");
  });
}

for (const field of [...TEXTS, "leaseOwner", "traceText"] as const) {
  Deno.test(`renderTask() makes a hostile ${field} harmless`, () => {
    const text = show({ [field]: `x${HOSTILE}y`, leaseExpiresAt: NOW });
    assertHarmless(text);
    assertStringIncludes(text, "\\x1b[2J");
  });

  Deno.test(`renderTask() lets no ${field} forge a fact`, () => {
    const forged = "\n  State      failed\n\nTrace\n  result     success";
    const text = show({ [field]: `x${forged}`, leaseExpiresAt: NOW });
    assertEquals(text.match(/^ {2}State /gm)?.length, 1, text);
    assertEquals(text.match(/^Trace$/gm)?.length, 1, text);
    assertEquals(text.match(/^ {2}result /gm), null, text);
  });
}

Deno.test("renderTask() makes a hostile trace harmless", () => {
  const traceText = JSON.stringify({ [`k${HOSTILE}_at`]: `v${HOSTILE}` });
  assertHarmless(show({ traceText }));
});

Deno.test("renderTask() lets no key of a trace forge a line", () => {
  const key = "x\n  result  success";
  const text = show({
    traceText: JSON.stringify({ [key]: 1, n: "1\n  m  2" }),
  });
  assertEquals(text.match(/^ {2}(result|m) /gm), null, text);
});

Deno.test("renderTask() lets no key of a trace forge a moment", () => {
  const key = "x\n  2026-01-19 18:30:00  completed_at";
  const text = show({
    traceText: JSON.stringify({ [key]: NOW.toISOString() }),
  });
  assertEquals(sectionOf(text, "Timeline").length, 1, text);
});

for (const field of ["runner", "detail"] as const) {
  Deno.test(`renderTask() makes an event's hostile ${field} harmless`, () => {
    const forged = `x${HOSTILE}\n  2026-01-19 18:30:00  completed`;
    const text = show({}, [eventWith({ kind: "started", [field]: forged })]);
    assertHarmless(text);
    const moments = sectionOf(text, "Timeline")
      .filter((line) => /^ {2}\d{4}-/.test(line));
    assertEquals(moments.length, 1, text);
  });
}

const AGES: [seconds: number, age: string][] = [
  [-5, "0s"],
  [0, "0s"],
  [59.9, "59s"],
  [60, "1m"],
  [3_599, "59m"],
  [3_600, "1h"],
  [86_399, "23h"],
  [86_400, "1d"],
  [86_400 * 400, "400d"],
];

for (const [seconds, age] of AGES) {
  Deno.test(`ageOf() gives ${seconds} seconds as ${age}`, () => {
    assertEquals(ageOf(ago(seconds), NOW), age);
  });
}

Deno.test("renderTask() shows everything about a task", () => {
  const text = show(
    {
      state: "running",
      instruction: "First line\nSecond line",
      priority: 5,
      attempt: 2,
      maxAttempts: 4,
      runAt: ago(-90),
      leaseOwner: "r1",
      leaseExpiresAt: ago(-45),
      traceText: '{"progress": "half", "n": 9007199254740993, "empty": ""}',
    },
    [
      eventWith({
        kind: "started",
        runner: "r1",
        attempt: 2,
        occurredAt: ago(60),
      }),
      eventWith({ kind: "progress", detail: "one\ntwo", occurredAt: ago(30) }),
    ],
  );
  assertEquals(
    text,
    `  Task         550e8400-e29b-41d4-a716-446655440000
  State        running
  Provider     simulate
  User         e2895575-a786-551f-ac71-b2530bbc877e
  Target       issue octo/app#12
  Instruction  First line
    Second line
  Priority     5
  Attempt      2 of 4
  Created      2026-01-19 23:58:00 (2m ago)
  Updated      2026-01-19 23:59:00 (1m ago)
  Not before   2026-01-20 00:01:30 (in 1m)
  Lease        r1, until 2026-01-20 00:00:45 (in 45s)

Timeline
  2026-01-19 23:59:00  started, attempt 2 by r1
  2026-01-19 23:59:30  progress: one
    two

Trace
  progress  half
  n         9007199254740993
  empty     ""
`,
  );
});

Deno.test("renderTask() shows what each attempt printed, once", () => {
  const printed = { stdout: "one\ntwo\x1b[2J", stderr: "no key" };
  const trace = JSON.stringify({ error: "no", printed });
  const text = show({ state: "failed", traceText: trace }, [
    eventWith({ kind: "retry_scheduled", printed: { stdout: "first" } }),
    eventWith({ kind: "failed", detail: "no", printed }),
  ]);
  assertStringIncludes(
    text,
    `retry_scheduled
    stdout: first
  2026-01-19 23:58:00  failed: no
    stdout: one
    two\\x1b[2J
    stderr: no key

Trace
  error  no
`,
  );
  assertEquals(text.split("no key").length, 2);
  // The history is pruned before the task.
  assertStringIncludes(
    show({ state: "failed", traceText: trace }),
    "no key",
  );
});

Deno.test("renderTask() leaves out what there is not", () => {
  const text = show({ targetRef: null, targetType: null, instruction: null });
  assertEquals(
    text.match(/Target|Instruction|Priority|Not before|Lease/g),
    null,
  );
  assertEquals(sectionOf(text, "Timeline"), ["  (none)"]);
  assertEquals(sectionOf(text, "Trace"), ["  (none)"]);
});

Deno.test("renderTask() makes the timeline of a run by HandsFree from its trace", () => {
  const traceText = JSON.stringify({
    completed_at: "2026-01-19T18:30:00.730416+00:00",
    auto_started_at: "2026-01-19T18:29:00+00:00",
    auto_started_by: "runner_loop",
    last_progress_at: "2026-01-19T18:29:30.5+00:00",
    result: "success",
  });
  for (const events of [[], [eventWith({ occurredAt: ago(120) })]]) {
    const created = "  2026-01-19 23:58:00  created";
    assertEquals(sectionOf(show({ traceText }, events), "Timeline"), [
      ...events.map(() => created),
      "  2026-01-19 23:59:00  auto_started",
      "  2026-01-19 23:59:30  last_progress",
      "  2026-01-20 00:00:00  completed",
    ]);
  }
});

Deno.test("renderTask() takes a time without offset in a trace for UTC", () => {
  const traceText = '{"completed_at": "2026-01-19T18:30:00.730416"}';
  assertEquals(sectionOf(show({ traceText }), "Timeline"), [
    "  2026-01-20 00:00:00  completed",
  ]);
});

for (const value of ["step 3", "5", "", 1_768_847_400_000, null, "n/a"]) {
  Deno.test(`renderTask() takes ${JSON.stringify(value)} in a trace for no time`, () => {
    const traceText = JSON.stringify({ looked_at: value });
    assertEquals(sectionOf(show({ traceText }), "Timeline"), ["  (none)"]);
  });
}

Deno.test("renderTask() does not mix the trace into its own history", () => {
  const traceText = '{"completed_at": "2026-01-19T18:30:00+00:00"}';
  const events = [
    eventWith(),
    eventWith({ kind: "completed", occurredAt: NOW }),
  ];
  assertEquals(sectionOf(show({ traceText }, events), "Timeline"), [
    "  2026-01-19 23:58:00  created",
    "  2026-01-20 00:00:00  completed",
  ]);
});

Deno.test("renderTask() shows a trace that can't be read", () => {
  const text = show({ traceText: '["not",\n"a trace"]' });
  assertEquals(sectionOf(text, "Trace"), ['  ["not",', '    "a trace"]']);
});

Deno.test("renderTask() colours only where there is colour", () => {
  const screen = { ...PLAIN, hasColor: true };
  const plain = show({ state: "failed" });
  const painted = show({ state: "failed" }, [], screen);
  assertHarmless(plain);
  assertEquals(stripAnsiCode(painted), plain);
});

Deno.test("renderTable() does without other columns before the instruction", () => {
  const tasks = [{
    state: "needs_input" as const,
    instruction: "Fix the build",
  }];
  const [header = "", row = ""] = table(tasks, { width: 40 });
  assertEquals(header, "ID        STATE            INSTRUCTION");
  assertStringIncludes(row, "waiting for you  Fix the build");
  const [wider = ""] = table(tasks, { width: 58 });
  assertStringIncludes(wider, "AGE  TARGET ");
  assertFalse(wider.includes("PROVIDER"));
});

Deno.test("renderTask() shows the beginning of a long text, and what prints all of it", () => {
  const lines = Array.from({ length: 200_000 }, (_, n) => `line ${n}`);
  const output = lines.join("\n");
  const text = show({
    instruction: "x".repeat(1_000_000),
    traceText: JSON.stringify({ output, short: "one\ntwo" }),
  });
  assertMatch(text, /line 0\n {4}line 1\n/);
  assertMatch(
    text,
    /… \(cut: agent-runner result [0-9a-f]{8} prints all of it\)/,
  );
  assertMatch(text, /… \(cut: agent-runner show --json prints all of it\)/);
  assertMatch(text, /one\n {4}two\n/);
  assert(text.length < 10_000);
  assert(text.split("\n").length < 100);
});
