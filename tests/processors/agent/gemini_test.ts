import { assertEquals } from "@std/assert";
import { gemini } from "../../../lib/processors/agent/gemini.ts";
import { nextPacificMidnight } from "../../../lib/processors/agent/gemini_error.ts";
import type { Usage } from "../../../lib/task/usage.ts";
import { NOW, readPieces, recordingsOf, testRecordings } from "./recorded.ts";

const FLASH = "gemini-3.8-flash";

/**
 * The script's server counts 1,000 tokens in and 50 out for each request, that of
 * the router too.
 */
function used(requests: number, model = FLASH): Usage {
  return { input: 1_000 * requests, output: 50 * requests, cached: 0, model };
}

const ROUTED = used(1, "gemini-3.5-flash-lite");
const DONE = "Done: hello.txt is written.";

testRecordings("gemini", {
  // The question's tool is not offered to it.
  "ask": {
    result: "Nobody answered; I stop.",
    session: "569d6bcd-c818-43ba-87cf-7f2aa36dcc04",
    usage: used(3),
    denied: ["ask_user Which branch shall I use?"],
  },
  "ask-text": {
    result:
      'I need a decision.\n{"agent_runner": "question", "question": "Delete release/1.x?"}',
    session: "0cdcc884-9c69-4b6b-9c68-7353473d310f",
    usage: used(2),
  },
  "bad-flag": {
    error: "permanent",
    says: "Unknown arguments: such-flag, suchFlag",
  },
  "drop-middle": {
    error: "retryable",
    says: "terminated",
    session: "47603663-0356-43bf-b23a-f5f38ca1e6de",
    usage: ROUTED,
  },
  "empty-answer": {
    error: "retryable",
    says: "The model returned an empty response with no text or thoughts. " +
      "This may be a transient API issue; please try again.",
    session: "708f8733-64ea-40e7-9658-51a2af3bdb71",
    usage: used(5),
  },
  "error-400": {
    error: "permanent",
    says: "messages: at least one message is required",
    session: "f923c507-602c-44a7-9e64-94ce3116b287",
    usage: ROUTED,
  },
  "error-401": {
    error: "permanent",
    isAccount: true,
    says: "invalid x-api-key",
    session: "0e8ecfaf-fb27-4ab1-9bd4-f85be032098b",
    usage: ROUTED,
  },
  "error-429": {
    error: "retryable",
    says: "Number of requests has exceeded your rate limit",
    retryAfterMs: 900_000,
    session: "787413db-a5f4-4c4c-b93d-8c5cd9c8039a",
    usage: ROUTED,
  },
  "error-429-once": {
    result: DONE,
    session: "8a687657-a773-4441-96be-87c9ff782cff",
    usage: used(2),
  },
  "error-500": {
    error: "retryable",
    says: "Internal server error",
    session: "0bd3520d-361d-4e49-8bbf-0fd4a73e011f",
    usage: ROUTED,
  },
  "hang-sigterm": {
    error: "retryable",
    says: "gemini was ended by SIGKILL",
    session: "702af34c-9216-4f89-a053-44dc70240949",
  },
  // Its stderr has "Please retry in 7200s."
  "limit-plan": {
    error: "limit",
    says: "You have exhausted your daily quota on this model.",
    until: new Date(NOW.getTime() + 7_200_000),
    session: "53251fa0-5d55-4615-bb30-aa55198b304a",
    usage: ROUTED,
  },
  // Ended by hand while it still tried.
  "limit-retry-after": {
    error: "retryable",
    says: "gemini was ended by SIGKILL",
    session: "15590c06-b00a-4750-ab5d-f33a582f5fe1",
  },
  "no-key": {
    error: "permanent",
    isAccount: true,
    says: "When using Gemini API, you must specify the GEMINI_API_KEY " +
      "environment variable.",
  },
  // What writes is not offered to it.
  "permission-denied": {
    result: DONE,
    session: "391723c6-33cc-4b34-bda3-1f3fd894647b",
    usage: used(3),
    denied: ["shell printf '%s' 'hello ' > '/home/user/project/hello.txt'"],
  },
  "session-id-again": {
    error: "session lost",
    says: "Error starting session: Session ID " +
      '"550e8400-e29b-41d4-a716-446655440000" already exists. Use --resume to ' +
      "resume it, or provide a different ID.",
  },
  "session-resume": {
    result: "It was 42.",
    session: "c188b9e5-62cb-4f69-98fc-1027c27012d7",
    usage: used(2),
  },
  "session-resume-other-folder": {
    error: "session lost",
    says:
      "Error resuming session: No previous sessions found for this project.",
  },
  "session-resume-unknown": {
    error: "session lost",
    says: "Error resuming session: Invalid session identifier " +
      '"11111111-2222-4333-8444-555555555555".',
  },
  "success": {
    result: DONE,
    session: "a66d3013-b4ff-4bde-84a0-577a8de6106d",
    usage: used(3),
  },
  // Not as it is run here: one object in many lines, and text alone.
  "success-json": {
    error: "retryable",
    says: "gemini ended without a result",
  },
  "success-text": {
    error: "retryable",
    says: "gemini ended without a result",
  },
  "tool-sigterm": {
    error: "retryable",
    says: "gemini was ended by SIGKILL",
    session: "517e888b-1a82-47f0-a884-ec989051ae0e",
  },
  "untrusted": {
    error: "permanent",
    says: 'Approval mode overridden to "default" because the current folder ' +
      "is not trusted.",
  },
});

