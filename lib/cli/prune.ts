/**
 * `agent-runner prune`
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import { countOf, formatBytes } from "../base/figures.ts";
import { formatLocalTime } from "../base/log.ts";
import type { PruneCount, Pruned, StoreSize } from "../store/contract.ts";
import { confirm, YES_FLAG } from "./choose.ts";
import { CLIENT_SETTINGS, type Command, JSON_FLAG } from "./command.ts";
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
  usesRepositories: true,
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
    const { size, folders = 0, ...count } = isDone
      // Behind a service, folders are on its machine: it removes them.
      ? await (store.events ? pruneHere(before) : admin.prune(before))
      : { ...found, size: null };
    terminal.write(
      flags.json
        ? renderJson({
          tasks: count.tasks,
          events: count.events,
          kept: count.kept,
          before: before.toISOString(),
          deleted: isDone,
          folders,
          ...size && {
            bytes_before: size.before,
            bytes: size.after,
            free_bytes: size.free,
          },
        })
        : textOf(count, { before, isDone, folders, size }),
    );
    return EXIT.ok;

    async function pruneHere(before: Date): Promise<Pruned> {
      const { pruneTasks } = await import("./prune_folders.ts");
      return await pruneTasks(admin, before, context);
    }
  },
};

function textOf(
  count: PruneCount,
  { before, isDone, folders, size }: {
    readonly before: Date;
    readonly isDone: boolean;
    readonly folders: number;
    readonly size: StoreSize | null;
  },
): string {
  const kept = count.kept > 0
    ? `${
      countOf(count.kept, "task")
    } kept: webhooks, or other tasks, wait for them\n`
    : "";
  if (isDone) {
    const also = folders > 0 ? `, ${countOf(folders, "folder")}` : "";
    return `Deleted ${describe(count)}${also}\n${kept}${
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
