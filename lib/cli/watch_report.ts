/**
 * How the live view looks: a screen full for a terminal, a line for all else.
 *
 * @module
 */

import { bold, dim, red } from "@std/fmt/colors";
import { formatCount, formatSpan } from "../base/figures.ts";
import { formatLocalTime, printable } from "../base/log.ts";
import type { Overview, ShownTask } from "../store/contract.ts";
import { fractionOf, progressText } from "../task/progress.ts";
import {
  type JsonObject,
  type JsonValue,
  TASK_STATES,
  type TaskState,
} from "../task/task.ts";
import { wasSimulated } from "../task/shown_state.ts";
import { parseTrace } from "../task/trace.ts";
import { alignRows, fit, type Paint, paintOf, type Screen } from "./render.ts";

/** How far back "lately" is. */
export const RECENT_SECONDS = 60;

/** What a screen shows. */
export interface Frame {
  /** What is watched. */
  readonly title: string;
  readonly overview: Overview;
  readonly now: Date;
  /** Why it is not the latest, if there is a reason. */
  readonly problem: string | undefined;
}

/** The lines of a screen, none wider than that. */
export function renderFrame(
  frame: Frame,
  { columns, rows, hasColor }: {
    readonly columns: number;
    readonly rows: number;
    readonly hasColor: boolean;
  },
): string[] {
  const screen = { width: columns, hasColor };
  const paint = (color: Paint): Paint => hasColor ? color : (text) => text;
  const { overview, now, problem } = frame;
  const running = liveTasks(overview, now);
  const head = [
    paint(bold)(titleLine(frame, columns)),
    countsLine(overview, screen),
    fit(rateLine(overview, now), columns),
    ...problem ? [paint(red)(fit(printable(problem), columns))] : [],
    "",
  ];
  // What is left, in two halves; what one does not need, the other has.
  const room = Math.max(0, rows - head.length - FRAME_LINES);
  const half = Math.floor(room / 2);
  const runningRoom = Math.max(half, room - overview.ended.length);
  const endedRoom = room - Math.min(runningRoom, running.length);
  return [
    ...head,
    paint(bold)(
      fit(
        countLine("Running", {
          count: runningCount(overview, now),
          shown: Math.min(runningRoom, running.length),
        }),
        columns,
      ),
    ),
    ...runningLines(running.slice(0, runningRoom), now, screen),
    "",
    paint(bold)("Ended last"),
    ...endedLines(overview.ended.slice(0, endedRoom), now, screen),
    "",
    paint(dim)(fit("q quits", columns)),
  ];
}

/** Titles, headers, blanks and the last line. */
const FRAME_LINES = 7;

function titleLine({ title, now }: Frame, columns: number): string {
  const time = formatLocalTime(now).slice(11);
  const left = fit(printable(title), Math.max(0, columns - time.length - 2));
  const blanks = columns - [...left].length - time.length;
  return left + " ".repeat(Math.max(1, blanks)) + time;
}

function countsLine({ counts }: Overview, screen: Screen): string {
  const states = statesIn(counts);
  const text = fit(
    states.map(([state, count]) => `${state} ${formatCount(count)}`)
      .join("   "),
    screen.width,
  );
  if (!screen.hasColor) return printable(text);
  return states.reduce(
    (line, [state]) =>
      line.replace(state, (name) => paintOf(state, screen)(name)),
    printable(text),
  );
}

/** The usual states, and those that another program made up. */
function statesIn(
  counts: Overview["counts"],
): (readonly [TaskState, number])[] {
  const names = new Set<TaskState>([
    ...TASK_STATES,
    ...Object.keys(counts) as TaskState[],
  ]);
  return [...names].map((state) => [state, counts[state] ?? 0]);
}

const BARS = "▁▂▃▄▅▆▇█";
const BAR_SECONDS = 2;

/** `▁▂▅█  125 ended in the last minute` */
function rateLine(overview: Overview, now: Date): string {
  const second = Math.floor(now.getTime() / 1_000);
  const parts = RECENT_SECONDS / BAR_SECONDS;
  const counts = Array.from({ length: parts }, (_, index) => {
    const start = second - RECENT_SECONDS + index * BAR_SECONDS + 1;
    let sum = 0;
    for (let at = start; at < start + BAR_SECONDS; at++) {
      sum += overview.endedBySecond.get(at) ?? 0;
    }
    return sum;
  });
  const most = Math.max(1, ...counts);
  const bars = counts.map((count) =>
    count === 0 ? " " : BARS[Math.ceil(count / most * BARS.length) - 1]
  );
  return `${endedText(overview, now)}  ${bars.join("")}`.trimEnd();
}

