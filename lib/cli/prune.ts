/**
 * `agent-runner prune`
 *
 * @module
 */

import { EXIT, UsageError, UserError } from "../../base/errors.ts";
import { formatBytes, formatCount } from "../../base/figures.ts";
import type { PruneCount, StoreSize } from "../../store/history.ts";
import { formatLocalTime } from "../../base/log.ts";
import { renderJson } from "../render.ts";
import { countTasks } from "../choose.ts";
import type { CommandContext } from "../context.ts";
import { pastFlag } from "../filter.ts";

/** Deletes tasks that ended long ago, with their history. */
export async function prune(context: CommandContext): Promise<number> {
  const { flags, clock, terminal, openDesk } = context;
  const before = pastFlag(flags, "older-than", clock.now());
  if (!before) {
    throw new UsageError(
      "Cannot prune without an age. Say what is old: --older-than 30d.",
    );
  }
  await using store = await openDesk();
  const { history } = store;
  const found = await history.countPrunable(before);
  const isDone = !flags["dry-run"] && found.tasks > 0;
  let size: Sizes | undefined;
  let deleted = found;
  if (isDone) {
    await confirm(context, found, before);
    const sizeBefore = await history.checkpoint();
    deleted = await history.prune(before);
    size = { before: sizeBefore, after: await history.checkpoint() };
  }
  terminal.write(
    flags.json
      ? renderJson({
        tasks: deleted.tasks,
        events: deleted.events,
        kept: deleted.kept,
        before: before.toISOString(),
        deleted: isDone,
        ...size && {
          bytes_before: size.before.bytes,
          bytes: size.after.bytes,
          free_bytes: size.after.freeBytes,
        },
      })
      : textOf(deleted, { before, size }),
  );
  return EXIT.ok;
}

function textOf(
  count: PruneCount,
  { before, size }: { readonly before: Date; readonly size?: Sizes },
): string {
  const kept = count.kept > 0
    ? `${countTasks(count.kept)} kept: webhooks wait for their events\n`
    : "";
  const time = formatLocalTime(before);
  if (size) return `Deleted ${describe(count)}\n${kept}${describeSize(size)}\n`;
  return count.tasks > 0
    ? `Would delete ${describe(count)}, all that ended before ${time}\n${kept}`
    : `${kept}No ${kept ? "other " : ""}task ended before ${time}\n`;
}

async function confirm(
  { flags, terminal }: CommandContext,
  found: PruneCount,
  before: Date,
): Promise<void> {
  if (flags.yes) return;
  const what = `${describe(found)}, all that ended before ${
    formatLocalTime(before)
  }`;
  const isConfirmed = await terminal.confirm(`Delete ${what}, for ever?`);
  if (isConfirmed) return;
  if (isConfirmed === undefined) {
    throw new UsageError(
      `Cannot delete ${what}: there is no terminal to ask on whether that is ` +
        "meant. Give --yes.",
    );
  }
  throw new UserError("Nothing was deleted.");
}

/** `12 tasks with 60 events` */
function describe({ tasks, events }: PruneCount): string {
  return `${countTasks(tasks)} with ${formatCount(events)} ${
    events === 1 ? "event" : "events"
  }`;
}

/** What the file's size did. */
interface Sizes {
  readonly before: StoreSize;
  readonly after: StoreSize;
}

function describeSize({ before, after }: Sizes): string {
  const change = after.bytes === before.bytes
    ? `still has ${formatBytes(after.bytes)}`
    : `has ${formatBytes(after.bytes)} now (before: ${
      formatBytes(before.bytes)
    })`;
  return `The file ${change}; ${
    formatBytes(after.freeBytes)
  } of it are free for new tasks`;
}
