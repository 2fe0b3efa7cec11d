/**
 * `agent-runner result`
 *
 * @module
 */

import { EXIT, UsageError, UserError } from "../../base/errors.ts";
import { printable } from "../../base/log.ts";
import { renderJson } from "../render.ts";
import type { AgentTask, JsonObject } from "../../task/task.ts";
import { parseTrace } from "../../task/trace.ts";
import type { CommandContext } from "../context.ts";
import { findTask } from "../find_task.ts";

/**
 * Prints what a completed task returned, for a pipe: a text as it is, all else
 * as JSON. Exit code 1 where there is no result.
 */
export async function result(
  { args, flags, terminal, openDesk }: CommandContext,
): Promise<number> {
  const [prefix] = args;
  if (prefix === undefined) {
    throw new UsageError(
      "Cannot print a result without its task's id. " +
        "agent-runner list has the ids; the start of one is enough.",
    );
  }
  await using store = await openDesk();
  const task = await findTask(store, prefix);
  const trace = parseTrace(task.traceText);
  const output = trace?.output;
  if (task.state !== "completed" || output === undefined) {
    throw new UserError(
      `Cannot print the result of task ${task.id}: ${whyNone(task, trace)}`,
    );
  }
  if (flags.json || typeof output !== "string") {
    terminal.write(renderJson(output, 2));
  } else {
    const text = output.endsWith("\n") ? output : `${output}\n`;
    // A file gets every byte; a terminal must not be steered.
    const isTerminal = terminal.screen.width !== undefined;
    terminal.write(
      isTerminal ? text.split("\n").map(printable).join("\n") : text,
    );
  }
  return EXIT.ok;
}

function whyNone(
  { id, state }: AgentTask,
  trace: JsonObject | undefined,
): string {
  const short = id.slice(0, 8);
  switch (state) {
    case "created":
      return "it has not run yet. " +
        `Run it now: agent-runner run-task ${short}`;
    case "running":
      return "it has not ended yet. " +
        `See how far it is: agent-runner show ${short}`;
    case "needs_input":
      return "it waits for an answer. " +
        `See its question: agent-runner show ${short}`;
    case "completed":
      return "it completed without one. " +
        `See what it did: agent-runner show ${short}`;
    default:
      return `it is ${state}${trace?.error ? `: ${trace.error}` : ""}. ` +
        `See what happened: agent-runner show ${short}`;
  }
}
