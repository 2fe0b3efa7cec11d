/**
 * The folders that tasks have of repositories, with what is known of the tasks.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { repositoryFolders } from "../processors/workspaces.ts";
import type { Admin } from "../store/contract.ts";
import { isFinal } from "../task/task.ts";
import {
  keptIn,
  type KeptWorkspace,
  look,
  type Removability,
} from "../workspaces/removal.ts";
import { sizeOf } from "../workspaces/room.ts";
import { stateOf } from "./list.ts";

/** One of them. */
export interface Found extends Removability {
  readonly kept: KeptWorkspace;
  readonly bytes: number;
  /** The task's; or that this database has none. */
  readonly state: string;
  /** The same, as `list` says it. */
  readonly shown: string;
  /** Undefined where the task is not known. */
  readonly ended: boolean | undefined;
  readonly isRunning: boolean;
}

/** All that there are on this machine. */
export async function find(
  admin: Pick<Admin, "get">,
  config: Config,
  now: Date,
): Promise<Found[]> {
  const found: Found[] = [];
  for (const folder of repositoryFolders(config)) {
    for (const kept of await keptIn(folder)) {
      const task = await admin.get(kept.task);
      found.push({
        kept,
        bytes: await sizeOf(kept.path),
        state: task?.state ?? "not there",
        shown: task ? stateOf(task, now) : "not there",
        ended: task && isFinal(task.state),
        isRunning: (task?.leaseExpiresAt ?? now) > now,
        ...await look(kept),
      });
    }
  }
  return found;
}
