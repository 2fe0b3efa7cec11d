/**
 * `agent-runner create`
 *
 * @module
 */

import { DuplicateIdError, EXIT, UsageError } from "../../base/errors.ts";
import type { IdList } from "../../store/id_list.ts";
import { newTaskOf, TASK_FIELDS } from "../../task/new_task.ts";
import { renderJson } from "../render.ts";
import type { NewTask } from "../../task/task.ts";
import type { TaskDesk } from "../../store/task_admin.ts";
import { TaskFile } from "../task_file.ts";
import type { Terminal } from "../terminal.ts";
import { openText } from "../text_source.ts";
import { type CommandContext, textFlag } from "../context.ts";

/** Creates a task, or one for each line of a file: all or none. */
export async function create(context: CommandContext): Promise<number> {
  const path = textFlag(context.flags, "file");
  return path === undefined
    ? await createOne(context)
    : await createFromFile(context, path);
}

async function createOne(context: CommandContext): Promise<number> {
  const { flags, clock, terminal, openDesk } = context;
  const task = await readTask(context);
  await using store = await openDesk();
  const [id = null] = await store.create([task], clock.now());
  terminal.write(flags.json ? renderJson({ id }) : `Created task ${id}\n`);
  return EXIT.ok;
}

async function createFromFile(
  context: CommandContext,
  path: string,
): Promise<number> {
  const { flags, clock, terminal, openDesk } = context;
  assertFileAlone(context);
  const file = await TaskFile.check(await openText(path, terminal));
  await using store = await openDesk();
  const ids = await createAll(store, file, clock.now());
  if (flags.json) writeIds(ids, terminal);
  else {
    const tasks = ids.length === 1 ? "task" : "tasks";
    terminal.write(`Created ${ids.length} ${tasks}\n`);
  }
  return EXIT.ok;
}

async function createAll(
  { sets }: TaskDesk,
  file: TaskFile,
  now: Date,
): Promise<IdList> {
  try {
    return await sets.create(file, now);
  } catch (error) {
    throw error instanceof DuplicateIdError ? file.explain(error) : error;
  }
}

function writeIds(ids: IdList, terminal: Terminal): void {
  let before = "[";
  for (const set of ids.sets()) {
    const list = renderJson(set.map((id) => ({ id }))).trimEnd();
    terminal.write(before + list.slice(1, -1));
    before = ",";
  }
  terminal.write("]\n");
}

async function readTask(
  { args, flags, terminal }: CommandContext,
): Promise<NewTask> {
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
  return await newTaskOf({
    instruction,
    ...Object.fromEntries(
      TASK_FIELDS.filter((name) => name !== "id" && name !== "instruction")
        .map((name) => [name, textFlag(flags, name.replace("_", "-"))]),
    ),
  });
}

function assertFileAlone({ args, flags }: CommandContext): void {
  const other = TASK_FIELDS.find((name) =>
    textFlag(flags, name.replace("_", "-")) !== undefined
  );
  if (args.length === 0 && !other) return;
  throw new UsageError(
    `Cannot combine --file with ${
      other ? `--${other.replace("_", "-")}` : "an instruction"
    }. Put it into the lines of the file.`,
  );
}
