/**
 * `agent-runner run-task`
 *
 * @module
 */

import { EXIT, UserError } from "../base/errors.ts";
import { formatLocalTime, type Log, printable } from "../base/log.ts";
import { simulationWarning } from "../config/served.ts";
import type { ProcessorLookup } from "../processors/processor.ts";
import type { RunWatcher } from "../runner/log.ts";
import type { Admin, Store } from "../store/contract.ts";
import { progressText } from "../task/progress.ts";
import { type AgentTask, isFinal, isKnownState } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import { questionOf } from "../task/transitions.ts";
import { asksApproval } from "../task/workspace.ts";
import { awaitedText, sayWith } from "./asked.ts";
import { blockedText, readBlockedBy } from "./blocked.ts";
import { findTask, prefixOf } from "./choose.ts";
import { type Command, type CommandContext, runnerName } from "./command.ts";
import { problemsOf } from "./config.ts";
import { listenForSignals } from "./signals.ts";
import { OutputClosedError, type Terminal } from "./terminal.ts";

/** Runs the task that the user names. */
export const runTask: Command = {
  name: "run-task",
  args: "ID",
  maxArgs: 1,
  summary: "Run one task now, with its output on the terminal",
  settings: ["exclusive", "leaseMs", "maxAttempts", "attempts", "timeoutMs"],
  usesProviders: true,
  examples: ["run-task 550e8400"],
  run: async (context) => {
    const { config, args, clock, log, openStore } = context;
    const prefix = prefixOf(args, "run a task without its id");
    const { assertEnabled } = await import("../runner.ts");
    assertEnabled(config);
    const warning = simulationWarning(config);
    const { createProcessors } = await import("../processors/open.ts");
    await using processors = await createProcessors(config, { clock, log });
    await using store = await openStore();
    if (warning) log.warning(warning, { event: "simulated" });
    const task = await findTask(store.admin, prefix);
    const processorFor = processors.for;
    await assertRunnable(task, { admin: store.admin, now: clock.now() });
    await assertUsable(task, { processorFor, clock });
    return await runNow(task, { ...context, store, processorFor });
  },
};

/** Options for {@linkcode runNow}. */
export interface RunNowOptions
  extends Pick<CommandContext, "config" | "clock" | "log" | "terminal"> {
  readonly store: Pick<Store, "queue" | "admin">;
  readonly processorFor: ProcessorLookup;
}

/**
 * Runs one task at once, whatever its time and its provider's limit: what it
 * prints goes to standard output, the rest to the log. A signal gives it back.
 * Exit code 0 where it completed.
 *
 * @throws {UserError} that says why it can't be run now.
 */
export async function runNow(
  task: AgentTask,
  { config, clock, log, terminal, store, processorFor }: RunNowOptions,
): Promise<number> {
  if (!processorFor(task.provider)) {
    throw cannotRun(
      task,
      `no processor is configured for its provider, ${task.provider}.`,
    );
  }
  const { admin } = store;
  await assertRunnable(task, { admin, now: clock.now() });
  const { autoStartCreatedTasks, createRunner, processRunningTask } =
    await import("../runner.ts");
  const { outputLines } = await import("../runner/output_lines.ts");
  await using runner = createRunner({
    queue: store.queue,
    admin: store.admin,
    processorFor,
    clock,
    log,
    owner: runnerName(),
    settings: config,
    watcher: watcherOf({ log, terminal, outputLines }),
  });
  using signals = listenForSignals(log, {
    drain: "Stopping: the task is given back",
    abort: "Still stopping: the task has a second to end",
  });
  const stop = () => runner.runs.stopAll("shutdown");
  signals.drain.addEventListener("abort", stop);
  const claim = { taskId: task.id, signal: signals.drain };
  const { maxAttempts } = config;
  await store.queue.endAbandoned({ maxAttempts, ...claim });
  const { runs: [run] } = await autoStartCreatedTasks(runner, {
    limit: 1,
    ...claim,
  });
  if (!run) {
    if (signals.drain.aborted) return EXIT.failed;
    const now = await store.admin.get(task.id);
    if (now) await assertRunnable(now, { admin, now: clock.now() });
    throw cannotRun(task, "somebody else has just changed it. Try again.");
  }
  signals.abort.addEventListener("abort", async () => {
    await run.gone();
    await runner.recorder.abandonSoon();
  });
  if (signals.drain.aborted) run.stop("shutdown");
  const result = await processRunningTask(runner, run);
  if (result === "needs_input") {
    const asking = await store.admin.get(task.id) ?? task;
    log.info(howToGoOn(asking), { event: "hint", task: task.id });
  }
  return result === "completed" ? EXIT.ok : EXIT.failed;
}

/** @throws {UserError} with what `config check` says of the task's provider. */
async function assertUsable(
  task: AgentTask,
  { processorFor, clock }: Pick<RunNowOptions, "processorFor" | "clock">,
): Promise<void> {
  const processor = processorFor(task.provider);
  const problems = processor
    ? await problemsOf(processor, clock, { isOffline: true })
    : [];
  if (problems.length > 0) throw cannotRun(task, problems.join(" "));
}

/** @throws {UserError} that says why nobody can run the task now. */
async function assertRunnable(
  task: AgentTask,
  { admin, now }: {
    readonly admin: Pick<Admin, "graph">;
    readonly now: Date;
  },
): Promise<void> {
  const { state, leaseOwner, leaseExpiresAt } = task;
  const short = task.id.slice(0, 8);
  const trace = parseTrace(task.traceText);
  if (isFinal(state)) {
    throw cannotRun(
      task,
      `it has ${state} already. See how: agent-runner show ${short}`,
    );
  }
  if (!isKnownState(state)) {
    throw cannotRun(
      task,
      `another program gave it the state "${state}", which is not one of ` +
        "agent-runner's.",
    );
  }
  if (task.isBlocked) {
    const blocked = await readBlockedBy(admin, task.id);
    if (blocked) {
      throw cannotRun(
        task,
        `it ${blockedText(blocked)}. See them: agent-runner show ${short}`,
      );
    }
  }
  if (state === "needs_input") {
    throw cannotRun(
      task,
      `it waits for ${awaitedText(task)}: ${questionOf(trace) ?? ""}\n${
        howToGoOn(task)
      }`,
    );
  }
  if (leaseExpiresAt && leaseExpiresAt > now) {
    throw cannotRun(
      task,
      `${leaseOwner} runs it, until ${
        formatLocalTime(leaseExpiresAt)
      } at least. Stop that: agent-runner cancel ${short}`,
    );
  }
}

function cannotRun({ id }: AgentTask, why: string): UserError {
  return new UserError(`Cannot run task ${id}: ${why}`);
}

function howToGoOn(task: AgentTask): string {
  return `${asksApproval(task) ? "Approve" : "Answer"} it: ${sayWith(task)}`;
}

function watcherOf(
  { log, terminal, outputLines }: {
    readonly log: Log;
    readonly terminal: Terminal;
    readonly outputLines: (line: unknown) => string[];
  },
): RunWatcher {
  let isClosed = false;
  return {
    progress: ({ id }, progress) =>
      log.info(`Task ${id}: ${progressText(progress)}`, {
        event: "progress",
        task: id,
      }),
    output(_task, line) {
      if (isClosed) return;
      const lines = outputLines(line).map((text) => `${printable(text)}\n`);
      try {
        terminal.write(lines.join(""));
      } catch (error) {
        // Nobody reads any more, as after `| head`; the task goes on.
        if (!(error instanceof OutputClosedError)) throw error;
        isClosed = true;
      }
    },
  };
}
