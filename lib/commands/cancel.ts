/**
 * `agent-runner cancel`
 *
 * @module
 */

import { EXIT, UsageError } from "../errors.ts";
import { renderJson } from "../render.ts";
import type { CancelResult } from "../store.ts";
import type { CommandContext } from "./context.ts";
import { findTask } from "./find_task.ts";

const MESSAGES: Readonly<Record<CancelResult, string>> = {
  cancelled: "is cancelled",
  requested: "is running; its runner stops it within seconds",
  ended: "had ended already",
  "unknown state": "was not cancelled: another program gave it a state that " +
    "agent-runner does not know; agent-runner show says which",
  missing: "is not there any more",
};

/** Cancels one task. Exit code 1 where it had ended already. */
export async function cancel(
  { args, flags, clock, terminal, openStore }: CommandContext,
): Promise<number> {
  const [prefix] = args;
  if (prefix === undefined) {
    throw new UsageError(
      "Cannot cancel a task without its id. " +
        "agent-runner list has the ids; the start of one is enough.",
    );
  }
  await using store = await openStore();
  const { id } = await findTask(store, prefix);
  const result = await store.cancel(id, clock.now());
  terminal.write(
    flags.json
      ? renderJson({ id, result })
      : `Task ${id} ${MESSAGES[result]}\n`,
  );
  const isDone = result === "cancelled" || result === "requested";
  return isDone ? EXIT.ok : EXIT.failed;
}
