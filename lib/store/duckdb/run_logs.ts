/**
 * The logs of runs: rows of many lines each. No index: without one, DuckDB gives the
 * place of what is deleted free again, and it finds the rows of a task by one column
 * of short values. For ten runs that print 10 KB a second each, a commit takes 9 ms,
 * and the file is twice as large as what is kept of them.
 *
 * @module
 */

import type { TaskState } from "../../task/task.ts";
import type {
  LogCut,
  LogPage,
  LogPiece,
  LogsOptions,
  RunLogWrite,
} from "../contract.ts";
import {
  emptyPage,
  type LogFacts,
  type LogRow,
  PAGE_CHARACTERS,
  pageOf,
  placeOf,
} from "../run_logs.ts";
import { fittingSets } from "../sets.ts";
import type { Connection } from "./connection.ts";
import { Values } from "./values.ts";

/** Writes and cuts logs, in the transaction that is open on the connection. */
export async function writeLogs(
  connection: Connection,
  { pieces, cuts }: RunLogWrite,
  at: Date,
): Promise<void> {
  for (const set of fittingSets(pieces, ({ text }) => text.length)) {
    await writePieces(connection, set, at);
  }
  if (cuts.length > 0) await cutLogs(connection, cuts);
}

async function writePieces(
  connection: Connection,
  pieces: readonly LogPiece[],
  at: Date,
): Promise<void> {
  const values = new Values();
  const column = (
    type: string,
    of: (piece: LogPiece) => string | number,
  ) => ({ type, values: pieces.map(of) });
  const rows = values.rows(pieces.map(({ lease }) => lease.taskId), {
    attempt: column("INTEGER", ({ lease }) => lease.attempt),
    lease_id: column("UUID", ({ lease }) => lease.id),
    first_line: column("BIGINT", ({ firstLine }) => firstLine),
    line_count: column("INTEGER", ({ lineCount }) => lineCount),
    began_at: column(
      "TIMESTAMPTZ",
      ({ agoMs }) => new Date(at.getTime() - agoMs).toISOString(),
    ),
    text: column("TEXT", ({ text }) => text),
  });
  await connection.run(
    `INSERT INTO agent_task_logs
       (task_id, attempt, lease_id, first_line, line_count, began_at, text)
     SELECT * FROM (SELECT ${rows})`,
    values.list,
  );
}

async function cutLogs(
  connection: Connection,
  cuts: readonly LogCut[],
): Promise<void> {
  const values = new Values();
  const rows = values.rows(cuts.map(({ lease }) => lease.taskId), {
    lease: { type: "UUID", values: cuts.map(({ lease }) => lease.id) },
    first: { type: "BIGINT", values: cuts.map(({ firstLine }) => firstLine) },
    last: { type: "BIGINT", values: cuts.map(({ endLine }) => endLine) },
  });
  await connection.run(
    `DELETE FROM agent_task_logs l USING (SELECT ${rows}) c
     WHERE l.task_id = c.id AND l.lease_id = c.lease
       AND l.first_line >= c.first AND l.first_line < c.last`,
    values.list,
  );
}

/** Reads a page, in the transaction that is open on the connection. */
export async function readLogs(
  connection: Connection,
  options: LogsOptions,
): Promise<LogPage> {
  const { taskId, limit } = options;
  const facts = await readFacts(connection, taskId);
  const place = placeOf(options, facts);
  if (!place) return emptyPage(options, facts);
  const rows = await connection.json<
    (Omit<LogRow, "at"> & { readonly atMs: number })[]
  >(
    `SELECT to_json(list({id: id, lease: lease_id, firstLine: first_line,
       text: text, atMs: epoch_ms(began_at)} ORDER BY id))
     FROM (SELECT *, sum(line_count) OVER w - line_count AS lines_before,
         sum(strlen(text)) OVER w - strlen(text) AS bytes_before
       FROM agent_task_logs
       WHERE task_id = $1::UUID AND attempt = $2::INTEGER AND id >= $3::BIGINT
       WINDOW w AS (ORDER BY id))
     WHERE lines_before < $4::BIGINT AND bytes_before < ${PAGE_CHARACTERS}`,
    [taskId, place.attempt, place.id, limit + place.skip],
  ) ?? [];
  const found = rows.map(({ atMs, ...row }) => ({
    ...row,
    at: new Date(atMs),
  }));
  return pageOf(found, { place, facts, limit });
}

async function readFacts(
  connection: Connection,
  taskId: string,
): Promise<LogFacts> {
  const facts = await connection.json<{
    attempts: number[] | null;
    task: { state: TaskState; attempt: number | null } | null;
  }>(
    `SELECT to_json({
       attempts: (SELECT list(DISTINCT attempt ORDER BY attempt)
         FROM agent_task_logs WHERE task_id = $1::UUID),
       task: (SELECT {state: status, attempt: attempt} FROM agent_tasks
         WHERE id = $1::UUID)})`,
    [taskId],
  );
  return {
    attempts: facts?.attempts ?? [],
    state: facts?.task?.state ?? null,
    attempt: facts?.task?.attempt ?? null,
  };
}

/** Deletes what was printed up to a time, of tasks that had ended by then. */
export async function deleteOldLogs(
  connection: Connection,
  before: Date,
): Promise<void> {
  await connection.run(
    `DELETE FROM agent_task_logs WHERE began_at < $1::TIMESTAMPTZ
       AND task_id NOT IN (SELECT id FROM agent_tasks
         WHERE status NOT IN ('completed', 'failed')
           OR updated_at >= $1::TIMESTAMPTZ)`,
    [before],
  );
}
