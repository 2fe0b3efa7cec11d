/**
 * Turns of the event loop, for work that would hold everything else up.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/**
 * Resolves in the next turn, when the store's answers, timers and signals have
 * had theirs. Not with setTimeout: that takes a millisecond at least.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
