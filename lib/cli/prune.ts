/**
 * `agent-runner prune`
 *
 * @module
 */

import { EXIT, messageOf, UsageError } from "../base/errors.ts";
import { countOf, formatBytes } from "../base/figures.ts";
import { formatLocalTime } from "../base/log.ts";
import type { Config } from "../config/config.ts";
import type { TaskFolder } from "../processors/workspaces.ts";
import type { Admin, PruneCount, StoreSize } from "../store/contract.ts";
import { confirm, YES_FLAG } from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  JSON_FLAG,
} from "./command.ts";
import { pastFlag } from "./flags.ts";
import { renderJson } from "./render.ts";

/** Deletes tasks that ended long ago, with their history. */
export const prune: Command = {
  name: "prune",
  summary: "Delete tasks that ended long ago, with their history",
  flags: [
    {
      name: "older-than",
      placeholder: "SPAN",
      summary: "What ended before then: 24h, 30d, or a date",
    },
    { name: "dry-run", summary: "Only count what would be deleted" },
    YES_FLAG,
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  examples: ["prune --older-than 30d --dry-run", "prune --older-than 30d"],
  run: async (context) => {
    const { flags, clock, terminal, openAdmin } = context;
    const before = pastFlag(flags, "older-than", clock.now());
    if (!before) {
      throw new UsageError(
        "Cannot prune without an age. Say what is old: --older-than 30d.",
      );
    }
    await using store = await openAdmin();
    const { admin } = store;
    const found = await admin.prunable(before);
    const isDone = !flags["dry-run"] && found.tasks > 0;
    if (isDone) {
      await confirm(context, {
        verb: "delete",
        what: `${describe(found)}, ${age(before)}`,
        more: ", for ever",
      });
    }
    // Behind a service, folders are on its machine.
    const folders = isDone && store.events
      ? await taskFolders(context.config, admin)
      : [];
    const { size, ...count } = isDone
      ? await admin.prune(before)
      : { ...found, size: null };
    const removed = await removeFolders(folders, context, admin);
    terminal.write(
      flags.json
        ? renderJson({
          tasks: count.tasks,
          events: count.events,
          kept: count.kept,
          before: before.toISOString(),
          deleted: isDone,
          folders: removed,
          ...size && {
            bytes_before: size.before,
            bytes: size.after,
            free_bytes: size.free,
          },
        })
        : textOf(count, { before, isDone, removed, size }),
    );
    return EXIT.ok;
  },
};

/** Those of the tasks that there are: others may be another database's. */
async function taskFolders(
  config: Config,
  admin: Admin,
): Promise<readonly TaskFolder[]> {
  const { foldersOf } = await import("../processors/workspaces.ts");
  const folders: TaskFolder[] = [];
  for await (const folder of foldersOf(config)) {
    if (await admin.get(folder.taskId)) folders.push(folder);
  }
  return folders;
}

/** Removes the folders of tasks that are gone. Returns how many. */
async function removeFolders(
  folders: readonly TaskFolder[],
  { log }: CommandContext,
  admin: Admin,
): Promise<number> {
  let removed = 0;
  for (const { taskId, path } of folders) {
    if (await admin.get(taskId)) continue;
    try {
      await Deno.remove(path, { recursive: true });
      removed++;
    } catch (error) {
      log.warning(
        `Cannot remove the folder of task ${taskId}: ${messageOf(error)}`,
        { event: "folder_left", task: taskId, path, error: messageOf(error) },
      );
    }
  }
  return removed;
}

function textOf(
  count: PruneCount,
  { before, isDone, removed, size }: {
    readonly before: Date;
    readonly isDone: boolean;
    /** How many folders. */
    readonly removed: number;
    readonly size: StoreSize | null;
  },
): string {
  const kept = count.kept > 0
    ? `${countOf(count.kept, "task")} kept: webhooks wait for their events\n`
    : "";
  if (isDone) {
    const folders = removed > 0 ? `, ${countOf(removed, "folder")}` : "";
    return `Deleted ${describe(count)}${folders}\n${kept}${
      size ? describeSize(size) : ""
    }`;
  }
  return count.tasks > 0
    ? `Would delete ${describe(count)}, ${age(before)}\n${kept}`
    : `${kept}No ${kept ? "other " : ""}task ended before ${
      formatLocalTime(before)
    }\n`;
}

/** `12 tasks with 60 events` */
function describe({ tasks, events }: PruneCount): string {
  return `${countOf(tasks, "task")} with ${countOf(events, "event")}`;
}

function age(before: Date): string {
  return `all that ended before ${formatLocalTime(before)}`;
}

function describeSize({ before, after, free }: StoreSize): string {
  const change = after === before
    ? `still has ${formatBytes(after)}`
    : `has ${formatBytes(after)} now (before: ${formatBytes(before)})`;
  return `The file ${change}; ${
    formatBytes(free)
  } of it are free for new tasks\n`;
}
