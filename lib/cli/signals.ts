/**
 * What ends a command that goes on for long.
 *
 * @module
 */

import type { Log } from "../base/log.ts";
import type { StopSignals } from "../runner.ts";

/** SIGTERM does not exist on Windows. */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];
/** The terminal's window was closed. */
const HANG_UP: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? []
  : ["SIGHUP"];

function listen(
  signals: readonly Deno.Signal[],
  listener: () => void,
): Disposable {
  for (const signal of signals) Deno.addSignalListener(signal, listener);
  return {
    [Symbol.dispose]() {
      for (const signal of signals) Deno.removeSignalListener(signal, listener);
    },
  };
}

/** What is said at the first signal and at the second. */
export interface StopMessages {
  readonly drain: string;
  readonly abort: string;
}

/** How a command is told to end, by signals or by somebody else. */
export interface Stopping extends StopSignals, Disposable {
  /** Drains as at the first signal, and says `why`; the next signal is the second. */
  drainBecause(why: string): void;
}

/** Listens for signals until it is disposed of. */
export function listenForSignals(log: Log, messages: StopMessages): Stopping {
  const drain = new AbortController();
  const abort = new AbortController();
  const drainBecause = (why: string) => {
    if (drain.signal.aborted) return;
    log.info(why, { event: "stopping" });
    drain.abort();
  };
  const listening = listen(STOP_SIGNALS, () => {
    if (!drain.signal.aborted) return drainBecause(messages.drain);
    log.warning(messages.abort, { event: "stopping" });
    abort.abort();
  });
  return {
    drain: drain.signal,
    abort: abort.signal,
    drainBecause,
    ...listening,
  };
}

/** Says when somebody wants a view to end, until it is disposed of. */
export function untilStopped(): { readonly signal: AbortSignal } & Disposable {
  const stop = new AbortController();
  const listening = listen([...STOP_SIGNALS, ...HANG_UP], () => stop.abort());
  return { signal: stop.signal, ...listening };
}
