/**
 * A task for tests that care for some of its fields only.
 *
 * @module
 */

import type { AgentTask } from "../../lib/task/task.ts";

/** A running task with no more than it must have, and what is given. */
export function sampleTask(given: Partial<AgentTask> = {}): AgentTask {
  return {
    id: "550e8400-e29b-41d4-a716-446655440000",
    userId: "e2895575-a786-551f-ac71-b2530bbc877e",
    provider: "simulate",
    targetType: null,
    targetRef: null,
    instruction: null,
    state: "running",
    traceText: null,
    priority: 0,
    runAt: null,
    attempt: 1,
    questions: 0,
    maxAttempts: null,
    timeoutMs: null,
    batch: null,
    key: null,
    tags: [],
    ifFailed: null,
    isBlocked: false,
    workspace: null,
    touches: [],
    needsApproval: false,
    leaseOwner: null,
    leaseExpiresAt: null,
    cancelRequestedAt: null,
    createdAt: new Date(0),
    updatedAt: new Date(0),
    ...given,
  };
}
