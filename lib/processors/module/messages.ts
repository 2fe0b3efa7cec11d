/**
 * What the runner and a plugin's process say to each other: a line of JSON each,
 * over the process's stdin and stdout.
 *
 * The process is of two threads. Its main one, the host, is ours: it stays awake
 * whatever the plugin does, watches over the memory, and ends the process when the
 * runner is gone. The plugin has the other one, a worker with its permissions, which
 * takes no flags: so the executable can do it too, which is no `deno run`.
 *
 * @module
 */

import { cut } from "../../base/cut.ts";
import { MAX_TEXT_CHARACTERS } from "../../task/outcome.ts";
import { parseObject } from "../../task/trace.ts";
import { MAX_OUTCOME_CHARACTERS } from "./outcome.ts";
import type { PluginTask } from "./plugin.ts";
import type { Answer, JsonObject, TaskResult } from "../../task/task.ts";
import type { LoadGrant, Permissions } from "./permissions.ts";

/** The word that makes the executable the host of a plugin. */
export const HOST_WORD = "plugin-host";

/** The longest line of a plugin's process: an outcome, and whose it is. */
export const MAX_LINE_CHARACTERS = MAX_OUTCOME_CHARACTERS + 1_000;

/** The exit code of a process that needs more memory than it may have. */
export const OUTGROWN_CODE = 86;

/** The first line: what the process is to do. */
export interface PluginOrder {
  /** URL of the plugin's file. */
  readonly plugin: string;
  readonly options: unknown;
  readonly memoryMb: number;
  /** With absolute paths. */
  readonly permissions: Permissions;
  /** To be given back before the plugin's first line runs. */
  readonly grants: readonly LoadGrant[];
}

/** One run of a task. */
export interface RunOrder {
  readonly kind: "run";
  /** Names the run in later messages. */
  readonly run: number;
  readonly task: Omit<PluginTask, "createdAt"> & { readonly createdAt: string };
  readonly idempotencyKey: string;
  readonly trace: JsonObject;
  readonly answers: readonly Answer[];
  readonly results: readonly TaskResult[];
}

/** What the runner says. */
export type ToPlugin =
  | RunOrder
  | { readonly kind: "stop"; readonly run: number; readonly reason: string }
  | { readonly kind: "ping"; readonly ping: number };

/** What the plugin's process says. */
export type FromPlugin =
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
  | {
    readonly kind: "outcome";
    readonly run: number;
    readonly outcome: JsonObject;
  }
  /** An error that nobody caught. The process is of no use after it. */
  | { readonly kind: "uncaught"; readonly error: string }
  /** Its thread ended by itself. */
  | { readonly kind: "ended" }
  | { readonly kind: "pong"; readonly ping: number };

/** The type of each field; where it ends in "?", the field may be left out. */
const FIELDS: {
  readonly [Kind in FromPlugin["kind"]]: Readonly<
    Record<
      Exclude<keyof Extract<FromPlugin, { readonly kind: Kind }>, "kind">,
      string
    >
  >;
} = {
  ready: { name: "string?" },
  unusable: { error: "string" },
  progress: { run: "number", message: "string", fraction: "number?" },
  output: { run: "number?", line: "string" },
  outcome: { run: "number", outcome: "object" },
  uncaught: { error: "string" },
  ended: {},
  pong: { ping: "number" },
};

/** Reads a line; undefined for what is no message but was printed. */
export function readMessage(line: string): FromPlugin | undefined {
  const given = line.startsWith('{"kind":') ? parseObject(line) : undefined;
  const kind = given?.kind;
  if (!given || typeof kind !== "string" || !Object.hasOwn(FIELDS, kind)) {
    return undefined;
  }
  const message: Record<string, unknown> = { kind };
  const fields = FIELDS[kind as FromPlugin["kind"]];
  for (const [name, type] of Object.entries<string>(fields)) {
    const value = given[name];
    if (value === undefined && type.endsWith("?")) continue;
    const fits = type.startsWith(typeof value);
    if (!fits) return undefined;
    message[name] = typeof value === "string"
      ? cut(value, MAX_TEXT_CHARACTERS)
      : value;
  }
  return message as unknown as FromPlugin;
}
