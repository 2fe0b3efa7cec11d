/**
 * Providers that are paused: a runner says so once, and gives their tasks to others
 * where it is told to.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import { formatLocalTime, type Log } from "../base/log.ts";
import type { ProviderSettings } from "../processors/processor.ts";
import {
  OTHERS,
  type Pause,
  type PauseKind,
  type Queue,
} from "../store/contract.ts";
import type { AgentTask } from "../task/task.ts";
import { settingsFor } from "./providers.ts";

/** `claude`, `batch nightly` or `everything` */
export function pauseName(
  { provider, batch }: Pick<Pause, "provider" | "batch">,
): string {
  if (batch !== "") return `batch ${batch}`;
  return provider === OTHERS ? "everything" : provider;
}

/** Whether a task waits because of it. */
export function isPauseOf(
  { provider, batch }: Pause,
  task: Pick<AgentTask, "provider" | "batch">,
): boolean {
  return batch !== ""
    ? batch === task.batch
    : provider === OTHERS || provider === task.provider;
}

/** `limit until 04:33: weekly`, or `paused until it is resumed`. */
export function pauseText(
  { kind, until, reason }: Pick<Pause, "kind" | "until" | "reason">,
  now: Date,
): string {
  const name = kind === "person" ? "paused" : kind;
  const time = until === null
    ? "until it is resumed"
    : until <= now
    ? "to be tried by one task"
    : `until ${shortTime(until, now)}`;
  return reason === "" ? `${name} ${time}` : `${name} ${time}: ${reason}`;
}

/** Without the day where it is today's, and without seconds. */
export function shortTime(time: Date, now: Date): string {
  const [day = "", clock = ""] = formatLocalTime(time).split(" ");
  const isToday = formatLocalTime(now).startsWith(day);
  const minutes = clock.slice(0, 5);
  return isToday ? minutes : `${day} ${minutes}`;
}

/** What differs by less is the same end, by another clock. */
const SAME_MS = 60_000;

/** What {@linkcode Pauses} works with. */
export interface PausesParts {
  readonly queue: Pick<Queue, "handOver">;
  readonly log: Log;
  readonly providers: ReadonlyMap<string, ProviderSettings> | undefined;
}

/** The pauses that a runner knows of. */
export class Pauses {
  readonly #parts: PausesParts;
  #known: readonly Pause[] = [];
  /** Of how many runs the store is to learn yet what may pause their provider. */
  readonly #unrecorded = new Map<string, number>();

  constructor(parts: PausesParts) {
    this.#parts = parts;
  }

  /** There is one, as far as the last claim has seen, or may be at once. */
  get isAny(): boolean {
    return this.#known.length > 0 || this.#unrecorded.size > 0;
  }

  /** Providers that may be paused as soon as the store knows what came of a run. */
  get unrecorded(): ReadonlySet<string> {
    return new Set(this.#unrecorded.keys());
  }

  /** Holds the tasks of a provider back until that is known. */
  hold(provider: string): Disposable {
    const add = (change: number) => {
      const count = (this.#unrecorded.get(provider) ?? 0) + change;
      if (count > 0) this.#unrecorded.set(provider, count);
      else this.#unrecorded.delete(provider);
    };
    add(1);
    return { [Symbol.dispose]: () => add(-1) };
  }

  /** It is paused for that reason, as far as the last claim has seen. */
  has(provider: string, kind: PauseKind): boolean {
    return this.#known.some((it) =>
      it.provider === provider && it.kind === kind
    );
  }

  /**
   * Takes note of what a claim has found. Returns how many tasks other providers
   * have now.
   *
   * @param at the store's time
   */
  async heed(pauses: readonly Pause[], at: Date): Promise<number> {
    const before = this.#known;
    this.#known = pauses;
    for (const pause of pauses) {
      if (!before.some((it) => isSame(it, pause))) this.#tell(pause, at);
    }
    const names = new Set(pauses.map(pauseName));
    const ended = new Map(before.map((it) => [pauseName(it), it]));
    for (const [name, pause] of ended) {
      if (names.has(name)) continue;
      this.#parts.log.info(`${subjectOf(pause)} goes on`, {
        event: "provider_resumed",
        ...fieldsOf(pause),
      });
    }
    return await this.#handOver(pauses, at);
  }

  #tell(pause: Pause, at: Date): void {
    const { kind, reason, until } = pause;
    this.#parts.log.warning(
      `${subjectOf(pause)}: ${
        pauseText(pause, at).replace(/[.\s]+$/, "")
      }. Its tasks wait.`,
      {
        event: "provider_paused",
        ...fieldsOf(pause),
        kind,
        reason,
        until: until?.toISOString() ?? null,
      },
    );
  }

  /** What a person has paused stays where it is. */
  async #handOver(pauses: readonly Pause[], at: Date): Promise<number> {
    const { queue, providers, log } = this.#parts;
    const isPaused = (name: string) =>
      pauses.some(({ provider }) => provider === name);
    const byPerson = new Set(
      pauses.filter(({ kind }) => kind === "person")
        .map(({ provider }) => provider),
    );
    let count = 0;
    for (const pause of pauses) {
      const { provider: from, until } = pause;
      const to = settingsFor(from, providers)?.fallback;
      // Where a limit may be over, its own tasks are to try.
      const isOn = (until === null || until > at) && !byPerson.has(from);
      if (to === undefined || to === from || !isOn || isPaused(to)) continue;
      if (from === OTHERS) continue;
      const reason = pauseText(pause, at);
      const given = await queue.handOver({ from, to, reason }).catch(failed);
      if (given === 0) continue;
      count += given;
      log.warning(
        `${countOf(given, "task")} of ${from} given to ${to}: ${reason}`,
        { event: "handed_over", provider: from, to, count: given, reason },
      );
    }
    return count;

    // They wait, and the next claim tries it again; what this one has is begun.
    function failed(error: unknown): number {
      log.error(`Cannot give tasks to another provider: ${messageOf(error)}`, {
        event: "hand_over_failed",
        error: messageOf(error),
      });
      return 0;
    }
  }
}

/** Who waits, at the beginning of a sentence. */
function subjectOf(pause: Pause): string {
  const { provider, batch } = pause;
  if (batch !== "") return `Batch ${batch}`;
  return provider === OTHERS ? "Everything" : `Provider ${provider}`;
}

function fieldsOf({ provider, batch }: Pause) {
  return { provider, ...batch !== "" && { batch } };
}

function isSame(one: Pause, other: Pause): boolean {
  return pauseName(one) === pauseName(other) && one.kind === other.kind &&
    one.reason === other.reason &&
    Math.abs(+(one.until ?? 0) - +(other.until ?? 0)) < SAME_MS;
}
