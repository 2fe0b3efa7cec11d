/**
 * `agent-runner create`
 *
 * @module
 */

import {
  DependencyError,
  DuplicateIdError,
  EXIT,
  UsageError,
} from "../base/errors.ts";
import type { FlagValues } from "../config/config.ts";
import { type Admin, type IdList, newTasks } from "../store/contract.ts";
import {
  checkedTask,
  newTaskOf,
  TASK_FIELDS,
  type TaskFields,
} from "../task/new_task.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  JSON_FLAG,
} from "./command.ts";
import { createdText, summaryOf, writeIds } from "./created.ts";
import { textFlag } from "./flags.ts";
import { TaskFile } from "./task_file.ts";
import { openText } from "./text_source.ts";

/** Creates a task, or one for each line of a file: all or none. */
export const create: Command = {
  name: "create",
  args: "[INSTRUCTION | -]",
  maxArgs: 1,
  summary: "Create a task, or many from a file",
  flags: [
    {
      name: "provider",
      placeholder: "NAME",
      summary:
        "Who does the work (default: the only one configured, or simulate)",
    },
    {
      name: "user",
      placeholder: "ID",
      summary: 'Whose task it is: a UUID or any text (default "local")',
    },
    {
      name: "target",
      placeholder: "REF",
      summary: "The issue or pull request: owner/repo#12",
    },
    {
      name: "target-type",
      placeholder: "TYPE",
      summary: "issue or pr (default issue)",
    },
    {
      name: "trace",
      placeholder: "JSON",
      summary: "A JSON object to start with",
    },
    {
      name: "priority",
      placeholder: "N",
      summary: "Higher runs first (default 0)",
    },
    {
      name: "run-at",
      placeholder: "TIME",
      summary: "Not before this time: 2026-12-31T08:00:00Z",
    },
    {
      name: "attempts",
      placeholder: "N",
      summary:
        "Try up to N times; a runner's death counts too (default --attempts of run)",
    },
    {
      name: "timeout",
      placeholder: "DURATION",
      summary: "Stop a run that takes longer (default --timeout of run)",
    },
    {
      name: "after",
      placeholder: "ID,…",
      summary: "Not before these tasks are completed: ids or keys",
    },
    {
      name: "if-failed",
      placeholder: "WHAT",
      summary: "Where one of them failed: fail, skip or run (default fail)",
    },
    {
      name: "batch",
      placeholder: "NAME",
      summary: "A name that it has in common with others",
    },
    {
      name: "key",
      placeholder: "KEY",
      summary: "Not where a task with this key has not ended",
    },
    {
      name: "key-for",
      placeholder: "DURATION",
      summary: "The key is taken for so long, though its task has ended: 24h",
    },
    {
      name: "replace",
      summary: "Change the task with the key, where that has not begun",
    },
    {
      name: "tag",
      placeholder: "TAG",
      isRepeated: true,
      summary: "What to find it by (may be given more than once)",
    },
    {
      name: "repo",
      placeholder: "PATH",
      summary: "The repository it works on, where its provider uses git",
    },
    {
      name: "base",
      placeholder: "REF",
      summary: "What its branch begins at, and is merged into",
    },
    {
      name: "branch",
      placeholder: "NAME",
      summary: "The name of its branch",
    },
    {
      name: "touches",
      placeholder: "GLOB",
      isRepeated: true,
      summary: "What it changes: such tasks run one by one (may be repeated)",
    },
    {
      name: "needs-approval",
      summary: "Not before a person has approved it: agent-runner approve",
    },
    {
      name: "file",
      placeholder: "PATH",
      summary: "Create one task per line of a JSON Lines file (- for stdin)",
    },
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  makesDatabase: true,
  examples: [
    'create "Summarise the open issues" --provider simulate',
    'create "Fix the flaky test" --target octo/app#12 --target-type pr',
    "create --file tasks.jsonl",
  ],
  run: (context) => {
    const path = textFlag(context.flags, "file");
    return path === undefined
      ? createOne(context)
      : createFromFile(context, path);
  },
};

async function createOne(context: CommandContext): Promise<number> {
  const { flags, terminal, openAdmin } = context;
  const fields = await readFields(context);
  checkedTask(fields);
  await using store = await openAdmin();
  const task = await newTaskOf(fields, store.defaultProvider);
  const ids = await store.admin.create(newTasks([task]));
  terminal.write(
    await createdText(ids, task, {
      admin: store.admin,
      isJson: flags.json === true,
    }),
  );
  warn(context, store.warningFor?.(task.provider));
  // Behind a service, folders are on its machine.
  if (store.events && task.workspace && ids.known.get(0) !== "existing") {
    const { noRepositoryWarning } = await import("./no_repository.ts");
    warn(context, await noRepositoryWarning(task, context.config));
  }
  return EXIT.ok;
}

async function createFromFile(
  context: CommandContext,
  path: string,
): Promise<number> {
  const { flags, terminal, openAdmin } = context;
  assertFileAlone(context);
  const file = await TaskFile.check(await openText(path, terminal));
  await using store = await openAdmin();
  file.defaultProvider = store.defaultProvider;
  const ids = await createAll(store.admin, file);
  if (flags.json) writeIds(ids, terminal);
  else terminal.write(summaryOf(ids));
  for (const provider of [...file.providers].slice(0, MOST_WARNED)) {
    warn(context, store.warningFor?.(provider ?? store.defaultProvider));
  }
  return EXIT.ok;
}

const MOST_WARNED = 10;

function warn({ log }: CommandContext, message: string | undefined): void {
  if (message) log.warning(message, { event: "not_served" });
}

async function createAll(admin: Admin, file: TaskFile): Promise<IdList> {
  try {
    return await admin.create(file);
  } catch (error) {
    const isOfLine = error instanceof DuplicateIdError ||
      error instanceof DependencyError;
    throw isOfLine ? file.explain(error) : error;
  }
}

/**
 * What the argument and the flags say of a task.
 *
 * @throws {UsageError} where there is no instruction.
 */
export async function readFields(
  { args, flags, terminal }: Pick<
    CommandContext,
    "args" | "flags" | "terminal"
  >,
): Promise<TaskFields> {
  const [given] = args;
  if (given === undefined) {
    throw new UsageError(
      "Cannot create a task without an instruction. " +
        'Give one: agent-runner create "What to do", or - to read it from ' +
        "standard input.",
    );
  }
  const instruction = given === "-"
    ? (await terminal.readInput()).trimEnd()
    : given;
  if (instruction.trim() === "") {
    throw new UsageError(
      "Cannot create a task: the instruction is empty. Say what to do.",
    );
  }
  return { instruction, ...flagFields(flags) };
}

/** What the flags alone say of a task. */
export function flagFields(flags: FlagValues): TaskFields {
  return Object.fromEntries(
    TASK_FIELDS.filter((name) => name !== "id" && name !== "instruction")
      .map((name) => [name, flagFor(flags, name)]),
  );
}

/** The flag of a field: its name, but that tags are given one by one. */
export function flagOf(field: keyof TaskFields): string {
  return field === "tags" ? "tag" : field.replaceAll("_", "-");
}

function flagFor(flags: FlagValues, field: keyof TaskFields): unknown {
  return flags[flagOf(field)];
}

function assertFileAlone({ args, flags }: CommandContext): void {
  const other = TASK_FIELDS.find((name) =>
    (flagFor(flags, name) ?? undefined) !== undefined
  );
  if (args.length === 0 && !other) return;
  throw new UsageError(
    `Cannot combine --file with ${
      other ? `--${flagOf(other)}` : "an instruction"
    }. Put it into the lines of the file.`,
  );
}
