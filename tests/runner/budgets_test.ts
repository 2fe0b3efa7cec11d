import { assertEquals } from "@std/assert";
import type { ProviderSettings } from "../../lib/processors/processor.ts";
import { runLoop, runOnce } from "../../lib/runner.ts";
import type { Budget, Usage } from "../../lib/task/usage.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { setUp } from "./set_up.ts";

const HOUR = 3_600_000;
/** Half past ten in the evening, here. */
const EVENING = new Date(2026, 10, 28, 22, 30);

interface Spending {
  readonly providers: Record<string, ProviderSettings>;
  readonly budget?: Budget;
  readonly usage?: Usage;
  readonly tasks?: readonly string[];
}

/** Runs a task of each provider; each run uses the same. */
async function spend(
  { providers, budget, usage = { costUsd: 3 }, tasks = ["claude"] }: Spending,
) {
  const clock = new FakeClock({ autoAdvance: true, start: EVENING });
  const { runner, queue, stop, logged } = setUp({
    clock,
    settings: {
      concurrency: 1,
      providers: new Map(Object.entries(providers)),
      budget,
    },
    process: () => Promise.resolve({ kind: "completed", usage }),
  });
  queue.create(...tasks.map((provider) => ({ provider })));
  {
    await using _ = runner;
    await runOnce(runner, stop);
  }
  return { queue, logged };
}

Deno.test("a provider whose day's budget is spent is paused until midnight", async () => {
  const { queue } = await spend({
    providers: { claude: { budget: { dayUsd: 3 } } },
  });
  const [pause, ...others] = queue.pauses;
  assertEquals(others, []);
  assertEquals(pause?.kind, "budget");
  assertEquals(pause?.reason, "the day's $3 are spent");
  assertEquals(pause?.until?.getHours(), 0);
  assertEquals(pause?.until?.getDate(), 29);
  // What was used since the midnight before counts.
  assertEquals(Math.round((queue.usageSpans[0] ?? 0) / HOUR * 10), 225);
});

Deno.test("a provider with something left of its budget goes on", async () => {
  for (
    const budget of [{ dayUsd: 3.01 }, { tokensPerDay: 7 }, { taskUsd: 1 }, {}]
  ) {
    const { queue } = await spend({
      providers: { claude: { budget } },
      usage: { costUsd: 3, input: 3, output: 2, cached: 1 },
    });
    assertEquals(queue.pauses, []);
  }
});

Deno.test("tokens of a day are counted, those from a cache too", async () => {
  const { queue } = await spend({
    providers: { claude: { budget: { tokensPerDay: 1_200 } } },
    usage: { input: 600, output: 400, cached: 200 },
  });
  assertEquals(
    queue.pauses.map(({ reason }) => reason),
    ["the day's 1,200 tokens are used"],
  );
});

Deno.test("the budget of all pauses who has spent of it, and their fallbacks", async () => {
  const { queue } = await spend({
    providers: {
      claude: { fallback: "codex" },
      codex: {},
      gemini: {},
      script: {},
    },
    budget: { dayUsd: 6 },
    tasks: ["claude", "gemini"],
  });
  assertEquals(
    new Set(queue.pauses.map(({ provider }) => provider)),
    new Set(["claude", "codex", "gemini"]),
  );
  assertEquals(
    queue.pauses[0]?.reason,
    "the day's $6 are spent of all providers together",
  );
});

Deno.test("no run begins between the one that spends the budget and the pause", async () => {
  const { queue } = await spend({
    providers: { claude: { budget: { dayUsd: 3 } } },
    tasks: ["claude", "claude", "claude"],
  });
  assertEquals(queue.recorded.filter(({ usage }) => usage).length, 1);
  assertEquals(queue.pauses.length, 1);
});

Deno.test("runLoop() goes on at once after a run that leaves something of the budget", async () => {
  const clock = new FakeClock();
  const { runner, queue, stop, drain } = setUp({
    clock,
    settings: {
      concurrency: 1,
      providers: new Map([["claude", { budget: { dayUsd: 100 } }]]),
    },
    process: async () => {
      await clock.sleep(60_000);
      return { kind: "completed", usage: { costUsd: 1 } };
    },
  });
  await using _ = runner;
  queue.create(...Array(3).fill({ provider: "claude" }));
  const done = runLoop(runner, stop);
  await clock.advance(3 * 60_000 + 5_000);
  assertEquals(queue.idsIn("completed").length, 3);
  drain.abort();
  await done;
});

Deno.test("the budget of all pauses agents that have spent nothing yet", async () => {
  const { queue } = await spend({
    providers: { claude: {}, qwen: { isAgent: true }, script: {} },
    budget: { dayUsd: 3 },
  });
  assertEquals(
    new Set(queue.pauses.map(({ provider }) => provider)),
    new Set(["claude", "qwen"]),
  );
});

Deno.test("a budget in dollars says once that a provider tells tokens only", async () => {
  const { logged } = await spend({
    providers: { codex: { budget: { taskUsd: 1 } } },
    usage: { input: 5 },
    tasks: ["codex", "codex"],
  });
  const lines = logged().filter((it) => it.includes("codex tells no cost"));
  assertEquals(lines.length, 1);
  const priced = await spend({
    providers: {
      codex: {
        budget: { taskUsd: 1 },
        prices: new Map([["*", { input: 1, output: 1 }]]),
      },
    },
    usage: { input: 5 },
    tasks: ["codex"],
  });
  assertEquals(
    priced.logged().filter((it) => it.includes("tells no cost")),
    [],
  );
});

Deno.test("nothing is asked of the store where nothing is budgeted", async () => {
  const { queue } = await spend({ providers: { claude: {} } });
  assertEquals(queue.usageSpans, []);
});

Deno.test("a price makes the cost of what tells tokens only", async () => {
  const prices = new Map([["*", { input: 2, output: 10 }]]);
  const { queue } = await spend({
    providers: { claude: { prices, budget: { dayUsd: 2 } } },
    usage: { input: 500_000, cached: 100_000, output: 100_000, model: "m" },
  });
  assertEquals(queue.pauses.length, 1);
  assertEquals(queue.recorded.at(-1)?.usage?.costUsd, 2.2);
});

Deno.test("a budget that can't be looked after stops no run, and that is said", async () => {
  const clock = new FakeClock({ autoAdvance: true });
  const { runner, queue, stop, logged } = setUp({
    clock,
    settings: { providers: new Map([["claude", { budget: { dayUsd: 1 } }]]) },
    process: () => Promise.resolve({ kind: "completed", usage: { input: 1 } }),
  });
  queue.create({ provider: "claude" });
  queue.usage = () => Promise.reject(new Error("gone"));
  {
    await using _ = runner;
    assertEquals((await runOnce(runner, stop)).completed, 1);
  }
  assertEquals(
    logged().filter((it) => it.includes("after the budgets: gone")).length,
    1,
  );
});
