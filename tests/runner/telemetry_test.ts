import { assert, assertEquals, assertMatch } from "@std/assert";
import { tracedProcessors } from "../../lib/runner/telemetry.ts";
import type { Processor } from "../../lib/processors/processor.ts";
import { ENABLED, Folder } from "../cli/cli.ts";
import { sampleTask } from "../support/sample_task.ts";
import { until } from "../support/until.ts";

// deno-lint-ignore no-explicit-any -- what JSON gives; the test looks at it
type Json = any;

/** Takes what Deno sends, as an OpenTelemetry collector does. */
class Collector implements AsyncDisposable {
  readonly spans: Json[] = [];
  /** The newest of each name. */
  readonly metrics = new Map<string, Json>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => {
        this.#take(await request.json());
        return Response.json({});
      },
    );
  }

  /** For a process that sends its spans here. */
  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
    };
  }

  #take({ resourceSpans = [], resourceMetrics = [] }: Json): void {
    for (const { scopeSpans } of resourceSpans) {
      for (const { scope, spans } of scopeSpans) {
        if (scope.name === "agent-runner") this.spans.push(...spans);
      }
    }
    for (const { scopeMetrics } of resourceMetrics) {
      for (const { scope, metrics } of scopeMetrics) {
        if (scope.name !== "agent-runner") continue;
        for (const metric of metrics) this.metrics.set(metric.name, metric);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function attributesOf({ attributes }: Json): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }: Json) => [key, Object.values(value)[0]]),
  );
}

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

Deno.test("each run is a span that continues the task's trace, with its outcome", async () => {
  using folder = new Folder();
  await using collector = new Collector();
  const [traced, failing, alone] = await folder.create([
    {
      instruction: "x",
      target: "octo/app#12",
      trace: { traceparent: `00-${TRACE}-${PARENT}-01` },
    },
    { instruction: "y", trace: { simulate_failure: "No luck" } },
    { instruction: "z", trace: { traceparent: "nonsense" } },
  ]);
  const env = {
    ...ENABLED,
    ...collector.env,
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0.05",
  };
  const { code, stderr } = await folder.run(["run", "--once"], { env });
  assertEquals(code, 1, stderr);
  const spanOf = (id?: string) =>
    collector.spans.find((it) => attributesOf(it)["agent_task.id"] === id);
  assertEquals(collector.spans.length, 3);

  const first = spanOf(traced);
  assertEquals([first.traceId, first.parentSpanId], [TRACE, PARENT]);
  assertEquals([first.name, first.kind], ["agent_task.run", 5]);
  assertEquals(attributesOf(first), {
    "agent_task.id": traced,
    "agent_task.provider": "simulate",
    "agent_task.attempt": 1,
    "agent_task.processor": "simulate",
    "agent_task.target": "octo/app#12",
    "agent_task.outcome": "completed",
  });
  const ns = BigInt(first.endTimeUnixNano) - BigInt(first.startTimeUnixNano);
  assert(ns >= 40_000_000n, `${ns} ns`);
  assertEquals(first.status.code ?? 0, 0);

  const second = spanOf(failing);
  assertEquals(second.status, { code: 2, message: "No luck" });
  assertEquals(attributesOf(second)["agent_task.outcome"], "failed");
  assert(second.traceId !== TRACE);

  const third = spanOf(alone);
  assertMatch(third.traceId, /^[0-9a-f]{32}$/);
  assertEquals(third.parentSpanId || undefined, undefined);

  const sumOf = (name: string) =>
    collector.metrics.get(name)?.sum.dataPoints[0].asDouble;
  assertEquals(sumOf("agent_runner_tasks_claimed"), 3);
  assertEquals(sumOf("agent_runner_tasks_completed"), 2);
  assertEquals(sumOf("agent_runner_tasks_failed"), 1);
  const run = collector.metrics.get("agent_runner_run_seconds");
  const [point] = run.histogram.dataPoints;
  assertEquals([run.unit, Number(point.count)], ["s", 3]);
  assertEquals(point.explicitBounds.slice(0, 3), [0.01, 0.05, 0.1]);
});

Deno.test("a loop says now and then how many tasks it has in hand", async () => {
  using folder = new Folder();
  await using collector = new Collector();
  await folder.create([{ instruction: "x" }]);
  const env = {
    ...ENABLED,
    ...collector.env,
    OTEL_METRIC_EXPORT_INTERVAL: "1000",
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "30",
  };
  await using process = folder.start(["run", "--loop", "--drain", "0"], {
    env,
  });
  const inFlight = () =>
    collector.metrics.get("agent_runner_tasks_in_flight")?.gauge.dataPoints[0]
      .asDouble;
  await until("it has a task in hand", () => inFlight() === 1);
  process.signal("SIGTERM");
  assertEquals((await process.ended()).code, 0);
  const [span] = collector.spans;
  assertEquals(span?.status, { code: 2, message: "shutdown" });
});

Deno.test("a run that is stopped ends its span as an error", async () => {
  using folder = new Folder();
  await using collector = new Collector();
  await folder.create([{ instruction: "x", timeout: 0.05 }]);
  const env = {
    ...ENABLED,
    ...collector.env,
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "30",
  };
  const { code, stderr } = await folder.run(["run", "--once"], { env });
  assertEquals(code, 1, stderr);
  const [span] = collector.spans;
  assertEquals(span?.status, { code: 2, message: "timeout" });
  assertEquals(attributesOf(span)["agent_task.outcome"], "stopped");
});

Deno.test("without OTEL_DENO, nothing is sent", async () => {
  using folder = new Folder();
  await using collector = new Collector();
  await folder.create([{ instruction: "x" }]);
  const env = { ...ENABLED, ...collector.env, OTEL_DENO: "" };
  const { code, stderr } = await folder.run(["run", "--once"], { env });
  assertEquals(code, 0, stderr);
  assertEquals([collector.spans.length, collector.metrics.size], [0, 0]);
});

Deno.test("tracedProcessors() keeps all that a processor says of itself", async () => {
  class Slow implements Processor {
    readonly #what = "sleep";
    readonly name = "slow";
    readonly stopGraceMs = 90_000;
    process = () => Promise.resolve({ kind: "completed" } as const);
    describe() {
      return `runs ${this.#what}`;
    }
    check() {
      return Promise.resolve([`no ${this.#what}`]);
    }
  }
  const slow = new Slow();
  const lookup = tracedProcessors(
    (provider) => provider === "slow" ? slow : undefined,
    { version: "1.2.3" },
  );
  const traced = lookup("slow");
  assertEquals(lookup("other"), undefined);
  assertEquals([traced?.name, traced?.stopGraceMs], ["slow", 90_000]);
  assertEquals(traced?.describe?.(sampleTask()), "runs sleep");
  assertEquals(await traced?.check?.(), ["no sleep"]);
});
