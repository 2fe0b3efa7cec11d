/**
 * `agent-runner prune`
 *
 * @module
 */

import { EXIT, UsageError, UserError } from "../errors.ts";
import { formatBytes, formatCount } from "../figures.ts";
import type { PruneResult, StoreSize } from "../history.ts";
import { formatLocalTime } from "../log.ts";
import { renderJson } from "../render.ts";
import { countTasks } from "./choose.ts";
import type { CommandContext } from "./context.ts";
import { pastFlag } from "./filter.ts";

/** Deletes tasks that ended long ago, with their history. */
export async function prune(context: CommandContext): Promise<number> {
  const { flags, clock, terminal, openStore } = context;
  const before = pastFlag(flags, "older-than", clock.now());
  if (!before) {
    throw new UsageError(
      "Cannot prune without an age. Say what is old: --older-than 30d.",
    );
  }
  await using store = await openStore();
  const { history } = store;
  const found = await history.countPrunable(before);
  const isDone = !flags["dry-run"] && found.tasks > 0;
  let size: { before: StoreSize; after: StoreSize } | undefined;
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
        before: before.toISOString(),
        deleted: isDone,
        ...size && {
          bytes_before: size.before.bytes,
          bytes: size.after.bytes,
          free_bytes: size.after.freeBytes,
        },
      })
      : size
      ? `Deleted ${describe(deleted)}\n${describeSize(size)}\n`
      : found.tasks === 0
      ? `No task ended before ${formatLocalTime(before)}\n`
      : `Would delete ${describe(found)}, all that ended before ${
        formatLocalTime(before)
      }\n`,
  );
  return EXIT.ok;
}

async function confirm(
  { flags, terminal }: CommandContext,
  found: PruneResult,
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
function describe({ tasks, events }: PruneResult): string {
  return `${countTasks(tasks)} with ${formatCount(events)} ${
    events === 1 ? "event" : "events"
  }`;
}

function describeSize(
  { before, after }: { before: StoreSize; after: StoreSize },
): string {
  const change = after.bytes === before.bytes
    ? `still has ${formatBytes(after.bytes)}`
    : `has ${formatBytes(after.bytes)} now (before: ${
      formatBytes(before.bytes)
    })`;
  return `The file ${change}; ${
    formatBytes(after.freeBytes)
  } of it are free for new tasks`;
}
