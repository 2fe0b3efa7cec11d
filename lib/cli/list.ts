/**
 * `agent-runner list`
 *
 * @module
 */

import { EXIT } from "../base/errors.ts";
import { taskToJson } from "../task/json.ts";
import { fractionOf, percent } from "../task/progress.ts";
import { isSimulated, shownStateOf } from "../task/shown_state.ts";
import type { AgentTask } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  FILTER_FLAGS,
  JSON_FLAG,
} from "./command.ts";
import { countFlag, filterFlags } from "./flags.ts";
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
  examples: ["list --state failed", "list --json --limit 10"],
  run: async ({ flags, clock, terminal, openAdmin }) => {
    const filter = filterFlags(flags);
    const limit = countFlag(flags, "limit") ?? DEFAULT_LIMIT;
    await using store = await openAdmin();
    const { tasks, total } = await store.admin.page({
      ...filter,
      limit,
      isWhole: true,
    });
    if (flags.json) {
      terminal.write(renderJson(tasks.map(taskToJson), 2));
    } else if (tasks.length === 0) {
      const isAll = !filter.states && filter.provider === undefined;
      terminal.write(isAll ? "There are no tasks yet.\n" : "No such tasks.\n");
    } else {
      terminal.write(renderTable(tasks, clock.now(), terminal.screen));
      const asking = tasks.filter(({ state }) =>
        state === "needs_input"
      ).length;
      if (asking > 0) {
        terminal.write(
          `${asking} ${asking === 1 ? "waits" : "wait"} for an answer; ` +
            "agent-runner show ID has the question.\n",
        );
      }
      if (total > tasks.length) {
        terminal.write(`… and older ones; --limit ${limit * 10} shows more.\n`);
      }
    }
    return EXIT.ok;
  },
};

const DEFAULT_LIMIT = 50;

/** A table of tasks. */
export function renderTable(
  tasks: readonly AgentTask[],
  now: Date,
  screen: Screen,
): string {
  const header = [
    "ID",
    "STATE",
    "PROVIDER",
    "AGE",
    "ATTEMPT",
    "TARGET",
    "INSTRUCTION",
  ];
  const rows = tasks.map((task) => [
    task.id.slice(0, 8),
    stateOf(task, now),
    task.provider,
    ageOf(task.createdAt, now),
    String(task.attempt),
    task.targetRef ?? "",
    task.instruction ?? "",
  ]);
  const [title, ...lines] = alignRows([header, ...rows], screen);
  return [
    title,
    ...lines.map((line, index) => {
      const state = rows[index]?.[1] ?? "";
      const paint = paintOf(tasks[index]?.state, screen);
      return line.replace(state, () => paint(state));
    }),
  ].map((text) => `${text}\n`).join("");
}

/** `running 40%`, `retrying in 40s`, `waiting for you`, `completed (simulated)`. */
export function stateOf(task: AgentTask, now: Date): string {
  const text = textOf(task, now);
  return isSimulated(task.traceText) ? `${text} (simulated)` : text;
}

function textOf(task: AgentTask, now: Date): string {
  const { runAt, traceText } = task;
  const state = shownStateOf(task);
  switch (state) {
    case "needs_input":
      return "waiting for you";
    case "retrying":
      return runAt && runAt > now ? `${state} in ${ageOf(now, runAt)}` : state;
    case "running": {
      const fraction = fractionOf(parseTrace(traceText));
      return fraction === undefined ? state : `${state} ${percent(fraction)}`;
    }
    default:
      return state;
  }
}
