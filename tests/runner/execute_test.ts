import {
  assertEquals,
  assertObjectMatch,
  assertStrictEquals,
} from "@std/assert";
import { messageOf } from "../../lib/base/errors.ts";
import {
  ABORT_GRACE_MS,
  execute,
  StopSwitch,
} from "../../lib/runner/execute.ts";
import type {
  Processor,
  ProcessorContext,
} from "../../lib/processors/processor.ts";
import type { AgentTask, Outcome, TaskResult } from "../../lib/task/task.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { RESULTS } from "../support/sample_results.ts";

const TASK = {
  id: "t1",
  provider: "p",
  attempt: 2,
  traceText: null,
} as AgentTask;
const DONE: Outcome = { kind: "completed" };

/** Executes `TASK`, or one like it, with a processor that does `process`. */
function run(
  process: Processor["process"],
  { timeoutMs = 0, ...task }: Partial<AgentTask> = {},
) {
  const clock = new FakeClock();
  const stop = new StopSwitch();
  const progress: string[] = [];
  const outcome = execute({ ...TASK, ...task }, {
    processorFor: () => ({ name: "test", process }),
    clock,
    stop,
    timeoutMs: timeoutMs ?? 0,
    onProgress: (message) => progress.push(message),
  });
  return { clock, stop, progress, outcome };
}

/** A processor's promise for a test to settle. */
function pending() {
  return Promise.withResolvers<Outcome>();
}

const OUTCOMES: Outcome[] = [
  { kind: "completed", result: { pr: 5 }, message: "done" },
  { kind: "failed", error: "broken", retryable: false },
  { kind: "needs_input", question: "Which?" },
];

for (const outcome of OUTCOMES) {
  Deno.test(`execute() hands a processor's ${outcome.kind} through`, async () => {
    assertEquals(await run(() => Promise.resolve(outcome)).outcome, outcome);
  });
}

Deno.test("execute() asks for the processor of the task's provider", async () => {
  const asked: string[] = [];
  await execute({ ...TASK, provider: "claude" }, {
    processorFor: (provider) => {
      asked.push(provider);
      return { name: "test", process: () => Promise.resolve(DONE) };
    },
    clock: new FakeClock(),
    stop: new StopSwitch(),
    timeoutMs: 0,
    onProgress: () => {},
  });
  assertEquals(asked, ["claude"]);
});

Deno.test("execute() fails a task of an unknown provider for good", async () => {
  const outcome = await execute({ ...TASK, provider: "nobody" }, {
    processorFor: () => undefined,
    clock: new FakeClock(),
    stop: new StopSwitch(),
    timeoutMs: 0,
    onProgress: () => {},
  });
  assertEquals(outcome, {
    kind: "failed",
    error: "No processor is configured for provider nobody",
    retryable: false,
  });
});

const APPROVAL = { of: "start", at: "2026-11-22T14:29:55.730+00:00" };

const UNAPPROVED: [name: string, trace: string | null][] = [
  ["has no trace", null],
  ["has an unreadable trace", "[1]"],
  ["was answered", '{"answers": [{"question": "", "answer": "Yes"}]}'],
  ["asks", '{"asks_approval": {"of": "start"}}'],
  ["was set going by another program", '{"question": null, "approved": true}'],
  ["has what is no approval", '{"approved": {"of": "all", "at": "now"}}'],
];

for (const [name, traceText] of UNAPPROVED) {
  Deno.test(`execute() asks before it begins what needs approval and ${name}`, async () => {
    const begun: unknown[] = [];
    const { outcome } = run((task) => {
      begun.push(task);
      return Promise.resolve(DONE);
    }, { needsApproval: true, traceText, instruction: "\nMend it\nNow" });
    assertEquals(await outcome, {
      kind: "needs_input",
      question: "May it begin? Mend it",
      approval: { of: "start" },
    });
    assertEquals(begun, []);
  });
}

Deno.test("execute() begins what was approved, and what needs no approval", async () => {
  const traceText = JSON.stringify({ approved: APPROVAL });
  const tasks = [{ needsApproval: true, traceText }, { needsApproval: false }];
  for (const task of tasks) {
    assertEquals(await run(() => Promise.resolve(DONE), task).outcome, DONE);
  }
});

