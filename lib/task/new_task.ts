/**
 * Checks what people and scripts give to create a task.
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import { generate as uuidV5 } from "@std/uuid/v5";
import { cut } from "../base/cut.ts";
import { UsageError } from "../base/errors.ts";
import {
  type DurationForm,
  expectedDuration,
  formatBytes,
  parseDuration,
} from "../base/figures.ts";
import { hasPassword, WITHOUT_PASSWORD } from "./address.ts";
import { GLOB_FORM, isGlob } from "./globs.ts";
import {
  IF_FAILED,
  type IfFailed,
  type JsonObject,
  type JsonValue,
  type NewTask,
  NOW,
  parseTargetRef,
  type TargetType,
  type TaskEdit,
  type WorkspaceChoice,
} from "./task.ts";
import {
  isTooDeep,
  MAX_JSON_DEPTH,
  parseObject,
  stringifyJson,
} from "./trace.ts";
import { ownKeyIn } from "./workspace.ts";

/** The fields of a line in a JSON Lines file; `create`'s flags are the same. */
export const TASK_FIELDS = [
  "id",
  "instruction",
  "provider",
  "user",
  "target",
  "target_type",
  "trace",
  "priority",
  "run_at",
  "attempts",
  "timeout",
  "after",
  "if_failed",
  "batch",
  "key",
  "key_for",
  "replace",
  "tags",
  "repo",
  "base",
  "branch",
  "touches",
  "needs_approval",
] as const;

/** A task as given: every field a text, or what JSON has for it. */
export type TaskFields = {
  readonly [field in (typeof TASK_FIELDS)[number]]?: unknown;
};

/** The provider of tasks that name none, where nothing is configured. */
export const DEFAULT_PROVIDER = "simulate";
const DEFAULT_USER = "local";
/** RFC 9562, appendix A. HandsFree makes user ids in this namespace. */
const NAMESPACE_DNS = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** The most that the table has room for. */
export const MAX_INTEGER = 2_147_483_647;
/**
 * The most text of a task: half of what is read of a store at once, since as JSON
 * it may be twice as long.
 */
export const MAX_TASK_BYTES = 8 * 1024 ** 2;
/** The most characters of a batch, a key and a tag. */
export const MAX_NAME_CHARACTERS = 200;
/** The most tags of a task, and the most tasks that one waits for. */
export const MAX_TAGS = 50;
/** The most globs of a task. */
export const MAX_TOUCHES = 50;
export const MAX_AFTER = 100_000;
/** How much of a wrong value a message tells. */
const TOLD_CHARACTERS = 200;

/**
 * The id of a user: a UUID as it is, any other text as its version 5 UUID in
 * the DNS namespace, as HandsFree does it.
 */
export async function userIdOf(user: string): Promise<string> {
  // A batch is most often one user's; hashing costs more than the rest.
  if (lastUser?.user === user) return lastUser.id;
  const id = UUID.test(user)
    ? user.toLowerCase()
    : await uuidV5(NAMESPACE_DNS, new TextEncoder().encode(user));
  lastUser = { user, id };
  return id;
}

let lastUser: { readonly user: string; readonly id: string } | undefined;

/**
 * Makes a task of its fields.
 *
 * @throws {UsageError} that says which field is wrong and what it should be.
 */
export async function newTaskOf(
  fields: TaskFields,
  defaultProvider = DEFAULT_PROVIDER,
): Promise<NewTask> {
  const { provider = defaultProvider, ...task } = checkedTask(fields);
  return { ...task, provider, userId: await userIdOf(task.userId) };
}

/**
 * The same, but that `userId` is the user as given, and the provider may be
 * missing: for those who only look whether the fields are right, and need not wait
 * for a hash.
 *
 * @throws {UsageError} that says which field is wrong and what it should be.
 */
