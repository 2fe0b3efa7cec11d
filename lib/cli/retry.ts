/**
 * `agent-runner retry`
 *
 * @module
 */

import { countOf } from "../base/figures.ts";
import { EXIT } from "../base/errors.ts";
import type { RetryRefusal, RetryResult } from "../store/contract.ts";
import type { JsonObject } from "../task/task.ts";
import {
  choiceOf,
  chooseTasks,
  type Deed,
  LISTED_TASKS,
  refusalOf,
  YES_FLAG,
} from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  filterFlagsFor,
  JSON_FLAG,
} from "./command.ts";
import { readWords, textFlag } from "./flags.ts";
import { renderJson } from "./render.ts";

const DEED: Deed = {
  verb: "retry",
  // Of those that are running, the ones that wait for their next attempt.
  states: [
    "running",
    "retrying",
    "queued",
    "completed",
    "simulated",
    "failed",
    "cancelled",
    "skipped",
  ],
  // What completed is meant only where somebody says so.
  usualStates: ["running", "failed"],
  find: (admin, filter) => admin.retryable(filter),
};

/** Runs tasks again. Exit code 1 where one of the ids can't be retried. */
export const retry: Command = {
  name: "retry",
  args: "[ID…]",
  maxArgs: Infinity,
  summary: "Run tasks again: ended ones as new tasks, waiting ones at once",
  flags: [
    ...filterFlagsFor(DEED.states),
    { name: "all", summary: "All that failed or wait, not retried before" },
    {
      name: "dependents",
      summary: "With those that failed or were skipped because of them",
    },
    {
      name: "note",
      placeholder: "TEXT",
      summary: "A note for the agent, from its start (- for stdin)",
    },
    YES_FLAG,
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  examples: [
    "retry 550e8400",
    "retry --state failed --provider claude --yes",
    "retry 550e8400 --dependents",
    'retry 550e8400 --note "Keep the old name, too"',
  ],
  run: async (context) => {
    const { args, flags, terminal, openAdmin } = context;
    const choice = choiceOf(context, DEED);
    const given = textFlag(flags, "note");
    const note = given === undefined
      ? undefined
      : await readWords("note", given, terminal);
    await using store = await openAdmin();
    const { admin } = store;
    const chosen = await chooseTasks(context, admin, { choice, deed: DEED });
    const behind = flags.dependents ? await admin.dependents(chosen) : [];
    const ids = [...chosen, ...behind];
    const results = await admin.retry(ids, { note });
    const retried = ids.map((id, index): Retried => ({
      id,
      result: results[index] ?? { kind: "refused", why: "missing" },
    }));
    const { refused, done } = split(retried);
    if (flags.json) {
      const [first] = retried;
      terminal.write(
        renderJson(
          args.length === 1 && behind.length === 0 && first
            ? taskToJson(first)
            : toJson(retried),
        ),
      );
    } else {
      terminal.write(
        args.length > 0 && done.length <= LISTED_TASKS
          ? done.map(lineOf).join("")
          : summaryOf(done),
      );
      if (refused.length > 0 && args.length > 0) {
        throw refusalOf(
          "retry",
          refused.map(({ id, result }) => ({
            id,
            why: result.kind === "refused" ? whyNot(result) : "",
          })),
        );
      }
    }
    return refused.length > 0 && args.length > 0 ? EXIT.failed : EXIT.ok;
  },
};

/** Why not, and what to do. */
const REFUSALS: Readonly<Record<RetryRefusal, string>> = {
  missing: "it is not there. agent-runner list has the ids.",
  created: "it has not run yet. agent-runner show says when it will.",
  running: "it is running. Cancel it first, or wait.",
  claimable:
    "it waits for a runner, and is not held up by anything. Start one.",
  needs_input: "it waits for a person. Go on with agent-runner answer, or " +
    "approve.",
  cancelling: "it is being cancelled. Wait until it has ended.",
  "key taken": "another task has its key now",
  "unknown state": "another program gave it a state that agent-runner does " +
    "not know. agent-runner show says which.",
};

function whyNot(
  { why, otherId }: RetryResult & { readonly kind: "refused" },
): string {
  return REFUSALS[why] + (otherId ? `, and has not ended: ${otherId}.` : "");
}

/** An id that was given, and what came of it. */
interface Retried {
  readonly id: string;
  readonly result: RetryResult;
}

function split(retried: readonly Retried[]) {
  const { refused = [], done = [] } = Object.groupBy(
    retried,
    ({ result }) => result.kind === "refused" ? "refused" : "done",
  );
  return { refused, done };
}

function lineOf({ id, result }: Retried): string {
  if (result.kind !== "created") return `Task ${id} is due now\n`;
  const again = result.earlierId
    ? ` (not for the first time: there is task ${result.earlierId})`
    : "";
  return `Task ${id} runs again as task ${result.newId}${again}\n`;
}

function summaryOf(done: readonly Retried[]): string {
  if (done.length === 0) return "No such tasks.\n";
  const { created, due, again } = countsOf(done);
  return [
    created > 0
      ? `${countOf(created, "task")} retried as ${
        created === 1 ? "a new one" : "new ones"
      }\n`
      : "",
    due > 0 ? `${countOf(due, "task")} due now\n` : "",
    again > 0
      ? `${countOf(again, "task")} retried not for the first time\n`
      : "",
  ].join("");
}

function countsOf(retried: readonly Retried[]) {
  const results = retried.map(({ result }) => result);
  const created = results.filter((it) => it.kind === "created");
  return {
    created: created.length,
    due: results.filter(({ kind }) => kind === "due").length,
    refused: results.filter(({ kind }) => kind === "refused").length,
    again: created.filter(({ earlierId }) => earlierId !== null).length,
  };
}

function toJson(retried: readonly Retried[]): JsonObject {
  const { created, due, refused } = countsOf(retried);
  return { created, due, refused, tasks: retried.map(taskToJson) };
}

function taskToJson({ id, result }: Retried): JsonObject {
  switch (result.kind) {
    case "created":
      return {
        id,
        result: "created",
        new_id: result.newId,
        earlier_id: result.earlierId,
      };
    case "due":
      return { id, result: "due" };
    default:
      return {
        id,
        result: "refused",
        reason: result.why.replace(" ", "_"),
        ...result.otherId !== undefined && { other_id: result.otherId },
      };
  }
}
