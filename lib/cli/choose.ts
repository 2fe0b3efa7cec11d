/**
 * Which tasks a command is to work on: those with the ids that were given, or
 * those that have something in common, after a question.
 *
 * @module
 */

import { UsageError, UserError } from "../base/errors.ts";
import { formatCount } from "../base/figures.ts";
import { TASK_STATES, type TaskState } from "../task/task.ts";
import type { TaskDesk } from "../store/task_admin.ts";
import type { ChosenTask, TaskFilter } from "../store/task_sets.ts";
import { type CommandContext, textFlag } from "./context.ts";
import { statesFlag } from "./filter.ts";
import { findTask } from "./find_task.ts";

/** What a command does with the tasks, for its messages. */
export interface Deed {
  /** `cancel` */
  readonly verb: string;
  /** The states that `--state` may name. */
  readonly states: readonly TaskState[];
  /** Those that are meant without it. @default {states} */
  readonly usualStates?: readonly TaskState[];
  /** Finds the tasks that have something in common. */
  readonly find: (
    store: TaskDesk,
    filter: TaskFilter,
  ) => Promise<ChosenTask[]>;
}

/** Ids, or what the tasks have in common. */
export type Choice =
  | { readonly kind: "ids"; readonly prefixes: readonly string[] }
  | { readonly kind: "filter"; readonly filter: TaskFilter };

/**
 * Reads arguments and flags.
 *
 * @throws {UsageError} where they choose no task, or in two ways.
 */
export function choiceOf(
  { args, flags }: Pick<CommandContext, "args" | "flags">,
  { verb, states: allowed, usualStates = allowed }: Omit<Deed, "find">,
): Choice {
  const states = statesFlag(flags);
  const provider = textFlag(flags, "provider");
  const isFilter = Boolean(states || provider !== undefined || flags.all);
  if (args.length > 0 && isFilter) {
    throw new UsageError(
      `Cannot ${verb} tasks by id and by --state, --provider or --all at the ` +
        "same time. Give one of the two.",
    );
  }
  if (args.length > 0) return { kind: "ids", prefixes: args };
  if (!isFilter) {
    throw new UsageError(
      `Cannot ${verb} a task without its id. ` +
        "agent-runner list has the ids; the start of one is enough. " +
        "Many at once: --state, --provider or --all.",
    );
  }
  if (flags.all && states) {
    throw new UsageError(
      "Cannot combine --all and --state. Give one of the two.",
    );
  }
  const wrong = states?.find((state) => !allowed.includes(state));
  if (wrong) {
    throw new UsageError(
      `Cannot ${verb} tasks that are ${wrong}. ` +
        `--state may be ${allowed.join(", ")}.`,
    );
  }
  return {
    kind: "filter",
    filter: { states: states ?? usualStates, provider },
  };
}

/**
 * The ids that are meant, each once.
 *
 * @throws {UsageError} where there is no such task.
 * @throws {UserError} where a person says no.
 */
export async function chooseTasks(
  context: CommandContext,
  store: TaskDesk,
  { choice, deed }: { readonly choice: Choice; readonly deed: Deed },
): Promise<readonly string[]> {
  if (choice.kind === "ids") return await idsOf(store, choice.prefixes);
  const tasks = await deed.find(store, choice.filter);
  if (tasks.length > 0) await confirm(context, tasks, deed);
  return tasks.map(({ id }) => id);
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function idsOf(
  store: TaskDesk,
  prefixes: readonly string[],
): Promise<string[]> {
  const ids = new Set<string>();
  for (const prefix of prefixes) {
    const id = prefix.toLowerCase();
    // A whole id needs no look through the table, which has no index for it.
    const isWhole = prefixes.length > 1 && UUID.test(id);
    ids.add(isWhole ? id : (await findTask(store, prefix)).id);
  }
  return [...ids];
}

/**
 * Asks whether so many are meant.
 *
 * @throws {UserError} where the answer is no, or nobody can be asked.
 */
async function confirm(
  { flags, terminal }: CommandContext,
  tasks: readonly ChosenTask[],
  { verb }: Deed,
): Promise<void> {
  if (flags.yes) return;
  const what = `${countTasks(tasks.length)} (${statesOf(tasks)})`;
  const isConfirmed = await terminal.confirm(`${capitalised(verb)} ${what}?`);
  if (isConfirmed) return;
  if (isConfirmed === undefined) {
    throw new UsageError(
      `Cannot ${verb} ${what}: there is no terminal to ask on whether that is ` +
        "meant. Give --yes.",
    );
  }
  throw new UserError("Nothing was done.");
}

/** `1,234 tasks` */
export function countTasks(count: number): string {
  return `${formatCount(count)} ${count === 1 ? "task" : "tasks"}`;
}

/** More are counted and not listed. */
export const LISTED_TASKS = 20;

/** Says of each task why not. */
export function refusalOf(
  verb: string,
  refused: readonly { readonly id: string; readonly why: string }[],
): UserError {
  const shown = refused.slice(0, LISTED_TASKS).map(({ id, why }) =>
    `Cannot ${verb} task ${id}: ${why}`
  );
  if (refused.length > LISTED_TASKS) {
    shown.push(`… and ${countTasks(refused.length - LISTED_TASKS)} more.`);
  }
  return new UserError(shown.join("\n"));
}

/** `3 created, 12 failed` */
function statesOf(tasks: readonly ChosenTask[]): string {
  const counts = TASK_STATES.map((state) =>
    [state, tasks.filter((task) => task.state === state).length] as const
  );
  return counts.filter(([, count]) => count > 0)
    .map(([state, count]) => `${formatCount(count)} ${state}`).join(", ");
}

function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
