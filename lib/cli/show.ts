/**
 * `agent-runner show`
 *
 * @module
 */

import { EXIT, UsageError } from "../../base/errors.ts";
import { eventToJson, taskToJson } from "../../task/json.ts";
import { renderJson, renderTask } from "../render.ts";
import type { CommandContext } from "../context.ts";
import { findTask } from "../find_task.ts";

/** Shows one task with its history. */
export async function show(
  { args, flags, clock, terminal, openDesk }: CommandContext,
): Promise<number> {
  const [prefix] = args;
  if (prefix === undefined) {
    throw new UsageError(
      "Cannot show a task without its id. " +
        "agent-runner list has the ids; the start of one is enough.",
    );
  }
  await using store = await openDesk();
  const task = await findTask(store, prefix);
  const events = await store.events(task.id);
  if (flags.json) {
    const json = { ...taskToJson(task), events: events.map(eventToJson) };
    terminal.write(renderJson(json, 2));
  } else {
    const { screen } = terminal;
    terminal.write(renderTask(task, events, { now: clock.now(), screen }));
  }
  return EXIT.ok;
}
