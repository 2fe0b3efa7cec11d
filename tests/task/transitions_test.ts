import { assert, assertEquals } from "@std/assert";
import type {
  AgentTask,
  ClaimedTask,
  JsonObject,
  JsonValue,
  Lease,
  Outcome,
  Transition,
} from "../../lib/task/task.ts";
import {
  answer,
  askInput,
  cancel,
  complete,
  expire,
  fail,
  type Held,
  isAnsweredElsewhere,
  noteProgress,
  release,
  retryLater,
  startedPatch,
  traceTime,
} from "../../lib/task/transitions.ts";
import { transitionFor } from "../../lib/task/after_run.ts";

const NOW = new Date("2026-11-22T14:29:55.730Z");
const NOW_TEXT = "2026-11-22T14:29:55.730+00:00";
const LATER = new Date("2026-11-22T14:30:00Z");
const LEASE: Lease = { taskId: "t1", id: "l1", owner: "r1", attempt: 2 };

function claimed(task: Partial<AgentTask> = {}): ClaimedTask {
  const defaults = { id: "t1", attempt: 2, maxAttempts: null };
  return {
    task: {
      ...defaults,
      traceText: '{"a": 1}',
      state: "running",
      ...task,
    } as AgentTask,
    lease: LEASE,
  };
}

const COMMON = {
  lease: LEASE,
  traceText: '{"a": 1}',
  from: "running",
  detail: null,
  keepsLease: false,
  returnsAttempt: false,
  runAt: null,
};

const COMPLETED = {
  completed_at: NOW_TEXT,
  completed_by: "runner_loop",
  result: "success",
};

const CANCELLED = {
  failed_at: NOW_TEXT,
  failed_by: "runner_loop",
  error: "Cancelled",
  cancelled_at: NOW_TEXT,
  result: "cancelled",
};

const MADE: [name: string, made: Transition, expected: Partial<Transition>][] =
  [
    ["complete() writes HandsFree's keys", complete(claimed(), NOW), {
      to: "completed",
      event: "completed",
      patch: COMPLETED,
    }],
    [
      "complete() keeps the message and the result apart from HandsFree's keys",
      complete(claimed(), NOW, { message: "PR opened", result: { pr: 5 } }),
      {
        to: "completed",
        event: "completed",
        detail: "PR opened",
        patch: { ...COMPLETED, progress: "PR opened", output: { pr: 5 } },
      },
    ],
    [
      "complete() keeps a result that is null",
      complete(claimed(), NOW, { result: null }),
      {
        to: "completed",
        event: "completed",
        patch: { ...COMPLETED, output: null },
      },
    ],
    ["fail() writes HandsFree's keys", fail(claimed(), NOW, "broken"), {
      to: "failed",
      event: "failed",
      detail: "broken",
      patch: { failed_at: NOW_TEXT, failed_by: "runner_loop", error: "broken" },
    }],
    ["noteProgress() keeps the lease", noteProgress(claimed(), NOW, "half"), {
      to: "running",
      event: "progress",
      detail: "half",
      keepsLease: true,
      patch: { last_progress_at: NOW_TEXT, progress: "half" },
    }],
    [
      "noteProgress() keeps how much is done",
      noteProgress(claimed(), NOW, "half", { fraction: 0.5 }),
      {
        to: "running",
        event: "progress",
        detail: "50%: half",
        keepsLease: true,
        patch: {
          last_progress_at: NOW_TEXT,
          progress: "half",
          progress_fraction: 0.5,
        },
      },
    ],
    [
      "askInput() gives the lease and the attempt up",
      askInput(claimed(), NOW, "Which?"),
      {
        to: "needs_input",
        event: "needs_input",
        detail: "Which?",
        returnsAttempt: true,
        patch: { question: "Which?", question_asked_at: NOW_TEXT },
      },
    ],
    [
      "askInput() says until when it waits",
      askInput(claimed(), NOW, "Which?", { answerWithinMs: 4_270 }),
      {
        to: "needs_input",
        event: "needs_input",
        detail: "Which?",
        returnsAttempt: true,
        runAt: LATER,
        patch: {
          question: "Which?",
          question_asked_at: NOW_TEXT,
          answer_by: "2026-11-22T14:30:00.000+00:00",
        },
      },
    ],
    [
      "retryLater() stays running until its time",
      retryLater(claimed(), NOW, { error: "busy", runAt: LATER }),
      {
        to: "running",
        event: "retry_scheduled",
        detail: "busy",
        runAt: LATER,
        patch: {
          last_error: "busy",
          last_failed_at: NOW_TEXT,
          retry_at: "2026-11-22T14:30:00.000+00:00",
        },
      },
    ],
    ["release() gives the attempt back", release(claimed(), "stopped"), {
      to: "running",
      event: "released",
      detail: "stopped",
      returnsAttempt: true,
      patch: {},
    }],
  ];

for (const [name, made, expected] of MADE) {
  Deno.test(name, () => {
    assertEquals(made, { ...COMMON, ...expected } as Transition);
  });
}

