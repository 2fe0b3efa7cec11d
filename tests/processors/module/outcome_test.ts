import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { moduleConfig } from "../../../lib/processors/module/config.ts";
import { linesOf } from "../../../lib/processors/module/lines.ts";
import { readMessage } from "../../../lib/processors/module/messages.ts";
import { loadAdvice } from "../../../lib/processors/module/module.ts";
import {
  OutcomeError,
  outcomeText,
} from "../../../lib/processors/module/outcome.ts";
import { LineLimit } from "../../../lib/processors/module/output.ts";
import { parseTrace } from "../../../lib/task/trace.ts";

const cyclic: Record<string, unknown> = {};
cyclic.self = cyclic;
const hostile = new Proxy({}, {
  get() {
    throw new Error("Go away");
  },
});

const OUTCOMES: [returned: object, outcome: object][] = [
  [{ kind: "completed" }, { kind: "completed" }],
  [
    { kind: "completed", result: { big: 2n ** 64n, list: [null] }, more: 1 },
    { kind: "completed", result: { big: 2n ** 64n, list: [null] } },
  ],
  [new Proxy({ kind: "completed" }, {}), { kind: "completed" }],
  [
    { kind: "failed", error: "Broken" },
    { kind: "failed", error: "Broken", retryable: true },
  ],
  [
    { kind: "failed", error: "No", retryable: false, retryAfterMs: 0 },
    { kind: "failed", error: "No", retryable: false, retryAfterMs: 0 },
  ],
  [
    { kind: "failed", error: "No key", pausesProvider: true },
    { kind: "failed", error: "No key", retryable: true, pausesProvider: true },
  ],
  [
    {
      kind: "failed",
      error: 'Requires net access to "a", run again with the --allow-net flag',
    },
    {
      kind: "failed",
      error: 'Requires net access to "a". Add it to "net" in the module\'s ' +
        "permissions.",
      retryable: true,
    },
  ],
  [
    { kind: "needs_input", question: "Why?" },
    { kind: "needs_input", question: "Why?" },
  ],
  [
    { kind: "limited", reason: "Weekly", waitMs: 5, usage: { input: 3 } },
    { kind: "limited", reason: "Weekly", waitMs: 5, usage: { input: 3 } },
  ],
];

Deno.test("outcomeText() keeps what belongs to an outcome", () => {
  for (const [returned, outcome] of OUTCOMES) {
    assertEquals<unknown>(parseTrace(outcomeText(returned)), outcome);
  }
});

const EXPECTED = /: expected an object whose "kind" is "completed", "failed", /;

