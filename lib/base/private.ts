/**
 * Keeps files and secrets from others on this machine.
 *
 * @module
 */

import { openLibc } from "./libc.ts";

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
 * root can read its environment and its memory: what it starts can't. False
 * where that can't be had.
 */
export function keepPrivate(): boolean {
  if (!hasModes) return true;
  const libc = openLibc(SYMBOLS)?.symbols;
  if (!libc) return false;
  setUmask = libc.umask;
  given = setUmask(ALL_BUT_OWNER);
  return !libc.prctl || libc.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n) === 0;
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
