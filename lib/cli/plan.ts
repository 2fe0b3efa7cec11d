/**
 * `agent-runner run --dry-run`: what a run would do.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { EXIT, messageOf } from "../base/errors.ts";
import { formatLocalTime } from "../base/log.ts";
import type { Processor, ProcessorLookup } from "../processors/processor.ts";
import {
  claimedProvidersOf,
  globalLimitsOf,
  limitsOf,
  type ProviderMap,
  taskLimitsOf,
} from "../runner/providers.ts";
import { hoursText, waitText } from "../runner/hold_texts.ts";
import { OTHERS, type Preview } from "../store/contract.ts";
import { groupOf, isFullFor } from "../store/decisions.ts";
import { type AgentTask, isKnownState, type JsonObject } from "../task/task.ts";
import { shownStateOf } from "../task/shown_state.ts";
import { parseTrace } from "../task/trace.ts";
import { questionOf } from "../task/transitions.ts";
import { simulationWarning } from "../config/served.ts";
import { needsStart } from "../task/workspace.ts";
import { awaitedText } from "./asked.ts";
import { blockedText } from "./blocked.ts";
import type { CommandContext } from "./command.ts";
import { stateOf } from "./list.ts";
import { alignRows, renderJson, type Screen } from "./render.ts";
import { assertFlags } from "./run.ts";
import { findUnusable } from "./usable_providers.ts";

/** How many tasks of each kind are shown. */
const SHOWN_TASKS = 100;

/** Shows what would run. Changes nothing, and needs no permission to run. */
export async function showPlan(context: CommandContext): Promise<number> {
  assertFlags(context);
  const { config, flags, clock, log, terminal, openStore } = context;
  const { createProcessors } = await import("../processors/open.ts");
  const warning = simulationWarning(config);
  if (warning) log.warning(warning, { event: "simulated" });
  await using processors = await createProcessors(config, { clock, log });
  const problems = await findUnusable(
    context,
    processors,
    () => ({ isQuiet: true }),
  );
  await using store = await openStore();
  const preview = await store.queue.preview({
    limit: SHOWN_TASKS,
    maxAttempts: config.maxAttempts,
    globalLimits: globalLimitsOf(config.providers),
    taskLimits: taskLimitsOf(config.providers),
    providers: claimedProvidersOf(config.providers, new Set(problems.keys())),
  });
  const processorFor = processors.for;
  const plan = planOf(preview, {
    settings: config,
    problems,
    processorFor,
    clock,
  });
  terminal.write(
    flags.json
      ? renderJson(planToJson(plan), 2)
      : renderPlan(plan, terminal.screen),
  );
  return EXIT.ok;
}

/** What would run, and what would not. */
export interface Plan {
  /** In their order. */
  readonly running: readonly PlannedTask[];
  /** All of them, those included that are not shown. */
  readonly runningCount: number;
  readonly waiting: readonly WaitingTask[];
  readonly waitingCount: number;
}

interface PlannedTask {
  readonly task: AgentTask;
  readonly processor: string;
  /** What it would do. */
  readonly description: string;
  /** How many of its provider run at the same time, where that is limited. */
  readonly limit: number | undefined;
}

interface WaitingTask {
  readonly task: AgentTask;
  /** As list says it. */
  readonly state: string;
  readonly reason: string;
}

/** Options for {@linkcode planOf}. */
export interface PlanOptions {
  readonly processorFor: ProcessorLookup;
  readonly clock: Clock;
  /** Of the providers that can't be used. */
  readonly problems: ReadonlyMap<string, readonly string[]>;
  readonly settings: {
    readonly maxAttempts: number;
    readonly limits: ReadonlyMap<string, number>;
    readonly providers?: ProviderMap;
  };
}

/** Finds out who would run the tasks, and why some would not run. */
export function planOf(preview: Preview, options: PlanOptions): Plan {
  const { processorFor, settings, clock } = options;
  const now = clock.now();
  const limits = limitsOf(settings.limits, settings.providers);
  const running: PlannedTask[] = [];
  const waiting: WaitingTask[] = [];
  for (const task of preview.claimable) {
    const problem = problemOf(task.provider, options) ??
      hoursText(task.provider, settings.providers, now);
    if (problem) {
      wait(task, problem);
      continue;
    }
    const processor = processorFor(task.provider);
    if (!processor) {
      wait(task, `fails: ${NO_PROCESSOR}`);
      continue;
    }
    const limit = limits.get(task.provider) ?? limits.get(OTHERS) ?? Infinity;
    running.push({
      task,
      processor: processor.name,
      description: needsStart(task)
        ? `asks for your approval before: ${describe(processor, task)}`
        : describe(processor, task),
      limit: Number.isFinite(limit) ? limit : undefined,
    });
  }
  const moved = waiting.length;
  for (const task of preview.others) {
    wait(task, whyNot(task, preview, options));
  }
  return {
    running,
    runningCount: preview.claimableCount - moved,
    waiting,
    waitingCount: preview.othersCount + moved,
  };

  function wait(task: AgentTask, reason: string): void {
    waiting.push({ task, state: stateOf(task, now), reason });
  }
}

