/**
 * What the doctor makes of what was found, and how that looks.
 *
 * @module
 */

import { bold, green, red, yellow } from "@std/fmt/colors";
import { countOf, formatCount, formatSpan } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import type {
  Aged,
  Check,
  TaskCount,
  TaskFindings,
} from "../store/contract.ts";
import type { JsonObject } from "../task/task.ts";
import { type Screen } from "./render.ts";

/** A check that warns or not, and gives its advice only where it does. */
export function checkOf(
  name: string,
  level: Check["level"],
  { message, advice }: { readonly message: string; readonly advice: string },
): Check {
  return level === "ok" ? { name, level, message } : {
    name,
    level,
    message,
    advice,
  };
}

/** Shorter waits are usual. */
const LONG_WAIT_MS = 60_000;
const LONG_QUESTION_MS = 3_600_000;

/** What the settings say. */
export interface TaskExpectations {
  readonly leaseMs: number;
  /** The providers whose tasks are run; undefined for all. */
  readonly served: readonly string[] | undefined;
}

/** Looks at the tasks. */
export function checkTasks(
  tasks: TaskFindings,
  { leaseMs, served }: TaskExpectations,
): Check[] {
  const { waiting, abandoned, asking, uncancelled, runners } = tasks;
  const warnWhere = (isWrong: boolean) => isWrong ? "warn" : "ok";
  // A runner that has its hands full takes the others later.
  const isIdle = runners.length === 0;
  const deadMs = leaseMs + LONG_WAIT_MS;
  return [
    checkClock(tasks),
    checkOf("runners", "ok", { message: runnersText(tasks), advice: "" }),
    checkOf(
      "waiting",
      warnWhere(waiting.oldestMs > LONG_WAIT_MS && isIdle),
      {
        message: aged(waiting, (tasks, s) => `${tasks} wait${s} for a runner`),
        advice: "Start one: agent-runner run --loop. Where one runs, " +
          "agent-runner run --dry-run says what holds a task up.",
      },
    ),
    ...served ? [checkServed(tasks, served)] : [],
    checkBegun(tasks),
    checkOf("abandoned", warnWhere(abandoned.oldestMs > deadMs && isIdle), {
      message: aged(
        abandoned,
        (tasks, s) => `${tasks} run${s} without a live lease`,
      ),
      advice: "Their runner died; another takes them over: " +
        "agent-runner run --loop.",
    }),
    checkOf("questions", warnWhere(asking.oldestMs > LONG_QUESTION_MS), {
      message: aged(asking, (tasks, s) => `${tasks} wait${s} for an answer`),
      advice: "agent-runner list --state needs_input has them, " +
        "agent-runner answer answers, and approve approves.",
    }),
    checkOf("cancelled", warnWhere(uncancelled.oldestMs > deadMs), {
      message: aged(
        uncancelled,
        (tasks, s) =>
          `${tasks} wait${s} for a runner to end what was cancelled`,
      ),
      advice: "Any runner does: agent-runner run --loop.",
    }),
    checkStates(tasks),
  ];
}

const SHOWN_PROVIDERS = 5;

/** Tasks of a provider that the configuration does not have wait for ever. */
function checkServed(
  { waitingProviders }: TaskFindings,
  served: readonly string[],
): Check {
  const unserved = waitingProviders.filter(({ name }) =>
    !served.includes(name)
  );
  const count = unserved.reduce((sum, { tasks }) => sum + tasks, 0);
  return checkOf("served", count > 0 ? "warn" : "ok", {
    message: count > 0
      ? `${countOf(count, "task")} of providers that are not configured: ${
        listed(unserved, SHOWN_PROVIDERS)
      }`
      : "every task that waits is of a configured provider",
    advice: 'Configure them, or "*" for all others; ' +
      "agent-runner cancel --provider NAME gives their tasks up.",
  });
}

const SHOWN_REASONS = 5;

/** Tasks that could not begin wait, and lose no attempt: else nobody would see it. */
function checkBegun({ unbegun }: TaskFindings): Check {
  const texts = unbegun.slice(0, SHOWN_REASONS).map(({ name, tasks }) =>
    `${countOf(tasks, "task")} could not begin: ${name.replace(/\.?$/, ".")}`
  );
  const hidden = unbegun.length - texts.length;
  if (hidden > 0) texts.push(`There are ${hidden} more reasons.`);
  return checkOf("given back", unbegun.length > 0 ? "warn" : "ok", {
    message: texts.join(" ") || "no task waits because it could not begin",
    advice: "They are tried again every few minutes; " +
      "agent-runner retry ID tries one at once.",
  });
}

