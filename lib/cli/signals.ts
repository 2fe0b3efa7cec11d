/**
 * What ends a command that goes on for long.
 *
 * @module
 */

import type { Log } from "../base/log.ts";
import type { StopSignals } from "../runner.ts";

/** It does not exist on Windows. */
const TERMINATE = "SIGTERM";
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", TERMINATE];
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

/**
 * Leaves the terminal's signals to a program in its foreground, which gets them too,
 * and passes SIGTERM on to it. To be called before the program is started, which may
 * be interrupted at once; what is returned takes the program. It stays so: the signal
 * that ended the program may be dispatched here after its end, and would kill this
 * process.
 */
export function leaveSignals(): (program: Deno.ChildProcess) => void {
  let child: Deno.ChildProcess | undefined;
  let isTold = false;
  const pass = () => {
    isTold = true;
    try {
      child?.kill(TERMINATE);
    } catch {
      // It has just ended by itself.
    }
  };
  const isPassed = (signal: Deno.Signal) => signal === TERMINATE;
  listen(
    [...STOP_SIGNALS, ...HANG_UP].filter((it) => !isPassed(it)),
    () => {},
  );
  listen(STOP_SIGNALS.filter(isPassed), pass);
  return (program) => {
    child = program;
    if (isTold) pass();
  };
}

/** Says when somebody wants a view to end, until it is disposed of. */
export function untilStopped(): { readonly signal: AbortSignal } & Disposable {
  const stop = new AbortController();
  const listening = listen([...STOP_SIGNALS, ...HANG_UP], () => stop.abort());
  return { signal: stop.signal, ...listening };
}
