import { assert, assertEquals } from "@std/assert";
import { type RetrySettings, transitionFor } from "../../lib/task/after_run.ts";
import type { AgentTask, Outcome, Transition } from "../../lib/task/task.ts";
import { parseTrace } from "../../lib/task/trace.ts";
import {
  apply,
  askInput,
  cancel,
  complete,
  type Held,
  release,
} from "../../lib/task/transitions.ts";
import { sampleTask } from "../support/sample_task.ts";

const AT = new Date("2026-11-22T14:29:55.730Z");

/** A run of a task, at its attempt. */
function runOf(task: Partial<AgentTask> = {}): Held {
  const own = sampleTask(task);
  const { id: taskId, attempt } = own;
  return { task: own, lease: { taskId, id: "l1", owner: "r1", attempt } };
}

function after(
  outcome: Outcome,
  task: Partial<AgentTask> = {},
  settings: Partial<RetrySettings> = {},
): Transition | undefined {
  return transitionFor(runOf(task), outcome, { attempts: 1, ...settings });
}

/** A transition with what it makes of a row, so that two can be compared. */
function shown(made: Transition | undefined) {
  assert(made);
  const { patch: _patch, ...rest } = made;
  return { ...rest, row: rowAfter(made) };
}

function rowAfter(made: Transition) {
  const { from: state, lease: { id: leaseId, attempt } } = made;
  const rest = { traceText: null, questions: 0, runAt: null };
  return apply({ state, leaseId, attempt, ...rest }, made, AT);
}

const SAME: readonly [name: string, outcome: Outcome, expected: Transition][] =
  [
    [
      "completes with message and result",
      { kind: "completed", message: "done", result: 1 },
      complete(runOf(), { message: "done", result: 1 }),
    ],
    [
      "asks",
      { kind: "needs_input", question: "Which?" },
      askInput(runOf(), "Which?"),
    ],
    [
      "asks for no longer than it is to",
      { kind: "needs_input", question: "Which?", answerWithinMs: 60_000 },
      askInput(runOf(), "Which?", { answerWithinMs: 60_000 }),
    ],
    [
      "gives back what a shutdown stopped",
      { kind: "aborted", reason: "shutdown" },
      release(runOf(), "The runner was stopped"),
    ],
    [
      "cancels what was cancelled while it ran",
      { kind: "aborted", reason: "cancelled" },
      cancel(runOf()),
    ],
  ];

for (const [name, outcome, expected] of SAME) {
  Deno.test(`transitionFor() ${name}`, () => {
    assertEquals(shown(after(outcome)), shown(expected));
    // What was only held when it was claimed is running by then.
    assertEquals(shown(after(outcome, { state: "created" })), shown(expected));
  });
}

const PRINTED = { stdout: "two hours of work\n", stderr: "no key" };

const PRINTING: readonly [Outcome, event: Transition["event"]][] = [
  [{ kind: "completed", result: 1 }, "completed"],
  [{ kind: "needs_input", question: "Which?" }, "needs_input"],
  [{ kind: "failed", error: "no", retryable: true }, "retry_scheduled"],
  [{ kind: "failed", error: "no", retryable: false }, "failed"],
  [{ kind: "aborted", reason: "cancelled" }, "cancelled"],
  [{ kind: "aborted", reason: "shutdown" }, "released"],
];

for (const [outcome, event] of PRINTING) {
  Deno.test(`transitionFor() keeps what was printed with ${event}`, () => {
    const made = after({ ...outcome, printed: PRINTED }, {}, { attempts: 2 });
    assert(made);
    assertEquals([made.event, made.printed], [event, PRINTED]);
    const { printed } = parseTrace(rowAfter(made)?.traceText ?? null) ?? {};
    assertEquals(printed, made.to === "failed" ? PRINTED : undefined);
  });
}

Deno.test("transitionFor() writes nothing where the lease was lost", () => {
  assertEquals(after({ kind: "aborted", reason: "lease lost" }), undefined);
});

Deno.test("transitionFor() writes the last note with the outcome", () => {
  const note = { message: "half", at: new Date(0) };
  const transition = transitionFor(
    { ...runOf(), note },
    { kind: "completed" },
    { attempts: 1 },
  );
  assert(transition);
  const trace = parseTrace(rowAfter(transition)?.traceText ?? null);
  assertEquals(trace?.progress, "half");
});

