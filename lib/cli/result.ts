/**
 * `agent-runner result`
 *
 * @module
 */

import { EXIT, UserError } from "../base/errors.ts";
import { printedOf } from "../task/outcome.ts";
import type { AgentTask, JsonValue } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import { awaitedText } from "./asked.ts";
import { findTask, prefixOf } from "./choose.ts";
import { CLIENT_SETTINGS, type Command } from "./command.ts";
import { printableOn, renderJson } from "./render.ts";

/**
 * Prints what a completed task returned, or what the program of a failed one
 * printed. Exit code 1 where there is no result.
 */
export const result: Command = {
  name: "result",
  args: "ID",
  maxArgs: 1,
  summary: "Print what a task returned, or printed until it failed",
  flags: [{ name: "json", summary: "Print text as JSON too" }],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["result 550e8400", "result 550e8400 --json"],
  run: async ({ args, flags, terminal, openAdmin }) => {
    const prefix = prefixOf(args, "print a result without its task's id");
    await using store = await openAdmin();
    const task = await findTask(store.admin, prefix);
    const trace = parseTrace(task.traceText);
    const output = trace?.output;
    const print = (value: JsonValue) => {
      if (flags.json || typeof value !== "string") {
        terminal.write(renderJson(value, 2));
      } else {
        const text = value.endsWith("\n") ? value : `${value}\n`;
        terminal.write(printableOn(terminal.screen, text));
      }
    };
    if (task.state !== "completed" || output === undefined) {
      const printed = printedOf(trace?.printed);
      if (flags.json && printed) print({ ...printed });
      else if (printed?.stdout) print(printed.stdout);
      // Without a word on stderr, the error quotes what was just printed.
      const isPrinted = printed?.stdout && !printed.stderr && !flags.json;
      const error = isPrinted ? undefined : trace?.error;
      throw new UserError(
        `Cannot print the result of task ${task.id}: ${whyNone(task, error)}`,
      );
    }
    print(output);
    return EXIT.ok;
  },
};

function whyNone(task: AgentTask, error: JsonValue | undefined): string {
  const { id, state } = task;
  const short = id.slice(0, 8);
  switch (state) {
    case "created":
      return "it has not run yet. " +
        `Run it now: agent-runner run-task ${short}`;
    case "running":
      return "it has not ended yet. " +
        `See how far it is: agent-runner show ${short}`;
    case "needs_input":
      return `it waits for ${awaitedText(task)}. ` +
        `See its question: agent-runner show ${short}`;
    case "completed":
      return "it completed without one. " +
        `See what it did: agent-runner show ${short}`;
    default:
      return `it is ${state}${error ? `: ${error}` : ""}. ` +
        `See what happened: agent-runner show ${short}`;
  }
}
