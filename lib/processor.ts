/**
 * What does a task's work.
 *
 * @module
 */

import type { AgentTask, JsonObject, Outcome } from "./task.ts";

/** What a processor is given beside its task. */
export interface ProcessorContext {
  /** Aborts when the run must stop: shutdown, cancel, timeout, lost lease. */
  readonly signal: AbortSignal;
  /** `<task id>:<attempt>`: the same for a request that is sent twice. */
  readonly idempotencyKey: string;
  /** The task's trace; empty where there is none. */
  readonly trace: JsonObject;
  /** Notes how far the work is. Written soon, in groups; never fails. */
  progress(message: string): void;
}

/** Does the work of the tasks of one provider. */
export interface Processor {
  /** What it is called in messages. */
  readonly name: string;
  /** Does a task's work. Throwing is the same as a failed outcome. */
  process(task: AgentTask, context: ProcessorContext): Promise<Outcome>;
}

/** Finds the processor of a provider. */
export type ProcessorLookup = (provider: string) => Processor | undefined;