Deno.test("gemini.read() says of each piece of a text whether more follows", () => {
  const recording = recordingsOf("gemini").get("success")!;
  const { signs } = readPieces(recording, [recording.stdout]);
  assertEquals(signs.slice(1, -1), [
    { kind: "text", text: "I write t", isPart: true },
    { kind: "text", text: "he file." },
    {
      kind: "tool",
      name: "write_file",
      target: "/home/user/project/hello.txt",
    },
    { kind: "text", text: "Done: hello.tx", isPart: true },
    { kind: "text", text: "t is written." },
  ]);
});

function read(...lines: readonly Record<string, string | object>[]) {
  const reader = gemini.read({ now: () => new Date("2026-11-28T02:34:10Z") });
  for (const line of lines) reader.line(JSON.parse(JSON.stringify(line)));
  return (code: number, stderr = "") =>
    reader.end({ code, signal: null, plain: "", stderr });
}

const ANSWER = { type: "message", role: "assistant", content: "Done." };
const QUOTA =
  "[API Error: You have exhausted your daily quota on this model.]\nWait.";

Deno.test("gemini.read() takes the next midnight at the Pacific for a quota's end", () => {
  const end = read({
    type: "result",
    status: "error",
    error: { message: QUOTA },
  });
  assertEquals(end(173).error, {
    kind: "limit",
    message: "You have exhausted your daily quota on this model.",
    until: new Date("2026-11-28T08:00:00Z"),
  });
});

Deno.test("gemini.read() takes a wrong key for an error of the account, though its status is 400", () => {
  const message = "API key not valid. Please pass a valid API key.";
  const error = { code: 400, message, status: "INVALID_ARGUMENT" };
  const end = read({
    type: "result",
    status: "error",
    error: { message: `[API Error: ${JSON.stringify({ error })}]` },
  });
  assertEquals(end(144).error, { kind: "permanent", isAccount: true, message });
});

Deno.test("gemini.read() fails by an error after the last word, whatever the result", () => {
  const end = read(
    ANSWER,
    {
      type: "error",
      severity: "error",
      message: "Maximum session turns exceeded",
    },
    { type: "result", status: "success" },
  );
  assertEquals(end(0), {
    error: { kind: "permanent", message: "Maximum session turns exceeded" },
    usage: undefined,
  });
});

Deno.test("gemini.read() takes a warning for no error", () => {
  const end = read(
    ANSWER,
    { type: "error", severity: "warning", message: "Loop detected" },
    { type: "result", status: "success" },
  );
  assertEquals(end(0).result, "Done.");
});

Deno.test("gemini.read() counts thoughts as written, and cached tokens by themselves", () => {
  const end = read(ANSWER, {
    type: "result",
    status: "success",
    stats: {
      total_tokens: 1_150,
      input_tokens: 1_000,
      output_tokens: 50,
      cached: 400,
    },
  });
  assertEquals(end(0).usage, { input: 600, output: 150, cached: 400 });
});

const MIDNIGHTS: readonly (readonly [string, string])[] = [
  ["2026-07-01T06:59:59.500Z", "2026-07-01T07:00:00Z"],
  ["2026-07-01T07:00:00Z", "2026-07-02T07:00:00Z"],
  ["2026-12-31T20:00:00Z", "2027-01-01T08:00:00Z"],
  // Days of 23 and of 25 hours.
  ["2026-03-08T08:30:00Z", "2026-03-09T07:00:00Z"],
  ["2026-11-01T07:30:00Z", "2026-11-02T08:00:00Z"],
];

for (const [now, midnight] of MIDNIGHTS) {
  Deno.test(`nextPacificMidnight() finds ${midnight} from ${now}`, () => {
    assertEquals(nextPacificMidnight(new Date(now)), new Date(midnight));
  });
}
