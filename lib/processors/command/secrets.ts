/**
 * The secrets of a command.
 *
 * @module
 */

import type { CommandConfig } from "./config.ts";
import { MIN_SECRET_CHARACTERS, Secrets } from "../secrets.ts";

/** The values that must not be shown, of the variables that a program gets. */
export function secretsOf(
  { secrets }: CommandConfig,
  variables: Readonly<Record<string, string>>,
): Secrets {
  return new Secrets(
    secrets.flatMap((name) => variables[name] || []),
  );
}

/** The secrets that are too short to be found in a text, a sentence each. */
export function shortSecrets(
  { secrets }: CommandConfig,
  variables: Readonly<Record<string, string>>,
): string[] {
  return secrets.filter((name) => {
    const value = variables[name] ?? "";
    return value !== "" && value.length < MIN_SECRET_CHARACTERS;
  }).map((name) =>
    `The secret ${name} has less than ${MIN_SECRET_CHARACTERS} characters: ` +
    "it can't be told from other text."
  );
}
