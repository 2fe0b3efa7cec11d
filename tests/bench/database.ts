/**
 * Databases to measure with. This process never opens one, so it may copy them.
 *
 * @module
 */

import type { Bench } from "./bench.ts";
import { programInstruction } from "../support/journal.ts";
import { askScript, linesOf, scriptCommand } from "./child.ts";
import { sleep } from "./waiting.ts";

const SCRIPT = "database_child.ts";

/** A database file that is gone when it is disposed of. */
export class Database implements Disposable {
  constructor(readonly path: string) {}

  [Symbol.dispose](): void {
    for (const path of [this.path, `${this.path}.wal`]) {
      try {
        Deno.removeSync(path);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }
}

const originals = new Map<number, string>();

/** A new database in which so many tasks wait, all of it on the disk. */
export async function databaseWith(
  bench: Bench,
  tasks: number,
): Promise<Database> {
  let original = originals.get(tasks);
  if (original === undefined) {
    original = bench.newPath(`-${tasks}.duckdb`);
    await askScript(SCRIPT, ["fill", original, String(tasks)]);
    originals.set(tasks, original);
  }
  const path = bench.newPath(".duckdb");
  Deno.copyFileSync(original, path);
  await bench.settle();
  return new Database(path);
}

/** Adds tasks that are programs which work for so long, after all others. */
export async function addPrograms(
  { path }: Database,
  { count, ms }: { readonly count: number; readonly ms: number },
): Promise<void> {
  const instruction = programInstruction("works", ms);
  await askScript(SCRIPT, ["programs", path, String(count), instruction]);
}

/** What the bare SQL took. */
export interface Floor {
  /** Claims and completions alone. */
  readonly updatesMs: number;
  /** The history rows beside them, in the same transactions. */
  readonly historyMs: number;
}

/** Claims and completes all tasks by SQL alone. */
export function runFloor({ path }: Database): Promise<Floor> {
  return askScript(SCRIPT, ["floor", path]);
}

/** A task that another process has committed. */
export interface Written {
  readonly id: string;
  /** From the wish to open the file until it was open. */
  readonly openMs: number;
  /** Wall clock, when COMMIT had returned. */
  readonly committedAt: number;
  /** Wall clock, when the file was free for others again. */
  readonly closedAt: number;
}

/** Commits one task after the other, about `everyMs` apart. */
export function writeTasks(
  { path }: Database,
  { count, everyMs }: { count: number; everyMs: number },
): Promise<Written[]> {
  return askScript(SCRIPT, ["write", path, String(count), String(everyMs)]);
}

/** What somebody sees who looks at a database while others use it. */
export interface Look {
  /** Wall clock. */
  readonly at: number;
  /** The tasks that have a lease and have not ended. */
  readonly leased: readonly string[];
  /** How many have not ended. */
  readonly left: number;
}

/** Looks at a database again and again, until it is disposed of. */
export class Watch implements AsyncDisposable {
  readonly looks: Look[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #isOver = false;

  constructor({ path }: Database, everyMs: number) {
    const [program = "", ...args] = scriptCommand(SCRIPT, [
      "watch",
      path,
      String(everyMs),
    ]);
    this.#child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Waits for a look at which nothing is left to do, and looks no more. */
  async untilDone(): Promise<void> {
    while (this.looks.at(-1)?.left !== 0) {
      if (this.#isOver) throw new Error("Nobody looks any more");
      await sleep(50);
    }
    await this.#end();
  }

  async #read(): Promise<void> {
    for await (const line of linesOf(this.#child.stdout)) {
      const look: Look | null = JSON.parse(line);
      if (look) this.looks.push(look);
    }
    this.#isOver = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.#end();
  }

  async #end(): Promise<void> {
    await this.#stdin.close();
    await this.#child.status;
    await this.#reading;
  }
}

/** How many attempts all tasks have spent together. */
export function attemptsSpent({ path }: Database): Promise<number> {
  return askScript(SCRIPT, ["attempts", path]);
}

/** When the history says that each task was started, by the wall clock. */
export async function startedTimes(
  { path }: Database,
): Promise<ReadonlyMap<string, number>> {
  return new Map(
    await askScript<[string, number][]>(SCRIPT, ["started", path]),
  );
}
