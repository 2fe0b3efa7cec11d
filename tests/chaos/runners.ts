/**
 * What was done to each runner.
 *
 * @module
 */

/** A runner, and what was done to it. Times are the wall clock's. */
export interface RunnerLife {
  readonly pid: number;
  readonly concurrency: number;
  killedAt?: number;
  /** When it was told to stop. */
  stoppedAt?: number;
  /** It was told to stop at once, whatever it had in hand. */
  isAborted?: boolean;
  /** What it said until its end. */
  log: string;
  readonly freezes: { readonly from: number; readonly until: number }[];
}

/** Whether it could not do what it had to. */
export function isHarmed(
  { killedAt, isAborted = false, freezes }: RunnerLife,
): boolean {
  return killedAt !== undefined || isAborted || freezes.length > 0;
}

/** Whether an event is of the runner with this process id. */
export function isBy(
  { runner }: { readonly runner: string | null },
  pid: number,
): boolean {
  return runner?.startsWith(`agent-runner-${pid}-`) ?? false;
}
