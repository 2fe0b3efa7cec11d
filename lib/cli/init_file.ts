/**
 * Writes the configuration file of `agent-runner init`, and never over another.
 *
 * @module
 */

import { dirname, join, resolve } from "node:path";
import { messageOf, UsageError, UserError } from "../base/errors.ts";
import { jsonSchema } from "../config/schema.ts";
import { configText, type InitChoice, SCHEMA_FILE } from "./init_text.ts";

/**
 * Where a file would be written.
 *
 * @throws {UserError} where it is there, or its folder is not.
 */
export async function newFile(
  path: string,
): Promise<{ readonly folder: string }> {
  try {
    await Deno.stat(dirname(path));
  } catch (error) {
    throw cannotWrite(path, error);
  }
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return { folder: dirname(resolve(path)) };
    }
    throw cannotWrite(path, error);
  }
  throw isThere(path);
}

/**
 * Writes it, and for editors its schema, where there is none.
 *
 * @returns what was written, for people
 * @throws {UserError} where that can't be.
 */
export async function writeFiles(
  path: string,
  choice: InitChoice,
): Promise<string> {
  await write(path, configText(choice));
  return await writeSchema(path);
}

async function write(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text, { createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw isThere(path);
    throw cannotWrite(path, error);
  }
}

function isThere(path: string): UsageError {
  return new UsageError(
    `Cannot write ${path}: it is there already. agent-runner config check says ` +
      "what it does; move it away, or give another with --config.",
  );
}

function cannotWrite(path: string, cause: unknown): UserError {
  const why = cause instanceof Deno.errors.NotFound
    ? `the folder ${dirname(path)} does not exist. Make it.`
    : messageOf(cause);
  return new UserError(`Cannot write ${path}: ${why}`, { cause });
}

async function writeSchema(path: string): Promise<string> {
  const file = join(dirname(path), SCHEMA_FILE);
  const text = `${JSON.stringify(jsonSchema(), null, 2)}\n`;
  try {
    await Deno.writeTextFile(file, text, { createNew: true });
    return `Wrote ${path}, and ${file}, by which editors complete it.\n`;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw cannotWrite(file, error);
    }
    return `Wrote ${path}. ${file} was there already; renew it with\n` +
      `agent-runner config schema > ${file}\n`;
  }
}
