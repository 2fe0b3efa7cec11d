/**
 * Providers that take no tasks just now: what a limit makes of a pause, and what a
 * pause leaves to a claim. The same in every store.
 *
 * @module
 */

import type {
  ClaimedTask,
  ProviderLimit,
  TaskEventKind,
  Transition,
} from "../task/task.ts";
import type { WrittenEvent } from "./changes.ts";
import {
  type HandOverOptions,
  OTHERS,
  type Pause,
  type PauseOptions,
  type PauseTarget,
} from "./contract.ts";
import { type Room, smallerRoom } from "./decisions.ts";

/** Handed over in one transaction. */
export const MOST_HANDED_OVER = 5_000;

/** Clocks differ, and the first who asks must not be told no once more. */
const MARGIN_MS = 15_000;
/** Where nobody knows how long it takes. */
const FIRST_WAIT_MS = 15 * 60_000;
/** Then a person is to decide. */
const LONGEST_WAIT_MS = 86_400_000;
/** No date is later. */
const LATEST_MS = 8.64e15;
/** No account's limit is longer: who says so has said something else. */
const LONGEST_LIMIT_MS = 35 * 86_400_000;
/** An end so near that has just been tried is none. */
const NEAR_MS = 60_000;
/** What nobody tried for so long is another limit. */
const STALE_MS = 86_400_000;

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
  { provider = OTHERS, batch = "" }: PauseTarget,
  { kind, reason, waitMs }: PauseOptions,
  since: Date,
): Pause {
  const until = waitMs === null
    ? null
    : new Date(Math.min(since.getTime() + waitMs, LATEST_MS));
  return { provider, batch, kind, reason, since, until, tries: 0 };
}

/** Whether everything waits. */
export function isAllPaused(pauses: readonly Pause[], at: Date): boolean {
  return pauses.some((it) =>
    it.provider === OTHERS && it.batch === "" && pauseStateAt(it, at)
  );
}

/** The batches that are paused. */
export function pausedBatches(pauses: readonly Pause[], at: Date): string[] {
  return pauses.filter((it) => it.batch !== "" && pauseStateAt(it, at))
    .map(({ batch }) => batch);
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
  const state = before && pauseStateAt(before, at);
  const of = { provider, batch: "" };
  const pause = { ...of, kind: "limit", reason, since: at } as const;
  const isEnd = waitMs !== undefined && waitMs <= LONGEST_LIMIT_MS &&
    (state !== "trying" || waitMs > NEAR_MS);
  if (isEnd) {
    // Many runs meet it at once: the last end that was told counts.
    const told = state === "paused" ? before?.until?.getTime() ?? 0 : 0;
    const end = Math.max(at.getTime() + waitMs + MARGIN_MS, told);
    return { ...pause, until: new Date(end), tries: 0 };
  }
  if (before && state === "paused") return before;
  const isNext = before && before.tries > 0 &&
    at.getTime() - (before.until?.getTime() ?? 0) < STALE_MS;
  const { since, tries } = isNext ? before : { since: at, tries: 0 };
  const last = since.getTime() + LONGEST_WAIT_MS;
  const end = at.getTime() + FIRST_WAIT_MS * 2 ** tries;
  return {
    ...pause,
    since,
    until: at.getTime() >= last ? null : new Date(Math.min(end, last)),
    tries: tries + 1,
  };
}

/** The same after several; undefined where it stays as it is. */
export function pauseAfterAll(
  limits: readonly ProviderLimit[],
  { known, at }: { readonly known: Pause | undefined; readonly at: Date },
): Pause | undefined {
  const pause = limits.reduce<Pause | undefined>(
    (before, limit) => pauseAfter(limit, { before, at }),
    known,
  );
  return pause === known ? undefined : pause;
}

/**
 * The limits that were met, by provider and in the order of their names: so that
 * two who write them do not wait for each other.
 */
export function limitsMet(
  transitions: readonly Transition[],
  results: readonly unknown[],
): [provider: string, limits: ProviderLimit[]][] {
  const met = transitions.flatMap(({ limit }, index) =>
    limit && results[index] === "written" ? [limit] : []
  );
  return [...Map.groupBy(met, ({ provider }) => provider)]
    .sort(([one], [other]) => one < other ? -1 : 1);
}

/** The tasks of which a run has shown, if it tried, that its limit is over. */
export function unlimitedTasks(
  transitions: readonly Transition[],
  results: readonly unknown[],
): string[] {
  return transitions.flatMap(({ lease, event, keepsLease }, index) => {
    const isSaid = event === "limit_over" ||
      !keepsLease && !SAYS_NOTHING.has(event);
    return isSaid && results[index] === "written" ? [lease.taskId] : [];
  });
}

const SAYS_NOTHING: ReadonlySet<TaskEventKind> = new Set([
  "limited",
  "released",
  "cancelled",
]);

/** Of what was claimed, the tasks that try whether a limit is over. */
export function trialsIn(
  tasks: readonly ClaimedTask[],
  pauses: readonly Pause[],
  at: Date,
): { readonly provider: string; readonly taskId: string }[] {
  return providersIn(pauses, "trying", at).flatMap((provider) => {
    const trial = tasks.find(({ task }) => task.provider === provider);
    return trial ? [{ provider, taskId: trial.task.id }] : [];
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
    if (pause.batch !== "") continue;
    const state = pauseStateAt(pause, at);
    if (state && states.get(pause.provider) !== "paused") {
      states.set(pause.provider, state);
    }
  }
  return [...states];
}

/** The room that pauses leave of one. */
export function roomBeside(
  pauses: readonly Pause[],
  { room, at }: { readonly room: Room | undefined; readonly at: Date },
): Room | undefined {
  if (isAllPaused(pauses, at)) return new Map([[OTHERS, 0]]);
  const left = new Map(
    statesAt(pauses, at).map(([provider, state]) => {
      const isFree = state === "trying" &&
        !pauses.some((it) => it.provider === provider && it.isTried);
      return [provider, isFree ? 1 : 0];
    }),
  );
  if (left.size === 0) return room;
  return room ? smallerRoom(room, left) : left;
}

/** What the history says of tasks that are handed over. */
export function handedOver(
  tasks: readonly { readonly id: string; readonly attempt: number }[],
  { from, to, reason }: HandOverOptions,
): WrittenEvent[] {
  const detail = `${from} → ${to}: ${reason}`;
  return tasks.map((task) => ({ ...task, kind: "handed_over", detail }));
}
