/**
 * How far a task is.
 *
 * @module
 */

import { cut } from "../base/cut.ts";
import type { JsonObject, TaskEventKind } from "./task.ts";

/** A note on how far a run is. */
export interface Progress {
  readonly message: string;
  /** How much is done, from 0 to 1, where that is known. */
  readonly fraction?: number | undefined;
}

/** What is longer is cut, which the message then says. */
export const MAX_PROGRESS_CHARACTERS = 1_000;

/**
 * What a processor notes, made fit to be kept. A fraction that is no number is
 * left out, and one beyond 0 or 1 is that.
 */
export function progressOf(message: unknown, fraction?: unknown): Progress {
  return {
    message: cut(message, MAX_PROGRESS_CHARACTERS),
    fraction: fraction === undefined ? undefined : readFraction(fraction),
  };
}

function readFraction(value: unknown): number | undefined {
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  return Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000;
}

/** How much is done, as a trace has it; undefined where nobody said. */
export function fractionOf(trace: JsonObject | undefined): number | undefined {
  return readFraction(trace?.progress_fraction);
}

/** What is completed is not 40% done, and what begins again has done nothing. */
const FRACTION_AFTER: { readonly [kind in TaskEventKind]?: number | null } = {
  completed: 1,
  retry_scheduled: null,
  released: null,
  limited: null,
  answered: null,
};

/** What an event makes of the fraction of a task; undefined: it stays. */
export function fractionAfter(
  event: TaskEventKind,
  traceText: string | null,
  note: Progress | undefined,
): number | null | undefined {
  const fraction = FRACTION_AFTER[event];
  if (fraction === undefined) return undefined;
  const hasFraction = note?.fraction !== undefined ||
    (traceText !== null && traceText.includes('"progress_fraction"'));
  return hasFraction ? fraction : undefined;
}

/** `40%` */
export function percent(fraction: number): string {
  return `${Math.round(fraction * 100)}%`;
}

/** `40%: Half way` */
export function progressText({ message, fraction }: Progress): string {
  return fraction === undefined ? message : `${percent(fraction)}: ${message}`;
}
