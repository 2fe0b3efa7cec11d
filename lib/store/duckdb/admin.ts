/**
 * What people need of tasks in a DuckDB file.
 *
 * @module
 */

import { adminOf, type AdminStore } from "../admin.ts";
import type { Admin } from "../contract.ts";
import { IS_CANCELLABLE } from "../requests.ts";
import { awaitsAttempt } from "../retry.ts";
import { endPauses } from "../sql/pauses.ts";
import { readBatches } from "./batches.ts";
import type { Connection } from "./connection.ts";
import { createTasks } from "./create.ts";
import type { Database } from "./database.ts";
import { editStoreOf } from "./edits.ts";
import { readEvents } from "./events.ts";
import { explainDuckDbError } from "./explain.ts";
import { exportTable } from "./export.ts";
import { readGraph } from "./graph.ts";
import { readOverview } from "./overview.ts";
import { addPause, readPauseInfos } from "./pauses.ts";
import { countOld, deleteOldEvents, prune } from "./prune.ts";
import { chooseTasks, countTasks, readPage, readTasks } from "./read_tasks.ts";
import { requestStoreOf } from "./requests.ts";
import { NEVER_RETRIED } from "./retried.ts";
import { findDependents, retryStoreOf } from "./retry.ts";
import { HISTORY_COLUMNS } from "./rows.ts";
import { readLogs } from "./run_logs.ts";
import { drainRunners, readRunners } from "./runners.ts";
import { readStats } from "./stats.ts";

/** The {@linkcode Admin} of a DuckDB file. */
export function duckDbAdmin(database: Database): Admin {
  const transaction = <T>(work: (store: AdminStore) => Promise<T>) =>
    database.transaction((connection, at) => work(storeOf(connection, at)));
  return adminOf({
    read: transaction,
    change: transaction,
    announce: () => database.announce(),
    explained: (error) => explainDuckDbError(error, database.path),
    create: (tasks) => createTasks(database, tasks),
    export: (options) => exportTable(database, options),
    prune: (before) => prune(database, before),
    pruneHistory: (retentionMs, options) =>
      database.transaction(
        (connection, at) =>
          deleteOldEvents(connection, new Date(at.getTime() - retentionMs)),
        options,
      ),
  });
}

function storeOf(connection: Connection, at: Date): AdminStore {
  return {
    requests: requestStoreOf(connection, at),
    edits: editStoreOf(connection, at),
    retries: retryStoreOf(connection, at),
    get: async (id) => {
      const found = await readTasks(connection, "WHERE id = $1::UUID", [id]);
      return found[0];
    },
    find: (prefix, limit) =>
      readTasks(
        connection,
        "WHERE starts_with(id::TEXT, $1) ORDER BY id LIMIT $2",
        [prefix, limit],
      ),
    page: (options) => readPage(connection, options),
    count: () => countTasks(connection, at),
    batches: (options) => readBatches(connection, options),
    history: (taskId) =>
      readEvents(
        connection,
        `SELECT ${HISTORY_COLUMNS} FROM agent_task_events
         WHERE task_id = $1::UUID`,
        [taskId],
      ),
    logs: (options) => readLogs(connection, options),
    cancellable: (filter) =>
      chooseTasks(connection, filter, () => IS_CANCELLABLE),
    retryable: (filter) =>
      chooseTasks(
        connection,
        filter,
        (values) => `${NEVER_RETRIED} OR ${awaitsAttempt(values.bind(at))}`,
      ),
    dependents: (ids) => findDependents(connection, ids),
    graph: (id, { limit }) => readGraph(connection, id, limit),
    stats: (options) => readStats(connection, options),
    overview: (options) => readOverview(connection, { ...options, at }),
    prunable: (before) => countOld(connection, before),
    runners: () => readRunners(connection, at),
    pauses: () => readPauseInfos(connection, at),
    pause: (target, options) =>
      addPause(connection, target, { ...options, at }),
    resume: (target) => endPauses(connection, target),
    drain: (names) => drainRunners(connection, names, at),
  };
}