const RETRIES: readonly (readonly [
  spent: { readonly attempt: number; readonly questions?: number },
  maxAttempts: number | null,
  attempts: number,
  retryable: boolean,
  event: Transition["event"],
])[] = [
  [{ attempt: 1 }, null, 1, true, "failed"],
  [{ attempt: 1 }, null, 2, true, "retry_scheduled"],
  [{ attempt: 2 }, null, 2, true, "failed"],
  [{ attempt: 1 }, 1, 3, true, "failed"],
  [{ attempt: 1 }, 2, 1, true, "retry_scheduled"],
  [{ attempt: 2 }, 2, 3, true, "failed"],
  [{ attempt: 3 }, 2, 3, true, "failed"],
  [{ attempt: 1 }, 2, 3, false, "failed"],
  // The answered run of a task with one attempt.
  [{ attempt: 2, questions: 1 }, 1, 3, true, "failed"],
  [{ attempt: 2, questions: 1 }, 2, 1, true, "retry_scheduled"],
  [{ attempt: 5, questions: 3 }, 3, 1, true, "retry_scheduled"],
  [{ attempt: 6, questions: 3 }, 3, 9, true, "failed"],
];

for (const [spent, maxAttempts, attempts, retryable, event] of RETRIES) {
  const { attempt, questions = 0 } = spent;
  const may = retryable ? "retryable" : "final";
  const limit = maxAttempts ?? `${attempts} by default`;
  Deno.test(`transitionFor() takes a ${may} failure at attempt ${attempt} of ${limit}, after ${questions} questions, for ${event}`, () => {
    const outcome = { kind: "failed", error: "broken", retryable } as const;
    const task = { attempt, questions, maxAttempts };
    const transition = after(outcome, task, { attempts });
    assertEquals([transition?.event, transition?.detail], [event, "broken"]);
  });
}

for (
  const [retryable, event] of [[false, "failed"], [
    true,
    "retry_scheduled",
  ]] as const
) {
  Deno.test(`transitionFor() pauses the provider of a failure that all would meet: ${event}`, () => {
    const failure = {
      kind: "failed",
      error: "not logged in",
      retryable,
    } as const;
    const settings = { attempts: 3 };
    const ended = after({ ...failure, pausesProvider: true }, {}, settings);
    assertEquals([ended?.event, ended?.limit], [event, {
      provider: "simulate",
      reason: "not logged in",
    }]);
    assertEquals(after(failure, {}, settings)?.limit, undefined);
  });
}

Deno.test("transitionFor() asks a person at the last attempt where a failure says what", () => {
  const approval = { of: "merge", head: "abc" } as const;
  const atLast = { question: "Again?", approval, result: "Done" };
  const outcome: Outcome = {
    kind: "failed",
    error: "no network",
    retryable: true,
    atLast,
  };
  assertEquals(
    after(outcome, {}, { attempts: 2 })?.event,
    "retry_scheduled",
  );
  assertEquals(
    shown(after(outcome)),
    shown(askInput(runOf(), "Again?", atLast)),
  );
});

Deno.test("transitionFor() waits as long as a failure asks for, or as the backoff says", () => {
  const backoff = { baseMs: 2_000, maxMs: 2_000 };
  function waitMs(retryAfterMs: number): number {
    const failure = { kind: "failed", error: "busy", retryable: true } as const;
    const outcome = { ...failure, retryAfterMs };
    return after(outcome, {}, { attempts: 9, backoff })?.delayMs ?? NaN;
  }
  assertEquals(waitMs(90_000), 90_000);
  const short = waitMs(10);
  assert(short >= 1_000 && short <= 2_000, `${short}`);
});

Deno.test("transitionFor() waits longer after each attempt, 5 minutes at most", () => {
  const outcome = { kind: "failed", error: "x", retryable: true } as const;
  const bounds = [
    [1, 0, 500, 1_000],
    [2, 0, 1_000, 2_000],
    [5, 3, 1_000, 2_000],
    [30, 0, 150_000, 300_000],
  ] as const;
  for (const [attempt, questions, least, most] of bounds) {
    const task = { attempt, questions, maxAttempts: 99 };
    const delayMs = after(outcome, task)?.delayMs ?? NaN;
    assert(delayMs >= least && delayMs <= most, `${attempt}: ${delayMs}`);
  }
});
