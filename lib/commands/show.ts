/**
 * `agent-runner show`
 *
 * @module
 */

import { EXIT, UsageError } from "../errors.ts";
import { eventToJson, renderTask, taskToJson } from "../render.ts";
import type { TaskStore } from "../store.ts";
import type { AgentTask } from "../task.ts";
import { stringifyJson } from "../trace.ts";
import type { CommandContext } from "./context.ts";

/** Shows one task with its history. */
export async function show(
  { args, flags, clock, terminal, openStore }: CommandContext,
): Promise<number> {
  const [prefix] = args;
  if (prefix === undefined) {
    throw new UsageError(
      "Cannot show a task without its id. " +
        "agent-runner list has the ids; the start of one is enough.",
    );
  }
  await using store = await openStore();
  const task = await findTask(store, prefix);
  const events = await store.events(task.id);
  if (flags.json) {
    const json = { ...taskToJson(task), events: events.map(eventToJson) };
    terminal.write(`${stringifyJson(json, 2)}\n`);
  } else {
    const { screen } = terminal;
    terminal.write(renderTask(task, events, { now: clock.now(), screen }));
  }
  return EXIT.ok;
}

const SHOWN_MATCHES = 5;

/**
 * The task whose id begins with the prefix.
 *
 * @throws {UsageError} where there is none, or more than one.
 */
export async function findTask(
  store: TaskStore,
  prefix: string,
): Promise<AgentTask> {
  const matches = await store.findByPrefix(prefix, SHOWN_MATCHES + 1);
  const [task, other] = matches;
  if (task && !other) return task;
  if (!task) {
    throw new UsageError(
      `There is no task whose id begins with "${prefix}". ` +
        "agent-runner list has the ids.",
    );
  }
  const ids = matches.slice(0, SHOWN_MATCHES).map(({ id }) => id);
  if (matches.length > SHOWN_MATCHES) ids.push("…");
  throw new UsageError(
    `More than one task's id begins with "${prefix}":\n  ${ids.join("\n  ")}`,
  );
}