const REJECTIONS: [thrown: unknown, error: string][] = [
  [new Error("no network"), "no network"],
  [new TypeError(""), "TypeError"],
  ["a text", "a text"],
  [undefined, "undefined"],
  [null, "null"],
  [404, "404"],
  [Symbol("s"), "Symbol(s)"],
];

for (const [thrown, error] of REJECTIONS) {
  const failed: Outcome = { kind: "failed", error, retryable: true };

  Deno.test(`execute() takes a rejection with ${String(thrown)} for a failure`, async () => {
    assertEquals(await run(() => Promise.reject(thrown)).outcome, failed);
  });

  Deno.test(`execute() takes ${String(thrown)} thrown at once for a failure`, async () => {
    const { outcome } = run(() => {
      throw thrown;
    });
    assertEquals(await outcome, failed);
  });
}

Deno.test("messageOf() has a text for anything that is thrown", () => {
  const unprintable = Object.create(null);
  assertEquals(typeof messageOf(unprintable), "string");
});

Deno.test("execute() gives task id and attempt as idempotency key", async () => {
  let key: string | undefined;
  await run((_task, context) => {
    key = context.idempotencyKey;
    return Promise.resolve(DONE);
  }, { id: "t7", attempt: 3 }).outcome;
  assertEquals(key, "t7:3");
});

const TRACES: [text: string | null, trace: ProcessorContext["trace"]][] = [
  [null, {}],
  ["", {}],
  ["[1]", {}],
  ["oops", {}],
  ['{"a": NaN, "id": 9007199254740993}', {
    a: null,
    id: 9_007_199_254_740_993n,
  }],
];

for (const [traceText, trace] of TRACES) {
  Deno.test(`execute() gives the trace ${traceText} parsed`, async () => {
    let given: ProcessorContext["trace"] | undefined;
    await run((_task, context) => {
      given = context.trace;
      assertStrictEquals(context.trace, given);
      return Promise.resolve(DONE);
    }, { traceText }).outcome;
    assertEquals(given, trace);
  });
}

Deno.test("execute() hands progress on as it is noted", async () => {
  const { promise, resolve } = pending();
  const { progress, outcome } = run((_task, { progress }) => {
    progress("one");
    progress("two");
    return promise;
  });
  assertEquals(progress, ["one", "two"]);
  resolve(DONE);
  await outcome;
});

Deno.test("execute() does not touch the clock where nothing is stopped", async () => {
  const { clock, outcome } = run(() => Promise.resolve(DONE));
  await outcome;
  assertEquals(clock.sleepers, 0);
});

/** Returns as soon as it is told to stop. */
function obedient(outcome: Outcome): Processor["process"] {
  return (_task, { signal }) =>
    new Promise((resolve) =>
      signal.addEventListener("abort", () => resolve(outcome))
    );
}

for (const reason of ["shutdown", "lease lost", "cancelled"] as const) {
  const aborted: Outcome = { kind: "aborted", reason };

  Deno.test(`execute() ends a run at ${reason} without the grace`, async () => {
    const failed: Outcome = {
      kind: "failed",
      error: "Stopped",
      retryable: true,
    };
    const { stop, outcome } = run(obedient(failed));
    stop.stop(reason);
    assertEquals(await outcome, aborted);
  });

  Deno.test(`execute() keeps what was printed until ${reason}`, async () => {
    const printed = { stdout: "half of it" };
    const { stop, outcome } = run(
      obedient({ kind: "failed", error: "Stopped", retryable: true, printed }),
    );
    stop.stop(reason);
    assertEquals(await outcome, { ...aborted, printed });
  });

  Deno.test(`execute() takes a throw after ${reason} for the abort`, async () => {
    const { promise, reject } = pending();
    const { stop, outcome } = run(() => promise);
    stop.stop(reason);
    reject(new DOMException("Aborted", "AbortError"));
    assertEquals(await outcome, aborted);
  });

  Deno.test(`execute() gives up a processor that ignores its signal at ${reason}`, async () => {
    const { clock, stop, outcome } = run(() => pending().promise);
    let ended = false;
    outcome.then(() => ended = true);
    stop.stop(reason);
    await clock.advance(ABORT_GRACE_MS - 1);
    await turn();
    assertEquals(ended, false);
    await clock.advance(1);
    assertEquals(await outcome, aborted);
  });
}

