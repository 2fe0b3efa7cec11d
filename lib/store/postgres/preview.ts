/**
 * What a claim would do.
 *
 * @module
 */

import type { AgentTask } from "../../task/task.ts";
import type { Preview, PreviewOptions } from "../contract.ts";
import { fullProviders, globalRoomOf } from "../decisions.ts";
import { IS_CLAIMABLE } from "./candidates.ts";
import { countInHand } from "./claim.ts";
import { providersIn } from "../pauses.ts";
import type { Connection } from "./connection.ts";
import { readBlockedBy } from "./graph.ts";
import { readPauses } from "./pauses.ts";
import { isOneOf, jsonOf, RUN_ORDER, TASK } from "./rows.ts";

const OPEN = `FROM agent_tasks WHERE status NOT IN ('completed', 'failed')`;
const WOULD = `coalesce(${IS_CLAIMABLE} AND ${isOneOf("$3")}
  AND NOT ${isOneOf("$4")}, false)`;

/** Looks, in the transaction that is open on the connection; writes nothing. */
export async function previewClaim(
  connection: Connection,
  { limit, at, maxAttempts, providers, globalLimits }: PreviewOptions & {
    readonly at: Date;
  },
): Promise<Preview> {
  const globalRoom = globalRoomOf(
    globalLimits ?? new Map(),
    await countInHand(connection, at),
  );
  const pauses = await readPauses(connection, at);
  const { only, except } = fullProviders(providers, globalRoom);
  const paused = providersIn(pauses, "paused", at);
  const values = [
    at,
    maxAttempts,
    only ? jsonOf(only) : null,
    jsonOf([...except, ...paused]),
  ];
  const first = (condition: string) =>
    connection.rows<AgentTask>(
      `SELECT ${TASK} ${OPEN} AND ${condition}
       ORDER BY ${RUN_ORDER} LIMIT $5`,
      [...values, limit],
    );
  const claimable = await first(WOULD);
  const others = await first(`NOT ${WOULD}`);
  const [counts] = await connection.rows<
    Pick<Preview, "claimableCount" | "othersCount">
  >(
    `SELECT count(*) FILTER (WHERE ${WOULD}) AS "claimableCount",
       count(*) FILTER (WHERE NOT ${WOULD}) AS "othersCount" ${OPEN}`,
    values,
  );
  return {
    claimable,
    claimableCount: counts?.claimableCount ?? 0,
    others,
    othersCount: counts?.othersCount ?? 0,
    globalRoom,
    pauses,
    blockedBy: await readBlockedBy(
      connection,
      others.filter(({ isBlocked }) => isBlocked).map(({ id }) => id),
    ),
  };
}
