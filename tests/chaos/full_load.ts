/**
 * Runners at full load that are killed at any moment, opening the file included;
 * the database is looked at after each.
 *
 * @module
 */

import {
  pause,
  type Report,
  type RunnerOptions,
  Session,
  type SessionOptions,
} from "./session.ts";

/** Enough for half a second; created again when fewer are left. */
const TASKS = 20_000;
const LEASE_MS = 2_000;

/** Options for {@linkcode runFullLoad}. */
export interface FullLoadOptions extends SessionOptions {
  /** One runner keeps the file, instead of several that share it. */
  readonly isExclusive: boolean;
}

/** Torments a database. */
export async function runFullLoad(options: FullLoadOptions): Promise<Report> {
  using session = new Session(options, LEASE_MS);
  let waiting = 0;
  while (!session.isOver) {
    if (waiting < TASKS) {
      await session.create(Array.from({ length: TASKS }, () => ({})));
    }
    waiting = await killAll(session, options);
  }
  return await session.finish();
}

/** Kills all runners at once, or nearly, and looks at what they left. */
async function killAll(
  session: Session,
  { random, runners: count, isExclusive }: FullLoadOptions,
): Promise<number> {
  // A start of nine replays what the one before left in the log.
  const isEarly = random.is(0.25);
  await using stack = new AsyncDisposableStack();
  const options: RunnerOptions = {
    concurrency: 10,
    seconds: 0,
    args: isExclusive ? ["--loop", "--exclusive"] : ["--loop"],
  };
  const runners = Array.from(
    { length: isExclusive ? 1 : count },
    () => stack.use(session.start(options)),
  );
  if (isEarly) await pause(random.between(80, 300));
  else {
    await Promise.any(runners.map(({ process }) => process.line(/ started /)));
    await pause(random.between(0, 700));
  }
  for (const runner of runners) {
    session.kill(runner);
    if (random.is(0.5)) await pause(random.between(0, 50));
  }
  for (const runner of runners) await session.ended(runner, 137);
  return await session.check();
}
