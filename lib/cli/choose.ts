/**
 * Which tasks a command is to work on: the one that an id names, those with the ids
 * that were given, or those that have something in common, after a question.
 *
 * @module
 */

import { UsageError, UserError } from "../base/errors.ts";
import { countOf, formatCount } from "../base/figures.ts";
import type { Admin, ChosenTask, TaskFilter } from "../store/contract.ts";
import type { ShownState } from "../task/shown_state.ts";
import { type AgentTask, TASK_STATES } from "../task/task.ts";
import { type CommandContext, FILTER_FLAGS, type Flag } from "./command.ts";
import { filterFlags, hasFilterFlag } from "./flags.ts";

/** Of commands that ask on a terminal whether many tasks are meant. */
export const YES_FLAG: Flag = { name: "yes", summary: "Do it without asking" };

/** What a command does with the tasks, for its messages. */
export interface Deed {
  /** `cancel` */
  readonly verb: string;
  /** The states that `--state` may name. */
  readonly states: readonly ShownState[];
  /** Those that are meant without it. @default {states} */
  readonly usualStates?: readonly ShownState[];
  /** Finds the tasks that have something in common. */
  readonly find: (admin: Admin, filter: TaskFilter) => Promise<ChosenTask[]>;
}

/** Ids, or what the tasks have in common. */
export type Choice =
  | { readonly kind: "ids"; readonly prefixes: readonly string[] }
  | { readonly kind: "filter"; readonly filter: TaskFilter };

/** `--state, --provider, … or --all` */
const FILTERS = `${FILTER_FLAGS.map(({ name }) => `--${name}`).join(", ")} ` +
  "or --all";

/**
 * Reads arguments and flags.
 *
 * @throws {UsageError} where they choose no task, or in two ways.
 */
export function choiceOf(
  { args, flags, clock }: Pick<CommandContext, "args" | "flags" | "clock">,
  { verb, states: allowed, usualStates = allowed }: Omit<Deed, "find">,
): Choice {
  const filter = filterFlags(flags, clock.now());
  const { states = usualStates } = filter;
  const isFilter = Boolean(flags.all) || hasFilterFlag(flags);
  if (args.length > 0 && isFilter) {
    throw new UsageError(
      `Cannot ${verb} tasks by id and by ${FILTERS} at the same time. ` +
        "Give one of the two.",
    );
  }
  if (args.length > 0) return { kind: "ids", prefixes: args };
  if (!isFilter) {
    throw new UsageError(
      `Cannot ${verb} a task without its id. ` +
        "agent-runner list has the ids; the start of one is enough. " +
        `Many at once: ${FILTERS}.`,
    );
  }
  if (flags.all && filter.states) {
    throw new UsageError(
      "Cannot combine --all and --state. Give one of the two.",
    );
  }
  const wrong = states.find((state) => !allowed.includes(state));
  if (wrong) {
    throw new UsageError(
      `Cannot ${verb} tasks that are ${wrong}. ` +
        `--state may be ${allowed.join(", ")}.`,
    );
  }
  return { kind: "filter", filter: { ...filter, states } };
}

/**
 * The ids that are meant, each once.
 *
 * @throws {UsageError} where there is no such task.
 * @throws {UserError} where a person says no.
 */
export async function chooseTasks(
  context: CommandContext,
  admin: Admin,
  { choice, deed }: { readonly choice: Choice; readonly deed: Deed },
): Promise<readonly string[]> {
  if (choice.kind === "ids") return await idsOf(admin, choice.prefixes);
  const tasks = await deed.find(admin, choice.filter);
  if (tasks.length > 0) {
    const what = `${countOf(tasks.length, "task")} (${statesOf(tasks)})`;
    await confirm(context, { verb: deed.verb, what });
  }
  return tasks.map(({ id }) => id);
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The ids that begin with the prefixes, each once, in their order.
 *
 * @throws {UsageError} where there is no such task, or more than one.
 */
export async function idsOf(
  admin: Pick<Admin, "find">,
  prefixes: readonly string[],
): Promise<string[]> {
  const ids = new Set<string>();
  for (const prefix of prefixes) {
    const id = prefix.toLowerCase();
    // A whole id needs no look through the table, which has no index for it.
    const isWhole = prefixes.length > 1 && UUID.test(id);
    ids.add(isWhole ? id : (await findTask(admin, prefix)).id);
  }
  return [...ids];
}

/**
 * The id, or the start of one, that is a command's only argument.
 *
 * @param what for the message: `show a task without its id`
 * @throws {UsageError} where there is none.
 */
export function prefixOf([prefix]: readonly string[], what: string): string {
  if (prefix !== undefined) return prefix;
  throw new UsageError(
    `Cannot ${what}. ` +
      "agent-runner list has the ids; the start of one is enough.",
  );
}

const SHOWN_MATCHES = 5;

/**
 * The task whose id begins with the prefix.
 *
 * @throws {UsageError} where there is none, or more than one.
 */
export async function findTask(
  admin: Pick<Admin, "find">,
  prefix: string,
): Promise<AgentTask> {
  if (prefix.trim() === "") {
    throw new UsageError(
      "Cannot find a task without its id. agent-runner list has the ids.",
    );
  }
  const matches = await admin.find(prefix, SHOWN_MATCHES + 1);
  const [task, other] = matches;
  if (task && !other) return task;
  if (!task) {
    throw new UsageError(
      `There is no task whose id begins with "${prefix}". ` +
        "agent-runner list has the ids.",
    );
  }
  const ids = matches.slice(0, SHOWN_MATCHES).map(({ id }) => id);
  if (matches.length > SHOWN_MATCHES) ids.push("…");
  throw new UsageError(
    `More than one task's id begins with "${prefix}":\n  ${ids.join("\n  ")}`,
  );
}

/** What a person is asked. */
export interface Question {
  /** `cancel` */
  readonly verb: string;
  /** `3 tasks (3 created)` */
  readonly what: string;
  /** What else the question says. */
  readonly more?: string;
}

/**
 * Asks whether so much is meant, but where `--yes` says so.
 *
 * @throws {UserError} where the answer is no, or nobody can be asked.
 */
export async function confirm(
  { flags, terminal }: Pick<CommandContext, "flags" | "terminal">,
  { verb, what, more = "" }: Question,
): Promise<void> {
  if (flags.yes) return;
  const begin = verb.charAt(0).toUpperCase() + verb.slice(1);
  const isConfirmed = await terminal.confirm(`${begin} ${what}${more}?`);
  if (isConfirmed) return;
  if (isConfirmed === undefined) {
    throw new UsageError(
      `Cannot ${verb} ${what}: there is no terminal to ask on whether that is ` +
        `meant. Give --yes.${
          more.includes("\n") ? ` That is ${what}${more.trimEnd()}` : ""
        }`,
    );
  }
  throw new UserError("Nothing was done.");
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
    shown.push(`… and ${countOf(refused.length - LISTED_TASKS, "task")} more.`);
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
