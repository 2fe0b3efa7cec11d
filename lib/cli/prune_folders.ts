/**
 * Deletes old tasks together with the folders that were theirs.
 *
 * @module
 */

import type { Log } from "../base/log.ts";
import type { Config } from "../config/config.ts";
import { removeFolder } from "../processors/command/folder.ts";
import {
  foldersOf,
  repositoryFolders,
  type TaskFolder,
} from "../processors/workspaces.ts";
import type { Admin, Pruned } from "../store/contract.ts";
import { readRecord } from "../workspaces/record.ts";
import { keptIn, type KeptWorkspace, remove } from "../workspaces/removal.ts";

/** Options for {@linkcode pruneTasks}. */
export interface PruneTasksOptions {
  readonly config: Config;
  readonly log: Log;
}

/** How many folders are looked up at once. */
const SET = 100;

/** {@linkcode Admin.prune}, on the machine that has the folders. */
export async function pruneTasks(
  admin: Admin,
  before: Date,
  { config, log }: PruneTasksOptions,
): Promise<Pruned> {
  const old: TaskFolder[] = [];
  for await (const set of setsOf(foldersOf(config))) {
    const isOld = await Promise.all(set.map(async ({ taskId, path }) => {
      const task = await admin.get(taskId);
      // One without a task may be another database's; a worktree is seen to below.
      return task !== undefined && task.updatedAt < before &&
        !await readRecord(path);
    }));
    old.push(...set.filter((_, index) => isOld[index]));
  }
  const worktrees: KeptWorkspace[] = [];
  for (const folder of repositoryFolders(config)) {
    for (const kept of await keptIn(folder)) {
      const task = await admin.get(kept.task);
      if (task && task.updatedAt < before) worktrees.push(kept);
    }
  }
  const pruned = await admin.prune(before);
  let folders = 0;
  for (const kept of worktrees) {
    const { task, path } = kept;
    if (await admin.get(task)) continue;
    const why = await remove(kept);
    if (why === undefined) {
      folders++;
      continue;
    }
    log.warning(
      `The worktree of task ${task} was kept: ${why}. To give that up: ` +
        `agent-runner workspaces ${task.slice(0, 8)} --remove --force`,
      { event: "worktree_kept", task, path },
    );
  }
  for (const { taskId, path } of old) {
    if (await admin.get(taskId)) continue;
    if (await removeFolder(path, { taskId, log })) folders++;
  }
  return { ...pruned, folders };
}

async function* setsOf<T>(all: AsyncIterable<T>): AsyncGenerator<T[]> {
  let set: T[] = [];
  for await (const one of all) {
    if (set.push(one) < SET) continue;
    yield set;
    set = [];
  }
  yield set;
}
