/**
 * The event loop, for work that would hold everything else up.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/**
 * Resolves when what the store says, timers and signals have
 * had their time. Not with setTimeout: that takes a millisecond at least.
 */
export function nextTick(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
