/**
 * Tells one run to stop.
 *
 * @module
 */

import type { StopReason } from "../task/task.ts";

/**
 * An abort signal that is made when somebody looks at it: making one for each of
 * 100,000 short runs costs more than the runs.
 */
export class StopSwitch {
  #reason: StopReason | undefined;
  #controller: AbortController | undefined;

  /** Why the run must stop; undefined while it may go on. */
  get reason(): StopReason | undefined {
    return this.#reason;
  }

  /** Aborts when the run must stop. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Called when the run must stop; set by whoever executes it. */
  onStop: (() => void) | undefined;

  /** Stops the run; the first reason counts. */
  stop(reason: StopReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.onStop?.();
  }
}
