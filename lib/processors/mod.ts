/**
 * Chooses the processor of each provider by the configuration.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { ProcessorLookup } from "../processor.ts";
import { createSimulateProcessor } from "./simulate.ts";

/** Every provider is simulated. */
export function createProcessors(
  { completionDelayMs, simulateFailure }: Config,
  clock: Clock,
): ProcessorLookup {
  const simulate = createSimulateProcessor({
    delayMs: completionDelayMs,
    fails: simulateFailure,
    clock,
  });
  return () => simulate;
}
