/**
 * What stepping in writes, in a DuckDB file.
 *
 * @module
 */

import type { RequestStore } from "../requests.ts";
import type { Connection } from "./connection.ts";
import { readHeld, writeEvents, writeTransitions } from "./write.ts";

/** In the transaction that is open on the connection. */
export function requestStoreOf(connection: Connection, at: Date): RequestStore {
  return {
    at,
    held: (ids) => readHeld(connection, ids),
    write: (transitions) => writeTransitions(connection, transitions, at),
    mark: async (ids) => {
      await connection.run(
        `UPDATE agent_tasks SET cancel_requested_at = $2::TIMESTAMPTZ
         WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
        [JSON.stringify(ids), at],
      );
    },
    tell: (events) => writeEvents(connection, events, at),
  };
}
