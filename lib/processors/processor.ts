/**
 * What does a task's work, and how the tasks of a provider are run.
 *
 * @module
 */

import type { Hours } from "../base/hours.ts";
import type { TaskLimits } from "../task/limits.ts";
import type { OutputKind } from "../task/run_log.ts";
import type { AgentSession } from "../task/session.ts";
import type { Budget, Price } from "../task/usage.ts";
import type { TaskWorkspace } from "../task/workspace.ts";
import type {
  AgentTask,
  Answer,
  JsonObject,
  Outcome,
  RunNoteKind,
  TaskResult,
} from "../task/task.ts";

export type { OutputKind } from "../task/run_log.ts";

/** What a processor is given beside its task. */
export interface ProcessorContext {
  /** Aborts when the run must stop: shutdown, cancel, timeout, lost lease. */
  readonly signal: AbortSignal;
  /** `<task id>:<attempt>`: the same for a request that is sent twice. */
  readonly idempotencyKey: string;
  /** The task's trace; empty where there is none. */
  readonly trace: JsonObject;
  /** What people answered to this task's questions, oldest first. */
  readonly answers: readonly Answer[];
  /** What came of the tasks that this one waited for; empty where it did for none. */
  readonly results: readonly TaskResult[];
  /**
   * Notes how far the work is. Written soon, in groups; never fails. A message
   * of more than 1,000 characters is cut.
   *
   * @param fraction how much is done, from 0 to 1; stays until another is given
   */
  progress(message: string, fraction?: number): void;
  /**
   * Puts what happens into the task's history. What is given beside it is kept with
   * the task, for its next run. Written soon; never fails.
   */
  note(kind: RunNoteKind, detail: string, kept?: KeptWithTask): void;
  /**
   * A line that the work prints: to the log of its run, and to the runner's log at
   * DEBUG or to who watches.
   *
   * @param kind where it comes from. Default: "stdout"
   */
  output(line: string, kind?: OutputKind): void;
}

/** What a run keeps with its task, in place of what it kept before. */
export interface KeptWithTask {
  readonly session?: AgentSession;
  readonly workspace?: TaskWorkspace;
}

/** Does the work of the tasks of one provider. */
export interface Processor {
  /** What it is called in messages. */
  readonly name: string;
  /**
   * How long a run may take to end after it was told to stop, in milliseconds.
   * Then its outcome does not count any more. @default {1000}
   */
  readonly stopGraceMs?: number;
  /**
   * It does no work: what comes of it is marked. So it may do that once more in the
   * same attempt, and need not wait until the store knows that this has begun.
   * @default {false}
   */
  readonly isSimulated?: boolean;
  /** Does a task's work. Throwing is the same as a failed outcome. */
  process(task: AgentTask, context: ProcessorContext): Promise<Outcome>;
  /** What it would do for a task, in a line: `runs claude -p "Fix it"`. */
  describe?(task: AgentTask): string;
  /**
   * Tries what can be tried without doing work.
   *
   * @param options.isOffline uses no network. Default: false
   * @param options.isQuiet starts no program either. Default: false
   * @returns what is wrong, a sentence each
   */
  check?(options?: CheckOptions): Promise<readonly string[]>;
  /**
   * What keeps some of its tasks waiting, or is hardly meant, a sentence each. The
   * others are served.
   */
  warnings?(): Promise<readonly string[]>;
  /** Asks the program that it runs for its version. Starts it. */
  version?(): Promise<ProgramVersion>;
  /** Stops what it has started. */
  [Symbol.asyncDispose]?(): Promise<void>;
}

/** What a program says of its version, in words for people. */
export type ProgramVersion =
  /** `claude 2.1.197`, with a word more where that is not a known one. */
  | { readonly version: string }
  /** Why it is not known: `claude --version ended with exit code 3`. */
  | { readonly unknown: string };

/** Options for {@linkcode Processor.check}. */
export interface CheckOptions {
  readonly isOffline?: boolean;
  readonly isQuiet?: boolean;
}

/** Finds the processor of a provider. */
export type ProcessorLookup = (provider: string) => Processor | undefined;

/**
 * Settings of one provider. What is left out is the runner's own setting; what
 * a task sets for itself wins over both.
 */
export interface ProviderSettings {
  /** How long one run may take, in milliseconds; 0 for ever. */
  readonly timeoutMs?: number;
  /** Attempts before a failure is final. */
  readonly attempts?: number;
  /** Tasks that run at the same time. */
  readonly concurrency?: number;
  /** Tasks that run at the same time, of all runners together. */
  readonly globalConcurrency?: number;
  /** What of its tasks may begin, of all runners together. */
  readonly taskLimits?: TaskLimits;
  /** Only then its tasks begin. */
  readonly hours?: Hours;
  /** Gets its tasks while its limit or its budget is reached. */
  readonly fallback?: string;
  /** Its processor is an agent, which costs. @default {false} */
  readonly isAgent?: boolean;
  /** What its runs may use; then it is paused. */
  readonly budget?: Budget;
  /** What its models cost, where its agent tells tokens only. */
  readonly prices?: ReadonlyMap<string, Price>;
  /** Delays between the attempts, in milliseconds. */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
}
