/**
 * Writes what runs print: at most once a second, in one commit for all of them, and
 * beside all else. Nothing waits for it, and what it can't write takes no more
 * memory than this.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseError, messageOf } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import type { Log } from "../base/log.ts";
import { orAborted } from "../base/wake.ts";
import type { ProcessorContext } from "../processors/processor.ts";
import type { Queue } from "../store/contract.ts";
import type { Lease } from "../task/task.ts";
import { outputLines } from "./output_lines.ts";
import { type Batch, RunLog } from "./run_log.ts";

/** The first line of many waits so long for others, */
const FIRST_MS = 100;
/** and all else for so long since the last commit. */
const COMMIT_MS = 1_000;
/** The most characters of one commit, and those that may wait, of all runs. */
const COMMIT_CHARACTERS = 4 * 1024 ** 2;
const MOST_CHARACTERS = 16 * 1024 ** 2;
/** How long the end of the runner waits for what is left; where it is hurried. */
const CLOSE_MS = 5_000;
const HURRIED_CLOSE_MS = 500;

/** Options for {@linkcode RunLogs}. */
export interface RunLogsOptions {
  readonly queue: Pick<Queue, "writeLogs">;
  readonly clock: Clock;
  readonly log: Log;
  /** How many characters are kept of each run; 0: none. */
  readonly limit: number;
}

/** The logs of the runs in hand. */
export class RunLogs {
  readonly #options: RunLogsOptions;
  /** Those that have something to write. */
  readonly #waiting = new Set<RunLog>();
  #characters = 0;
  #writing: Promise<void> | undefined;
  readonly #closing = new AbortController();
  readonly #abandoned = new AbortController();
  #isFailing = false;

  constructor(options: RunLogsOptions) {
    this.#options = options;
  }

  /** What takes the lines of a run; undefined where none are kept. */
  of(lease: Lease): ProcessorContext["output"] | undefined {
    const { limit } = this.#options;
    if (limit === 0) return undefined;
    let log: RunLog | undefined;
    return (line, kind = "stdout") => {
      if (this.#closing.signal.aborted) return;
      log ??= new RunLog(lease, limit);
      const at = this.#options.clock.monotonic();
      for (const text of outputLines(line)) {
        const before = log.characters;
        const room = MOST_CHARACTERS - this.#characters;
        log.add({ kind, text, at, room });
        this.#characters += log.characters - before;
      }
      if (log.characters === 0) return;
      this.#waiting.add(log);
      this.#writing ??= this.#writeAll();
    };
  }

  /**
   * Writes what is left, and takes no more. Gives up after five seconds; where it
   * `isHurried`, after half a second.
   */
  async close({ isHurried }: { readonly isHurried: boolean }): Promise<void> {
    this.#closing.abort();
    const { clock } = this.#options;
    const { signal } = this.#abandoned;
    if (this.#writing) {
      const done = new AbortController();
      clock.sleep(isHurried ? HURRIED_CLOSE_MS : CLOSE_MS, done.signal)
        .then(() => this.#abandoned.abort());
      await orAborted(this.#writing, signal);
      done.abort();
    }
  }

  async #writeAll(): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(FIRST_MS, this.#closing.signal);
    while (this.#waiting.size > 0 && !this.#abandoned.signal.aborted) {
      const isWritten = await this.#write();
      // What fails now is not tried without a pause; all else is, at the end.
      const pauseEnd = isWritten
        ? this.#closing.signal
        : this.#abandoned.signal;
      await clock.sleep(COMMIT_MS, pauseEnd);
    }
    this.#writing = undefined;
  }

  /** One commit. Says whether it went well. */
  async #write(): Promise<boolean> {
    const { queue } = this.#options;
    const batches = this.#take();
    const pieces = batches.flatMap(({ pieces }) => pieces);
    const cuts = batches.flatMap(({ cuts }) => cuts);
    try {
      await queue.writeLogs({ pieces, cuts }, {
        signal: this.#abandoned.signal,
      });
    } catch (error) {
      this.#failed(batches, error);
      return false;
    }
    this.#isFailing = false;
    for (const { written, characters } of batches) {
      written();
      this.#characters -= characters;
    }
    return true;
  }

  /** Of each run in turn, as much as one commit may have. */
  #take(): Batch[] {
    const now = this.#options.clock.monotonic();
    const batches: Batch[] = [];
    let room = COMMIT_CHARACTERS;
    for (const log of [...this.#waiting]) {
      if (room <= 0) break;
      const batch = log.take(room, now);
      room -= batch.characters;
      this.#waiting.delete(log);
      // Behind those that have not had their turn.
      if (log.characters > 0) this.#waiting.add(log);
      batches.push({
        ...batch,
        failed: () => {
          const before = log.characters;
          batch.failed();
          const restored = log.characters - before;
          this.#characters += restored - batch.characters;
          this.#waiting.add(log);
        },
      });
    }
    return batches;
  }

  /** What the store can't take just now waits; what it never takes is let go. */
  #failed(batches: readonly Batch[], error: unknown): void {
    const isDefect = !(error instanceof DatabaseError);
    for (const { failed, characters } of batches) {
      if (isDefect) this.#characters -= characters;
      else failed();
    }
    if (this.#isFailing || this.#abandoned.signal.aborted) return;
    this.#isFailing = true;
    const message = messageOf(error);
    this.#options.log.warning(
      `Cannot write the output of ${countOf(batches.length, "run")}${
        isDefect ? "" : " yet"
      }: ${message}`,
      { event: "output_delayed", count: batches.length, error: message },
    );
  }
}
