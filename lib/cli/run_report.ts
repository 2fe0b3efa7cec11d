/**
 * What a run says of itself: how far it is, and what it has done.
 *
 * @module
 */

import { formatCount, formatSpan } from "../base/figures.ts";
import type { RunSummary } from "../runner.ts";
import type { RunnerEvents } from "../runner/events.ts";
import type { Admin, PauseInfo, StateCount, Store } from "../store/contract.ts";
import { pauseLine } from "./pauses.ts";
import { WAITING_FOR_YOU } from "../task/shown_state.ts";
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
    [summary.limited, "stopped by a limit"],
    [summary.cancelled, "cancelled"],
    [summary.released, "given back"],
    [summary.skipped, "skipped"],
    [summary.simulated, "simulated"],
    [summary.warned, "with a warning"],
  ] as const;
  return [
    `${started} started, ${completed} completed, ${failed} failed`,
    ...rest.filter(([count]) => count > 0).map((it) => it.join(" ")),
  ].join(", ");
}

/** What has not ended when a pass has: nobody works on it. */
export interface Left {
  readonly counts: Readonly<Record<keyof typeof LEFT, number>>;
  /** How long until the next of it is due, in milliseconds; null: never. */
  readonly dueMs: number | null;
  /** How many of it are of providers that can't be used. */
  readonly unserved: number;
  /** The providers that are paused. */
  readonly pauses: readonly PauseInfo[];
  /** When it was counted, by the store's clock. */
  readonly at: Date;
}

const LEFT = {
  created: "created",
  running: "running or to be tried again",
  needs_input: WAITING_FOR_YOU,
} as const satisfies Partial<Record<TaskState, string>>;

/** Counts it. */
export async function readLeft(
  { admin, queue }: Pick<Store, "admin" | "queue">,
  isUnusable: (provider: string) => boolean,
): Promise<Left> {
  const { counts, at } = await admin.count();
  const sum = (holds: (it: StateCount) => boolean) =>
    counts.filter(holds).reduce((sum, { count }) => sum + count, 0);
  const of = (state: TaskState) => sum((it) => it.state === state);
  return {
    counts: {
      created: of("created"),
      running: of("running"),
      needs_input: of("needs_input"),
    },
    dueMs: await queue.untilDue(at),
    pauses: await admin.pauses(),
    at,
    unserved: sum(({ state, provider }) =>
      (state === "created" || state === "running") && isUnusable(provider)
    ),
  };
}

/** `2 created, 3 waiting for you; the next is due in 40s`; or undefined. */
export function renderLeft(
  { counts, dueMs, unserved, pauses, at }: Left,
): string | undefined {
  const left = Object.entries(counts).filter(([, count]) => count > 0)
    .map(([state, count]) =>
      `${formatCount(count)} ${LEFT[state as keyof typeof LEFT]}`
    );
  if (left.length === 0) return undefined;
  const due = dueMs === null
    ? ""
    : `; the next is due in ${formatSpan(Math.ceil(dueMs / 1_000) * 1_000)}`;
  const waiting = unserved === 0
    ? ""
    : `; ${formatCount(unserved)} of a provider that is not served`;
  const paused = pauses.map((it) => `; ${pauseLine(it, at)}`);
  return left.join(", ") + due + waiting + paused.join("");
}

/**
 * The result of a pass; what the HandsFree runner has too, has its names.
 *
 * @param left undefined where it was not counted
 */
export function summaryToJson(
  summary: RunSummary,
  { now, left }: { readonly now: Date; readonly left: Left | undefined },
) {
  const counts = Object.entries(summary).map(([name, count]) =>
    [`tasks_${name}`, count] as const
  );
  return {
    enabled: true,
    ...Object.fromEntries(counts),
    ...left && {
      left: {
        ...left.counts,
        unserved: left.unserved,
        due_seconds: left.dueMs === null ? null : left.dueMs / 1_000,
      },
    },
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
