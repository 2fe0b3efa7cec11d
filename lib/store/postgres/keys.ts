/**
 * Who has which key, and that nobody else takes it meanwhile.
 *
 * @module
 */

import type { KeyHolder } from "../keys.ts";
import type { Connection } from "./connection.ts";
import { IS_FREE } from "./candidates.ts";
import { jsonOf } from "./rows.ts";

/** More keys than these at once are locked together: the server's locks are few. */
export const MOST_LOCKED = 500;

/**
 * Keeps others from giving tasks these keys until the transaction ends. All wait for
 * who takes many, and that one for all.
 *
 * @param isMany there are, or may be, more than {@linkcode MOST_LOCKED}
 */
async function lockKeys(
  connection: Connection,
  keys: readonly string[],
  isMany: boolean,
): Promise<void> {
  const all = "hashtextextended(current_schema() || ' keys', 0)";
  const shared = isMany ? "" : "_shared";
  await connection.rows(`SELECT pg_advisory_xact_lock${shared}(${all})`);
  if (isMany) return;
  // Everybody in the same order, so that two do not wait for each other.
  await connection.rows(
    `SELECT pg_advisory_xact_lock(lock) FROM (
       SELECT DISTINCT hashtextextended(current_schema() || ' key ' || key, 0)
         AS lock
       FROM json_array_elements_text($1::json) AS key ORDER BY lock) locks`,
    [jsonOf(keys)],
  );
}

/**
 * The tasks that have these keys: of each, one that has not ended, or the newest.
 * Nobody else gives a task one of them until the transaction ends.
 */
export async function findKeyHolders(
  connection: Connection,
  keys: readonly string[],
  { at, isMany }: { readonly at: Date; readonly isMany: boolean },
): Promise<readonly KeyHolder[]> {
  await lockKeys(connection, keys, isMany);
  return await connection.rows<KeyHolder>(
    `SELECT wanted.key, id, ended AS "hasEnded",
       status = 'created' AND ${IS_FREE} AS "isWaiting",
       (extract(epoch FROM $1::timestamptz - created_at) * 1000)::float8
         AS "ageMs"
     FROM json_array_elements_text($2::json) AS wanted (key)
     CROSS JOIN LATERAL (
       SELECT * FROM (
         (SELECT *, false AS ended FROM agent_tasks t WHERE t.key = wanted.key
            AND status NOT IN ('completed', 'failed')
          LIMIT 1)
         UNION ALL
         (SELECT *, status IN ('completed', 'failed') FROM agent_tasks t
          WHERE t.key = wanted.key
          ORDER BY created_at DESC, seq DESC LIMIT 1)) found
       ORDER BY ended LIMIT 1) holder`,
    [at, jsonOf(keys)],
  );
}
