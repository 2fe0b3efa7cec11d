/**
 * Transitions in batches of those that are alike.
 *
 * @module
 */

import type {
  JsonObject,
  Lease,
  NoLease,
  Transition,
} from "../../task/task.ts";
import { mergeTrace, stringifyJson } from "../../task/trace.ts";

/** A transition, and its place among those that were given. */
export interface Item {
  readonly position: number;
  readonly transition: Transition;
}

/** Splits transitions so that none of a round's tasks is in it twice. */
export function roundsOf(transitions: readonly Transition[]): Item[][] {
  const roundOf = new Map<string | number | bigint, number>();
  const rounds: Item[][] = [];
  for (const [position, transition] of transitions.entries()) {
    // A number is looked up in half the time of a text.
    const { taskId, place = taskId } = transition.lease;
    const round = (roundOf.get(place) ?? -1) + 1;
    roundOf.set(place, round);
    (rounds[round] ??= []).push({ position, transition });
  }
  return rounds;
}

interface Write {
  readonly transition: Transition;
  /** The trace that the row must still have. */
  readonly seen: string | null;
  /** The trace that it gets. */
  readonly trace: string | null;
}

/** Rows that lie next to each other, or one. */
export interface Span {
  readonly first: Lease | NoLease;
  last: Lease | NoLease;
}

/** Transitions whose tasks differ in nothing but their ids. */
export interface Batch {
  readonly items: Item[];
  /** Where their rows are, in the same order. */
  readonly spans: Span[];
  readonly write: Write;
}

/**
 * A busy runner's outcomes are mostly alike: the same trace, the same
 * millisecond. Merging, sending and reading each text once for all of them
 * takes two thirds off the cost of a task.
 */
export function batchesOf(
  items: readonly Item[],
  seenOf: (transition: Transition) => string | null,
): Batch[] {
  const batches = new Map<string, Batch>();
  let last: Batch | undefined;
  for (const item of items) {
    const { transition } = item;
    const seen = seenOf(transition);
    if (!last || !isAlike(last.write, transition, seen)) {
      const key = keyOf(transition, seen);
      last = batches.get(key) ?? newBatch(transition, seen);
      batches.set(key, last);
    }
    last.items.push(item);
    addTo(last.spans, transition.lease);
  }
  return [...batches.values()];
}

function newBatch(transition: Transition, seen: string | null): Batch {
  const { patch } = transition;
  const isEmpty = Object.keys(patch).length === 0;
  const trace = isEmpty ? seen : mergeTrace(seen, patch);
  return { items: [], spans: [], write: { transition, seen, trace } };
}

function addTo(spans: Span[], lease: Lease | NoLease): void {
  const span = spans.at(-1);
  const place = span?.last.place;
  const isNext = typeof place === "number" && place + 1 === lease.place;
  if (span && isNext) span.last = lease;
  else spans.push({ first: lease, last: lease });
}

function keyOf(
  { lease, from, event, detail, runAt, patch }: Transition,
  seen: string | null,
): string {
  return `${lease.id} ${lease.attempt} ${from} ${event} ${runAt?.getTime()} ` +
    `${stringifyJson([detail, patch])} ${seen === null ? "" : `=${seen}`}`;
}

/** The same as equal keys, without making them. False where it is not sure. */
function isAlike(
  { transition, seen }: Write,
  other: Transition,
  otherSeen: string | null,
): boolean {
  return seen === otherSeen &&
    transition.lease.id === other.lease.id &&
    transition.lease.attempt === other.lease.attempt &&
    transition.from === other.from && transition.event === other.event &&
    transition.detail === other.detail && transition.runAt === other.runAt &&
    haveSameValues(transition.patch, other.patch);
}

function haveSameValues(one: JsonObject, other: JsonObject): boolean {
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length &&
    keys.every((key) => one[key] === other[key]);
}
