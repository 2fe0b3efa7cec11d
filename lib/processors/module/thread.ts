/**
 * A plugin's thread as the runner sees it: starts it, runs tasks in it, notices
 * what becomes of it, and ends it. See `messages.ts`.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { PluginTask } from "./plugin.ts";
import type { ProcessorContext } from "../processor.ts";
import type { Outcome } from "../../task/task.ts";
import { parseObject } from "../../task/trace.ts";
import type { FromGuard, FromThread, ToThread } from "./messages.ts";
import { openThread, type OpenThreadOptions } from "./open.ts";

/** How often the thread is asked for a sign of life while it has runs. */
const PING_MS = 1_000;
/** Pings without an answer after which the log says that it is blocked. */
const BLOCKED_PINGS = 10;

/** A thread that lives on for so long after its end can't be stopped. */
const UNSTOPPABLE_MS = 2_000;

/** Options for {@linkcode PluginThread}. */
export interface PluginThreadOptions extends OpenThreadOptions {
  readonly startTimeoutMs: number;
  /** How long a run has to return after it was told to stop. */
  readonly graceMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Called where it was ready, and by its own fault takes no more runs. */
  readonly onLost: (reason: string) => void;
}

interface Run {
  readonly taskId: string;
  readonly context: ProcessorContext;
  readonly finish: (outcome: Outcome) => void;
}

/** See {@linkcode PluginThreadOptions}. */
export class PluginThread {
  readonly #options: PluginThreadOptions;
  readonly #guard: Worker;
  readonly #guardPort: MessagePort;
  readonly #port: MessagePort;
  readonly #ready = Promise.withResolvers<void>();
  /** Aborts when the thread is no more. */
  readonly #gone = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #runs = new Map<number, Run>();
  /** Aborts when there are no runs left to watch over. */
  #watch: AbortController | undefined;
  #lastRun = 0;
  #lastPing = 0;
  #lastPong = 0;
  #isReady = false;
  #isRetired = false;
  #endReason: string | undefined;

  /**
   * Starts the thread; {@linkcode ready} says how that went.
   *
   * @throws {Deno.errors.NotCapable} where it may do more than the runner.
   */
  constructor(options: PluginThreadOptions) {
    this.#options = options;
    const { clock, startTimeoutMs } = options;
    const { guard, guardPort, port } = openThread(options);
    this.#guard = guard;
    this.#guardPort = guardPort;
    this.#port = port;
    port.onmessage = ({ data }) => this.#take(data);
    guardPort.onmessage = ({ data }) => this.#takeEnd(data);
    guard.addEventListener("error", (event) => {
      event.preventDefault(); // It would be an error of the runner's.
      this.#gone.abort();
      this.#lose(`its worker can't start: ${event.message}`);
    });
    const loaded = new AbortController();
    const done = () => loaded.abort();
    this.#ready.promise.then(done, done);
    clock.sleep(startTimeoutMs, loaded.signal).then(() => {
      if (loaded.signal.aborted) return;
      this.#lose(`it was not ready within ${startTimeoutMs / 1_000} s`);
    });
  }

  /** Resolves once the plugin is loaded, rejects where it can't be. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when the thread has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** How many runs it has. */
  get runs(): number {
    return this.#runs.size;
  }

