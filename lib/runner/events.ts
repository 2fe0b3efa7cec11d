/**
 * What the runner tells whoever listens: a progress line, metrics, webhooks.
 *
 * @module
 */

import type { EndedTask } from "../store/contract.ts";
import type { AgentTask, Transition } from "../task/task.ts";

/** Something that happened, to a task mostly; then it is committed. */
export type RunnerEvent =
  /** A claim went well. */
  | { readonly type: "claimed" }
  /** Runs were begun. */
  | { readonly type: "begun"; readonly tasks: readonly AgentTask[] }
  | {
    readonly type: "recorded";
    readonly task: AgentTask;
    readonly transition: Transition;
    /** From the start of the run to its outcome. */
    readonly runMs: number;
    readonly isSimulated: boolean;
  }
  | { readonly type: "lost"; readonly task: AgentTask }
  /** Tasks that were ended without a run. */
  | { readonly type: "ended"; readonly ended: readonly EndedTask[] }
  /** One commit of outcomes and notes of progress. */
  | { readonly type: "committed"; readonly rows: number }
  /** What waited for other tasks may be claimed now. */
  | { readonly type: "unblocked" }
  /** A provider's tasks waited, and can be worked on now. */
  | { readonly type: "usable"; readonly provider: string }
  | { readonly type: "pass failed"; readonly error: unknown };

/** Called with each event. */
export type Subscriber = (event: RunnerEvent) => void;

/** Hands events to subscribers. One that throws never reaches the emitter. */
export class RunnerEvents {
  readonly #subscribers = new Set<Subscriber>();
  readonly #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Adds a subscriber. Returns what removes it. */
  subscribe(subscriber: Subscriber): Disposable {
    this.#subscribers.add(subscriber);
    return { [Symbol.dispose]: () => this.#subscribers.delete(subscriber) };
  }

  emit(event: RunnerEvent): void {
    for (const subscriber of this.#subscribers) {
      try {
        subscriber(event);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
