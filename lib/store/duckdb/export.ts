/**
 * Writing tables to files.
 *
 * @module
 */

import type { ExportFormat, ExportOptions } from "../history.ts";
import type { Connection } from "./connection.ts";

/** The table as it is: what one asks of it can be asked of the file too. */
const TASKS = `
  SELECT * FROM agent_tasks
  WHERE ($1::TEXT IS NULL OR list_contains(string_split($1, ','), status))
    AND ($2::TEXT IS NULL OR provider = $2)
    AND ($3::TEXT IS NULL OR created_at >= $3::TIMESTAMPTZ)`;

const EVENTS = `
  SELECT * FROM agent_task_events
  WHERE ($3::TEXT IS NULL OR occurred_at >= $3::TIMESTAMPTZ)
    AND ($1::TEXT IS NULL AND $2::TEXT IS NULL OR task_id IN (
      SELECT id FROM agent_tasks
      WHERE ($1::TEXT IS NULL OR list_contains(string_split($1, ','), status))
        AND ($2::TEXT IS NULL OR provider = $2)))`;

/** DuckDB's own form has a blank in its times, which few other programs read. */
const ISO_TIMES = "TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'";

/** Else DuckDB makes a file that others may read, and moves it there. */
const IN_PLACE = "USE_TMP_FILE false";

const COPY_OPTIONS: Readonly<Record<ExportFormat, string>> = {
  parquet: `FORMAT parquet, COMPRESSION zstd, ${IN_PLACE}`,
  csv: `FORMAT csv, HEADER, ${ISO_TIMES}, ${IN_PLACE}`,
  jsonl: `FORMAT json, ${ISO_TIMES}, ${IN_PLACE}`,
};

/** Writes in the transaction that is open on the connection. */
export async function exportTable(
  connection: Connection,
  { path, format, events, states, provider, since }: ExportOptions,
): Promise<number> {
  return await connection.run(
    `COPY (${events ? EVENTS : TASKS}) TO $4 (${COPY_OPTIONS[format]})`,
    [
      states?.join(",") ?? null,
      provider ?? null,
      since?.toISOString() ?? null,
      path,
    ],
  );
}
