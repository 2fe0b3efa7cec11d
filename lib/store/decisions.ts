/**
 * What is to be done with a task, as its row stands: the same in every store.
 *
 * @module
 */

import {
  type ClaimedTask,
  isFinal,
  isKnownState,
  type Transition,
} from "../task/task.ts";
import {
  answeredElsewhere,
  cancel,
  expire,
  fail,
  type Held,
  isAnsweredElsewhere,
} from "../task/transitions.ts";
import {
  type AnswerResult,
  type CancelResult,
  type ClaimOptions,
  OTHERS,
} from "./contract.ts";

/**
 * The room of providers where all runners together have a limit too.
 *
 * @param inHand how many tasks of each provider are leased, by whomever
 */
export function roomWithin(
  { providerRoom, globalLimits = new Map() }: ClaimOptions,
  inHand: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const rooms = new Map(providerRoom);
  const names = new Set([...rooms.keys(), ...globalLimits.keys()]);
  const counts = new Map<string, number>();
  for (const [provider, count] of inHand) {
    const name = names.has(provider) ? provider : OTHERS;
    counts.set(name, (counts.get(name) ?? 0) + count);
  }
  for (const [name, limit] of globalLimits) {
    const rest = Math.max(0, limit - (counts.get(name) ?? 0));
    rooms.set(name, Math.min(rooms.get(name) ?? Infinity, rest));
  }
  return rooms;
}

/** What is left of the room of providers when these tasks were claimed. */
export function roomAfter(
  tasks: readonly ClaimedTask[],
  { providerRoom }: ClaimOptions,
): ClaimOptions["providerRoom"] {
  if (!providerRoom) return undefined;
  const rooms = new Map(providerRoom);
  for (const { task: { provider } } of tasks) {
    const name = rooms.has(provider) ? provider : OTHERS;
    const room = rooms.get(name);
    if (room !== undefined) rooms.set(name, room - 1);
  }
  return rooms;
}

/** Options for {@linkcode endOf}. */
export interface EndOfOptions {
  readonly maxAttempts: number;
  /** The store's time. */
  readonly at: Date;
}

/**
 * How what nobody will run again ends; undefined where that is not so: whoever
 * looked for it may have found what has changed since.
 */
export function endOf(
  held: Held,
  { maxAttempts, at }: EndOfOptions,
): Transition | undefined {
  const { lease, task } = held;
  const { state, attempt, questions, leaseOwner, leaseExpiresAt, runAt } = task;
  if (task.cancelRequestedAt) {
    const isOpen = state === "running" || state === "needs_input";
    const isFree = leaseExpiresAt === null || leaseExpiresAt <= at;
    return isOpen && isFree ? cancel(held) : undefined;
  }
  if (state === "needs_input") {
    return runAt && runAt <= at ? expire(held) : undefined;
  }
  if (state !== "running") return undefined;
  if (lease.id === null) {
    // Where it is due, it is claimed as all others are.
    const isEarly = runAt !== null && runAt >= at;
    return isEarly && isAnsweredElsewhere(task)
      ? answeredElsewhere(held)
      : undefined;
  }
  const limit = task.maxAttempts ?? maxAttempts;
  const isDead = leaseExpiresAt !== null && leaseExpiresAt <= at &&
    attempt - questions >= limit;
  if (!isDead) return undefined;
  return fail(
    held,
    `The runner died at attempt ${attempt - questions} of ${limit}; ` +
      `it was ${leaseOwner}`,
  );
}

/** So that the history does not say that the lease's runner did it. */
export function byPerson({ task, lease }: Held): Held {
  return { task, lease: lease.id === null ? lease : { ...lease, owner: "" } };
}

/** What cancelling a task comes to. */
export function cancelResultOf(held: Held | undefined, at: Date): CancelResult {
  if (!held) return "missing";
  const { state, leaseExpiresAt } = held.task;
  if (isFinal(state)) return "ended";
  if (!isKnownState(state)) return "unknown state";
  // What was not begun is only held: its runner learns that it lost the lease.
  const isRun = state === "running" && leaseExpiresAt && leaseExpiresAt > at;
  return isRun ? "requested" : "cancelled";
}

/** What answering a task comes to. */
export function answerResultOf(held: Held | undefined): AnswerResult {
  if (!held) return "missing";
  if (isFinal(held.task.state)) return "ended";
  return held.task.state === "needs_input" ? "answered" : "not asked";
}
