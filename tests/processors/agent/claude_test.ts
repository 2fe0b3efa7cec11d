import { assertEquals } from "@std/assert";
import { claude } from "../../../lib/processors/agent/claude.ts";
import type { JsonObject } from "../../../lib/task/task.ts";
import type { Usage } from "../../../lib/task/usage.ts";
import { readPieces, recordingsOf, testRecordings } from "./recorded.ts";

const OPUS = "claude-opus-4-8[1m]";

/** The script's server counts 1,000 tokens in and 50 out for each request. */
function used(requests: number, costUsd: number, model = OPUS): Usage {
  return {
    input: 1_000 * requests,
    output: 50 * requests,
    cached: 0,
    costUsd,
    model,
  };
}

const NOTHING = used(0, 0);
const NOT_FOUND = { input: 0, output: 0, cached: 0, costUsd: 0 };
const DONE = "Done: hello.txt is written.";
const ACCOUNT_LIMIT = "API Error: Request rejected (429) · " +
  "This request would exceed your account's rate limit. " +
  "Please try again later.";

testRecordings("claude", {
  "allowed-warning-subscriber": {
    result: DONE,
    session: "5989b2d5-4540-493c-9521-5ceca607f73b",
    usage: used(1, 0.00375, "claude-sonnet-5"),
  },
  "ask": {
    result: "Nobody answered; I stop.",
    session: "2ca89db9-e469-4970-90f1-8a60c2dcc93f",
    usage: used(2, 0.0125),
  },
  "ask-text": {
    result:
      'I need a decision.\n{"agent_runner": "question", "question": "Delete release/1.x?"}',
    session: "296bd0ef-f317-4314-be5a-af4bb2c6c1f3",
    usage: used(1, 0.00625),
  },
  "bad-flag": {
    error: "permanent",
    says: "unknown option '--no-such-flag'",
  },
  // It asks once more without a stream, which is not cut.
  "drop-middle": {
    result: "A long answer that is cut in the middle.",
    session: "85b695cf-e9db-4564-8f39-d958b2e8edb5",
    usage: used(1, 0.00625),
  },
  "empty-answer": {
    error: "retryable",
    says: "claude ended without a result",
    session: "c8fb7644-180d-4844-9f4e-8dbf5518e300",
    usage: used(2, 0.0125),
  },
  "error-400": {
    error: "permanent",
    says: "API Error: 400 messages: at least one message is required",
    session: "b0d9a11d-d18e-46f0-9cf1-3325becda916",
    usage: NOTHING,
  },
  // Ended by hand while it still tried.
  "error-401": {
    error: "retryable",
    says: "claude was ended by SIGKILL. The last it said: " +
      "Retry 7/10 in 39 s: authentication_failed (401)",
    session: "eccd89cb-d3ad-43c1-b1c2-91a0b4ceb030",
  },
  "error-429": {
    error: "limit",
    says: "API Error: Request rejected (429) · " +
      "Number of requests has exceeded your rate limit",
    session: "f7aaa941-b466-4f39-aada-3278e3cdbe2e",
    usage: NOTHING,
  },
  "error-429-once": {
    result: DONE,
    session: "e6ffd7d1-1581-4d31-9b23-d685e43e41a3",
    usage: used(1, 0.00625),
  },
  "error-500": {
    error: "retryable",
    says:
      "API Error: 500 Internal server error. This is a server-side issue, " +
      "usually temporary — try again in a moment. If it persists, check your " +
      "inference gateway (127.0.0.1:PORT).",
    session: "89961162-3edf-4211-ada3-5e3445683f7f",
    usage: NOTHING,
  },
  "hang-middle-sigterm": {
    error: "retryable",
    says: "claude ended with exit code 143",
    session: sessionOf("hang-middle-sigterm"),
  },
  "hang-sigterm": {
    error: "retryable",
    says: "claude ended with exit code 143",
    session: sessionOf("hang-sigterm"),
  },
  "limit-credit": {
    error: "permanent",
    isAccount: true,
    says: "Credit balance is too low",
    session: "24486e22-1f18-4bb0-9532-d7e731ef4c3c",
    usage: NOTHING,
  },
  "limit-midway": {
    error: "limit",
    says: ACCOUNT_LIMIT,
    session: "091bc5dd-3430-44b5-b526-4a3871e7244d",
    usage: used(1, 0.00625),
  },
  // Ended by hand while it still tried.
  "limit-minute": {
    error: "retryable",
    says: "claude was ended by SIGKILL. The last it said: " +
      "Retry 8/10 in 38 s: rate_limit (429)",
    session: "e033c196-6a95-4a81-8608-95e23f5a4967",
  },
  "limit-plan": {
    error: "limit",
    says: ACCOUNT_LIMIT,
    session: "34e32c65-17fe-4ef4-8b28-f6d6a1d0f0be",
    usage: NOTHING,
  },
  "limit-plan-subscriber": {
    error: "limit",
    says: "You've hit your session limit · resets 4:33am (UTC)",
    until: new Date("2026-11-28T04:33:35Z"),
    session: "c6dc130d-ff2a-4af5-9f48-c6544c85f406",
    usage: used(0, 0, "claude-sonnet-5"),
  },
  "limit-quota": {
    error: "limit",
    says: "API Error: Request rejected (429) · This request would exceed the " +
      "rate limit for your organization of 50,000 input tokens per minute.",
    session: "32e62fdd-c9d7-44a1-a134-140801be8f92",
    usage: NOTHING,
  },
  "limit-retry-after": {
    error: "limit",
    says: "API Error: Request rejected (429) · Usage limit reached",
    session: "0fe648b2-79c7-43bf-ba53-052a53ae88ce",
    usage: NOTHING,
  },
  "max-turns": {
    error: "permanent",
    says: "Reached maximum number of turns (1)",
    session: "2aa52c2e-7712-456b-8dad-cfb5323e5494",
    usage: used(1, 0.00625),
  },
  "no-key": {
    error: "permanent",
    isAccount: true,
    says: "Not logged in · Please run /login",
    session: "e5a2a63d-1045-4818-a907-4afa59c9f27d",
    usage: NOTHING,
  },
  "permission-denied": {
    result: DONE,
    session: "b4276b67-1e26-4f7f-9ed9-0c73be4c18b6",
    usage: used(2, 0.0125),
    denied: ["Write /home/user/project/hello.txt"],
  },
  "session-cut": {
    error: "retryable",
    says: "claude ended with exit code 143",
    session: "7adf32fe-c4a7-45af-8623-ddefb8270aaa",
  },
  "session-id-again": {
    error: "session lost",
    says: "Session ID 550e8400-e29b-41d4-a716-446655440000 is already in use.",
  },
  "session-resume": {
    result: "It was 42.",
    session: "a3f7ea84-74a1-4c0f-bcf7-d6e731022283",
    usage: used(1, 0.00625, "claude-opus-4-8"),
  },
  "session-resume-other-folder": {
    error: "session lost",
    says:
      "No conversation found with session ID: a3f7ea84-74a1-4c0f-bcf7-d6e731022283",
    usage: NOT_FOUND,
  },
  "session-resume-unknown": {
    error: "session lost",
    says:
      "No conversation found with session ID: 11111111-2222-4333-8444-555555555555",
    usage: NOT_FOUND,
  },
  "success": {
    result: DONE,
    session: "8b9b9aea-624b-4448-99d0-2a0d346f5dfc",
    usage: used(2, 0.0125),
  },
  // Not as it is run here: without the lines before the last, and in text alone.
  "success-json": {
    result: DONE,
    session: "66508a1f-6426-4770-bd9f-9e30b236ef19",
    usage: used(2, 0.0125),
  },
  "success-text": {
    error: "retryable",
    says: "claude ended without a result",
  },
  "tool-sigterm": {
    error: "retryable",
    says: "claude ended with exit code 143. The last it said: " +
      "Retry 1/10 in 0.5 s: unknown",
    session: "1dafbcb1-1bf8-4fa4-92c4-da3f6dabf907",
  },
});

