import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  planOf,
  type PlanOptions,
  planToJson,
  renderPlan,
} from "../../lib/cli/plan.ts";
import type { Processor } from "../../lib/processors/processor.ts";
import type { ProviderMap } from "../../lib/runner/providers.ts";
import type { Preview } from "../../lib/store/contract.ts";
import type { AgentTask } from "../../lib/task/task.ts";
import { FakeClock } from "../support/fake_clock.ts";

const NOW = new Date("2026-01-19T18:30:00Z");
const LATER = new Date("2026-01-19T19:30:00Z");
const SCREEN = { width: undefined, hasColor: false };

function taskWith(given: Partial<AgentTask>): AgentTask {
  return {
    id: "550e8400-e29b-41d4-a716-446655440000",
    provider: "claude",
    instruction: "Fix it",
    state: "created",
    traceText: null,
    runAt: null,
    attempt: 0,
    questions: 0,
    maxAttempts: null,
    leaseOwner: null,
    leaseExpiresAt: null,
    cancelRequestedAt: null,
    ...given,
  } as AgentTask;
}

const claude: Processor = {
  name: "command",
  process: () => Promise.resolve({ kind: "completed" }),
  describe: ({ instruction }) => `runs claude -p "${instruction}"`,
};

interface Setup {
  readonly claimable?: readonly AgentTask[];
  readonly others?: readonly AgentTask[];
  readonly processor?: Processor;
  readonly limits?: ReadonlyMap<string, number>;
  readonly providers?: ProviderMap;
  readonly problems?: PlanOptions["problems"];
  readonly globalRoom?: Preview["globalRoom"];
  readonly pauses?: Preview["pauses"];
  readonly heldBy?: Preview["heldBy"];
}

function plan({ claimable = [], others = [], ...options }: Setup) {
  const { processor = claude, limits = new Map(), providers } = options;
  const { problems = new Map(), globalRoom = new Map() } = options;
  const { pauses = [], heldBy = new Map() } = options;
  return planOf(
    {
      claimable,
      claimableCount: claimable.length,
      others,
      othersCount: others.length,
      blockedBy: new Map(),
      globalRoom,
      pauses,
      heldBy,
      held: [],
    },
    {
      processorFor: (provider) => provider === "claude" ? processor : undefined,
      clock: new FakeClock({ start: NOW }),
      problems,
      settings: { maxAttempts: 3, limits, providers },
    },
  );
}

Deno.test("planOf() says which processor would do what", () => {
  const { running } = plan({
    claimable: [taskWith({})],
    limits: new Map([["*", 2]]),
  });
  assertEquals(
    running.map(({ processor, description, limit }) => [
      processor,
      description,
      limit,
    ]),
    [["command", 'runs claude -p "Fix it"', 2]],
  );
});

Deno.test("planOf() bears a processor that can't describe, or fails to", () => {
  const describe = () => {
    throw new Error("mine");
  };
  const [silent, failing] = [undefined, describe].map((describe) =>
    plan({
      claimable: [taskWith({})],
      processor: { ...claude, describe },
    }).running[0]?.description
  );
  assertEquals(silent, "Fix it");
  assertStringIncludes(failing ?? "", "mine");
});

Deno.test("planOf() says of a task that it asks for approval before it begins", () => {
  const approved = { of: "start", at: "2026-01-19T18:00:00.000+00:00" };
  const { running, waiting } = plan({
    claimable: [
      taskWith({ needsApproval: true }),
      taskWith({
        needsApproval: true,
        traceText: JSON.stringify({ approved }),
      }),
    ],
    others: [taskWith({
      state: "needs_input",
      traceText: '{"question": "Merge?", "asks_approval": {"of": "merge"}}',
    })],
  });
  assertEquals(running.map(({ description }) => description), [
    'asks for your approval before: runs claude -p "Fix it"',
    'runs claude -p "Fix it"',
  ]);
  assertEquals(waiting.map(({ reason }) => reason), [
    "waits for your approval of its changes: Merge?",
  ]);
});

const REASONS: [task: Partial<AgentTask>, reason: RegExp][] = [
  [{ runAt: LATER }, /^not before 20\d\d-/],
  [{ provider: "other" }, /^no processor is configured for its provider$/],
  [
    { state: "running", leaseOwner: "r1", leaseExpiresAt: LATER },
    /^r1 runs it, until 20\d\d-.* at least$/,
  ],
  [
    { state: "running", leaseOwner: "r1", leaseExpiresAt: NOW, attempt: 3 },
    /^fails: its runner died at each of 3 attempts$/,
  ],
  [{ state: "running", cancelRequestedAt: NOW }, /^fails: .*cancelled/],
  [
    { state: "needs_input", traceText: '{"question": "Which?"}' },
    /^waits for an answer: Which\?$/,
  ],
  [
    { state: "needs_input", runAt: NOW },
    /^fails: nobody answered in time: $/,
  ],
  [
    { state: "paused" as AgentTask["state"] },
    /^another program gave it the state "paused"$/,
  ],
];