function endedText(overview: Overview, now: Date): string {
  const { simulatedLately } = overview;
  return `${formatCount(endedLately(overview, now))} ended in the last minute` +
    (simulatedLately > 0 ? ` (${formatCount(simulatedLately)} simulated)` : "");
}

function endedLately({ endedBySecond }: Overview, now: Date): number {
  const since = Math.floor(now.getTime() / 1_000) - RECENT_SECONDS;
  return endedBySecond.entries()
    .reduce((sum, [second, count]) => second > since ? sum + count : sum, 0);
}

/** A lease may end without a change that one could see. */
function liveTasks({ running }: Overview, now: Date): ShownTask[] {
  return running.filter(({ leaseExpiresAt }) =>
    leaseExpiresAt !== null && leaseExpiresAt > now
  );
}

function runningCount(overview: Overview, now: Date): number {
  const { running, runningCount } = overview;
  return runningCount - running.length + liveTasks(overview, now).length;
}

function countLine(
  title: string,
  { count, shown }: { count: number; shown: number },
): string {
  return count > shown
    ? `${title}: ${formatCount(shown)} of ${formatCount(count)}`
    : `${title}: ${formatCount(count)}`;
}

/** So that the last column has some room on 80 columns. */
const MAX_PROVIDER_WIDTH = 16;
const MAX_PROGRESS_WIDTH = 30;

function runningLines(
  tasks: readonly ShownTask[],
  now: Date,
  screen: Screen,
): string[] {
  return table(["TASK", "PROVIDER", "FOR", "PROGRESS", "INSTRUCTION"], {
    rows: tasks.map(({ id, provider, startedAt, traceText, instruction }) => [
      id.slice(0, 8),
      fit(provider, MAX_PROVIDER_WIDTH),
      startedAt ? spanUntil(startedAt, now) : "?",
      fit(progressIn(parseTrace(traceText)), MAX_PROGRESS_WIDTH),
      instruction ?? "",
    ]),
    screen,
  });
}

function endedLines(
  tasks: readonly ShownTask[],
  now: Date,
  screen: Screen,
): string[] {
  return table(["TASK", "PROVIDER", "AGO", "STATE", ""], {
    rows: tasks.map((task) => [
      task.id.slice(0, 8),
      fit(task.provider, MAX_PROVIDER_WIDTH),
      spanUntil(task.updatedAt, now),
      task.state,
      wasSimulated(task)
        ? `(simulated) ${task.instruction ?? ""}`
        : errorIn(task) ?? task.instruction ?? "",
    ]),
    screen,
    paint: (line, index) => {
      const { state } = tasks[index] ?? {};
      return line.replace(state ?? "", (name) => paintOf(state, screen)(name));
    },
  });
}

function table(
  header: readonly string[],
  { rows, screen, paint = (line) => line }: {
    readonly rows: readonly (readonly string[])[];
    readonly screen: Screen;
    readonly paint?: (line: string, index: number) => string;
  },
): string[] {
  if (rows.length === 0) return ["  none"];
  const width = screen.width && screen.width - 2;
  const [first = "", ...lines] = alignRows([header, ...rows], {
    width,
    right: [2],
  }).map((line) => `  ${line}`);
  return screen.hasColor
    ? [dim(first), ...lines.map(paint)]
    : [first, ...lines];
}

/** Whole seconds: fractions would flicker. */
function spanUntil(time: Date, now: Date): string {
  const seconds = Math.floor((now.getTime() - time.getTime()) / 1_000);
  return seconds < 60
    ? `${Math.max(0, seconds)}s`
    : formatSpan(seconds * 1_000).replace(" ", "");
}

function progressIn(trace: JsonObject | undefined): string {
  const message = textIn(trace?.progress);
  return progressText({ message, fraction: fractionOf(trace) });
}

function errorIn({ state, traceText }: ShownTask): string | undefined {
  const error = state === "failed" ? parseTrace(traceText)?.error : undefined;
  return error === undefined ? undefined : textIn(error);
}

function textIn(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** What a line of a watched store says, where there is no terminal. */
export function renderLine(overview: Overview, now: Date): string {
  const states = statesIn(overview.counts)
    .map(([state, count]) => `${state} ${count}`).join(", ");
  return printable(
    `${formatLocalTime(now)}  ${states}; ${endedText(overview, now)}`,
  );
}

/** The same for scripts. */
export function overviewToJson(overview: Overview, now: Date): JsonObject {
  return {
    time: now.toISOString(),
    states: Object.fromEntries(statesIn(overview.counts)),
    in_flight: runningCount(overview, now),
    ended_last_minute: endedLately(overview, now),
    simulated_last_minute: overview.simulatedLately,
  };
}
