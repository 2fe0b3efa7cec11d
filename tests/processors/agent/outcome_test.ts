import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { FakeClock } from "../../support/fake_clock.ts";
import {
  AgentRun,
  type AgentRunOptions,
  failure,
  result,
  say,
  sign,
  TASK_ID,
} from "./run_agent.ts";

/** Runs an agent once, to its end. */
async function outcomeOf(
  cli: string,
  options: Omit<AgentRunOptions, "cli"> = {},
) {
  await using run = await AgentRun.make({ cli: [cli], ...options });
  return await run.run();
}

Deno.test("agent gives the value of a result line, also within a fence", async () => {
  const text =
    'There:\n```json\n{"agent_runner": "result", "value": {"pr": 1}}\n```';
  assertEquals(await outcomeOf(say(result(text))), {
    kind: "completed",
    result: { pr: 1 },
  });
});

Deno.test("agent runs in its folder with the task's variables and its own", async () => {
  await using run = await AgentRun.make({
    cli: [
      `pwd; echo "$AGENT_TASK_ID $PLAIN_PERMISSIONS $GIVEN"; cat; ` +
      say(result("Done")),
    ],
    config: { setEnv: { GIVEN: "yes" }, permissions: "read", model: "big-1" },
  });
  await run.run();
  assertEquals(run.lines.map(([, line]) => line), [
    await Deno.realPath(run.path("work", TASK_ID)),
    `${TASK_ID} read yes`,
  ]);
  const [args = []] = await run.calls();
  assertEquals(args.slice(0, 2), ["--permissions=read", "--model=big-1"]);
});

Deno.test("agent puts the user's arguments among its own", async () => {
  await using run = await AgentRun.make({
    cli: [say(result("Done"))],
    config: { args: ["--mcp", "{configDir}/mcp.json", "{id}"] },
  });
  await run.run();
  const [args = []] = await run.calls();
  assertEquals(args.slice(2, 6), ["--mcp", run.path("mcp.json"), "{id}", "--"]);
});

for (
  const [what, script, expected] of [
    [
      "permanent error",
      say(failure("permanent", "Invalid API key"), {}) + "; exit 0",
      { kind: "failed", error: "Invalid API key", retryable: false },
    ],
    [
      "error that may pass",
      say(failure("retryable", "Overloaded", { retryAfterMs: 900_000 })),
      {
        kind: "failed",
        error: "Overloaded",
        retryable: true,
        retryAfterMs: 900_000,
      },
    ],
    [
      "limit of which nobody knows the end",
      say(failure("limit", "Limit reached")),
      { kind: "limited", reason: "Limit reached" },
    ],
    [
      "exit code 0 without a last line",
      say({ end: {} }),
      {
        kind: "failed",
        error: "plain ended without a result (exit code 0)",
        retryable: true,
      },
    ],
    [
      "end without a stream",
      "kill -9 $$",
      {
        kind: "failed",
        error: "ended with 137: ",
        retryable: true,
      },
    ],
    [
      "line of 10 MB",
      `printf '%s' '{"sign":{"kind":"tool","name":"'; head -c 10000000 /dev/zero | ` +
      `tr '\\0' x; printf '%s\\n' '"}}'; ${say(result("Done"))}`,
      { kind: "completed", result: "Done" },
    ],
  ] as const
) {
  Deno.test(`agent understands a ${what}`, async () => {
    const { printed: _, ...outcome } = await outcomeOf(script);
    assertEquals(outcome, expected as typeof outcome);
  });
}

Deno.test("agent waits for a limit's end, by its clock", async () => {
  // A reader gives a date.
  const dialect = `export default {
    name: "limited", program: "x", knownVersions: [],
    args: () => [], openArgs: () => [],
    read: ({ now }) => ({ line: () => [], end: () => ({ error: {
      kind: "limit", message: "Five hours",
      until: new Date(now().getTime() + MS) } }) }),
  };`;
  for (const [ms, waitMs] of [[7_200_000, 7_200_000], [-5, 1_000]]) {
    await using run = await AgentRun.make({
      cli: ["exit 1"],
      config: { agent: "./limited.ts", idleTimeout: 0 },
      clock: new FakeClock({ autoAdvance: true }),
      files: { "limited.ts": dialect.replace("MS", String(ms)) },
    });
    assertEquals(await run.run(), {
      kind: "limited",
      reason: "Five hours",
      waitMs,
    });
  }
});

const DENIED = say(
  sign("denied", { detail: "Write notes.md" }),
  sign("denied", { detail: "Write notes.md" }),
  sign("denied", { detail: "Bash rm" }),
  result("Done"),
);

Deno.test("agent warns of what was not permitted, once each", async () => {
  await using run = await AgentRun.make({ cli: [DENIED] });
  assertEquals(await run.run(), {
    kind: "completed",
    result: "Done",
    warning: "Not permitted: Write notes.md, Bash rm",
  });
  assertEquals(run.noted("denied"), ["Write notes.md", "Bash rm"]);
  assertEquals(run.lines[0], ["notice", "Not permitted: Write notes.md"]);
});

Deno.test("agent fails for what was not permitted with onDenied fail", async () => {
  const { printed, ...outcome } = await outcomeOf(DENIED, {
    config: { onDenied: "fail", verify: ["false"] },
  });
  assertEquals(outcome, {
    kind: "failed",
    error:
      "Not permitted: Write notes.md, Bash rm. Give it more permissions, " +
      "or tell it to do without that.",
    retryable: false,
  });
  assert(printed?.stdout);
});

Deno.test("agent does not begin a task that says nothing, or too much", async () => {
  for (
    const [instruction, why] of [
      [" ", "Cannot run plain: the task has no instruction."],
      ["x".repeat(200_000), "what it is to be told has 200,"],
    ] as const
  ) {
    const outcome = await outcomeOf("true", { task: { instruction } });
    assert(outcome.kind === "failed" && !outcome.retryable);
    assertStringIncludes(outcome.error, why);
  }
});

Deno.test("agent takes by stdin what is too long for an argument", async () => {
  const instruction = `${"x".repeat(200_000)} pearl`;
  const agent = fileURLToPath(new URL("./sum_agent.ts", import.meta.url));
  const outcome = await outcomeOf(
    `for last; do :; done
     case "$last$(cat)" in (-x*pearl*JSON*) ${
      say(result("It is whole"))
    };; esac`,
    { config: { agent }, task: { instruction } },
  );
  assertEquals(outcome.kind === "completed" && outcome.result, "It is whole");
});

Deno.test("agent whose program is missing costs no attempt", async () => {
  const outcome = await outcomeOf("true", { config: { program: "./none" } });
  assert(outcome.kind === "failed" && outcome.isUnbegun);
});
