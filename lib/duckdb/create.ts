/**
 * Adding tasks in sets.
 *
 * @module
 */

import { DuplicateIdError, messageOf, UsageError } from "../errors.ts";
import { type NewTask, parseTargetRef } from "../task.ts";
import { stringifyJson } from "../trace.ts";
import type { Database } from "./database.ts";

/**
 * Adds tasks, all or none, and returns their ids in the same order.
 *
 * @throws {DuplicateIdError} where there is a task with one of the ids already.
 */
export async function createTasks(
  database: Database,
  tasks: readonly NewTask[],
  now: Date,
): Promise<string[]> {
  const ids = tasks.map(({ id }) => id ?? crypto.randomUUID());
  if (ids.length === 0) return ids;
  const targets = tasks.map((task) => targetColumnsOf(task));
  try {
    await database.transaction(async (connection) => {
      await connection.run(
        `CREATE OR REPLACE TEMP TABLE incoming_tasks (
             position INTEGER, id UUID, user_id UUID, provider TEXT, repo TEXT,
             issue INTEGER, pr INTEGER, instruction TEXT, trace TEXT,
             priority INTEGER, run_at BIGINT, max_attempts INTEGER,
             timeout_ms BIGINT)`,
      );
      await connection.append("incoming_tasks", [
        { type: "integer", values: ids.map((_, index) => index) },
        { type: "text", values: ids },
        { type: "text", values: tasks.map(({ userId }) => userId) },
        { type: "text", values: tasks.map(({ provider }) => provider) },
        { type: "text", values: targets.map(({ repo }) => repo) },
        { type: "integer", values: targets.map(({ issue }) => issue) },
        { type: "integer", values: targets.map(({ pr }) => pr) },
        {
          type: "text",
          values: tasks.map(({ instruction }) => instruction ?? null),
        },
        {
          type: "text",
          values: tasks.map(({ trace }) => trace ? stringifyJson(trace) : null),
        },
        {
          type: "integer",
          values: tasks.map(({ priority }) => priority ?? 0),
        },
        {
          type: "bigint",
          values: tasks.map(({ runAt }) =>
            runAt ? BigInt(runAt.getTime()) : null
          ),
        },
        {
          type: "integer",
          values: tasks.map(({ maxAttempts }) => maxAttempts ?? null),
        },
        {
          type: "bigint",
          values: tasks.map(({ timeoutMs }) =>
            timeoutMs ? BigInt(timeoutMs) : null
          ),
        },
      ]);
      await connection.run(
        `INSERT INTO agent_tasks
             (id, user_id, provider, repo_full_name, issue_number, pr_number,
              instruction, status, last_update, created_at, updated_at,
              priority, run_at, attempt, max_attempts, timeout_ms)
           SELECT id, user_id, provider, repo, issue, pr, instruction,
             'created', trace, $1::TIMESTAMPTZ, $1::TIMESTAMPTZ,
             priority, epoch_ms(run_at), 0, max_attempts, timeout_ms
           FROM incoming_tasks ORDER BY position`,
        [now.toISOString()],
      );
      await connection.run(
        `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt)
           SELECT id, 'created', $1::TIMESTAMPTZ, 0
           FROM incoming_tasks ORDER BY position`,
        [now.toISOString()],
      );
      await connection.run("DROP TABLE incoming_tasks");
    });
  } catch (error) {
    const [, id] = /duplicate key "(?:id: )?([-0-9a-f]{36})"/i.exec(
      messageOf(error),
    ) ?? [];
    if (!id) throw error;
    throw new DuplicateIdError(id, { cause: error });
  }
  return ids;
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
