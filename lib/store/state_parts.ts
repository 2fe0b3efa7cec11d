/**
 * Parts of states in SQL. How a trace is read, each store has.
 *
 * @module
 */

import {
  SIMULATED_KEY,
  STATE_PARTS,
  type StatePart,
} from "../task/shown_state.ts";
import type { JsonValue } from "../task/task.ts";

/** What holds for the rows of a state that are in a part of it. */
export type PartConditions = Readonly<Record<StatePart, string>>;

/** Holds for the rows whose trace has a value. */
type TraceHas = (key: string, value: JsonValue) => string;

/** See `lib/task/shown_state.ts`, which says the same of a task. */
export function partConditions(traceHas: TraceHas): PartConditions {
  return {
    blocked: "blocked",
    retrying: "lease_id IS NULL AND run_at IS NOT NULL",
    queued: "lease_id IS NULL AND run_at IS NULL",
    cancelled: traceHas("result", "cancelled"),
    skipped: traceHas("result", "skipped"),
    simulated: traceHas(SIMULATED_KEY, true),
  };
}

/** Holds for tasks that were simulated: what their creator says is not so. */
export function wasSimulated(traceHas: TraceHas): string {
  return `(status <> 'created' AND ${traceHas(SIMULATED_KEY, true)})`;
}

/** The shown state of a row. */
export function shownState(conditions: PartConditions): string {
  const cases = parts(conditions).map(({ part, condition }) =>
    `WHEN ${condition} THEN '${part}'`
  );
  return `CASE ${cases.join(" ")} ELSE status END`;
}

function parts(conditions: PartConditions) {
  return (Object.keys(STATE_PARTS) as StatePart[]).map((part) => ({
    part,
    condition: `status = '${STATE_PARTS[part]}' AND ${conditions[part]}`,
  }));
}
