import { assertEquals, assertMatch } from "@std/assert";
import { PROGRAM_PROVIDER } from "../support/journal.ts";
import type { EventRow, History } from "./history.ts";
import { checkJournal } from "./journal.ts";
import type { RunnerLife } from "./runners.ts";

const LEASE_MS = 3_000;

/** Events of task `t`: what happened, when, which attempt, whose process. */
function historyOf(
  ...events: readonly (readonly [string, number, number, number])[]
): History {
  const rows = events.map(([kind, at, attempt, pid], id): EventRow => ({
    id,
    task_id: "t",
    kind,
    at,
    attempt,
    runner: `agent-runner-${pid}-abc`,
    detail: null,
  }));
  const task = {
    id: "t",
    provider: PROGRAM_PROVIDER,
    status: "completed",
    attempt: 1,
    max_attempts: null,
    lease_id: null,
    lease_owner: null,
  };
  return {
    tasks: new Map([["t", task]]),
    events: new Map([["t", rows]]),
    doubleIds: 0,
  };
}

function check(
  journal: readonly string[],
  history: History,
  ...lives: readonly Partial<RunnerLife>[]
) {
  const runners = new Map(lives.map(({ pid = 0, ...life }) => [
    pid,
    { pid, concurrency: 1, log: "", freezes: [], ...life },
  ]));
  const text = journal.join("\n");
  return checkJournal(text, { history, runners, leaseMs: LEASE_MS });
}

const TWICE = historyOf(
  ["started", 1_000, 1, 7],
  ["started", 6_000, 2, 8],
  ["completed", 7_000, 2, 8],
);
/** The second program starts while the first one lives. */
const BESIDE = [
  "start t 1 100 7 1010",
  "start t 2 200 8 6010 100",
  "end t 1 100 7 6500 told",
  "end t 2 200 8 6900 done",
];

Deno.test("checkJournal() finds nothing wrong with one program after the other", () => {
  const journal = [
    "start t 1 100 7 1010",
    "start t 2 200 8 6010",
    "end t 2 200 8 6900 done",
  ];
  const { counts, problems } = check(journal, TWICE, {
    pid: 7,
    killedAt: 2_000,
  });
  assertEquals(problems, []);
  assertEquals(counts, { programs: 2, excusedOverlaps: 0, unstarted: 0 });
});

Deno.test("checkJournal() excuses two programs at once only where a freeze hid the claim", () => {
  const frozen = (from: number, until: number) =>
    check(BESIDE, TWICE, { pid: 7, freezes: [{ from, until }] }, { pid: 8 });
  assertEquals(frozen(2_000, 6_400).problems, []);
  assertEquals(frozen(2_000, 6_400).counts.excusedOverlaps, 1);
  assertEquals(frozen(2_000, 5_900).problems, []); // It has only just woken.
  for (const [from, until] of [[100, 900], [1_500, 2_000], [6_100, 9_000]]) {
    const [problem = "", ...others] = frozen(from!, until!).problems;
    assertMatch(problem, /program 200 started while program 100 lived/);
    assertEquals(others, []);
  }
});

Deno.test("checkJournal() excuses nobody who was killed, or begins a task again", () => {
  const killed = check(BESIDE, TWICE, { pid: 7, killedAt: 2_000 }, { pid: 8 });
  assertMatch(killed.problems.join(), /program 200 started while program 100/);
  const again = check(
    BESIDE.map((line) => line.replace(" 200 8 ", " 200 7 ")),
    historyOf(
      ["started", 1_000, 1, 7],
      ["started", 6_000, 2, 7],
      ["completed", 7_000, 2, 7],
    ),
    { pid: 7, freezes: [{ from: 2_000, until: 5_900 }] },
  );
  assertMatch(again.problems.join(), /program 200 started while program 100/);
});

Deno.test("checkJournal() misses no start, no attempt and no work that was not done", () => {
  const once = historyOf(["started", 1_000, 1, 7], ["completed", 2_000, 1, 7]);
  const told = ["start t 1 100 7 1010", "end t 1 100 7 1500 told"];
  assertMatch(check(told, once).problems.join(), /its program was not done/);
  assertMatch(
    check([], once, { pid: 7 }).problems.join(),
    /attempt 1 was spent, not started/,
  );
  const two = ["start t 1 99 6 900", "start t 1 100 7 1010"];
  assertMatch(
    check([...two, "end t 1 100 7 1500 done"], once).problems.join(),
    /program 99 is no attempt 1 of it/,
  );
});

Deno.test("checkJournal() lets a kill cost no more attempts than there were slots", () => {
  const events = [1, 2, 3].map((attempt) =>
    ["started", attempt * 1_000, attempt, 7] as const
  );
  const life = { pid: 7, killedAt: 4_000 };
  assertEquals(
    check([], historyOf(...events.slice(0, 1)), life).problems,
    [],
  );
  assertMatch(
    check([], historyOf(...events), life).problems.join(),
    /Runner 7 with 1 slots spent 3 attempts/,
  );
});
