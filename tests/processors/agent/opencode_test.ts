import { assertEquals } from "@std/assert";
import { opencode } from "../../../lib/processors/agent/opencode.ts";
import type { JsonObject } from "../../../lib/task/task.ts";
import type { Usage } from "../../../lib/task/usage.ts";
import { readPieces, recordingsOf, testRecordings } from "./recorded.ts";

/** The script's server counts 1,000 tokens in and 50 out for each step. */
function used(steps: number): Usage {
  return {
    input: 1_000 * steps,
    output: 50 * steps,
    cached: 0,
    costUsd: 0.00375 * steps,
  };
}

/** Ended by hand before it said anything. */
const KILLED = {
  error: "retryable",
  says: "opencode was ended by SIGKILL",
} as const;

testRecordings("opencode", {
  "ask": KILLED,
  "bad-flag": {
    error: "permanent",
    says: "opencode run [message..]",
  },
  "bad-model": {
    error: "retryable",
    says: "Unexpected server error. Check server logs for details.",
    session: "ses_ddfe6f118ffetbj45WZ3zwRYgB",
  },
  "drop-middle": {
    error: "retryable",
    says: "Cannot connect to API: The socket connection was closed " +
      "unexpectedly. For more information, pass `verbose: true` in the second " +
      "argument to fetch()",
    session: "ses_ddff9e207ffeHGPKhtAB0Cf6GH",
  },
  "error-400": {
    error: "permanent",
    says: "messages: at least one message is required",
    session: "ses_ddfebbab9ffetRBHzxt7VIblIt",
  },
  "error-401": {
    error: "permanent",
    isAccount: true,
    says: "invalid x-api-key",
    session: "ses_ddfe8cf6affe3SVfaCmUPQMMAf",
  },
  "error-429": {
    error: "retryable",
    says: "Number of requests has exceeded your rate limit",
    retryAfterMs: 900_000,
    session: "ses_ddffbc8fcffe9RLw5zWrW0FDix",
  },
  "error-429-once": KILLED,
  "error-500": {
    error: "retryable",
    says: "Internal server error",
    session: "ses_ddffbb32effe6Zu6yDXRt6YlHk",
  },
  "hang-sigterm": {
    error: "retryable",
    says: "opencode was ended by SIGTERM",
  },
  "limit-plan": KILLED,
  "limit-retry-after": KILLED,
  "permission-ask": {
    error: "permanent",
    says: "It may not do what it wanted to: read /etc/hostname",
    session: "ses_ddfe763bcffeF4ZfIDcWSDIUDt",
    usage: used(1),
    denied: ["read /etc/hostname"],
  },
  "session-resume": {
    result: "It was 42.",
    session: "ses_ddfdec9dfffe6Ej8hYoE7G4eeQ",
    usage: used(1),
  },
  "session-resume-unknown": {
    error: "session lost",
    says: "Session not found",
  },
  "success": {
    result: "Done: hello.txt is written.",
    session: "ses_ddfec98a6ffe9iObr6PeQ4hPe1",
    usage: used(2),
  },
  "tool-sigterm": {
    error: "retryable",
    says: "opencode was ended by SIGTERM",
    session: "ses_ddfe8ef82ffeUlSVeYfRJPEoYD",
  },
});

Deno.test("opencode.read() tells what the agent says and does, in its order", () => {
  const recording = recordingsOf("opencode").get("success")!;
  const { signs } = readPieces(recording, [recording.stdout]);
  assertEquals(signs.filter(({ kind }) => kind !== "usage").slice(1), [
    { kind: "text", text: "I write the file." },
    { kind: "tool", name: "write", target: "/home/user/project/hello.txt" },
    { kind: "text", text: "Done: hello.txt is written." },
  ]);
});

const NOW = new Date("2026-11-28T02:34:10Z");

function end(lines: readonly JsonObject[], code: number) {
  const reader = opencode.read({ now: () => NOW });
  for (const line of lines) reader.line({ sessionID: "ses_1", ...line });
  return reader.end({ code, signal: null, plain: "", stderr: "" });
}

