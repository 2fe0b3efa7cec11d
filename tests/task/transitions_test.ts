import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertThrows,
} from "@std/assert";
import type {
  AgentTask,
  ClaimedTask,
  JsonObject,
  JsonValue,
  Lease,
  NoLease,
  Transition,
} from "../../lib/task/task.ts";
import {
  amend,
  answer,
  answeredElsewhere,
  apply,
  approve,
  askInput,
  begin,
  cancel,
  complete,
  expire,
  fail,
  type Held,
  isAnsweredElsewhere,
  noteProgress,
  questionOf,
  release,
  retryLater,
  type TaskRow,
  traceTime,
} from "../../lib/task/transitions.ts";
import { parseTrace } from "../../lib/task/trace.ts";
import { sampleTask } from "../support/sample_task.ts";

const AT = new Date("2026-11-22T14:29:55.730Z");
const AT_TEXT = "2026-11-22T14:29:55.730+00:00";
const LATER = new Date("2026-11-22T14:30:00Z");
const LATER_TEXT = "2026-11-22T14:30:00.000+00:00";
/** From one to the other. */
const DELAY_MS = 4_270;
const TRACE = '{"a": 1}';
const LEASE: Lease = { taskId: "t1", id: "l1", owner: "r1", attempt: 2 };
const NO_LEASE: NoLease = { taskId: "t1", id: null, owner: null, attempt: 2 };

function claimed(task: Partial<AgentTask> = {}): ClaimedTask {
  const known = { id: "t1", attempt: 2, traceText: TRACE };
  return { task: sampleTask({ ...known, ...task }), lease: LEASE };
}

/** The row of a running task. */
function row(more: Partial<TaskRow> = {}): TaskRow {
  return {
    state: "running",
    leaseId: "l1",
    traceText: TRACE,
    attempt: 2,
    questions: 0,
    runAt: null,
    ...more,
  };
}

const COMPLETED = {
  completed_at: AT_TEXT,
  completed_by: "runner_loop",
  result: "success",
};
const FAILED = { failed_at: AT_TEXT, failed_by: "runner_loop" };
const STARTED = {
  auto_started_at: AT_TEXT,
  auto_started_by: "runner_loop",
  progress: "Task started",
};

/** What a transition says, and what it adds to a trace at that time. */
interface Made extends Partial<Omit<Transition, "patch">> {
  readonly patch: JsonObject;
}

/** The row after a transition whose fence holds. */
function after(made: Transition, traceText: string | null = TRACE): TaskRow {
  const { from, lease } = made;
  const before = row({ state: from, leaseId: lease.id, traceText });
  const next = apply(before, made, AT);
  assert(next);
  return next;
}

/** What it adds to a trace, or changes there. */
function patchOf(made: Transition, traceText: string | null = TRACE) {
  const before = parseTrace(traceText) ?? {};
  return Object.fromEntries(
    Object.entries(parseTrace(after(made, traceText).traceText) ?? {})
      .filter(([key, value]) => before[key] !== value),
  );
}

