/**
 * `agent-runner create`
 *
 * @module
 */

import { DuplicateIdError, EXIT, messageOf, UsageError } from "../errors.ts";
import { newTaskOf, TASK_FIELDS } from "../new_task.ts";
import type { NewTask } from "../task.ts";
import { decodeText } from "../terminal.ts";
import { parseTrace } from "../trace.ts";
import { renderJson } from "../render.ts";
import { type CommandContext, textFlag } from "./context.ts";

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
  const { tasks, lineOfId, source } = await readFile(context, path);
  await using store = await openDesk();
  try {
    const ids = await store.create(tasks, clock.now());
    terminal.write(
      flags.json
        ? renderJson(ids.map((id) => ({ id })))
        : `Created ${ids.length} ${ids.length === 1 ? "task" : "tasks"}\n`,
    );
  } catch (error) {
    if (!(error instanceof DuplicateIdError)) throw error;
    throw wrongLine(source, lineOfId.get(error.id), error);
  }
  return EXIT.ok;
}

function wrongLine(
  source: string,
  line: number | undefined,
  cause: unknown,
): UsageError {
  return new UsageError(
    `Cannot create tasks from ${source}, line ${line}: ${messageOf(cause)} ` +
      "No task was created.",
    { cause },
  );
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

interface Batch {
  readonly tasks: readonly NewTask[];
  readonly lineOfId: ReadonlyMap<string, number>;
  /** What messages call it. */
  readonly source: string;
}

async function readFile(
  { args, flags, terminal }: CommandContext,
  path: string,
): Promise<Batch> {
  const other = [...TASK_FIELDS].find((name) =>
    textFlag(flags, name.replace("_", "-")) !== undefined
  );
  if (args.length > 0 || other) {
    throw new UsageError(
      `Cannot combine --file with ${
        other ? `--${other.replace("_", "-")}` : "an instruction"
      }. Put it into the lines of the file.`,
    );
  }
  const source = path === "-" ? "standard input" : path;
  const text = path === "-" ? await terminal.readInput() : await readText(path);
  const lines = text.split("\n");
  const tasks: NewTask[] = [];
  const lineOfId = new Map<string, number>();
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const number = index + 1;
    try {
      const fields = parseTrace(line);
      if (!fields) throw new UsageError("This is not a JSON object.");
      const task = await newTaskOf(fields);
      const twin = task.id === undefined ? undefined : lineOfId.get(task.id);
      if (twin !== undefined) {
        throw new UsageError(`The id ${task.id} is that of line ${twin} too.`);
      }
      if (task.id !== undefined) lineOfId.set(task.id, number);
      tasks.push(task);
    } catch (error) {
      throw wrongLine(source, number, error);
    }
  }
  if (tasks.length > 0) return { tasks, lineOfId, source };
  throw new UsageError(
    `Cannot create tasks from ${source}: it has no lines. ` +
      'Put one JSON object per line: {"instruction": "What to do"}.',
  );
}

async function readText(path: string): Promise<string> {
  return decodeText(await readBytes(path), path);
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such file"
      : error instanceof Deno.errors.IsADirectory
      ? "it is a folder"
      : messageOf(error);
    throw new UsageError(
      `Cannot read ${path}: ${reason}. Give another --file.`,
      { cause: error },
    );
  }
}
