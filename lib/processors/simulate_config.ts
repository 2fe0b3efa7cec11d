/**
 * What the configuration file says of a simulated provider.
 *
 * @module
 */

import { z } from "zod";

/** It has no settings of its own. */
export const simulateConfig = z.strictObject({
  processor: z.literal("simulate").describe(
    "Waits a little and does nothing to the outside world",
  ),
});

/** As validated. */
export type SimulateConfig = z.output<typeof simulateConfig>;
