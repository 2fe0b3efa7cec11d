/**
 * What changes of tasks that have not begun: worked out here, written by each store.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type { AgentTask, NewTask, TaskEdit } from "../task/task.ts";
import { MAX_INTEGER } from "../task/new_task.ts";
import { stringifyJson } from "../task/trace.ts";
import type { WrittenEvent } from "./changes.ts";
import type { MoveTarget } from "./contract.ts";
import { type NewRow, newRowOf } from "./new_rows.ts";

/** A column that can be changed. */
type EditedColumn = Exclude<keyof NewRow, "id">;

/** A task's row with what is to be changed of it, and how its history tells that. */
export interface Edit {
  readonly row: NewRow;
  readonly columns: readonly EditedColumn[];
  readonly event: WrittenEvent;
  /** The batch that it was in, where it is in that no more. */
  readonly leftBatch: string | undefined;
}

/** What can be changed, its trace included. */
type Fields = Pick<AgentTask, keyof TaskEdit | "traceText">;

interface Field {
  readonly columns: readonly EditedColumn[];
  /** What the history tells of it. */
  readonly of: (fields: Fields) => string | null;
  /** It may be long: only that it has changed is told. @default {false} */
  readonly isText?: boolean;
}

const FIELDS: Readonly<Record<string, Field>> = {
  instruction: {
    columns: ["instruction"],
    of: ({ instruction }) => instruction,
    isText: true,
  },
  trace: {
    columns: ["last_update"],
    of: ({ traceText }) => traceText,
    isText: true,
  },
  provider: { columns: ["provider"], of: ({ provider }) => provider },
  target: {
    columns: ["repo_full_name", "issue_number", "pr_number"],
    of: ({ targetType, targetRef }) =>
      targetRef && `${targetType} ${targetRef}`,
  },
  priority: { columns: ["priority"], of: ({ priority }) => `${priority}` },
  "run at": {
    columns: ["run_at"],
    of: ({ runAt }) => runAt?.toISOString() ?? null,
  },
  attempts: {
    columns: ["max_attempts"],
    of: ({ maxAttempts }) => maxAttempts === null ? null : `${maxAttempts}`,
  },
  timeout: {
    columns: ["timeout_ms"],
    of: ({ timeoutMs }) => timeoutMs === null ? null : `${timeoutMs / 1_000}s`,
  },
  batch: { columns: ["batch"], of: ({ batch }) => batch },
  tags: { columns: ["tags"], of: ({ tags }) => tags.join() || null },
  workspace: {
    columns: ["workspace"],
    of: ({ workspace }) => Object.values(workspace ?? {}).join() || null,
  },
  touches: {
    columns: ["touches"],
    of: ({ touches }) => touches.join() || null,
  },
  "needs approval": {
    columns: ["needs_approval"],
    of: ({ needsApproval }) => `${needsApproval}`,
  },
};

/** What these changes are of a task; undefined where it is so already. */
export function editOf(
  before: AgentTask,
  changes: Partial<Fields>,
): Edit | undefined {
  const given = Object.entries(changes).filter(([, it]) => it !== undefined);
  const after = { ...before, ...Object.fromEntries(given) };
  const changed = Object.entries(FIELDS)
    .filter(([, { of }]) => of(before) !== of(after));
  if (changed.length === 0) return undefined;
  const told = changed.map(([name, { of, isText }]) =>
    isText
      ? `${name} changed`
      : `${name} ${of(before) ?? "none"} → ${of(after) ?? "none"}`
  );
  // Another program may have made up what was there.
  const isTarget = changed.some(([name]) => name === "target");
  const { ifFailed: _, ...rest } = after;
  const row = newRowOf({
    ...rest,
    targetRef: isTarget ? after.targetRef : null,
  });
  return {
    row: { ...row, last_update: after.traceText },
    columns: changed.flatMap(([, { columns }]) => columns),
    event: {
      id: before.id,
      kind: "edited",
      attempt: before.attempt,
      detail: told.join(", "),
    },
    leftBatch: before.batch === after.batch
      ? undefined
      : before.batch ?? undefined,
  };
}

/** What makes a task that has not begun a new one with its key. */
export function replacementOf(task: NewTask): Fields {
  return {
    instruction: task.instruction?.toWellFormed() ?? null,
    traceText: task.trace ? stringifyJson(task.trace) : null,
    provider: task.provider.toWellFormed(),
    targetType: task.targetType ?? null,
    targetRef: task.targetRef ?? null,
    priority: task.priority ?? 0,
    runAt: task.runAt ?? null,
    maxAttempts: task.maxAttempts ?? null,
    timeoutMs: task.timeoutMs ?? null,
    batch: task.batch ?? null,
    tags: task.tags ?? [],
    workspace: task.workspace ?? null,
    touches: task.touches ?? [],
    needsApproval: task.needsApproval ?? false,
  };
}

/** The tasks of a provider at the end of its queue that others are moved to. */
export interface QueueEnd {
  readonly to: MoveTarget;
  /** From there, one more than are moved. */
  readonly tasks: readonly Pick<AgentTask, "id" | "priority">[];
}

/**
 * The priorities that tasks of one provider get, so that they run in their order
 * before all others, or after them; none where that is so already.
 *
 * @throws {UsageError} where there are no such priorities.
 */
export function prioritiesAt(
  { to, tasks }: QueueEnd,
  ids: readonly string[],
): ReadonlyMap<string, number> {
  const order = to === "first" ? ids : ids.toReversed();
  if (order.every((id, index) => tasks[index]?.id === id)) return new Map();
  const moved = new Set(ids);
  const border = tasks.find(({ id }) => !moved.has(id))?.priority ?? 0;
  const step = to === "first" ? 1 : -1;
  if (Math.abs(border + step * order.length) > MAX_INTEGER) {
    throw new UsageError(
      `Cannot move what is to run ${to}: another task has the priority ` +
        `${border}, and there are none ${to === "first" ? "above" : "below"} ${
          step * MAX_INTEGER
        }. Change that one's: agent-runner edit ID ` +
        "--priority 0.",
    );
  }
  return new Map(
    order.map((id, index) => [id, border + step * (order.length - index)]),
  );
}
