/**
 * What the author of a plugin imports: the types of a module that does the work
 * of a provider's tasks. Types only, so a plugin depends on nothing at run time.
 *
 * ```ts
 * import type { Plugin } from "jsr:@handsfree/agent-runner/plugin";
 *
 * export default {
 *   name: "greeter",
 *   process(task, context) {
 *     context.progress("Greeting", 0.5);
 *     return { kind: "completed", result: `Hello, ${task.instruction}` };
 *   },
 * } satisfies Plugin;
 * ```
 *
 * @module
 */

import type { ProcessorContext as PluginContext } from "../processor.ts";
import type {
  Answer,
  JsonObject,
  JsonValue,
  TargetType,
  TaskResult,
} from "../../task/task.ts";

export type {
  Answer,
  JsonObject,
  JsonValue,
  PluginContext,
  TargetType,
  TaskResult,
};

/** What a plugin is told about its task. */
export interface PluginTask {
  /** UUID. */
  readonly id: string;
  /** UUID of the person or service that the task belongs to. */
  readonly userId: string;
  /** What chose this plugin. */
  readonly provider: string;
  /** What the task is about, if anything. */
  readonly targetType: TargetType | null;
  /** `owner/repo#123`, or `#123` where the repository is unknown. */
  readonly targetRef: string | null;
  /** What is to be done, in words. */
  readonly instruction: string | null;
  /** Higher first. */
  readonly priority: number;
  /** Claims so far, this one included. */
  readonly attempt: number;
  /** When the task was created. */
  readonly createdAt: Date;
}

/** What came of a task. */
export type PluginOutcome =
  | {
    readonly kind: "completed";
    readonly result?: JsonValue;
    readonly message?: string;
    /** What was not as it should be though the work is done. */
    readonly warning?: string;
  }
  | {
    readonly kind: "failed";
    readonly error: string;
    /** False where a second try can't help. @default {true} */
    readonly retryable?: boolean;
    /** Not tried again sooner; without it, the backoff decides. */
    readonly retryAfterMs?: number;
    /**
     * All tasks of the provider would fail of it, as of a wrong key: they wait, as
     * for a limit whose end nobody knows. @default {false}
     */
    readonly pausesProvider?: boolean;
  }
  /** Asks a person; the task is run again with `context.answers`. */
  | {
    readonly kind: "needs_input";
    readonly question: string;
    /** The task fails where nobody answers within this time. Default: never. */
    readonly answerWithinMs?: number;
  }
  /** The provider's limit is reached: all its tasks wait. Costs no attempt. */
  | {
    readonly kind: "limited";
    readonly reason: string;
    /** Until the limit ends, in milliseconds. Default: nobody knows. */
    readonly waitMs?: number;
  };

/**
 * Does the work of tasks, several at the same time. When the signal of a run
 * aborts, that has half a second to return. A plugin that never comes back to
 * the event loop is ended then, with all its runs; one that only ignores the
 * signal when its other runs are over.
 */
export interface Plugin {
  /** What the log calls it when it is loaded. */
  readonly name?: string;
  /** Does a task's work. Throwing is the same as a failed outcome. */
  process(
    task: PluginTask,
    context: PluginContext,
  ): PluginOutcome | Promise<PluginOutcome>;
}

/** Makes a plugin of the `options` that the configuration gives. */
export type PluginFactory<Options = JsonValue> = (
  options: Options,
) => Plugin | Promise<Plugin>;
