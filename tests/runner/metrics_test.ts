import { assert, assertEquals, assertMatch } from "@std/assert";
import { RunnerEvents } from "../../lib/runner/events.ts";
import {
  type Labels,
  measureRunner,
  type Meter,
  type Metric,
  type MetricName,
  METRICS,
} from "../../lib/runner/metrics.ts";
import type {
  AgentTask,
  ClaimedTask,
  TaskEventKind,
} from "../../lib/task/task.ts";
import type { Transition } from "../../lib/task/task.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { NO_ID, TestService } from "../service/service.ts";

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

function claimed(
  provider: string,
  { attempt = 1, waitedMs = 0 } = {},
): ClaimedTask {
  const now = new Date("2026-11-23T00:00:00Z");
  const createdAt = new Date(now.getTime() - waitedMs);
  const task = { id: NO_ID, provider, attempt, createdAt, updatedAt: now };
  return { task, lease: {} } as unknown as ClaimedTask;
}

function recorded(provider: string, event: TaskEventKind, runMs = 250) {
  const task = { provider } as AgentTask;
  const transition = { event } as Transition;
  return { type: "recorded", task, transition, runMs } as const;
}

Deno.test("measureRunner() counts what is claimed, and how long it waited first", () => {
  const meter = new TestMeter();
  const runner = events();
  using _measuring = measureRunner(runner, meter);
  runner.emit({
    type: "claimed",
    tasks: [
      claimed("a", { waitedMs: 1_500 }),
      claimed("b"),
      claimed("a", { attempt: 2, waitedMs: 9_000 }),
      claimed("b", { waitedMs: -5 }),
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

Deno.test("measureRunner() counts leases lost, commits, and what fails or ends unclaimed", () => {
  const meter = new TestMeter();
  const runner = events();
  const measuring = measureRunner(runner, meter);
  runner.emit({ type: "lost", task: { provider: "a" } as AgentTask });
  runner.emit({ type: "committed", rows: 17 });
  runner.emit({ type: "ended", transitions: [{}, {}] as Transition[] });
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

/** The samples of a page: `name{labels}` and value. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => /^[a-z]/.test(line));
  return new Map(lines.map((line): [string, number] => {
    const [, name = "", value] = /^(.*) (\S+)$/.exec(line) ?? [];
    return [name, Number(value)];
  }));
}

Deno.test("GET /metrics shows the store, and no runner's metrics where there is none", async () => {
  await using test = await TestService.start();
  const created = new Date(Date.now() - 90_000);
  await test.store.create([{ userId: NO_ID, provider: "p" }], created);
  await test.create({ run_at: "2126-01-01T00:00:00Z" });
  const { headers, body } = await test.get("/metrics");
  assertMatch(headers.get("Content-Type") ?? "", /^text\/plain; version=0.0.4/);
  const samples = samplesOf(body);
  assertEquals(samples.get('agent_runner_queue_depth{state="created"}'), 2);
  assertEquals(samples.get("agent_runner_database_up"), 1);
  assertEquals(samples.get('agent_runner_build_info{version="1.2.3"}'), 1);
  const age = samples.get("agent_runner_oldest_waiting_seconds") ?? 0;
  assert(age >= 90 && age < 120, `${age} s`);
  assert((samples.get("agent_runner_resident_memory_bytes") ?? 0) > 1e7);
  const started = samples.get("agent_runner_start_time_seconds") ?? 0;
  assert(Math.abs(Date.now() / 1_000 - started) < 600);
  assert(!body.includes("tasks_claimed"));
});

Deno.test("GET /metrics shows what a runner beside it did, and for how long the file was held", async () => {
  const runner = events();
  const drain = new AbortController();
  await using test = await TestService.start({
    runner: () => ({ events: runner, runs: { size: 7 }, drain: drain.signal }),
  });
  assertEquals(
    (await test.get("/ready")).body.runner,
    "it has not claimed yet",
  );
  runner.emit({
    type: "claimed",
    tasks: [claimed('say "hi"\n', { waitedMs: 40 })],
  });
  assertEquals((await test.ok("/ready")).runner, "claiming");
  runner.emit(recorded('say "hi"\n', "completed", 40));
  runner.emit({ type: "committed", rows: 3 });
  await test.create();
  await test.released();
  const samples = samplesOf((await test.get("/metrics")).body);
  const provider = 'provider="say \\"hi\\"\\n"';
  for (
    const [name, value] of [
      [`agent_runner_tasks_claimed_total{${provider}}`, 1],
      [`agent_runner_tasks_completed_total{${provider}}`, 1],
      [`agent_runner_wait_seconds_bucket{le="0.05",${provider}}`, 1],
      [`agent_runner_wait_seconds_bucket{le="0.01",${provider}}`, 0],
      [`agent_runner_run_seconds_sum{${provider}}`, 0.04],
      ["agent_runner_commit_rows_sum", 3],
      ["agent_runner_tasks_in_flight", 7],
      ["agent_runner_leases_lost_total", 0],
    ] as const
  ) assertEquals(samples.get(name), value, name);
  assert((samples.get("agent_runner_database_held_seconds_count") ?? 0) >= 1);

  runner.emit({ type: "pass failed", error: new Error("The disk is full") });
  const failing = await test.get("/ready");
  assertEquals([failing.status, failing.body.runner], [
    503,
    "The disk is full",
  ]);
  runner.emit({ type: "claimed", tasks: [] });
  drain.abort();
  const stopping = await test.get("/ready");
  assertEquals([stopping.status, stopping.body.runner], [
    503,
    "it is stopping",
  ]);
});

Deno.test("GET /metrics leaves out what can't be read", async () => {
  const clock = new FakeClock();
  await using test = await TestService.start({ clock });
  await test.create();
  await test.get("/metrics");
  await clock.advance(10_000);
  await test.store[Symbol.asyncDispose]();
  Deno.removeSync(test.path);
  Deno.mkdirSync(test.path);
  const { status, body } = await test.get("/metrics");
  assertEquals(status, 200);
  const samples = samplesOf(body);
  assertEquals(samples.get("agent_runner_database_up"), 0);
  assertEquals(
    [...samples.keys()].filter((name) => /queue|oldest/.test(name)),
    [],
  );
  Deno.removeSync(test.path);
});

/** Every expression of the dashboard, wherever it is. */
function expressionsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, it]) =>
    (key === "expr" || key === "definition") && typeof it === "string"
      ? [it]
      : expressionsOf(it)
  );
}

Deno.test("deploy/grafana.json uses metrics and labels that there are, and all metrics", async () => {
  const url = new URL("../../deploy/grafana.json", import.meta.url);
  const text = await Deno.readTextFile(url);
  const expressions = expressionsOf(JSON.parse(text));
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
  const unused = Object.values(METRICS).map(({ name }) => name)
    .filter((name) => !used.has(name));
  assertEquals(unused, []);
});
