/**
 * `agent-runner stats`
 *
 * @module
 */

import { EXIT } from "../../base/errors.ts";
import { renderJson } from "../render.ts";
import { renderStats, statsToJson, windowOf } from "../stats_report.ts";
import type { CommandContext } from "../context.ts";
import { pastFlag } from "../filter.ts";

const DEFAULT_SPAN_MS = 86_400_000;
const SHOWN_REASONS = 10;

/** Prints counts, throughput, wait and run times, and why tasks failed. */
export async function stats(
  { flags, clock, terminal, openDesk }: CommandContext,
): Promise<number> {
  const now = clock.now();
  const since = pastFlag(flags, "since", now) ??
    new Date(now.getTime() - DEFAULT_SPAN_MS);
  const window = windowOf(since, now);
  await using store = await openDesk();
  const stats = await store.history.stats({
    ...window,
    reasons: SHOWN_REASONS,
  });
  const report = { stats, window, now };
  terminal.write(
    flags.json
      ? renderJson(statsToJson(report), 2)
      : renderStats(report, terminal.screen),
  );
  return EXIT.ok;
}