const ANSWERED = {
  answer: "main",
  answered_at: NOW_TEXT,
};

/** A task that waits for an answer, with this in its trace. */
function asking(trace: JsonObject, runAt: Date | null = null): Held {
  const traceText = JSON.stringify(trace);
  const { task } = claimed({ state: "needs_input", traceText, runAt });
  return { task, lease: { taskId: "t1", id: null, owner: null, attempt: 1 } };
}

Deno.test("answer() makes a task claimable again, and keeps the answer", () => {
  const held = asking({ question: "Which?" });
  assertEquals(answer(held, NOW, "main"), {
    ...COMMON,
    lease: held.lease,
    traceText: '{"question":"Which?"}',
    from: "needs_input",
    to: "running",
    event: "answered",
    detail: "main",
    patch: {
      answers: [{ question: "Which?", ...ANSWERED }],
      question: null,
    },
  });
});

const ANSWERS_BEFORE: [name: string, before: JsonObject, after: JsonValue[]][] =
  [
    ["an answer", { answers: [{ answer: "1" }] }, [{ answer: "1" }]],
    ["what is no answer", { answers: ["x", 1] }, ["x", 1]],
    ["what is no list", { answers: { theirs: 1 } }, [{ theirs: 1 }]],
  ];

for (const [name, before, after] of ANSWERS_BEFORE) {
  Deno.test(`answer() keeps ${name} that is there already`, () => {
    const { patch } = answer(asking({ question: "Q", ...before }), NOW, "main");
    assertEquals(patch.answers, [...after, { question: "Q", ...ANSWERED }]);
  });
}

Deno.test("answer() takes a task that another program made wait, without a question", () => {
  const { patch } = answer(asking({}), NOW, "main");
  assertEquals(patch.answers, [{ question: "", ...ANSWERED }]);
});

Deno.test("answer() takes back until when it was waited for", () => {
  const asked = asking({ question: "Q", answer_by: "then" }, LATER);
  const { patch, runAt } = answer(asked, NOW, "main");
  assertEquals([patch.answer_by, runAt], [null, null]);
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
    const { from, to, event, detail, patch, runAt } = expire(
      asking(trace, LATER),
      NOW,
    );
    assertEquals([from, to, event], ["needs_input", "failed", "failed"]);
    assertEquals([detail, patch.error, runAt], [error, error, null]);
  });
}

Deno.test("isAnsweredElsewhere() knows the time of a question from that of a retry", () => {
  const at = { answer_by: traceTime(LATER) };
  const [asked, retried] = [at, { answer_by: null }].map((trace) => ({
    ...asking(trace, LATER).task,
    state: "running" as const,
  }));
  assert(asked && retried);
  assertEquals(isAnsweredElsewhere(asked), true);
  assertEquals(isAnsweredElsewhere(retried), false);
  assertEquals(isAnsweredElsewhere({ ...asked, runAt: NOW }), false);
  assertEquals(isAnsweredElsewhere({ ...asked, runAt: null }), false);
  assertEquals(
    isAnsweredElsewhere({ ...asked, state: "needs_input" }),
    false,
  );
});

const FRACTIONS: [made: Transition, fraction: JsonValue | undefined][] = [
  [complete(noted(), NOW), 1],
  [release(noted(), "stopped"), null],
  [retryLater(noted(), NOW, { error: "busy", runAt: LATER }), null],
  [fail(noted(), NOW, "broken"), 0.4],
  [askInput(noted(), NOW, "Which?"), 0.4],
  [cancel(noted(), NOW), 0.4],
];

function noted(): ClaimedTask & Held {
  return { ...claimed(), note: { message: "x", fraction: 0.4, at: NOW } };
}

for (const [{ event, patch }, fraction] of FRACTIONS) {
  Deno.test(`a task that was 40% done has ${fraction} after ${event}`, () => {
    assertEquals(patch.progress_fraction, fraction);
  });
}

Deno.test("answer() begins again, with nothing done", () => {
  const { patch } = answer(asking({ progress_fraction: 0.4 }), NOW, "main");
  assertEquals(patch.progress_fraction, null);
});

Deno.test("complete() is 100% of what was noted before", () => {
  const traceText = '{"progress_fraction": 0.4}';
  const { patch } = complete(claimed({ traceText }), NOW);
  assertEquals(patch.progress_fraction, 1);
});

Deno.test("cancel() expects the state and no lease where nobody works", () => {
  const { task } = claimed({ state: "created" });
  const lease = { taskId: "t1", id: null, owner: null, attempt: 0 };
  assertEquals(cancel({ task, lease }, NOW), {
    ...COMMON,
    lease,
    from: "created",
    to: "failed",
    event: "cancelled",
    patch: CANCELLED,
  });
});

Deno.test("startedPatch() writes HandsFree's keys", () => {
  assertEquals(startedPatch(NOW), {
    auto_started_at: NOW_TEXT,
    auto_started_by: "runner_loop",
    progress: "Task started",
  });
});

