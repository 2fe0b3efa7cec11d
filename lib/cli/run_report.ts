/**
 * What a run says of itself: how far it is, and what it has done.
 *
 * @module
 */

import { formatCount } from "../base/figures.ts";
import type { RunSummary } from "../runner.ts";
import type { RunnerEvents } from "../runner/events.ts";
import type { Admin, StateCount } from "../store/contract.ts";
import type { TaskState } from "../task/task.ts";

/** `3 started, 1 completed, 1 failed, 1 needs input`. */
export function renderSummary(summary: RunSummary): string {
  const { started, completed, failed } = summary;
  const rest = [
    [
      summary.needs_input,
      summary.needs_input === 1 ? "needs" : "need",
      "input",
    ],
    [summary.retrying, "to be retried"],
    [summary.cancelled, "cancelled"],
    [summary.released, "given back"],
    [summary.skipped, "skipped"],
    [summary.simulated, "simulated"],
  ] as const;
  return [
    `${started} started, ${completed} completed, ${failed} failed`,
    ...rest.filter(([count]) => count > 0).map((it) => it.join(" ")),
  ].join(", ");
}

/** `2 created, 1 running, 3 waiting for you`; undefined where nothing is left. */
export function renderLeft(counts: readonly StateCount[]): string | undefined {
  const of = (state: TaskState) =>
    counts.filter((it) => it.state === state)
      .reduce((sum, { count }) => sum + count, 0);
  const parts = [
    [of("created"), "created"],
    [of("running"), "running or to be tried again"],
    [of("needs_input"), "waiting for you"],
  ] as const;
  const left = parts.filter(([count]) => count > 0);
  return left.length === 0
    ? undefined
    : left.map(([count, what]) => `${formatCount(count)} ${what}`).join(", ");
}

/** The result of a pass; what the HandsFree runner has too, has its names. */
export function summaryToJson(summary: RunSummary, now: Date) {
  const counts = Object.entries(summary).map(([name, count]) =>
    [`tasks_${name}`, count] as const
  );
  return {
    enabled: true,
    ...Object.fromEntries(counts),
    timestamp: now.toISOString(),
  };
}

/** On a terminal, a line that says how far the pass is. */
export async function showProgress(
  admin: Admin,
  events: RunnerEvents,
): Promise<AsyncDisposable | undefined> {
  if (!Deno.stderr.isTerminal()) return undefined;
  const { counts } = await admin.count();
  const open = counts.filter(({ state }) =>
    state === "created" || state === "running"
  ).reduce((sum, { count }) => sum + count, 0);
  // Loaded only where it is shown: a run under systemd or CI never needs it.
  const { ProgressBar } = await import("@std/cli/unstable-progress-bar");
  const bar = new ProgressBar({
    writable: Deno.stderr.writable,
    max: Math.max(1, open),
    keepOpen: true,
    clear: true,
    barLength: 30,
    interval: 200,
  });
  const subscription = events.subscribe(({ type }) => {
    if (type !== "recorded") return;
    bar.value++;
    bar.max = Math.max(bar.max, bar.value);
  });
  return {
    async [Symbol.asyncDispose]() {
      subscription[Symbol.dispose]();
      await bar.stop();
    },
  };
}
