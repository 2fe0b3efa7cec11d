/**
 * `agent-runner show`
 *
 * @module
 */

import { EXIT } from "../base/errors.ts";
import { formatLocalTime, printable } from "../base/log.ts";
import type { Config } from "../config/config.ts";
import { eventToJson, taskToJson } from "../task/json.ts";
import {
  type AgentTask,
  isFinal,
  type JsonObject,
  type JsonValue,
  type TaskEvent,
} from "../task/task.ts";
import { type Usage, usageOf } from "../task/usage.ts";
import { formatCount } from "../base/figures.ts";
import type { TaskGraph } from "../store/contract.ts";
import { waitText } from "../runner/hold_texts.ts";
import { taskLimitsOf } from "../runner/providers.ts";
import { parseTrace, stringifyJson } from "../task/trace.ts";
import { questionOf } from "../task/transitions.ts";
import {
  asksApproval,
  needsStart,
  type TaskWorkspace,
  taskWorkspaceOf,
} from "../task/workspace.ts";
import { shownFacts } from "../workspaces/shown_facts.ts";
import { awaitedText, sayWith } from "./asked.ts";
import { blockedByIn, blockedText, graphLines, NEAR_TASKS } from "./blocked.ts";
import { findTask, prefixOf } from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  JSON_FLAG,
  type OpenAdmin,
} from "./command.ts";
import { stateOf } from "./list.ts";
import {
  ageOf,
  factLines,
  paintOf,
  renderJson,
  type Screen,
} from "./render.ts";

/** Shows one task with its history. */
export const show: Command = {
  name: "show",
  args: "ID",
  maxArgs: 1,
  summary: "Show a task with its history; the start of an id is enough",
  flags: [JSON_FLAG],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["show 550e8400"],
  run: async ({ args, flags, config, clock, terminal, openAdmin }) => {
    const prefix = prefixOf(args, "show a task without its id");
    await using store = await openAdmin();
    const task = await findTask(store.admin, prefix);
    const events = await store.admin.history(task.id);
    if (flags.json) {
      const json = { ...taskToJson(task), events: events.map(eventToJson) };
      terminal.write(renderJson(json, 2));
    } else {
      const { screen } = terminal;
      // Behind a service, folders are on its machine.
      const folder = store.events && await folderOf(task, config);
      const now = clock.now();
      const { attempts } = await store.admin.logs({
        taskId: task.id,
        limit: 1,
      });
      const hasLog = attempts.length > 0;
      const isWaiting = !isFinal(task.state) && task.leaseOwner === null;
      const graph = await store.admin.graph(task.id, { limit: NEAR_TASKS });
      const waits = isWaiting
        ? await waitOf(task, { store, config, now })
        : undefined;
      const options = { now, screen, folder, hasLog, waits, graph };
      terminal.write(renderTask(task, events, options));
    }
    return EXIT.ok;
  },
};

/** What it waits for; which limits hold it back, a service does not say. */
async function waitOf(
  task: AgentTask,
  { store: { admin, queue }, config: { providers, maxAttempts }, now }: {
    readonly store: OpenAdmin;
    readonly config: Config;
    readonly now: Date;
  },
): Promise<string | undefined> {
  const taskLimits = taskLimitsOf(providers);
  const options = { taskId: task.id, limit: 1, maxAttempts, taskLimits };
  const { pauses, heldBy } = await queue?.preview(options) ?? {
    pauses: await admin.pauses(),
    heldBy: new Map(),
  };
  return waitText(task, { pauses, heldBy, providers, now });
}

/** Most commands need nothing of it, so that is loaded here. */
async function folderOf(
  task: AgentTask,
  config: Config,
): Promise<string | undefined> {
  const { workspaceOf } = await import("../processors/workspaces.ts");
  return await workspaceOf(task, config);
}

/** What its branch has, and what became of that. */
function branchText(workspace: TaskWorkspace): string {
  const { merged, pullRequest } = workspace;
  return [
    shownFacts(workspace),
    ...merged ? [`merged as ${merged.slice(0, 7)}`] : [],
    ...pullRequest ? [pullRequest] : [],
  ].join(", ");
}

