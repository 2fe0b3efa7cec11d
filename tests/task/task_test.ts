import { assertEquals } from "@std/assert";
import {
  canTransition,
  isFinal,
  isKnownState,
  parseTargetRef,
  TASK_STATES,
  type TaskState,
} from "../../lib/task/task.ts";

const ALLOWED: Record<TaskState, TaskState[]> = {
  created: ["running", "failed"],
  running: ["needs_input", "completed", "failed"],
  needs_input: ["running", "failed"],
  completed: [],
  failed: [],
};

for (const from of TASK_STATES) {
  Deno.test(`canTransition() allows from ${from} what HandsFree allows`, () => {
    const allowed = TASK_STATES.filter((to) => canTransition(from, to));
    assertEquals(new Set(allowed), new Set(ALLOWED[from]));
  });
}

Deno.test("TASK_STATES names every state once", () => {
  assertEquals([...TASK_STATES].sort(), Object.keys(ALLOWED).sort());
});

Deno.test("isFinal() is true for completed and failed only", () => {
  assertEquals(TASK_STATES.filter(isFinal), ["completed", "failed"]);
});

Deno.test("a state of another program's is not known, not final and leads nowhere", () => {
  for (const state of ["paused", "", "constructor", "__proto__"]) {
    assertEquals(isKnownState(state), false);
    assertEquals(isFinal(state), false);
    assertEquals(TASK_STATES.some((to) => canTransition(state, to)), false);
  }
  assertEquals(TASK_STATES.filter(isKnownState), [...TASK_STATES]);
});

const REFS: [string, string | null, number][] = [
  ["owner/repo#123", "owner/repo", 123],
  ["#7", null, 7],
  ["a.b-c_d/e.f#1", "a.b-c_d/e.f", 1],
  ["owner/repo#2147483647", "owner/repo", 2_147_483_647],
];

for (const [ref, repo, number] of REFS) {
  Deno.test(`parseTargetRef() splits ${ref}`, () => {
    assertEquals(parseTargetRef(ref), { repo, number });
  });
}

const WRONG_REFS = [
  "",
  "#",
  "123",
  "#0",
  "#007",
  "#-1",
  "#1.5",
  "#1e3",
  "#2147483648",
  "#99999999999",
  "repo#1",
  "owner/#1",
  "/repo#1",
  "owner/repo",
  "owner/repo#",
  "owner/repo/more#1",
  "owner/re po#1",
  "owner/repo #1",
  " owner/repo#1",
  "owner/repo#1 ",
  "owner/repo#1\n",
  "owner/repo#1#2",
  "x\nowner/repo#1",
];

for (const ref of WRONG_REFS) {
  Deno.test(`parseTargetRef() refuses ${JSON.stringify(ref)}`, () => {
    assertEquals(parseTargetRef(ref), undefined);
  });
}
