/**
 * What the HTTP API is made of.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { OpenStore } from "../../store/open.ts";
import type { EventHub } from "./event_hub.ts";
import type { ReadCache } from "./read_cache.ts";
import type { Access } from "./session.ts";

/** Says whether the runner beside the API claims tasks. */
export interface RunnerStatus {
  /** Why it does not claim; undefined where it does. */
  problem(): string | undefined;
}

/** What is exported of metrics. */
export interface MetricsPage {
  readonly contentType: string;
  text(): Promise<string>;
}

/** What routes are given. */
export interface Service {
  readonly store: OpenStore;
  readonly clock: Clock;
  readonly log: Log;
  /** The program's. */
  readonly version: string;
  readonly access: Access;
  readonly reads: ReadCache;
  readonly hub: EventHub;
  readonly metrics: MetricsPage;
  /** Undefined where no runner is in this process. */
  readonly runner: RunnerStatus | undefined;
}
