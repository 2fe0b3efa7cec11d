/**
 * `agent-runner cancel`
 *
 * @module
 */

import { countOf } from "../base/figures.ts";
import { EXIT } from "../base/errors.ts";
import type { CancelResult } from "../store/contract.ts";
import { choiceOf, chooseTasks, type Deed, YES_FLAG } from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  filterFlagsFor,
  JSON_FLAG,
} from "./command.ts";
import { renderJson } from "./render.ts";

const DEED: Deed = {
  verb: "cancel",
  states: ["created", "running", "retrying", "queued", "needs_input"],
  find: (admin, filter) => admin.cancellable(filter),
};

/** Cancels tasks. Exit code 1 where one of the ids had ended already. */
export const cancel: Command = {
  name: "cancel",
  args: "[ID…]",
  maxArgs: Infinity,
  summary: "Cancel tasks: at once, or within seconds where they run",
  flags: [
    ...filterFlagsFor(DEED.states),
    { name: "all", summary: "All that have not ended" },
    YES_FLAG,
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  examples: [
    "cancel 550e8400",
    "cancel --state created --provider claude",
  ],
  run: async (context) => {
    const { args, flags, terminal, openAdmin } = context;
    const choice = choiceOf(context, DEED);
    await using store = await openAdmin();
    const { admin } = store;
    const ids = await chooseTasks(context, admin, { choice, deed: DEED });
    const results = await admin.cancel(ids);
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
  },
};

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

/** Every result with its count, those that did not occur too. */
function toJson(ids: readonly string[], results: readonly CancelResult[]) {
  const names = Object.keys(MESSAGES) as CancelResult[];
  return {
    ...Object.fromEntries(
      names.map((name) => [name.replace(" ", "_"), count(results, name)]),
    ),
    tasks: ids.map((id, index) => ({
      id,
      result: results[index] ?? "missing",
    })),
  };
}

function count(results: readonly CancelResult[], name: CancelResult): number {
  return results.filter((result) => result === name).length;
}

function summaryOf(results: readonly CancelResult[]): string {
  if (results.length === 0) return "No such tasks.\n";
  const names = Object.keys(COUNTED_MESSAGES) as CancelResult[];
  return names.filter((name) => results.includes(name))
    .map((name) =>
      `${countOf(count(results, name), "task")} ${COUNTED_MESSAGES[name]}\n`
    ).join("");
}