for (const [task, expected] of REASONS) {
  Deno.test(`planOf() says why a task would not run: ${expected.source}`, () => {
    const { waiting } = plan({
      others: [taskWith(task)],
      providers: new Map([["claude", {}]]),
    });
    assertMatch(waiting[0]?.reason ?? "", expected);
  });
}

Deno.test("planOf() says what is wrong with a provider", () => {
  const claimable = [taskWith({})];
  const problems = new Map([["claude", ["No key.", "No program."]]]);
  const providers = new Map([["claude", {}]]);
  const { runningCount, waiting } = plan({ claimable, problems, providers });
  assertEquals(runningCount, 0);
  assertEquals(waiting.map(({ reason }) => reason), ["No key. No program."]);
});

Deno.test("planOf() says whose globalConcurrency is in use, and what fails all the same", () => {
  const dead = { state: "running", leaseOwner: "r1", leaseExpiresAt: NOW };
  const { waiting } = plan({
    others: [
      taskWith({}),
      taskWith({ provider: "codex" }),
      taskWith({ ...dead, attempt: 2 } as Partial<AgentTask>),
      taskWith({ ...dead, attempt: 3 } as Partial<AgentTask>),
      taskWith({ runAt: LATER }),
    ],
    providers: new Map([
      ["claude", { globalConcurrency: 2 }],
      ["*", { globalConcurrency: 5 }],
    ]),
    globalRoom: new Map([["claude", 0], ["*", 0]]),
  });
  const full = "waits: globalConcurrency 2 of claude is in use by all runners";
  const reasons = waiting.map(({ reason }) => reason);
  assertEquals(reasons.slice(0, 4), [
    full,
    "waits: globalConcurrency 5 of * is in use by all runners",
    full,
    "fails: its runner died at each of 3 attempts",
  ]);
  assertMatch(reasons[4] ?? "", /^not before /);
});

Deno.test("planOf() counts a task without a processor among those that don't run", () => {
  const { runningCount, waitingCount, waiting } = plan({
    claimable: [taskWith({ provider: "other" })],
  });
  assertEquals([runningCount, waitingCount], [0, 1]);
  assertMatch(waiting[0]?.reason ?? "", /no processor/);
});

Deno.test("renderPlan() shows both lists, harmless, and how many more there are", () => {
  const hostile = "\x1b[2Jx\nforged  line";
  const shown = plan({
    claimable: [taskWith({ instruction: hostile })],
    others: [taskWith({ provider: hostile, runAt: LATER })],
    limits: new Map([["claude", 2]]),
  });
  const text = renderPlan({ ...shown, runningCount: 3 }, SCREEN);
  // deno-lint-ignore no-control-regex -- what must not reach a terminal
  assertEquals(/[\x00-\x09\x0b-\x1f]/.exec(text), null);
  const lines = text.trimEnd().split("\n");
  assertMatch(lines[1] ?? "", /^550e8400 {2}claude .*\(2 at a time\)$/);
  assertEquals(lines.slice(2, 5), ["… and 2 more", "3 would run.", ""]);
  assertMatch(lines[6] ?? "", /^550e8400 .*not before /);
  assertEquals(lines[7], "1 would not run.");
});

Deno.test("renderPlan() says of a task's state what list says", () => {
  const others = [
    { state: "running", attempt: 1, runAt: LATER },
    { state: "running", attempt: 1 },
    { state: "needs_input" },
    { isBlocked: true },
  ].map((it) => taskWith(it as Partial<AgentTask>));
  const states = renderPlan(plan({ others }), SCREEN).split("\n")
    .map((line) => line.split(/ {2,}/)[2]).slice(3, 7);
  assertEquals(states, [
    "retrying in 1h",
    "queued",
    "waiting for you",
    "blocked",
  ]);
});

Deno.test("renderPlan() says where there is nothing", () => {
  assertEquals(renderPlan(plan({}), SCREEN), "Nothing waits.\n");
  const waiting = plan({ others: [taskWith({ runAt: LATER })] });
  assertMatch(renderPlan(waiting, SCREEN), /^0 would run\.\n\n/);
});

Deno.test("planToJson() has what renderPlan() shows", () => {
  const task = taskWith({});
  const json = planToJson(
    plan({ claimable: [task], others: [taskWith({ state: "needs_input" })] }),
  );
  assertEquals(json, {
    would_run: 1,
    would_not_run: 1,
    tasks: [{
      id: task.id,
      provider: "claude",
      processor: "command",
      description: 'runs claude -p "Fix it"',
      at_once: null,
    }],
    others: [{
      id: task.id,
      provider: "claude",
      state: "needs_input",
      shown_state: "needs_input",
      reason: "waits for an answer: ",
    }],
  });
});
