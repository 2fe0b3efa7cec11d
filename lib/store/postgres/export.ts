/**
 * Tasks, or their history, as a file.
 *
 * @module
 */

import { FORMULA, TEXT_SIGN } from "../../base/spreadsheet.ts";
import type { Exported, ExportOptions } from "../contract.ts";
import { exportedBy, makeFile } from "../exported.ts";
import { exportedRows } from "../sql/export.ts";
import { type Database, LONG_MS } from "./database.ts";
import { chosenBy } from "./read_tasks.ts";
import { EVENT_COLUMNS, TASK_COLUMNS } from "./schema.ts";
import { Values } from "./values.ts";

/** Rows that are held at once: each may have texts of some megabytes. */
const SET_SIZE = 50;

/** Writes the file, and lets go of the database before it is read. */
export function exportTable(
  database: Database,
  options: ExportOptions,
): Promise<Exported> {
  const write = options.format === "parquet" ? writeParquet : writeLines;
  return exportedBy((path) => write(database, path, options));
}

/** Each line has all of one row. */
async function writeLines(
  database: Database,
  path: string,
  options: ExportOptions,
): Promise<number> {
  const { format, events, forSpreadsheet } = options;
  const columns = events ? EVENT_COLUMNS : TASK_COLUMNS;
  const isCsv = format === "csv";
  const select = Object.entries(columns).map(([name, type]) =>
    /^timestamptz/.test(type)
      ? `to_char(${name} AT TIME ZONE 'UTC',
          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS ${name}`
      : name
  ).join(", ");
  const values = new Values();
  const rows = exportedRows(options, {
    chosenBy: (filter) => chosenBy(filter, values),
    bind: (it) => values.bind(it),
  });
  const row = `SELECT ${select} ${rows}`;
  const lineOf = csvLine(columns, forSpreadsheet ?? false);
  return await database.read(async (connection) => {
    using file = await Deno.open(path, { write: true, truncate: true });
    const write = (text: string) =>
      writeAll(file, new TextEncoder().encode(text));
    if (isCsv) await write(`${Object.keys(columns).join(",")}\n`);
    let count = 0;
    const sets = connection.sets<{ line: string } & Cells>(
      isCsv ? row : `SELECT row_to_json(r)::text AS line FROM (${row}) r`,
      values.list,
      SET_SIZE,
    );
    for await (const set of sets) {
      count += set.length;
      const lines = set.map((it) => isCsv ? lineOf(it) : it.line);
      await write(lines.map((line) => `${line}\n`).join(""));
    }
    return count;
  }, { timeoutMs: LONG_MS });
}

async function writeParquet(
  database: Database,
  path: string,
  options: ExportOptions,
): Promise<number> {
  const columns = options.events ? EVENT_COLUMNS : TASK_COLUMNS;
  const types = Object.entries(columns)
    .map(([name, type]) => [name, /^\w+/.exec(type)?.[0] ?? ""]);
  const lines = await makeFile();
  try {
    await writeLines(database, lines, { ...options, format: "jsonl" });
    const { writeParquet } = await import("../duckdb/parquet.ts");
    return await writeParquet(lines, path, Object.fromEntries(types));
  } finally {
    await Deno.remove(lines);
  }
}

type Cells = Readonly<Record<string, string | number | null>>;

/** A line of comma-separated values; texts that a spreadsheet computes are marked. */
function csvLine(
  columns: Readonly<Record<string, string>>,
  forSpreadsheet: boolean,
): (row: Cells) => string {
  const formula = new RegExp(FORMULA);
  const cells = Object.entries(columns).map(([name, type]) => ({
    name,
    isMarked: forSpreadsheet && type.startsWith("text"),
  }));
  return (row) =>
    cells.map(({ name, isMarked }) => {
      const value = row[name];
      if (value === null || value === undefined) return "";
      const text = String(value);
      const safe = isMarked && formula.test(text) ? TEXT_SIGN + text : text;
      return safe === "" || /[",\n\r]/.test(safe)
        ? `"${safe.replaceAll('"', '""')}"`
        : safe;
    }).join(",");
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += await file.write(bytes.subarray(done));
  }
}
