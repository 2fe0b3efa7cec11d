import { assertEquals } from "@std/assert";
import { codex } from "../../../lib/processors/agent/codex.ts";
import { nextTimeIn } from "../../../lib/processors/agent/codex_error.ts";
import type { Usage } from "../../../lib/task/usage.ts";
import { readPieces, recordingsOf, testRecordings } from "./recorded.ts";

/** The script's server counts 1,000 tokens in and 50 out for each request. */
function used(requests: number): Usage {
  return { input: 1_000 * requests, output: 50 * requests, cached: 0 };
}

const DONE = "Done: hello.txt is written.";
const LIMIT = {
  error: "limit",
  says: "You’ve hit your usage limit. Upgrade to Pro " +
    "(https://chatgpt.com/explore/pro), visit " +
    "https://chatgpt.com/settings/usage to purchase more credits or try again " +
    "at 4:34 AM.",
  until: new Date(2026, 10, 28, 4, 34),
} as const;
const QUOTA = {
  error: "permanent",
  isAccount: true,
  says: "Quota exceeded. Check your plan and billing details.",
} as const;
const THREAD = "01a22009-0ced-7a02-97ec-b7249e900ed8";

testRecordings("codex", {
  "ask": {
    result: "Nobody answered; I stop.",
    session: "01a22001-d44a-7e02-a0ff-fe18e726ec16",
    usage: used(2),
  },
  "ask-text": {
    result:
      'I need a decision.\n{"agent_runner": "question", "question": "Delete release/1.x?"}',
    session: "01a22001-ec88-79f0-82a9-5a7c9cbbcea1",
    usage: used(1),
  },
  "bad-flag": {
    error: "permanent",
    says: "unexpected argument '--no-such-flag' found",
  },
  "empty-answer": {
    error: "retryable",
    says: "codex ended without a result",
    session: "01a22001-efc3-7310-97c1-52280ad0aab5",
    usage: used(1),
  },
  "error-400": {
    error: "permanent",
    says: "messages: at least one message is required",
    session: "01a22001-78d4-7861-9242-494ecfc609cf",
  },
  "error-401": {
    error: "permanent",
    isAccount: true,
    says: "unexpected status 401 Unauthorized: invalid x-api-key, url: " +
      "http://127.0.0.1:PORT/v1/responses",
    session: "01a22001-7f14-7322-8e12-a496c9bc618d",
  },
  "error-429": {
    error: "retryable",
    says: "exceeded retry limit, last status: 429 Too Many Requests",
    retryAfterMs: 900_000,
    session: "01a22000-60a3-77b0-8558-a3de8fb012a3",
  },
  "error-429-once": {
    result: DONE,
    session: "01a22001-b3af-7c63-9e03-7200121af36b",
    usage: used(1),
  },
  "error-500": {
    error: "retryable",
    says: "We’re currently experiencing high demand, which may cause " +
      "temporary errors.",
    session: "01a22000-621b-70b2-9614-701efa9acb68",
  },
  "error-529": {
    error: "retryable",
    says: "unexpected status 529 <unknown status code>: Overloaded, url: " +
      "http://127.0.0.1:PORT/v1/responses",
    session: "01a22000-8870-7021-9b8c-647b74047f4e",
  },
  "hang-sigterm": {
    error: "retryable",
    says: "codex was ended by SIGTERM",
    session: "01a22002-788e-7d42-a582-fc94961fc2ba",
  },
  "limit-credit": {
    ...QUOTA,
    session: "01a22001-17e9-7a22-9d27-9bbb7c601740",
  },
  "limit-midway": {
    ...LIMIT,
    session: "01a22001-2e8f-7f53-87fc-b6a1923964a0",
  },
  "limit-plan": {
    ...LIMIT,
    session: "01a22000-fedf-7b21-aa97-97dae9e1df11",
  },
  // Not as it is run here: in text, with no line on stdout.
  "limit-plan-text": {
    error: "retryable",
    says: LIMIT.says,
  },
  "limit-quota": {
    ...QUOTA,
    session: "01a22000-ffbf-7f72-8f60-e85d4033b36f",
  },
  // Ended by hand while it waited.
  "limit-retry-after": {
    error: "retryable",
    says: "codex was ended by SIGKILL. The last it said: Reconnecting... 1/5 " +
      "(exceeded retry limit, last status: 429 Too Many Requests)",
    session: "01a22012-22a0-7a21-99d4-137d7d55c9af",
  },
  "no-key": {
    error: "permanent",
    isAccount: true,
    says: "Missing environment variable: `FAKE_KEY`.",
    session: "01a22002-429c-74f0-8a3a-3b7d1088f4f4",
  },
  "not-a-git-repository": {
    error: "permanent",
    says: "Not inside a trusted directory and --skip-git-repo-check was not " +
      "specified.",
  },
  "not-a-git-repository-yolo": {
    result: "Done.",
    session: "01a22016-cbdb-7f01-a122-925dc309310b",
    usage: used(2),
  },
  "permission-denied": {
    result: DONE,
    session: "01a22002-105f-7243-9383-a3e5913013af",
    usage: used(2),
    denied: [
      "patch rejected: writing is blocked by read-only sandbox; rejected by " +
      "user approval settings",
    ],
  },
  "sandbox-workspace-write": {
    result: DONE,
    session: "01a22002-35da-7a40-81c3-b99424b3cf48",
    usage: used(2),
  },
  "session-cut": {
    error: "retryable",
    says: "codex was ended by SIGTERM",
    session: "01a22009-85eb-76c0-91ef-9b952f76cfd9",
  },
  // Sums: of two runs, and of three.
  "session-resume": {
    result: "It was 42.",
    session: THREAD,
    usage: used(2),
  },
  "session-resume-other-folder": {
    result: "It was 42.",
    session: THREAD,
    usage: used(3),
  },
  "session-resume-unknown": {
    error: "session lost",
    says:
      "thread/resume: thread/resume failed: no rollout found for thread id " +
      "11111111-2222-4333-8444-555555555555 (code -32600)",
  },
  "success": {
    result: DONE,
    session: "01a22001-66a6-7ec2-bdfc-0cd7e0aef937",
    usage: used(2),
  },
  "success-text": {
    error: "retryable",
    says: "codex ended without a result",
  },
  "tool-fails": {
    result: "The tests fail; I could not do it.",
    session: "01a22001-c8fe-7d51-9bee-07165924671b",
    usage: used(2),
  },
  "tool-sigterm": {
    error: "retryable",
    says: "codex was ended by SIGTERM",
    session: "01a22011-3a1b-7410-a7a5-f852284cc66a",
  },
});