export function checkedTask(
  fields: TaskFields,
): Omit<NewTask, "provider"> & { readonly provider: string | undefined } {
  for (const name of Object.keys(fields)) {
    if ((TASK_FIELDS as readonly string[]).includes(name)) continue;
    throw new UsageError(
      `Unknown field "${name}". Did you mean "${
        closestString(name, [...TASK_FIELDS])
      }"?`,
    );
  }
  const targetRef = textOf(fields, "target");
  if (targetRef !== undefined && !parseTargetRef(targetRef)) {
    throw wrong("target", targetRef, "owner/repo#12 or #12");
  }
  const id = textOf(fields, "id");
  if (id !== undefined && !UUID.test(id)) throw wrong("id", id, "a UUID");
  const instruction = textOf(fields, "instruction");
  const trace = traceOf(fields.trace);
  assertFits(instruction, trace);
  const key = nameOf(fields, "key");
  if (key !== undefined && UUID.test(key)) {
    throw wrong("key", key, "a text that is no UUID: those are ids");
  }
  const after = listOf(fields, "after", MAX_AFTER);
  needs("if_failed", fields.if_failed, "after", after);
  needs("key_for", fields.key_for, "key", key);
  const replaces = yesOf(fields, "replace");
  needs("replace", replaces, "key", key);
  if (replaces && after) {
    throw new UsageError(
      "Cannot replace a task and what it waits for: it goes on to wait for what " +
        "it waited for. Leave out after or replace.",
    );
  }
  return {
    id: id?.toLowerCase(),
    userId: textOf(fields, "user") ?? DEFAULT_USER,
    provider: textOf(fields, "provider"),
    instruction,
    targetType: targetTypeOf(fields, targetRef),
    targetRef,
    trace,
    priority: integerOf(fields, "priority", -MAX_INTEGER),
    runAt: timeOf(fields.run_at),
    maxAttempts: integerOf(fields, "attempts", 1),
    timeoutMs: durationOf(fields, "timeout"),
    batch: nameOf(fields, "batch"),
    after: after?.map((it) => UUID.test(it) ? it.toLowerCase() : it),
    ifFailed: ifFailedOf(fields),
    key,
    keyForMs: durationOf(fields, "key_for"),
    replaces,
    tags: listOf(fields, "tags", MAX_TAGS),
    workspace: workspaceOf(fields),
    touches: globsOf(fields),
    needsApproval: yesOf(fields, "needs_approval"),
  };
}

/** The fields that can be changed of a task that has not begun. */
export const EDIT_FIELDS = [
  "instruction",
  "provider",
  "target",
  "target_type",
  "priority",
  "run_at",
  "attempts",
  "timeout",
  "batch",
  "tags",
  "repo",
  "base",
  "branch",
  "touches",
  "needs_approval",
] as const satisfies readonly (keyof TaskFields)[];

/**
 * What is to be changed of a task that has not begun: {@linkcode EDIT_FIELDS}, as of
 * a new task, but that its `run_at` may be {@linkcode NOW}.
 *
 * @throws {UsageError} that says which field is wrong and what it should be, or that
 * there is none.
 */
export function checkedEdit({ run_at, ...fields }: TaskFields): TaskEdit {
  const isNow = run_at === NOW;
  const task = checkedTask({ ...fields, ...!isNow && { run_at } });
  const edit: TaskEdit = {
    instruction: task.instruction ?? undefined,
    provider: task.provider,
    targetType: task.targetType ?? undefined,
    targetRef: task.targetRef ?? undefined,
    priority: task.priority,
    runAt: isNow ? null : task.runAt,
    maxAttempts: task.maxAttempts ?? undefined,
    timeoutMs: task.timeoutMs ?? undefined,
    batch: task.batch ?? undefined,
    tags: task.tags,
    workspace: task.workspace ?? undefined,
    touches: task.touches,
    needsApproval: isAbsent(fields.needs_approval)
      ? undefined
      : task.needsApproval ?? false,
  };
  if (Object.values(edit).some((it) => it !== undefined)) return edit;
  throw new UsageError(
    "Cannot change a task: nothing is to be changed. " +
      `Give one of ${EDIT_FIELDS.join(", ").replaceAll("_", " ")}.`,
  );
}

/** One of two fields says nothing without the other. */
function needs(
  name: string,
  value: unknown,
  other: string,
  otherValue: unknown,
): void {
  if (isAbsent(value) || !isAbsent(otherValue)) return;
  throw new UsageError(
    `Cannot use ${name} without ${other}. Give a ${other} too.`,
  );
}

/** What a batch, a key or a tag may be. */
const NAME = /^[^\s,](?:[^,\p{Cc}]*[^\s,])?$/u;

