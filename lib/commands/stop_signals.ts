/**
 * How a person, a shell or a service manager says stop.
 *
 * @module
 */

/** SIGTERM does not exist on Windows. */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

/** Calls the listener at each signal, until it is disposed of. */
export function onStopSignal(listener: () => void): Disposable {
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, listener);
  return {
    [Symbol.dispose]() {
      for (const signal of STOP_SIGNALS) {
        Deno.removeSignalListener(signal, listener);
      }
    },
  };
}