/** Why a provider can't be used; undefined where it can. */
function problemOf(
  provider: string,
  { problems, settings: { providers } }: PlanOptions,
): string | undefined {
  return problems.get(providers?.has(provider) ? provider : OTHERS)?.join(" ");
}

const NO_PROCESSOR = "no processor is configured for its provider";

function describe(processor: Processor, task: AgentTask): string {
  try {
    return processor.describe?.(task) ?? task.instruction ?? "";
  } catch (error) {
    return `its processor can't say: ${messageOf(error)}`;
  }
}

function whyNot(
  task: AgentTask,
  { globalRoom, pauses, blockedBy, heldBy }: Preview,
  options: PlanOptions,
): string {
  const { clock, settings } = options;
  const { state, provider, attempt, leaseOwner, leaseExpiresAt, runAt } = task;
  const now = clock.now();
  if (!isKnownState(state)) {
    return `another program gave it the state "${state}"`;
  }
  if (state !== "needs_input" && leaseExpiresAt && leaseExpiresAt > now) {
    return `${leaseOwner} runs it, until ${
      formatLocalTime(leaseExpiresAt)
    } at least`;
  }
  if (task.cancelRequestedAt) return "fails: somebody has cancelled it";
  const blocked = blockedBy.get(task.id);
  if (blocked) return blockedText(blocked);
  if (state === "needs_input") {
    const question = questionOf(parseTrace(task.traceText)) ?? "";
    return runAt && runAt <= now
      ? `fails: nobody answered in time: ${question}`
      : `waits for ${awaitedText(task)}: ${question}`;
  }
  const problem = problemOf(provider, options);
  if (problem) return problem;
  const claimed = claimedProvidersOf(settings.providers);
  if (claimed && !claimed.includes(provider)) return NO_PROCESSOR;
  if (runAt && runAt > now) return `not before ${formatLocalTime(runAt)}`;
  const { providers } = settings;
  const wait = waitText(task, { pauses, heldBy, providers, now });
  if (wait && !isSpent(task, options)) return wait;
  if (isFullFor(provider, globalRoom) && !isSpent(task, options)) {
    const name = groupOf(provider, globalRoom);
    const limit = globalLimitsOf(settings.providers).get(name);
    return `waits: globalConcurrency ${limit} of ${name} is in use by all runners`;
  }
  return `fails: its runner died at each of ${attempt} attempts`;
}

/** Its runner died, and it has no attempt left. */
function isSpent(task: AgentTask, { settings }: PlanOptions): boolean {
  const { state, leaseOwner, attempt, questions, maxAttempts } = task;
  return state === "running" && leaseOwner !== null &&
    attempt - questions >= (maxAttempts ?? settings.maxAttempts);
}

/** The plan as text. */
export function renderPlan(plan: Plan, screen: Screen): string {
  const { running, runningCount, waiting, waitingCount } = plan;
  if (runningCount + waitingCount === 0) return "Nothing waits.\n";
  const runs = running.map(({ task, processor, description, limit }) => [
    task.id.slice(0, 8),
    task.provider,
    processor,
    limit === undefined ? description : `${description} (${limit} at a time)`,
  ]);
  const waits = waiting.map(({ task, state, reason }) => [
    task.id.slice(0, 8),
    task.provider,
    state,
    reason,
  ]);
  return [
    ...section(["ID", "PROVIDER", "PROCESSOR", "WHAT"], runs, {
      total: runningCount,
      screen,
    }),
    `${runningCount} would run.`,
    ...(waitingCount === 0 ? [] : [
      "",
      ...section(["ID", "PROVIDER", "STATE", "WHY NOT"], waits, {
        total: waitingCount,
        screen,
      }),
      `${waitingCount} would not run.`,
    ]),
  ].map((line) => `${line}\n`).join("");
}

function section(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  { total, screen }: { readonly total: number; readonly screen: Screen },
): string[] {
  if (rows.length === 0) return [];
  const lines = alignRows([header, ...rows], screen);
  const more = total - rows.length;
  return more > 0 ? [...lines, `… and ${more} more`] : lines;
}

/** The plan as JSON. */
export function planToJson(plan: Plan): JsonObject {
  return {
    would_run: plan.runningCount,
    would_not_run: plan.waitingCount,
    tasks: plan.running.map(({ task, processor, description, limit }) => ({
      id: task.id,
      provider: task.provider,
      processor,
      description,
      at_once: limit ?? null,
    })),
    others: plan.waiting.map(({ task, reason }) => ({
      id: task.id,
      provider: task.provider,
      state: task.state,
      shown_state: shownStateOf(task),
      reason,
    })),
  };
}
