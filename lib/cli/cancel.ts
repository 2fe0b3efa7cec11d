/**
 * `agent-runner cancel`
 *
 * @module
 */

import type { CancelResult } from "../store/contract.ts";
import { CLIENT_SETTINGS, type Command } from "./command.ts";
import { type Step, stepFlags, stepIn } from "./step_in.ts";

const STEP = {
  verb: "cancel",
  states: ["created", "running", "retrying", "queued", "needs_input"],
  find: (admin, filter) => admin.cancellable(filter),
  all: "All that have not ended",
  counted: {
    cancelled: "cancelled",
    requested: "running; their runners stop them within seconds",
    ended: "ended already",
    "unknown state": "left alone: their state is another program's",
    missing: "not there",
  } satisfies Record<CancelResult, string>,
} satisfies Step;

/** Cancels tasks. */
export const cancel: Command = {
  name: "cancel",
  args: "[ID…]",
  maxArgs: Infinity,
  summary: "Cancel tasks: at once, or within seconds where they run",
  flags: stepFlags(STEP),
  settings: CLIENT_SETTINGS,
  examples: [
    "cancel 550e8400",
    "cancel --state created --provider claude",
  ],
  run: (context) =>
    stepIn(context, {
      ...STEP,
      act: async (admin, ids) => {
        const results = await admin.cancel(ids);
        return ids.map((id, index) => {
          const result = results[index] ?? "missing";
          const isRefused = result !== "cancelled" && result !== "requested";
          return { id, result, text: TEXTS[result], isRefused };
        });
      },
    }),
};

const TEXTS: Readonly<Record<CancelResult, string>> = {
  cancelled: "is cancelled",
  requested: "is running; its runner stops it within seconds",
  ended: "it had ended already.",
  "unknown state": "another program gave it a state that agent-runner does " +
    "not know. agent-runner show says which.",
  missing: "it is not there.",
};
