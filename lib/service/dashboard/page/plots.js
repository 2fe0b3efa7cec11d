// @ts-check
/** What happened over time. */

import { byId, fill } from "./dom.js";
import { clock, count, day, duration, time } from "./format.js";
// @ts-types="uplot"
import uPlot from "./uplot.js";

/**
 * @typedef {import("./types.ts").Stats} Stats
 * @typedef {import("./types.ts").Bucket} Bucket
 */

/** How many buckets a window has. */
export const WINDOWS = new Map([
  ["1h", 60],
  ["6h", 60],
  ["24h", 48],
  ["7d", 84],
]);

const AXIS_FONT = "11px Inter, system-ui, sans-serif";
const DAY_SECONDS = 86_400;

/** Two plots over the same time. */
export class Plots {
  /** @type {Bucket[]} */
  #buckets = [];
  #bucketSeconds = 0;
  /** @type {{ rate: uPlot, wait: uPlot } | undefined} */
  #plots;

  constructor() {
    const redraw = () => this.#rebuild();
    matchMedia("(prefers-color-scheme: dark)")
      .addEventListener("change", redraw);
    new MutationObserver(redraw).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    new ResizeObserver(() => this.#resize()).observe(byId("plot-rate"));
  }

  /** @param {Stats} stats */
  show({ buckets, bucket_seconds }) {
    this.#buckets = buckets;
    this.#bucketSeconds = bucket_seconds;
    const { rate, wait } = this.#plots ??= this.#build();
    const times = buckets.map(({ start }) => Date.parse(start) / 1_000);
    const ended = buckets.map(({ completed, failed }) => completed + failed);
    rate.setData([times, ended, buckets.map(({ completed }) => completed)]);
    wait.setData([
      times,
      buckets.map(({ wait_seconds }) => wait_seconds?.p95 ?? null),
      buckets.map(({ wait_seconds }) => wait_seconds?.p50 ?? null),
    ]);
    this.#tell(null);
  }

  #rebuild() {
    if (!this.#plots) return;
    this.#plots.rate.destroy();
    this.#plots.wait.destroy();
    this.#plots = undefined;
    this.show({
      .../** @type {Stats} */ ({}),
      buckets: this.#buckets,
      bucket_seconds: this.#bucketSeconds,
    });
  }

  #build() {
    const bars = uPlot.paths.bars?.({ size: [0.7, 14], radius: 0.15 });
    const [completed, failed] = [colorOf("bar"), colorOf("bar-failed")];
    const accent = colorOf("accent");
    const rate = this.#plot("plot-rate", {
      series: [
        {},
        { fill: failed, stroke: failed, width: 0, paths: bars, ...noPoints },
        {
          fill: completed,
          stroke: completed,
          width: 0,
          paths: bars,
          ...noPoints,
        },
      ],
      format: (value) => Number.isInteger(value) ? count(value) : "",
    });
    const wait = this.#plot("plot-wait", {
      series: [
        {},
        { stroke: colorOf("faint"), width: 1.5, dash: [4, 3], ...dots },
        { stroke: accent, width: 2, fill: colorOf("wash"), ...dots },
      ],
      format: duration,
    });
    return { rate, wait };
  }

  /**
   * @param {string} id
   * @param {{ series: uPlot.Series[], format: (value: number) => string }} how
   */
  #plot(id, { series, format }) {
    const place = byId(id);
    const axis = {
      font: AXIS_FONT,
      stroke: colorOf("muted"),
      ticks: { show: false },
    };
    const grid = { stroke: colorOf("line"), width: 1 };
    return new uPlot(
      {
        ...sizeOf(place),
        legend: { show: false },
        cursor: {
          y: false,
          points: { show: false },
          drag: { x: false, y: false },
          sync: { key: "time" },
        },
        padding: [8, 4, 0, 0],
        scales: {
          x: {
            range: () => {
              const first = Date.parse(this.#buckets[0]?.start ?? "") / 1_000;
              const seconds = this.#bucketSeconds;
              return [
                first - seconds / 2,
                first + seconds * (this.#buckets.length - 0.5),
              ];
            },
          },
          y: { range: (_plot, _min, max) => [0, niceMax(max)] },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 26,
            gap: 6,
            space: 64,
            values: (_plot, values) => values.map((it) => this.#timeOf(it)),
          },
          {
            ...axis,
            grid,
            size: 52,
            gap: 6,
            space: 34,
            values: (_plot, values) => values.map(format),
          },
        ],
        series,
        hooks: {
          setCursor: [(plot) => this.#tell(plot.cursor.idx ?? null)],
        },
      },
      [[], ...series.slice(1).map(() => [])],
      place,
    );
  }

  /** @param {number} seconds */
  #timeOf(seconds) {
    const isLong = this.#bucketSeconds * this.#buckets.length > DAY_SECONDS;
    return (isLong ? day : time)(new Date(seconds * 1_000));
  }

  #resize() {
    if (!this.#plots) return;
    this.#plots.rate.setSize(sizeOf(byId("plot-rate")));
    this.#plots.wait.setSize(sizeOf(byId("plot-wait")));
  }

  /**
   * Says in words what is pointed at, or what the plots show as a whole.
   *
   * @param {number | null} index
   */
  #tell(index) {
    const bucket = index === null ? undefined : this.#buckets[index];
    const own = bucket ? [bucket] : this.#buckets;
    /** @param {"completed" | "failed"} name */
    const sum = (name) => own.reduce((all, it) => all + it[name], 0);
    fill(byId("rate-completed"), count(sum("completed")));
    fill(byId("rate-failed"), count(sum("failed")));
    // Percentiles of a whole can't be had from those of its parts.
    const waited = bucket ??
      this.#buckets.findLast(({ wait_seconds }) => wait_seconds !== null);
    const { p50, p95 } = waited?.wait_seconds ?? {};
    /** @param {number | undefined} value */
    const text = (value) => value === undefined ? "–" : duration(value);
    /** @param {Bucket | undefined} it */
    const when = (it) => it ? clock(new Date(it.start)) : "";
    fill(byId("wait-p50"), text(p50));
    fill(byId("wait-p95"), text(p95));
    fill(byId("rate-when"), when(bucket));
    fill(byId("wait-when"), when(waited));
    if (bucket) return;
    byId("plot-rate").setAttribute(
      "aria-label",
      `${sum("completed")} completed and ${sum("failed")} failed in this time`,
    );
    byId("plot-wait").setAttribute(
      "aria-label",
      waited
        ? `Wait before the first start, at ${when(waited)}: ` +
          `median ${text(p50)}, 95th percentile ${text(p95)}`
        : "Wait before the first start: no task was started in this time",
    );
  }
}

const noPoints = { points: { show: false } };
const dots = { points: { size: 4 } };

/** @param {HTMLElement} place */
function sizeOf(place) {
  return { width: place.clientWidth || 300, height: place.clientHeight || 140 };
}

/** @param {number | null} max */
function niceMax(max) {
  return max === null || !(max > 0) ? 1 : max * 1.1;
}

/**
 * What the style sheet says for this theme.
 *
 * @param {string} name
 */
function colorOf(name) {
  const probe = byId("probe");
  probe.className = `probe-${name}`;
  return getComputedStyle(probe).color;
}
