/**
 * One pass of a runner, be it long or short: claims for its slots, executes,
 * counts what came of it, and ends as it is told to.
 *
 * @module
 */

import { orAborted } from "../base/wake.ts";
import type { Claim } from "../store/contract.ts";
import { release } from "../task/transitions.ts";
import type { Runner, RunSummary, StopSignals } from "./context.ts";
import { logTransition } from "./log.ts";
import { executeRun } from "./processing.ts";
import { providerRoom, sharesRoom } from "./providers.ts";
import type { Run } from "./runs.ts";
import { Change, Slots } from "./slots.ts";
import type { Waiting } from "./waiting.ts";

/** Which tasks to claim. */
export interface ClaimRequest {
  /** How many tasks to begin. */
  readonly limit: number;
  /** How many more to hold. @default {0} */
  readonly ahead?: number;
  /** Only this one, whatever its time and its provider's limit. */
  readonly taskId?: string;
  /** Ends the wait for the store. */
  readonly signal?: AbortSignal;
}

/** What was taken in hand. */
export interface Started extends Omit<Claim, "tasks" | "pauses"> {
  /** In the order in which they are to run. */
  readonly runs: readonly Run[];
  /** Other providers have got tasks since. */
  readonly isHandedOver: boolean;
}

/** Options for {@linkcode Pass}. */
export interface PassOptions {
  readonly claim: (request: ClaimRequest) => Promise<Started>;
  readonly signals: StopSignals;
  /** Ends the claiming; aborts with each of `signals`. */
  readonly stop: AbortSignal;
  readonly onError: (error: unknown) => void;
  /** Waits for more to claim. Without it, the pass ends when nothing is left. */
  readonly waiting?: Waiting;
}

/** How often what dead runners left is looked for, and old history. */
const ABANDONED_MS = 1_000;
const PRUNE_MS = 3_600_000;
/** Outcomes that may wait to be written before no more is claimed. */
const MOST_UNWRITTEN = 20_000;

/** What a claim that found less than it wanted says. */
interface Found {
  /** When, by the store's clock. */
  readonly at: Date;
  /** When a task may begin that a rate holds back. */
  readonly nextAt?: Date | undefined;
  /** There may be more as soon as a run ends. */
  readonly isBlocked: boolean;
  /** Resolves then. */
  readonly freed: Promise<void>;
}

