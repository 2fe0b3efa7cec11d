/**
 * What all routes say in the OpenAPI document.
 *
 * @module
 */

import { OpenAPIHono, type z } from "@hono/zod-openapi";
import { Problem, type ProblemStatus, TITLES } from "./problem.ts";
import { problemSchema } from "./schemas.ts";

const problemContent = {
  "application/problem+json": { schema: problemSchema },
};

/** An answer in JSON. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { "application/json": { schema } } };
}

/** A body in JSON that a request must have. */
export function jsonRequest<T extends z.ZodType>(schema: T) {
  return { required: true, content: { "application/json": { schema } } };
}

const failed = { description: "Refused or failed", content: problemContent };

/** The refusals that a route is known for; any other looks the same. */
export function problems(
  ...statuses: readonly ProblemStatus[]
): { readonly default: typeof failed } {
  const named = statuses.map((status) =>
    [status, { ...failed, description: TITLES[status] }] as const
  );
  return { ...Object.fromEntries(named), default: failed };
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
