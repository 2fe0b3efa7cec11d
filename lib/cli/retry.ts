/**
 * `agent-runner retry`
 *
 * @module
 */

import type { RetryRefusal, RetryResult } from "../store/contract.ts";
import { CLIENT_SETTINGS, type Command } from "./command.ts";
import { readWords, textFlag } from "./flags.ts";
import { type Came, type Step, stepFlags, stepIn } from "./step_in.ts";

const STEP: Step = {
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
  all: "All that failed or wait, not retried before",
  counted: {
    created: "retried",
    due: "due now",
    refused: "left alone",
  },
};

/** Runs tasks again. */
export const retry: Command = {
  name: "retry",
  args: "[ID…]",
  maxArgs: Infinity,
  summary: "Run tasks again: ended ones as new tasks, waiting ones at once",
  flags: stepFlags(
    STEP,
    {
      name: "dependents",
      summary: "With those that failed or were skipped because of them",
    },
    {
      name: "note",
      placeholder: "TEXT",
      summary: "A note for the agent, from its start (- for stdin)",
    },
  ),
  settings: CLIENT_SETTINGS,
  examples: [
    "retry 550e8400",
    "retry --state failed --provider claude --yes",
    "retry 550e8400 --dependents",
    'retry 550e8400 --note "Keep the old name, too"',
  ],
  run: async (context) => {
    const { flags, terminal } = context;
    const given = textFlag(flags, "note");
    const note = given === undefined
      ? undefined
      : await readWords("note", given, terminal);
    return await stepIn(context, {
      ...STEP,
      act: async (admin, chosen) => {
        const behind = flags.dependents ? await admin.dependents(chosen) : [];
        const ids = [...chosen, ...behind];
        const results = await admin.retry(ids, { note });
        return ids.map((id, index) =>
          cameOf(id, results[index] ?? { kind: "refused", why: "missing" })
        );
      },
    });
  },
};

function cameOf(id: string, result: RetryResult): Came {
  switch (result.kind) {
    case "created": {
      const { newId, earlierId } = result;
      const again = earlierId
        ? ` (not for the first time: there is task ${earlierId})`
        : "";
      return {
        ...{ id, result: "created" },
        more: { new_id: newId, earlier_id: earlierId },
        text: `runs again as task ${newId}${again}`,
      };
    }
    case "due":
      return { id, result: "due", text: "is due now" };
    case "refused": {
      const { why, otherId } = result;
      return {
        ...{ id, result: "refused", isRefused: true },
        more: {
          reason: why.replace(" ", "_"),
          ...otherId !== undefined && { other_id: otherId },
        },
        text: REFUSALS[why] +
          (otherId ? `, and has not ended: ${otherId}.` : ""),
      };
    }
  }
}

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
