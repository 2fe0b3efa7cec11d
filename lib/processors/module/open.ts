/**
 * Opens a plugin's thread: the guard, which opens the thread proper, and ports
 * to both.
 *
 * @module
 */

import type { ModuleConfig } from "./config.ts";
import { moduleUrl } from "./load.ts";
import type { GuardOrder } from "./messages.ts";
import { type LoadGrant, loadGrants, withLoadGrants } from "./permissions.ts";

const GUARD = new URL("./guard.ts", import.meta.url);
const PROGRAM = new URL("./worker.ts", import.meta.url);

/** Options for {@linkcode openThread}. */
export interface OpenThreadOptions {
  /** What the plugin is called in messages. */
  readonly label: string;
  readonly plugin: URL;
  readonly options: unknown;
  /** With absolute paths. */
  readonly permissions: ModuleConfig["permissions"];
  /** From {@linkcode threadGrants}. */
  readonly grants: readonly LoadGrant[];
  readonly memoryMb: number;
}

/** What {@linkcode openThread} opens. */
export interface OpenThread {
  readonly guard: Worker;
  readonly guardPort: MessagePort;
  readonly port: MessagePort;
}

/** What a plugin's thread needs to load its files, beyond its permissions. */
export function threadGrants(
  permissions: ModuleConfig["permissions"],
  plugin: URL,
): Promise<LoadGrant[]> {
  return loadGrants(permissions, [plugin, PROGRAM]);
}

/** @throws {Deno.errors.NotCapable} where it may do more than the runner. */
export function openThread(options: OpenThreadOptions): OpenThread {
  const { label, plugin, permissions, grants, memoryMb } = options;
  const guard = new Worker(GUARD, {
    type: "module",
    name: label,
    deno: { permissions: withLoadGrants(permissions, grants) },
  } as WorkerOptions);
  const forThread = new MessageChannel();
  const forGuard = new MessageChannel();
  const order: GuardOrder = {
    // Of a module elsewhere Node's kind of worker takes only this form.
    program: moduleUrl(`import ${JSON.stringify(PROGRAM.href)};`),
    port: forGuard.port2,
    thread: {
      plugin: plugin.href,
      options: options.options,
      memoryMb,
      grants,
      port: forThread.port2,
    },
  };
  guard.postMessage(order, [forThread.port2, forGuard.port2]);
  return { guard, guardPort: forGuard.port1, port: forThread.port1 };
}
