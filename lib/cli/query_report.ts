/**
 * How the answers to questions look: as text for people, as JSON and CSV for
 * scripts.
 *
 * @module
 */

import { bold } from "@std/fmt/colors";
import { formatCount } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import type { QueryResult } from "../store/reader.ts";
import { alignRows, fit, type Screen } from "./table.ts";
import type { JsonObject, JsonValue } from "../task/task.ts";
import { stringifyJson } from "../task/trace.ts";

/** More of a cell hides the others; a column alone has the whole line. */
const MAX_CELL_WIDTH = 50;

/** For people: a table, or a list of fields for one row with long texts. */
export function renderResult(result: QueryResult, screen: Screen): string {
  const { columns, rows, hasMore } = result;
  const [first] = rows;
  if (first && rows.length === 1 && first.some(isLong)) {
    return first.map((value, index) =>
      renderField(columns[index]?.name ?? "", textOf(value), screen)
    ).join("");
  }
  const width = columns.length === 1 ? undefined : MAX_CELL_WIDTH;
  const [header = "", ...lines] = alignRows(
    [
      columns.map(({ name }) => name),
      ...rows.map((row) => row.map((value) => fit(textOf(value), width))),
    ],
    {
      width: screen.width,
      right: columns.flatMap(({ isNumber }, index) => isNumber ? [index] : []),
    },
  );
  const count = formatCount(rows.length);
  return [
    screen.hasColor ? bold(header) : header,
    ...lines,
    hasMore
      ? `(the first ${count} rows)`
      : `(${count} ${rows.length === 1 ? "row" : "rows"})`,
    "",
  ].join("\n");
}

function isLong(value: JsonValue): boolean {
  return typeof value === "string" && value.includes("\n");
}

function renderField(name: string, text: string, screen: Screen): string {
  const title = printable(name);
  const lines = text.split("\n").map((line) => `  ${printable(line)}\n`);
  return `${screen.hasColor ? bold(title) : title}\n${lines.join("")}`;
}

function textOf(value: JsonValue): string {
  if (typeof value === "string") return value;
  return value === null ? "NULL" : stringifyJson(value);
}

/** For scripts: an object for each row. */
export function resultToJson({ columns, rows }: QueryResult): JsonObject[] {
  return rows.map((row) =>
    Object.fromEntries(
      columns.map(({ name }, index) => [name, row[index] ?? null]),
    )
  );
}

/** For spreadsheets: RFC 4180, with a header. A NULL is an empty field. */
export function resultToCsv({ columns, rows }: QueryResult): string {
  const field = (value: JsonValue) => {
    const text = value === null ? "" : textOf(value);
    const isPlain = !/[",\r\n]/.test(text) && (text !== "" || value === null);
    return isPlain ? text : `"${text.replaceAll('"', '""')}"`;
  };
  return [columns.map(({ name }) => name), ...rows]
    .map((row) => `${row.map(field).join(",")}\n`).join("");
}
