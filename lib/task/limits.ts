/**
 * How much of a provider's work may be under way at a time, as its settings say it.
 *
 * @module
 */

import { parseSpan } from "../base/figures.ts";

/** What of a task a key may be made of. */
export const KEY_FIELDS = [
  "repository",
  "target",
  "user",
  "batch",
  "key",
] as const;

/** One of {@linkcode KEY_FIELDS}. */
export type KeyField = (typeof KEY_FIELDS)[number];

/** A part of a key: a text that is there in any case, or a field of the task. */
export type KeyPart = string | { readonly field: KeyField };

/** Who takes turns. */
export const TURNS = ["batch", "user"] as const;

/** One of {@linkcode TURNS}. */
export type Turns = (typeof TURNS)[number];

/** At most so many starts in any such span. */
export interface Rate {
  readonly count: number;
  readonly spanMs: number;
  /** @default {"provider"} */
  readonly per?: "provider" | "key";
}

/** What keeps a provider's tasks from beginning, over all runners. */
export interface TaskLimits {
  /** Tasks of which it comes to the same text have a key; where all its fields are empty, none. */
  readonly key?: readonly KeyPart[];
  /** How many tasks with the same key are in hand at a time. @default {1} */
  readonly keyConcurrency?: number;
  readonly rate?: Rate;
  /** Among tasks of the same priority, these take turns. */
  readonly fairBy?: Turns;
}

/** Whether there is any limit. */
export function isLimited({ key, rate, fairBy }: TaskLimits): boolean {
  return key !== undefined || rate !== undefined || fairBy !== undefined;
}

const PLACEHOLDER = /\{([^{}]*)\}/;

/** Reads `{repository}`, or `{user} on {target}`; undefined where it is no key. */
export function parseKey(text: string): KeyPart[] | undefined {
  const pieces = text.split(PLACEHOLDER);
  const parts = pieces.flatMap((piece, index): KeyPart[] => {
    if (index % 2 === 0) return piece === "" ? [] : [piece];
    const field = KEY_FIELDS.find((it) => it === piece);
    return field ? [{ field }] : [];
  });
  const fields = parts.filter((it) => typeof it !== "string").length;
  const isRead = fields === (pieces.length - 1) / 2 &&
    !pieces.some((it, index) => index % 2 === 0 && /[{}]/.test(it));
  return isRead && fields > 0 ? parts : undefined;
}

const LONGEST_SPAN_MS = 7 * 86_400_000;
const MOST_STARTS = 10_000;

/** Reads `20/1m`; undefined where it is no rate. */
export function parseRate(text: string): Rate | undefined {
  const [, digits, span = ""] = /^\s*(\d+)\s*\/\s*(\d+[smhd])\s*$/.exec(text) ??
    [];
  const count = Number(digits);
  const spanMs = parseSpan(span) ?? Infinity;
  const isFit = count > 0 && count <= MOST_STARTS && spanMs <= LONGEST_SPAN_MS;
  return isFit ? { count, spanMs } : undefined;
}

/** `20/1m` */
export function rateText({ count, spanMs }: Rate): string {
  const [unit, ms] = UNITS.find(([, ms]) => spanMs % ms === 0) ?? ["s", 1_000];
  return `${count}/${spanMs / ms}${unit}`;
}

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
];