const MADE: readonly (readonly [
  name: string,
  made: Transition,
  expected: Made,
])[] = [
  [
    "begin() spends an attempt and keeps the lease",
    begin(claimed({ state: "created" })),
    {
      from: "created",
      to: "running",
      event: "started",
      attempts: 1,
      keepsLease: true,
      patch: STARTED,
    },
  ],
  [
    "begin() takes what is running, for another attempt",
    begin(claimed()),
    {
      to: "running",
      event: "started",
      attempts: 1,
      keepsLease: true,
      patch: STARTED,
    },
  ],
  ["complete() writes HandsFree's keys", complete(claimed()), {
    to: "completed",
    event: "completed",
    patch: COMPLETED,
  }],
  [
    "complete() keeps the message and the result apart from HandsFree's keys",
    complete(claimed(), { message: "PR opened", result: { pr: 5 } }),
    {
      to: "completed",
      event: "completed",
      detail: "PR opened",
      patch: { ...COMPLETED, progress: "PR opened", output: { pr: 5 } },
    },
  ],
  [
    "complete() keeps a result that is null",
    complete(claimed(), { result: null }),
    {
      to: "completed",
      event: "completed",
      patch: { ...COMPLETED, output: null },
    },
  ],
  [
    "complete() ends a run that was only held when it was claimed",
    complete(claimed({ state: "created" })),
    { to: "completed", event: "completed", patch: COMPLETED },
  ],
  ["fail() writes HandsFree's keys", fail(claimed(), "broken"), {
    to: "failed",
    event: "failed",
    detail: "broken",
    patch: { ...FAILED, error: "broken" },
  }],
  [
    "noteProgress() keeps the lease, and the time of the note",
    noteProgress(claimed(), { message: "half", at: LATER }),
    {
      to: "running",
      event: "progress",
      detail: "half",
      keepsLease: true,
      patch: { last_progress_at: LATER_TEXT, progress: "half" },
    },
  ],
  [
    "noteProgress() keeps how much is done",
    noteProgress(claimed(), { message: "half", fraction: 0.5, at: LATER }),
    {
      to: "running",
      event: "progress",
      detail: "50%: half",
      keepsLease: true,
      patch: {
        last_progress_at: LATER_TEXT,
        progress: "half",
        progress_fraction: 0.5,
      },
    },
  ],
  [
    "askInput() gives the lease up, and counts as a question",
    askInput(claimed(), "Which?"),
    {
      to: "needs_input",
      event: "needs_input",
      detail: "Which?",
      isQuestion: true,
      patch: { question: "Which?", question_asked_at: AT_TEXT },
    },
  ],
  [
    "askInput() keeps what the work came to, where that is to be approved",
    askInput(claimed(), "Merge it?", {
      approval: { of: "merge", head: "abc" },
      result: "done",
    }),
    {
      to: "needs_input",
      event: "needs_input",
      detail: "Merge it?",
      isQuestion: true,
      patch: {
        question: "Merge it?",
        question_asked_at: AT_TEXT,
        asks_approval: { of: "merge", head: "abc" },
        output: "done",
      },
    },
  ],
  [
    "askInput() says until when it waits",
    askInput(claimed(), "Which?", { answerWithinMs: DELAY_MS }),
    {
      to: "needs_input",
      event: "needs_input",
      detail: "Which?",
      isQuestion: true,
      delayMs: DELAY_MS,
      patch: {
        question: "Which?",
        question_asked_at: AT_TEXT,
        answer_by: LATER_TEXT,
      },
    },
  ],
  [
    "retryLater() stays running until its time",
    retryLater(claimed(), { error: "busy", delayMs: DELAY_MS }),
    {
      to: "running",
      event: "retry_scheduled",
      detail: "busy",
      delayMs: DELAY_MS,
      patch: {
        last_error: "busy",
        last_failed_at: AT_TEXT,
        retry_at: LATER_TEXT,
      },
    },
  ],
  ["release() gives the attempt back", release(claimed(), "stopped"), {
    to: "running",
    event: "released",
    detail: "stopped",
    attempts: -1,
    patch: {},
  }],
  [
    "cancel() expects the state and no lease where nobody works",
    cancel({ task: claimed({ state: "created" }).task, lease: NO_LEASE }),
    {
      lease: NO_LEASE,
      from: "created",
      to: "failed",
      event: "cancelled",
      patch: {
        ...FAILED,
        error: "Cancelled",
        cancelled_at: AT_TEXT,
        result: "cancelled",
      },
    },
  ],
  [
    "answeredElsewhere() stays running, and takes back until when it was waited for",
    answeredElsewhere({ task: claimed().task, lease: NO_LEASE }),
    {
      lease: NO_LEASE,
      to: "running",
      event: "answered",
      patch: { answer_by: null },
    },
  ],
];

for (const [name, made, expected] of MADE) {
  Deno.test(name, () => {
    const { patch, ...rest } = expected;
    assertObjectMatch({ ...made }, {
      lease: LEASE,
      from: "running",
      detail: null,
      keepsLease: false,
      attempts: 0,
      isQuestion: false,
      delayMs: null,
      ...rest,
    });
    assertEquals(patchOf(made), patch);
  });
}

Deno.test("begin() keeps the first start's time", () => {
  const before = JSON.stringify({ ...STARTED, auto_started_at: "then" });
  assertEquals(after(begin(claimed()), before).traceText, before);
  for (const text of ['{"text": "auto_started_at"}', null]) {
    assertEquals(patchOf(begin(claimed()), text), STARTED);
  }
});

