/**
 * Who has which key. Nobody else writes meanwhile: a file has one writer.
 *
 * @module
 */

import type { KeyHolder } from "../keys.ts";
import type { Connection } from "./connection.ts";
import { isFree } from "./rows.ts";

/** The tasks that have these keys: of each, one that has not ended, or the newest. */
export async function findKeyHolders(
  connection: Connection,
  keys: readonly string[],
  at: Date,
): Promise<readonly KeyHolder[]> {
  return await connection.json<KeyHolder[]>(
    `SELECT to_json(list({key: key, id: id, hasEnded: ended,
       isWaiting: status = 'created' AND ${isFree("$2::TIMESTAMPTZ")},
       ageMs: epoch_ms($2::TIMESTAMPTZ) - coalesce(epoch_ms(created_at), 0)}))
     FROM (
       SELECT *, rowid, status IN ('completed', 'failed') AS ended
       FROM agent_tasks WHERE key IN (SELECT unnest($1::JSON::TEXT[]))
       QUALIFY row_number() OVER (
         PARTITION BY key ORDER BY ended, created_at DESC, rowid DESC) = 1)`,
    [JSON.stringify(keys), at],
  ) ?? [];
}