/** A short text without commas, so that lists of them can be given. */
function nameOf(
  fields: TaskFields,
  field: "batch" | "key",
): string | undefined {
  const value = fields[field];
  if (isAbsent(value)) return undefined;
  if (isName(value)) return value;
  throw wrong(field, value, NAME_FORM);
}

const NAME_FORM =
  `a text of at most ${MAX_NAME_CHARACTERS} characters, without commas and line breaks`;

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_NAME_CHARACTERS &&
    NAME.test(value);
}

/** A list of names, or their text with commas between; each once. */
function listOf(
  fields: TaskFields,
  field: "after" | "tags" | "touches",
  most: number,
): readonly string[] | undefined {
  const value = fields[field];
  if (isAbsent(value)) return undefined;
  const list = typeof value === "string"
    ? value.split(",").map((it) => it.trim())
    : Array.isArray(value)
    ? value
    : [value];
  const other = list.find((it) => !isName(it));
  if (other !== undefined) throw wrong(field, other, NAME_FORM);
  const names = [...new Set(list)];
  if (names.length > most) {
    throw wrong(field, `${names.length} texts`, `at most ${most}`);
  }
  return names.length === 0 ? undefined : names;
}

const BRACES = /[^,]*\{[^}]*\}?[^,]*/;

function globsOf(fields: TaskFields): readonly string[] | undefined {
  // A comma in braces parts nothing: what was given is named whole.
  const [braces] = [fields.touches].flat().flatMap((it) =>
    BRACES.exec(String(it)) ?? []
  );
  if (braces !== undefined) throw wrong("touches", braces.trim(), GLOB_FORM);
  const globs = listOf(fields, "touches", MAX_TOUCHES);
  const other = globs?.find((it) => !isGlob(it));
  if (other !== undefined) throw wrong("touches", other, GLOB_FORM);
  return globs;
}

function ifFailedOf({ if_failed: value }: TaskFields): IfFailed | undefined {
  if (isAbsent(value)) return undefined;
  const known = IF_FAILED.find((it) => it === value);
  if (known) return known;
  throw wrong("if_failed", value, "fail, skip or run");
}

/** What of a workspace a task may say itself; undefined where it says nothing. */
function workspaceOf(fields: TaskFields): WorkspaceChoice | undefined {
  const repo = lineOf(fields, "repo");
  if (repo !== undefined && hasPassword(repo)) {
    throw new UsageError(`Cannot use the repo: ${WITHOUT_PASSWORD}.`);
  }
  const base = refOf(fields, "base");
  const branch = refOf(fields, "branch");
  if ((repo ?? base ?? branch) === undefined) return undefined;
  return {
    ...repo !== undefined && { repo },
    ...base !== undefined && { base },
    ...branch !== undefined && { branch },
  };
}

/** What git would take for an option, or for several names, is no name there. */
function lineOf(
  fields: TaskFields,
  field: "repo" | "base" | "branch",
): string | undefined {
  const value = textOf(fields, field);
  if (value === undefined || /^(?!-)[^\p{Cc}]{1,4096}$/u.test(value)) {
    return value;
  }
  throw wrong(field, value, "a text of one line that does not begin with -");
}