Deno.test("execute() waits as long for a stop as the processor says", async () => {
  const clock = new FakeClock();
  const stop = new StopSwitch();
  let ended = false;
  const outcome = execute(TASK, {
    processorFor: () => ({
      name: "test",
      stopGraceMs: 8_000,
      process: () => pending().promise,
    }),
    clock,
    stop,
    timeoutMs: 0,
    onProgress: () => {},
  });
  outcome.then(() => ended = true);
  stop.stop("cancelled");
  await clock.advance(7_999);
  await turn();
  assertEquals(ended, false);
  await clock.advance(1);
  assertEquals(await outcome, { kind: "aborted", reason: "cancelled" });
});

Deno.test("execute() keeps work that was finished in spite of the abort", async () => {
  const { stop, outcome } = run(obedient({ ...DONE, message: "just in time" }));
  stop.stop("shutdown");
  assertEquals(await outcome, { ...DONE, message: "just in time" });
});

Deno.test("execute() does not hear a processor that comes back too late", async () => {
  const { promise, resolve } = pending();
  const { clock, stop, outcome } = run(() => promise);
  stop.stop("shutdown");
  await clock.advance(ABORT_GRACE_MS);
  resolve(DONE);
  assertEquals(await outcome, { kind: "aborted", reason: "shutdown" });
});

Deno.test("execute() lets the first reason for a stop count", async () => {
  const { clock, stop, outcome } = run(() => pending().promise);
  stop.stop("lease lost");
  stop.stop("shutdown");
  await clock.advance(ABORT_GRACE_MS);
  assertEquals(await outcome, { kind: "aborted", reason: "lease lost" });
});

Deno.test("execute() does not call the processor of a run that is stopped before it begins", async () => {
  const clock = new FakeClock();
  const stop = new StopSwitch();
  stop.stop("shutdown");
  let calls = 0;
  const outcome = await execute(TASK, {
    processorFor: () => ({
      name: "test",
      process: () => {
        calls++;
        return pending().promise;
      },
    }),
    clock,
    stop,
    timeoutMs: 1_000,
    onProgress: () => {},
  });
  assertEquals(outcome, { kind: "aborted", reason: "shutdown" });
  assertEquals([calls, clock.sleepers], [0, 0]);
});

Deno.test("execute() keeps no timer of a run that ended when it was told to", async () => {
  const { clock, stop, outcome } = run(obedient(DONE), { timeoutMs: 90_000 });
  stop.stop("cancelled");
  await outcome;
  assertEquals(clock.sleepers, 0);
});

Deno.test("StopSwitch shows its reason to who asks for its signal late", () => {
  const stop = new StopSwitch();
  stop.stop("timeout");
  assertEquals([stop.signal.aborted, stop.signal.reason], [true, "timeout"]);
});

Deno.test("execute() does nothing when its switch is thrown after the run", async () => {
  const { clock, stop, outcome } = run(() => Promise.resolve(DONE));
  await outcome;
  stop.stop("shutdown");
  assertEquals(clock.sleepers, 0);
});

const TIMED_OUT: Outcome = {
  kind: "failed",
  error: "Timed out after 1.5 s",
  retryable: true,
};

Deno.test("execute() stops a run exactly at its timeout", async () => {
  const { clock, stop, outcome } = run(obedient(TIMED_OUT), {
    timeoutMs: 1_500,
  });
  await clock.advance(1_499);
  assertEquals(stop.reason, undefined);
  await clock.advance(1);
  assertEquals(stop.reason, "timeout");
  assertEquals(await outcome, TIMED_OUT);
});

Deno.test("execute() gives up a processor that ignores its timeout", async () => {
  const { clock, outcome } = run(() => pending().promise, { timeoutMs: 1_500 });
  let ended = false;
  outcome.then(() => ended = true);
  await clock.advance(1_500 + ABORT_GRACE_MS - 1);
  await turn();
  assertEquals(ended, false);
  await clock.advance(1);
  assertEquals(await outcome, TIMED_OUT);
});