/** A pass of a runner. */
export class Pass {
  readonly #slots: Slots;
  readonly #runner: Runner;
  readonly #options: PassOptions;
  readonly #counts: Record<keyof RunSummary, number> = {
    started: 0,
    completed: 0,
    failed: 0,
    needs_input: 0,
    retrying: 0,
    cancelled: 0,
    released: 0,
    limited: 0,
    skipped: 0,
    simulated: 0,
    warned: 0,
  };
  /** What is not recorded or not given back yet, and that this is one less. */
  #unfinished = 0;
  /** How often that was so. */
  #finishes = 0;
  readonly #finished = new Change();
  #givenBack: Promise<unknown> = Promise.resolve();
  #idle: Promise<void> | undefined;
  #wakesWith: Promise<void> | undefined;
  #pruning: Promise<void> | undefined;
  #endAbandonedAt: number;
  #pruneAt: number;
  /** When the last claim was, by the store's clock, */
  #claimedAt: Date;
  /** and when what nobody will run again was looked for. */
  #tidiedAt: Date;

  constructor(runner: Runner, options: PassOptions) {
    this.#runner = runner;
    this.#options = options;
    const { clock, settings } = runner;
    this.#endAbandonedAt = clock.monotonic();
    this.#pruneAt = clock.monotonic() + PRUNE_MS;
    this.#claimedAt = this.#tidiedAt = clock.now();
    this.#slots = new Slots({
      concurrency: settings.concurrency,
      clock,
      execute: (run, onOver) => this.#execute(run, onOver),
      giveBack: (runs, why) => this.#giveBack(runs, why),
    });
  }

  /**
   * Claims and executes until nothing is left, or the signal to stop comes.
   * Resolves when what came of the last run is recorded, or given up.
   */
  async run(): Promise<RunSummary> {
    const { recorder } = this.#runner;
    const { stop, waiting } = this.#options;
    const slots = this.#slots;
    const onStop = () => {
      slots.stop();
      this.#finished.tell();
    };
    stop.addEventListener("abort", onStop, { once: true });
    using _ = this.#runner.events.subscribe(({ type }) => {
      if (type === "usable") this.#finished.tell();
      if (type === "unblocked") slots.lookAgain();
    });
    while (!stop.aborted) {
      const { free, ahead } = slots;
      if (recorder.size > MOST_UNWRITTEN) await this.#finished.next;
      else if (free === 0 && ahead === 0) await slots.changed;
      else {
        const finishes = this.#finishes;
        const found = await this.#claim(free, ahead);
        if (!found || stop.aborted) continue;
        this.#endAbandonedAt = -Infinity;
        // What was recorded since has left room of what all runners share.
        if (this.#sharesRoom && finishes !== this.#finishes) continue;
        if (waiting) {
          if (found.isBlocked) this.#wakeWith(found.freed);
          // Due since the look for abandoned ones: nobody has seen it.
          const nextMs = found.nextAt ? +found.nextAt - +found.at : Infinity;
          await waiting.wait(
            min(found.at, this.#tidiedAt),
            Math.min(nextMs, this.#untilHours()),
          );
        } else {
          const isUnchanged = () => found.freed === slots.changed;
          if (this.#sharesRoom && this.#unfinished > 0) {
            await Promise.race([found.freed, this.#finished.next]);
          } else if (!slots.isIdle || !isUnchanged()) await found.freed;
          else if (!await this.#isRetryDue(found) && isUnchanged()) break;
        }
      }
    }
    stop.removeEventListener("abort", onStop);
    slots.stop();
    await this.#finish();
    return this.#counts;
  }

  get #sharesRoom(): boolean {
    return sharesRoom(this.#runner);
  }

  /** How long until a provider's hours begin. */
  #untilHours(): number {
    const { hours, clock } = this.#runner;
    const now = clock.now();
    const next = hours.nextOpening(now);
    return next ? next.getTime() - now.getTime() : Infinity;
  }

  /** Waits for the next attempt of a task, or start of one, where that is soon. */
  async #isRetryDue({ at: since, nextAt }: Found): Promise<boolean> {
    const { queue, clock, settings, claimedProviders } = this.#runner;
    const { stop, onError } = this.#options;
    while (this.#unfinished > 0 && !stop.aborted) await this.#finished.next;
    try {
      const due = queue.untilDue(since, {
        isRetry: true,
        providers: claimedProviders,
      });
      const nextMs = nextAt ? +nextAt - +since : Infinity;
      const dueMs = Math.min(await orAborted(due, stop) ?? Infinity, nextMs);
      if (dueMs > settings.retryWaitMs) return false;
      await clock.sleep(dueMs, stop);
      return true;
    } catch (error) {
      onError(error);
      return false;
    }
  }

  /** Undefined where there may be more at once. */
  async #claim(limit: number, ahead: number): Promise<Found | undefined> {
    const { stop, onError, waiting, claim } = this.#options;
    const slots = this.#slots;
    // Before the claim: a run may end while that waits for the store.
    const { changed } = slots;
    const hadFull = this.#hasFullProvider();
    try {
      waiting?.beforeClaim();
      await orAborted(this.#tidy(), stop);
      if (stop.aborted) return undefined;
      const started = await claim({ limit, ahead, signal: stop });
      const { runs: claimed, waitsForIdle, hasMore, at, nextAt } = started;
      slots.add(claimed);
      this.#claimedAt = at;
      if (claimed.some(({ isAlone }) => isAlone)) {
        await this.#untilIdle();
        return undefined;
      }
      if (waitsForIdle) {
        return { at, isBlocked: true, freed: this.#untilIdle() };
      }
      if (started.isHandedOver) return undefined;
      const isFull = hasMore || claimed.length >= limit;
      if (claimed.length > 0 && isFull) return undefined;
      // What ran before is not held, and a provider without room may have more.
      const isBlocked = limit === 0 || hadFull || this.#hasFullProvider();
      return { at, nextAt, isBlocked, freed: changed };
    } catch (error) {
      if (!stop.aborted) onError(error);
      return { at: this.#claimedAt, isBlocked: false, freed: changed };
    }
  }

  /** There is a provider that has no room left. */
  #hasFullProvider(): boolean {
    const { limits, runs } = this.#runner;
    return [...providerRoom(limits, runs)?.values() ?? []].includes(0);
  }

  /** Resolves when nothing is in hand, or the pass is to stop. */
  #untilIdle(): Promise<void> {
    const { runs } = this.#runner;
    const { stop } = this.#options;
    const idle = async () => {
      while (runs.size > 0 && !stop.aborted) await this.#finished.next;
    };
    return this.#idle ??= idle().finally(() => this.#idle = undefined);
  }

  /** Ends the wait for more then; one wait after the other may be for the same. */
  #wakeWith(freed: Promise<void>): void {
    if (freed === this.#wakesWith) return;
    this.#wakesWith = freed;
    freed.then(() => this.#options.waiting?.wake());
  }

  /**
   * Ends what dead runners left, and waits for what is given back, so that a claim
   * finds it. Old history is deleted beside, which may take long.
   */
  async #tidy(): Promise<void> {
    const { queue, clock, log, settings, events } = this.#runner;
    await this.#givenBack;
    const now = clock.monotonic();
    if (now >= this.#pruneAt) this.#prune();
    if (now < this.#endAbandonedAt) return;
    this.#endAbandonedAt = now + ABANDONED_MS;
    // By the store's clock, and not after that: this machine's may differ.
    this.#tidiedAt = this.#claimedAt;
    const ended = await queue.endAbandoned({
      maxAttempts: settings.maxAttempts,
      signal: this.#options.stop,
    });
    for (const { task, transition } of ended) {
      const { provider } = task;
      logTransition(log, transition, { at: clock.now(), provider });
      if (transition.event === "failed") this.#counts.failed++;
    }
    if (ended.length > 0) events.emit({ type: "ended", ended });
  }

  /** Deletes old history, where that is not under way; a stop ends it. */
  #prune(): Promise<void> {
    return this.#pruning ??= this.#pruneNow().finally(() => {
      this.#pruning = undefined;
    });
  }

  async #pruneNow(): Promise<void> {
    const { admin, clock, log, settings } = this.#runner;
    const { stop, onError } = this.#options;
    this.#pruneAt = clock.monotonic() + PRUNE_MS;
    if (settings.eventRetentionMs === 0) return;
    try {
      const count = await admin.pruneHistory(settings.eventRetentionMs, {
        signal: stop,
      });
      if (count === 0) return;
      log.info(`Deleted ${count} old rows of history`, {
        event: "pruned",
        count,
      });
    } catch (error) {
      if (!stop.aborted) onError(error);
    }
  }

  #execute(run: Run, onOver: (runMs: number) => void): void {
    this.#counts.started++;
    this.#unfinished++;
    executeRun(this.#runner, run, {
      onLimit: () => this.#slots.giveBackOf(run.task.provider),
      onOver,
      onWarning: () => this.#counts.warned++,
      onResult: (result) => {
        this.#counts[result]++;
        if (run.isSimulated && result !== "skipped") this.#counts.simulated++;
        this.#finishOne();
      },
    });
  }

  #finishOne(): void {
    this.#unfinished--;
    this.#finishes++;
    this.#finished.tell();
  }

  /** Gives back what was claimed, and what of it is begun in the store too. */
  #giveBack(given: readonly Run[], why: string): void {
    const { queue, recorder, runs } = this.#runner;
    for (const run of given) runs.delete(run);
    const held = given.filter(({ isBegun }) => !isBegun);
    const begun = given.filter(({ isBegun }) => isBegun);
    const work = Promise.all([
      this.#givenBack,
      queue.giveBack(held.map(({ lease }) => lease)),
      ...begun.map((run) => recorder.record(release(run, why))),
    ]);
    this.#unfinished++;
    this.#givenBack = orAborted(work, recorder.abandoned)
      // What can't be given back is free when its lease runs out.
      .catch(this.#options.onError)
      .finally(() => this.#finishOne());
  }

  /** Waits for the runs, and for what came of them to be written. */
  async #finish(): Promise<void> {
    const { clock, recorder, runs, settings } = this.#runner;
    const { signals: { drain, abort }, stop } = this.#options;
    const slots = this.#slots;
    const over = new AbortController();
    const stopRuns = async () => {
      // Nobody asked to stop where nothing was left, or where a claim failed.
      await clock.sleep(
        Infinity,
        AbortSignal.any([drain, abort, over.signal]),
      );
      const hurry = AbortSignal.any([abort, over.signal]);
      await clock.sleep(settings.drainMs, hurry);
      if (!over.signal.aborted) runs.stopAll("shutdown");
    };
    stopRuns();
    while (!slots.isIdle) await slots.changed;
    over.abort();
    const done = new AbortController();
    const giveUp = async () => {
      await clock.sleep(Infinity, AbortSignal.any([stop, done.signal]));
      if (done.signal.aborted) return;
      recorder.giveUpAt(clock.monotonic() + settings.leaseMs);
      await clock.sleep(Infinity, AbortSignal.any([abort, done.signal]));
      await recorder.abandonSoon(done.signal);
    };
    giveUp();
    while (this.#unfinished > 0) await this.#finished.next;
    done.abort();
    const hasStarted = this.#counts.started > 0;
    if (hasStarted && !stop.aborted) await orAborted(this.#prune(), stop);
  }
}

function min(one: Date, other: Date): Date {
  return one < other ? one : other;
}
