/**
 * `agent-runner list`
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import { EXIT, UsageError } from "../errors.ts";
import { renderJson, renderTable, taskToJson } from "../render.ts";
import { TASK_STATES, type TaskState } from "../task.ts";
import { type CommandContext, textFlag } from "./context.ts";

const DEFAULT_LIMIT = 50;

/** Lists tasks, newest first. */
export async function list(
  { flags, clock, terminal, openStore }: CommandContext,
): Promise<number> {
  const states = textFlag(flags, "state")?.split(",").map(stateOf);
  const provider = textFlag(flags, "provider");
  const limit = limitOf(textFlag(flags, "limit"));
  await using store = await openStore();
  // One more than is shown, to know whether there are more.
  const tasks = await store.list({ states, provider, limit: limit + 1 });
  const shown = tasks.slice(0, limit);
  if (flags.json) {
    terminal.write(renderJson(shown.map(taskToJson), 2));
  } else if (shown.length === 0) {
    terminal.write(
      states || provider ? "No such tasks.\n" : "There are no tasks yet.\n",
    );
  } else {
    terminal.write(renderTable(shown, clock.now(), terminal.screen));
    const asking = shown.filter(({ state }) => state === "needs_input").length;
    if (asking > 0) {
      terminal.write(
        `${asking} ${asking === 1 ? "waits" : "wait"} for an answer; ` +
          "agent-runner show ID has the question.\n",
      );
    }
    if (tasks.length > limit) {
      terminal.write(`… and older ones; --limit ${limit * 10} shows more.\n`);
    }
  }
  return EXIT.ok;
}

function stateOf(text: string): TaskState {
  const name = text.trim();
  const state = TASK_STATES.find((it) => it === name);
  if (state) return state;
  throw new UsageError(
    `Unknown state "${name}". Did you mean "${
      closestString(name, [...TASK_STATES])
    }"? States: ${TASK_STATES.join(", ")}.`,
  );
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit > 0) return limit;
  throw new UsageError(
    `--limit is "${text}": expected a whole number, 1 or more.`,
  );
}