function sessionOf(name: string): string {
  const [first = ""] = recordingsOf("claude").get(name)!.stdout.split("\n");
  return JSON.parse(first).session_id;
}

Deno.test("claude.read() tells what the agent says and does, in its order", () => {
  const recording = recordingsOf("claude").get("ask")!;
  const { signs } = readPieces(recording, [recording.stdout]);
  assertEquals(signs.slice(1, -1), [
    { kind: "text", text: "I must ask." },
    { kind: "tool", name: "ask_user", target: "Which branch shall I use?" },
    {
      kind: "tool failed",
      message: "Error: No such tool available: ask_user",
    },
    { kind: "text", text: "Nobody answered; I stop." },
  ]);
});

Deno.test("claude.read() tells of a limit that is near", () => {
  const recording = recordingsOf("claude").get("allowed-warning-subscriber")!;
  const { signs } = readPieces(recording, [recording.stdout]);
  assertEquals(signs.filter(({ kind }) => kind === "notice"), [
    { kind: "notice", text: "92% of the five_hour limit is used" },
  ]);
});

Deno.test("claude.read() takes a limit for the end where it was ended in it", () => {
  const reader = claude.read({ now: () => new Date() });
  reader.line({
    type: "rate_limit_event",
    rate_limit_info: { status: "rejected", resetsAt: 1_795_840_415 },
  });
  const ended = { code: 1, signal: "SIGKILL", plain: "", stderr: "" };
  assertEquals(reader.end(ended).error, {
    kind: "limit",
    message: "The usage limit is reached",
    until: new Date("2026-11-28T04:33:35Z"),
  });
});