Deno.test("begin() refuses a task that has ended", () => {
  assertThrows(
    () => begin(claimed({ state: "completed" })),
    TypeError,
    "Cannot take a task from completed to running",
  );
});

Deno.test("apply() makes the row that is to be written", () => {
  const begun = apply(
    row({ state: "created", attempt: 0, runAt: AT }),
    begin(claimed({ state: "created" })),
    AT,
  );
  assert(begun);
  assertEquals(
    { ...begun, traceText: JSON.parse(begun.traceText ?? "") },
    { ...row({ attempt: 1 }), traceText: { a: 1, ...STARTED } },
  );
  const asked = apply(
    begun,
    askInput(claimed(), "Which?", { answerWithinMs: DELAY_MS }),
    AT,
  );
  assert(asked);
  const { state, leaseId, attempt, questions, runAt } = asked;
  assertEquals(
    { state, leaseId, attempt, questions, runAt },
    {
      state: "needs_input",
      leaseId: null,
      attempt: 1,
      questions: 1,
      runAt: LATER,
    },
  );
});

Deno.test("apply() gives an attempt back, and leaves a trace alone to which nothing is added", () => {
  const text = '{ "a" : NaN }';
  const released = apply(
    row({ traceText: text }),
    release(claimed(), "stopped"),
    AT,
  );
  assertEquals(released, row({ traceText: text, attempt: 1, leaseId: null }));
});

Deno.test("apply() keeps what else a row has, and merges into the trace that is there now", () => {
  const more = { ...row({ traceText: '{"theirs": 1.0}' }), provider: "http" };
  const after = apply(more, complete(claimed()), AT);
  assertEquals(after?.provider, "http");
  assertEquals(
    after?.traceText,
    `{"theirs": 1.0, ${JSON.stringify(COMPLETED).slice(1)}`,
  );
});

const REFUSED: readonly Partial<TaskRow>[] = [
  { leaseId: "l2" },
  { leaseId: null },
  { state: "created" },
  { state: "completed" },
  { state: "paused" },
];

for (const more of REFUSED) {
  Deno.test(`apply() writes nothing into a row with ${JSON.stringify(more)}`, () => {
    assertEquals(apply(row(more), complete(claimed()), AT), undefined);
  });
}

Deno.test("apply() takes no lease for one that it expects", () => {
  const held = { task: claimed().task, lease: NO_LEASE };
  assertEquals(apply(row(), cancel(held), AT), undefined);
  assertEquals(
    apply(row({ leaseId: null }), cancel(held), AT)?.state,
    "failed",
  );
});

Deno.test("apply() takes the transitions of one run in their order", () => {
  const run = claimed({ state: "created" });
  const created = row({ state: "created", attempt: 0 });
  assertEquals(apply(created, complete(run), AT), undefined);
  const begun = apply(created, begin(run), AT);
  const noted = begun &&
    apply(begun, noteProgress(run, { message: "half", at: AT }), AT);
  const completed = noted && apply(noted, complete(run), AT);
  assertEquals([completed?.state, completed?.attempt], ["completed", 1]);
  assertEquals(completed && apply(completed, begin(run), AT), undefined);
});

const ANSWERED = { answer: "main", answered_at: AT_TEXT };

/** A task that waits for an answer, with this in its trace. */
function asking(trace: JsonObject, runAt: Date | null = null): Held {
  const traceText = JSON.stringify(trace);
  const { task } = claimed({ state: "needs_input", traceText, runAt });
  return { task, lease: NO_LEASE };
}

/** What the answer "main" puts into the trace. */
function answerPatch(trace: JsonObject): JsonObject {
  return patchOf(answer(asking(trace), "main"), JSON.stringify(trace));
}

Deno.test("answer() makes a task claimable again, and keeps the answer", () => {
  assertObjectMatch({ ...answer(asking({ question: "Which?" }), "main") }, {
    lease: NO_LEASE,
    from: "needs_input",
    to: "running",
    event: "answered",
    detail: "main",
    keepsLease: false,
    attempts: 0,
    isQuestion: false,
    delayMs: null,
  });
  assertEquals(answerPatch({ question: "Which?" }), {
    answers: [{ question: "Which?", ...ANSWERED }],
    question: null,
  });
});

const OF_MERGE = { of: "merge", head: "abc" } as const;

