/**
 * `agent-runner wait`
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import { countsText } from "../task/batch.ts";
import { shownStateOf } from "../task/shown_state.ts";
import type { AgentTask } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import { findBatch } from "./batches.ts";
import { findTask } from "./choose.ts";
import {
  BATCH_FLAG,
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  JSON_FLAG,
  type OpenAdmin,
} from "./command.ts";
import { durationFlag, textFlag } from "./flags.ts";
import { alignRows, renderJson } from "./render.ts";
import { untilStopped } from "./signals.ts";
import {
  type Awaited,
  batchAwaited,
  type Failures,
  type Progress,
  tasksAwaited,
  untilEnded,
} from "./until_ended.ts";

/** Waits, for scripts and CI. */
export const wait: Command = {
  name: "wait",
  args: "[ID…]",
  maxArgs: Infinity,
  summary: "Wait until tasks or a batch have ended; exit code 1 if one failed",
  flags: [
    { ...BATCH_FLAG, summary: "For all tasks of this batch" },
    {
      name: "timeout",
      placeholder: "DURATION",
      summary: "No longer than this; then exit code 4",
    },
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: [
    "wait 550e8400",
    "wait --batch nightly --timeout 2h && ./publish.sh",
  ],
  run: async (context) => {
    const { flags, clock, log, openAdmin } = context;
    assertOneWay(context);
    const timeoutMs = durationFlag(flags, "timeout") ?? Infinity;
    await using store = await openAdmin();
    const awaited = await awaitedOf(context, store);
    using stop = untilStopped();
    const { signal: stopped } = stop;
    const { events } = store;
    const options = { clock, log, events, timeoutMs, stopped };
    const progress = await untilEnded(awaited, options);
    const outcome = outcomeOf(progress, stopped);
    const hasFailed = progress.ended > progress.completed;
    const failures = hasFailed
      ? await awaited.failures(SHOWN_FAILURES)
      : { count: 0, first: [] };
    report(context, { progress, outcome, failures });
    return EXITS[outcome];
  },
};

/** What came of the wait. */
type Outcome = "completed" | "failed" | "timed_out" | "stopped";

const EXITS: Readonly<Record<Outcome, number>> = {
  completed: EXIT.ok,
  failed: EXIT.failed,
  timed_out: EXIT.timedOut,
  // Nobody knows how they end: what a script does next is not to begin.
  stopped: EXIT.failed,
};

/** @throws {UsageError} where nothing is to be waited for, or two things. */
function assertOneWay({ args, flags }: CommandContext): void {
  const hasBatch = textFlag(flags, "batch") !== undefined;
  if (args.length > 0 && hasBatch) {
    throw new UsageError(
      "Cannot wait for ids and --batch at the same time. Give one of the two.",
    );
  }
  if (args.length > 0 || hasBatch) return;
  throw new UsageError(
    "Cannot wait for nothing. Give the ids of tasks, which agent-runner list " +
      "has, or --batch with a name that agent-runner batches has.",
  );
}

/** @throws {UsageError} where there is no such task or batch. */
async function awaitedOf(
  { args, flags }: CommandContext,
  { admin }: OpenAdmin,
): Promise<Awaited> {
  const name = textFlag(flags, "batch");
  if (name !== undefined) {
    await findBatch(admin, name);
    return batchAwaited(admin, name);
  }
  const tasks: AgentTask[] = [];
  for (const prefix of args) tasks.push(await findTask(admin, prefix));
  return tasksAwaited(admin, tasks);
}

function outcomeOf(
  { total, ended, completed }: Progress,
  stopped: AbortSignal,
): Outcome {
  if (ended === total) return completed === total ? "completed" : "failed";
  return stopped.aborted ? "stopped" : "timed_out";
}

/** More are counted and not listed. */
const SHOWN_FAILURES = 5;

function report(
  { flags, terminal }: CommandContext,
  { progress, outcome, failures }: {
    readonly progress: Progress;
    readonly outcome: Outcome;
    readonly failures: Failures;
  },
): void {
  const { total, ended, completed, counts } = progress;
  if (flags.json) {
    terminal.write(renderJson({
      outcome,
      total,
      ended,
      completed,
      states: { ...counts },
      failures: failures.first.map((task) => ({
        id: task.id,
        state: shownStateOf(task),
        error: errorOf(task),
      })),
    }));
    return;
  }
  const left = total - ended;
  const begin = outcome === "timed_out"
    ? "The time is over: "
    : outcome === "stopped"
    ? "Stopped: "
    : "";
  const rest = left > 0
    ? `, ${countOf(left, "task")} ${left === 1 ? "has" : "have"} not ended`
    : "";
  terminal.write(`${begin}${printable(countsText(counts))}${rest}\n`);
  const rows = failures.first.map((task) => [
    task.id.slice(0, 8),
    shownStateOf(task),
    errorOf(task) ?? "",
  ]);
  const more = failures.count - rows.length;
  terminal.write(
    [
      ...alignRows(rows, terminal.screen),
      ...more > 0 ? [`… and ${countOf(more, "task")} more`] : [],
    ].map((line) => `  ${line}\n`).join(""),
  );
}

/** The first line of why a task failed. */
function errorOf({ traceText }: AgentTask): string | null {
  const error = parseTrace(traceText)?.error;
  return typeof error === "string" ? error.split("\n")[0] ?? null : null;
}
