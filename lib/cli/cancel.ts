/**
 * `agent-runner cancel`
 *
 * @module
 */

import { EXIT } from "../../base/errors.ts";
import { renderJson } from "../render.ts";
import type { CancelResult } from "../../store/contract.ts";
import { choiceOf, chooseTasks, countTasks, type Deed } from "../choose.ts";
import type { CommandContext } from "../context.ts";

const MESSAGES: Readonly<Record<CancelResult, string>> = {
  cancelled: "is cancelled",
  requested: "is running; its runner stops it within seconds",
  ended: "had ended already",
  "unknown state": "was not cancelled: another program gave it a state that " +
    "agent-runner does not know; agent-runner show says which",
  missing: "is not there",
};

const COUNTED_MESSAGES: Readonly<Record<CancelResult, string>> = {
  cancelled: "cancelled",
  requested: "running; their runners stop them within seconds",
  ended: "ended already",
  "unknown state": "left alone: their state is another program's",
  missing: "not there",
};

/** Cancels tasks. Exit code 1 where one of the ids had ended already. */
export async function cancel(context: CommandContext): Promise<number> {
  const { args, flags, clock, terminal, openDesk } = context;
  const deed: Deed = {
    verb: "cancel",
    states: ["created", "running", "needs_input"],
    find: ({ sets }, filter) => sets.findOpen(filter),
  };
  const choice = choiceOf(context, deed);
  await using store = await openDesk();
  const ids = await chooseTasks(context, store, { choice, deed });
  const results = await store.sets.cancel(ids, clock.now());
  const [id = "", result = "missing"] = [ids[0], results[0]];
  if (args.length === 1) {
    terminal.write(
      flags.json
        ? renderJson({ id, result })
        : `Task ${id} ${MESSAGES[result]}\n`,
    );
  } else if (flags.json) {
    terminal.write(renderJson(toJson(ids, results)));
  } else terminal.write(summaryOf(results));
  // What was chosen by its state may have ended meanwhile; an id is one's word.
  const isDone = args.length === 0 ||
    results.every((it) => it === "cancelled" || it === "requested");
  return isDone ? EXIT.ok : EXIT.failed;
}

/** Every result with its count, those that did not occur too. */
function toJson(ids: readonly string[], results: readonly CancelResult[]) {
  const names = Object.keys(MESSAGES) as CancelResult[];
  return {
    ...Object.fromEntries(
      names.map((name) => [name.replace(" ", "_"), countOf(results, name)]),
    ),
    tasks: ids.map((id, index) => ({
      id,
      result: results[index] ?? "missing",
    })),
  };
}

function countOf(results: readonly CancelResult[], name: CancelResult): number {
  return results.filter((result) => result === name).length;
}

function summaryOf(results: readonly CancelResult[]): string {
  if (results.length === 0) return "No such tasks.\n";
  const names = Object.keys(COUNTED_MESSAGES) as CancelResult[];
  return names.filter((name) => countOf(results, name) > 0)
    .map((name) =>
      `${countTasks(countOf(results, name))} ${COUNTED_MESSAGES[name]}\n`
    ).join("");
}
