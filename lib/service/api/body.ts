/**
 * Reading the bodies of requests, within bounds.
 *
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";
import { parseJson } from "../../task/trace.ts";
import { Problem } from "./problem.ts";

const MEDIA_TYPE = /^application\/json\s*(;|$)/i;

/**
 * Lets a POST through only with JSON of at most so many bytes, or with nothing
 * where `isOptional`. Integers beyond 2^53 stay what they are: a trace may have them.
 */
export function jsonBody(
  maxBytes: number,
  { isOptional = false }: { readonly isOptional?: boolean } = {},
): MiddlewareHandler {
  return async (c, next) => {
    if (c.req.method !== "POST") return await next();
    const text = await readText(c, maxBytes);
    if (text === "" && isOptional) return await next();
    if (!MEDIA_TYPE.test(c.req.header("Content-Type") ?? "")) {
      throw new Problem(
        415,
        "The body must be JSON. Send it with Content-Type: application/json.",
      );
    }
    const value = parseJson(text);
    if (value === undefined) {
      throw new Problem(400, "The body is not valid JSON.");
    }
    c.req.json = <T>() => Promise.resolve(value as T);
    await next();
  };
}

async function readText({ req }: Context, maxBytes: number): Promise<string> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = Number(req.header("Content-Length") ?? 0);
  try {
    // What is announced counts at once, what comes unannounced as it comes.
    for await (const chunk of size > maxBytes ? [] : req.raw.body ?? []) {
      if (chunks.length === 0) size = 0;
      size += chunk.length;
      if (size > maxBytes) break;
      chunks.push(chunk);
    }
  } catch {
    // The client went away, or was too slow: nobody's defect.
    throw new Problem(400, "The request ended within its body.");
  }
  if (size > maxBytes) {
    throw new Problem(413, `The body is larger than ${maxBytes} bytes.`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true })
      .decode(await new Blob(chunks).arrayBuffer());
  } catch {
    throw new Problem(400, "The body is not valid UTF-8.");
  }
}
