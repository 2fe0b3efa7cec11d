/**
 * `agent-runner copy`
 *
 * @module
 */

import { shownDatabase } from "../base/database_address.ts";
import { EXIT, UsageError } from "../base/errors.ts";
import { countOf, formatCount } from "../base/figures.ts";
import type { CopyCounts, CopyProgress } from "../store/archive.ts";
import { type Command, type CommandContext, JSON_FLAG } from "./command.ts";
import { renderJson } from "./render.ts";

/** Copies tasks, history and outbox into another database. */
export const copy: Command = {
  name: "copy",
  args: "FROM TO",
  maxArgs: 2,
  summary: "Copy everything into another database: a file or PostgreSQL",
  flags: [JSON_FLAG],
  usesNetwork: true,
  examples: ["copy handsfree.duckdb postgres://runner@db.example.com/agents"],
  run: async (context) => {
    const { args, flags, terminal } = context;
    const [from, to] = args;
    if (from === undefined || to === undefined || from === to) {
      throw new UsageError(
        "Cannot copy without two databases. Give where it is and where it " +
          "is to go: agent-runner copy handsfree.duckdb postgres://…",
      );
    }
    if (flags["db-schema"] !== undefined) {
      throw new UsageError(
        "Cannot copy with --db-schema: which of the two is meant? Put it into " +
          "the address: postgres://…/agents?schema=night_shift",
      );
    }
    const counts = await copyBetween(from, to, context);
    const { isEqual } = await import("../store/archive.ts");
    const equal = isEqual(counts);
    terminal.write(
      flags.json
        ? renderJson({ equal, tables: { ...counts } })
        : textOf(counts, { to, isEqual: equal }),
    );
    return equal ? EXIT.ok : EXIT.failed;
  },
};

const TOLD_MS = 2_000;

async function copyBetween(
  from: string,
  to: string,
  { config, clock, log }: CommandContext,
): Promise<CopyCounts> {
  const { openStore } = await import("../store/open.ts");
  const { copyArchive } = await import("../store/archive.ts");
  const settings = {
    ...config,
    dbSchema: "", // Each address has its own.
    exclusive: false,
    notifications: false,
  };
  await using source = await openStore(
    { ...settings, database: from, mustExist: true },
    log,
  );
  await using target = await openStore(
    { ...settings, database: to, ifPartial: "go on" },
    log,
  );
  let toldAt = clock.monotonic();
  const onProgress = ({ table, done, total }: CopyProgress) => {
    const isOver = done === total && total > 0;
    if (!isOver && clock.monotonic() - toldAt < TOLD_MS) return;
    toldAt = clock.monotonic();
    log.info(`Copied ${formatCount(done)} of ${formatCount(total)} ${table}`, {
      event: "copied",
      table,
      count: done,
    });
  };
  return await copyArchive(source.archive, target.archive, onProgress);
}

function textOf(
  counts: CopyCounts,
  { to, isEqual }: { readonly to: string; readonly isEqual: boolean },
): string {
  const { tasks, events, deliveries } = counts;
  if (isEqual) {
    const what = [
      countOf(tasks.to, "task"),
      countOf(events.to, "event"),
      `${countOf(deliveries.to, "webhook")} to deliver`,
    ].join(", ");
    return `Copied to ${shownDatabase(to)}, which has as many: ${what}\n`;
  }
  const lines = Object.entries(counts).map(([table, { from, to }]) =>
    `  ${table}: ${formatCount(from)} and ${formatCount(to)}\n`
  );
  return `Not all is there; something was changed meanwhile. Copy again:\n${
    lines.join("")
  }`;
}
