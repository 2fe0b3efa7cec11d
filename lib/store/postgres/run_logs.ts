/**
 * The logs of runs: rows of many lines each.
 *
 * @module
 */

import type { TaskState } from "../../task/task.ts";
import type { LogPage, LogsOptions, RunLogWrite } from "../contract.ts";
import {
  emptyPage,
  type LogRow,
  PAGE_CHARACTERS,
  pageOf,
  placeOf,
} from "../run_logs.ts";
import { fittingSets } from "../sets.ts";
import type { Connection } from "./connection.ts";
import { jsonOf } from "./rows.ts";

/** Writes and cuts logs, in the transaction that is open on the connection. */
export async function writeLogs(
  connection: Connection,
  { pieces, cuts }: RunLogWrite,
  at: Date,
): Promise<void> {
  for (const set of fittingSets(pieces, ({ text }) => text.length)) {
    const rows = set.map(({ lease, firstLine, lineCount, agoMs, text }) => ({
      task: lease.taskId,
      attempt: lease.attempt,
      lease: lease.id,
      first: firstLine,
      lines: lineCount,
      at: new Date(at.getTime() - agoMs),
      text,
    }));
    await connection.run(
      `INSERT INTO agent_task_logs
         (task_id, attempt, lease_id, first_line, line_count, began_at, text)
       SELECT task, attempt, lease, first, lines, at, text
       FROM json_to_recordset($1::json) AS p (task uuid, attempt integer,
         lease uuid, first bigint, lines integer, at timestamptz, text text)`,
      [jsonOf(rows)],
    );
  }
  if (cuts.length === 0) return;
  const rows = cuts.map(({ lease, firstLine, endLine }) => ({
    task: lease.taskId,
    lease: lease.id,
    first: firstLine,
    last: endLine,
  }));
  await connection.run(
    `DELETE FROM agent_task_logs l
     USING json_to_recordset($1::json) AS c (task uuid, lease uuid,
       first bigint, last bigint)
     WHERE l.task_id = c.task AND l.lease_id = c.lease
       AND l.first_line >= c.first AND l.first_line < c.last`,
    [jsonOf(rows)],
  );
}

/** Reads a page, in the transaction that is open on the connection. */
export async function readLogs(
  connection: Connection,
  options: LogsOptions,
): Promise<LogPage> {
  const { taskId, limit } = options;
  const attempts = await connection.rows<{ attempt: number }>(
    `SELECT DISTINCT attempt FROM agent_task_logs WHERE task_id = $1::uuid
     ORDER BY attempt`,
    [taskId],
  );
  const [task] = await connection.rows<{ state: TaskState; attempt: number }>(
    "SELECT status AS state, attempt FROM agent_tasks WHERE id = $1::uuid",
    [taskId],
  );
  const facts = {
    attempts: attempts.map(({ attempt }) => attempt),
    state: task?.state ?? null,
    attempt: task?.attempt ?? null,
  };
  const place = placeOf(options, facts);
  if (!place) return emptyPage(options, facts);
  const rows = await connection.rows<LogRow>(
    `SELECT id, lease_id AS lease, first_line AS "firstLine", text,
       began_at AS at
     FROM (SELECT *, sum(line_count) OVER w - line_count AS lines_before,
         sum(octet_length(text)) OVER w - octet_length(text) AS bytes_before
       FROM agent_task_logs
       WHERE task_id = $1::uuid AND attempt = $2 AND id >= $3
       WINDOW w AS (ORDER BY id)) found
     WHERE lines_before < $4 AND bytes_before < ${PAGE_CHARACTERS}
     ORDER BY id`,
    [taskId, place.attempt, place.id, limit + place.skip],
  );
  return pageOf(rows, { place, facts, limit });
}

/** Rows of one transaction: each has some ten thousand characters. */
export const LOG_SET_SIZE = 1_000;

/**
 * Deletes a set of what was printed up to a time, of tasks that had ended by then.
 * Returns how many rows.
 */
export function deleteOldLogs(
  connection: Connection,
  before: Date,
): Promise<number> {
  return connection.run(
    `DELETE FROM agent_task_logs WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM agent_task_logs l WHERE began_at < $1::timestamptz
         AND NOT EXISTS (SELECT FROM agent_tasks t WHERE t.id = l.task_id
           AND (status NOT IN ('completed', 'failed')
             OR updated_at >= $1::timestamptz))
       LIMIT ${LOG_SET_SIZE}))`,
    [before],
  );
}
