/** The least that a program with DuckDB does: opens a file and ends. */
import { DuckDBInstance } from "duckdb";

const instance = await DuckDBInstance.create(Deno.args[0]);
instance.closeSync();
