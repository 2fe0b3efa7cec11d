/**
 * Draining a backlog by the program as a whole process.
 *
 * @module
 */

import type { Bench } from "./bench.ts";
import { databaseWith } from "./database.ts";
import { type Finished, type ProgramOptions, runProgram } from "./process.ts";

/** What is left out of a drain's description is the default. */
export interface Drain extends ProgramOptions {
  readonly tasks: number;
  readonly flags?: readonly string[];
}

/** Drains a new database, and makes sure that every task was completed. */
export async function drain(
  bench: Bench,
  { tasks, flags = [], ...options }: Drain,
): Promise<Finished> {
  using database = await databaseWith(bench, tasks);
  const finished = await runProgram(
    bench,
    ["run", "--once", "--json", "--db-path", database.path, ...flags],
    options,
  );
  const { tasks_completed } = JSON.parse(finished.stdout);
  if (tasks_completed !== tasks) {
    throw new Error(`Completed ${tasks_completed} of ${tasks} tasks`);
  }
  const words = [`${tasks} tasks`, ...flags, options.root].join(" ").trim();
  bench.note(`${words}: ${(finished.ms / 1_000).toFixed(2)} s`);
  return finished;
}

/** What a process takes that finds nothing to do. */
export async function startupMs(bench: Bench): Promise<number> {
  return (await drain(bench, { tasks: 0 })).ms;
}
