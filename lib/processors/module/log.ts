/**
 * What is said of a plugin's thread.
 *
 * @module
 */

import type { Log } from "../../base/log.ts";

/** Writes a line for each thing that happens to a thread. */
export class ModuleLog {
  readonly #log: Log | undefined;
  readonly #label: string;

  /** @param label what the module is called in messages */
  constructor(log: Log | undefined, label: string) {
    this.#log = log;
    this.#label = label;
  }

  ready(name: string | undefined): void {
    const label = this.#label;
    this.#log?.debug(`${label} is ready${name ? `: ${name}` : ""}`, {
      event: "module_ready",
      module: label,
    });
  }

  /** What it prints while it works on no task. */
  printed(line: unknown): void {
    const label = this.#label;
    this.#log?.debug(`${label}: ${line}`, { event: "output", module: label });
  }

  blocked({ seconds, tasks }: { seconds: number; tasks: number }): void {
    const label = this.#label;
    this.#log?.warning(
      `${label} has blocked its event loop for ${seconds} s: its ${tasks} ` +
        "tasks can't go on, nor stop by themselves",
      { event: "module_blocked", module: label, count: tasks },
    );
  }

  recovered(): void {
    const label = this.#label;
    this.#log?.info(`${label} answers again`, {
      event: "module_recovered",
      module: label,
    });
  }

  ended(reason: string): void {
    const label = this.#label;
    this.#log?.warning(`${label} was ended: ${reason}`, {
      event: "module_ended",
      module: label,
      reason,
    });
  }

  stuck(): void {
    const label = this.#label;
    this.#log?.error(
      `${label} can't be ended: it goes on in a loop that uses one processor ` +
        "core, maybe more and more memory. Restart agent-runner.",
      { event: "module_stuck", module: label },
    );
  }
}
