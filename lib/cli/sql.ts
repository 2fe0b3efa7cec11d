/**
 * `agent-runner sql`
 *
 * @module
 */

import { bold } from "@std/fmt/colors";
import { EXIT, UsageError } from "../base/errors.ts";
import { formatCount } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import { FORMULA, TEXT_SIGN } from "../base/spreadsheet.ts";
import type { QueryResult } from "../store/contract.ts";
import type { JsonObject, JsonValue } from "../task/task.ts";
import { stringifyJson } from "../task/trace.ts";
import {
  type Command,
  type CommandContext,
  JSON_FLAG,
  SPREADSHEET_FLAG,
} from "./command.ts";
import { countFlag, durationFlag } from "./flags.ts";
import {
  alignRows,
  fit,
  printableOn,
  renderJson,
  type Screen,
} from "./render.ts";

/** Answers one question about the tasks, in SQL. */
export const sql: Command = {
  name: "sql",
  args: "[QUESTION | -]",
  maxArgs: 1,
  summary: "Ask tasks and agent_task_events anything, in SQL",
  flags: [
    {
      name: "limit",
      placeholder: "N",
      summary: "Rows at most (default 1000; 100000 with --json and --csv)",
    },
    {
      name: "timeout",
      placeholder: "DURATION",
      summary: "Give up after this time (default 5); runners wait so long",
    },
    JSON_FLAG,
    { name: "csv", summary: "Print CSV" },
    SPREADSHEET_FLAG,
  ],
  examples: [
    'sql "FROM agent_task_events ORDER BY id DESC LIMIT 20"',
    'sql "SUMMARIZE tasks" --csv',
  ],
  run: answerQuestion,
};

const TABLE_ROWS = 1_000;
const SCRIPT_ROWS = 100_000;
/** Less than runners wait for the file, unless they are told otherwise. */
const TIMEOUT_MS = 5_000;

async function answerQuestion(context: CommandContext): Promise<number> {
  const { config, flags, clock, log } = context;
  if (flags.json && flags.csv) {
    throw new UsageError("Cannot print JSON and CSV. Give one of the two.");
  }
  if (flags["for-spreadsheet"] && !flags.csv) {
    throw new UsageError(
      "Cannot print that for a spreadsheet. Give --csv too.",
    );
  }
  const limit = countFlag(flags, "limit") ??
    (flags.json || flags.csv ? SCRIPT_ROWS : TABLE_ROWS);
  const timeoutMs = durationFlag(flags, "timeout") ?? TIMEOUT_MS;
  const question = await readQuestion(context);
  const result = await ask();
  print(result, context);
  if (result.hasMore) {
    log.warning(
      `There are more than ${limit} rows. --limit shows more; ` +
        "agent-runner export writes whole tables.",
      { event: "more_rows" },
    );
  }
  return EXIT.ok;

  /** The file is free again before anything is printed. */
  async function ask(): Promise<QueryResult> {
    const { openReader } = await import("../store/open.ts");
    await using reader = await openReader(config, clock);
    return await reader.query(question, { limit, timeoutMs });
  }
}

async function readQuestion(
  { args, terminal }: CommandContext,
): Promise<string> {
  const [given] = args;
  if (given !== undefined && given !== "-") return given;
  if (given === undefined && Deno.stdin.isTerminal()) {
    throw new UsageError(
      "Cannot ask nothing. Give a question: " +
        'agent-runner sql "FROM tasks LIMIT 5", or - to read it from ' +
        "standard input.",
    );
  }
  return await terminal.readInput();
}

function print(result: QueryResult, { flags, terminal }: CommandContext): void {
  const { screen } = terminal;
  terminal.write(
    flags.json ? renderJson(resultToJson(result), 2) : flags.csv
      ? printableOn(
        screen,
        resultToCsv(result, {
          forSpreadsheet: Boolean(flags["for-spreadsheet"]),
        }),
      )
      : renderResult(result, screen),
  );
}

/** More of a cell hides the others; a column alone has the whole line. */
const MAX_CELL_WIDTH = 50;

/** For people: a table, or a list of fields for one row with long texts. */
function renderResult(result: QueryResult, screen: Screen): string {
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
function resultToJson({ columns, rows }: QueryResult): JsonObject[] {
  return rows.map((row) =>
    Object.fromEntries(
      columns.map(({ name }, index) => [name, row[index] ?? null]),
    )
  );
}

/** RFC 4180, with a header. A NULL is an empty field. */
function resultToCsv(
  { columns, rows }: QueryResult,
  { forSpreadsheet }: { readonly forSpreadsheet: boolean },
): string {
  const formula = new RegExp(FORMULA);
  const field = (value: JsonValue) => {
    const isFormula = forSpreadsheet && typeof value === "string" &&
      formula.test(value);
    const text = value === null
      ? ""
      : (isFormula ? TEXT_SIGN : "") + textOf(value);
    const isPlain = !/[",\r\n]/.test(text) && (text !== "" || value === null);
    return isPlain ? text : `"${text.replaceAll('"', '""')}"`;
  };
  return [columns.map(({ name }) => name), ...rows]
    .map((row) => `${row.map(field).join(",")}\n`).join("");
}
