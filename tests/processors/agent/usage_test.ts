import { assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { AgentRun, failure, result, say, sign } from "./run_agent.ts";

const SUM = fileURLToPath(new URL("./sum_agent.ts", import.meta.url));

Deno.test("agent keeps what a failed run used, told by its end or its stream", async () => {
  const used = { input: 5, output: 2, costUsd: 0.5 };
  for (
    const script of [
      say(failure("retryable", "Overloaded")).replace(
        '"error"',
        `"usage":${JSON.stringify(used)},"error"`,
      ),
      say(
        sign("usage", { usage: { input: 1 } }),
        sign("usage", { usage: used }),
      ),
    ]
  ) {
    await using run = await AgentRun.make({ cli: [script] });
    const { kind, usage } = await run.run();
    assertEquals([kind, usage], ["failed", used]);
  }
});

Deno.test("agent adds up what a session used that begins anew", async () => {
  await using run = await AgentRun.make({
    cli: [
      say(failure("session lost", "gone", {})).replace(
        '"error"',
        '"usage":{"input":1},"error"',
      ),
      say(result("Done", { usage: { input: 2 } })),
    ],
  });
  assertEquals((await run.run()).usage, { input: 3 });
});

Deno.test("agent keeps the sum of a session that tells only that", async () => {
  await using run = await AgentRun.make({
    config: { agent: SUM },
    cli: [
      say(sign("session", { id: "s-1" }), {
        end: { result: "Done", usage: { input: 10 } },
      }),
      say(sign("session", { id: "s-1" }), {
        end: { result: "Done", usage: { input: 25 } },
      }),
    ],
  });
  assertEquals((await run.run()).usage, { input: 10 });
  assertEquals(run.sessions.map(({ id, used }) => [id, used]), [
    ["s-1", undefined],
    ["s-1", { input: 10 }],
  ]);
  assertEquals((await run.run({ task: { attempt: 2 } })).usage, { input: 15 });
  assertEquals(await run.starts(), ["--new", "--resume=s-1"]);
  assertEquals(run.sessions.at(-1)?.used, { input: 25 });
});

const BUDGET = { budget: { taskUsd: 5 } };

Deno.test("agent is told what is left of the task's budget, of all its attempts", async () => {
  const done = say(result("Done", { usage: { costUsd: 3.5 } }));
  await using run = await AgentRun.make({ cli: [done], spending: BUDGET });
  assertEquals((await run.run()).kind, "completed");
  const trace = { usage: { costUsd: 3.5 } };
  await run.run({ task: { attempt: 2 }, trace });
  const budgets = (await run.calls()).flatMap((args) =>
    args.filter((it) => it.startsWith("--budget"))
  );
  assertEquals(budgets, ["--budget=5", "--budget=1.5"]);
});

Deno.test("agent does not begin where the task's budget is spent", async () => {
  await using run = await AgentRun.make({
    cli: [say(result("Done"))],
    spending: BUDGET,
    trace: { usage: { costUsd: 5 } },
  });
  const outcome = await run.run({ task: { attempt: 2 } });
  assertEquals(outcome, {
    kind: "failed",
    error: "The task's $5 are spent. Give its provider a larger budget, and " +
      "retry it.",
    retryable: false,
  });
  assertEquals(await run.starts(), []);
});

Deno.test("agent is ended as soon as its stream tells more than the budget", async () => {
  const spending = {
    ...BUDGET,
    prices: new Map([["*", { input: 1, output: 10 }]]),
  };
  for (
    const usage of [{ costUsd: 5.5 }, { input: 1_000_000, output: 500_000 }]
  ) {
    await using run = await AgentRun.make({
      cli: [`${say(sign("usage", { usage }))}; sleep 60`],
      spending,
    });
    const outcome = await run.run();
    assertEquals([outcome.kind, outcome.usage], ["failed", usage]);
    assertMatch((outcome as { error: string }).error, /\$5 are spent/);
  }
});

Deno.test("agent keeps a result that cost more than the task may, with a warning", async () => {
  await using run = await AgentRun.make({
    cli: [
      // In one line: of two, the first might end it before the second is written.
      say(result("Done", { usage: { costUsd: 30 } })),
    ],
    spending: BUDGET,
  });
  assertEquals(await run.run(), {
    kind: "completed",
    result: "Done",
    warning: "It cost more than the task's $5",
    usage: { costUsd: 30 },
  });
});
