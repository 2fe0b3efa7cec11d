/**
 * What the runner and a plugin's thread say to each other.
 *
 * Two workers stand between a plugin and the runner, because Deno can limit the
 * permissions of one kind and the memory of another, and can stop an endless
 * loop only in the latter: the guard, a Web Worker, has the plugin's permissions
 * and starts the plugin's thread, a Node.js worker, which inherits them.
 *
 * @module
 */

import type { PluginTask } from "./plugin.ts";
import type { Answer, JsonObject } from "../../task/task.ts";
import type { LoadGrant } from "./permissions.ts";

/** Starts the plugin's thread. */
export interface GuardOrder {
  /** URL of a module that is the thread's program. */
  readonly program: string;
  readonly thread: ThreadOrder;
  /** For {@linkcode FromGuard}; any message to the guard ends the thread. */
  readonly port: MessagePort;
}

/** What the guard says. */
export type FromGuard =
  /** The thread ended by itself; `error` says why where Deno knows. */
  | { readonly kind: "ended"; readonly error?: string }
  /** The thread is no more. */
  | { readonly kind: "gone" };

/** What the plugin's thread is to do. */
export interface ThreadOrder {
  /** URL of the plugin's file. */
  readonly plugin: string;
  readonly options: unknown;
  readonly memoryMb: number;
  /** To be given back before the plugin's first line runs. */
  readonly grants: readonly LoadGrant[];
  /** For {@linkcode ToThread} and {@linkcode FromThread}. */
  readonly port: MessagePort;
}

/** One run of a task. */
export interface RunOrder {
  readonly kind: "run";
  /** Names the run in later messages. */
  readonly run: number;
  readonly task: PluginTask;
  readonly idempotencyKey: string;
  readonly trace: JsonObject;
  readonly answers: readonly Answer[];
}

/** What the runner says. */
export type ToThread =
  | RunOrder
  | { readonly kind: "stop"; readonly run: number; readonly reason: string }
  | { readonly kind: "ping"; readonly ping: number };

/** What the plugin's thread says. */
export type FromThread =
  | { readonly kind: "ready"; readonly name?: string }
  /** The plugin can't be used. */
  | { readonly kind: "unusable"; readonly error: string }
  | {
    readonly kind: "progress";
    readonly run: number;
    readonly message: string;
    readonly fraction?: number;
  }
  /** A line that was printed: by a run, or outside of any. */
  | { readonly kind: "output"; readonly run?: number; readonly line: string }
  /** The JSON of an outcome, checked. */
  | { readonly kind: "outcome"; readonly run: number; readonly text: string }
  /** An error that nobody caught. The thread is of no use after it. */
  | { readonly kind: "uncaught"; readonly error: string }
  /** It needs more memory than it may have, and is of no use after it. */
  | { readonly kind: "outgrown" }
  | { readonly kind: "pong"; readonly ping: number };
