import { assert, assertEquals, assertMatch } from "@std/assert";
import { parse as parseYaml } from "@std/yaml/parse";
import { RunnerEvents } from "../../lib/runner/events.ts";
import {
  type Labels,
  measureRunner,
  type Meter,
  type Metric,
  type MetricName,
  METRICS,
} from "../../lib/runner/metrics.ts";
import type { AgentTask, TaskEventKind } from "../../lib/task/task.ts";
import type { Transition } from "../../lib/task/task.ts";
import type { EndedTask } from "../../lib/store/contract.ts";
import { sampleTask } from "../support/sample_task.ts";

class TestMeter implements Meter {
  readonly lines: string[] = [];

  add(metric: MetricName, count: number, labels: Labels = {}): void {
    this.lines.push(this.#line(metric, `+${count}`, labels));
  }

  observe(metric: MetricName, value: number, labels: Labels = {}): void {
    this.lines.push(this.#line(metric, String(value), labels));
  }

  #line(metric: MetricName, value: string, labels: Labels): string {
    return [metric, value, ...Object.values(labels)].join(" ");
  }
}

function events(): RunnerEvents {
  return new RunnerEvents((error) => {
    throw error;
  });
}

function begun(
  provider: string,
  { attempt = 1, waitedMs = 0 } = {},
): AgentTask {
  const updatedAt = new Date("2026-11-23T00:00:00Z");
  const createdAt = new Date(updatedAt.getTime() - waitedMs);
  return sampleTask({ provider, attempt, createdAt, updatedAt });
}

function recorded(
  provider: string,
  event: TaskEventKind,
  { isSimulated = false } = {},
) {
  const task = { provider } as AgentTask;
  const transition = { event } as Transition;
  const runMs = 250;
  return { type: "recorded", task, transition, runMs, isSimulated } as const;
}

Deno.test("measureRunner() counts what is begun, and how long it waited first", () => {
  const meter = new TestMeter();
  const runner = events();
  using _measuring = measureRunner(runner, meter);
  runner.emit({
    type: "begun",
    tasks: [
      begun("a", { waitedMs: 1_500 }),
      begun("b"),
      begun("a", { attempt: 2, waitedMs: 9_000 }),
      begun("b", { waitedMs: -5 }),
    ],
  });
  assertEquals(meter.lines, [
    "wait 1.5 a",
    "wait 0 b",
    "wait 0 b",
    "claimed +2 a",
    "claimed +2 b",
  ]);
});

const OUTCOMES: [event: TaskEventKind, metric: MetricName][] = [
  ["completed", "completed"],
  ["failed", "failed"],
  ["cancelled", "cancelled"],
  ["retry_scheduled", "retried"],
  ["needs_input", "asked"],
  ["released", "released"],
];

for (const [event, metric] of OUTCOMES) {
  Deno.test(`measureRunner() counts what is ${event} as ${metric}`, () => {
    const meter = new TestMeter();
    const runner = events();
    using _measuring = measureRunner(runner, meter);
    runner.emit(recorded("a", event));
    assertEquals(meter.lines, [`${metric} +1 a`, "run 0.25 a"]);
  });
}

Deno.test("measureRunner() counts what was only simulated, whatever it came to", () => {
  const meter = new TestMeter();
  const runner = events();
  using _measuring = measureRunner(runner, meter);
  runner.emit(recorded("a", "failed", { isSimulated: true }));
  assertEquals(meter.lines, ["failed +1 a", "simulated +1 a", "run 0.25 a"]);
});

Deno.test("measureRunner() counts leases lost, commits, and what fails or ends unclaimed", () => {
  const meter = new TestMeter();
  const runner = events();
  const measuring = measureRunner(runner, meter);
  runner.emit({ type: "lost", task: { provider: "a" } as AgentTask });
  runner.emit({ type: "committed", rows: 17 });
  runner.emit({ type: "ended", ended: [{}, {}] as EndedTask[] });
  runner.emit({ type: "pass failed", error: new Error("no") });
  assertEquals(meter.lines, [
    "leasesLost +1",
    "commitRows 17",
    "abandoned +2",
    "passesFailed +1",
  ]);
  measuring[Symbol.dispose]();
  runner.emit({ type: "committed", rows: 1 });
  assertEquals(meter.lines.length, 4);
});

Deno.test("measureRunner() tells at most 50 providers apart", () => {
  const meter = new TestMeter();
  const runner = events();
  using _measuring = measureRunner(runner, meter);
  for (let n = 0; n < 60; n++) runner.emit(recorded(`p${n}`, "completed"));
  runner.emit(recorded("p3", "completed"));
  const counted = meter.lines.filter((line) => line.startsWith("completed"));
  assertEquals(counted.filter((line) => line.endsWith(" other")).length, 10);
  assertEquals(counted.at(-1), "completed +1 p3");
});

Deno.test("metrics have names, units and labels as Prometheus wants them", () => {
  const names = Object.values(METRICS).map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
  for (const metric of Object.values<Metric>(METRICS)) {
    assertMatch(metric.name, /^agent_runner_[a-z_]+$/);
    assertEquals(metric.name.endsWith("_total"), metric.kind === "counter");
    assertEquals(metric.bounds !== undefined, metric.kind === "histogram");
    assertEquals(metric.bounds, metric.bounds?.toSorted((a, b) => a - b));
  }
});

/** Every expression of a dashboard or of rules, wherever it is. */
function expressionsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, it]) =>
    (key === "expr" || key === "definition") && typeof it === "string"
      ? [it]
      : expressionsOf(it)
  );
}

