/**
 * How long the word of a runner counts that it is there, in milliseconds.
 *
 * @module
 */

/** What it said is not written again before. */
export const NOTED_MS = 20_000;
/** It says so every half a minute: three times it did not come through. */
export const GONE_MS = 90_000;
/** Then it is not listed any more. */
export const FORGOTTEN_MS = 86_400_000;
