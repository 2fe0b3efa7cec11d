/**
 * Parts of states in SQL: what of a row says that it is in one, each store has.
 *
 * @module
 */

import { STATE_PARTS, type StatePart } from "../task/shown_state.ts";

/** What holds for the rows of a state that are in a part of it. */
export type PartConditions = Readonly<Record<StatePart, string>>;

/** The shown state of a row. */
export function shownState(conditions: PartConditions): string {
  const cases = parts(conditions).map(({ part, condition }) =>
    `WHEN ${condition} THEN '${part}'`
  );
  return `CASE ${cases.join(" ")} ELSE status END`;
}

/**
 * Holds for the rows in one of the parts that are asked for.
 *
 * @param isAsked The SQL that says whether a part is
 */
export function isInPart(
  conditions: PartConditions,
  isAsked: (part: StatePart) => string,
): string {
  return parts(conditions)
    .map(({ part, condition }) => `(${isAsked(part)} AND ${condition})`)
    .join(" OR ");
}

function parts(conditions: PartConditions) {
  return (Object.keys(STATE_PARTS) as StatePart[]).map((part) => ({
    part,
    condition: `status = '${STATE_PARTS[part]}' AND ${conditions[part]}`,
  }));
}
