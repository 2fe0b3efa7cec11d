/**
 * `agent-runner run`
 *
 * @module
 */

import type { Config, ProviderConfigs } from "../config.ts";
import { EXIT, UsageError } from "../errors.ts";
import type { RunnerEvents } from "../events.ts";
import { createProcessors } from "../processors/mod.ts";
import { renderJson } from "../render.ts";
import {
  assertEnabled,
  createRunner,
  runLoop,
  runOnce,
  type RunSummary,
  type StopSignals,
} from "../runner.ts";
import type { TaskStore } from "../store.ts";
import type { WebhooksOptions } from "../webhooks.ts";
import type { CommandContext } from "./context.ts";

/** Runs tasks, once or for ever. Exit code 1 where a task failed in --once. */
export async function run(context: CommandContext): Promise<number> {
  const { config, flags, clock, log, terminal, openStore } = context;
  if (flags.once && flags.loop) {
    throw new UsageError("Cannot run --once and --loop. Give one of the two.");
  }
  assertEnabled(config);
  using signals = listenForSignals(log);
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
  await using runner = createRunner({
    store,
    processorFor: processors.for,
    clock,
    log,
    owner: `agent-runner-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`,
    settings: config,
  });
  await using webhooks = receivers && await receivers.start({
    store,
    clock,
    log,
  });
  using _follow = webhooks?.follow(runner.events);
  const startedAt = clock.monotonic();
  let summary: RunSummary;
  if (flags.loop) {
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
  const { started, completed, failed, skipped } = summary;
  log.flush();
  terminal.write(
    flags.json
      ? renderJson(toJson(summary, clock.now()))
      : `${started} started, ${completed} completed, ${failed} failed, ` +
        `${skipped} skipped in ${seconds.toFixed(1)} s\n`,
  );
  await webhooks?.finish({
    withinMs: flags.loop ? STOP_DELIVERY_MS : END_DELIVERY_MS,
    signal: signals.abort,
  });
  const isInterrupted = signals.drain.aborted;
  return !flags.loop && !isInterrupted && failed > 0 ? EXIT.failed : EXIT.ok;
}

/** For how long webhooks are delivered at the end of a pass, */
const END_DELIVERY_MS = 10_000;
/** and when the runner was stopped. */
const STOP_DELIVERY_MS = 2_000;

/** Who is to be told, checked before anything is opened. */
async function receiversOf({ webhooks }: Config) {
  if (!webhooks) return undefined;
  const { createReceivers, startWebhooks } = await import("../webhooks.ts");
  const receivers = await createReceivers(webhooks, Deno.env.get);
  return {
    start: (parts: Omit<WebhooksOptions, "receivers">) =>
      startWebhooks({ ...parts, receivers }),
  };
}

/** `Providers: claude (command), all others (simulate)`. */
function providersLine(providers: ProviderConfigs): string {
  const names = [...providers].map(([name, { processor }]) =>
    `${name === "*" ? "all others" : name} (${processor})`
  );
  const rest = providers.has("*") ? "" : "; tasks of others are left alone";
  return `Providers: ${names.join(", ")}${rest}`;
}

/** The result of a pass with the names of the HandsFree runner. */
function toJson(summary: RunSummary, now: Date) {
  return {
    enabled: true,
    tasks_started: summary.started,
    tasks_completed: summary.completed,
    tasks_failed: summary.failed,
    tasks_skipped: summary.skipped,
    timestamp: now.toISOString(),
  };
}

/** SIGTERM does not exist on Windows. */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

function listenForSignals(
  log: CommandContext["log"],
): StopSignals & Disposable {
  const drain = new AbortController();
  const abort = new AbortController();
  const listener = () => {
    if (drain.signal.aborted) {
      log.warning("Stopping now: the tasks in hand are given back", {
        event: "stopping",
      });
      abort.abort();
    } else {
      log.info("Stopping: finishing the tasks in hand; once more stops now", {
        event: "stopping",
      });
      drain.abort();
    }
  };
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, listener);
  return {
    drain: drain.signal,
    abort: abort.signal,
    [Symbol.dispose]() {
      for (const signal of STOP_SIGNALS) {
        Deno.removeSignalListener(signal, listener);
      }
    },
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
