import { assertEquals } from "@std/assert";
import {
  isSimulated,
  shownStateOf,
  wasSimulated,
} from "../../lib/task/shown_state.ts";
import type { AgentTask } from "../../lib/task/task.ts";
import {
  apply,
  askInput,
  begin,
  cancel,
  complete,
  fail,
  retryLater,
  type TaskRow,
} from "../../lib/task/transitions.ts";
import { sampleTask } from "../support/sample_task.ts";

const AT = new Date("2026-01-19T18:30:00Z");
const LEASE = { taskId: "t", id: "l", owner: "r", attempt: 1 };

const states: readonly [Partial<AgentTask>, string][] = [
  [{ state: "created", runAt: AT }, "created"],
  [{ state: "running", leaseOwner: "r", runAt: null }, "running"],
  [{ state: "running", leaseOwner: null, runAt: AT }, "retrying"],
  [{ state: "running", leaseOwner: null, runAt: null }, "queued"],
  [{ state: "completed", traceText: '{"simulated": true}' }, "simulated"],
  [{ state: "failed", traceText: '{"simulated": true}' }, "failed"],
  [{ state: "needs_input", runAt: AT }, "needs_input"],
  [{ state: "failed", traceText: '{"result": "cancelled"}' }, "cancelled"],
  [{ state: "failed", traceText: '{"error": "cancelled"}' }, "failed"],
  [{ state: "failed", traceText: '"result" "cancelled"' }, "failed"],
  [{ state: "completed", traceText: '{"result": "cancelled"}' }, "completed"],
];

for (const [task, expected] of states) {
  Deno.test(`shownStateOf() is ${expected} for ${JSON.stringify(task)}`, () => {
    assertEquals(shownStateOf(sampleTask(task)), expected);
  });
}

function rowOf(row: Partial<TaskRow> = {}): TaskRow {
  return {
    state: "running",
    leaseId: "l",
    traceText: null,
    attempt: 1,
    questions: 0,
    runAt: null,
    ...row,
  };
}

const task = sampleTask({ state: "running" });
for (const isTrue of [true, false]) {
  const held = { task, lease: LEASE, isSimulated: isTrue };
  for (
    const transition of [
      complete(held),
      complete(held, { message: "Done", result: 1 }),
      fail(held, "No"),
      askInput(held, "Which?"),
      retryLater(held, { error: "No", delayMs: 1 }),
    ]
  ) {
    Deno.test(`${transition.event} of a run that is ${isTrue ? "" : "not "}simulated is ${isTrue ? "" : "not "}marked`, () => {
      const { traceText = null } = apply(rowOf(), transition, AT) ?? {};
      assertEquals(isSimulated(traceText), isTrue);
    });
  }
}

Deno.test("begin() takes the mark of an earlier attempt away", () => {
  const marked = '{"auto_started_at": "x", "simulated": true}';
  const row = rowOf({ traceText: marked });
  const after = apply(row, begin({ task, lease: LEASE }), AT);
  assertEquals(
    after?.traceText,
    '{"auto_started_at": "x", "simulated": false}',
  );
});

Deno.test("begin() takes a mark away that came with the task", () => {
  const row = rowOf({ traceText: '{"simulated": true}' });
  const after = apply(row, begin({ task, lease: LEASE }), AT);
  assertEquals(isSimulated(after?.traceText ?? null), false);
});

Deno.test("wasSimulated() does not believe who created the task", () => {
  const traceText = '{"simulated": true}';
  assertEquals(wasSimulated({ state: "created", traceText }), false);
  assertEquals(wasSimulated({ state: "failed", traceText }), true);
});

Deno.test("begin() takes away that it was cancelled, which came with the task", () => {
  const row = rowOf({
    traceText: '{"auto_started_at":"x","result":"cancelled"}',
  });
  const after = apply(row, begin({ task, lease: LEASE }), AT);
  assertEquals(after?.traceText, '{"auto_started_at":"x","result":null}');
});

Deno.test("complete() of a simulated run says so in its history", () => {
  const { detail } = complete({ task, lease: LEASE, isSimulated: true });
  assertEquals(detail, "simulated, nothing was done");
});

Deno.test("cancel() of what was simulated before is cancelled", () => {
  const row = rowOf({ leaseId: null });
  const lease = { taskId: "t", id: null, owner: null, attempt: 1 };
  const after = apply(row, cancel({ task, lease }), AT);
  const { traceText = null } = after ?? {};
  const shown = sampleTask({ state: "failed", traceText });
  assertEquals(shownStateOf(shown), "cancelled");
});
