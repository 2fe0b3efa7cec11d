/**
 * The rows of new tasks, set by set.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { type IfFailed, type NewTask, parseTargetRef } from "../task/task.ts";
import { stringifyJson } from "../task/trace.ts";

/** Asks for the next item while one is used: the database works meanwhile. */
export async function* oneAhead<T>(
  items: Iterable<T> | AsyncIterable<T>,
): AsyncGenerator<T> {
  const iterator = Symbol.asyncIterator in items
    ? items[Symbol.asyncIterator]()
    : items[Symbol.iterator]();
  const ask = () => {
    const next = Promise.resolve(iterator.next());
    next.catch(() => {}); // It may fail before anybody waits for it.
    return next;
  };
  let next = ask();
  try {
    for (let item = await next; !item.done; item = await next) {
      next = ask();
      yield item.value;
    }
  } finally {
    await Promise.allSettled([next]);
    await iterator.return?.();
  }
}

/** What a new task's row is made of, by its columns; times as ISO 8601. */
export interface NewRow {
  readonly id: string;
  readonly user_id: string;
  readonly provider: string;
  readonly repo_full_name: string | null;
  readonly issue_number: number | null;
  readonly pr_number: number | null;
  readonly instruction: string | null;
  readonly last_update: string | null;
  readonly priority: number;
  readonly run_at: string | null;
  readonly max_attempts: number | null;
  readonly timeout_ms: number | null;
  readonly batch: string | null;
  readonly key: string | null;
  /** A list as JSON, or null for none. */
  readonly tags: string | null;
  /** Null: it waits for none. */
  readonly if_failed: IfFailed | null;
  readonly blocked: boolean;
  /** An object as JSON, or null: as its provider says. */
  readonly workspace: string | null;
  /** A list as JSON, or null for none. */
  readonly touches: string | null;
  readonly needs_approval: boolean;
}

/** The types of its columns beside the id, as both databases call them. */
export const COLUMNS: Readonly<
  Record<Exclude<keyof NewRow, "id">, string>
> = {
  user_id: "uuid",
  provider: "text",
  repo_full_name: "text",
  issue_number: "integer",
  pr_number: "integer",
  instruction: "text",
  last_update: "text",
  priority: "integer",
  run_at: "timestamptz",
  max_attempts: "integer",
  timeout_ms: "bigint",
  batch: "text",
  key: "text",
  tags: "text",
  if_failed: "text",
  blocked: "boolean",
  workspace: "text",
  touches: "text",
  needs_approval: "boolean",
};

/** How many characters a row's texts have. */
export function lengthOf(
  { instruction, last_update: trace }: Pick<
    NewRow,
    "instruction" | "last_update"
  >,
): number {
  return (instruction?.length ?? 0) + (trace?.length ?? 0);
}

/**
 * The row of a new task.
 *
 * @throws {UsageError} where its target has another form.
 */
export function newRowOf(task: NewTask): NewRow {
  const { repo, issue, pr } = targetColumnsOf(task);
  const waits = task.after !== undefined && task.after.length > 0;
  return {
    id: task.id ?? crypto.randomUUID(),
    user_id: task.userId,
    // No store keeps half characters.
    provider: task.provider.toWellFormed(),
    repo_full_name: repo,
    issue_number: issue,
    pr_number: pr,
    instruction: task.instruction?.toWellFormed() ?? null,
    last_update: task.trace ? stringifyJson(task.trace) : null,
    priority: task.priority ?? 0,
    run_at: task.runAt?.toISOString() ?? null,
    max_attempts: task.maxAttempts ?? null,
    timeout_ms: task.timeoutMs ?? null,
    batch: task.batch?.toWellFormed() ?? null,
    key: task.key?.toWellFormed() ?? null,
    tags: listText(task.tags),
    if_failed: waits ? task.ifFailed ?? "fail" : null,
    // Until what it waits for was looked at, in the same transaction.
    blocked: waits,
    workspace: task.workspace ? stringifyJson({ ...task.workspace }) : null,
    touches: listText(task.touches),
    needs_approval: task.needsApproval ?? false,
  };
}

function listText(list: readonly string[] = []): string | null {
  return list.length > 0 ? stringifyJson([...list]) : null;
}

function targetColumnsOf({ targetType, targetRef }: NewTask) {
  const target = targetRef ? parseTargetRef(targetRef) : undefined;
  if (targetRef && !target) {
    throw new UsageError(
      `Cannot use the target "${targetRef}": expected owner/repo#123 or #123.`,
    );
  }
  const number = target?.number ?? null;
  return {
    repo: target?.repo ?? null,
    issue: targetType === "pr" ? null : number,
    pr: targetType === "pr" ? number : null,
  };
}
