/**
 * Which tasks others repeat, as those say in their traces.
 *
 * @module
 */

/** A first look at a trace: reading each as JSON would take ten times as long. */
export const MAY_BE_RETRY = `contains(last_update, '"retry_of"')`;

/** `\\\\` or half a character, which JavaScript writes and DuckDB can't read. */
const HALF = String.raw`(\\\\)|\\u[dD][89a-fA-F][0-9a-fA-F]{2}`;

/** A value in a trace, which may be any text; null where there is none. */
export const inTrace = (key: string) =>
  String.raw`TRY(json_extract_string(
  regexp_replace(last_update, '${HALF}', '\1', 'g'), '$.${key}'))`;

/**
 * The id of the task that another repeats, as that one's trace names it; null where
 * it does not.
 */
export const RETRIED_ID = `TRY_CAST(${inTrace("retry_of")} AS UUID)`;

/** The ids of tasks that others repeat, of which the condition holds. */
export const retriedIds = (condition: string) => `
  SELECT of_id FROM (SELECT ${RETRIED_ID} AS of_id FROM agent_tasks
    WHERE ${condition} AND ${MAY_BE_RETRY})
  WHERE of_id IS NOT NULL`;

/** Holds for a task that has ended and that no other repeats. */
export const NEVER_RETRIED = `
  status IN ('completed', 'failed') AND id NOT IN (${retriedIds("true")})`;
