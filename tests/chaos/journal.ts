/**
 * Checks what the programs of tasks noted themselves against the history: no task ran
 * in two programs at once, and each start is an attempt.
 *
 * @module
 */

import {
  KILL_GRACE_MS,
  type Program,
  PROGRAM_PROVIDER,
  readJournal,
} from "../support/journal.ts";
import type { EventRow, History } from "./history.ts";
import { isBy, isHarmed, type RunnerLife } from "./runners.ts";

/** Says whether every program, and all that it left behind, has ended. */
export async function isNothingLocked(folder: string): Promise<boolean> {
  const { success } = await new Deno.Command("sh", {
    args: [
      "-c",
      'for lock in "$1"/*; do flock -sn "$lock" true || exit 1; done',
      "sh",
      folder,
    ],
  }).output();
  return success;
}

/** How much the journal has. */
export interface JournalCounts {
  /** Starts of programs. */
  programs: number;
  /** Two programs at once where nobody could have told the first. */
  excusedOverlaps: number;
  /** Attempts that a kill or a freeze spent before the program's first line. */
  unstarted: number;
}

/** Makes counts of nothing. */
export function noJournalCounts(): JournalCounts {
  return { programs: 0, excusedOverlaps: 0, unstarted: 0 };
}

/** What the journal is checked against. */
export interface JournalExpected {
  readonly history: History;
  readonly runners: ReadonlyMap<number, RunnerLife>;
  readonly leaseMs: number;
}

/** Checks a journal. */
export function checkJournal(
  text: string,
  expected: JournalExpected,
): { readonly counts: JournalCounts; readonly problems: readonly string[] } {
  const check = new JournalCheck(readJournal(text), expected);
  check.starts();
  check.overlaps();
  return { counts: check.counts, problems: check.problems };
}

class JournalCheck {
  readonly counts = noJournalCounts();
  readonly problems: string[] = [];
  readonly #expected: JournalExpected;
  readonly #programs: ReadonlyMap<string, readonly Program[]>;

  constructor(programs: readonly Program[], expected: JournalExpected) {
    this.#expected = expected;
    this.#programs = Map.groupBy(programs, ({ taskId }) => taskId);
    this.counts.programs = programs.length;
  }

  /** Each start is an attempt of the history, and each attempt a start. */
  starts(): void {
    const { history, runners } = this.#expected;
    const unstarted = new Map<RunnerLife, number>();
    for (const { id, provider } of history.tasks.values()) {
      if (provider !== PROGRAM_PROVIDER) continue;
      const events = history.events.get(id) ?? [];
      const programs = new Set(this.#programs.get(id));
      for (const [index, event] of events.entries()) {
        if (event.kind === "completed") this.#checkDone(event);
        if (event.kind !== "started") continue;
        const program = [...programs].find((it) => isOf(it, event));
        if (program) programs.delete(program);
        else if (!isUndone(event, events[index + 1])) {
          const runner = runners.get(pidOf(event));
          if (runner && isHarmed(runner)) {
            unstarted.set(runner, (unstarted.get(runner) ?? 0) + 1);
            this.counts.unstarted++;
          } else {
            this.#report(id, `attempt ${event.attempt} was spent, not started`);
          }
        }
      }
      for (const { attempt, pid } of programs) {
        this.#report(id, `program ${pid} is no attempt ${attempt} of it`);
      }
    }
    // A kill costs what was about to start, and nothing that was only held.
    for (const [{ pid, concurrency }, count] of unstarted) {
      if (count <= concurrency) continue;
      this.problems.push(
        `Runner ${pid} with ${concurrency} slots spent ${count} attempts on ` +
          "tasks that it did not start",
      );
    }
  }

  /** No two programs of a task live at the same time. */
  overlaps(): void {
    for (const programs of this.#programs.values()) {
      for (const [index, program] of programs.entries()) {
        for (const earlier of programs.slice(0, index)) {
          const isAlive = program.others.includes(earlier.pid) ||
            (earlier.endLine ?? 0) > program.startLine;
          if (!isAlive) continue;
          if (this.#isExcused(earlier, program)) this.counts.excusedOverlaps++;
          else {
            this.#report(
              program.taskId,
              `program ${program.pid} started while program ${earlier.pid} lived`,
            );
          }
        }
      }
    }
  }

  /**
   * Two programs of a task may live at once in one case only. The first one's runner
   * was frozen: its program was not, and nobody else can end that. When the lease is
   * over, another runner begins the task. The first program is ended when its
   * runner wakes, which has a lease's time to notice, and gives it its grace.
   *
   * A runner that was killed, was stopped or just lived, or that begins the task
   * itself again, has no excuse, nor has one whose freeze was over by then.
   */
  #isExcused(earlier: Program, later: Program): boolean {
    const { history, runners, leaseMs } = this.#expected;
    if (earlier.runnerPid === later.runnerPid) return false;
    const claim = history.events.get(later.taskId)?.find((event) =>
      event.kind === "started" && isOf(later, event)
    );
    if (!claim) return false;
    return runners.get(earlier.runnerPid)?.freezes.some(({ from, until }) =>
      until > earlier.startedAt && claim.at >= from &&
      claim.at <= until + leaseMs + KILL_GRACE_MS
    ) ?? false;
  }

  /** Who is said to have done its work has noted that. */
  #checkDone(event: EventRow): void {
    const isDone = this.#programs.get(event.task_id)?.some((program) =>
      isOf(program, event) && program.end === "done"
    );
    if (isDone) return;
    this.#report(
      event.task_id,
      "it is completed, and its program was not done",
    );
  }

  #report(taskId: string, problem: string): void {
    const { history, runners } = this.#expected;
    const programs = this.#programs.get(taskId) ?? [];
    const events = history.events.get(taskId) ?? [];
    const pids = [...programs.map((it) => it.runnerPid), ...events.map(pidOf)];
    const lives = [...new Set(pids)].flatMap((pid) => runners.get(pid) ?? []);
    this.problems.push([
      `Task ${taskId}: ${problem}`,
      ...programs.map((it) => `program ${JSON.stringify(it)}`),
      ...events.map((it) => `event ${JSON.stringify(it)}`),
      ...lives.flatMap(({ log, ...life }) => [
        `runner ${JSON.stringify(life)}`,
        ...log.split("\n").filter((line) => line.includes(taskId)),
      ]),
    ].join("\n  "));
  }
}

/** Whether a program is the run that an event is of. */
function isOf({ attempt, runnerPid }: Program, event: EventRow): boolean {
  return event.attempt === attempt && isBy(event, runnerPid);
}

/** Whether a start was given back, or cancelled, before it came to anything. */
function isUndone(
  { runner, attempt }: EventRow,
  next: EventRow | undefined,
): boolean {
  return next !== undefined && next.attempt === attempt &&
    (next.kind === "cancelled" || next.kind === "cancel_requested" ||
      next.kind === "released" && next.runner === runner);
}

function pidOf({ runner }: EventRow): number {
  return Number(/^agent-runner-(\d+)-/.exec(runner ?? "")?.[1]);
}
