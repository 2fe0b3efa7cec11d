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
import { asksApproval, needsStart } from "../task/workspace.ts";
import {
  type AmendResult,
  type AnswerResult,
  type ApproveOptions,
  type ApproveResult,
  type CancelResult,
  type EditResult,
  type NoteResult,
  OTHERS,
} from "./contract.ts";

/** How many more tasks may be claimed, by provider; {@linkcode OTHERS} is the rest. */
export type Room = ReadonlyMap<string, number>;

/**
 * The room that the limits of all runners together leave.
 *
 * @param inHand how many tasks of each provider are leased, by whomever
 */
export function globalRoomOf(limits: Room, inHand: Room): Room {
  const room = new Map(limits);
  for (const [provider, count] of inHand) {
    const name = groupOf(provider, limits);
    const rest = room.get(name);
    if (rest !== undefined) room.set(name, Math.max(0, rest - count));
  }
  return room;
}

/** The room in which a claim looks. */
export function roomOf(
  { providerRoom, globalRoom }: {
    readonly providerRoom?: Room;
    readonly globalRoom?: Room;
  },
): Room | undefined {
  return globalRoom
    ? smallerRoom(providerRoom ?? new Map(), globalRoom)
    : providerRoom;
}

/**
 * The most that there is of both. What only the runner names is one of the others
 * for all runners: together they may be too many, see {@linkcode withinRoom}.
 */
export function smallerRoom(own: Room, global: Room): Room {
  const names = new Set([...own.keys(), ...global.keys()]);
  return new Map(
    [...names].map((name) => {
      const rest = global.get(groupOf(name, global)) ?? Infinity;
      return [name, Math.min(own.get(groupOf(name, own)) ?? Infinity, rest)];
    }),
  );
}

/** Those that there is room for, in their order. */
export function withinRoom<T>(
  tasks: readonly T[],
  room: Room | undefined,
  providerOf: (task: T) => string,
): T[] {
  if (!room) return [...tasks];
  const left = new Map(room);
  return tasks.filter((task) => {
    const name = groupOf(providerOf(task), left);
    const rest = left.get(name) ?? Infinity;
    left.set(name, rest - 1);
    return rest > 0;
  });
}

/**
 * Of a room that the runner has itself, what may be taken without a look at what it
 * comes to together: nothing of those that are among the others for all runners.
 */
export function sureRoom(own: Room | undefined, global: Room): Room {
  const isOpen = (global.get(OTHERS) ?? Infinity) === Infinity;
  return new Map(
    [...own ?? []].map((
      [name, room],
    ) => [name, isOpen || name === OTHERS || global.has(name) ? room : 0]),
  );
}

/** Which providers' tasks there is no room for. */
export interface FullProviders {
  /** Only these have room; undefined: all but {@linkcode except}. */
  readonly only: readonly string[] | undefined;
  readonly except: readonly string[];
}

/** What a room without a place keeps out, of these providers. */
export function fullProviders(
  providers: readonly string[] | undefined,
  room: Room = new Map(),
): FullProviders {
  const named = [...room.keys()].filter((name) => name !== OTHERS);
  const isFull = (provider: string) => isFullFor(provider, room);
  return {
    only: isFull(OTHERS)
      ? (providers ?? named).filter((it) => named.includes(it))
      : providers,
    except: named.filter(isFull),
  };
}

/** Whether a room has no place for a task of a provider. */
export function isFullFor(provider: string, room: Room): boolean {
  return (room.get(groupOf(provider, room)) ?? Infinity) <= 0;
}

/** The limit that a provider falls under, by its name; {@linkcode OTHERS}, too. */
export function groupOf(provider: string, room: Room): string {
  return room.has(provider) ? provider : OTHERS;
}

/** What is left of a room when these tasks were claimed. */
export function roomAfter(
  tasks: readonly ClaimedTask[],
  room: Room | undefined,
): Room | undefined {
  if (!room) return undefined;
  const left = new Map(room);
  for (const { task: { provider } } of tasks) {
    const name = groupOf(provider, left);
    const rest = left.get(name);
    if (rest !== undefined) left.set(name, rest - 1);
  }
  return left;
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

/** What leaving a note with a task comes to. */
export function noteResultOf(held: Held | undefined): NoteResult {
  if (!held) return "missing";
  const { state } = held.task;
  if (!isKnownState(state)) return "unknown state";
  return isFinal(state) ? "ended" : "noted";
}

/** What changing a task before it begins comes to. */
export function editResultOf(held: Held | undefined, at: Date): EditResult {
  if (!held) return "missing";
  const { state, leaseExpiresAt } = held.task;
  if (!isKnownState(state)) return "unknown state";
  if (isFinal(state)) return "ended";
  const isHeld = leaseExpiresAt !== null && leaseExpiresAt > at;
  return state === "created" && !isHeld ? "edited" : "begun";
}

/** What approving a task comes to. */
export function approveResultOf(
  held: Held | undefined,
  { at, head }: ApproveOptions & { readonly at: Date },
): ApproveResult {
  if (!held) return "missing";
  const { task } = held;
  const { state, leaseExpiresAt } = task;
  if (isFinal(state)) return "ended";
  const asked = asksApproval(task);
  // It may have worked on since somebody looked.
  if (head !== undefined && asked?.head !== head) return "not asked";
  if (asked) return "approved";
  // A runner that has it just now would not know, and is about to ask.
  const isHeld = leaseExpiresAt !== null && leaseExpiresAt > at;
  const isEarly = state === "created" || state === "running";
  return isEarly && !isHeld && needsStart(task) ? "approved" : "not asked";
}

/** What amending a task comes to. */
export function amendResultOf(held: Held | undefined, at: Date): AmendResult {
  if (!held) return "missing";
  const { state, leaseExpiresAt } = held.task;
  if (!isKnownState(state)) return "unknown state";
  return leaseExpiresAt !== null && leaseExpiresAt > at ? "running" : "amended";
}

/** What answering a task comes to. */
export function answerResultOf(held: Held | undefined): AnswerResult {
  if (!held) return "missing";
  if (isFinal(held.task.state)) return "ended";
  return held.task.state === "needs_input" ? "answered" : "not asked";
}
