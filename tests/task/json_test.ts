import { assertEquals } from "@std/assert";
import {
  eventFromJson,
  eventToJson,
  newTaskToJson,
  taskFromJson,
  taskToJson,
} from "../../lib/task/json.ts";
import { newTaskOf } from "../../lib/task/new_task.ts";
import type { TaskEvent } from "../../lib/task/task.ts";
import { stringifyJson } from "../../lib/task/trace.ts";
import { sampleTask } from "../support/sample_task.ts";

const TASK = sampleTask({
  targetType: "issue",
  targetRef: "octo/app#12",
  instruction: "Fix it",
  state: "completed",
  traceText: '{"n": 1}',
  runAt: new Date("2026-01-19T18:30:00Z"),
  attempt: 2,
  questions: 1,
  maxAttempts: 3,
  timeoutMs: 1_500,
  batch: "nightly",
  tags: ["night"],
  workspace: { repo: "../app" },
  touches: ["src/**"],
  leaseOwner: "r1",
  createdAt: new Date("2026-01-19T18:28:00Z"),
  updatedAt: new Date("2026-01-19T18:29:00Z"),
});

Deno.test("taskToJson() uses the names of the table", () => {
  assertEquals(taskToJson(TASK), {
    id: "550e8400-e29b-41d4-a716-446655440000",
    state: "completed",
    shown_state: "completed",
    simulated: false,
    user_id: "e2895575-a786-551f-ac71-b2530bbc877e",
    provider: "simulate",
    target_type: "issue",
    target_ref: "octo/app#12",
    instruction: "Fix it",
    trace: { n: 1 },
    priority: 0,
    attempt: 2,
    questions: 1,
    max_attempts: 3,
    timeout_seconds: 1.5,
    run_at: "2026-01-19T18:30:00.000Z",
    batch: "nightly",
    key: null,
    tags: ["night"],
    if_failed: null,
    blocked: false,
    repo: "../app",
    base: null,
    branch: null,
    touches: ["src/**"],
    needs_approval: false,
    lease_owner: "r1",
    lease_expires_at: null,
    cancel_requested_at: null,
    created_at: "2026-01-19T18:28:00.000Z",
    updated_at: "2026-01-19T18:29:00.000Z",
  });
});

Deno.test("taskFromJson() reads what taskToJson() wrote", () => {
  const again = taskFromJson(taskToJson(TASK));
  assertEquals(again, { ...TASK, traceText: '{"n":1}' });
  const bare = sampleTask({ traceText: "no trace" });
  assertEquals(taskFromJson(taskToJson(bare)), bare);
});

const JSON_TRACES: [text: string | null, json: string][] = [
  [null, "null"],
  ["oops", '"oops"'],
  ["[1]", '"[1]"'],
  ['{"id": 9007199254740993}', '{"id":9007199254740993}'],
  ['{"n": NaN, "i": Infinity}', '{"n":null,"i":null}'],
];

for (const [traceText, json] of JSON_TRACES) {
  Deno.test(`taskToJson() gives the trace ${traceText} as ${json}`, () => {
    const { trace } = taskToJson({ ...TASK, traceText });
    assertEquals(stringifyJson(trace), json);
  });
}

Deno.test("eventToJson() uses the names of the table, and eventFromJson() reads them", () => {
  const event: TaskEvent = {
    id: 7,
    taskId: TASK.id,
    kind: "failed",
    occurredAt: new Date("2026-01-19T18:28:00Z"),
    attempt: 0,
    runner: "r1",
    detail: "x",
    printed: { stdout: "out" },
  };
  const json = eventToJson(event);
  assertEquals(json, {
    id: 7,
    task_id: TASK.id,
    kind: "failed",
    occurred_at: "2026-01-19T18:28:00.000Z",
    attempt: 0,
    runner: "r1",
    detail: "x",
    printed: { stdout: "out" },
  });
  assertEquals(eventFromJson(json), event);
});

Deno.test("newTaskToJson() writes what newTaskOf() reads, and leaves out the rest", async () => {
  const task = await newTaskOf({
    instruction: "Fix it",
    user: TASK.userId,
    target: "#12",
    trace: { n: 1 },
    run_at: "2026-01-19T18:30:00Z",
    attempts: 2,
    timeout: 1.5,
    after: [TASK.id, "key"],
    if_failed: "run",
    batch: "nightly",
    key: "k",
    key_for: 60,
    tags: ["night"],
  });
  assertEquals(await newTaskOf(newTaskToJson(task)), task);
  const replacing = await newTaskOf({ key: "k", replace: true });
  assertEquals(await newTaskOf(newTaskToJson(replacing)), replacing);
  assertEquals(newTaskToJson({ userId: "u", provider: "p", runAt: null }), {
    user: "u",
    provider: "p",
  });
});