  /** Runs a task in the thread, which must have been ready. */
  run(task: PluginTask, context: ProcessorContext): Promise<Outcome> {
    if (this.#endReason) return Promise.resolve(this.#failure(this.#endReason));
    const run = ++this.#lastRun;
    const { signal, idempotencyKey, trace, answers } = context;
    const finished = new AbortController();
    return new Promise<Outcome>((resolve) => {
      const finish = (outcome: Outcome) => {
        finished.abort();
        this.#runs.delete(run);
        if (this.#runs.size === 0) {
          this.#watch?.abort();
          if (this.#isRetired) this.end("it is not used any more");
        }
        resolve(outcome);
      };
      this.#runs.set(run, { taskId: task.id, context, finish });
      this.#say({
        kind: "run",
        run,
        task,
        idempotencyKey,
        trace,
        answers,
      });
      signal.addEventListener("abort", () => {
        this.#stop(run, { reason: signal.reason, finished: finished.signal });
      }, { once: true, signal: finished.signal });
      if (this.#runs.size === 1) this.#watchOver();
    });
  }

  /** Ends the thread; the runs in it fail with the reason. */
  end(reason: string): void {
    if (this.#endReason) return;
    this.#endReason = reason;
    this.#port.close();
    this.#guardPort.postMessage("end");
    this.#awaitEnd();
    this.#ready.reject(new Error(reason));
    for (const { finish } of this.#runs.values()) {
      finish(this.#failure(reason));
    }
  }

  #failure(reason: string): Outcome {
    const { label } = this.#options;
    const error = `${label} was ended: ${reason}`;
    return { kind: "failed", error, retryable: true };
  }

  /**
   * V8 leaves the check for a request to stop out of some loops that it has
   * optimized: those that only call built-in functions.
   */
  async #awaitEnd(): Promise<void> {
    const { label, clock, log } = this.#options;
    await clock.sleep(UNSTOPPABLE_MS, this.#gone.signal);
    if (!this.#gone.signal.aborted) {
      log.error(
        `${label} can't be ended: it goes on in a loop that uses one ` +
          "processor core, maybe more and more memory. Restart agent-runner.",
        { event: "module_stuck", module: label },
      );
    }
    this.#guardPort.close();
    this.#guard.terminate();
    this.#ended.resolve();
  }

  #say(message: ToThread): void {
    this.#port.postMessage(message);
  }

  #take(message: FromThread): void {
    if (this.#endReason) return;
    const { label, log } = this.#options;
    switch (message.kind) {
      case "ready":
        log.debug(
          `${label} is ready${message.name ? `: ${message.name}` : ""}`,
          {
            event: "module_ready",
            module: label,
          },
        );
        this.#isReady = true;
        this.#ready.resolve();
        break;
      case "unusable":
        this.#lose(message.error);
        break;
      case "uncaught":
        this.#lose(`an error in it was not caught: ${message.error}`);
        break;
      case "progress": {
        const { run, message: text, fraction } = message;
        this.#runs.get(run)?.context.progress(text, fraction);
        break;
      }
      case "output": {
        const run = this.#runs.get(message.run ?? 0);
        if (run) run.context.output(message.line);
        else {
          log.debug(`${label}: ${message.line}`, {
            event: "output",
            module: label,
          });
        }
        break;
      }
      case "outcome":
        // Made of a checked outcome by the thread.
        this.#runs.get(message.run)?.finish(
          parseObject(message.text) as unknown as Outcome,
        );
        break;
      case "outgrown":
        this.#outgrow();
        break;
      case "pong":
        this.#lastPong = message.ping;
    }
  }

  #takeEnd(message: FromGuard): void {
    if (message.kind === "gone") this.#gone.abort();
    else if (message.error?.includes("reaching memory limit")) this.#outgrow();
    else this.#lose(message.error ?? "it called exit or close");
  }

  #outgrow(): void {
    const { memoryMb } = this.#options;
    this.#lose(`it needs more than its ${memoryMb} MB of memory`);
  }

  #lose(reason: string): void {
    if (this.#endReason) return;
    if (this.#isReady && !this.#isRetired) this.#options.onLost(reason);
    this.end(reason);
  }

  async #stop(
    run: number,
    { reason, finished }: { reason: unknown; finished: AbortSignal },
  ): Promise<void> {
    const { clock, graceMs, label } = this.#options;
    const stopped = this.#runs.get(run);
    this.#say({ kind: "stop", run, reason: messageOf(reason) });
    const ping = this.#ping();
    // In two parts, so that its answer comes in between where this process was
    // the one that was blocked.
    await clock.sleep(graceMs / 2, finished);
    await clock.sleep(graceMs / 2, finished);
    if (!stopped || finished.aborted) return;
    if (this.#lastPong < ping) {
      this.#lose(
        "its event loop is blocked, so that task " +
          `${stopped.taskId} can't be stopped without it`,
      );
    } else {
      // Its other runs may go on; it is ended after the last of them.
      const reason = `it ignored the signal that stops task ${stopped.taskId}`;
      if (!this.#isRetired) this.#options.onLost(reason);
      this.#isRetired = true;
      stopped.finish({
        kind: "failed",
        error: `${label}: ${reason}`,
        retryable: true,
      });
    }
  }

  #ping(): number {
    const ping = ++this.#lastPing;
    this.#say({ kind: "ping", ping });
    return ping;
  }

  /** Notices while there are runs that the thread does not answer. */
  async #watchOver(): Promise<void> {
    const { label, clock, log } = this.#options;
    const watch = this.#watch = new AbortController();
    let unanswered = 0;
    let ping = 0; // Most runs end before the first.
    while (true) {
      await clock.sleep(PING_MS, watch.signal);
      if (watch.signal.aborted) return;
      if (this.#lastPong >= ping) {
        if (unanswered >= BLOCKED_PINGS) {
          log.info(`${label} answers again`, {
            event: "module_recovered",
            module: label,
          });
        }
        unanswered = 0;
      } else if (++unanswered === BLOCKED_PINGS) {
        const count = this.#runs.size;
        log.warning(
          `${label} has blocked its event loop for ${unanswered} s: its ` +
            `${count} tasks can't go on, nor stop by themselves`,
          { event: "module_blocked", module: label, count },
        );
      }
      ping = this.#ping();
    }
  }
}
