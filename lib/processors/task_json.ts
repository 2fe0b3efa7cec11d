/**
 * A task as programs and services outside are given it.
 *
 * @module
 */

import type { ProcessorContext } from "./processor.ts";
import type { AgentTask } from "../task/task.ts";
import { stringifyJson } from "../task/trace.ts";

/** The JSON of a task and its run. */
export function taskJson(
  task: AgentTask,
  { idempotencyKey, answers, trace }: ProcessorContext,
): string {
  return stringifyJson({
    id: task.id,
    user_id: task.userId,
    provider: task.provider,
    target_type: task.targetType,
    target_ref: task.targetRef,
    instruction: task.instruction,
    attempt: task.attempt,
    idempotency_key: idempotencyKey,
    answers: [...answers],
    trace,
  });
}
