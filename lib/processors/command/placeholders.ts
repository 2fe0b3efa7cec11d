/**
 * Placeholders in the arguments of a command: `{instruction}`.
 *
 * @module
 */

/** What each placeholder stands for. */
export const PLACEHOLDERS = {
  id: "the task's id",
  instruction: "the task's instruction; empty where it has none",
  target: "owner/repo#123; empty where the task has none",
  answers: "its questions so far with their answers, as lines; or empty",
  configDir: "the folder of the configuration file",
} as const;

/** The name of a placeholder. */
export type Placeholder = keyof typeof PLACEHOLDERS;

/**
 * `{word}`, and the escaped `{{word}}`. All else is text, so that JSON and code
 * need no escapes.
 */
const PATTERN = /\{\{(\w+)\}\}|\{(\w+)\}/g;

/** The placeholders of a text, unknown ones too. */
export function placeholdersIn(text: string): string[] {
  return [...text.matchAll(PATTERN)].flatMap(([, , name]) => name ?? []);
}

/** The text with a value for each placeholder; `{{word}}` becomes `{word}`. */
export function fillPlaceholders(
  text: string,
  valueOf: (name: Placeholder) => string,
): string {
  return text.replace(
    PATTERN,
    (_match, escaped?: string, name?: string) =>
      escaped === undefined ? valueOf(name as Placeholder) : `{${escaped}}`,
  );
}
