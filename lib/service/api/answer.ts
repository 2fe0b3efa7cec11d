/**
 * Answers in JSON.
 *
 * @module
 */

import type { TypedResponse } from "hono";
import type { JsonValue } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";

/** A JSON answer; an integer beyond 2^53 in it stays what it is. */
export function answer(
  value: JsonValue,
  { status = 200, headers = {} }: {
    readonly status?: number;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Response & TypedResponse<never, never, "json"> {
  const response = new Response(stringifyJson(value), {
    status,
    headers: { ...headers, "Content-Type": "application/json" },
  });
  // What is in it is compared with the OpenAPI document by the tests.
  return response as Response & TypedResponse<never, never, "json">;
}