/** Everything about one task. */
export function renderTask(
  task: AgentTask,
  events: readonly TaskEvent[],
  { now, screen, folder, hasLog = false, waits, graph }: {
    readonly now: Date;
    readonly screen: Screen;
    /** Where it works, if that is there. */
    readonly folder?: string;
    /** What its runs printed is kept. @default {false} */
    readonly hasLog?: boolean;
    /** What it waits for, where that is a pause or a limit. */
    readonly waits?: string | undefined;
    /** The tasks around it. @default {there are none} */
    readonly graph?: TaskGraph;
  },
): string {
  const when = (time: Date | null) =>
    time &&
    `${formatLocalTime(time)} (${
      time > now ? `in ${ageOf(now, time)}` : `${ageOf(time, now)} ago`
    })`;
  const trace = parseTrace(task.traceText);
  const used = usageOf(trace?.usage);
  const workspace = trace && taskWorkspaceOf(trace);
  const blocked = task.isBlocked && graph
    ? blockedByIn(graph, task.id)
    : undefined;
  const facts: (readonly [string, string | null])[] = [
    ["Task", task.id],
    ["State", paintOf(task.state, screen)(oneLine(stateOf(task, now)))],
    ["Provider", oneLine(task.provider)],
    ["User", task.userId],
    [
      "Target",
      task.targetRef &&
      oneLine(`${task.targetType} ${task.targetRef}`),
    ],
    ["Instruction", task.instruction && indented(task.instruction)],
    ["Batch", task.batch && oneLine(task.batch)],
    ["Key", task.key && oneLine(task.key)],
    ["Tags", oneLine(task.tags.join(", "))],
    ["Priority", task.priority === 0 ? null : String(task.priority)],
    ["Attempt", attemptOf(task)],
    ["Blocked", blocked ? blockedText(blocked) : null],
    [
      "Waits",
      waits === undefined ? null : oneLine(waits.replace(/^waits:? /, "")),
    ],
    ["Warning", trace?.warning ? oneLine(String(trace.warning)) : null],
    ["Used", used ? usageText(used) : null],
    ["Repository", workspace ? oneLine(workspace.repo) : null],
    ["Branch", workspace ? oneLine(branchText(workspace)) : null],
    ["Folder", folder ? oneLine(folder) : null],
    ["Log", hasLog ? `agent-runner logs ${task.id.slice(0, 8)}` : null],
    ["Created", when(task.createdAt)],
    ["Updated", when(task.updatedAt)],
    ...(task.state === "needs_input"
      ? questionFacts(task, trace, when(task.runAt))
      : [startFact(task), ["Not before", when(task.runAt)] as const]),
    [
      "Lease",
      task.leaseOwner &&
      `${oneLine(task.leaseOwner)}, until ${when(task.leaseExpiresAt)}`,
    ],
  ];
  const { printed: _, ...rest } = trace ?? {};
  const isInTimeline = events.some(({ printed }) => printed);
  return section(facts) + (graph ? renderGraph(graph, task.id) : "") +
    "\nTimeline\n" + section(timelineOf(events, trace)) +
    "\nTrace\n" + renderTrace(task, trace && isInTimeline ? rest : trace);
}

/** What it waits for, and what waits for it. */
function renderGraph(graph: TaskGraph, taskId: string): string {
  const list = (title: string, way: "before" | "behind") => {
    const lines = graphLines(graph, taskId, way).map((line) => `  ${line}\n`);
    return lines.length === 0 ? "" : `\n${title}\n${lines.join("")}`;
  };
  return list("After", "before") + list("Before", "behind");
}

/** What a task wants to know, and how to say it. */
function questionFacts(
  task: AgentTask,
  trace: JsonObject | undefined,
  answerBy: string | null,
): (readonly [string, string | null])[] {
  const isApproval = asksApproval(task) !== undefined;
  return [
    ["Waits for", awaitedText(task)],
    ["Question", indented(questionOf(trace) ?? "")],
    ["Answer by", answerBy],
    [isApproval ? "Approve with" : "Answer with", sayWith(task)],
  ];
}

/** Of one that has not asked yet. */
function startFact(
  task: AgentTask,
): readonly [string, string | null] {
  return [
    "Begins",
    task.state === "created" && needsStart(task)
      ? `when you approve it: agent-runner approve ${task.id.slice(0, 8)}`
      : null,
  ];
}

/** To go on with an answer is another attempt, and counts against no limit. */
function attemptOf({ attempt, maxAttempts, questions }: AgentTask): string {
  return maxAttempts === null
    ? String(attempt)
    : `${attempt} of ${maxAttempts + questions}`;
}

function section(rows: readonly (readonly [string, string | null])[]): string {
  const given = rows.flatMap(([name, value]) => value ? [[name, value]] : []);
  const lines = given.length > 0 ? factLines(given) : ["  (none)"];
  return lines.map((line) => `${line}\n`).join("");
}

/** No line break of a task's may look like one of ours. */
function oneLine(text: string): string {
  return printable(text).replaceAll("\n", "\\n");
}

/** The most lines, and characters, of one text. */
const MOST_LINES = 40;
const MOST_CHARACTERS = 4_000;

/** The text, or its beginning and what prints all of it. */
function indented(text: string, whole = "show --json"): string {
  const lines = text.slice(0, MOST_CHARACTERS + 1).split(/\r?\n/)
    .slice(0, MOST_LINES + 1);
  const isCut = text.length > MOST_CHARACTERS || lines.length > MOST_LINES;
  const shown = isCut
    ? [
      ...lines.join("\n").slice(0, MOST_CHARACTERS).split("\n")
        .slice(0, MOST_LINES),
      `… (cut: agent-runner ${whole} prints all of it)`,
    ]
    : lines;
  return shown.map(printable).join("\n    ");
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
    const used = event.usage ? `\n    used: ${usageText(event.usage)}` : "";
    const printed = Object.entries(event.printed ?? {})
      .map(([stream, text]) => `\n    ${stream}: ${indented(text)}`).join("");
    return [
      event.occurredAt,
      `${event.kind}${attempt}${who}${detail}${used}${printed}`,
    ];
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
  { id, traceText: text }: AgentTask,
  trace: JsonObject | undefined,
): string {
  if (!trace) return text ? `  ${indented(text)}\n` : "  (none)\n";
  return section(
    Object.entries(trace).map(([key, value]) => [
      oneLine(key),
      indented(
        typeof value === "string" ? value : stringifyJson(value),
        key === "output" ? `result ${id.slice(0, 8)}` : undefined,
      ) || '""',
    ]),
  );
}

/** `$0.12, 12,400 tokens read (8,000 of a cache), 900 written` */
function usageText({ costUsd, ...usage }: Usage): string {
  const { input = 0, output = 0, cached = 0 } = usage;
  const cost = costUsd === undefined ? "" : `$${costUsd.toFixed(2)}, `;
  const ofCache = cached > 0 ? ` (${formatCount(cached)} of a cache)` : "";
  return `${cost}${formatCount(input + cached)} tokens read${ofCache}, ` +
    `${formatCount(output)} written`;
}
