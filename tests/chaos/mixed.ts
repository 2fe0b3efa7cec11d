/**
 * Runners that share a file and are killed, frozen and stopped, while others create,
 * cancel and list tasks: some take no time, some seconds, some are programs.
 *
 * @module
 */

import { PROGRAM_PROVIDER, programInstruction } from "../support/journal.ts";
import type { Random } from "./random.ts";
import { pause, type Report, Session, type SessionOptions } from "./session.ts";

/**
 * More than twice the time in which a program of a dead runner is ended: a lease is
 * renewed when a third of it is over.
 */
const LEASE_MS = 3_000;

const KINDS = [
  "works",
  "works",
  "fails",
  "ignores",
  "leaves",
  "detaches",
] as const;

/** Torments a database. */
export async function runMixed(options: SessionOptions): Promise<Report> {
  using session = new Session(options, LEASE_MS);
  // Makes the database: there is nothing to list without.
  await session.create(
    Array.from({ length: 20 }, () => newProgram(options.random)),
  );
  const slots = Array.from({ length: options.runners }, async (_, slot) => {
    while (!session.isOver) await runnerLife(session, slot);
  });
  await Promise.all([...slots, write(session), read(session)]);
  return await session.finish();
}

/** Starts a runner, and does to it what ends it, sooner or later. */
async function runnerLife(session: Session, slot: number): Promise<void> {
  const { random } = session;
  await using runner = session.start({
    concurrency: random.between(2, 12),
    seconds: random.pick([0, 0.003, 0.1, 0.3]),
    args: ["--loop", `--drain=${random.pick([0.2, 25])}`],
  });
  if (!await session.isRunning(runner)) return;
  while (true) {
    await pause(random.between(100, 2_500));
    // Who holds the file while it is frozen keeps all others waiting, so only
    // one is frozen at a time.
    const acts = slot === 0 && !session.isOver
      ? ["freeze", "freeze", "freeze", "kill", "stop"] as const
      : ["kill", "kill", "stop"] as const;
    const act = random.pick(acts);
    if (act === "freeze") await session.freeze(runner);
    else {
      if (act === "kill") session.kill(runner);
      else await session.stop(runner, random.is(0.3));
      return await session.ended(runner, act === "stop" ? 0 : 137);
    }
  }
}

/** Creates batches of tasks until time is up, and cancels some. */
async function write(session: Session): Promise<void> {
  const { random } = session;
  while (!session.isOver) {
    const tasks = Array.from(
      { length: random.between(1, 80) },
      () => newTask(random),
    );
    const programs = Array.from(
      { length: random.between(0, 6) },
      () => newProgram(random),
    );
    await session.create([...tasks, ...programs], random.is(0.15));
    if (random.is(0.4)) await session.cancel();
    await pause(random.between(0, 300));
  }
}

/** Lists tasks until time is up. */
async function read(session: Session): Promise<void> {
  while (!session.isOver) {
    await session.list();
    await pause(session.random.between(0, 500));
  }
}

function newTask(random: Random): Record<string, unknown> {
  return {
    priority: random.between(-1, 1),
    ...(random.is(0.1) ? { attempts: 2 } : {}),
    ...(random.is(0.1) ? { trace: { simulate_failure: "as asked" } } : {}),
  };
}

/** A program of a few hundred milliseconds, or of seconds. */
function newProgram(random: Random): Record<string, unknown> {
  const ms = random.is(0.5)
    ? random.between(0, 400)
    : random.between(1_000, 6_000);
  return {
    provider: PROGRAM_PROVIDER,
    instruction: programInstruction(random.pick(KINDS), ms),
    priority: random.between(-1, 1),
    ...(random.is(0.3) ? { attempts: 3 } : {}),
  };
}
