/**
 * What people need of tasks in a PostgreSQL database.
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
import { explainPostgresError } from "./explain.ts";
import { exportTable } from "./export.ts";
import { readGraph } from "./graph.ts";
import { readOverview } from "./overview.ts";
import { addPause, readPauseInfos } from "./pauses.ts";
import { countOld, prune, pruneHistory } from "./prune.ts";
import { chooseTasks, countTasks, readPage, readTasks } from "./read_tasks.ts";
import { requestStoreOf } from "./requests.ts";
import { findDependents, NEVER_RETRIED, retryStoreOf } from "./retry.ts";
import { EVENT, eventOf, type EventRow } from "./rows.ts";
import { readLogs } from "./run_logs.ts";
import { drainRunners, readRunners } from "./runners.ts";
import { readStats } from "./stats.ts";

/** A table of many millions of rows is read for a page or a figure. */
const READ_MS = 300_000;

/** The {@linkcode Admin} of a PostgreSQL database. */
export function postgresAdmin(database: Database): Admin {
  return adminOf({
    read: (work) =>
      database.read(
        (connection, at) => work(storeOf(connection, at)),
        { timeoutMs: READ_MS },
      ),
    change: (work, { isLong = false } = {}) =>
      database.transaction(
        (connection, at) => work(storeOf(connection, at)),
        { wakes: "tasks", ...isLong && { timeoutMs: READ_MS } },
      ),
    announce: () => database.announcements.tellQueue(),
    explained: (error) => explainPostgresError(error, database.shown),
    create: (tasks) => createTasks(database, tasks),
    export: (options) => exportTable(database, options),
    prune: (before) => prune(database, before),
    pruneHistory: (retentionMs, { signal } = {}) =>
      pruneHistory(database, { retentionMs, signal }),
  });
}

function storeOf(connection: Connection, at: Date): AdminStore {
  return {
    requests: requestStoreOf(connection, at),
    edits: editStoreOf(connection, at),
    retries: retryStoreOf(connection, at),
    get: async (id) => {
      const found = await readTasks(connection, "WHERE id = $1::uuid", [id]);
      return found[0];
    },
    find: (prefix, limit) =>
      readTasks(
        connection,
        "WHERE starts_with(id::text, $1) ORDER BY id LIMIT $2",
        [prefix, limit],
      ),
    page: (options) => readPage(connection, options),
    count: () => countTasks(connection, at),
    batches: (options) => readBatches(connection, options),
    history: async (taskId) => {
      const rows = await connection.rows<EventRow>(
        `SELECT ${EVENT}, printed FROM agent_task_events
         WHERE task_id = $1::uuid ORDER BY id`,
        [taskId],
      );
      return rows.map(eventOf);
    },
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