for (
  const [status, isAccount] of [[401, true], [403, true], [400, undefined]]
) {
  Deno.test(`claude.read() takes status ${status} for permanent, of the account: ${isAccount}`, () => {
    const reader = claude.read({ now: () => new Date() });
    reader.line({
      type: "result",
      subtype: "success",
      is_error: true,
      api_error_status: status as number,
      result: "API Error",
    });
    const ended = { code: 1, signal: null, plain: "", stderr: "" };
    const { error } = reader.end(ended);
    assertEquals([error?.kind, error?.isAccount], ["permanent", isAccount]);
  });
}

Deno.test("claude.read() shows what a helper of the agent does, not what it says", () => {
  const reader = claude.read({ now: () => new Date() });
  const content: JsonObject[] = [
    { type: "text", text: "I am only a helper." },
    { type: "tool_use", name: "Read", input: { file_path: "a.ts" } },
  ];
  assertEquals(
    reader.line({
      type: "assistant",
      parent_tool_use_id: "toolu_1",
      error: "rate_limit",
      message: { content },
    }),
    [{ kind: "tool", name: "Read", target: "a.ts" }],
  );
});

Deno.test("claude.read() takes a refusal to be let all as root for permanent", () => {
  const message = "--dangerously-skip-permissions cannot be used with " +
    "root/sudo privileges for security reasons";
  const reader = claude.read({ now: () => new Date() });
  const ended = { code: 1, signal: null, plain: "", stderr: `${message}\n` };
  assertEquals(reader.end(ended).error, { kind: "permanent", message });
});

Deno.test("claude.read() tells of a tool that was taken from it, of which its end is silent", () => {
  const reader = claude.read({ now: () => new Date() });
  const call: JsonObject = {
    type: "tool_use",
    id: "toolu_1",
    name: "Write",
    input: { file_path: "notes.md", content: "" },
  };
  const answer: JsonObject = {
    type: "tool_result",
    tool_use_id: "toolu_1",
    is_error: true,
    content: "<tool_use_error>Error: No such tool available: Write. Write " +
      "exists but is not enabled in this context.</tool_use_error>",
  };
  reader.line({ type: "assistant", message: { content: [call] } });
  assertEquals(reader.line({ type: "user", message: { content: [answer] } }), [
    { kind: "denied", detail: "Write notes.md" },
  ]);
});
