/**
 * How tasks look: as text for people, as JSON for scripts.
 *
 * @module
 */

import { bold, dim, green, red, yellow } from "@std/fmt/colors";
import { formatLocalTime, printable } from "../base/log.ts";
import type {
  AgentTask,
  JsonObject,
  JsonValue,
  TaskEvent,
  TaskState,
} from "../task/task.ts";
import { alignRows, type Screen } from "./table.ts";
import { fractionOf, percent } from "../task/progress.ts";
import { parseTrace, stringifyJson } from "../task/trace.ts";
import { questionOf } from "../task/transitions.ts";

type Paint = (text: string) => string;

const STATE_COLORS: Readonly<Record<TaskState, Paint>> = {
  created: dim,
  running: bold,
  needs_input: yellow,
  completed: green,
  failed: red,
};

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
    "TRY",
    "TARGET",
    "INSTRUCTION",
  ];
  const rows = tasks.map((task) => [
    task.id.slice(0, 8),
    stateOf(task),
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

/** The state, and how far it is: `running 40%`. */
function stateOf({ state, traceText }: AgentTask): string {
  if (state !== "running") return state;
  const fraction = fractionOf(parseTrace(traceText));
  return fraction === undefined ? state : `${state} ${percent(fraction)}`;
}

function paintOf(state: TaskState | undefined, { hasColor }: Screen): Paint {
  const paint = state && STATE_COLORS[state];
  return hasColor && paint ? paint : (text) => text;
}

const AGE_UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
] as const;

/** How long ago, in the largest unit: `45s`, `3m`, `2h`, `9d`. */
export function ageOf(time: Date, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - time.getTime()) / 1_000);
  for (const [size, unit] of AGE_UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${unit}`;
  }
  return `${Math.floor(seconds)}s`;
}

/** Everything about one task. */
export function renderTask(
  task: AgentTask,
  events: readonly TaskEvent[],
  { now, screen }: { now: Date; screen: Screen },
): string {
  const when = (time: Date | null) =>
    time &&
    `${formatLocalTime(time)} (${
      time > now ? `in ${ageOf(now, time)}` : `${ageOf(time, now)} ago`
    })`;
  const trace = parseTrace(task.traceText);
  const facts: (readonly [string, string | null])[] = [
    ["Task", task.id],
    ["State", paintOf(task.state, screen)(oneLine(stateOf(task)))],
    ["Provider", oneLine(task.provider)],
    ["User", task.userId],
    [
      "Target",
      task.targetRef &&
      oneLine(`${task.targetType} ${task.targetRef}`),
    ],
    ["Instruction", task.instruction && indented(task.instruction)],
    ["Priority", task.priority === 0 ? null : String(task.priority)],
    ["Attempt", attemptOf(task)],
    ["Created", when(task.createdAt)],
    ["Updated", when(task.updatedAt)],
    ...(task.state === "needs_input"
      ? questionFacts(task, trace, when(task.runAt))
      : [["Not before", when(task.runAt)] as const]),
    [
      "Lease",
      task.leaseOwner &&
      `${oneLine(task.leaseOwner)}, until ${when(task.leaseExpiresAt)}`,
    ],
  ];
  return section(facts) +
    "\nTimeline\n" + section(timelineOf(events, trace)) +
    "\nTrace\n" + renderTrace(task.traceText, trace);
}

/** What a task wants to know, and how to say it. */
function questionFacts(
  { id }: AgentTask,
  trace: JsonObject | undefined,
  answerBy: string | null,
): (readonly [string, string | null])[] {
  return [
    ["Question", indented(questionOf(trace) ?? "")],
    ["Answer by", answerBy],
    ["Answer with", `agent-runner answer ${id.slice(0, 8)} "…"`],
  ];
}

function attemptOf({ attempt, maxAttempts }: AgentTask): string {
  return maxAttempts === null
    ? String(attempt)
    : `${attempt} of ${maxAttempts}`;
}

function section(rows: readonly (readonly [string, string | null])[]): string {
  const given = rows.filter(([, value]) => value);
  if (given.length === 0) return "  (none)\n";
  const width = Math.max(...given.map(([name]) => name.length));
  return given.map(([name, value]) => `  ${name.padEnd(width)}  ${value}\n`)
    .join("");
}

/** No line break of a task's may look like one of ours. */
function oneLine(text: string): string {
  return printable(text).replaceAll("\n", "\\n");
}

function indented(text: string): string {
  return text.split(/\r?\n/).map(printable).join("\n    ");
}

/**
 * The history; for a task that another program ran, the times in its trace.
 */
function timelineOf(
  events: readonly TaskEvent[],
  trace: JsonObject | undefined,
): [string, string][] {
  const entries = events.map((event): [Date, string] => {
    const who = event.runner ? ` by ${oneLine(event.runner)}` : "";
    const detail = event.detail ? `: ${indented(event.detail)}` : "";
    const attempt = event.kind === "started"
      ? `, attempt ${event.attempt}`
      : "";
    return [event.occurredAt, `${event.kind}${attempt}${who}${detail}`];
  });
  const isByRunner = events.some(({ kind }) => kind !== "created");
  for (const [key, value] of isByRunner ? [] : Object.entries(trace ?? {})) {
    const time = key.endsWith("_at") ? timeOf(value) : undefined;
    if (time) entries.push([time, oneLine(key.slice(0, -3))]);
  }
  return entries.sort(([a], [b]) => a.getTime() - b.getTime())
    .map(([time, text]) => [formatLocalTime(time), printable(text)]);
}

const TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$/;

/** A time in a trace; old ones have no offset, and are UTC. */
function timeOf(value: JsonValue): Date | undefined {
  const [text, , offset] = typeof value === "string" && TIME.exec(value) || [];
  if (text === undefined) return undefined;
  const time = new Date(offset ? text : `${text}Z`);
  return isNaN(time.getTime()) ? undefined : time;
}

function renderTrace(
  text: string | null,
  trace: JsonObject | undefined,
): string {
  if (!trace) return text ? `  ${indented(text)}\n` : "  (none)\n";
  return section(
    Object.entries(trace).map(([key, value]) => [
      oneLine(key),
      indented(
        typeof value === "string" ? value : stringifyJson(value),
      ) || '""',
    ]),
  );
}

/** What JSON leaves as it is. */
const CONTROL_IN_JSON = /[\x7f-\x9f]/g;

/** The text of a JSON result; no text of a task in it can steer the terminal. */
export function renderJson(value: JsonValue, indent?: number): string {
  const text = stringifyJson(value, indent).replace(
    CONTROL_IN_JSON,
    (char) => `\\u00${char.charCodeAt(0).toString(16)}`,
  );
  return `${text}\n`;
}
