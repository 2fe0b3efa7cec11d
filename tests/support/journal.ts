/**
 * Tasks that are programs which note their start and their end themselves, so that
 * it is seen from outside what ran and when.
 *
 * @module
 */

import { ROOT } from "./project.ts";

/** The provider of such tasks. */
export const PROGRAM_PROVIDER = "program";

/** Time between SIGTERM and SIGKILL. */
export const KILL_GRACE_MS = 500;

/** The files of a journal. */
export interface JournalFiles {
  /** A line each for starts and ends. */
  readonly journal: string;
  /** A folder; a file in it is locked while a program lives. */
  readonly locks: string;
}

/** A configuration file that has {@linkcode PROGRAM_PROVIDER}; others simulate. */
export function programConfig({ journal, locks }: JournalFiles): string {
  return JSON.stringify({
    providers: {
      [PROGRAM_PROVIDER]: {
        processor: "command",
        command: ["/bin/sh", `${ROOT}tests/support/fixtures/journal.sh`],
        stdin: "none",
        setEnv: { JOURNAL: journal, LOCKS: locks },
        killGrace: KILL_GRACE_MS / 1_000,
        backoff: { base: 0.1, max: 0.1 },
      },
      "*": { processor: "simulate" },
    },
  });
}

/** What a program may do, beside taking its time. */
export type ProgramKind =
  | "works"
  /** Its exit code says that it failed, and should be tried again. */
  | "fails"
  /** Does not listen to SIGTERM. */
  | "ignores"
  /** Leaves another program behind. */
  | "leaves"
  /** The same, far away: in a session of its own, without its environment. */
  | "detaches";

/** What tells a program what to do. */
export function programInstruction(kind: ProgramKind, ms: number): string {
  return `${kind} ${ms / 1_000}`;
}

/** A program of a task, by the lines that it wrote. */
export interface Program {
  readonly taskId: string;
  readonly attempt: number;
  readonly pid: number;
  readonly runnerPid: number;
  /** By the wall clock. */
  readonly startedAt: number;
  /** The number of its first line. */
  readonly startLine: number;
  /** The task's other programs that lived when it started, by their pids. */
  readonly others: readonly number[];
  /** Whether its time was over, or somebody told it to end. */
  end?: "done" | "told";
  endedAt?: number;
  endLine?: number;
}

const LINE = /^(start|end) (\S+) (\d+) (\d+) (\d+) (\d+) ?(.*)$/;

/**
 * Reads a journal: the programs, in the order of their starts.
 *
 * @throws {Error} where a line is none.
 */
export function readJournal(text: string): Program[] {
  const programs: Program[] = [];
  const running = new Map<string, Program>();
  for (const [line, content] of text.trimEnd().split("\n").entries()) {
    if (content === "") continue;
    const [, event, taskId = "", attempt, pid, runnerPid, at, words = ""] =
      LINE.exec(content) ?? [];
    const key = `${taskId} ${pid}`;
    const program = running.get(key);
    if (event === "start") {
      const started = {
        taskId,
        attempt: Number(attempt),
        pid: Number(pid),
        runnerPid: Number(runnerPid),
        startedAt: Number(at),
        startLine: line,
        others: words.split(" ").filter(Boolean).map(Number),
      };
      programs.push(started);
      running.set(key, started);
    } else if (program && (words === "done" || words === "told")) {
      program.end = words;
      program.endedAt = Number(at);
      program.endLine = line;
      running.delete(key);
    } else throw new Error(`The journal has: ${content}`);
  }
  return programs;
}
