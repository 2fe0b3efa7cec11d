import {
  type Program,
  programConfig,
  readJournal,
} from "../../support/journal.ts";
import type { Bench, MixedSizes, Scenario } from "../bench.ts";
import {
  addPrograms,
  attemptsSpent,
  type Database,
  databaseWith,
  type Look,
  Watch,
} from "../database.ts";
import type { Measurement } from "../measurement.ts";
import { type Process, startProgram } from "../process.ts";
import { sleep, untilLogged } from "../waiting.ts";

const FULL: MixedSizes = { short: 2_000, long: 200, longMs: 2_000 };
const QUICK: MixedSizes = { short: 500, long: 50, longMs: 1_000 };
const SLOTS = 10;
const LEASE_SECONDS = 5;
const LOOK_MS = 100;
/** Within it, a second runner gets its share, and a cancel ends what waits. */
const NOTICED_MS = 2_000;

/**
 * Tasks that people have, after others that take no time: what a runner learns from
 * these must not make it hold those. A second runner comes when the first long ones
 * run; the first is killed in their midst.
 */
export const mixedScenario: Scenario = {
  name: "mixed",
  title: "tasks of no time, then long ones; two runners, and one is killed",
  async measure(bench: Bench): Promise<Measurement[]> {
    const sizes = bench.mixed ?? (bench.isQuick ? QUICK : FULL);
    const rounds = await bench.rounds([3, 1], [() => measure(bench, sizes)]);
    const runs = rounds.flat();
    const { short, long, longMs } = sizes;
    return [
      {
        name: `${short} short, ${long} of ${longMs / 1_000} s: whole time`,
        unit: "s",
        samples: runs.map(({ wholeMs }) => wholeMs / 1_000),
      },
      {
        name: "longest wait of a free slot while there was work",
        unit: "ms",
        samples: runs.map(({ slotMs }) => slotMs),
        target: { atMost: NOTICED_MS },
      },
      {
        name: "held and not running, longest",
        unit: "ms",
        samples: runs.map(({ heldMs }) => heldMs),
        target: { atMost: NOTICED_MS },
      },
      {
        name: "held and not running, most",
        unit: "tasks",
        samples: runs.map(({ held }) => held),
      },
      {
        name: "attempts spent without a start",
        unit: "attempts",
        samples: runs.map(({ unstarted }) => unstarted),
        target: { atMost: 0 },
      },
    ];
  },
};

interface Result {
  readonly wholeMs: number;
  readonly slotMs: number;
  readonly heldMs: number;
  readonly held: number;
  readonly unstarted: number;
}

async function measure(bench: Bench, sizes: MixedSizes): Promise<Result> {
  const { short, long: count, longMs } = sizes;
  const files = {
    journal: bench.newPath(".journal"),
    locks: bench.newPath(""),
  };
  const config = bench.newPath(".json");
  Deno.writeTextFileSync(files.journal, "");
  Deno.writeTextFileSync(config, programConfig(files));
  Deno.mkdirSync(files.locks);
  using database = await databaseWith(bench, short);
  await addPrograms(database, { count, ms: longMs });
  const programs = () => readJournal(Deno.readTextFileSync(files.journal));
  const startedAt = performance.now();
  await using watch = new Watch(database, LOOK_MS);
  await using first = startRunner(bench, { database, config });
  while (programs().length === 0) await sleep(20);
  await using second = startRunner(bench, { database, config });
  await untilLogged(second, "Running until stopped");
  while (programs().length < Math.max(3 * SLOTS, count / 4)) await sleep(20);
  await sleep(longMs / 2); // So that those that are killed have begun.
  await first.kill();
  const killedAt = Date.now();
  await watch.untilDone();
  const wholeMs = performance.now() - startedAt;
  const runs = [
    ...programs().map(programRun),
    ...simulatedRuns(first),
    ...simulatedRuns(second),
  ];
  const lives: readonly Life[] = [
    { pid: first.pid, readyAt: readyAt(first), diedAt: killedAt },
    { pid: second.pid, readyAt: readyAt(second), diedAt: Infinity },
  ];
  second.terminate();
  await second.ended();
  return {
    wholeMs,
    slotMs: longestWait(runs, lives),
    ...heldBefore(runs, watch.looks),
    unstarted: await attemptsSpent(database) - runs.length,
  };
}