const NONSENSE: [returned: unknown, error: RegExp][] = [
  [undefined, /^The plugin returned nothing: expected an object/],
  [null, /returned null/],
  ["completed", /returned the text "completed"/],
  [12n, /returned the bigint 12/],
  [() => {}, /returned a function/],
  [Symbol("s"), /returned a symbol/],
  [{}, EXPECTED],
  [[], EXPECTED],
  [{ kind: "aborted", reason: "shutdown" }, EXPECTED],
  [hostile, /returned an outcome that can't be read: Go away$/],
  [{ kind: "completed", result: cyclic }, /can't be read: Converting circular/],
  [{ kind: "completed", result: hostile }, /can't be read: Go away$/],
  [
    { kind: "completed", result: () => 1 },
    /a function as "result": expected J/,
  ],
  [
    { kind: "completed", message: 5 },
    /the number 5 as "message": expected a t/,
  ],
  [{ kind: "limited", waitMs: 5 }, /returned an outcome without "reason"/],
  [{ kind: "limited", reason: "a", waitMs: -1 }, /expected milliseconds/],
  [{ kind: "failed" }, /returned an outcome without "error"/],
  [{ kind: "failed", error: "" }, /returned an outcome with an empty "error"/],
  [{ kind: "failed", error: "a", retryable: 1 }, /expected true or false/],
  [{ kind: "failed", error: "a", retryAfterMs: -1 }, /expected milliseconds/],
  [{ kind: "failed", error: "a", pausesProvider: 1 }, /expected true or false/],
  [
    { kind: "failed", error: "a", retryAfterMs: NaN },
    /the number NaN as "retr/,
  ],
  [{ kind: "needs_input", question: cyclic }, /an object as "question"/],
];

Deno.test("outcomeText() says what is wrong with anything else", () => {
  for (const [returned, error] of NONSENSE) {
    const { message } = assertThrows(
      () => outcomeText(returned),
      OutcomeError,
    );
    assertMatch(message, error);
  }
});

Deno.test("readMessage() takes what a plugin's process may say, and no more", () => {
  for (
    const message of [
      { kind: "ready" },
      { kind: "output", run: 1, line: "a" },
      { kind: "outcome", run: 1, outcome: { kind: "completed" } },
    ]
  ) {
    assertEquals<unknown>(readMessage(JSON.stringify(message)), message);
    const more = JSON.stringify({ ...message, more: 1 });
    assertEquals<unknown>(readMessage(more), message);
  }
  for (
    const line of [
      "",
      "words",
      '{"kind":',
      '{"kind":"toString"}',
      '{"kind":"pong"}',
      '{"kind":"pong","ping":"1"}',
      '{"kind":"ready","name":1}',
      '{"kind":"outcome","run":1,"outcome":"x"}',
    ]
  ) assertEquals(readMessage(line), undefined, line);
  const long = { kind: "uncaught", error: "x".repeat(1e5) };
  assertMatch(JSON.stringify(readMessage(JSON.stringify(long))), /x… \(cut: /);
});

Deno.test("linesOf() gives lines, however they come, and no line too long", async () => {
  const linesIn = (...parts: string[]) =>
    Array.fromAsync(linesOf(
      ReadableStream.from(parts).pipeThrough(new TextEncoderStream()),
      { max: 5 },
    ));
  assertEquals(await linesIn("a\nb", "c", "\n\nde", "f"), [
    "a",
    "bc",
    "",
    "def",
  ]);
  assertEquals(await linesIn(), []);
  await assertRejects(() => linesIn("1234", "56"), RangeError, "more than 5");
});

Deno.test("LineLimit passes lines on, however they come", () => {
  const lines: string[] = [];
  const limit = new LineLimit((line) => lines.push(line), () => 0);
  for (const part of ["a\nb", "c\n", "", "\n", "rest"]) limit.write(part);
  assertEquals(lines, ["a", "bc", ""]);
  limit.write("x".repeat(1e6));
  limit.write("y".repeat(1e6) + "\nz\n");
  assertEquals(lines[3]!.length, 4_001);
  assertMatch(lines[3]!, /^restx+…$/);
  assertEquals(lines[4], "z");
});

Deno.test("LineLimit leaves out what is too much for a second, and says so", () => {
  const lines: string[] = [];
  let nowMs = 0;
  const limit = new LineLimit((line) => lines.push(line), () => nowMs);
  const line = "x".repeat(1_023);
  for (let i = 0; i < 1_000; i++) limit.write(`${line}\n`);
  assertEquals(lines.length, 256);
  nowMs = 1_000;
  limit.write("next\n");
  assertEquals(lines.slice(256), ["… 744 lines left out", "next"]);
});

Deno.test("loadAdvice() tells how to get packages into an executable", () => {
  const missing =
    "Could not find constraint 'openai@7' in the list of packages.";
  assertMatch(loadAdvice(missing, true), /deno bundle plugin\.ts/);
  assertMatch(loadAdvice("Module not found: jsr:@a/b", true), /deno bundle/);
  assertEquals(loadAdvice(missing, false), "");
  assertEquals(loadAdvice("it has no default export", true), "");
});

Deno.test("moduleConfig fills in what is not given", () => {
  assertEquals(moduleConfig.parse({ module: "a.ts" }), {
    module: "a.ts",
    options: {},
    permissions: {
      net: false,
      env: false,
      read: false,
      write: false,
      run: false,
      import: false,
      sys: false,
      ffi: false,
    },
    memory: 512,
    startTimeout: 30,
  });
});

Deno.test("moduleConfig refuses what it does not know", () => {
  for (
    const wrong of [
      {},
      { module: "" },
      { module: "a.ts", modul: "b.ts" },
      { module: "a.ts", permissions: { network: true } },
      { module: "a.ts", permissions: { net: "a.com" } },
      { module: "a.ts", permissions: { net: [""] } },
      { module: "a.ts", memory: 1.5 },
      { module: "a.ts", startTimeout: 0 },
    ]
  ) assert(!moduleConfig.safeParse(wrong).success, JSON.stringify(wrong));
});

Deno.test("readMessage() reads results that are nested as often as they may be, and more", () => {
  for (const depth of [1, 100, 5_000]) {
    const result = "[".repeat(depth) + "]".repeat(depth);
    const line = `{"kind": "outcome", "run": 1, "outcome": {"kind": ` +
      `"completed", "result": ${result}}}`;
    const message = readMessage(line.replace(": ", ":"));
    assertEquals(message?.kind, "outcome", `${depth}`);
  }
});