/** Git's own rules, as far as they keep a name from being read as another thing. */
function refOf(
  fields: TaskFields,
  field: "base" | "branch",
): string | undefined {
  const value = lineOf(fields, field);
  if (value === undefined || /^(?!.*\.\.)[^\s~^:?*[\\]+$/u.test(value)) {
    return value;
  }
  throw wrong(
    field,
    value,
    `the name of a ${
      field === "base" ? "branch, a tag or a commit" : "branch"
    }`,
  );
}

function yesOf(
  fields: TaskFields,
  field: "replace" | "needs_approval",
): true | undefined {
  const value = fields[field];
  if (isAbsent(value) || value === false || value === "false") return undefined;
  if (value === true || value === "true") return true;
  throw wrong(field, value, "true or false");
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function wrong(field: string, value: unknown, expected: string): UsageError {
  const text = typeof value === "string"
    ? value
    : stringifyJson(value as JsonValue);
  return new UsageError(
    `Cannot use the ${field.replace("_", " ")} "${
      cut(text, TOLD_CHARACTERS)
    }": expected ${expected}.`,
  );
}

function textOf(
  fields: TaskFields,
  name: keyof TaskFields,
): string | undefined {
  const value = fields[name];
  if (isAbsent(value)) return undefined;
  if (typeof value === "string" && value.trim() !== "") return value;
  throw wrong(name, value, "a text");
}

function targetTypeOf(
  { target_type: type }: TaskFields,
  ref: string | undefined,
): TargetType | undefined {
  if (isAbsent(type)) return ref === undefined ? undefined : "issue";
  if (type !== "issue" && type !== "pr") {
    throw wrong("target_type", type, "issue or pr");
  }
  if (ref !== undefined) return type;
  throw new UsageError(
    "A target type without a target says nothing. Give a target too.",
  );
}

function assertFits(
  instruction: string | undefined,
  trace: JsonObject | undefined,
): void {
  const text = (instruction ?? "") + (trace ? stringifyJson(trace) : "");
  // No character takes more than three bytes.
  if (text.length <= MAX_TASK_BYTES / 3) return;
  const bytes = new TextEncoder().encode(text).length;
  if (bytes <= MAX_TASK_BYTES) return;
  throw new UsageError(
    `Cannot create a task with ${mebibytes(bytes)} of text: its ` +
      `instruction and its trace may have ${mebibytes(MAX_TASK_BYTES)}, ` +
      "so that every runner has room for it. Put the text into a file, and " +
      "name that in the instruction.",
  );
}

function mebibytes(bytes: number): string {
  return formatBytes(bytes, { binary: true });
}

function traceOf(trace: unknown): JsonObject | undefined {
  if (isAbsent(trace)) return undefined;
  const object = typeof trace === "string"
    ? parseObject(trace)
    : typeof trace === "object" && !Array.isArray(trace)
    ? trace as JsonObject
    : undefined;
  if (!object) throw wrong("trace", trace, 'a JSON object like {"key": 1}');
  if (isTooDeep(object)) {
    throw new UsageError(
      `Cannot use the trace: it is nested more than ${MAX_JSON_DEPTH} times. ` +
        "Make it flatter.",
    );
  }
  const own = ownKeyIn(object);
  if (own !== undefined) {
    throw new UsageError(
      `Cannot use the trace: its "${own}" is what only agent-runner says of a ` +
        "task. Leave that out.",
    );
  }
  return object;
}

function integerOf(
  fields: TaskFields,
  name: "priority" | "attempts",
  min: number,
): number | undefined {
  const value = fields[name];
  if (isAbsent(value)) return undefined;
  const number = typeof value === "string" && /^-?\d+$/.test(value)
    ? Number(value)
    : value;
  if (
    typeof number === "number" && Number.isInteger(number) && number >= min &&
    number <= MAX_INTEGER
  ) return number;
  throw wrong(name, value, `a whole number from ${min} to ${MAX_INTEGER}`);
}

const TIMEOUT: DurationForm = { min: 0.001, max: MAX_INTEGER };

function durationOf(
  fields: TaskFields,
  name: "timeout" | "key_for",
): number | undefined {
  const value = fields[name];
  if (isAbsent(value)) return undefined;
  const ms = typeof value === "string"
    ? parseDuration(value, TIMEOUT)
    : typeof value === "number"
    ? parseDuration(value.toFixed(3), TIMEOUT)
    : undefined;
  if (ms !== undefined) return ms;
  throw wrong(name, value, expectedDuration(TIMEOUT, value));
}

/** A date, with a time or without; a time without offset is local. */
const TIME =
  /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** The language takes February 30 for March 2. */
function isDay(text: string): boolean {
  const day = text.slice(0, 10);
  return new Date(`${day}T00:00Z`).toISOString().startsWith(day);
}

/** Reads a date, or a date and a time; undefined where the text is neither. */
export function parseTime(text: string): Date | undefined {
  if (!TIME.test(text)) return undefined;
  // Without a time, the language takes a date for UTC.
  const time = new Date(text.length === 10 ? `${text}T00:00` : text);
  if (isNaN(time.getTime()) || !isDay(text)) return undefined;
  // Its offset may take it out of the years that have four digits.
  return TIME.test(time.toISOString()) ? time : undefined;
}

function timeOf(value: unknown): Date | undefined {
  if (isAbsent(value)) return undefined;
  const time = typeof value === "string" ? parseTime(value) : undefined;
  if (time) return time;
  throw wrong("run_at", value, "a time like 2026-12-31T08:00:00Z");
}
