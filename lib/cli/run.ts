/**
 * `agent-runner run`: what main.ts needs to run tasks, and what is said at the end.
 *
 * @module
 */

import manifest from "../../deno.json" with { type: "json" };
import { EXIT, messageOf, UsageError } from "../base/errors.ts";
import type { Config, ProviderConfigs } from "../config/config.ts";
import { servedBy, simulationWarning } from "../config/served.ts";
import { serviceSettings } from "../config/service.ts";
import type { Runner, RunSummary, StopSignals } from "../runner.ts";
import { isUnusable } from "../runner/providers.ts";
import type { Store } from "../store/contract.ts";
import type { WebhooksOptions } from "../webhooks/webhooks.ts";
import {
  type Command,
  type CommandContext,
  JSON_FLAG,
  runnerName,
  SERVICE_SETTINGS,
} from "./command.ts";
import { renderJson } from "./render.ts";
import {
  type Left,
  readLeft,
  renderLeft,
  renderSummary,
  showProgress,
  summaryToJson,
} from "./run_report.ts";
import { logConnected, startService } from "./serve.ts";
import { listenForSignals } from "./signals.ts";
import { leaveOutUnusable, watchUsable } from "./usable_providers.ts";

/** Runs tasks, once or for ever; main.ts does it. */
export const run: Command = {
  name: "run",
  args: "[--once | --loop]",
  summary: "Run tasks: those that wait (--once), or for ever (--loop)",
  flags: [
    { name: "once", summary: "Run what waits, then exit (the default)" },
    { name: "loop", summary: "Go on until SIGINT or SIGTERM" },
    { name: "dry-run", summary: "Show what would run, and touch nothing" },
    JSON_FLAG,
  ],
  settings: [
    "intervalMs",
    "concurrency",
    "exclusive",
    "leaseMs",
    "maxAttempts",
    "attempts",
    "timeoutMs",
    "limits",
    "retryWaitMs",
    "drainMs",
    ...SERVICE_SETTINGS,
  ],
  makesDatabase: true,
  usesProviders: true,
  examples: ["run --once", "run --loop --listen 8080"],
};

const DRAIN_ASKED = "Stopping, as agent-runner drain, the API or the " +
  "dashboard asked: finishing the tasks in hand; a signal stops now";

/** A run that is ready to begin. Dispose of it when it has ended. */
export interface PreparedRun extends AsyncDisposable {
  readonly runner: Runner;
  readonly signals: StopSignals;
  /**
   * Says what came of it, and delivers the last webhooks. Returns the exit code:
   * 1 where a task failed in --once, or waits because its provider is not served.
   */
  finish(summary: RunSummary): Promise<number>;
}

/** For how long webhooks are delivered at the end of a pass, */
const END_DELIVERY_MS = 10_000;
/** and when the runner was stopped. */
const STOP_DELIVERY_MS = 2_000;

/**
 * Opens and starts everything that a run needs. Undefined where a signal came
 * while another program held the store.
 *
 * @throws {UserError} where flags, settings or the store are not right.
 */