function limited(error: JsonObject) {
  const data = {
    message: "The usage limit has been reached",
    statusCode: 429,
    isRetryable: true,
    responseBody: JSON.stringify({ error }),
  };
  return end([{ type: "error", error: { name: "APIError", data } }], 1).error;
}

Deno.test("opencode.read() finds a limit and its end in the API's own answer", () => {
  const kind = "limit";
  const message = "The usage limit has been reached";
  const until = new Date("2026-11-28T04:33:35Z");
  assertEquals(
    limited({ type: "usage_limit_reached", resets_at: 1_795_840_415 }),
    { kind, message, until },
  );
  assertEquals(
    limited({ type: "usage_limit_reached", resets_in_seconds: 7_165 }),
    { kind, message, until },
  );
  assertEquals(
    limited({ code: "insufficient_quota" }),
    { kind, message, until: undefined },
  );
});

Deno.test("opencode.read() waits as long as a server asks, and long at least", () => {
  const wait = (value: string) => {
    const responseHeaders = { "retry-after": value };
    const data = { statusCode: 429, responseHeaders };
    return end([{ type: "error", error: { data } }], 1).error?.retryAfterMs;
  };
  assertEquals(wait("7200"), 7_200_000);
  assertEquals(wait("1"), 900_000);
});

for (
  const [name, data, isAccount] of [
    ["ProviderAuthError", {}, true],
    ["APIError", { statusCode: 402 }, true],
    ["APIError", { statusCode: 403, isRetryable: false }, true],
    ["APIError", { statusCode: 404, isRetryable: false }, undefined],
    ["ProviderModelNotFoundError", {}, undefined],
  ] as const
) {
  const said = `${name} ${JSON.stringify(data)}`;
  Deno.test(`opencode.read() takes ${said} for permanent, of the account: ${isAccount}`, () => {
    const { error } = end([{ type: "error", error: { name, data } }], 1);
    assertEquals([error?.kind, error?.isAccount], ["permanent", isAccount]);
  });
}

const TEXT = { type: "text", part: { text: "I begin." } };

Deno.test("opencode.read() takes a step's end for the run's only where it says so", () => {
  const finish = (reason: string) => ({
    type: "step_finish",
    part: { reason },
  });
  assertEquals(end([TEXT, finish("stop")], 0).result, "I begin.");
  for (
    const lines of [
      [TEXT],
      [TEXT, finish("tool-calls")],
      [TEXT, finish("length")],
      [TEXT, finish("stop"), { type: "step_start" }],
    ]
  ) {
    assertEquals(end(lines, 0), {
      error: { kind: "retryable", message: "opencode ended without a result" },
      usage: undefined,
    });
  }
});

Deno.test("opencode.read() goes on after what a rule denies", () => {
  const state = {
    status: "error",
    input: { filePath: "a.txt" },
    error: "The user has specified a rule which prevents you from using this " +
      "specific tool call. Here are some of the relevant rules []",
  };
  const reader = opencode.read({ now: () => NOW });
  assertEquals(
    reader.line({ type: "tool_use", part: { tool: "write", state } }),
    [
      { kind: "tool", name: "write", target: "a.txt" },
      { kind: "denied", detail: "write a.txt" },
    ],
  );
  reader.line({ type: "text", part: { text: "I could not." } });
  reader.line({ type: "step_finish", part: { reason: "stop" } });
  assertEquals(
    reader.end({ code: 0, signal: null, plain: "", stderr: "" }).result,
    "I could not.",
  );
});

Deno.test("opencode.read() tells of a tool that was taken from it", () => {
  const error =
    "Model tried to call unavailable tool 'bash'. Available tools: " +
    "glob, grep, invalid, read.";
  const part = {
    tool: "invalid",
    state: { status: "completed", input: { tool: "bash", error } },
  };
  const reader = opencode.read({ now: () => NOW });
  assertEquals(reader.line({ type: "tool_use", part }), [
    { kind: "denied", detail: "bash" },
  ]);
});

Deno.test("opencode.read() leaves out what a helper of the agent says", () => {
  const helper = { ...TEXT, sessionID: "ses_2" };
  const finish = { type: "step_finish", part: { reason: "stop" } };
  const lines = [{ type: "step_start" }, helper, finish];
  assertEquals(end(lines, 0).result, undefined);
});
