/**
 * What requests get: JSON, or an error as RFC 9457 has it, both with the headers
 * that keep browsers safe.
 *
 * @module
 */

import type { TypedResponse } from "hono";
import type { JsonValue } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";

/** Options for {@linkcode jsonResponse}. */
export interface ResponseOptions {
  /** @default {200} */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A value as JSON; an integer beyond 2^53 in it stays what it is. */
export function jsonResponse(
  value: JsonValue,
  { status = 200, headers = {} }: ResponseOptions = {},
): Response & TypedResponse<never, never, "json"> {
  const response = new Response(stringifyJson(value), {
    status,
    headers: { ...headers, "Content-Type": "application/json" },
  });
  // What is in it is compared with the OpenAPI document by the tests.
  return response as Response & TypedResponse<never, never, "json">;
}

/** A page sets its own policy. */
const HEADERS = {
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cache-Control": "no-store",
};

/** Adds the headers of every response that it does not set itself. */
export function secured(response: Response): Response {
  for (const [name, value] of Object.entries(HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  return response;
}

/** One thing that is wrong with a request. */
export interface FieldError {
  /** `body.priority`, `query.limit`. */
  readonly path: string;
  readonly message: string;
}

/** A status that a request can fail with. */
export type ProblemStatus = keyof typeof TITLES;

/** What each status is called. */
export const TITLES = {
  400: "Bad request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  409: "Conflict",
  413: "Too large",
  415: "Unsupported media type",
  421: "Misdirected request",
  422: "Invalid",
  429: "Too many requests",
  500: "Internal error",
  503: "Not available",
  504: "Took too long",
} as const;

/** Options for {@linkcode Problem}. */
export interface ProblemOptions {
  readonly errors?: readonly FieldError[];
  /** Why, in a word for programs. */
  readonly reason?: string;
  /** The task that it is about. */
  readonly taskId?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that is refused or failed; thrown by whatever finds out. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: ProblemStatus,
    readonly detail: string,
    readonly options: ProblemOptions = {},
  ) {
    super(detail);
  }

  /** The response that says so: `application/problem+json`. */
  get response(): Response {
    const { errors, reason, taskId, headers } = this.options;
    const { status, detail } = this;
    return new Response(
      JSON.stringify({
        type: "about:blank",
        title: TITLES[status],
        status,
        detail,
        ...errors && { errors },
        ...reason && { reason },
        ...taskId && { task_id: taskId },
      }),
      {
        status,
        headers: { ...headers, "Content-Type": "application/problem+json" },
      },
    );
  }
}

/** The problem of a place in a request that is no place in this store. */
export function wrongPlace(path: string): Problem {
  const message = "Not a place of this service";
  return new Problem(400, `${path}: ${message}.`, {
    errors: [{ path, message }],
  });
}
