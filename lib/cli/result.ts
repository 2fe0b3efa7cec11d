/**
 * `agent-runner result`
 *
 * @module
 */

import { EXIT, UserError } from "../base/errors.ts";
import type { AgentTask, JsonObject } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import { findTask, prefixOf } from "./choose.ts";
import { CLIENT_SETTINGS, type Command } from "./command.ts";
import { printableOn, renderJson } from "./render.ts";

/** Prints what a completed task returned. Exit code 1 where there is no result. */
export const result: Command = {
  name: "result",
  args: "ID",
  maxArgs: 1,
  summary: "Print what a completed task returned: text as it is, else JSON",
  flags: [{ name: "json", summary: "Print text as JSON too" }],
  settings: CLIENT_SETTINGS,
  examples: ["result 550e8400", "result 550e8400 --json"],
  run: async ({ args, flags, terminal, openAdmin }) => {
    const prefix = prefixOf(args, "print a result without its task's id");
    await using store = await openAdmin();
    const task = await findTask(store.admin, prefix);
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
      terminal.write(printableOn(terminal.screen, text));
    }
    return EXIT.ok;
  },
};

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