Deno.test("execute() keeps no timeout of a run that has ended", async () => {
  for (
    const process of [
      () => Promise.resolve(DONE),
      () => Promise.reject(new Error("broken")),
    ]
  ) {
    const { clock, stop, outcome } = run(process, { timeoutMs: 1_500 });
    await outcome;
    assertEquals(clock.sleepers, 0);
    await clock.advance(1_500);
    assertEquals(stop.reason, undefined);
  }
});

Deno.test("execute() says shutdown where the timeout comes after it", async () => {
  const { clock, stop, outcome } = run(() => pending().promise, {
    timeoutMs: 500,
  });
  stop.stop("shutdown");
  await clock.advance(ABORT_GRACE_MS);
  assertEquals(await outcome, { kind: "aborted", reason: "shutdown" });
});

for (const outcome of [undefined, null, 1, {}, { kind: "done" }]) {
  Deno.test(`execute() fails a task for good whose processor returns ${JSON.stringify(outcome)}`, async () => {
    const given = await run(() => Promise.resolve(outcome as Outcome)).outcome;
    assertObjectMatch(given, { kind: "failed", retryable: false });
  });
}

Deno.test("execute() gives the answers so far, and a key that they change nothing of", async () => {
  const answers = [{ question: "Which?", answer: "Both", answered_at: "now" }];
  let given: unknown;
  let key: unknown;
  await run((_task, context) => {
    given = context.answers;
    key = context.idempotencyKey;
    return Promise.resolve(DONE);
  }, { traceText: JSON.stringify({ answers: [...answers, 5] }) }).outcome;
  assertEquals(given, answers);
  assertEquals(key, "t1:2");
});

const BEFORE = { ...TASK, ifFailed: "fail" as const };

/** Executes a task that waited for others. */
function runAfter(
  loadResults: () => Promise<readonly TaskResult[]>,
  { task = BEFORE, isSimulated = false } = {},
) {
  const clock = new FakeClock();
  const stop = new StopSwitch();
  const seen: (readonly TaskResult[])[] = [];
  const outcome = execute(task, {
    processorFor: () => ({
      name: "test",
      isSimulated,
      process: (_task, { results }) => {
        seen.push(results);
        return Promise.resolve(DONE);
      },
    }),
    clock,
    stop,
    timeoutMs: 0,
    onProgress: () => {},
    loadResults,
  });
  return { clock, stop, seen, outcome };
}

Deno.test("execute() loads what came before for a task that waited, and for no other", async () => {
  let loads = 0;
  const load = () => Promise.resolve(++loads ? RESULTS : []);
  const after = runAfter(load);
  assertEquals(await after.outcome, DONE);
  assertEquals(after.seen, [RESULTS]);
  const others = [
    runAfter(load, { task: { ...TASK, ifFailed: null } as never }),
    runAfter(load, { isSimulated: true }),
  ];
  for (const { outcome, seen } of others) {
    assertEquals(await outcome, DONE);
    assertEquals(seen, [[]]);
  }
  assertEquals(loads, 1);
});

Deno.test("execute() begins no task whose results can't be read", async () => {
  const { outcome, seen } = runAfter(() => Promise.reject(new Error("gone")));
  assertEquals(await outcome, {
    kind: "failed",
    error: "Cannot read what came before it: gone",
    retryable: true,
    isUnbegun: true,
  });
  assertEquals(seen, []);
});

Deno.test("execute() begins nothing that was stopped while its results were read", async () => {
  const loaded = Promise.withResolvers<readonly TaskResult[]>();
  const { outcome, seen, stop } = runAfter(() => loaded.promise);
  stop.stop("cancelled");
  loaded.resolve(RESULTS);
  assertEquals(await outcome, { kind: "aborted", reason: "cancelled" });
  assertEquals(seen, []);
  const { outcome: late, clock, stop: lateStop } = runAfter(() =>
    new Promise(() => {})
  );
  lateStop.stop("shutdown");
  await clock.advance(ABORT_GRACE_MS);
  assertEquals(await late, { kind: "aborted", reason: "shutdown" });
});
