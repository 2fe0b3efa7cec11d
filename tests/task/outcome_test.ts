import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  checkedOutcome,
  KEPT_RESULT_CHARACTERS,
  MAX_RESULT_CHARACTERS,
  MAX_TEXT_CHARACTERS,
} from "../../lib/task/outcome.ts";
import type { JsonObject, JsonValue, Outcome } from "../../lib/task/task.ts";
import { stringifyJson } from "../../lib/task/trace.ts";

/** As anybody's JavaScript may return it. */
function checked(outcome: unknown): Outcome {
  return checkedOutcome(outcome as Outcome);
}

function completed(result: unknown) {
  const outcome = checked({ kind: "completed", result });
  assert(outcome.kind === "completed");
  return outcome;
}

Deno.test("checkedOutcome() takes what is right as it is", () => {
  const outcomes: Outcome[] = [
    { kind: "completed" },
    { kind: "completed", message: "Done", result: { a: [1, "x", null] } },
    { kind: "completed", result: null },
    { kind: "failed", error: "no", retryable: false },
    { kind: "failed", error: "no", retryable: false, pausesProvider: true },
    { kind: "failed", error: "no", retryable: true, retryAfterMs: 1_500 },
    {
      kind: "failed",
      error: "no",
      retryable: true,
      atLast: {
        question: "Again?",
        approval: { of: "merge", head: "abc" },
        result: "Done",
      },
    },
    { kind: "needs_input", question: "Which?" },
    { kind: "needs_input", question: "Which?", answerWithinMs: 60_000 },
    {
      kind: "needs_input",
      question: "Merge it?",
      approval: { of: "merge", head: "abc" },
      result: { files: 2 },
    },
  ];
  for (const outcome of outcomes) assertEquals(checked(outcome), outcome);
});

Deno.test("checkedOutcome() keeps what was printed, and of it what is text", () => {
  const stdout = "x".repeat(2_000_000);
  const { printed } = checked({
    kind: "completed",
    printed: { stdout, stderr: 5, other: "x" },
  });
  assertEquals(Object.keys(printed ?? {}), ["stdout"]);
  assertStringIncludes(printed?.stdout ?? "", "(cut: 2,000,000 characters");
  for (const printed of [null, "text", [], { stdout: "", stderr: null }]) {
    const outcome = checked({ kind: "completed", printed });
    assertEquals(outcome, { kind: "completed" });
  }
});

const NONSENSE = [undefined, null, 1, "completed", [], {}, { kind: "done" }, {
  kind: "aborted",
  reason: "shutdown",
}];

for (const outcome of NONSENSE) {
  Deno.test(`checkedOutcome() fails a run that returns ${JSON.stringify(outcome)}`, () => {
    const result = checked(outcome);
    assert(result.kind === "failed");
    assertStringIncludes(result.error, "completed, failed, needs_input");
    assertEquals(result.retryable, false);
  });
}

Deno.test("checkedOutcome() fails a run whose outcome throws", () => {
  const outcome = checked({
    get kind() {
      throw new Error("mine");
    },
  });
  assert(outcome.kind === "failed");
  assertStringIncludes(outcome.error, "mine");
});

for (const question of [undefined, null, "", " \n", 5, {}]) {
  Deno.test(`checkedOutcome() fails a run that asks ${JSON.stringify(question)}`, () => {
    const outcome = checked({ kind: "needs_input", question });
    assert(outcome.kind === "failed");
    assertStringIncludes(outcome.error, "without a question");
  });
}

Deno.test("checkedOutcome() makes a text of any error", () => {
  const errors: [error: unknown, text: string][] = [
    [new Error("boom"), "boom"],
    [undefined, "undefined"],
    [42, "42"],
    [Symbol("x"), "Symbol(x)"],
    [Object.create(null), "Unknown error"],
  ];
  for (const [error, text] of errors) {
    assertEquals(checked({ kind: "failed", error }), {
      kind: "failed",
      error: text,
      retryable: true,
    });
  }
});

Deno.test("checkedOutcome() cuts long texts and says so", () => {
  const text = "x".repeat(50_000);
  const failed = checked({ kind: "failed", error: text, retryable: false });
  assert(failed.kind === "failed");
  assertEquals(failed.error.slice(0, MAX_TEXT_CHARACTERS + 1).at(-1), "…");
  assertStringIncludes(failed.error, "50,000 characters in all");
  const asked = checked({ kind: "needs_input", question: text });
  assert(asked.kind === "needs_input");
  assertStringIncludes(asked.question, "50,000 characters in all");
  const done = checked({ kind: "completed", message: text });
  assert(done.kind === "completed");
  assertStringIncludes(done.message ?? "", "50,000 characters in all");
});

