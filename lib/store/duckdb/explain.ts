/**
 * What DuckDB's errors mean, and what to do.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import {
  DatabaseBusyError,
  DatabaseError,
  messageOf,
} from "../../base/errors.ts";

/** DuckDB says of it that it is no database. */
export const EMPTY_FILE = /Empty file/;

/** What DuckDB says, what that means, and what to do. The first match counts. */
const EXPLANATIONS: readonly (readonly [RegExp, string, string])[] = [
  [
    /No such file or directory|Not a directory/i,
    "its folder does not exist",
    "Create the folder, or give another --db.",
  ],
  [
    /Is a directory/i,
    "it is a folder",
    "Give the path of a file with --db.",
  ],
  [
    EMPTY_FILE,
    "it is an empty file",
    "Delete it: a database is made where there is no file.",
  ],
  [
    /not a valid DuckDB database file|sqlite_scanner|in-memory database/i,
    "it is not a DuckDB database",
    "Give another --db; this file was left as it is.",
  ],
  [
    /Permission denied|Read-only file system|Operation not permitted/i,
    "no permission to read and write it",
    "Run as the file's owner, or change its permissions. Where it can be " +
    "read, agent-runner sql reads it.",
  ],
  [
    /No space left on device|Disk quota exceeded/i,
    "the disk is full",
    "Free some space and try again; what was committed is safe.",
  ],
  [
    /replay.*WAL|WAL.*replay|write-ahead log/i,
    "its write-ahead log (.wal) can't be replayed",
    "Nothing was changed. Keep a copy of both files; without the .wal file " +
    "the database opens as it was at its last checkpoint.",
  ],
  [
    /Could not read enough bytes|Corrupt database file|checksum/i,
    "it is damaged or incomplete",
    "Restore it from a copy; this file was left as it is.",
  ],
  [
    /File too large/i,
    "the file may not grow further",
    "Raise the limit on the size of files (ulimit -f), or free some space.",
  ],
  [
    /Out of Memory Error/,
    "its texts take more memory than there is",
    "Free some memory, or delete what has ended: agent-runner prune.",
  ],
  [
    /still referenced by a foreign key/i,
    "DuckDB refuses to update a row that a foreign key refers to where an " +
    "index covers a changed column",
    "Drop the index or the foreign key.",
  ],
  [
    /version number \d+, but we can only read/i,
    "it was written by a newer DuckDB",
    "Update agent-runner, or give another --db.",
  ],
];

/**
 * Refuses a path at which there is nothing: DuckDB would make a database of a
 * slip of the pen.
 *
 * @throws {DatabaseError}
 */
export function assertDatabaseExists(path: string): void {
  try {
    Deno.statSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return; // DuckDB says why.
    throw new DatabaseError(
      existsSync(dirname(path))
        ? `Cannot open ${path}: there is no such file. agent-runner create, ` +
          "run or serve makes it, or give another --db."
        : `Cannot open ${path}: its folder does not exist. ` +
          "Create the folder, or give another --db.",
    );
  }
}

const LOCK_HOLDER = /Conflicting lock is held in (.+?) \(PID (\d+)\)/;

/** Turns an error of DuckDB into one that says what to do. */
export function explainDuckDbError(error: unknown, path: string): Error {
  if (error instanceof DatabaseError) return error;
  const message = messageOf(error);
  if (/Could not set lock|used by another process/i.test(message)) {
    const [, program, pid] = LOCK_HOLDER.exec(message) ?? [];
    const holder = program ? `${program} (PID ${pid})` : "another process";
    return new DatabaseBusyError(
      `Cannot open ${path}: ${holder} holds it. ` +
        "Wait until it lets go, or give a longer --db-wait.",
      { cause: error, holder, keepsAllOut: true },
    );
  }
  return new DatabaseError(`Cannot use ${path}: ${explanationOf(error)}`, {
    cause: error,
  });
}

/** What an error of DuckDB means, and what to do; what it says where that is new. */
export function explanationOf(error: unknown): string {
  const message = messageOf(error);
  const known = EXPLANATIONS.find(([pattern]) => pattern.test(message));
  return known ? `${known[1]}. ${known[2]}` : `${message.split("\n")[0]}`;
}
