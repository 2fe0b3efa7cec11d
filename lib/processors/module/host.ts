/**
 * The program of a plugin's process: starts the plugin's thread, hands on what it
 * and the runner say to each other, and ends with the runner. See `messages.ts`.
 *
 * @module
 */

import { parseObject } from "../../task/trace.ts";
import { linesOf } from "./lines.ts";
import {
  type FromPlugin,
  OUTGROWN_CODE,
  type PluginOrder,
} from "./messages.ts";
import { withLoadGrants } from "./permissions.ts";

/** How often the memory is looked at. */
const MEMORY_MS = 100;
/** What Deno itself may need more than at its start, as for its compiler. */
const OWN_MB = 96;

const encoder = new TextEncoder();
const stdout = Deno.stdout.writable.getWriter();
const lines = linesOf(Deno.stdin.readable);
const { value: first } = await lines.next();
const order = parseObject(first ?? "") as unknown as PluginOrder | undefined;
if (order) {
  watchMemory(order.memoryMb);
  const port = startThread(order);
  for await (const line of lines) port.postMessage(line);
}
Deno.exit(0); // The runner is gone.

/** Not the heap alone: buffers, and what V8 and Deno need for the plugin. */
function watchMemory(memoryMb: number): void {
  const bytes = () => Deno.memoryUsage().rss;
  const maxBytes = bytes() + (memoryMb + OWN_MB) * 1024 * 1024;
  setInterval(() => {
    if (bytes() > maxBytes) Deno.exit(OUTGROWN_CODE);
  }, MEMORY_MS);
}

function startThread(order: PluginOrder): MessagePort {
  const thread = new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    deno: { permissions: withLoadGrants(order.permissions, order.grants) },
  } as WorkerOptions);
  thread.onerror = (event) => {
    event.preventDefault(); // It would be an error of this thread's.
    const message: FromPlugin = {
      kind: "unusable",
      error: `its worker can't start: ${event.message}`,
    };
    write(JSON.stringify(message));
  };
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => write(data);
  thread.postMessage({ ...order, port: port2 }, [port2]);
  return port1;
}

function write(line: string): void {
  stdout.write(encoder.encode(`${line}\n`)).catch(() => Deno.exit(0));
}
