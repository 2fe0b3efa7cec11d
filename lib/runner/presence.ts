/**
 * Says that a runner is there, and hears where somebody asks it to drain. Nothing
 * waits for it.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { orAborted, Wake } from "../base/wake.ts";
import type { Presence as Facts, Queue } from "../store/contract.ts";

/** Options for {@linkcode Presence}. */
export interface PresenceOptions {
  readonly queue: Pick<Queue, "present" | "leave" | "onChange">;
  readonly clock: Clock;
  readonly log: Log;
  /** What the runner says of itself. */
  readonly facts: Omit<Facts, "upMs">;
  /** Called once, when it is to drain. */
  readonly onDrain: () => void;
}

/** How often it is said that the runner is there. */
const PRESENT_MS = 30_000;
/** How often at most the store is asked where it changes all the time. */
const LEAST_MS = 5_000;
/** The end of the runner waits so long for its row to be deleted. */
const LEAVE_MS = 1_000;

/** Is there until it is disposed of. */
export class Presence implements AsyncDisposable {
  readonly #options: PresenceOptions;
  readonly #closed = new AbortController();
  readonly #change = new Wake();
  readonly #subscription: Disposable;
  readonly #startedAt: number;
  readonly #presenting: Promise<void>;
  #isDraining = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
    this.#subscription = options.queue.onChange(() => this.#change.wake());
    this.#presenting = this.#presentAlways();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { clock } = this.#options;
    this.#subscription[Symbol.dispose]();
    this.#closed.abort();
    this.#change.wake();
    const left = new AbortController();
    const late = new AbortController();
    clock.sleep(LEAVE_MS, left.signal).then(() => late.abort());
    await orAborted(this.#leave(late.signal), late.signal);
    left.abort();
  }

  async #presentAlways(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#closed.signal.aborted) {
      await this.#present();
      await clock.sleep(LEAST_MS, this.#closed.signal);
      await this.#change.wait(clock, PRESENT_MS - LEAST_MS);
    }
  }

  async #present(): Promise<void> {
    const { queue, clock, facts, onDrain } = this.#options;
    const { signal } = this.#closed;
    const upMs = clock.monotonic() - this.#startedAt;
    try {
      const { isDraining } = await queue.present({ ...facts, upMs }, {
        signal,
      });
      if (!isDraining || this.#isDraining || signal.aborted) return;
      this.#isDraining = true;
      onDrain();
    } catch (error) {
      if (!signal.aborted) this.#logFailed(error);
    }
  }

  /** When what was said before can't come after it any more. */
  async #leave(signal: AbortSignal): Promise<void> {
    const { queue, facts } = this.#options;
    await this.#presenting;
    try {
      await queue.leave(facts.name, { signal });
    } catch (error) {
      this.#logFailed(error);
    }
  }

  /** Who looks sees a runner that was not seen for a while. */
  #logFailed(error: unknown): void {
    const { log } = this.#options;
    log.debug(`Cannot say that this runner is there: ${messageOf(error)}`, {
      event: "presence_failed",
      error: messageOf(error),
    });
  }
}