Deno.test("askInput() keeps what is to be approved, and forgets what was asked before", () => {
  const asked = askInput(claimed(), "Merge it?", { approval: OF_MERGE });
  assertEquals(asked.approval, OF_MERGE);
  assertEquals(patchOf(asked).asks_approval, OF_MERGE);
  const before = JSON.stringify({ asks_approval: OF_MERGE });
  const question = askInput(claimed(), "Which?");
  assertEquals(question.approval, undefined);
  assertEquals(patchOf(question, before).asks_approval, null);
  assertEquals("asks_approval" in patchOf(question), false);
});

Deno.test("approve() makes a task claimable again, and keeps what was approved", () => {
  const trace = { question: "Q", asks_approval: OF_MERGE, answer_by: "then" };
  const approved = approve(asking(trace, LATER));
  assertObjectMatch({ ...approved }, {
    lease: NO_LEASE,
    from: "needs_input",
    to: "running",
    event: "approved",
    detail: "its changes, abc",
    attempts: 0,
    isQuestion: false,
    delayMs: null,
  });
  assertEquals(patchOf(approved, JSON.stringify(trace)), {
    approved: { ...OF_MERGE, at: AT_TEXT },
    asks_approval: null,
    question: null,
    answer_by: null,
  });
});

Deno.test("approve() of what has not asked yet keeps its state, lease and time", () => {
  for (const state of ["created", "running"] as const) {
    const approved = approve(claimed({ state, runAt: LATER }));
    assertObjectMatch({ ...approved }, {
      from: state,
      to: state,
      detail: "its start",
      keepsLease: true,
      keepsRunAt: true,
    });
    assertEquals(patchOf(approved), { approved: { of: "start", at: AT_TEXT } });
  }
});

Deno.test("approve() refuses what waits for an answer", () => {
  assertThrows(() => approve(asking({ question: "Which?" })), TypeError);
});

Deno.test("answer() to what asks for approval approves nothing", () => {
  const patch = answerPatch({ question: "Q", asks_approval: OF_MERGE });
  assertEquals(patch, {
    answers: [{ question: "Q", ...ANSWERED }],
    question: null,
    asks_approval: null,
  });
});

Deno.test("answer() forgets what the work came to, which goes on", () => {
  const trace = { question: "Q", asks_approval: OF_MERGE, output: "done" };
  assertEquals(answerPatch(trace).output, null);
  assertEquals(
    "output" in answerPatch({ ...trace, asks_approval: null }),
    false,
  );
});

Deno.test("amend() changes nothing but the trace's workspace", () => {
  const workspace = {
    ...{ repo: "r", host: "h", path: "p", branch: "b", base: "m" },
    baseCommit: "c",
  };
  const amended = amend(claimed({ state: "completed" }), {
    kind: "merged",
    detail: "into m",
    workspace: { merged: "d" },
  });
  assertObjectMatch({ ...amended }, {
    from: "completed",
    to: "completed",
    event: "merged",
    detail: "into m",
    keepsLease: true,
    keepsRunAt: true,
  });
  assertEquals(patchOf(amended, JSON.stringify({ workspace })), {
    workspace: { ...workspace, merged: "d" },
  });
  assertEquals(patchOf(amended), {});
});

const ANSWERS_BEFORE: [name: string, before: JsonObject, after: JsonValue[]][] =
  [
    ["an answer", { answers: [{ answer: "1" }] }, [{ answer: "1" }]],
    ["what is no answer", { answers: ["x", 1] }, ["x", 1]],
    ["what is no list", { answers: { theirs: 1 } }, [{ theirs: 1 }]],
  ];

for (const [name, before, after] of ANSWERS_BEFORE) {
  Deno.test(`answer() keeps ${name} that is there already`, () => {
    const { answers } = answerPatch({ question: "Q", ...before });
    assertEquals(answers, [...after, { question: "Q", ...ANSWERED }]);
  });
}

Deno.test("answer() takes a task that another program made wait, without a question", () => {
  const { answers } = answerPatch({});
  assertEquals(answers, [{ question: "", ...ANSWERED }]);
});

Deno.test("answer() takes back until when it was waited for", () => {
  assertEquals(answerPatch({ answer_by: "then" }).answer_by, null);
  assertEquals(answer(asking({}, LATER), "main").delayMs, null);
});

