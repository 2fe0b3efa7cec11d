/**
 * `agent-runner run`
 *
 * @module
 */

import manifest from "../../../deno.json" with { type: "json" };
import type { Config, ProviderConfigs } from "../../config/config.ts";
import { EXIT, UsageError } from "../../base/errors.ts";
import type { RunnerEvents } from "../../runner/events.ts";
import { measureRunner } from "../../runner/metrics.ts";
import { createProcessors } from "../../processors/open.ts";
import { claimedProvidersOf } from "../../runner/providers.ts";
import { renderJson } from "../render.ts";
import {
  assertEnabled,
  createRunner,
  runLoop,
  runOnce,
  type RunSummary,
} from "../../runner.ts";
import type { TaskStore } from "../../store/contract.ts";
import { serviceSettings } from "../../config/service.ts";
import type { WebhooksOptions } from "../../webhooks/webhooks.ts";
import { type CommandContext, runnerName } from "../context.ts";
import { startService } from "../start_service.ts";
import { listenForSignals } from "../signals.ts";

/** Runs tasks, once or for ever. Exit code 1 where a task failed in --once. */
export async function run(context: CommandContext): Promise<number> {
  const { config, flags, clock, log, terminal, openStore } = context;
  if (flags.once && flags.loop) {
    throw new UsageError("Cannot run --once and --loop. Give one of the two.");
  }
  if (flags["dry-run"]) return await dryRun(context);
  if (flags.listen && !flags.loop) {
    throw new UsageError(
      "Cannot serve the HTTP API in a single pass. Give --loop too.",
    );
  }
  assertEnabled(config);
  const settings = flags.loop && config.listen !== ""
    ? await serviceSettings(config)
    : undefined;
  using signals = listenForSignals(log, {
    drain: "Stopping: finishing the tasks in hand; once more stops now",
    abort: "Stopping now: the tasks in hand are given back",
  });
  const receivers = await receiversOf(config);
  await using processors = await createProcessors(config, { clock, log });
  await using store = await openStore();
  log.info(`Connected to database: ${config.dbPath}`, {
    event: "connected",
    database: config.dbPath,
  });
  if (config.providers) {
    log.info(providersLine(config.providers), { event: "providers" });
  }
  const telemetry = config.telemetry
    ? await import("../../runner/telemetry.ts")
    : undefined;
  await using runner = createRunner({
    store,
    processorFor: telemetry?.tracedProcessors(processors.for, manifest) ??
      processors.for,
    clock,
    log,
    owner: runnerName(),
    settings: config,
  });
  using _measuring = telemetry && measureRunner(
    runner.events,
    telemetry.telemetryMeter({ ...manifest, inFlight: () => runner.runs.size }),
  );
  await using webhooks = receivers && await receivers.start({
    store,
    clock,
    log,
  });
  using _follow = webhooks?.follow(runner.events);
  const startedAt = clock.monotonic();
  let summary: RunSummary;
  if (flags.loop) {
    await using _service = settings &&
      await startService(context, { store, settings, signals, runner });
    log.info(`Running until stopped, ${config.concurrency} tasks at a time`, {
      event: "running",
    });
    summary = await runLoop(runner, signals);
  } else {
    log.info("Running once", { event: "running" });
    await using _line = await showProgress(store, runner.events);
    summary = await runOnce(runner, signals);
  }
  const seconds = (clock.monotonic() - startedAt) / 1_000;
  log.flush();
  terminal.write(
    flags.json
      ? renderJson(toJson(summary, clock.now()))
      : `${summaryLine(summary)} in ${seconds.toFixed(1)} s\n`,
  );
  await webhooks?.finish({
    withinMs: flags.loop ? STOP_DELIVERY_MS : END_DELIVERY_MS,
    signal: signals.abort,
  });
  const isInterrupted = signals.drain.aborted;
  return !flags.loop && !isInterrupted && summary.failed > 0
    ? EXIT.failed
    : EXIT.ok;
}

/** For how long webhooks are delivered at the end of a pass, */
const END_DELIVERY_MS = 10_000;
/** and when the runner was stopped. */
const STOP_DELIVERY_MS = 2_000;

/** Who is to be told, checked before anything is opened. */
async function receiversOf({ webhooks }: Config) {
  if (!webhooks) return undefined;
  const { createReceivers, startWebhooks } = await import(
    "../../webhooks/webhooks.ts"
  );
  const receivers = await createReceivers(webhooks, Deno.env.get);
  return {
    start: (parts: Omit<WebhooksOptions, "receivers">) =>
      startWebhooks({ ...parts, receivers }),
  };
}

/** How many tasks of each kind a dry run shows. */
const SHOWN_TASKS = 100;

/** Shows what would run. Changes nothing, and needs no permission to run. */
async function dryRun(
  { config, flags, clock, log, terminal, openStore }: CommandContext,
): Promise<number> {
  if (flags.loop) {
    throw new UsageError(
      "Cannot run --loop and --dry-run. Give one of the two.",
    );
  }
  const { planOf, planToJson, renderPlan } = await import("../plan.ts");
  await using processors = await createProcessors(config, { clock, log });
  await using store = await openStore();
  const plan = planOf(
    await store.preview({
      limit: SHOWN_TASKS,
      now: clock.now(),
      maxAttempts: config.maxAttempts,
      providers: claimedProvidersOf(config.providers),
    }),
    { settings: config, processorFor: processors.for, clock },
  );
  terminal.write(
    flags.json
      ? renderJson(planToJson(plan), 2)
      : renderPlan(plan, terminal.screen),
  );
  return EXIT.ok;
}

/** `Providers: claude (command), all others (simulate)`. */
function providersLine(providers: ProviderConfigs): string {
  const names = [...providers].map(([name, { processor }]) =>
    `${name === "*" ? "all others" : name} (${processor})`
  );
  const rest = providers.has("*") ? "" : "; tasks of others are left alone";
  return `Providers: ${names.join(", ")}${rest}`;
}

/** `3 started, 1 completed, 1 failed, 1 needs input`. */
function summaryLine(summary: RunSummary): string {
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
  ] as const;
  return [
    `${started} started, ${completed} completed, ${failed} failed`,
    ...rest.filter(([count]) => count > 0).map((it) => it.join(" ")),
  ].join(", ");
}

/** The result of a pass; what the HandsFree runner has too, has its names. */
function toJson(summary: RunSummary, now: Date) {
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
async function showProgress(
  store: TaskStore,
  events: RunnerEvents,
): Promise<AsyncDisposable> {
  if (!Deno.stderr.isTerminal()) return { async [Symbol.asyncDispose]() {} };
  const { created = 0, running = 0 } = await store.countByState();
  // Loaded only where it is shown: a run under systemd or CI never needs it.
  const { ProgressBar } = await import("@std/cli/unstable-progress-bar");
  const bar = new ProgressBar({
    writable: Deno.stderr.writable,
    max: Math.max(1, created + running),
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
