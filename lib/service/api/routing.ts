/**
 * What all routes are made of: what they are given, how they read a body within
 * bounds, and what they say of themselves in the OpenAPI document.
 *
 * @module
 */

import { createRoute, OpenAPIHono, type z } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Served } from "../../config/served.ts";
import type { Admin, Store } from "../../store/contract.ts";
import { parseJson } from "../../task/trace.ts";
import type { Access } from "./access.ts";
import type { EventHub } from "./event_hub.ts";
import type { Prometheus } from "./prometheus.ts";
import type { ReadCache } from "./read_cache.ts";
import { Problem, type ProblemStatus, TITLES } from "./responses.ts";
import { problemSchema } from "./task_schemas.ts";

/** What routes are given. */
export interface Service {
  readonly store: Pick<Store, "admin" | "events" | "schedules">;
  /** Deletes old tasks, and what was theirs on this machine. */
  readonly prune: Admin["prune"];
  readonly clock: Clock;
  readonly log: Log;
  /** The program's. */
  readonly version: string;
  readonly access: Access;
  readonly served: Served;
  readonly reads: ReadCache;
  readonly hub: EventHub;
  readonly metrics: Prometheus;
  /**
   * Says why the runner beside the API does not claim tasks; undefined where it
   * does. Undefined itself where no runner is in this process.
   */
  readonly runnerProblem: (() => string | undefined) | undefined;
}

/** A response in JSON. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { "application/json": { schema } } };
}

/** A body in JSON that a request must have. */
export function jsonRequest<T extends z.ZodType>(schema: T) {
  return { required: true, content: { "application/json": { schema } } };
}

const failed = {
  description: "Refused or failed",
  content: { "application/problem+json": { schema: problemSchema } },
};

/** The refusals that a route is known for; any other looks the same. */
export function problems(
  ...statuses: readonly ProblemStatus[]
): { readonly default: typeof failed } {
  const named = statuses.map((status) =>
    [status, { ...failed, description: TITLES[status] }] as const
  );
  return { ...Object.fromEntries(named), default: failed };
}

/** The most bytes of most bodies. */
export const MAX_BODY_BYTES = 1024 ** 2;

/** A route that is sent JSON, and says in JSON what came of it. */
export function postRoute<
  const Path extends string,
  Body extends z.ZodType,
  Reply extends z.ZodType,
>(
  path: Path,
  { summary, body, reply, maxBytes = MAX_BODY_BYTES }: {
    readonly summary: string;
    readonly body: Body;
    readonly reply: Reply;
    /** @default {MAX_BODY_BYTES} */
    readonly maxBytes?: number;
  },
) {
  return createRoute({
    method: "post",
    path,
    summary,
    request: { body: jsonRequest(body) },
    middleware: jsonBody(maxBytes),
    responses: {
      200: json(reply, "What came of it"),
      ...problems(400, 413, 415, 422),
    },
  });
}

/** An API that says of each field what is wrong with it. */
export function createApi(): OpenAPIHono {
  return new OpenAPIHono({
    defaultHook: (result) => {
      if (result.success) return;
      const { target, error } = result;
      const errors = error.issues.map(({ path, message }) => ({
        path: [target === "json" ? "body" : target, ...path].join("."),
        message,
      }));
      const detail = errors.map(({ path, message }) => `${path}: ${message}`);
      throw new Problem(
        target === "json" ? 422 : 400,
        `${detail.slice(0, 3).join(". ")}.`.replaceAll("..", "."),
        { errors: errors.slice(0, 100) },
      );
    },
  });
}

const MEDIA_TYPE = /^application\/json\s*(;|$)/i;

/**
 * Lets a request through only with JSON of at most so many bytes, or with nothing where
 * `isOptional`. Integers beyond 2^53 stay what they are: a trace may have them.
 */
export function jsonBody(
  maxBytes: number,
  { isOptional = false }: { readonly isOptional?: boolean } = {},
): MiddlewareHandler {
  return async (c, next) => {
    const text = await readText(c, maxBytes);
    if (text === "" && isOptional) {
      // Who asks for it again is told that it is empty, not that it was read.
      c.req.json = <T>() => Promise.resolve({} as T);
      c.req.arrayBuffer = () => Promise.resolve(new ArrayBuffer(0));
      return await next();
    }
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