Deno.test("codex.read() takes what was used before off the thread's sum", () => {
  const recording = recordingsOf("codex").get("session-resume-other-folder")!;
  const { end } = readPieces(recording, [recording.stdout], used(2));
  assertEquals(end.usage, used(1));
});

Deno.test("codex.read() takes the sum of a thread that began anew as it is", () => {
  const recording = recordingsOf("codex").get("success")!;
  const { end } = readPieces(recording, [recording.stdout], used(3));
  assertEquals(end.usage, used(2));
});

Deno.test("codex.read() shows each tool once, and what failed", () => {
  const recording = recordingsOf("codex").get("tool-fails")!;
  const { signs } = readPieces(recording, [recording.stdout]);
  const target = "/bin/bash -lc 'echo broken >&2; exit 3'";
  assertEquals(signs.slice(1, -2), [
    { kind: "text", text: "I test." },
    { kind: "tool", name: "Run", target },
    { kind: "tool failed", message: `Run ${target}: broken` },
  ]);
});

Deno.test("codex.read() counts cached tokens by themselves", () => {
  const reader = codex.read({ now: () => new Date() });
  assertEquals(
    reader.line({
      type: "turn.completed",
      usage: {
        input_tokens: 900,
        cached_input_tokens: 700,
        output_tokens: 90,
        reasoning_output_tokens: 40,
      },
    }),
    [{ kind: "usage", usage: { input: 200, output: 90, cached: 700 } }],
  );
});

Deno.test("codex.read() forgets an error after which the agent went on", () => {
  const reader = codex.read({ now: () => new Date() });
  const item = { type: "agent_message", text: "Done." };
  reader.line({ type: "error", message: "stream disconnected" });
  reader.line({ type: "item.completed", item });
  reader.line({ type: "turn.completed" });
  const ended = { code: 0, signal: null, plain: "", stderr: "" };
  assertEquals(reader.end(ended).result, "Done.");
});

Deno.test("codex.read() fails by an error after the last word, whatever the exit code", () => {
  const reader = codex.read({ now: () => new Date() });
  const item = { type: "agent_message", text: "I begin." };
  reader.line({ type: "item.completed", item });
  reader.line({ type: "error", message: "stream disconnected" });
  reader.line({ type: "turn.completed" });
  const ended = { code: 0, signal: null, plain: "", stderr: "" };
  assertEquals(reader.end(ended).error, {
    kind: "retryable",
    message: "stream disconnected",
  });
});

const TIMES: readonly (readonly [string, Date, Date | undefined])[] = [
  ["4:34 AM", at(28, 2, 34), at(28, 4, 34)],
  ["4:34 AM", at(28, 4, 35), at(29, 4, 34)],
  ["12:05 AM", at(28, 23, 0), at(29, 0, 5)],
  ["12:05 PM", at(28, 11, 0), at(28, 12, 5)],
  ["11:59 PM", at(28, 23, 58), at(28, 23, 59)],
  // The very minute is not over.
  ["4:34 AM", at(28, 4, 34, 20), at(28, 4, 35)],
  ["Nov 30th, 2026 4:34 AM", at(28, 2, 34), at(30, 4, 34)],
  ["Nov 1st, 2026 4:34 PM", at(28, 2, 34), at(1, 16, 34)],
  ["Nov 30th, 2026\u202f4:34\u202fAM", at(28, 2, 34), at(30, 4, 34)],
  ["Foo 30th, 2026 4:34 AM", at(28, 2, 34), undefined],
  ["noon", at(28, 2, 34), undefined],
];

function at(day: number, hour: number, minute: number, second = 0): Date {
  return new Date(2026, 10, day, hour, minute, second);
}

for (const [text, now, until] of TIMES) {
  Deno.test(`nextTimeIn() reads ${text} at ${now.toTimeString().slice(0, 8)}`, () => {
    assertEquals(nextTimeIn(`or try again at ${text}.`, now), until);
  });
}
