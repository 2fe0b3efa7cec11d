import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { FakeClock } from "../../support/fake_clock.ts";
import { until } from "../../support/until.ts";
import {
  AgentRun,
  failure,
  question,
  result,
  say,
  TASK_ID,
} from "./run_agent.ts";

/** Passes when the agent has made the file. */
const VERIFY = [
  "sh",
  "-c",
  'test -e good || { echo "no $0 file"; exit 3; }',
  "a",
];
const FAILED = "no a file\nIts exit code was 3.";
const NAME = `\`sh -c "test -e good || { echo \\"no $0 file\\"; exit 3; }" a\``;

Deno.test("agent's work is completed when its check passes", async () => {
  await using run = await AgentRun.make({
    cli: [`touch good; ${say(result("Done"))}`],
    config: { verify: VERIFY },
  });
  assertEquals(await run.run(), {
    kind: "completed",
    result: "Done",
    message: `${NAME} passed`,
  });
  assertEquals(run.noted("checked"), [`${NAME} passed`]);
});

Deno.test("agent gets what its check printed, in its session", async () => {
  const used = { usage: { input: 2, output: 1 } };
  await using run = await AgentRun.make({
    cli: [
      say(result("Done", used)),
      say(result("Done", used)),
      `touch good; ${say(result("Really", used))}`,
    ],
    config: { verify: VERIFY },
  });
  assertEquals(await run.run(), {
    kind: "completed",
    result: "Really",
    message: `${NAME} passed`,
    usage: { input: 6, output: 3 },
  });
  const resumed = `--resume=${TASK_ID}`;
  assertEquals(await run.starts(), [`--new=${TASK_ID}`, resumed, resumed]);
  assertEquals(
    (await run.prompts())[1],
    `It is not done yet: ${NAME} failed. What it printed:\n${FAILED}\n\n` +
      "Mend that, and go on until it passes.",
  );
  assertEquals(
    run.noted("check_failed"),
    Array(2).fill(
      `${NAME} failed: ${FAILED}`,
    ),
  );
  assertEquals(run.noted("session"), [`plain ${TASK_ID}`]);
});

for (const [rounds, calls] of [[undefined, 4], [1, 2], [0, 1]] as const) {
  Deno.test(`agent fails for good after ${calls} checks with verifyRounds ${rounds}`, async () => {
    await using run = await AgentRun.make({
      cli: [say(result("Done"))],
      config: { verify: VERIFY, verifyRounds: rounds },
    });
    const { printed: _, ...outcome } = await run.run();
    assertEquals(outcome, {
      kind: "failed",
      error: `${NAME} failed: ${FAILED}`,
      retryable: false,
    });
    assertEquals((await run.calls()).length, calls);
    assertEquals(run.noted("check_failed").length, calls);
  });
}

Deno.test("agent gets the check's output with the whole story with resume never, or without a session", async () => {
  for (
    const [config, second] of [
      [{ resume: "never" }, say(result("Done"))],
      [{}, "echo no such session >&2; exit 1"],
    ] as const
  ) {
    await using run = await AgentRun.make({
      cli: [say(result("Done")), second, say(result("Done"))],
      config: { ...config, verify: VERIFY, verifyRounds: 1 },
    });
    assertEquals((await run.run()).kind, "failed");
    const prompt = (await run.prompts()).at(-1) ?? "";
    assert(prompt.startsWith("Mend it\n\nIt is not done yet: "), prompt);
    assertStringIncludes(prompt, FAILED);
  }
});

Deno.test("agent's questions and failures are not checked", async () => {
  for (const end of [question("Which?"), failure("permanent", "No")]) {
    await using run = await AgentRun.make({
      cli: [say(end)],
      config: { verify: ["sh", "-c", "touch checked; exit 1"] },
    });
    assert((await run.run()).kind !== "completed");
    const { folder = "" } = run.sessions[0] ?? {};
    assertEquals([...Deno.readDirSync(folder)], []);
  }
});

Deno.test("agent is not begun where its check's program is missing", async () => {
  await using run = await AgentRun.make({
    cli: [say(result("Done"))],
    config: { verify: ["no-such-program"] },
  });
  const outcome = await run.run();
  assert(outcome.kind === "failed" && outcome.isUnbegun);
  assertStringIncludes(outcome.error, "no-such-program is not on PATH");
  assertEquals(await run.calls(), []);
  assertEquals(await run.processor.check?.(), [outcome.error]);
});

Deno.test("agent fails for good where its check can't be started", async () => {
  await using run = await AgentRun.make({
    cli: [say(result("Done"))],
    config: { verify: ["./not-made"] },
  });
  assertEquals(await run.processor.check?.(), []);
  const outcome = await run.run();
  assert(outcome.kind === "failed" && !outcome.retryable);
  assert(!outcome.isUnbegun);
  assertStringIncludes(outcome.error, "The work can't be checked. Cannot run ");
  assertEquals((await run.calls()).length, 1);
});

Deno.test("a check is seen from the task's folder, and may be beside the configuration", async () => {
  await using run = await AgentRun.make({
    cli: [
      `printf '#!/bin/sh\\necho mine' > mine; chmod +x mine; ` +
      say(result("Done")),
    ],
    config: { verify: ["{configDir}/check", "./mine"] },
    files: { "check": '#!/bin/sh\npwd; "$@"' },
  });
  await Deno.chmod(run.path("check"), 0o755);
  assertEquals((await run.run()).kind, "completed");
  assertEquals(run.lines, [
    ["stdout", await Deno.realPath(run.path("work", TASK_ID))],
    ["stdout", "mine"],
  ]);
});

Deno.test("a check is ended when the run is to stop", async () => {
  await using run = await AgentRun.make({
    cli: [say(result("Done", { usage: { input: 1 } }))],
    config: { verify: ["sh", "-c", "echo ready; sleep 300"] },
  });
  const outcome = run.run();
  await run.printed("ready");
  run.stop.abort("timeout");
  const { printed: _, ...rest } = await outcome;
  assertEquals(rest, {
    kind: "failed",
    error: "Stopped",
    retryable: true,
    usage: { input: 1 },
  });
  assertEquals(run.noted("check_failed"), []);
});

Deno.test("a check that prints nothing for idleTimeout has failed", async () => {
  const clock = new FakeClock();
  await using run = await AgentRun.make({
    cli: [say(result("Done"))],
    config: { verify: ["sh", "-c", "echo ready; sleep 300"], verifyRounds: 0 },
    clock,
  });
  const outcome = run.run();
  let isOver = false;
  outcome.finally(() => isOver = true);
  await until("it checks", async () => {
    await clock.advance(100);
    return run.lines.some(([, line]) => line === "ready");
  });
  await clock.advance(900_000);
  await until("it ends", async () => {
    await clock.advance(100);
    return isOver;
  });
  const ended = await outcome;
  assert(ended.kind === "failed" && !ended.retryable);
  assertStringIncludes(ended.error, "because it printed nothing any more");
});
