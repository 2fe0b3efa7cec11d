/**
 * The metrics in the text form of Prometheus.
 *
 * @module
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Clock } from "../../base/clock.ts";
import {
  type Labels,
  type Meter,
  type Metric,
  type MetricName,
  METRICS,
} from "../../runner/metrics.ts";
import type { Counts, Pause } from "../../store/contract.ts";
import { totalsOf } from "./counts.ts";

/** Whoever scrapes does not wait for long. */
const READ_MS = 4_000;

/** What is measured here; all else, of a runner in this process. */
const OWN_METRICS: ReadonlySet<string> = new Set<MetricName>([
  "oldestWaiting",
  "queueDepth",
  "paused",
  "heldBack",
  "databaseUp",
  "buildInfo",
  "memory",
  "startTime",
]);

/** Tasks of a provider that one of its limits holds back. */
export interface HeldBack {
  readonly provider: string;
  readonly reason: "key" | "rate" | "hours";
  readonly count: number;
}

/** Options for {@linkcode Prometheus}. */
export interface PrometheusOptions {
  readonly clock: Clock;
  readonly version: string;
  readonly readCounts: () => Promise<Counts>;
  readonly readPauses: () => Promise<readonly Pause[]>;
  /** Undefined where no provider has a limit. */
  readonly readHeld?: (() => Promise<readonly HeldBack[]>) | undefined;
  /** How many tasks the runner has in hand; undefined where there is none. */
  readonly inFlight: (() => number) | undefined;
}

/** Takes what is measured, and shows it. */
export class Prometheus implements Meter {
  readonly #options: PrometheusOptions;
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();

  constructor(options: PrometheusOptions) {
    this.#options = options;
    for (const [key, metric] of Object.entries<Metric>(METRICS)) {
      if (!options.inFlight && !OWN_METRICS.has(key)) continue;
      const { name, kind, help, labels, bounds = [] } = metric;
      const registers = [this.#registry];
      const config = { name, help, labelNames: [...labels], registers };
      if (kind === "counter") this.#counters.set(key, new Counter(config));
      else if (kind === "gauge") this.#gauges.set(key, new Gauge(config));
      else {
        const histogram = new Histogram({ ...config, buckets: [...bounds] });
        this.#histograms.set(key, histogram);
      }
    }
    this.#set("buildInfo", 1, { version: options.version });
    this.#set("startTime", performance.timeOrigin / 1_000);
  }

  /** What {@linkcode Prometheus.text} is. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  add(metric: MetricName, count: number, labels: Labels = {}): void {
    this.#counters.get(metric)?.inc(labels, count);
  }

  observe(metric: MetricName, value: number, labels: Labels = {}): void {
    this.#histograms.get(metric)?.observe(labels, value);
  }

  /** All metrics as they are now. */
  async text(): Promise<string> {
    const { inFlight } = this.#options;
    if (inFlight) this.#set("inFlight", inFlight());
    this.#set("memory", Deno.memoryUsage().rss);
    await this.#readStore();
    return await this.#registry.metrics();
  }

  #set(metric: MetricName, value: number, labels: Labels = {}): void {
    this.#gauges.get(metric)?.set(labels, value);
  }

  /** What can't be read is left out: an old value would look like a new one. */
  async #readStore(): Promise<void> {
    const { clock, readCounts, readPauses, readHeld } = this.#options;
    const done = new AbortController();
    const reading = Promise.all([readCounts(), readPauses(), readHeld?.()]);
    const [counts, pauses = [], held = []] = await Promise.race([
      reading.catch(() => undefined),
      clock.sleep(READ_MS, done.signal),
    ]) ?? [];
    done.abort();
    this.#gauges.get("queueDepth")?.reset();
    this.#gauges.get("oldestWaiting")?.remove();
    this.#gauges.get("paused")?.reset();
    this.#gauges.get("heldBack")?.reset();
    this.#set("databaseUp", counts ? 1 : 0);
    if (!counts) return;
    const { waitingSince: since, at } = counts;
    for (
      const [state, count] of Object.entries(totalsOf(counts.counts).states)
    ) {
      this.#set("queueDepth", count, { state });
    }
    for (const { provider, kind } of pauses) {
      this.#set("paused", 1, { provider, kind });
    }
    for (const { provider, reason, count } of held) {
      this.#set("heldBack", count, { provider, reason });
    }
    const ageMs = since ? at.getTime() - since.getTime() : 0;
    this.#set("oldestWaiting", Math.max(0, ageMs / 1_000));
  }
}
