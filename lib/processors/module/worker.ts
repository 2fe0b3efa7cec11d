/**
 * The program of a plugin's thread: loads the plugin and runs tasks in it,
 * several at the same time. See `messages.ts`.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { messageOf } from "../../base/errors.ts";
import { type Progress, progressOf } from "../../task/progress.ts";
import { parseObject, stringifyJson } from "../../task/trace.ts";
import type { Plugin, PluginContext } from "./plugin.ts";
import { loadPlugin, whereOf } from "./load.ts";
import type {
  FromPlugin,
  PluginOrder,
  RunOrder,
  ToPlugin,
} from "./messages.ts";
import { OutcomeError, outcomeText } from "./outcome.ts";
import { catchOutput } from "./output.ts";

/** Notes on progress are sent on at most this often. */
const PROGRESS_MS = 100;

let port: MessagePort;
/** What stops each of the runs in hand. */
const stops = new Map<number, AbortController>();
const currentRun = new AsyncLocalStorage<number>();
const print = catchOutput((line) =>
  say({ kind: "output", run: currentRun.getStore(), line })
);

reportEnd();
addEventListener("message", (event) => {
  const { data } = event as MessageEvent<PluginOrder & { port: MessagePort }>;
  port = data.port;
  start(data);
}, { once: true });

async function start(
  { plugin: url, options, permissions, grants }: PluginOrder,
): Promise<void> {
  try {
    const plugin = await loadPlugin(url, { options, permissions, grants });
    port.onmessage = ({ data }: MessageEvent<string>) =>
      obey(parseObject(data) as unknown as ToPlugin, plugin);
    const { name } = plugin;
    say({ kind: "ready", name: typeof name === "string" ? name : undefined });
  } catch (error) {
    say({ kind: "unusable", error: messageOf(error) });
  }
}

function say(message: FromPlugin): void {
  port.postMessage(stringifyJson({ ...message }));
}

/** Nobody else notices the end of this thread. */
function reportEnd(): void {
  const end = () => say({ kind: "ended" });
  addEventListener("unload", end);
  globalThis.close = end;
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

function obey(message: ToPlugin, plugin: Plugin): void {
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
  const { run } = given;
  const task = { ...given.task, createdAt: new Date(given.task.createdAt) };
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
  port.postMessage(`{"kind":"outcome","run":${run},"outcome":${text}}`);
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
  { run, idempotencyKey, trace, answers, results }: RunOrder,
  { signal, progress }: { signal: AbortSignal; progress: LatestProgress },
): PluginContext {
  return {
    signal,
    idempotencyKey,
    trace,
    answers,
    results,
    progress: (message, fraction) => progress.set(message, fraction),
    output: (line) => currentRun.run(run, () => print(`${line}\n`)),
  };
}

/** Sends a run's last note on progress, now and then. */
class LatestProgress {
  readonly #run: number;
  #latest: Progress | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(run: number) {
    this.#run = run;
  }

  set(message: string, fraction?: number): void {
    if (this.#isOver) return;
    this.#latest = progressOf(message, fraction);
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
    say({ kind: "progress", run: this.#run, message, fraction });
  }
}
