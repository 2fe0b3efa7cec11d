/**
 * Tasks, or their history, as a file.
 *
 * @module
 */

import { FORMULA, TEXT_SIGN } from "../../base/spreadsheet.ts";
import type { Exported, ExportFormat, ExportOptions } from "../contract.ts";
import { exportedBy } from "../exported.ts";
import { exportedRows } from "../sql/export.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { chosenBy } from "./read_tasks.ts";
import { Values } from "./values.ts";

/** DuckDB's own form has a blank in its times, which few other programs read. */
const ISO_TIMES = "TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'";

/** Else DuckDB makes a file that others may read, and moves it there. */
const IN_PLACE = "USE_TMP_FILE false";

const COPY_OPTIONS: Readonly<Record<ExportFormat, string>> = {
  parquet: `FORMAT parquet, COMPRESSION zstd, ${IN_PLACE}`,
  csv: `FORMAT csv, HEADER, ${ISO_TIMES}, ${IN_PLACE}`,
  jsonl: `FORMAT json, ${ISO_TIMES}, ${IN_PLACE}`,
};

/** The table as it is: what one asks of it can be asked of the file too. */
export function exportTable(
  database: Database,
  options: ExportOptions,
): Promise<Exported> {
  const { format, events, forSpreadsheet } = options;
  return exportedBy((path) =>
    database.transaction(async (connection) => {
      const columns = forSpreadsheet && format === "csv"
        ? await columnsAsTexts(connection, events)
        : "*";
      const values = new Values();
      const rows = exportedRows(options, {
        chosenBy: (filter) => chosenBy(filter, values),
        bind: (it) => values.bind(it),
      });
      return await connection.run(
        `COPY (SELECT ${columns} ${rows}) TO ${values.bind(path)}
         (${COPY_OPTIONS[format]})`,
        values.list,
      );
    })
  );
}

/** All columns, in which no text is computed: numbers and times stay what they are. */
async function columnsAsTexts(
  connection: Connection,
  events: boolean,
): Promise<string> {
  const columns = await connection.json<string>(
    `SELECT to_json(string_agg(format(
         'regexp_replace("{0}"::TEXT, ''{1}'', ''{2}\\0'') AS "{0}"',
         replace(column_name, '"', '""'), $2::TEXT, $3::TEXT), ', '))
     FROM duckdb_columns()
     WHERE database_name = current_database()
       AND schema_name = current_schema() AND table_name = $1
       AND regexp_matches(data_type, '^(VARCHAR|JSON|ENUM|BLOB)')`,
    [
      events ? "agent_task_events" : "agent_tasks",
      FORMULA,
      TEXT_SIGN.replaceAll("'", "''"),
    ],
  );
  return `* REPLACE (${columns})`;
}
