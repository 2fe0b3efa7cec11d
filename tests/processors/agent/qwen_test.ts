import { assertEquals } from "@std/assert";
import { qwen } from "../../../lib/processors/agent/qwen.ts";
import type { Usage } from "../../../lib/task/usage.ts";
import { readPieces, recordingsOf, testRecordings } from "./recorded.ts";

/** The script's server counts 1,000 tokens in and 50 out for each request. */
function used(requests: number): Usage {
  return {
    input: 1_000 * requests,
    output: 50 * requests,
    cached: 0,
    model: "fake-model",
  };
}

const KILLED = {
  error: "retryable",
  says: "qwen was ended by SIGKILL",
} as const;
const DONE = "Done: hello.txt is written.";

testRecordings("qwen", {
  "ask": {
    result: "Nobody answered; I stop.",
    session: "4dbd9bcf-beb4-41c6-a197-518fa3f14900",
    usage: used(2),
    denied: ["ask_user Which branch shall I use?"],
  },
  "ask-text": {
    result:
      'I need a decision.\n{"agent_runner": "question", "question": "Delete release/1.x?"}',
    session: "c778aa79-ee8b-427d-930c-5de9dd882cf0",
    usage: used(2),
  },
  "bad-flag": {
    error: "permanent",
    says: "Unknown arguments: such-flag, suchFlag",
  },
  "drop-middle": {
    error: "retryable",
    says: "terminated (cause: other side closed)",
    session: "ddbd1304-fc12-4086-883c-b8f5baaba4ec",
    usage: used(0),
  },
  "empty-answer": {
    error: "retryable",
    says: "Model stream ended with empty response text.",
    session: "97fe367e-bf45-4dc4-aaf8-70f08ce1e632",
    usage: used(3),
  },
  "error-400": {
    error: "permanent",
    says: "400 messages: at least one message is required",
    session: "6e9bd854-0050-4d10-b356-5a34c10fa9db",
    usage: used(0),
  },
  "error-401": {
    error: "permanent",
    isAccount: true,
    says: "401 invalid x-api-key",
    session: "55e3fcca-e66f-4cf6-9817-d63720d309ed",
    usage: used(0),
  },
  // Ended by hand while it tried in silence, as the three limits below.
  "error-429": {
    ...KILLED,
    session: "553cb051-b241-4ff3-a902-0029afb74957",
  },
  "error-429-once": {
    result: DONE,
    session: "0783259e-e86d-442f-b9ce-6cc667d7db4b",
    usage: used(2),
  },
  "hang-sigterm": {
    error: "retryable",
    says: "qwen was ended by SIGTERM",
    session: "25fc03aa-2c64-40c0-810d-580cc285ddc9",
  },
  "limit-minute": {
    ...KILLED,
    session: "1c84dc48-9f85-43f3-905a-3bc8f8b5695f",
  },
  "limit-plan": {
    ...KILLED,
    session: "96c5bd1d-140e-4e13-8950-1134dc823865",
  },
  "limit-retry-after": {
    ...KILLED,
    session: "1df4ad97-c8e7-486a-99fd-a0bde1b1c6a6",
  },
  "max-turns": {
    error: "permanent",
    says:
      "Reached max session turns for this session. Increase the number of " +
      "turns by specifying maxSessionTurns in settings.json.",
    session: "4e4644f5-42bf-4cce-ab8b-ad48d9149fdb",
  },
  "no-key": {
    error: "permanent",
    isAccount: true,
    says: "Missing API key for OpenAI-compatible auth. Set " +
      "settings.security.auth.apiKey, or set the 'OPENAI_API_KEY' environment " +
      "variable.",
    usage: { input: 0, output: 0 },
  },
  // What writes is not offered to it.
  "permission-denied": {
    result: DONE,
    session: "bd9d2025-acea-4f88-998b-469912af1eb3",
    usage: used(2),
    denied: ["shell printf '%s' 'hello ' > '/home/user/project/hello.txt'"],
  },
  "session-id-again": {
    error: "session lost",
    says: "Session Id 550e8400-e29b-41d4-a716-446655440000 is already in use.",
  },
  // The sum of two runs.
  "session-resume": {
    result: "It was 42.",
    session: "77543560-b766-4272-ad17-7f1abce67731",
    usage: used(4),
  },
  "session-resume-other-folder": {
    error: "session lost",
    says: "No saved session found with ID " +
      "77543560-b766-4272-ad17-7f1abce67731. Run `qwen --resume` without an ID " +
      "to choose from existing sessions.",
  },
  "session-resume-unknown": {
    error: "session lost",
    says: "No saved session found with ID " +
      "11111111-2222-4333-8444-555555555555. Run `qwen --resume` without an ID " +
      "to choose from existing sessions.",
  },
  "success": {
    result: DONE,
    session: "aca9c383-9c32-4707-8b91-643453335312",
    usage: used(2),
  },
  // Not as it is run here: text alone.
  "success-text": {
    error: "retryable",
    says: "qwen ended without a result",
  },
  "tool-sigterm": {
    error: "retryable",
    says: "qwen was ended by SIGTERM",
    session: "b291b5ee-7667-46d3-a6f4-42f62ff6b974",
  },
});

Deno.test("qwen.read() takes what was used before off the session's sum", () => {
  const recording = recordingsOf("qwen").get("session-resume")!;
  const { end } = readPieces(recording, [recording.stdout], used(2));
  assertEquals(end.usage, used(2));
});

function errorOf(result: string) {
  const reader = qwen.read({ now: () => new Date() });
  reader.line({ type: "result", subtype: "success", is_error: false, result });
  return reader.end({ code: 0, signal: null, plain: "", stderr: "" }).error;
}

Deno.test("qwen.read() takes the status of an error of the API", () => {
  assertEquals(errorOf("[API Error: 429 Too many requests]"), {
    kind: "limit",
    message: "429 Too many requests",
  });
  assertEquals(errorOf("[API Error: 503 Overloaded]\nTry again."), {
    kind: "retryable",
    message: "503 Overloaded",
  });
  assertEquals(errorOf("[API Error: 402 Insufficient balance]"), {
    kind: "permanent",
    isAccount: true,
    message: "402 Insufficient balance",
  });
});

Deno.test("qwen.read() takes a text that only mentions such an error for a result", () => {
  assertEquals(errorOf("It prints [API Error: 401] now."), undefined);
});

Deno.test("qwen.read() tells what it was denied", () => {
  const reader = qwen.read({ now: () => new Date() });
  const signs = reader.line({
    type: "result",
    is_error: false,
    result: "Done.",
    permission_denials: [
      { tool_name: "write_file", tool_input: { file_path: "a.txt" } },
      { tool_name: "run_shell_command", tool_input: {} },
    ],
  });
  assertEquals(signs, [
    { kind: "denied", detail: "write_file a.txt" },
    { kind: "denied", detail: "run_shell_command" },
  ]);
});
