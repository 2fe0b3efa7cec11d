/**
 * `agent-runner sql`
 *
 * @module
 */

import { EXIT, UsageError } from "../../base/errors.ts";
import { printable } from "../../base/log.ts";
import { openReader } from "../../store/open_reader.ts";
import { renderResult, resultToCsv, resultToJson } from "../query_report.ts";
import type { QueryResult } from "../../store/reader.ts";
import { renderJson } from "../render.ts";
import type { CommandContext } from "../context.ts";
import { countFlag, secondsFlag } from "../filter.ts";

const TABLE_ROWS = 1_000;
const SCRIPT_ROWS = 100_000;
/** Less than runners wait for the file, unless they are told otherwise. */
const TIMEOUT_MS = 5_000;

/** Answers one question about the tasks, in SQL. */
export async function sql(context: CommandContext): Promise<number> {
  const { config, flags, clock, log } = context;
  if (flags.json && flags.csv) {
    throw new UsageError("Cannot print JSON and CSV. Give one of the two.");
  }
  const limit = countFlag(flags, "limit") ??
    (flags.json || flags.csv ? SCRIPT_ROWS : TABLE_ROWS);
  const timeoutMs = secondsFlag(flags, "timeout") ?? TIMEOUT_MS;
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
        'agent-runner sql "FROM agent_tasks LIMIT 5", or - to read it from ' +
        "standard input.",
    );
  }
  return await terminal.readInput();
}

function print(result: QueryResult, { flags, terminal }: CommandContext): void {
  if (flags.json) terminal.write(renderJson(resultToJson(result), 2));
  else if (flags.csv) {
    const text = resultToCsv(result);
    // A file gets every byte; a terminal must not be steered.
    const isTerminal = terminal.screen.width !== undefined;
    terminal.write(
      isTerminal ? text.split("\n").map(printable).join("\n") : text,
    );
  } else terminal.write(renderResult(result, terminal.screen));
}
