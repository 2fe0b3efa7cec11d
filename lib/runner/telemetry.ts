/**
 * Spans and metrics for OpenTelemetry. Deno sends them where OTEL_DENO is true;
 * here they are made. Loaded only then.
 *
 * @module
 */

import {
  type Attributes,
  type Context,
  metrics,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { messageOf } from "../base/errors.ts";
import {
  type Meter,
  type Metric,
  type MetricName,
  METRICS,
} from "./metrics.ts";
import type {
  Processor,
  ProcessorContext,
  ProcessorLookup,
} from "../processors/processor.ts";
import type { AgentTask, JsonObject, Outcome } from "../task/task.ts";

const NAME = "agent-runner";
const SPAN_NAME = "agent_task.run";

/**
 * Processors whose every run is a span, within which they make theirs: requests
 * that they send carry its id. It continues the trace that the task's
 * `traceparent` names.
 */
export function tracedProcessors(
  lookup: ProcessorLookup,
  { version }: { readonly version: string },
): ProcessorLookup {
  const tracer = trace.getTracer(NAME, version);
  return (provider) => {
    const processor = lookup(provider);
    return processor && traced(processor, tracer);
  };
}

function traced(processor: Processor, tracer: Tracer): Processor {
  const process: Processor["process"] = (task, context) =>
    tracer.startActiveSpan(
      SPAN_NAME,
      {
        kind: SpanKind.CONSUMER,
        attributes: attributesOf(task, processor),
      },
      parentOf(context.trace),
      (span) =>
        runWithin(span, () => processor.process(task, context), context),
    );
  return {
    name: processor.name,
    stopGraceMs: processor.stopGraceMs,
    isSimulated: processor.isSimulated,
    process,
    describe: processor.describe?.bind(processor),
    check: processor.check?.bind(processor),
    warnings: processor.warnings?.bind(processor),
    version: processor.version?.bind(processor),
    [Symbol.asyncDispose]: processor[Symbol.asyncDispose]?.bind(processor),
    // Whatever a processor can be told is passed on: one more must be here too.
  } satisfies Record<keyof Processor, unknown>;
}

function attributesOf(
  { id, provider, attempt, targetRef }: AgentTask,
  { name }: Processor,
): Attributes {
  return {
    "agent_task.id": id,
    "agent_task.provider": provider,
    "agent_task.attempt": attempt,
    "agent_task.processor": name,
    ...targetRef === null ? {} : { "agent_task.target": targetRef },
  };
}

/** Whoever made the task may have put its own span there. */
function parentOf({ traceparent, tracestate }: JsonObject): Context {
  return propagation.extract(ROOT_CONTEXT, {
    ...typeof traceparent === "string" ? { traceparent } : {},
    ...typeof tracestate === "string" ? { tracestate } : {},
  });
}

async function runWithin(
  span: Span,
  run: () => Promise<Outcome>,
  { signal }: ProcessorContext,
): Promise<Outcome> {
  const end = (outcome: string, error?: string) => {
    span.setAttribute("agent_task.outcome", outcome);
    if (error !== undefined) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    }
    span.end();
  };
  // A processor may take its time to stop, and the program may have ended then.
  const onAbort = () => end("stopped", String(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const outcome = await run();
    if (!signal.aborted) {
      end(outcome.kind, outcome.kind === "failed" ? outcome.error : undefined);
    }
    return outcome;
  } catch (error) {
    if (!signal.aborted) end("failed", messageOf(error));
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** A meter whose values Deno sends. */
export function telemetryMeter(
  { version, inFlight }: {
    readonly version: string;
    /** How many tasks the runner has in hand. */
    readonly inFlight: () => number;
  },
): Meter {
  const meter = metrics.getMeter(NAME, version);
  const instruments = Object.entries<Metric>(METRICS).map((
    [key, { name, kind, help: description, bounds }],
  ) => {
    const unit = name.endsWith("_seconds") ? "s" : undefined;
    const options = { description, unit };
    return [
      key,
      kind === "counter"
        ? meter.createCounter(name.replace(/_total$/, ""), options)
        : kind === "histogram"
        ? meter.createHistogram(name, {
          ...options,
          advice: { explicitBucketBoundaries: [...bounds ?? []] },
        })
        : undefined,
    ] as const;
  });
  const gauge = meter.createObservableGauge(METRICS.inFlight.name, {
    description: METRICS.inFlight.help,
  });
  gauge.addCallback((result) => result.observe(inFlight()));
  const byName = new Map(instruments);
  const put = (metric: MetricName, value: number, labels: Attributes = {}) => {
    const instrument = byName.get(metric);
    if (!instrument) return;
    if ("add" in instrument) instrument.add(value, labels);
    else instrument.record(value, labels);
  };
  return { add: put, observe: put };
}