export async function prepareRun(
  context: CommandContext,
): Promise<PreparedRun | undefined> {
  const { config, flags, clock, log, terminal } = context;
  assertFlags(context);
  const { assertEnabled, createRunner } = await import("../runner.ts");
  assertEnabled(config);
  const warning = simulationWarning(config);
  const service = flags.loop && config.listen !== ""
    ? await serviceSettings(config)
    : undefined;
  await using parts = new AsyncDisposableStack();
  const signals = parts.use(listenForSignals(log, {
    drain: "Stopping: finishing the tasks in hand; once more stops now",
    abort: "Stopping now: the tasks in hand are given back",
  }));
  const receivers = await receiversOf(config);
  const { createProcessors } = await import("../processors/open.ts");
  const processors = parts.use(await createProcessors(config, { clock, log }));
  const { openStore, openStoreWhenFree } = context;
  // A single pass says at once that the store can't be used.
  const store = parts.use(
    flags.loop
      ? await openStoreWhenFree(signals.drain)
      : await openStore(signals.drain).catch((error) => {
        if (!signals.drain.aborted) throw error;
        return undefined;
      }),
  );
  if (!store) return undefined;
  logConnected(context);
  if (config.providers) {
    log.info(providersLine(config.providers), { event: "providers" });
  }
  if (warning) log.warning(warning, { event: "simulated" });
  const unusable = await leaveOutUnusable(context, processors);
  const telemetry = config.telemetry
    ? await import("../runner/telemetry.ts")
    : undefined;
  const runner = parts.use(createRunner({
    queue: store.queue,
    admin: store.admin,
    processorFor: telemetry?.tracedProcessors(processors.for, manifest) ??
      processors.for,
    clock,
    log,
    owner: runnerName(),
    settings: config,
  }));
  for (const provider of unusable) runner.unusable.add(provider);
  if (flags.loop) parts.use(watchUsable(context, processors, runner));
  const { Presence } = await import("../runner/presence.ts");
  parts.use(
    new Presence({
      queue: store.queue,
      clock,
      log,
      facts: {
        name: runner.owner,
        host: Deno.hostname(),
        pid: Deno.pid,
        version: manifest.version,
        concurrency: config.concurrency,
      },
      onDrain: () => signals.drainBecause(DRAIN_ASKED),
    }),
  );
  if (telemetry) {
    const { measureRunner } = await import("../runner/metrics.ts");
    const inFlight = () => runner.runs.size;
    parts.use(measureRunner(
      runner.events,
      telemetry.telemetryMeter({ ...manifest, inFlight }),
    ));
  }
  const { Scheduler } = await import("../planning/scheduler.ts");
  const scheduler = parts.use(
    new Scheduler({
      ...{ schedules: store.schedules, queue: store.queue, clock, log },
      file: await fileSchedulesOf(config),
    }),
  );
  if (flags.loop) scheduler.start();
  else await scheduler.makeDue();
  const webhooks = parts.use(await receivers?.start({ store, clock, log }));
  const startedAt = clock.monotonic();
  // What is over when the last task has ended, before the result is printed.
  const beside = parts.use(new AsyncDisposableStack());
  if (service) {
    beside.use(
      await startService(context, {
        store,
        settings: service,
        signals,
        runner,
      }),
    );
  }
  if (!flags.loop) {
    beside.use(await showProgress(store.admin, runner.events));
  }
  log.info(
    flags.loop
      ? `Running until stopped, ${config.concurrency} tasks at a time`
      : "Running once",
    { event: "running" },
  );
  const all = parts.move();
  return {
    runner,
    signals,
    async finish(summary) {
      await beside.disposeAsync();
      log.flush();
      const ms = clock.monotonic() - startedAt;
      // Who stops it must not wait for another program that holds the store.
      const isWhole = !flags.loop && !signals.drain.aborted;
      if (!flags.json) {
        const seconds = (ms / 1_000).toFixed(1);
        terminal.write(`${renderSummary(summary)} in ${seconds} s\n`);
      }
      const left = isWhole
        ? await whatIsLeft(store, context, runner)
        : undefined;
      const leftText = left && renderLeft(left);
      if (flags.json) {
        const now = clock.now();
        terminal.write(renderJson(summaryToJson(summary, { now, left })));
      } else if (leftText !== undefined) {
        terminal.write(`Left: ${leftText}\n`);
      }
      await webhooks?.finish({
        withinMs: flags.loop ? STOP_DELIVERY_MS : END_DELIVERY_MS,
        signal: signals.abort,
      });
      const isFailed = summary.failed > 0 || (left?.unserved ?? 0) > 0;
      return isWhole && !signals.drain.aborted && isFailed
        ? EXIT.failed
        : EXIT.ok;
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function whatIsLeft(
  store: Store,
  { log }: CommandContext,
  runner: Runner,
): Promise<Left | undefined> {
  try {
    return await readLeft(store, (provider) => isUnusable(provider, runner));
  } catch (error) {
    log.warning(`Cannot count what is left: ${messageOf(error)}`, {
      event: "left_unknown",
      error: messageOf(error),
    });
    return undefined;
  }
}

/** @throws {UsageError} where flags contradict each other. */
export function assertFlags({ flags }: Pick<CommandContext, "flags">): void {
  if (flags.once && flags.loop) {
    throw new UsageError("Cannot run --once and --loop. Give one of the two.");
  }
  if (flags["dry-run"] && flags.loop) {
    throw new UsageError(
      "Cannot run --loop and --dry-run. Give one of the two.",
    );
  }
  if (!flags["dry-run"] && flags.listen && !flags.loop) {
    throw new UsageError(
      "Cannot serve the HTTP API in a single pass. Give --loop too.",
    );
  }
}

/** Undefined where there is no file. */
async function fileSchedulesOf(config: Config) {
  const { configPath, schedules } = config;
  if (configPath === undefined) return undefined;
  const { resolve } = await import("node:path");
  return {
    host: Deno.hostname(),
    // Not where links lead: those of a volume are others each time.
    path: resolve(configPath),
    given: schedules,
    defaultProvider: servedBy(config).defaultProvider,
  };
}

/** Who is to be told, checked before anything is opened. */
async function receiversOf({ webhooks }: Config) {
  if (!webhooks) return undefined;
  const { createReceivers, startWebhooks } = await import(
    "../webhooks/webhooks.ts"
  );
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
