/**
 * How long to wait before trying again.
 *
 * @module
 */

/** Options for {@linkcode backoffMs}. */
export interface BackoffOptions {
  /** Delay before the second attempt. */
  readonly baseMs: number;
  /** The longest delay. */
  readonly maxMs: number;
  /** Gives a number from 0 to 1. @default {Math.random} */
  readonly random?: () => number;
}

/**
 * The delay after the given failed attempt (1 for the first): doubles with each,
 * up to `maxMs`, and is then drawn from its upper half, so that tasks that failed
 * together do not come back together.
 */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  const { baseMs, maxMs, random = Math.random } = options;
  const full = Math.min(maxMs, baseMs * 2 ** Math.max(0, attempt - 1));
  return full / 2 + random() * full / 2;
}
