/**
 * Looks at a database file from the outside.
 *
 * DuckDB's lock on the file is a POSIX one: it is gone as soon as this process
 * opens and closes the file in any other way (copy, read), and then another
 * process can destroy the data. `stat` is safe. `Deno.watchFs` is not: it opens
 * and closes each file that changes in the watched folder.
 *
 * @module
 */

import { existsSync } from "node:fs";

/** What each write-ahead log begins with. */
const WAL_START = [0x64, 0x00, 0x62];

/** DuckDB drops one that begins with anything else, and says nothing. */
export async function assertWalIsOne(path: string): Promise<void> {
  if (path === ":memory:") return;
  const start = new Uint8Array(WAL_START.length);
  try {
    using file = await Deno.open(`${path}.wal`);
    if (await file.read(start) !== start.length) return;
  } catch {
    return; // There is none, or DuckDB says better why it can't be read.
  }
  if (WAL_START.some((byte, index) => start[index] !== byte)) {
    throw new Error("Failure while replaying WAL");
  }
}

/**
 * A text that changes with every commit to the file. Another process's commit
 * shows in the file or in its write-ahead log.
 */
export function fingerprintOf(path: string): string {
  return [path, `${path}.wal`].map((name) => {
    const info = statOf(name);
    return info && `${info.ino} ${info.size} ${info.mtime?.getTime()}`;
  }).join(", ");
}

/** How many bytes of write-ahead log DuckDB has not folded in. */
export function logSize(path: string): number {
  return statOf(`${path}.wal`)?.size ?? 0;
}

/**
 * In step: asking a thread to do it takes ten times as long. Asks first whether
 * it exists: an idle runner spent most of its time on the error that says no.
 */
export function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return existsSync(path) ? Deno.statSync(path) : undefined;
  } catch {
    return undefined; // Out of reach: opening it says why.
  }
}

/** Tells one file from another at the same path; undefined where there is none. */
export function inodeOf(path: string): number | null | undefined {
  return statOf(path)?.ino;
}
