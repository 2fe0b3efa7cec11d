/**
 * Parquet from what another store gives: DuckDB writes it best.
 *
 * @module
 */

import { connectDuckDb } from "./connection.ts";

/** Of one line; two of them are held. */
const MAX_LINE_BYTES = 64 * 1024 ** 2;

/**
 * Makes a Parquet file of a file with JSON Lines. Returns how many rows it has.
 *
 * @param columns the types of DuckDB by the names of the columns
 */
export async function writeParquet(
  lines: string,
  path: string,
  columns: Readonly<Record<string, string>>,
): Promise<number> {
  const connection = await connectDuckDb(":memory:");
  try {
    const types = Object.entries(columns)
      .map(([name, type]) => `${name}: '${type}'`);
    return await connection.run(
      `COPY (SELECT * FROM read_json($1, format = 'newline_delimited',
         columns = {${types.join(", ")}},
         maximum_object_size = ${MAX_LINE_BYTES}))
       TO $2 (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)`,
      [lines, path],
    );
  } finally {
    connection.close();
  }
}
