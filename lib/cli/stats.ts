/**
 * `agent-runner stats`
 *
 * @module
 */

import { bold } from "@std/fmt/colors";
import { EXIT } from "../base/errors.ts";
import { formatCount, formatSpan } from "../base/figures.ts";
import { formatLocalTime } from "../base/log.ts";
import type {
  Bucket,
  FailureReason,
  PauseInfo,
  Percentiles,
  StateCount,
  Stats,
  StatsOptions,
  Times,
  UsageSum,
} from "../store/contract.ts";
import { type JsonObject, TASK_STATES } from "../task/task.ts";
import { CLIENT_SETTINGS, type Command, JSON_FLAG } from "./command.ts";
import { pastFlag } from "./flags.ts";
import { pauseLine } from "./pauses.ts";
import { alignRows, fit, renderJson, type Screen } from "./render.ts";

/** Prints counts, throughput, wait and run times, and why tasks failed. */
export const stats: Command = {
  name: "stats",
  summary: "Count tasks, and say how fast they run and why they fail",
  flags: [
    {
      name: "since",
      placeholder: "SPAN",
      summary: "15m, 24h, 7d, or a date (default 24h)",
    },
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["stats", "stats --since 7d"],
  run: async ({ flags, clock, terminal, openAdmin }) => {
    const now = clock.now();
    const since = pastFlag(flags, "since", now) ??
      new Date(now.getTime() - DEFAULT_SPAN_MS);
    const window = windowOf(since, now);
    await using store = await openAdmin();
    const { counts } = await store.admin.count();
    const stats = await store.admin.stats({
      ...window,
      reasons: SHOWN_REASONS,
    });
    const pauses = await store.admin.pauses();
    const report = { counts, stats, window, now, pauses };
    if (flags.json) {
      const { pauseToJson } = await import("../service/pause_json.ts");
      const json = { ...statsToJson(report), pauses: pauses.map(pauseToJson) };
      terminal.write(renderJson(json, 2));
    } else terminal.write(renderStats(report, terminal.screen));
    return EXIT.ok;
  },
};

const DEFAULT_SPAN_MS = 86_400_000;
const SHOWN_REASONS = 10;

/** The figures, and the time that they are about. */
interface StatsReport {
  readonly counts: readonly StateCount[];
  readonly stats: Stats;
  readonly window: Window;
  readonly now: Date;
  readonly pauses: readonly PauseInfo[];
}

/** A time in equal parts. */
type Window = Pick<StatsOptions, "start" | "bucketMs" | "buckets">;

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const BUCKETS_MS = [
  MINUTE_MS,
  10 * MINUTE_MS,
  60 * MINUTE_MS,
  DAY_MS,
  7 * DAY_MS,
  28 * DAY_MS,
  364 * DAY_MS,
];
const MAX_BUCKETS = 50;

/** The time until now in parts that are few enough to be read: hours for a day. */
export function windowOf(since: Date, now: Date): Window {
  const spanMs = now.getTime() - since.getTime();
  const bucketMs = BUCKETS_MS.find((ms) => spanMs / ms < MAX_BUCKETS - 1) ??
    364 * DAY_MS;
  // A day begins at midnight here, and not in Greenwich.
  const offsetMs = since.getTimezoneOffset() * MINUTE_MS;
  const startMs =
    Math.floor((since.getTime() - offsetMs) / bucketMs) * bucketMs + offsetMs;
  const buckets = Math.floor((now.getTime() - startMs) / bucketMs) + 1;
  return { start: new Date(startMs), bucketMs, buckets };
}

/** For people. */
function renderStats(report: StatsReport, screen: Screen): string {
  const { counts, stats, window, pauses, now } = report;
  const section = (title: string, lines: readonly string[]) =>
    `${screen.hasColor ? bold(title) : title}\n${
      lines.map((line) => `  ${line}\n`).join("")
    }`;
  const inner = { width: screen.width && screen.width - 2 };
  if (counts.length === 0) return "There are no tasks yet.\n";
  const since = formatLocalTime(window.start).slice(0, -3);
  const sections = [section("Tasks", countLines(counts, inner))];
  if (pauses.length > 0) {
    const lines = pauses.map((it) => pauseLine(it, now));
    sections.push(section("Paused", lines));
  }
  if (stats.buckets.every(isEmpty)) {
    sections.push(section(`Since ${since}`, ["Nothing happened."]));
  } else {
    sections.push(
      section(`Since ${since}`, bucketLines(report, inner)),
      section("Time from creation to start, and from start to end", [
        ...timeLines(stats.times, inner),
      ]),
    );
  }
  if (stats.usage.length > 0) {
    sections.push(section("What agents used", usageLines(stats.usage, inner)));
  }
  if (stats.failures.length > 0) {
    sections.push(
      section("Why tasks failed", failureLines(stats.failures, inner)),
    );
  }
  return sections.join("\n");
}

/** More would scroll away what matters. */
const SHOWN_PROVIDERS = 20;
const MAX_PROVIDER_WIDTH = 20;

type Width = Pick<Screen, "width">;

function countLines(
  counts: readonly StateCount[],
  { width }: Width,
): string[] {
  const byProvider = [...Map.groupBy(counts, ({ provider }) => provider)]
    .map(([provider, own]) => ({ provider, own, total: totalOf(own) }))
    .sort((a, b) => b.total - a.total);
  // Another program may have put any state into the table.
  const states = [
    ...TASK_STATES,
    ...new Set(counts.map(({ state }) => state)).difference(
      new Set(TASK_STATES),
    ),
  ];
  const row = (name: string, own: readonly StateCount[]) => [
    name,
    ...states.map((state) =>
      formatCount(totalOf(own.filter((it) => it.state === state)))
    ),
    formatCount(totalOf(own)),
  ];
  const rows = byProvider.slice(0, SHOWN_PROVIDERS)
    .map(({ provider, own }) => row(fit(provider, MAX_PROVIDER_WIDTH), own));
  const hidden = byProvider.slice(SHOWN_PROVIDERS).flatMap(({ own }) => own);
  if (hidden.length > 0) rows.push(row("others", hidden));
  if (rows.length > 1) rows.push(row("all", counts));
  return alignRows([
    ["PROVIDER", ...states.map((state) => state.toUpperCase()), "TOTAL"],
    ...rows,
  ], {
    width,
    right: states.map((_, index) => index + 1).concat(states.length + 1),
  });
}

function usageLines(usage: readonly UsageSum[], { width }: Width): string[] {
  const row = (name: string, model: string, sums: readonly UsageSum[]) => {
    const sum = (of: (it: UsageSum) => number) =>
      sums.reduce((total, it) => total + of(it), 0);
    return [
      name,
      model,
      ...[sum(({ runs }) => runs), sum(({ input }) => input)].map(formatCount),
      ...[sum(({ cached }) => cached), sum(({ output }) => output)]
        .map(formatCount),
      costText(sum(({ costUsd }) => costUsd)),
    ];
  };
  const rows = usage.map((it) =>
    row(fit(it.provider, MAX_PROVIDER_WIDTH), it.model ?? "", [it])
  );
  if (rows.length > 1) rows.push(row("all", "", usage));
  const header = ["PROVIDER", "MODEL", "RUNS", "INPUT", "CACHED", "OUTPUT"];
  return alignRows([[...header, "COST"], ...rows], {
    width,
    right: [2, 3, 4, 5, 6],
  });
}

/** Most agents tell tokens only; without prices, nobody knows what they cost. */
function costText(usd: number): string {
  return usd === 0 ? "unknown" : `$${usd.toFixed(2)}`;
}

function totalOf(counts: readonly StateCount[]): number {
  return counts.reduce((sum, { count }) => sum + count, 0);
}

function isEmpty(bucket: Bucket): boolean {
  return Object.values(bucket).every((it) => it === 0 || it === null);
}

const BAR_WIDTH = 14;

function bucketLines(
  { stats: { buckets }, window, now }: StatsReport,
  { width }: Width,
): string[] {
  const most = Math.max(...buckets.map(({ completed }) => completed));
  const first = buckets.findIndex((bucket) => !isEmpty(bucket));
  const rows = buckets.map((bucket, index) => [
    labelOf(window, index),
    ...COLUMNS.map((name) => formatCount(bucket[name])),
    most === 0
      ? ""
      : "█".repeat(Math.ceil(bucket.completed / most * BAR_WIDTH)),
  ]);
  const sums = COLUMNS.map((name) =>
    buckets.reduce((sum, bucket) => sum + bucket[name], 0)
  );
  const hours = (now.getTime() - window.start.getTime()) / 3_600_000;
  const perHour = (sums[COLUMNS.indexOf("completed")] ?? 0) / hours;
  return alignRows([
    ["", ...COLUMNS.map((name) => name.toUpperCase()), ""],
    ...rows.slice(first),
    [
      "all",
      ...sums.map(formatCount),
      `${formatCount(Math.round(perHour))} completed/h`,
    ],
  ], { width, right: COLUMNS.map((_, index) => index + 1) });
}

const COLUMNS = [
  "created",
  "completed",
  "simulated",
  "failed",
  "cancelled",
] as const;

/** `14:00`, and with the date where the day begins; for days, the date. */
function labelOf({ start, bucketMs }: Window, index: number): string {
  const time = formatLocalTime(new Date(start.getTime() + index * bucketMs));
  return bucketMs >= DAY_MS ? time.slice(0, 10) : time.slice(5, 16);
}

function timeLines(
  times: Stats["times"],
  { width }: Width,
): string[] {
  const shown = times.filter(({ provider }) => provider !== null)
    .slice(0, SHOWN_PROVIDERS);
  const all = times.filter(({ provider }) => provider === null);
  const cells = (values: Percentiles | null) =>
    PERCENTILES.map((name) => values ? formatSpan(values[name]) : "–");
  return alignRows([
    ["PROVIDER", "WAIT P50", "P95", "P99", "RUN P50", "P95", "P99"],
    ...[...shown, ...shown.length === 1 ? [] : all].map((
      { provider, wait, run },
    ) => [
      provider === null ? "all" : fit(provider, MAX_PROVIDER_WIDTH),
      ...cells(wait),
      ...cells(run),
    ]),
  ], { width, right: [1, 2, 3, 4, 5, 6] });
}

const PERCENTILES = ["p50", "p95", "p99"] as const;

function failureLines(
  failures: readonly FailureReason[],
  { width }: Width,
): string[] {
  return alignRows([
    ["COUNT", "EXAMPLE", "REASON"],
    ...failures.map(({ reason, count, exampleId }) => [
      formatCount(count),
      exampleId.slice(0, 8),
      reason || "(none given)",
    ]),
  ], { width, right: [0] });
}

/** For scripts. Times are seconds. */
function statsToJson(
  { counts, stats, window, now }: StatsReport,
): JsonObject {
  const providers = [...Map.groupBy(counts, ({ provider }) => provider)];
  return {
    since: window.start.toISOString(),
    until: now.toISOString(),
    tasks: providers.map(([provider, counts]) => ({
      provider,
      total: totalOf(counts),
      states: Object.fromEntries(
        counts.map(({ state, count }) => [state, count]),
      ),
    })),
    bucket_seconds: window.bucketMs / 1_000,
    buckets: stats.buckets.map(({ wait, run, ...counts }, index) => ({
      start: new Date(window.start.getTime() + index * window.bucketMs)
        .toISOString(),
      ...counts,
      ...timesToJson({ wait, run }),
    })),
    times: stats.times.map(({ provider, ...times }) => ({
      provider,
      ...timesToJson(times),
    })),
    usage: stats.usage.map(({ costUsd, ...rest }) => ({
      ...rest,
      cost_usd: costUsd,
    })),
    failures: stats.failures.map(({ reason, count, exampleId }) => ({
      reason,
      count,
      example_id: exampleId,
    })),
  };
}

function timesToJson({ wait, run }: Times): JsonObject {
  const inSeconds = (values: Percentiles | null) =>
    values && {
      p50: values.p50 / 1_000,
      p95: values.p95 / 1_000,
      p99: values.p99 / 1_000,
    };
  return { wait_seconds: inSeconds(wait), run_seconds: inSeconds(run) };
}
