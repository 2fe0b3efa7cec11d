/**
 * A program with all that it starts, which ends as a whole.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import type { ProcessGuard } from "./process_guard.ts";

/** Pauses between two looks whether a group is still there; each is doubled. */
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 200;
/** How long a killed program may take to be gone. */
const KILL_MS = 5_000;

/** What a program is started with. */
export interface ProgramOptions {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly hasStdin: boolean;
}

/** What trees are started with. */
export interface ProcessTreeParts {
  readonly guard: ProcessGuard;
  readonly clock: Clock;
}

/**
 * A running program. On Linux its tree is everything that it has started,
 * however far removed; elsewhere on Unix its process group; on Windows the
 * program alone.
 */
export class ProcessTree {
  readonly #child: Deno.ChildProcess;
  readonly #mark: string;
  readonly #parts: ProcessTreeParts;
  #hasEnded = false;
  #ending: Promise<boolean> | undefined;

  /**
   * Starts a program in a session of its own.
   *
   * @throws what `Deno.Command` throws.
   */
  constructor(
    program: string,
    { args, cwd, env, hasStdin }: ProgramOptions,
    parts: ProcessTreeParts,
  ) {
    this.#parts = parts;
    const { child, mark } = parts.guard.start((marks) =>
      new Deno.Command(program, {
        args: [...args],
        cwd,
        clearEnv: true,
        env: { ...env, ...marks },
        detached: true,
        stdin: hasStdin ? "piped" : "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn()
    );
    this.#child = child;
    this.#mark = mark;
    this.#child.status.then(() => this.#hasEnded = true);
  }

  get child(): Deno.ChildProcess {
    return this.#child;
  }

  /**
   * Ends the tree: politely, and what is left after `graceMs` for certain.
   * Resolves to false where something is left even so.
   */
  end(graceMs: number): Promise<boolean> {
    return this.#ending ??= this.#end(graceMs);
  }

  /**
   * Waits until nothing is left of the program's group, at most for `ms`.
   * Resolves to false where something is left.
   */
  async gone(ms: number): Promise<boolean> {
    const { clock, guard } = this.#parts;
    const deadline = clock.monotonic() + ms;
    let pauseMs = FIRST_PAUSE_MS;
    while (this.#signal(0)) {
      // What has ended may wait for a parent that never looks, as the first
      // process of a container.
      const { pid } = this.#child;
      if (this.#hasEnded && await guard.hasLiving(pid) === false) break;
      if (clock.monotonic() >= deadline) return false;
      await clock.sleep(pauseMs);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
    return true;
  }

  async #end(graceMs: number): Promise<boolean> {
    const { guard } = this.#parts;
    if (this.#signal("SIGTERM")) await this.gone(graceMs);
    this.#signal("SIGKILL");
    const isClean = await guard.killMarked(this.#mark) ??
      await this.gone(KILL_MS);
    guard.leave(this.#child.pid);
    return isClean;
  }

  /** Signals the group; false where nobody is there to hear it. */
  #signal(signal: Deno.Signal | 0): boolean {
    const { pid } = this.#child;
    try {
      Deno.kill(Deno.build.os === "windows" ? pid : -pid, signal);
      return true;
    } catch (error) {
      // macOS denies a signal to a group that has only ended.
      if (
        error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied
      ) return false;
      throw error;
    }
  }
}
