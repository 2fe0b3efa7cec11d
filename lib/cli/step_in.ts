/**
 * What the commands have in common that step in: they cancel, retry, answer or
 * approve one task, or many, and say what came of each.
 *
 * @module
 */

import { EXIT } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import type { Admin } from "../store/contract.ts";
import type { JsonObject } from "../task/task.ts";
import {
  choiceOf,
  chooseTasks,
  type Deed,
  LISTED_TASKS,
  refusalOf,
  YES_FLAG,
} from "./choose.ts";
import {
  type CommandContext,
  filterFlagsFor,
  type Flag,
  JSON_FLAG,
} from "./command.ts";
import { renderJson } from "./render.ts";

/** What such a command does. */
export interface Step extends Deed {
  /** What `--all` chooses. */
  readonly all: string;
  /** Every result, and what is said of many that have it: `3 tasks cancelled`. */
  readonly counted: Readonly<Record<string, string>>;
}

/** What came of a task. */
export interface Came {
  readonly id: string;
  /** One of {@linkcode Step.counted}. */
  readonly result: string;
  /** What scripts are told beside it. */
  readonly more?: JsonObject;
  /** `is cancelled`, or why nothing was done. */
  readonly text: string;
  readonly isRefused?: boolean;
}

/** The flags of such a command. */
export function stepFlags(step: Step, ...own: readonly Flag[]): Flag[] {
  return [
    ...filterFlagsFor(step.states),
    { name: "all", summary: step.all },
    ...own,
    YES_FLAG,
    JSON_FLAG,
  ];
}

/** Chooses the tasks, does it, and says so. Exit code 1 where an id is refused. */
export async function stepIn(
  context: CommandContext,
  step: Step & {
    readonly act: (
      admin: Admin,
      ids: readonly string[],
    ) => Promise<readonly Came[]>;
  },
): Promise<number> {
  const { args, flags, terminal, openAdmin } = context;
  const choice = choiceOf(context, step);
  await using store = await openAdmin();
  const { admin } = store;
  const ids = await chooseTasks(context, admin, { choice, deed: step });
  const came = ids.length > 0 ? await step.act(admin, ids) : [];
  // What was chosen by its state may have ended meanwhile; an id is one's word.
  const isByName = args.length > 0;
  const refused = came.filter((it) => isByName && it.isRefused);
  if (flags.json) {
    const isOne = args.length === 1 && came.length === 1;
    terminal.write(renderJson(isOne ? jsonOf(came[0]!) : toJson(came, step)));
    return refused.length > 0 ? EXIT.failed : EXIT.ok;
  }
  const done = came.filter((it) => !refused.includes(it));
  terminal.write(
    isByName && done.length <= LISTED_TASKS
      ? done.map(({ id, text }) => `Task ${id} ${text}\n`).join("")
      : summaryOf(done, step),
  );
  if (refused.length === 0) return EXIT.ok;
  throw refusalOf(
    step.verb,
    refused.map(({ id, text }) => ({ id, why: text })),
  );
}

function summaryOf(came: readonly Came[], { counted }: Step): string {
  const lines = Object.entries(counted).flatMap(([name, text]) => {
    const count = came.filter(({ result }) => result === name).length;
    return count > 0 ? `${countOf(count, "task")} ${text}\n` : [];
  });
  return lines.join("") || "No such tasks.\n";
}

/** Every result with its count, those that did not occur too. */
function toJson(came: readonly Came[], { counted }: Step): JsonObject {
  const counts = Object.keys(counted).map((name) =>
    [
      name.replaceAll(" ", "_"),
      came.filter(({ result }) => result === name).length,
    ] as const
  );
  return { ...Object.fromEntries(counts), tasks: came.map(jsonOf) };
}

function jsonOf({ id, result, more }: Came): JsonObject {
  return { id, result, ...more };
}
