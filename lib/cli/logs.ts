/**
 * `agent-runner logs`
 *
 * @module
 */

import { cyan, dim, yellow } from "@std/fmt/colors";
import type { DatabaseError } from "../base/errors.ts";
import { EXIT } from "../base/errors.ts";
import { formatLocalTime, printable } from "../base/log.ts";
import type { LogEntry, LogPage } from "../store/contract.ts";
import { findTask, prefixOf } from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  JSON_FLAG,
  type OpenAdmin,
} from "./command.ts";
import { countFlag } from "./flags.ts";
import { type Paint, printableOn, renderJson, type Screen } from "./render.ts";
import { untilStopped } from "./signals.ts";

/** Prints what the runs of a task printed and said. */
export const logs: Command = {
  name: "logs",
  args: "ID",
  maxArgs: 1,
  summary: "Print what a task's run printed and said, also while it runs",
  flags: [
    { name: "follow", summary: "Go on until the task ends" },
    {
      name: "attempt",
      placeholder: "N",
      summary: "Of this attempt (default: the last)",
    },
    { name: "raw", summary: "Only the text, without times and marks" },
    { ...JSON_FLAG, summary: "Print a line of JSON for each line" },
  ],
  settings: CLIENT_SETTINGS,
  examples: [
    "logs 550e8400",
    "logs 550e8400 --follow",
    "logs 550e8400 --attempt 1 --raw",
  ],
  run: async (context) => {
    const { args, flags, openAdmin } = context;
    const prefix = prefixOf(args, "print a log without its task's id");
    const attempt = countFlag(flags, "attempt");
    await using store = await openAdmin();
    const { id: taskId } = await findTask(store.admin, prefix);
    const pages = flags.follow ? followed : readPages;
    const entryOf = await rendererOf(context);
    let last: number | undefined;
    for await (const page of pages(context, store, { taskId, attempt })) {
      if (last !== undefined && last !== page.attempt) {
        printAttempt(context, page);
      }
      last = page.attempt ?? undefined;
      context.terminal.write(
        page.entries.map((entry) => entryOf(entry, page)).join(""),
      );
    }
    if (last === undefined) {
      const of = attempt === undefined ? "" : `attempt ${attempt} of `;
      context.log.warning(`There is no log of ${of}task ${taskId}`, {
        event: "no_output",
        task: taskId,
      });
    }
    return EXIT.ok;
  },
};

/** Lines that are read at once. */
const PAGE_LINES = 1_000;

interface Asked {
  readonly taskId: string;
  readonly attempt: number | undefined;
}

/** The pages that there are now. */
async function* readPages(
  _context: CommandContext,
  { admin }: OpenAdmin,
  asked: Asked,
): AsyncGenerator<LogPage> {
  let page: LogPage | undefined;
  do {
    page = await admin.logs({
      ...asked,
      after: page?.next,
      limit: PAGE_LINES,
    });
    if (page.entries.length > 0) yield page;
  } while (page.hasMore);
}

/** And those that come, until the task ends or somebody stops it. */
async function* followed(
  { clock, log }: CommandContext,
  { admin, events }: OpenAdmin,
  asked: Asked,
): AsyncGenerator<LogPage> {
  const { followLog } = await import("../service/follow_log.ts");
  using stop = untilStopped();
  let lastProblem: string | undefined;
  yield* followLog({
    ...asked,
    admin,
    onChange: events && ((listener) => events.onChange(listener)),
    clock,
    stop: stop.signal,
    onProblem: ({ message }: DatabaseError) => {
      if (message !== lastProblem) {
        log.warning(message, { event: "watch_delayed" });
      }
      lastProblem = message;
    },
  });
}

/** Says that what follows is of another attempt; in JSON, each line does. */
function printAttempt(
  { flags, terminal }: CommandContext,
  { attempt }: LogPage,
): void {
  if (flags.raw || flags.json) return;
  terminal.write(`── Attempt ${attempt} ──\n`);
}

type RenderEntry = (entry: LogEntry, page: LogPage) => string;

async function rendererOf(
  { flags, log, terminal: { screen } }: CommandContext,
): Promise<RenderEntry> {
  if (flags.json) {
    const { logEntryToJson } = await import("../service/log_json.ts");
    return (entry, { attempt }) =>
      renderJson({ attempt, ...logEntryToJson(entry) });
  }
  if (!flags.raw) return (entry) => renderEntry(entry, screen);
  return ({ kind, text }) => {
    if (kind !== "omitted") return printableOn(screen, `${text}\n`);
    // What a program reads is to have nothing that was not printed.
    log.warning(text, { event: "lines_left_out" });
    return "";
  };
}

const plain: Paint = (text) => text;

/** What stands before a line, and how both look where there are colours. */
const LOOKS: Readonly<
  Record<LogEntry["kind"], readonly [mark: string, paint: Paint]>
> = {
  stdout: [" ", plain],
  text: [" ", plain],
  stderr: ["!", yellow],
  tool: ["●", cyan],
  notice: ["·", dim],
  omitted: ["…", dim],
};

/** A line with its time, and a mark for what it is. */
export function renderEntry(
  { at, kind, text }: LogEntry,
  { hasColor }: Pick<Screen, "hasColor">,
): string {
  const [mark, paint] = LOOKS[kind];
  const shown = kind === "omitted" ? `${text} …` : printable(text);
  const time = formatLocalTime(at);
  const line = `${mark} ${shown}`.trimEnd();
  if (!hasColor) return `${`${time}  ${line}`.trimEnd()}\n`;
  return `${dim(time)}  ${paint(line)}\n`;
}
