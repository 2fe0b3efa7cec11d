/**
 * `agent-runner list`
 *
 * @module
 */

import { unicodeWidth } from "@std/cli/unicode-width";
import { EXIT } from "../base/errors.ts";
import { taskToJson } from "../task/json.ts";
import type { Admin, PageOptions, TaskPage } from "../store/contract.ts";
import { fractionOf, percent } from "../task/progress.ts";
import {
  shownStateOf,
  WAITING_FOR_YOU,
  wasSimulated,
} from "../task/shown_state.ts";
import type { AgentTask } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import { asksApproval } from "../task/workspace.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  FILTER_FLAGS,
  JSON_FLAG,
} from "./command.ts";
import { countFlag, filterFlags, hasFilterFlag } from "./flags.ts";
import { pauseLines } from "./pauses.ts";
import {
  ageOf,
  alignRows,
  paintOf,
  renderJson,
  type Screen,
} from "./render.ts";

/** Lists tasks. */
export const list: Command = {
  name: "list",
  summary: "List tasks, newest first",
  flags: [
    ...FILTER_FLAGS,
    { name: "limit", placeholder: "N", summary: "At most N (default 50)" },
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["list --state failed", "list --json --limit 10"],
  run: async ({ flags, clock, terminal, openAdmin }) => {
    const filter = filterFlags(flags, clock.now());
    const limit = countFlag(flags, "limit") ?? DEFAULT_LIMIT;
    await using store = await openAdmin();
    const isWhole = flags.json === true;
    const { tasks, total } = await readAll(store.admin, {
      ...filter,
      limit,
      isWhole,
    });
    if (flags.json) {
      terminal.write(renderJson(tasks.map(taskToJson), 2));
    } else if (tasks.length === 0) {
      terminal.write(
        hasFilterFlag(flags) ? "No such tasks.\n" : "There are no tasks yet.\n",
      );
    } else {
      const now = clock.now();
      terminal.write(renderTable(tasks, now, terminal.screen));
      terminal.write(waitingLines(tasks));
      terminal.write(await pauseLines(store.admin, now));
      if (total > tasks.length) {
        terminal.write(`… and older ones; --limit ${limit * 10} shows more.\n`);
      }
    }
    return EXIT.ok;
  },
};

const DEFAULT_LIMIT = 50;

/** As many as the limit says, in as many pages as that takes. */
async function readAll(
  admin: Admin,
  options: PageOptions,
): Promise<Omit<TaskPage, "next">> {
  const tasks: AgentTask[] = [];
  let after: string | undefined;
  for (;;) {
    const limit = options.limit - tasks.length;
    const page = await admin.page({ ...options, limit, after });
    tasks.push(...page.tasks);
    after = page.next;
    if (after === undefined || tasks.length >= options.limit) {
      return { tasks, total: page.total };
    }
  }
}

/** How many wait for a person, and for what. */
function waitingLines(tasks: readonly AgentTask[]): string {
  const waiting = tasks.filter(({ state }) => state === "needs_input");
  const toApprove = waiting.filter(asksApproval).length;
  const line = (count: number, rest: string) =>
    count === 0
      ? ""
      : `${count} ${count === 1 ? "waits" : "wait"} for ${rest}\n`;
  return line(
    waiting.length - toApprove,
    "an answer; agent-runner show ID has the question.",
  ) + line(
    toApprove,
    "your approval; agent-runner show ID says of what, approve ID gives it.",
  );
}

/** A table of tasks. */
export function renderTable(
  tasks: readonly AgentTask[],
  now: Date,
  screen: Screen,
): string {
  const hasBatch = tasks.some(({ batch }) => batch !== null);
  const header = [
    "ID",
    "STATE",
    "PROVIDER",
    ...hasBatch ? ["BATCH"] : [],
    "AGE",
    "ATTEMPT",
    "TARGET",
    "INSTRUCTION",
  ];
  const rows = tasks.map((task) => [
    task.id.slice(0, 8),
    stateOf(task, now),
    task.provider,
    ...hasBatch ? [task.batch ?? ""] : [],
    ageOf(task.createdAt, now),
    String(task.attempt),
    task.targetRef ?? "",
    task.instruction?.trim().split("\n", 1)[0] ?? "",
  ]);
  const shown = withoutLeast([header, ...rows], screen.width);
  const [title, ...lines] = alignRows(shown, screen);
  return [
    title,
    ...lines.map((line, index) => {
      const state = rows[index]?.[1] ?? "";
      const paint = paintOf(tasks[index]?.state, screen);
      return line.replace(state, () => paint(state));
    }),
  ].map((text) => `${text}\n`).join("");
}

/** What a narrow screen does without first, so that the instruction is seen, */
const LEAST_WANTED = ["PROVIDER", "ATTEMPT", "TARGET", "AGE", "BATCH"];
/** at least so much of it. */
const INSTRUCTION_WIDTH = 16;
const GAP = 2;

function withoutLeast(
  rows: readonly (readonly string[])[],
  width = Infinity,
): readonly (readonly string[])[] {
  let kept = rows;
  for (const name of LEAST_WANTED) {
    if (widthOf(kept) <= width) break;
    const column = kept[0]?.indexOf(name) ?? -1;
    if (column < 0) continue;
    kept = kept.map((row) => row.toSpliced(column, 1));
  }
  return kept;
}

/** How wide rows are whose last cell is cut. */
function widthOf(rows: readonly (readonly string[])[]): number {
  const widths =
    rows[0]?.map((_, column) =>
      Math.max(...rows.map((row) => unicodeWidth(row[column] ?? "")))
    ) ?? [];
  widths.pop();
  const instruction = Math.max(
    ...rows.slice(1).map((row) => unicodeWidth(row.at(-1) ?? "")),
  );
  return widths.reduce(
    (sum, each) => sum + each + GAP,
    Math.min(instruction, INSTRUCTION_WIDTH),
  );
}

/** `running 40%`, `retrying in 40s`, `waiting for you`, `completed (simulated)`. */
export function stateOf(task: AgentTask, now: Date): string {
  const text = textOf(task, now);
  if (wasSimulated(task)) return `${text} (simulated)`;
  return hasWarning(task) ? `${text} (warning)` : text;
}

/** It is done, but not all was as it should be: `show` has what. */
function hasWarning({ state, traceText }: AgentTask): boolean {
  return state === "completed" && traceText !== null &&
    traceText.includes('"warning"') &&
    typeof parseTrace(traceText)?.warning === "string";
}

function textOf(task: AgentTask, now: Date): string {
  const { runAt, traceText } = task;
  const state = shownStateOf(task);
  switch (state) {
    case "needs_input":
      return WAITING_FOR_YOU;
    case "retrying":
      return runAt && runAt > now ? `${state} in ${ageOf(now, runAt)}` : state;
    case "running": {
      const fraction = fractionOf(parseTrace(traceText));
      return fraction === undefined ? state : `${state} ${percent(fraction)}`;
    }
    case "simulated":
      return task.state;
    default:
      return state;
  }
}