function startRunner(
  bench: Bench,
  { database, config }: {
    readonly database: Database;
    readonly config: string;
  },
): Process {
  return startProgram(bench, [
    ...["run", "--loop", "--db-path", database.path, "--config", config],
    ...["--concurrency", String(SLOTS), "--lease", String(LEASE_SECONDS)],
    ...["--log-format", "json"],
  ]);
}

/** One run of a task. Times are the wall clock's. */
interface Run {
  readonly taskId: string;
  readonly runnerPid: number;
  readonly startedAt: number;
  /** Infinity for one that was killed. */
  readonly endedAt: number;
}

function programRun(
  { taskId, runnerPid, startedAt, endedAt = Infinity }: Program,
): Run {
  return { taskId, runnerPid, startedAt, endedAt };
}

/** What took no time, by the log. */
function* simulatedRuns({ log, pid }: Process): Generator<Run> {
  for (const { time, message, task } of linesOf(log)) {
    if (!message.endsWith(" started (simulate)")) continue;
    const at = Date.parse(time);
    yield { taskId: task, runnerPid: pid, startedAt: at, endedAt: at };
  }
}

function readyAt({ log }: Process): number {
  const line = linesOf(log).find(({ message }) =>
    message.startsWith("Running until stopped")
  );
  return Date.parse(line?.time ?? "");
}

interface LogLine {
  readonly time: string;
  readonly message: string;
  readonly task: string;
}

function linesOf(log: string): LogLine[] {
  // The last one of who was killed may be torn.
  return log.split("\n").filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line));
}

/** A runner's life, by the wall clock. */
interface Life {
  readonly pid: number;
  readonly readyAt: number;
  readonly diedAt: number;
}

/**
 * How long a slot was free, at most, while a task had never run. Each start takes the
 * slot that is free for longest.
 */
function longestWait(runs: readonly Run[], lives: readonly Life[]): number {
  const firstStarts = new Map<string, number>();
  for (const { taskId, startedAt } of runs) {
    const earlier = firstStarts.get(taskId) ?? Infinity;
    firstStarts.set(taskId, Math.min(earlier, startedAt));
  }
  const workEndsAt = Math.max(...firstStarts.values());
  return Math.max(...lives.map(({ pid, readyAt, diedAt }) => {
    const endAt = Math.min(workEndsAt, diedAt);
    const own = runs.filter(({ runnerPid }) => runnerPid === pid);
    const starts = own.map(({ startedAt }) => startedAt).sort((a, b) => a - b);
    const freed = [
      ...Array.from({ length: SLOTS }, () => readyAt),
      ...own.map(({ endedAt }) => endedAt),
    ].sort((a, b) => a - b);
    return Math.max(
      ...freed.map((freeAt, index) =>
        Math.min(starts[index] ?? endAt, endAt) - freeAt
      ),
    );
  }));
}

/** What somebody saw leased that had not begun to run. */
function heldBefore(
  runs: readonly Run[],
  looks: readonly Look[],
): Pick<Result, "heldMs" | "held"> {
  const starts = Map.groupBy(runs, ({ taskId }) => taskId);
  /** Since when each has been seen held, look by look. */
  let since = new Map<string, number>();
  let heldMs = 0;
  let held = 0;
  for (const { at, leased } of looks) {
    const seen = new Map<string, number>();
    for (const id of leased) {
      const startedAt = Math.min(
        ...(starts.get(id) ?? []).map((run) => run.startedAt),
      );
      if (startedAt <= at) continue;
      const seenAt = since.get(id) ?? at;
      seen.set(id, seenAt);
      heldMs = Math.max(heldMs, at - seenAt);
    }
    since = seen;
    held = Math.max(held, seen.size);
  }
  return { heldMs, held };
}