function deployed(name: string): Promise<string> {
  return Deno.readTextFile(new URL(`../../deploy/${name}`, import.meta.url));
}

/** The metrics that expressions use; fails where one, or a label, is none. */
function metricsIn(expressions: readonly string[]): Set<string> {
  const known = new Map(
    Object.values<Metric>(METRICS).flatMap((metric) => {
      const parts = metric.kind === "histogram"
        ? ["_bucket", "_sum", "_count"]
        : [""];
      return parts.map((it) => [metric.name + it, metric] as const);
    }),
  );
  const used = new Set<string>();
  for (const expression of expressions) {
    const names = expression.match(/\bagent_runner_\w+/g) ?? [];
    assert(names.length > 0, expression);
    for (const name of names) {
      const metric = known.get(name);
      assert(metric, `${name} in ${expression}`);
      used.add(metric.name);
    }
    for (const [, labels = ""] of expression.matchAll(/by \(([\w, ]*)\)/g)) {
      for (const label of labels.split(/, */)) {
        const isKnown = label === "le" ||
          names.some((name) => known.get(name)?.labels.includes(label));
        assert(isKnown, `${label} in ${expression}`);
      }
    }
  }
  return used;
}

Deno.test("deploy/grafana.json uses metrics and labels that there are, and all metrics", async () => {
  const dashboard = JSON.parse(await deployed("grafana.json"));
  const used = metricsIn(expressionsOf(dashboard));
  const unused = Object.values(METRICS).map(({ name }) => name)
    .filter((name) => !used.has(name));
  assertEquals(unused, []);
});

Deno.test("deploy/alerts.yaml has rules by metrics and labels that there are", async () => {
  const rules = parseYaml(await deployed("alerts.yaml")) as {
    groups: { rules: Record<string, unknown>[] }[];
  };
  const all = rules.groups.flatMap((group) => group.rules);
  const names = all.map(({ alert }) => alert);
  assertEquals(new Set(names).size, names.length);
  for (const { alert, expr, labels, annotations } of all) {
    assert(expr && labels && annotations, String(alert));
  }
  assert(metricsIn(expressionsOf(rules)).size > 0);
});
