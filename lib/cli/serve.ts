/**
 * `agent-runner serve`, and the HTTP service as a part of `run --loop`.
 *
 * @module
 */

import manifest from "../../deno.json" with { type: "json" };
import { shownDatabase } from "../base/database_address.ts";
import { EXIT } from "../base/errors.ts";
import { servedBy } from "../config/served.ts";
import {
  type ServiceSettings,
  serviceSettings,
  tokenFileProblem,
} from "../config/service.ts";
import type { Runner, StopSignals } from "../runner.ts";
import { isUnusable } from "../runner/providers.ts";
import type { Store } from "../store/contract.ts";
import {
  type Command,
  type CommandContext,
  SERVICE_SETTINGS,
} from "./command.ts";
import { listenForSignals } from "./signals.ts";
import { heldBackReader } from "./held_back.ts";

/** Serves the HTTP API until it is stopped. */
export const serve: Command = {
  name: "serve",
  summary: "Serve the HTTP API and metrics, and run no tasks",
  settings: [...SERVICE_SETTINGS, "drainMs"],
  makesDatabase: true,
  usesNetwork: true,
  usesRepositories: true,
  examples: ["serve", "serve --listen 0.0.0.0:8080 --token-file token"],
  run: async (context) => {
    const { config, log } = context;
    const listen = config.listen || DEFAULT_ADDRESS;
    const settings = await serviceSettings({ ...config, listen });
    using signals = listenForSignals(log, {
      drain: "Stopping: finishing the requests in hand; once more stops now",
      abort: "Stopping now",
    });
    await using store = await context.openStoreWhenFree(signals.drain);
    if (!store) return EXIT.ok; // It was stopped before it could begin.
    logConnected(context);
    await using service = await startService(context, {
      store,
      settings,
      signals,
    });
    await service.ended;
    return EXIT.ok;
  },
};

const DEFAULT_ADDRESS = "127.0.0.1:8080";

/** Says that the store is open, for long. */
export function logConnected({ config, log }: CommandContext): void {
  const database = shownDatabase(config.database);
  log.info(`Connected to database: ${database}`, {
    event: "connected",
    database,
  });
}

/** Options for {@linkcode startService}. */
export interface StartOptions {
  readonly store: Store;
  readonly settings: ServiceSettings;
  /** How it is told to end. */
  readonly signals: StopSignals;
  /** The one in this process, if there is one. */
  readonly runner?: Pick<Runner, "events" | "runs" | "unusable" | "settings">;
}

/** A service that runs until it is told to end, or disposed of. */
export interface StartedService extends AsyncDisposable {
  readonly ended: Promise<void>;
}

/**
 * Starts the service.
 *
 * @throws {UsageError} where it can't listen.
 */
export async function startService(
  { config, clock, log }: CommandContext,
  { store, settings, signals, runner }: StartOptions,
): Promise<StartedService> {
  const problem = tokenFileProblem(config);
  if (problem) log.warning(problem, { event: "token_exposed" });
  // Loaded only where it is wanted: it takes longer than all the rest.
  const server = await import("../service/service.ts");
  const service = await server.startService({
    store,
    async prune(before) {
      const { pruneTasks } = await import("./prune_folders.ts");
      return await pruneTasks(store.admin, before, { config, log });
    },
    clock,
    log,
    settings,
    served: servedBy(
      config,
      runner && ((provider) => isUnusable(provider, runner)),
    ),
    version: manifest.version,
    readHeld: heldBackReader(store, { ...config, clock }),
    runner: runner && { ...runner, drain: signals.drain },
  });
  log.info(`Listening on ${service.url}`, {
    event: "listening",
    url: service.url,
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const end = () =>
    service.stop({ drainMs: config.drainMs, abort: signals.abort })
      .then(resolve, reject);
  const { drain } = signals;
  drain.addEventListener("abort", end);
  if (drain.aborted) end();
  return {
    ended: promise,
    async [Symbol.asyncDispose]() {
      drain.removeEventListener("abort", end);
      if (!drain.aborted) end();
      await promise;
    },
  };
}
