/**
 * Tasks, or their history, as a file.
 *
 * @module
 */

import { DatabaseError, messageOf } from "../../base/errors.ts";
import { FORMULA, TEXT_SIGN } from "../../base/spreadsheet.ts";
import type { Exported, ExportOptions } from "../contract.ts";
import { timeConditions } from "../filter.ts";
import { type Database, LONG_MS } from "./database.ts";
import { chosenBy } from "./read_tasks.ts";
import { EVENT_COLUMNS, TASK_COLUMNS } from "./schema.ts";
import { Values } from "./values.ts";

/** The rows that are exported. */
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

/** Rows that are held at once: each may have texts of some megabytes. */
const SET_SIZE = 50;

/** Where it is not so, a file is gone only when it was read. */
const LOSES_ITS_NAME_OPEN = Deno.build.os !== "windows";

/**
 * Writes a temporary file, which only its owner may read, lets go of the database,
 * and gives the file's content. The file is gone after it.
 */
export async function exportTable(
  database: Database,
  options: ExportOptions,
): Promise<Exported> {
  const path = await makeFile();
  let exported: Exported | undefined;
  try {
    const rows = options.format === "parquet"
      ? await writeParquet(database, path, options)
      : await writeLines(database, path, options);
    const { size: bytes } = await Deno.stat(path);
    const { readable } = await Deno.open(path);
    const body = LOSES_ITS_NAME_OPEN ? readable : endingIn(readable, path);
    return exported = { rows, bytes, body };
  } finally {
    if (LOSES_ITS_NAME_OPEN || !exported) await Deno.remove(path);
  }
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
  const row = `SELECT ${select} ${rowsOf(options, values)}`;
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