Deno.test("traceTime() gives each time its own text", () => {
  const times = [NOW, LATER, NOW, new Date(0), new Date(0)];
  assertEquals(times.map(traceTime), [
    NOW_TEXT,
    "2026-11-22T14:30:00.000+00:00",
    NOW_TEXT,
    "1970-01-01T00:00:00.000+00:00",
    "1970-01-01T00:00:00.000+00:00",
  ]);
});

function verdict(
  outcome: Outcome,
  task: Partial<AgentTask> = {},
  attempts = 1,
): Transition | undefined {
  return transitionFor(claimed(task), outcome, {
    now: NOW,
    attempts,
  });
}

Deno.test("transitionFor() completes with message and result", () => {
  const outcome = { kind: "completed", message: "done", result: 1 } as const;
  assertEquals(verdict(outcome), complete(claimed(), NOW, outcome));
});

Deno.test("transitionFor() asks", () => {
  assertEquals(
    verdict({ kind: "needs_input", question: "Which?" }),
    askInput(claimed(), NOW, "Which?"),
  );
});

Deno.test("transitionFor() asks for no longer than it is to", () => {
  const outcome = {
    kind: "needs_input",
    question: "Which?",
    answerWithinMs: 60_000,
  } as const;
  assertEquals(verdict(outcome), askInput(claimed(), NOW, "Which?", outcome));
});

Deno.test("transitionFor() waits as long as a failure asks for, or as the backoff says", () => {
  function waitMs(retryAfterMs: number): number {
    const transition = transitionFor(
      claimed({ attempt: 1 }),
      { kind: "failed", error: "busy", retryable: true, retryAfterMs },
      { now: NOW, attempts: 9, backoff: { baseMs: 2_000, maxMs: 2_000 } },
    );
    return (transition?.runAt?.getTime() ?? 0) - NOW.getTime();
  }
  assertEquals(waitMs(90_000), 90_000);
  const short = waitMs(10);
  assert(short >= 1_000 && short <= 2_000, `${short}`);
});

Deno.test("transitionFor() gives back what a shutdown stopped", () => {
  const transition = verdict({ kind: "aborted", reason: "shutdown" });
  assertEquals(transition, release(claimed(), "The runner was stopped"));
});

Deno.test("transitionFor() cancels what was cancelled while it ran", () => {
  const transition = verdict({ kind: "aborted", reason: "cancelled" });
  assertEquals(transition, cancel(claimed(), NOW));
});

Deno.test("transitionFor() writes nothing where the lease was lost", () => {
  assertEquals(verdict({ kind: "aborted", reason: "lease lost" }), undefined);
});

const RETRIES: [
  attempt: number,
  maxAttempts: number | null,
  attempts: number,
  retryable: boolean,
  event: Transition["event"],
][] = [
  [1, null, 1, true, "failed"],
  [1, null, 2, true, "retry_scheduled"],
  [2, null, 2, true, "failed"],
  [1, 1, 3, true, "failed"],
  [1, 2, 1, true, "retry_scheduled"],
  [2, 2, 3, true, "failed"],
  [3, 2, 3, true, "failed"],
  [1, 2, 3, false, "failed"],
];

for (const [attempt, maxAttempts, attempts, retryable, event] of RETRIES) {
  const may = retryable ? "retryable" : "final";
  const limit = maxAttempts ?? `${attempts} by default`;
  Deno.test(`transitionFor() takes a ${may} failure at attempt ${attempt} of ${limit} for ${event}`, () => {
    const outcome = { kind: "failed", error: "broken", retryable } as const;
    const transition = verdict(outcome, { attempt, maxAttempts }, attempts);
    assertEquals(transition?.event, event);
    assertEquals(transition?.detail, "broken");
  });
}

Deno.test("transitionFor() waits longer after each attempt, 5 minutes at most", () => {
  const outcome = { kind: "failed", error: "x", retryable: true } as const;
  const bounds = [[1, 500, 1_000], [2, 1_000, 2_000], [30, 150_000, 300_000]];
  for (const [attempt = 0, least = 0, most = 0] of bounds) {
    const { runAt } = verdict(outcome, { attempt, maxAttempts: 99 }) ?? {};
    const waitMs = (runAt?.getTime() ?? 0) - NOW.getTime();
    assert(waitMs >= least && waitMs <= most, `${attempt}: ${waitMs}`);
  }
});

Deno.test("transitionFor() writes the last note, but not over its own keys", () => {
  const note = { message: "half", at: new Date(0) };
  const transition = transitionFor(
    { ...claimed(), note },
    { kind: "completed", message: "done" },
    { now: NOW, attempts: 1 },
  );
  assertEquals(transition?.patch, {
    last_progress_at: "1970-01-01T00:00:00.000+00:00",
    progress: "done",
    completed_at: NOW_TEXT,
    completed_by: "runner_loop",
    result: "success",
  });
});
