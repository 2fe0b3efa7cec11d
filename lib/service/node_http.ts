/**
 * Requests and responses of Node's server as the web has them.
 *
 * @module
 */

import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";

/** Undefined for what no client sends that means well. */
export function requestOf(incoming: IncomingMessage): Request | undefined {
  const { method = "GET", url = "", rawHeaders } = incoming;
  // With the host before it, as Deno's fetch asks through a socket: the same one.
  const origin = `http://${incoming.headers.host}`;
  const path = url.startsWith(`${origin}/`) ? url.slice(origin.length) : url;
  // Neither another host nor anything that reads as one.
  if (!path.startsWith("/") || path.startsWith("//")) return undefined;
  const hasBody = method !== "GET" && method !== "HEAD";
  try {
    const headers = new Headers();
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      headers.append(rawHeaders[index] ?? "", rawHeaders[index + 1] ?? "");
    }
    // Who is asked for is in the headers, and checked there.
    return new Request(`http://localhost${path}`, {
      method,
      headers,
      body: hasBody ? bodyOf(incoming) : undefined,
    });
  } catch {
    return undefined; // A method, name or value that the web does not allow.
  }
}

/**
 * A body that is read as it is asked for. Unlike Node's own, it does not break
 * the connection when nobody wants the rest: the client must get its answer.
 */
function bodyOf(
  incoming: IncomingMessage,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      incoming.once("error", (error) => controller.error(error));
    },
    async pull(controller) {
      while (true) {
        const chunk: Uint8Array<ArrayBuffer> | null = incoming.read();
        if (chunk) return controller.enqueue(new Uint8Array(chunk));
        if (incoming.readableEnded) return controller.close();
        await readableOrEnd(incoming);
      }
    },
    cancel() {
      incoming.resume();
    },
  }, { highWaterMark: 0 });
}

/** A large body is waited for often: no listener may stay. */
async function readableOrEnd(incoming: IncomingMessage): Promise<void> {
  const done = new AbortController();
  const { signal } = done;
  try {
    await Promise.race([
      once(incoming, "readable", { signal }),
      once(incoming, "end", { signal }),
    ]);
  } finally {
    done.abort();
  }
}

/** Sends a response, as fast as the client takes it. */
export async function sendResponse(
  outgoing: ServerResponse,
  { status, headers, body }: Response,
): Promise<void> {
  outgoing.statusCode = status;
  for (const [name, value] of headers) {
    if (name !== "set-cookie") outgoing.setHeader(name, value);
  }
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) outgoing.setHeader("Set-Cookie", cookies);
  if (!body || outgoing.req.method === "HEAD") {
    await body?.cancel();
    outgoing.end();
    return;
  }
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  const reader = body.getReader();
  gone.signal.addEventListener("abort", () => {
    reader.cancel().catch(() => {}); // It has failed, or ended, by itself.
  });
  try {
    while (!gone.signal.aborted) {
      const { done, value } = await reader.read();
      if (done) break;
      if (outgoing.write(value)) continue;
      await once(outgoing, "drain", { signal: gone.signal });
    }
    outgoing.end();
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  }
}
