import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { fileURLToPath } from "node:url";
import type { ProgramVersion } from "../../../lib/processors/processor.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { sampleTask } from "../../support/sample_task.ts";
import { AgentRun, result, say, TASK_ID } from "./run_agent.ts";

const CLI = [say(result("Done"))];

Deno.test("describe() says what an agent would be told, and by whom checked", async () => {
  await using run = await AgentRun.make({
    cli: CLI,
    config: {
      program: "plain-agent",
      model: "big-1",
      verify: ["npm", "test"],
      args: ["--fast"],
    },
  });
  const said = run.processor.describe?.(run.taskWith());
  assertMatch(
    said ?? "",
    new RegExp(
      `^runs plain-agent --permissions=edit --model=big-1 --new=${TASK_ID} ` +
        `--fast -- "Mend it.*", then npm test$`,
    ),
  );
  assertEquals(await run.calls(), []);
});

Deno.test("describe() says in which session an agent would go on", async () => {
  await using run = await AgentRun.make({
    cli: CLI,
    trace: {
      session: { agent: "plain", id: "abc", folder: "/x" },
      last_error: "No luck",
      last_failed_at: "2026-01-01T00:00:00Z",
    },
  });
  assertStringIncludes(
    run.processor.describe?.(run.taskWith()) ?? "",
    '--resume=abc -- "The last attempt ended with: No luck. Go on."',
  );
});

Deno.test("check() finds nothing wrong, and starts nothing", async () => {
  await using run = await AgentRun.make({ cli: CLI });
  assertEquals(await run.processor.check?.(), []);
  assertEquals(await run.calls(), []);
});

