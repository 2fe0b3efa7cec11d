/**
 * `agent-runner watch`
 *
 * @module
 */

import { placeOf } from "../../config/client.ts";
import { EXIT } from "../../base/errors.ts";
import { LiveScreen, untilStopped } from "../live_screen.ts";
import { renderJson } from "../render.ts";
import { overviewToJson, renderFrame, renderLine } from "../watch_report.ts";
import { Watched } from "../watched.ts";
import type { CommandContext } from "../context.ts";
import { secondsFlag } from "../filter.ts";

const DEFAULT_INTERVAL_MS = 1_000;

/** What both ways of watching need. */
interface Watching {
  readonly context: CommandContext;
  readonly watched: Watched;
  readonly intervalMs: number;
  readonly stopped: AbortSignal;
}

/** Shows what happens, until somebody stops it. */
export async function watch(context: CommandContext): Promise<number> {
  const { flags, clock, terminal, openDesk } = context;
  const intervalMs = secondsFlag(flags, "interval") ?? DEFAULT_INTERVAL_MS;
  await using store = await openDesk();
  const watched = new Watched(store, clock);
  using stop = untilStopped();
  const watching = { context, watched, intervalMs, stopped: stop.signal };
  const isTerminal = terminal.screen.width !== undefined;
  if (isTerminal && !flags.json) await showScreen(watching);
  else await printLines(watching);
  return EXIT.ok;
}

/** Redraws the screen at each interval, and when a look is done. */
async function showScreen(
  { context, watched, intervalMs, stopped }: Watching,
): Promise<void> {
  const { config, clock, terminal } = context;
  const draw = () => {
    const { overview, problem } = watched;
    const { hasColor } = terminal.screen;
    const frame = overview && {
      title: `agent-runner watch  ${placeOf(config)}`,
      overview,
      now: clock.now(),
      problem,
    };
    if (frame) screen.draw(renderFrame(frame, { ...screen.size, hasColor }));
  };
  const failed = Promise.withResolvers<never>();
  using screen = new LiveScreen({ onResize: draw });
  const ended = AbortSignal.any([stopped, screen.stopped]);
  let isLooking = false;
  const look = () => {
    if (isLooking) return;
    isLooking = true;
    // Not waited for: keys and clock go on while somebody holds the file.
    watched.look().then((isNew) => {
      isLooking = false;
      if (isNew && !ended.aborted) draw();
    }, failed.reject);
  };
  while (!ended.aborted) {
    look();
    draw();
    await Promise.race([clock.sleep(intervalMs, ended), failed.promise]);
  }
}

/** Prints a line whenever a count has changed. */
async function printLines(
  { context, watched, intervalMs, stopped }: Watching,
): Promise<void> {
  const { flags, clock, log, terminal } = context;
  let last: string | undefined;
  let lastProblem: string | undefined;
  while (!stopped.aborted) {
    await watched.look();
    const { overview, problem } = watched;
    if (problem && problem !== lastProblem) {
      log.warning(problem, { event: "watch_delayed" });
    }
    lastProblem = problem;
    const counts = JSON.stringify([overview?.counts, overview?.runningCount]);
    if (overview && counts !== last) {
      last = counts;
      const now = clock.now();
      terminal.write(
        flags.json
          ? renderJson(overviewToJson(overview, now))
          : `${renderLine(overview, now)}\n`,
      );
    }
    await clock.sleep(intervalMs, stopped);
  }
}
