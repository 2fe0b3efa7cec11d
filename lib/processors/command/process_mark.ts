/**
 * Marks a program and all that it starts, however far removed.
 *
 * Linux shows two things of a process that its children inherit: its
 * environment, which `env -i` clears, and its limits, which nearly nothing
 * touches. One of these, of locks on files, has had no effect since Linux 2.4.25,
 * so it can carry a number. That takes no rights and no process of our own. A
 * "child subreaper" would be one for each program, since what is orphaned does
 * not tell whose it was; and a namespace or a cgroup is not to be had everywhere.
 *
 * @module
 */

import { openLibc } from "../../base/libc.ts";

/** The variable that carries the mark where limits can't. */
export const MARK_VARIABLE = "AGENT_RUNNER_RUN";

/** As /proc/…/limits calls it. */
export const MARK_LIMIT = "Max file locks";

/** Its number for the system: RLIMIT_LOCKS. */
const LIMIT = 10;
const SYMBOLS = {
  prlimit: {
    parameters: ["i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
} as const;

/** Marks have this many digits, the first ones of them for the whole runner. */
const DIGITS = 18;
const RUNNER_DIGITS = 10;
/** What is counted with the other digits; the first of so many is long gone. */
const COUNTS = 10 ** (DIGITS - RUNNER_DIGITS);

/** The marks of one runner's programs. Dispose of it to close what it opened. */
export class ProcessMarks implements Disposable {
  /** What the marks of all its programs begin with. */
  readonly runner = randomDigits(RUNNER_DIGITS);
  #count = 0;
  #libc: Deno.DynamicLibrary<typeof SYMBOLS> | undefined;

  /** Makes a mark. */
  next(): string {
    this.#count = (this.#count + 1) % COUNTS;
    return this.runner +
      String(this.#count).padStart(DIGITS - RUNNER_DIGITS, "0");
  }

  /**
   * Calls what starts a program, at once. The program has the mark as its limit,
   * and without one that of no runner, not even of one that runs this runner.
   *
   * This process has the limit too for that moment. Nobody looks for the mark as
   * yet; but what another thread starts just then is taken for the program's.
   *
   * @returns what was started, and whether it has the limit.
   */
  startWith<T>(
    mark: string | undefined,
    start: () => T,
  ): { readonly started: T; readonly isLimited: boolean } {
    const limit = new BigUint64Array(2);
    const libc = this.#open();
    if (!libc || libc.prlimit(0, LIMIT, null, limit) !== 0) {
      return { started: start(), isLimited: false };
    }
    const [, most = 0n] = limit;
    const marked = new BigUint64Array([mark ? BigInt(mark) : most, most]);
    const isLimited = libc.prlimit(0, LIMIT, marked, null) === 0;
    try {
      return { started: start(), isLimited };
    } finally {
      libc.prlimit(0, LIMIT, limit, null);
    }
  }

  [Symbol.dispose](): void {
    this.#libc?.close();
    this.#libc = undefined;
  }

  #open() {
    if (Deno.build.os !== "linux") return undefined;
    this.#libc ??= openLibc(SYMBOLS);
    return this.#libc?.symbols;
  }
}

/** So many digits, of which the first is not 0. */
function randomDigits(count: number): string {
  const [first = 0, ...others] = crypto.getRandomValues(new Uint8Array(count));
  return [first % 9 + 1, ...others.map((it) => it % 10)].join("");
}
