/**
 * Tasks, or their history, as a file.
 *
 * @module
 */

import { DatabaseError, messageOf } from "../../base/errors.ts";
import { FORMULA, TEXT_SIGN } from "../../base/spreadsheet.ts";
import type { Exported, ExportFormat, ExportOptions } from "../contract.ts";
import { timeConditions } from "../filter.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { chosenBy } from "./read_tasks.ts";
import { Values } from "./values.ts";

/** The table as it is: what one asks of it can be asked of the file too. */
function rowsOf(
  { events, createdSince, createdBefore, ...rest }: ExportOptions,
  values: Values,
): string {
  const times = { createdSince, createdBefore };
  if (!events) {
    return `FROM agent_tasks WHERE ${chosenBy({ ...rest, ...times }, values)}`;
  }
  const isOfChosen = chosenBy(rest, values);
  const conditions = [
    isOfChosen === "true"
      ? isOfChosen
      : `task_id IN (SELECT id FROM agent_tasks WHERE ${isOfChosen})`,
    ...timeConditions("occurred_at", times, (it) => values.bind(it)),
  ];
  return `FROM agent_task_events WHERE ${conditions.join(" AND ")}`;
}

/** DuckDB's own form has a blank in its times, which few other programs read. */
const ISO_TIMES = "TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'";

/** Else DuckDB makes a file that others may read, and moves it there. */
const IN_PLACE = "USE_TMP_FILE false";

const COPY_OPTIONS: Readonly<Record<ExportFormat, string>> = {
  parquet: `FORMAT parquet, COMPRESSION zstd, ${IN_PLACE}`,
  csv: `FORMAT csv, HEADER, ${ISO_TIMES}, ${IN_PLACE}`,
  jsonl: `FORMAT json, ${ISO_TIMES}, ${IN_PLACE}`,
};

/** Where it is not so, a file is gone only when it was read. */
const LOSES_ITS_NAME_OPEN = Deno.build.os !== "windows";

/**
 * Has DuckDB write a temporary file, which only its owner may read, lets go of the
 * database, and gives the file's content. The file is gone after it.
 */
export async function exportTable(
  database: Database,
  options: ExportOptions,
): Promise<Exported> {
  const { format, events, forSpreadsheet } = options;
  const path = await makeFile();
  let exported: Exported | undefined;
  try {
    const rows = await database.transaction(async (connection) => {
      const columns = forSpreadsheet && format === "csv"
        ? await columnsAsTexts(connection, events)
        : "*";
      const values = new Values();
      const rows = `SELECT ${columns} ${rowsOf(options, values)}`;
      return await connection.run(
        `COPY (${rows}) TO ${values.bind(path)} (${COPY_OPTIONS[format]})`,
        values.list,
      );
    });
    const { size: bytes } = await Deno.stat(path);
    const { readable } = await Deno.open(path);
    const body = LOSES_ITS_NAME_OPEN ? readable : endingIn(readable, path);
    return exported = { rows, bytes, body };
  } finally {
    if (LOSES_ITS_NAME_OPEN || !exported) await Deno.remove(path);
  }
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

async function makeFile(): Promise<string> {
  try {
    return await Deno.makeTempFile({ prefix: "agent-runner-export-" });
  } catch (error) {
    throw new DatabaseError(
      `Cannot export: no temporary file can be made: ${messageOf(error)}. ` +
        "Set TMPDIR to a folder that can be written.",
      { cause: error },
    );
  }
}

function endingIn(body: Exported["body"], path: string): Exported["body"] {
  const end = () => Deno.remove(path);
  return body.pipeThrough(new TransformStream({ flush: end, cancel: end }));
}
