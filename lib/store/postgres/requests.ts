/**
 * What stepping in writes, in PostgreSQL.
 *
 * @module
 */

import type { RequestStore } from "../requests.ts";
import type { Connection } from "./connection.ts";
import { uuids } from "./rows.ts";
import { changing, readHeld, writeEvents, writeTransitions } from "./write.ts";

/** In the transaction that is open on the connection. */
export function requestStoreOf(connection: Connection, at: Date): RequestStore {
  return {
    at,
    held: (ids) => readHeld(connection, ids),
    write: (transitions) => writeTransitions(connection, transitions, at),
    mark: async (ids) => {
      await changing(ids, () =>
        connection.run(
          `UPDATE agent_tasks SET cancel_requested_at = $2
           WHERE id = ANY ($1::uuid[])`,
          [uuids(ids), at],
        ));
    },
    tell: (events) => writeEvents(connection, events, at),
  };
}
