/**
 * Whether the runner beside the service claims tasks.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import type { RunnerEvents } from "../../runner/events.ts";
import type { RunnerStatus } from "./context.ts";

/** Goes by the last claim; dispose of it with its runner. */
export class RunnerHealth implements RunnerStatus, Disposable {
  readonly #drain: AbortSignal;
  readonly #subscription: Disposable;
  #problem: string | undefined = "it has not claimed yet";

  constructor(
    { events, drain }: {
      readonly events: RunnerEvents;
      readonly drain: AbortSignal;
    },
  ) {
    this.#drain = drain;
    this.#subscription = events.subscribe((event) => {
      if (event.type === "claimed") this.#problem = undefined;
      if (event.type === "pass failed") this.#problem = messageOf(event.error);
    });
  }

  problem(): string | undefined {
    return this.#drain.aborted ? "it is stopping" : this.#problem;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
