/**
 * The program of a plugin's thread: loads the plugin and runs tasks in it,
 * several at the same time. See `messages.ts`.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import process from "node:process";
import { getHeapStatistics } from "node:v8";
import { workerData } from "node:worker_threads";
import { messageOf } from "../../base/errors.ts";
import type { Plugin, PluginContext } from "./plugin.ts";
import { loadPlugin, whereOf } from "./load.ts";
import type {
  FromThread,
  RunOrder,
  ThreadOrder,
  ToThread,
} from "./messages.ts";
import { OutcomeError, outcomeText } from "./outcome.ts";
import { catchOutput } from "./output.ts";

/** How often the memory is looked at. */
const MEMORY_MS = 500;
/** Notes on progress are sent on at most this often. */
const PROGRESS_MS = 100;

const order = workerData as ThreadOrder;
const { port } = order;
// The plugin can import `workerData` as well.
Reflect.deleteProperty(order, "port");

/** What stops each of the runs in hand. */
const stops = new Map<number, AbortController>();
const currentRun = new AsyncLocalStorage<number>();
const print = catchOutput((line) =>
  say({ kind: "output", run: currentRun.getStore(), line })
);

await holdLock();
watchMemory();
confine();
try {
  const plugin = await loadPlugin(order);
  port.onmessage = ({ data }: MessageEvent<ToThread>) => obey(data, plugin);
  const { name } = plugin;
  say({ kind: "ready", name: typeof name === "string" ? name : undefined });
} catch (error) {
  say({ kind: "unusable", error: messageOf(error) });
}

function say(message: FromThread): void {
  port.postMessage(message);
}

/** Web Locks, which TypeScript's library does not have in Deno. */
interface Locks {
  request(name: string, hold: () => Promise<void>): Promise<void>;
}

/**
 * Deno ends a worker that never comes back to its event loop only where that
 * holds a lock.
 */
function holdLock(): Promise<void> {
  const { locks } = navigator as unknown as { locks: Locks };
  return new Promise((resolve) => {
    locks.request(crypto.randomUUID(), () => {
      resolve();
      return new Promise(() => {});
    });
  });
}

/**
 * Where the heap is full, Deno raises its limit and drops what just ran, with
 * all that waited for it, but the thread lives on. Buffers have no limit.
 */
function watchMemory(): void {
  const limit = () => getHeapStatistics().heap_size_limit;
  const heapBytes = limit();
  const bufferBytes = order.memoryMb * 1024 * 1024;
  setInterval(() => {
    if (limit() > heapBytes || process.memoryUsage().external > bufferBytes) {
      say({ kind: "outgrown" });
    }
  }, MEMORY_MS);
}

/** Keeps the plugin from what would reach the whole process. */
function confine(): void {
  Deno.chdir = () => {
    throw new Deno.errors.NotSupported(
      "A plugin can't change the working folder: it is the runner's",
    );
  };
  const report = (event: Event, error: unknown) => {
    event.preventDefault(); // It would be printed.
    say({ kind: "uncaught", error: whereOf(error) });
  };
  globalThis.addEventListener("error", (it) => report(it, it.error));
  globalThis.addEventListener(
    "unhandledrejection",
    (it) => report(it, it.reason),
  );
}

function obey(message: ToThread, plugin: Plugin): void {
  switch (message.kind) {
    case "run":
      runTask(message, plugin);
      break;
    case "stop":
      stops.get(message.run)?.abort(
        new DOMException(`Stopped: ${message.reason}`, "AbortError"),
      );
      break;
    case "ping":
      say({ kind: "pong", ping: message.ping });
  }
}

async function runTask(given: RunOrder, plugin: Plugin): Promise<void> {
  const { run, task } = given;
  const stop = new AbortController();
  stops.set(run, stop);
  const progress = new LatestProgress(run);
  const text = await currentRun.run(run, async () => {
    try {
      const context = contextOf(given, { signal: stop.signal, progress });
      return outcomeText(await plugin.process(task, context));
    } catch (error) {
      return failureText(error);
    }
  });
  progress.end();
  stops.delete(run);
  say({ kind: "outcome", run, text });
}

function failureText(error: unknown): string {
  const isNonsense = error instanceof OutcomeError;
  if (error instanceof Error && !isNonsense) {
    const lines = `${error.stack}`.split("\n");
    // What follows is this program's own.
    const end = lines.findIndex((line) => line.includes(import.meta.url));
    print(`${lines.slice(0, end < 0 ? undefined : end).join("\n")}\n`);
  }
  return outcomeText({
    kind: "failed",
    error: messageOf(error) || "The plugin threw an empty error",
    retryable: !isNonsense,
  });
}

/** A plain object, so that a plugin can take it apart and copy it. */
function contextOf(
  { run, idempotencyKey, trace, answers }: RunOrder,
  { signal, progress }: { signal: AbortSignal; progress: LatestProgress },
): PluginContext {
  return {
    signal,
    idempotencyKey,
    trace,
    answers,
    progress: (message, fraction) => progress.set(message, fraction),
    output: (line) => currentRun.run(run, () => print(`${line}\n`)),
  };
}

/** Sends a run's last note on progress, now and then. */
class LatestProgress {
  readonly #run: number;
  #latest: { message: string; fraction?: number } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(run: number) {
    this.#run = run;
  }

  set(message: string, fraction?: number): void {
    if (this.#isOver) return;
    this.#latest = { message: String(message), fraction: Number(fraction) };
    this.#timer ??= setTimeout(() => this.#send(), PROGRESS_MS);
  }

  /** Sends what is left. */
  end(): void {
    this.#isOver = true;
    this.#send();
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#latest) return;
    const { message, fraction } = this.#latest;
    this.#latest = undefined;
    say({
      kind: "progress",
      run: this.#run,
      message,
      fraction: Number.isFinite(fraction) ? fraction : undefined,
    });
  }
}
