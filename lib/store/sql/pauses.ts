/**
 * What pauses write, as both databases say it.
 *
 * @module
 */

import type { ClaimedTask } from "../../task/task.ts";
import { OTHERS, type Pause, type PauseTarget } from "../contract.ts";
import { trialsIn } from "../pauses.ts";
import type { SqlConnection } from "./connection.ts";

/** Notes which tasks try whether a limit is over. */
export async function noteTrials(
  connection: SqlConnection,
  tasks: readonly ClaimedTask[],
  { pauses, at }: { readonly pauses: readonly Pause[]; readonly at: Date },
): Promise<void> {
  for (const { provider, taskId } of trialsIn(tasks, pauses, at)) {
    await connection.run(
      `UPDATE agent_pauses SET trial = $2::uuid
       WHERE provider = $1 AND kind = 'limit'`,
      [provider, taskId],
    );
  }
}

/** Ends all pauses of what is named. Returns how many. */
export function endPauses(
  connection: SqlConnection,
  { provider = OTHERS, batch = "" }: PauseTarget,
): Promise<number> {
  return connection.run(
    "DELETE FROM agent_pauses WHERE provider = $1 AND batch = $2",
    [provider, batch],
  );
}
