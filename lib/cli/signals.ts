/**
 * What ends a command that goes on for long.
 *
 * @module
 */

import type { Log } from "../base/log.ts";
import type { StopSignals } from "../runner/context.ts";

/** SIGTERM does not exist on Windows. */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

/** What is said at the first signal and at the second. */
export interface StopMessages {
  readonly drain: string;
  readonly abort: string;
}

/** Listens for signals until it is disposed of. */
export function listenForSignals(
  log: Log,
  messages: StopMessages,
): StopSignals & Disposable {
  const drain = new AbortController();
  const abort = new AbortController();
  const listener = () => {
    if (drain.signal.aborted) {
      log.warning(messages.abort, { event: "stopping" });
      abort.abort();
    } else {
      log.info(messages.drain, { event: "stopping" });
      drain.abort();
    }
  };
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, listener);
  return {
    drain: drain.signal,
    abort: abort.signal,
    [Symbol.dispose]() {
      for (const signal of STOP_SIGNALS) {
        Deno.removeSignalListener(signal, listener);
      }
    },
  };
}