Deno.test("check() finds a program, a folder and a variable that are missing", async () => {
  await using run = await AgentRun.make({
    cli: CLI,
    config: {
      program: "no-agent",
      workspace: undefined,
      cwd: "nowhere",
      secrets: ["API_KEY"],
    },
  });
  const [program, folder, variable, ...rest] = await run.processor.check?.() ??
    [];
  assertMatch(program ?? "", /^The program no-agent is not on PATH/);
  assertMatch(folder ?? "", /nowhere can't be used: it does not exist/);
  assertMatch(variable ?? "", /^The variable API_KEY is not set/);
  assertEquals(rest, []);
});

Deno.test("version() tells it, and whether its stream is known", async () => {
  for (
    const [script, version] of [
      ["echo 'Plain 1.2.3 (beta)'", "plain 1.2.3"],
      ["echo 1.3.0-rc.1", "plain 1.3.0-rc.1 (not tried; known: 1.2.3)"],
    ] as const
  ) {
    await using run = await AgentRun.make({ cli: [script] });
    assertEquals(await run.processor.version?.(), { version });
    assertEquals(await run.calls(), [["--version"]]);
  }
});

for (
  const [script, how] of [
    ["echo what; exit 3", "ended with exit code 3"],
    ["echo what", "printed none"],
    ["kill -9 $$", "was ended by SIGKILL"],
  ] as const
) {
  Deno.test(`version() says of a program that tells none that it ${how}`, async () => {
    await using run = await AgentRun.make({ cli: [script] });
    assertUnknown(
      await run.processor.version?.(),
      new RegExp(` --version ${how}$`),
    );
  });
}

Deno.test("version() says of a program that it can't be started", async () => {
  await using run = await AgentRun.make({
    cli: CLI,
    config: { program: "./none" },
  });
  assertUnknown(
    await run.processor.version?.(),
    /^\.\/none --version can't be started: /,
  );
});

Deno.test("version() does not wait for ever", async () => {
  const clock = new FakeClock({ autoAdvance: true });
  await using run = await AgentRun.make({ cli: ["exec sleep 300"], clock });
  assertUnknown(
    await run.processor.version?.(),
    / --version did not answer within 30 s$/,
  );
});

function assertUnknown(told: ProgramVersion | undefined, why: RegExp): void {
  assert(told && "unknown" in told, JSON.stringify(told));
  assertMatch(told.unknown, why);
}

for (
  const [text, why] of [
    ["export default { name: 'x' };", /its default export must be a Dialect/],
    ["export const x = 1;", /its default export must be a Dialect/],
    ["throw new Error('No luck');", /No luck/],
    [undefined, /Module not found/],
  ] as const
) {
  Deno.test(`agent of a user's file ${text} can't be used, and costs no attempt`, async () => {
    await using run = await AgentRun.make({
      cli: CLI,
      config: { agent: "./mine.ts" },
      files: text === undefined ? {} : { "mine.ts": text },
    });
    const problems = await run.processor.check?.() ?? [];
    assertEquals(problems.length, 1);
    assertMatch(problems[0] ?? "", /^Cannot use the agent .*mine\.ts: /);
    assertMatch(problems[0] ?? "", why);
    assertEquals(run.processor.describe?.(sampleTask()), problems[0]);
    const outcome = await run.run();
    assert(outcome.kind === "failed" && outcome.isUnbegun);
  });
}

Deno.test("agent of the example's file is started, read, and gone on with", async () => {
  await using run = await AgentRun.make({
    cli: [
      say(
        { type: "session", id: "m-1" },
        { type: "tool", tool: "Edit", target: "a.ts" },
        {
          type: "text",
          text: '{"agent_runner": "question", "question": "Which?"}',
        },
      ),
      say({ type: "text", text: "All is done." }),
    ],
    config: {
      agent: fileURLToPath(
        new URL("../../../examples/agent/my_agent.ts", import.meta.url),
      ),
    },
  });
  const { printed: _, ...asked } = await run.run();
  assertEquals(asked, { kind: "needs_input", question: "Which?" });
  const answers = [{ question: "Which?", answer: "Red", answered_at: "" }];
  const outcome = await run.run({ task: { attempt: 2 }, trace: { answers } });
  assertEquals(outcome, { kind: "completed", result: "All is done." });
  assertEquals(run.lines, [
    ["tool", "Edit a.ts"],
    ["text", "Asks: Which?"],
    ["text", "All is done."],
  ]);
  assertEquals((await run.calls())[1], [
    "--json",
    "--allow=edit",
    "--resume=m-1",
    "--",
    "Red",
  ]);
});

Deno.test("agent has its tasks' folders below the user's state", async () => {
  const base = await Deno.makeTempDir();
  for (
    const [variables, folder] of [
      [{ HOME: base }, ".local/state/agent-runner/workspaces"],
      [
        { HOME: "/no", XDG_STATE_HOME: `${base}/x` },
        "x/agent-runner/workspaces",
      ],
      [
        { XDG_STATE_HOME: "/no", STATE_DIRECTORY: `${base}/s:/t` },
        "s/workspaces",
      ],
    ] as const
  ) {
    await using run = await AgentRun.make({
      cli: CLI,
      config: { workspace: undefined },
      variables,
    });
    assertEquals(await run.processor.check?.(), []);
    assertEquals((await run.run()).kind, "completed");
    // It is kept: what the agent made is in it.
    const path = `${base}/${folder}/${TASK_ID}`;
    assertEquals(run.sessions[0]?.folder, path);
    assert((await Deno.stat(path)).isDirectory);
  }
  await Deno.remove(base, { recursive: true });
});

Deno.test("agent without a place for its folders can't be used", async () => {
  await using run = await AgentRun.make({
    cli: CLI,
    config: { workspace: undefined },
  });
  const [problem = ""] = await run.processor.check?.() ?? [];
  assertStringIncludes(problem, "HOME is not set");
  const outcome = await run.run();
  assert(outcome.kind === "failed" && outcome.isUnbegun);
  assertEquals(outcome.error, problem);
});

for (
  const [keepWorkspace, end, isKept] of [
    ["never", say(result("Done")), false],
    ["failed", say(result("Done")), false],
    [
      "never",
      say({ end: { error: { kind: "permanent", message: "No" } } }),
      false,
    ],
    [
      "failed",
      say({ end: { error: { kind: "permanent", message: "No" } } }),
      true,
    ],
    [
      "never",
      say({ end: { error: { kind: "retryable", message: "No" } } }),
      true,
    ],
    ["never", say({ end: { error: { kind: "limit", message: "No" } } }), true],
  ] as const
) {
  Deno.test(`agent ${isKept ? "keeps" : "removes"} its folder with ${keepWorkspace} after ${end}`, async () => {
    await using run = await AgentRun.make({
      cli: [end],
      config: { keepWorkspace },
    });
    await run.run();
    assertEquals(
      [...Deno.readDirSync(run.path("work"))].length,
      isKept ? 1 : 0,
    );
  });
}
