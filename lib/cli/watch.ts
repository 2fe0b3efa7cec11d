/**
 * `agent-runner watch`
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseError, EXIT } from "../base/errors.ts";
import { placeOf } from "../config/service.ts";
import type { Admin, Overview } from "../store/contract.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  type OpenAdmin,
} from "./command.ts";
import { durationFlag } from "./flags.ts";
import { LiveScreen } from "./live_screen.ts";
import { renderJson } from "./render.ts";
import { untilStopped } from "./signals.ts";
import {
  overviewToJson,
  RECENT_SECONDS,
  renderFrame,
  renderLine,
} from "./watch_report.ts";

/** Shows what happens, until somebody stops it. */
export const watch: Command = {
  name: "watch",
  summary: "See what happens, live",
  flags: [
    {
      name: "interval",
      placeholder: "DURATION",
      summary: "Time between two looks (default 1)",
    },
    { name: "json", summary: "Print a line of JSON for each change" },
  ],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["watch", "watch --interval 0.2", "watch --json"],
  run: async (context) => {
    const { flags, clock, terminal, openAdmin } = context;
    const intervalMs = durationFlag(flags, "interval") ?? DEFAULT_INTERVAL_MS;
    await using store = await openAdmin();
    using watched = new Watched(store, clock);
    using stop = untilStopped();
    const watching = { context, watched, intervalMs, stopped: stop.signal };
    const isTerminal = terminal.screen.width !== undefined;
    if (isTerminal && !flags.json) await showScreen(watching);
    else await printLines(watching);
    return EXIT.ok;
  },
};

const DEFAULT_INTERVAL_MS = 1_000;

/** What is watched. */
export interface WatchedStore extends Pick<OpenAdmin, "events"> {
  readonly admin: Pick<Admin, "overview">;
}

/** More tasks fit on few screens. */
const SHOWN_TASKS = 100;
/** A tenth of the time is spent looking, unless a look takes very long. */
const REST_FACTOR = 9;
const MAX_REST_MS = 5_000;
/** Who hears of changes looks so often all the same: one may go unheard. */
const UNHEARD_MS = 5_000;

/** The last look at a store, so seldom that nobody has to wait for it. */
export class Watched implements Disposable {
  readonly #admin: WatchedStore["admin"];
  readonly #clock: Clock;
  readonly #changes: Disposable | undefined;
  #isOld = true;
  #restUntil = 0;
  #lookedAt = -Infinity;
  #overview: Overview | undefined;
  #problem: string | undefined;

  constructor({ admin, events }: WatchedStore, clock: Clock) {
    this.#admin = admin;
    this.#clock = clock;
    this.#changes = events?.onChange(() => this.#isOld = true);
  }

  /** Undefined before the first look. */
  get overview(): Overview | undefined {
    return this.#overview;
  }

  /** Why the last look came to nothing. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Looks, unless no change was heard of since, or the last look has just been.
   * Returns whether something may be new.
   */
  async look(): Promise<boolean> {
    const startedAt = this.#clock.monotonic();
    const isOld = this.#isOld || startedAt - this.#lookedAt >= UNHEARD_MS;
    if (startedAt < this.#restUntil || !isOld) return false;
    this.#isOld = this.#changes === undefined;
    try {
      this.#overview = await this.#admin.overview({
        limit: SHOWN_TASKS,
        recentMs: RECENT_SECONDS * 1_000,
      });
      this.#problem = undefined;
      const endedAt = this.#clock.monotonic();
      this.#lookedAt = endedAt;
      const restMs = REST_FACTOR * (endedAt - startedAt);
      this.#restUntil = endedAt + Math.min(restMs, MAX_REST_MS);
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      this.#isOld = true;
      this.#problem = error.message;
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.#changes?.[Symbol.dispose]();
  }
}

/** What both ways of watching need. */
interface Watching {
  readonly context: CommandContext;
  readonly watched: Watched;
  readonly intervalMs: number;
  readonly stopped: AbortSignal;
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
  using screen = new LiveScreen(terminal, draw);
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