for (const wait of [NaN, -1, 0, "5", null, {}]) {
  Deno.test(`checkedOutcome() takes ${String(wait)} for no time to wait`, () => {
    const failed = { kind: "failed", error: "no", retryable: true };
    assertEquals(checked({ ...failed, retryAfterMs: wait }), failed as Outcome);
    const asked = { kind: "needs_input", question: "Which?" };
    assertEquals(checked({ ...asked, answerWithinMs: wait }), asked as Outcome);
  });
}

Deno.test("checkedOutcome() lets nobody wait beyond the calendar", () => {
  const outcome = checked({
    kind: "needs_input",
    question: "Which?",
    answerWithinMs: Infinity,
  });
  assert(outcome.kind === "needs_input");
  const { answerWithinMs = 0 } = outcome;
  const until = new Date(Date.now() + answerWithinMs);
  assertEquals(until.getFullYear() - new Date().getFullYear() <= 10, true);
});

const KEPT: [name: string, result: unknown, kept: JsonValue][] = [
  ["a bigint", { id: 1n << 60n }, { id: 1n << 60n }],
  ["undefined inside", { a: undefined, b: [undefined] }, { b: [null] }],
  ["a function inside", { a: () => {}, b: 1 }, { b: 1 }],
  ["NaN", NaN, null],
  ["a Date", new Date(0), "1970-01-01T00:00:00.000Z"],
  ["a Map", new Map([[1, 2]]), {}],
  ["false", false, false],
  ["an empty text", "", ""],
  ["100 levels", nested(99), nested(99) as JsonValue],
  ["half a character", "\ud83d", "\ufffd"],
  ["a toJSON()", { toJSON: () => ({ n: 1 }) }, { n: 1 }],
];

for (const [name, result, kept] of KEPT) {
  Deno.test(`checkedOutcome() keeps a result with ${name} as JSON has it`, () => {
    assertEquals(completed(result), { kind: "completed", result: kept });
  });
}

const cyclic: Record<string, unknown> = { name: "me" };
cyclic.self = cyclic;

const UNKEPT: [name: string, result: unknown, why: string][] = [
  ["is cyclic", cyclic, "circular"],
  ["is a function", () => {}, "function"],
  ["is a symbol", Symbol("x"), "symbol"],
  ["throws", {
    toJSON: () => {
      throw new Error("mine");
    },
  }, "mine"],
  ["is nested without end", nested(100_000), "nested"],
];

Deno.test("checkedOutcome() keeps the text of a result that is nested too deep", () => {
  const { result, message = "" } = completed(nested(150));
  const text = `${"[".repeat(151)}${"]".repeat(151)}`;
  assertEquals(result, { unkept: message, text });
});

function nested(depth: number): unknown {
  let value: unknown = [];
  for (let n = 0; n < depth; n++) value = [value];
  return value;
}

for (const [name, result, why] of UNKEPT) {
  Deno.test(`checkedOutcome() completes a run whose result ${name}, and says so`, () => {
    const { result: kept, message = "" } = completed(result);
    assertStringIncludes(message, "The result can't be kept");
    assertStringIncludes(message, why);
    assertEquals((kept as JsonObject).unkept, message);
  });
}

Deno.test("checkedOutcome() keeps a copy that nobody can change", () => {
  const result = { list: [1] };
  const outcome = completed(result);
  result.list.push(2);
  assertEquals(outcome.result, { list: [1] });
});

Deno.test("checkedOutcome() keeps a result of 1 MiB whole", () => {
  const text = "x".repeat(MAX_RESULT_CHARACTERS - 2);
  assertEquals(completed(text), { kind: "completed", result: text });
});

for (
  const [name, result] of [
    ["text", "x".repeat(MAX_RESULT_CHARACTERS)],
    ["list", Array(MAX_RESULT_CHARACTERS).fill("x")],
  ] as const
) {
  Deno.test(`checkedOutcome() keeps the head of a ${name} that is longer, and says so`, () => {
    const outcome = checked({ kind: "completed", result, message: "Done" });
    assert(outcome.kind === "completed");
    const { truncated } = outcome.result as { truncated: string };
    assertEquals(truncated.length, KEPT_RESULT_CHARACTERS);
    const head = name === "text" ? result : JSON.stringify(result);
    assert(String(head).startsWith(truncated));
    assertStringIncludes(outcome.message ?? "", "Done. The result was cut");
    assert(stringifyJson(outcome.result ?? null).length < 2 ** 20 * 2);
  });
}

Deno.test("checkedOutcome() keeps of a usage what can be one", () => {
  const usage = {
    ...{ input: 1e300, output: 2, cached: -1, costUsd: NaN },
    ...{ model: "m".repeat(200), other: 5 },
  };
  assertEquals(checkedOutcome({ kind: "completed", usage }), {
    kind: "completed",
    usage: { output: 2, model: "m".repeat(100) },
  });
  for (const none of [null, "5", { model: "m" }, []]) {
    const outcome = { kind: "completed", usage: none } as unknown as Outcome;
    assertEquals(checkedOutcome(outcome), { kind: "completed" });
  }
});
