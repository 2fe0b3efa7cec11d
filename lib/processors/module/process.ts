/**
 * A plugin's process as the runner sees it: starts it, runs tasks in it, notices
 * what becomes of it, and ends it. See `messages.ts`.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { PluginTask } from "./plugin.ts";
import type { ProcessorContext } from "../processor.ts";
import type { JsonValue, Outcome } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";
import { linesOf } from "./lines.ts";
import {
  type FromPlugin,
  MAX_LINE_CHARACTERS,
  OUTGROWN_CODE,
  type PluginOrder,
  readMessage,
  type ToPlugin,
} from "./messages.ts";
import { openProcess } from "./open.ts";
import { LineLimit } from "./output.ts";

/** How often the plugin is asked for a sign of life while it has runs. */
const PING_MS = 1_000;
/** Pings without an answer after which the log says that it is blocked. */
const BLOCKED_PINGS = 10;
/** How long output is read of a process that has ended. */
const LAST_OUTPUT_MS = 500;

/** Options for {@linkcode PluginProcess}. */
export interface PluginProcessOptions {
  /** What the plugin is called in messages. */
  readonly label: string;
  readonly order: PluginOrder;
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

/** See {@linkcode PluginProcessOptions}. */
export class PluginProcess {
  /** Resolves when the process has ended, and nothing of it is read any more. */
  readonly ended: Promise<void>;
  readonly #options: PluginProcessOptions;
  readonly #child: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  /** What it printed where nobody caught it. */
  readonly #printed: LineLimit;
  readonly #ready = Promise.withResolvers<void>();
  readonly #runs = new Map<number, Run>();
  /** Aborts when there are no runs left to watch over. */
  #watch: AbortController | undefined;
  #lastRun = 0;
  #lastPing = 0;
  #lastPong = 0;
  #isReady = false;
  #isRetired = false;
  #isOutOfMemory = false;
  #endReason: string | undefined;

  /**
   * Starts the process; {@linkcode ready} says how that went.
   *
   * @throws what `Deno.Command` throws.
   */
  constructor(options: PluginProcessOptions) {
    this.#options = options;
    const { clock, order, startTimeoutMs } = options;
    this.#printed = new LineLimit(
      (line) => this.#print(line),
      () => clock.monotonic(),
    );
    this.#child = openProcess(order);
    this.#orders = this.#child.stdin.getWriter();
    this.#say(order);
    this.ended = this.#follow();
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

  /** How many runs it has. */
  get runs(): number {
    return this.#runs.size;
  }

  /** Runs a task in the process, which must have been ready. */
  run(task: PluginTask, context: ProcessorContext): Promise<Outcome> {
    if (this.#endReason) return Promise.resolve(this.#failure(this.#endReason));
    const run = ++this.#lastRun;
    const { signal, idempotencyKey, trace, answers, results } = context;
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
        task: { ...task, createdAt: task.createdAt.toISOString() },
        idempotencyKey,
        trace,
        answers,
        results,
      });
      signal.addEventListener("abort", () => {
        this.#stop(run, { reason: signal.reason, finished: finished.signal });
      }, { once: true, signal: finished.signal });
      if (this.#runs.size === 1) this.#watchOver();
    });
  }

  /** Kills the process; the runs in it fail with the reason. */
  end(reason: string): void {
    if (this.#endReason) return;
    this.#endReason = reason;
    this.#kill();
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

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  #say(message: PluginOrder | ToPlugin): void {
    const line = stringifyJson(message as unknown as JsonValue);
    // Where it does not listen any more, its end is noticed.
    this.#orders.write(encoder.encode(`${line}\n`)).catch(() => {});
  }

  /** Takes in what it says until it has ended. */
  async #follow(): Promise<void> {
    const { clock } = this.#options;
    const { stdout, stderr, status } = this.#child;
    const isRead = new AbortController();
    const noMoreOutput = new AbortController();
    const read = Promise.all([
      this.#read(stdout, noMoreOutput.signal),
      this.#read(stderr, noMoreOutput.signal),
    ]).then(() => isRead.abort());
    const { code, signal } = await status;
    // What it has started may hold the pipes open.
    await clock.sleep(LAST_OUTPUT_MS, isRead.signal);
    noMoreOutput.abort();
    await read;
    await this.#orders.abort().catch(() => {});
    if (this.#isOutOfMemory || code === OUTGROWN_CODE) {
      const { memoryMb } = this.#options.order;
      this.#lose(`it needs more than its ${memoryMb} MB of memory`);
    } else if (signal) this.#lose(`it was killed by ${signal}`);
    else this.#lose(`its process ended with exit code ${code}`);
  }

  async #read(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    stop: AbortSignal,
  ): Promise<void> {
    const lines = linesOf(stream, { max: MAX_LINE_CHARACTERS, stop });
    try {
      for await (const line of lines) {
        const message = readMessage(line);
        if (message) this.#take(message);
        else this.#printed.write(`${line}\n`);
      }
    } catch (error) {
      if (!stop.aborted) this.#lose(messageOf(error));
    }
  }

  #print(line: string): void {
    const { label, log } = this.#options;
    this.#isOutOfMemory ||= /JavaScript (heap )?out of memory/.test(line);
    log.debug(`${label}: ${line}`, { event: "output", module: label });
  }

  #take(message: FromPlugin): void {
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
      case "ended":
        this.#lose("it called exit or close");
        break;
      case "progress": {
        const { run, message: text, fraction } = message;
        this.#runs.get(run)?.context.progress(text, fraction);
        break;
      }
      case "output": {
        const run = this.#runs.get(message.run ?? 0);
        if (run) run.context.output(message.line);
        else this.#print(message.line);
        break;
      }
      case "outcome":
        // The executor checks it.
        this.#runs.get(message.run)?.finish(
          message.outcome as unknown as Outcome,
        );
        break;
      case "pong":
        this.#lastPong = message.ping;
    }
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

  /** Notices while there are runs that the plugin does not answer. */
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

const encoder = new TextEncoder();
