/**
 * What chooses tasks, in SQL that every store takes. How a state's parts and a
 * target are read, each store has.
 *
 * @module
 */

import { STATE_PARTS, type StatePart } from "../task/shown_state.ts";
import { stringifyJson } from "../task/trace.ts";
import type { TaskFilter } from "./contract.ts";
import type { PartConditions } from "./state_parts.ts";

/** What a store has of its own. */
export interface FilterForms {
  /** Binds a value, and gives what stands for it in the statement. */
  readonly bind: (value: string) => string;
  readonly parts: PartConditions;
  readonly targetRef: string;
}

/** Holds for the tasks that a filter chooses. What it does not name costs nothing. */
export function isChosen(filter: TaskFilter, forms: FilterForms): string {
  const { states, provider, batch, key, tags = [], text } = filter;
  const { createdSince, createdBefore } = filter;
  const { bind } = forms;
  const isEqual = (column: string, value: string | undefined) =>
    value === undefined ? [] : [`${column} = ${bind(value)}`];
  const conditions = [
    ...states ? [isInState(states, forms)] : [],
    ...isEqual("provider", provider),
    ...isEqual("batch", batch),
    ...isEqual("key", key),
    ...tags.map((tag) => hasTag(tag, bind)),
    ...text === undefined ? [] : [hasText(text, forms)],
    ...timeConditions("created_at", { createdSince, createdBefore }, bind),
  ];
  return conditions.length > 0 ? conditions.join(" AND ") : "true";
}

/** Holds for the rows whose time is within that of a filter. */
export function timeConditions(
  column: string,
  { createdSince, createdBefore }: TaskFilter,
  bind: FilterForms["bind"],
): string[] {
  const isAt = (sign: string, time: Date | undefined) =>
    time
      ? [`${column} ${sign} CAST(${bind(time.toISOString())} AS TIMESTAMPTZ)`]
      : [];
  return [...isAt(">=", createdSince), ...isAt("<", createdBefore)];
}

function isInState(
  states: NonNullable<TaskFilter["states"]>,
  { bind, parts }: FilterForms,
): string {
  const conditions = states.map((state) =>
    state in STATE_PARTS
      ? `status = '${STATE_PARTS[state as StatePart]}' AND ${
        parts[state as StatePart]
      }`
      : `status = ${bind(state)}`
  );
  return `(${conditions.join(" OR ") || "false"})`;
}

/** A list as JSON: no tag has a comma, and a quote within one has a backslash. */
function hasTag(tag: string, bind: FilterForms["bind"]): string {
  const json = stringifyJson(tag.toWellFormed());
  return `(strpos(tags, ${bind(`[${json}`)}) > 0
    OR strpos(tags, ${bind(`,${json}`)}) > 0)`;
}

function hasText(text: string, { bind, targetRef }: FilterForms): string {
  const lower = bind(text.toLowerCase());
  return `(starts_with(CAST(id AS TEXT), ${lower})
    OR strpos(lower(instruction), ${lower}) > 0
    OR strpos(lower(${targetRef}), ${lower}) > 0)`;
}
