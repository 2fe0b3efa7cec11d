/**
 * `agent-runner list`
 *
 * @module
 */

import { EXIT } from "../../base/errors.ts";
import { taskToJson } from "../../task/json.ts";
import { renderJson, renderTable } from "../render.ts";
import { type CommandContext, textFlag } from "../context.ts";
import { countFlag, statesFlag } from "../filter.ts";

const DEFAULT_LIMIT = 50;

/** Lists tasks, newest first. */
export async function list(
  { flags, clock, terminal, openDesk }: CommandContext,
): Promise<number> {
  const states = statesFlag(flags);
  const provider = textFlag(flags, "provider");
  const limit = countFlag(flags, "limit") ?? DEFAULT_LIMIT;
  await using store = await openDesk();
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
