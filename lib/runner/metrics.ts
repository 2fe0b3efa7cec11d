/**
 * What is measured of a runner, whoever takes it: Prometheus, OpenTelemetry.
 * Without a taker, nothing is done.
 *
 * @module
 */

import type { RunnerEvents } from "./events.ts";
import type { TaskEventKind } from "../task/task.ts";
import type { Usage } from "../task/usage.ts";

/** One thing that is measured. */
export interface Metric {
  /** As Prometheus calls it; OpenTelemetry does without `_total`. */
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** The upper ends of a histogram's buckets. */
  readonly bounds?: readonly number[];
}

const WAIT_BOUNDS = [
  0.01,
  0.05,
  0.1,
  0.5,
  1,
  5,
  15,
  60,
  300,
  1800,
  7200,
  43200,
];
const RUN_BOUNDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400];
const ROW_BOUNDS = [1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000];

/** Every metric by the name that the code uses. */
export const METRICS = {
  claimed: counter("tasks_claimed", "Tasks that were begun", "provider"),
  completed: counter("tasks_completed", "Tasks that completed", "provider"),
  simulated: counter(
    "tasks_simulated",
    "Runs that were simulated: nothing was done, whatever they came to",
    "provider",
  ),
  failed: counter("tasks_failed", "Tasks that failed for good", "provider"),
  cancelled: counter(
    "tasks_cancelled",
    "Tasks that were cancelled while they ran",
    "provider",
  ),
  retried: counter(
    "tasks_retried",
    "Runs that failed and are tried again",
    "provider",
  ),
  asked: counter("tasks_asked", "Runs that asked a question", "provider"),
  released: counter(
    "tasks_released",
    "Tasks that were given back at a shutdown",
    "provider",
  ),
  abandoned: counter(
    "tasks_abandoned",
    "Tasks that were ended without a run: their runners died, " +
      "or nobody answered",
  ),
  leasesLost: counter(
    "leases_lost",
    "Runs whose outcome was not recorded, since others had the task by then",
  ),
  passesFailed: counter(
    "passes_failed",
    "Claims that failed, and outcomes that could not be recorded",
  ),
  tokens: counter(
    "tokens",
    "Tokens that agents used: input, output, or cached, read from a cache",
    ...["provider", "model", "type"],
  ),
  cost: counter(
    "cost_dollars",
    "What runs cost, of which that is known",
    ...["provider", "model"],
  ),
  paused: gauge(
    "provider_paused",
    "1 where the tasks of a provider wait, by why: person, limit or budget; " +
      "* of a batch or of everything",
    ...["provider", "kind"],
  ),
  heldBack: gauge(
    "held_back",
    "Tasks that a limit of their provider holds back: key, rate or hours",
    ...["provider", "reason"],
  ),
  inFlight: gauge("tasks_in_flight", "Tasks that this runner has in hand"),
  oldestWaiting: gauge(
    "oldest_waiting_seconds",
    "For how long the task that waits longest could have been claimed",
  ),
  queueDepth: gauge("queue_depth", "Tasks in the database", "state"),
  databaseUp: gauge("database_up", "1 where the database could be read"),
  buildInfo: gauge("build_info", "Always 1", "version"),
  memory: gauge("resident_memory_bytes", "Memory of the process"),
  startTime: gauge("start_time_seconds", "When the process began, since 1970"),
  wait: histogram("wait_seconds", WAIT_BOUNDS, {
    help: "From the creation of tasks to their first claim",
    labels: ["provider"],
  }),
  run: histogram("run_seconds", RUN_BOUNDS, {
    help: "From the start of runs to their outcome",
    labels: ["provider"],
  }),
  commitRows: histogram("commit_rows", ROW_BOUNDS, {
    help: "Outcomes and notes of progress that were committed at once",
  }),
} as const satisfies Record<string, Metric>;

/** The name of a metric. */
export type MetricName = keyof typeof METRICS;

/** A metric's labels with their values. */
export type Labels = Readonly<Record<string, string>>;

/** Takes what is measured. */
export interface Meter {
  /** Adds to a counter. */
  add(metric: MetricName, count: number, labels?: Labels): void;
  /** Puts a value into a histogram. */
  observe(metric: MetricName, value: number, labels?: Labels): void;
}

const COUNTED: { readonly [kind in TaskEventKind]?: MetricName } = {
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
  retry_scheduled: "retried",
  needs_input: "asked",
  released: "released",
};

/** Measures a runner until what it returns is disposed of. */
export function measureRunner(events: RunnerEvents, meter: Meter): Disposable {
  const labelsOf = boundedLabels();
  const known = boundedLabels();
  /** A model is one series for each provider: together they are bounded too. */
  const modelsOf = (provider: string, { model = "" }: Usage): Labels => {
    const isKnown = known(`${provider} ${model}`) !== OTHER;
    return { provider, model: isKnown ? model : "other" };
  };
  const addUsage = (usage: Usage, labels: Labels) => {
    for (const type of ["input", "output", "cached"] as const) {
      const count = usage[type];
      if (count) meter.add("tokens", count, { ...labels, type });
    }
    if (usage.costUsd) meter.add("cost", usage.costUsd, labels);
  };
  return events.subscribe((event) => {
    switch (event.type) {
      case "begun": {
        const counts = new Map<Labels, number>();
        for (const { provider, attempt, createdAt, updatedAt } of event.tasks) {
          const labels = labelsOf(provider);
          counts.set(labels, (counts.get(labels) ?? 0) + 1);
          if (attempt > 1) continue;
          const waitedMs = updatedAt.getTime() - createdAt.getTime();
          meter.observe("wait", Math.max(0, waitedMs) / 1_000, labels);
        }
        for (const [labels, count] of counts) {
          meter.add("claimed", count, labels);
        }
        break;
      }
      case "recorded": {
        const labels = labelsOf(event.task.provider);
        const metric = COUNTED[event.transition.event];
        if (metric) meter.add(metric, 1, labels);
        if (event.isSimulated) meter.add("simulated", 1, labels);
        meter.observe("run", event.runMs / 1_000, labels);
        const { usage } = event.transition;
        if (usage) addUsage(usage, modelsOf(labels.provider ?? "", usage));
        break;
      }
      case "ended":
        meter.add("abandoned", event.ended.length);
        break;
      case "committed":
        meter.observe("commitRows", event.rows);
        break;
      case "lost":
        meter.add("leasesLost", 1);
        break;
      case "pass failed":
        meter.add("passesFailed", 1);
    }
  });
}

/** Each label's value is a time series for ever: a task's text must not make many. */
const MAX_PROVIDERS = 50;
const OTHER: Labels = { provider: "other" };

function boundedLabels(): (provider: string) => Labels {
  const known = new Map<string, Labels>();
  return (provider) => {
    const labels = known.get(provider);
    if (labels) return labels;
    if (known.size >= MAX_PROVIDERS) return OTHER;
    const added = { provider };
    known.set(provider, added);
    return added;
  };
}

function counter(name: string, help: string, ...labels: string[]): Metric {
  return { name: `agent_runner_${name}_total`, kind: "counter", help, labels };
}

function gauge(name: string, help: string, ...labels: string[]): Metric {
  return { name: `agent_runner_${name}`, kind: "gauge", help, labels };
}

function histogram(
  name: string,
  bounds: readonly number[],
  { help, labels = [] }: { help: string; labels?: readonly string[] },
): Metric {
  return {
    name: `agent_runner_${name}`,
    kind: "histogram",
    help,
    labels,
    bounds,
  };
}
