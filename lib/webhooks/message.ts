/**
 * What is sent to a receiver.
 *
 * @module
 */

import type { DeliveredEvent, Delivery } from "../store/contract.ts";
import { parseBatchEnded } from "../task/batch.ts";
import type { TaskState } from "../task/task.ts";

/** A message with the id that stays the same however often it is sent. */
export interface WebhookMessage {
  readonly id: string;
  /** JSON. */
  readonly body: string;
}

/** The state that a task has after each event that says so, whatever became of it since. */
const STATES: Readonly<Partial<Record<DeliveredEvent, TaskState>>> = {
  completed: "completed",
  failed: "failed",
  needs_input: "needs_input",
  retry_scheduled: "running",
  limited: "running",
  cancelled: "failed",
};

/** The message of an event for a receiver. */
export async function messageOf(
  { eventId, event, occurredAt, attempt, runner, detail, taskId, task }:
    Delivery,
  endpoint: string,
): Promise<WebhookMessage> {
  const batch = event === "batch_ended"
    ? parseBatchEnded(detail ?? "")
    : undefined;
  const body = {
    type: event === "batch_ended" ? "batch.ended" : `task.${event}`,
    timestamp: occurredAt.toISOString(),
    data: {
      event_id: eventId,
      ...batch && { batch: { name: batch.name, states: batch.counts } },
      task: {
        id: taskId,
        state: STATES[event],
        attempt,
        ...task && {
          user_id: task.userId,
          provider: task.provider,
          simulated: task.isSimulated,
          target_type: task.targetType,
          target_ref: task.targetRef,
          instruction: task.instruction,
          created_at: task.createdAt.toISOString(),
          ...event === "needs_input" && task.approval &&
            { approval: task.approval },
        },
      },
      runner,
      detail,
    },
  };
  // The task's id too: two databases number their events alike.
  const hash = await hashOf(`${endpoint} ${taskId} ${eventId}`);
  return { id: `msg_${hash.slice(0, 32)}`, body: JSON.stringify(body) };
}

/** A message that is about no task. */
export function testMessage(now: Date): WebhookMessage {
  return {
    id: `msg_test_${crypto.randomUUID()}`,
    body: JSON.stringify({
      type: "webhook.test",
      timestamp: now.toISOString(),
      data: { message: "Sent by agent-runner webhooks test" },
    }),
  };
}

/** The name of a receiver in the store: its URL may hold a secret. */
export function endpointOf(url: string): Promise<string> {
  return hashOf(url);
}

async function hashOf(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
