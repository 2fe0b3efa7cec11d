/**
 * The HTTP service: listens, answers, and ends gracefully.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { RunnerEvents } from "../runner/events.ts";
import { formatAddress } from "../config/listen_address.ts";
import type { Log } from "../base/log.ts";
import { measureRunner } from "../runner/metrics.ts";
import type { OpenStore } from "../store/open.ts";
import type { ServiceSettings } from "../config/service.ts";
import { createApp } from "./api/app.ts";
import { EventHub } from "./api/event_hub.ts";
import { listen } from "./listen.ts";
import { Prometheus } from "./api/prometheus.ts";
import { ReadCache } from "./api/read_cache.ts";
import { RunnerHealth } from "./api/runner_health.ts";
import { Access } from "./api/session.ts";
import { readCounts } from "./api/stats_routes.ts";

/** A runner in the same process. */
export interface ServedRunner {
  readonly events: RunnerEvents;
  /** The tasks that it has in hand. */
  readonly runs: { readonly size: number };
  /** Aborted when it is to claim no more. */
  readonly drain: AbortSignal;
}

/** What the service is made of. */
export interface ServiceParts {
  readonly store: OpenStore;
  readonly clock: Clock;
  readonly log: Log;
  /** The program's. */
  readonly version: string;
  readonly settings: ServiceSettings;
  /** Undefined where none is in this process. */
  readonly runner?: ServedRunner;
}

/** A service that listens. */
export interface RunningService {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  /** Accepts no more, ends the streams, and finishes the requests in hand. */
  stop(options: StopOptions): Promise<void>;
}

/** Options for {@linkcode RunningService.stop}. */
export interface StopOptions {
  /** How long requests in hand have. */
  readonly drainMs: number;
  /** Ends that time. */
  readonly abort: AbortSignal;
}

/**
 * Starts the service.
 *
 * @throws {UsageError} where it can't listen there.
 */
export async function startService(
  parts: ServiceParts,
): Promise<RunningService> {
  const { store, clock, log, version, settings, runner } = parts;
  const reads = new ReadCache({ clock, version: () => store.feed.version() });
  const metrics = new Prometheus({
    clock,
    version,
    readCounts: async () => (await readCounts({ store, clock, reads })).counts,
    inFlight: runner && (() => runner.runs.size),
  });
  const health = runner && new RunnerHealth(runner);
  const measuring = runner && measureRunner(runner.events, metrics);
  const streams = new AbortController();
  const app = createApp({
    store,
    clock,
    log,
    version,
    access: new Access(settings.token),
    reads,
    hub: new EventHub({ feed: store.feed, clock, log }),
    metrics,
    runner: health,
  }, { ...settings, ...settings.address, stop: streams.signal });
  const listener = await listen({
    address: settings.address,
    respond: (request) => app.fetch(request),
    onError: (error) => {
      log.warning(`Cannot accept a connection: ${messageOf(error)}`, {
        event: "request_failed",
        error: messageOf(error),
      });
    },
  });
  store.feed.onRelease((heldMs) =>
    metrics.observe("databaseHeld", heldMs / 1_000)
  );
  const { port } = listener;
  return {
    url: `http://${formatAddress({ ...settings.address, port })}`,
    async stop(options) {
      streams.abort();
      const done = new AbortController();
      const closed = listener.close().finally(() => done.abort());
      const over = AbortSignal.any([done.signal, options.abort]);
      await clock.sleep(options.drainMs, over);
      if (!done.signal.aborted) {
        log.warning("Ending the requests that are still in hand", {
          event: "stopping",
        });
        listener.abort();
      }
      await closed;
      measuring?.[Symbol.dispose]();
      health?.[Symbol.dispose]();
    },
  };
}