Deno.test("answer() lets go of what was to be approved", () => {
  const asked = { asks_approval: { of: "merge", head: "a" }, output: "done" };
  const { asks_approval, output } = answerPatch(asked);
  assertEquals({ asks_approval, output }, {
    asks_approval: null,
    output: null,
  });
});

Deno.test("answer() begins again, with nothing done", () => {
  assertEquals(answerPatch({ progress_fraction: 0.4 }).progress_fraction, null);
});

Deno.test("questionOf() reads what a task waits with", () => {
  assertEquals(questionOf({ question: "Which?" }), "Which?");
  const others: JsonObject[] = [{}, { question: null }, { question: 5 }];
  for (const trace of [undefined, ...others]) {
    assertEquals(questionOf(trace), undefined);
  }
});

const EXPIRED: [trace: JsonObject, error: string][] = [
  [
    { question: "Which?", question_asked_at: "2026-11-22T13:30:00.000+00:00" },
    "Nobody answered within 1h: Which?",
  ],
  [
    { question: "Which?", question_asked_at: "2026-11-22T14:28:30.000+00:00" },
    "Nobody answered within 1m 30s: Which?",
  ],
  [{ question: "Which?" }, "Nobody answered in time: Which?"],
  [
    { question_asked_at: "2030-01-01T00:00:00.000+00:00" },
    "Nobody answered in time: ",
  ],
];

for (const [trace, error] of EXPIRED) {
  Deno.test(`expire() fails a task: ${error}`, () => {
    const expired = expire(asking(trace, LATER));
    const { from, to, event, detail, delayMs } = expired;
    assertEquals([from, to, event], ["needs_input", "failed", "failed"]);
    assertEquals([detail, delayMs], [error, null]);
    assertEquals(patchOf(expired).error, error);
  });
}

Deno.test("isAnsweredElsewhere() knows the time of a question from that of a retry", () => {
  const by = { answer_by: traceTime(LATER) };
  const [asked, retried] = [by, { answer_by: null }].map((trace) => ({
    ...asking(trace, LATER).task,
    state: "running" as const,
  }));
  assert(asked && retried);
  assertEquals(isAnsweredElsewhere(asked), true);
  assertEquals(isAnsweredElsewhere(retried), false);
  assertEquals(isAnsweredElsewhere({ ...asked, runAt: AT }), false);
  assertEquals(isAnsweredElsewhere({ ...asked, runAt: null }), false);
  assertEquals(
    isAnsweredElsewhere({ ...asked, state: "needs_input" }),
    false,
  );
});

const NOTED: Held = {
  ...claimed(),
  note: { message: "x", fraction: 0.4, at: LATER },
};

const FRACTIONS: [made: Transition, fraction: JsonValue | undefined][] = [
  [complete(NOTED), 1],
  [release(NOTED, "stopped"), null],
  [retryLater(NOTED, { error: "busy", delayMs: DELAY_MS }), null],
  [fail(NOTED, "broken"), 0.4],
  [askInput(NOTED, "Which?"), 0.4],
  [cancel(NOTED), 0.4],
];

for (const [made, fraction] of FRACTIONS) {
  Deno.test(`a task that was 40% done has ${fraction} after ${made.event}`, () => {
    assertEquals(patchOf(made).progress_fraction, fraction);
  });
}

Deno.test("complete() is 100% of what was noted before", () => {
  const done = complete(claimed());
  assertEquals(
    patchOf(done, '{"progress_fraction": 0.4}').progress_fraction,
    1,
  );
  assertEquals(patchOf(done).progress_fraction, undefined);
});

Deno.test("complete() writes the last note, but not over its own keys", () => {
  const done = complete(
    { ...claimed(), note: { message: "half", at: LATER } },
    { message: "done" },
  );
  assertEquals(patchOf(done), {
    ...COMPLETED,
    last_progress_at: LATER_TEXT,
    progress: "done",
  });
});

Deno.test("traceTime() gives each time its own text", () => {
  const times = [AT, LATER, AT, new Date(0), new Date(0)];
  assertEquals(times.map(traceTime), [
    AT_TEXT,
    LATER_TEXT,
    AT_TEXT,
    "1970-01-01T00:00:00.000+00:00",
    "1970-01-01T00:00:00.000+00:00",
  ]);
});
