/**
 * Providers that take no tasks just now: what a limit makes of a pause, and what a
 * pause leaves to a claim. The same in every store.
 *
 * @module
 */

import type { ProviderLimit, Transition } from "../task/task.ts";
import type { Pause, PauseOptions } from "./contract.ts";
import { type Room, smallerRoom } from "./decisions.ts";

/** Clocks differ, and the first who asks must not be told no once more. */
const MARGIN_MS = 15_000;
/** Where nobody knows how long it takes. */
const FIRST_WAIT_MS = 15 * 60_000;
/** Then a person is to decide. */
const LONGEST_WAIT_MS = 86_400_000;
/** No date is later. */
const LATEST_MS = 8.64e15;

/** What is in the way of a provider's tasks: some have to wait, or all but one. */
export type PauseState = "paused" | "trying";

/**
 * What a pause is now. When a limit should be over, one task tries; what comes of
 * it ends the pause, or prolongs it.
 */
export function pauseStateAt(
  { kind, until }: Pause,
  at: Date,
): PauseState | undefined {
  if (until === null || until > at) return "paused";
  return kind === "limit" ? "trying" : undefined;
}

/** A pause that begins then. */
export function newPause(
  provider: string,
  { kind, reason, waitMs }: PauseOptions,
  since: Date,
): Pause {
  const until = waitMs === null
    ? null
    : new Date(Math.min(since.getTime() + waitMs, LATEST_MS));
  return { provider, kind, reason, since, until, tries: 0 };
}

/**
 * The pause of a provider when a run has met its limit.
 *
 * @param before The one that it had already
 */
export function pauseAfter(
  { provider, reason, waitMs }: ProviderLimit,
  { before, at }: { readonly before: Pause | undefined; readonly at: Date },
): Pause {
  const isOn = before && pauseStateAt(before, at) === "paused";
  const { since = at, tries = 0 } = before ?? {};
  const pause = { provider, kind: "limit", reason, since } as const;
  if (waitMs !== undefined) {
    const end = Math.min(at.getTime() + waitMs + MARGIN_MS, LATEST_MS);
    // Many runs meet it at once: the last end that was told counts.
    const known = isOn && before.until ? before.until.getTime() : 0;
    return { ...pause, until: new Date(Math.max(end, known)), tries: 0 };
  }
  if (isOn) return before;
  const last = since.getTime() + LONGEST_WAIT_MS;
  const end = at.getTime() + FIRST_WAIT_MS * 2 ** tries;
  return {
    ...pause,
    until: at.getTime() >= last ? null : new Date(Math.min(end, last)),
    tries: tries + 1,
  };
}

/** The last limit that was met of each provider. */
export function limitsMet(
  transitions: readonly Transition[],
  results: readonly unknown[],
): ProviderLimit[] {
  return transitions.flatMap(({ limit }, index) =>
    limit && results[index] === "written" ? [limit] : []
  );
}

/**
 * The tasks of which a run has come to an end that says that there is no limit any
 * more.
 */
export function unlimitedTasks(
  transitions: readonly Transition[],
  results: readonly unknown[],
): string[] {
  return transitions.flatMap(({ lease, event, keepsLease }, index) => {
    const isSaid = !keepsLease && event !== "limited" && event !== "released" &&
      event !== "cancelled";
    return isSaid && results[index] === "written" ? [lease.taskId] : [];
  });
}

/** The providers that are paused, or of which one task may try. */
export function providersIn(
  pauses: readonly Pause[],
  wanted: PauseState,
  at: Date,
): string[] {
  return statesAt(pauses, at)
    .filter(([, state]) => state === wanted).map(([provider]) => provider);
}

/** What is in the way of each provider that is in a list of pauses. */
function statesAt(
  pauses: readonly Pause[],
  at: Date,
): (readonly [provider: string, state: PauseState])[] {
  const states = new Map<string, PauseState>();
  for (const pause of pauses) {
    const state = pauseStateAt(pause, at);
    if (state && states.get(pause.provider) !== "paused") {
      states.set(pause.provider, state);
    }
  }
  return [...states];
}

/**
 * The room that pauses leave of one.
 *
 * @param inHand how many tasks of each provider are leased, by whomever
 */
export function roomBeside(
  pauses: readonly Pause[],
  { room, inHand, at }: {
    readonly room: Room | undefined;
    readonly inHand: Room;
    readonly at: Date;
  },
): Room | undefined {
  const left = new Map(
    statesAt(pauses, at).map(([provider, state]) => {
      const isFree = state === "trying" && (inHand.get(provider) ?? 0) === 0;
      return [provider, isFree ? 1 : 0];
    }),
  );
  if (left.size === 0) return room;
  return room ? smallerRoom(room, left) : left;
}
