/**
 * Finds what is known of an agent: ours by its name, another in the user's file.
 *
 * @module
 */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { messageOf, UserError } from "../../base/errors.ts";
import type { Dialect } from "./dialect.ts";
import { DIALECTS } from "./dialects.ts";

const EXPECTED =
  "its default export must be a Dialect: an object with the texts " +
  "name and program, the list knownVersions, and the functions args, openArgs " +
  "and read";

/**
 * The dialect of an agent.
 *
 * @param agent a name, or the path of a file, from `baseFolder`
 * @throws {UserError} that says why a file can't be used.
 */
export async function loadDialect(
  agent: string,
  baseFolder: string,
): Promise<Dialect> {
  if (Object.hasOwn(DIALECTS, agent)) {
    return DIALECTS[agent as keyof typeof DIALECTS];
  }
  const path = resolve(baseFolder, agent);
  let exported: { readonly default?: unknown };
  try {
    exported = await import(pathToFileURL(path).href);
  } catch (error) {
    throw unusable(path, messageOf(error), error);
  }
  if (!isDialect(exported.default)) throw unusable(path, EXPECTED);
  return exported.default;
}

function unusable(path: string, why: string, cause?: unknown): UserError {
  return new UserError(`Cannot use the agent ${path}: ${why}.`, { cause });
}

function isDialect(value: unknown): value is Dialect {
  if (typeof value !== "object" || value === null) return false;
  const { name, program, knownVersions, args, openArgs, read } =
    value as Record<string, unknown>;
  return [name, program].every((it) => typeof it === "string" && it !== "") &&
    Array.isArray(knownVersions) &&
    [args, openArgs, read].every((it) => typeof it === "function");
}
