import { assertEquals } from "@std/assert";
import { ARCHIVE } from "../../lib/store/archive.ts";
import { TASK_COLUMNS as DUCKDB } from "../../lib/store/duckdb/schema.ts";
import {
  EVENT_COLUMNS,
  TASK_COLUMNS as POSTGRES,
} from "../../lib/store/postgres/schema.ts";

/** The types alone, without what else is said of columns. */
function typesOf(columns: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(columns).map(([name, type]) =>
      [name, /^\w+/.exec(type)?.[0].toLowerCase()] as const
    ),
  );
}

Deno.test("copy takes every column that the stores have of tasks and events", () => {
  assertEquals(typesOf(ARCHIVE.tasks.columns), typesOf(DUCKDB));
  assertEquals(typesOf(ARCHIVE.tasks.columns), typesOf(POSTGRES));
  assertEquals(typesOf(ARCHIVE.events.columns), typesOf(EVENT_COLUMNS));
});
