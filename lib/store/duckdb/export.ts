/**
 * Tasks, or their history, as a file.
 *
 * @module
 */

import { DatabaseError, messageOf } from "../../base/errors.ts";
import type { Exported, ExportFormat, ExportOptions } from "../contract.ts";
import type { Database } from "./database.ts";
import { chosenBy, IS_CHOSEN } from "./read_tasks.ts";

/** The table as it is: what one asks of it can be asked of the file too. */
const TASKS = `
  SELECT * FROM agent_tasks WHERE ${IS_CHOSEN}
    AND ($3::TEXT IS NULL OR created_at >= $3::TIMESTAMPTZ)`;

const EVENTS = `
  SELECT * FROM agent_task_events
  WHERE ($3::TEXT IS NULL OR occurred_at >= $3::TIMESTAMPTZ)
    AND ($1::TEXT IS NULL AND $2::TEXT IS NULL OR task_id IN (
      SELECT id FROM agent_tasks WHERE ${IS_CHOSEN}))`;

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
  { format, events, since, ...filter }: ExportOptions,
): Promise<Exported> {
  const path = await makeFile();
  let exported: Exported | undefined;
  try {
    const rows = await database.transaction((connection) =>
      connection.run(
        `COPY (${events ? EVENTS : TASKS}) TO $4 (${COPY_OPTIONS[format]})`,
        [...chosenBy(filter), since?.toISOString() ?? null, path],
      )
    );
    const { size: bytes } = await Deno.stat(path);
    const { readable } = await Deno.open(path);
    const body = LOSES_ITS_NAME_OPEN ? readable : endingIn(readable, path);
    return exported = { rows, bytes, body };
  } finally {
    if (LOSES_ITS_NAME_OPEN || !exported) await Deno.remove(path);
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
