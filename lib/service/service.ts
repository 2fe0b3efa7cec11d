/**
 * The HTTP service: listens, responds, and ends gracefully.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { formatAddress, hostnameOf } from "../config/listen_address.ts";
import type { Served } from "../config/served.ts";
import type { ServiceSettings } from "../config/service.ts";
import type { RunnerEvents } from "../runner/events.ts";
import { measureRunner } from "../runner/metrics.ts";
import type { Admin, Store } from "../store/contract.ts";
import { Access } from "./api/access.ts";
import { createApp } from "./api/app.ts";
import { readCounts } from "./api/counts.ts";
import { EventHub } from "./api/event_hub.ts";
import { Prometheus, type PrometheusOptions } from "./api/prometheus.ts";
import { ReadCache } from "./api/read_cache.ts";
import { listen } from "./listen.ts";

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
  readonly store: Pick<Store, "admin" | "events" | "schedules">;
  /** Deletes old tasks, and what was theirs here. Default: the store's. */
  readonly prune?: Admin["prune"];
  readonly clock: Clock;
  readonly log: Log;
  /** The program's. */
  readonly version: string;
  readonly settings: ServiceSettings;
  readonly served: Served;
  /** What limits of providers hold back; undefined where there are none. */
  readonly readHeld?: PrometheusOptions["readHeld"];
  /** Undefined where none is in this process. */
  readonly runner?: ServedRunner;
}

/** A service that listens. */
export interface RunningService {
  /** `http://127.0.0.1:8080`, `unix:/run/agent-runner.sock` */
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
  const { store, clock, log, version, settings, served, runner } = parts;
  const reads = new ReadCache(clock);
  const onNews = () => reads.changed();
  const metrics = new Prometheus({
    clock,
    version,
    readCounts: () => readCounts({ store, reads }),
    readPauses: () => store.admin.pauses(),
    readHeld: parts.readHeld,
    inFlight: runner && (() => runner.runs.size),
  });
  const streams = new AbortController();
  using starting = new DisposableStack();
  starting.use(store.events.onChange(onNews));
  const service = {
    store,
    prune: parts.prune ?? ((before: Date) => store.admin.prune(before)),
    clock,
    log,
    version,
    served,
    access: new Access({ ...settings, clock, log }),
    reads,
    hub: new EventHub({ events: store.events, clock, log, onNews }),
    metrics,
    runnerProblem: runner && watchRunner(runner, starting),
  };
  if (runner) starting.use(measureRunner(runner.events, metrics));
  const { address, allowedHosts } = settings;
  const app = createApp(service, {
    hostname: hostnameOf(address),
    allowedHosts,
    stop: streams.signal,
  });
  const listener = await listen({
    address,
    respond: (request, caller) => app.fetch(request, caller),
    onError: (error) => {
      log.warning(`Cannot accept a connection: ${messageOf(error)}`, {
        event: "request_failed",
        error: messageOf(error),
      });
    },
  });
  const running = starting.move();
  return {
    url: "path" in address
      ? formatAddress(address)
      : `http://${formatAddress({ ...address, port: listener.port })}`,
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
      running.dispose();
    },
  };
}

/** Says by its last claim why a runner does not claim. */
function watchRunner(
  { events, drain }: ServedRunner,
  stack: DisposableStack,
): () => string | undefined {
  let problem: string | undefined = "it has not claimed yet";
  stack.use(events.subscribe((event) => {
    if (event.type === "claimed") problem = undefined;
    if (event.type === "pass failed") problem = messageOf(event.error);
  }));
  return () => drain.aborted ? "it is stopping" : problem;
}
