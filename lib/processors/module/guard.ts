/**
 * The program of the guard: a worker with the plugin's permissions that starts
 * the plugin's thread, ends it, and says when it is gone. See
 * `messages.ts`.
 *
 * @module
 */

import { SHARE_ENV, Worker as Thread } from "node:worker_threads";
import { messageOf } from "../../base/errors.ts";
import type { FromGuard, GuardOrder } from "./messages.ts";

globalThis.addEventListener("message", (event) => {
  start((event as MessageEvent<GuardOrder>).data);
}, { once: true });

function start({ program, thread, port }: GuardOrder): void {
  const say = (message: FromGuard) => port.postMessage(message);
  const life = new MessageChannel();
  life.port1.addEventListener("close", () => say({ kind: "gone" }));
  life.port1.start();
  const worker = new Thread(new URL(program), {
    workerData: { ...thread, life: life.port2 },
    transferList: [thread.port, life.port2] as never,
    resourceLimits: { maxOldGenerationSizeMb: thread.memoryMb },
    // What the plugin sees of the environment is up to its permissions.
    env: SHARE_ENV,
  });
  let error: string | undefined;
  worker.on("error", (it) => error = messageOf(it));
  worker.on("exit", () => say({ kind: "ended", error }));
  port.onmessage = () => worker.terminate();
}
