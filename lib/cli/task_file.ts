/**
 * Files with one new task per line.
 *
 * @module
 */

import { cut } from "../base/cut.ts";
import {
  DependencyError,
  type DuplicateIdError,
  messageOf,
  UsageError,
} from "../base/errors.ts";
import { checkedTask, DEFAULT_PROVIDER, newTaskOf } from "../task/new_task.ts";
import type { JsonObject, NewTask } from "../task/task.ts";
import type { NewTasks } from "../store/contract.ts";
import type { TextSource } from "./text_source.ts";
import { parseObject } from "../task/trace.ts";

/** A set is full with so many tasks, or so many characters. */
const SET_TASKS = 4_096;
const SET_LENGTH = 4_194_304;

/** How many of the wrong lines a message tells, and how much of each. */
const MOST_TOLD = 10;
const TOLD_LENGTH = 300;

/**
 * The tasks of a JSON Lines file. All lines are checked before the first task is
 * handed out; it keeps one set at a time, and the ids that were given.
 */
export class TaskFile implements NewTasks {
  readonly #source: TextSource;
  readonly #lineOfId = new Map<string, number>();
  /** The numbers of the lines that have no task. */
  readonly #blankLines: number[] = [];
  /** The providers that lines name; undefined where one names none. */
  readonly providers = new Set<string | undefined>();
  /** To be set before the first task is handed out. */
  defaultProvider = DEFAULT_PROVIDER;
  #count = 0;

  private constructor(source: TextSource) {
    this.#source = source;
  }

  /**
   * Reads a file once, to check it.
   *
   * @throws {UsageError} that tells which lines are wrong, and why.
   */
  static async check(source: TextSource): Promise<TaskFile> {
    const file = new TaskFile(source);
    await file.#check();
    return file;
  }

  get count(): number {
    return this.#count;
  }

  async *sets(): AsyncGenerator<readonly NewTask[]> {
    let number = 0;
    let set: NewTask[] = [];
    let length = 0;
    for await (const lines of this.#source.lines()) {
      for (const line of lines) {
        number++;
        if (isBlank(line)) continue;
        set.push(await this.#checkedTask(line, number));
        length += line.length;
        if (set.length < SET_TASKS && length < SET_LENGTH) continue;
        yield set;
        set = [];
        length = 0;
      }
    }
    if (set.length > 0) yield set;
  }

  /** Says in which line an id stands that is taken, or what can't be waited for. */
  explain(error: DuplicateIdError | DependencyError): UsageError {
    const line = error instanceof DependencyError
      ? this.#lineOf(error.index)
      : this.#lineOfId.get(error.id);
    return line === undefined
      ? error
      : wrongLines(this.#source, { count: 1, told: [{ line, error }] });
  }

  #lineOf(index: number): number {
    let line = index + 1;
    for (const blank of this.#blankLines) if (blank <= line) line++;
    return line;
  }

  async #check(): Promise<void> {
    const told: WrongLine[] = [];
    let wrong = 0;
    let line = 0;
    for await (const lines of this.#source.lines()) {
      for (const text of lines) {
        line++;
        if (isBlank(text)) {
          this.#blankLines.push(line);
          continue;
        }
        try {
          this.#add(checkedTask(fieldsOf(text)), line);
        } catch (error) {
          wrong++;
          if (told.length < MOST_TOLD) told.push({ line, error });
        }
      }
    }
    if (wrong > 0) throw wrongLines(this.#source, { count: wrong, told });
    if (this.#count > 0) return;
    throw new UsageError(
      `Cannot create tasks from ${this.#source.name}: it has no lines. ` +
        'Put one JSON object per line: {"instruction": "What to do"}.',
    );
  }

  #add({ id, provider }: ReturnType<typeof checkedTask>, line: number): void {
    this.#count++;
    this.providers.add(provider);
    if (id === undefined) return;
    const twin = this.#lineOfId.get(id);
    if (twin !== undefined) {
      throw new UsageError(`The id ${id} is that of line ${twin} too.`);
    }
    this.#lineOfId.set(id, line);
  }

  async #checkedTask(text: string, line: number): Promise<NewTask> {
    try {
      return await newTaskOf(fieldsOf(text), this.defaultProvider);
    } catch (cause) {
      throw new UsageError(
        `Cannot create tasks from ${this.#source.name}: it was changed while ` +
          `it was read, and line ${line} is wrong now. ${messageOf(cause)}`,
        { cause },
      );
    }
  }
}

interface WrongLine {
  readonly line: number;
  readonly error: unknown;
}

function wrongLines(
  { name }: TextSource,
  { count, told }: {
    readonly count: number;
    readonly told: readonly WrongLine[];
  },
): UsageError {
  const cause = told[0]?.error;
  if (count === 1) {
    return new UsageError(
      `Cannot create tasks from ${name}, line ${told[0]?.line}: ` +
        `${messageOf(cause)} No task was created.`,
      { cause },
    );
  }
  const lines = told.map(({ line, error }) =>
    `line ${line}: ${
      cut(messageOf(error), TOLD_LENGTH).replaceAll("\n", "\\n")
    }`
  );
  if (count > told.length) lines.push(`and ${count - told.length} more`);
  return new UsageError(
    `Cannot create tasks from ${name}: ${count} lines are wrong. ` +
      `No task was created.\n${lines.join("\n")}`,
    { cause },
  );
}

function isBlank(line: string): boolean {
  return line.trim() === "";
}

function fieldsOf(line: string): JsonObject {
  const fields = parseObject(line);
  if (!fields) throw new UsageError("This is not a JSON object.");
  return fields;
}
