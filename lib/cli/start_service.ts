/**
 * The HTTP service as a part of commands.
 *
 * @module
 */

import manifest from "../../deno.json" with { type: "json" };
import type { OpenStore } from "../store/open.ts";
import type { Runner, StopSignals } from "../runner/context.ts";
import type { ServiceSettings } from "../config/service.ts";
import type { CommandContext } from "./context.ts";

/** Options for {@linkcode startService}. */
export interface StartOptions {
  readonly store: OpenStore;
  readonly settings: ServiceSettings;
  /** How it is told to end. */
  readonly signals: StopSignals;
  /** The one in this process, if there is one. */
  readonly runner?: Pick<Runner, "events" | "runs">;
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
  // Loaded only where it is wanted: it takes longer than all the rest.
  const server = await import("../service/service.ts");
  const service = await server.startService({
    store,
    clock,
    log,
    settings,
    version: manifest.version,
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
