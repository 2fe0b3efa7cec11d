/**
 * What several parts of the configuration file have in common.
 *
 * @module
 */

import { z } from "zod";
import {
  DURATION,
  type DurationForm,
  expectedDuration,
  maxDuration,
  parseDuration,
} from "./figures.ts";

/** A duration: a number of its unit, or a text like `15m`. Read as a number. */
export function duration(form: DurationForm = {}) {
  const { min = 0, unit = "seconds" } = form;
  const mistake = {
    error: ({ input }: { readonly input?: unknown }) =>
      `expected ${expectedDuration(form, input)}`,
    abort: true,
  };
  const oneMs = parseDuration("1", { unit })!;
  return z.union([
    z.number(mistake).min(min, mistake).max(maxDuration(form), mistake),
    z.string(mistake).regex(DURATION, mistake).refine(
      (text) => parseDuration(text, form) !== undefined,
      mistake,
    ),
  ]).transform((value) =>
    typeof value === "number" ? value : parseDuration(value, form)! / oneMs
  );
}
