/**
 * Keeps files and secrets from others on this machine.
 *
 * @module
 */

import { openLibc } from "./libc.ts";
import type { Log } from "./log.ts";

const hasModes = Deno.build.os !== "windows";
const OTHERS = 0o007;
const ALL_BUT_OWNER = 0o077;
const PR_SET_DUMPABLE = 4;
const SYMBOLS = {
  // `Deno.umask` is to be had only with all of --allow-sys.
  umask: { parameters: ["u32"], result: "u32" },
  prctl: {
    parameters: ["i32", "usize", "usize", "usize", "usize"],
    result: "i32",
    optional: true,
  },
} as const;

let setUmask: ((mask: number) => number) | undefined;
/** What this process was started with. */
let given = 0;

/**
 * From now on, what this process makes is for its owner only, and on Linux only
 * root can read its environment and its memory: what it starts can't. Says so
 * where that can't be had.
 */
export function keepPrivate(log: Log): void {
  if (!hasModes) return;
  const libc = openLibc(SYMBOLS)?.symbols;
  setUmask = libc?.umask;
  given = setUmask?.(ALL_BUT_OWNER) ?? 0;
  const isDone = libc &&
    (!libc.prctl || libc.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n) === 0);
  if (isDone) return;
  log.warning(
    "Cannot keep files and secrets from others on this machine: the C library " +
      "can't be called. Set umask 077 before the start.",
    { event: "not_private" },
  );
}

/**
 * Calls what starts a program, at once, which gets the umask that this process
 * was started with: what it makes is its own matter. What another thread makes
 * just then, as DuckDB its log, is made so too.
 */
export function withGivenUmask<T>(start: () => T): T {
  setUmask?.(given);
  try {
    return start();
  } finally {
    setUmask?.(ALL_BUT_OWNER);
  }
}

/** Whether users who neither own a file nor are of its group may use it. */
export function isOpenToOthers(path: string): boolean {
  return hasModes && ((Deno.statSync(path).mode ?? 0) & OTHERS) !== 0;
}
