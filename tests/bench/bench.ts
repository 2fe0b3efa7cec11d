/**
 * What every scenario is given.
 *
 * @module
 */

import { outputOf } from "./child.ts";
import type { Measurement } from "./measurement.ts";
import { UsageWatcher } from "./usage.ts";

/** One thing to measure. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Left out of `--quick`, unless `--only` names it. */
  readonly isSlow?: boolean;
  readonly measure: (bench: Bench) => Promise<Measurement[]>;
}

/** How much the scenario "mixed" has to do. */
export interface MixedSizes {
  /** How many tasks of no time. */
  readonly short: number;
  /** How many that take time, and how much each. */
  readonly long: number;
  readonly longMs: number;
}

/** What a benchmark is told. */
export interface BenchOptions {
  /** Fewer and smaller runs. */
  readonly isQuick: boolean;
  /** Default: what `isQuick` says. */
  readonly mixed?: MixedSizes;
  /** The folder of another version of the program, with a slash at its end. */
  readonly against?: string;
}

/** A folder for everything that is measured, and how thoroughly to measure. */
export class Bench implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "agent-runner-bench-" });
  readonly watcher = new UsageWatcher();
  /** What an interrupt of this process alone would leave running. */
  readonly running = new Set<Deno.ChildProcess>();
  readonly #onInterrupt = () => {
    for (const child of this.running) child.kill("SIGKILL");
    this.#removeFolder();
    Deno.exit(130);
  };
  readonly isQuick: boolean;
  readonly mixed: MixedSizes | undefined;
  readonly against: string | undefined;
  #fileCount = 0;

  constructor({ isQuick, mixed, against }: BenchOptions) {
    this.isQuick = isQuick;
    this.mixed = mixed;
    this.against = against;
    Deno.addSignalListener("SIGINT", this.#onInterrupt);
  }

  /** A path that nobody has used before. */
  newPath(suffix: string): string {
    return `${this.folder}/${++this.#fileCount}${suffix}`;
  }

  /** Says on stderr what is going on. */
  note(text: string): void {
    console.error(`  ${text}`);
  }

  /**
   * Measures the variants one after the other, `count` times (or the number for
   * `--quick`), every second time in reverse order: what the machine does beside
   * meets all of them alike, and a ratio is one of neighbours.
   */
  async rounds<T extends readonly unknown[]>(
    [full, quick]: readonly [full: number, quick: number],
    variants: readonly [...{ [K in keyof T]: () => Promise<T[K]> }],
  ): Promise<T[]> {
    const rounds: T[] = [];
    const count = this.isQuick ? quick : full;
    for (let round = 0; round < count; round++) {
      const results: unknown[] = [];
      const order = [...variants.entries()];
      if (round % 2 === 1) order.reverse();
      for (const [index, variant] of order) results[index] = await variant();
      rounds.push(results as unknown as T);
    }
    return rounds;
  }

  /** Waits until what was written before is on the disk: it is not measured. */
  async settle(): Promise<void> {
    await outputOf(["sync"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Deno.removeSignalListener("SIGINT", this.#onInterrupt);
    await this.watcher[Symbol.asyncDispose]();
    this.#removeFolder();
  }

  #removeFolder(): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}