/** `a has 2, b has 1, and 3 more` */
function listed(counts: readonly TaskCount[], limit: number): string {
  const shown = counts.slice(0, limit)
    .map(({ name, tasks }) => `${name} has ${formatCount(tasks)}`);
  const hidden = counts.length - shown.length;
  if (hidden > 0) shown.push(`and ${hidden} more`);
  return shown.join(", ");
}

/** `3 tasks wait for an answer, the oldest for 2h 5m` */
function aged(
  { count, oldestMs }: Aged,
  text: (tasks: string, s: string) => string,
): string {
  if (count === 0) return text("no task", "s");
  return `${text(countOf(count, "task"), count === 1 ? "s" : "")}, ` +
    `the oldest for ${formatSpan(Math.max(0, oldestMs))}`;
}

function checkClock({ inFuture, longLeases }: TaskFindings): Check {
  const found = [
    inFuture > 0
      ? `${countOf(inFuture, "task")} ${inFuture === 1 ? "is" : "are"} ` +
        "from the future"
      : "",
    longLeases > 0
      ? `${countOf(longLeases, "lease")} longer than --lease allows`
      : "",
  ].filter((text) => text !== "");
  return checkOf("clock", found.length > 0 ? "warn" : "ok", {
    message: found.join(", ") || "no task and no lease is from the future",
    advice: "The clock was set back, or another machine's is ahead: " +
      "compare them. A lease that is too long ends when its time comes.",
  });
}

const SHOWN_RUNNERS = 5;

function runnersText({ runners }: TaskFindings): string {
  return runners.length === 0
    ? "none has a task in hand"
    : listed(runners, SHOWN_RUNNERS);
}

function checkStates({ total, unknownStates }: TaskFindings): Check {
  return checkOf("states", unknownStates.length > 0 ? "warn" : "ok", {
    message: unknownStates.length > 0
      ? `another program's: ${unknownStates.join(", ")}`
      : `all ${formatCount(total)} tasks are in known ones`,
    advice: "Tasks in such states are left alone.",
  });
}

/** Whether something must be done before agent-runner works. */
export function isHealthy(checks: readonly Check[]): boolean {
  return checks.every(({ level }) => level !== "fail");
}

const COLORS = { ok: green, warn: yellow, fail: red };

/** For people. */
export function renderChecks(checks: readonly Check[], screen: Screen): string {
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  const indent = " ".repeat(nameWidth + 8);
  const room = screen.width && Math.max(20, screen.width - indent.length);
  const lines = checks.flatMap(({ name, level, message, advice = "" }) => {
    const color = screen.hasColor ? COLORS[level] : (text: string) => text;
    const [first = "", ...rest] = [
      ...wrapped(message, room),
      ...advice ? wrapped(advice, room) : [],
    ];
    return [
      `${color(level.padEnd(4))}  ${name.padEnd(nameWidth)}  ${first}`,
      ...rest.map((line) => indent + line),
    ];
  });
  const [failures = 0, warnings = 0] = ["fail", "warn"].map((level) =>
    checks.filter((check) => check.level === level).length
  );
  const summary = failures > 0
    ? `${failures} ${failures === 1 ? "thing does" : "things do"} not work.`
    : warnings > 0
    ? `It works; ${warnings} ${
      warnings === 1 ? "thing wants" : "things want"
    } a look.`
    : "All is well.";
  return [...lines, "", screen.hasColor ? bold(summary) : summary, ""]
    .join("\n");
}

/** Lines that break between words; a word that is too long is left whole. */
function wrapped(text: string, width = Infinity): string[] {
  const lines: string[] = [];
  for (const word of printable(text).split(" ")) {
    const last = lines.at(-1);
    const isFit = last !== undefined && last.length + word.length < width;
    if (isFit) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** For scripts. */
export function checksToJson(checks: readonly Check[]): JsonObject {
  return {
    ok: isHealthy(checks),
    checks: checks.map(({ name, level, message, advice }) => ({
      name,
      level,
      message,
      advice: advice ?? null,
    })),
  };
}
