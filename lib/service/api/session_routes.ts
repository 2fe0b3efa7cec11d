/**
 * How a browser gets a session for the token.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { type Right, SESSION_COOKIE, SESSION_MS } from "./access.ts";
import { jsonResponse, Problem } from "./responses.ts";
import {
  json,
  jsonBody,
  jsonRequest,
  problems,
  type Service,
} from "./routing.ts";
import { sessionSchema } from "./task_schemas.ts";

const MAX_BODY_BYTES = 4_096;
const PATH = "/session";

const getRoute = createRoute({
  method: "get",
  path: PATH,
  summary: "Whether a token is needed, was given, and allows changes",
  security: [],
  responses: { 200: json(sessionSchema, "The session"), ...problems() },
});

const beginRoute = createRoute({
  method: "post",
  path: PATH,
  summary: "Begin a session: a cookie for browsers, good for 12 hours",
  security: [],
  request: {
    body: jsonRequest(z.strictObject({ token: z.string().max(1000) })),
  },
  middleware: jsonBody(MAX_BODY_BYTES),
  responses: {
    200: json(sessionSchema, "Begun, by a cookie"),
    ...problems(401, 415, 422, 429),
  },
});

const endRoute = createRoute({
  method: "delete",
  path: PATH,
  summary: "End the session",
  security: [],
  responses: { 204: { description: "Ended" }, ...problems() },
});

/** Adds the routes. */
export function addSessionRoutes(
  api: OpenAPIHono,
  { access, served }: Service,
): void {
  const stateOf = (right: Right | undefined) => ({
    token_needed: access.needsToken,
    authorized: right !== undefined,
    may_change: right === "change",
    default_provider: right ? served.defaultProvider : "",
  });
  api.openapi(
    getRoute,
    async (c) => jsonResponse(stateOf(await access.rightOf(c))),
  );

  api.openapi(beginRoute, async (c) => {
    const right = await access.rightBy(c.req.valid("json").token, c);
    if (!right) throw new Problem(401, "This is not the token.");
    const isSecure = c.req.header("Origin")?.startsWith("https:");
    return jsonResponse(stateOf(right), {
      headers: access.needsToken
        ? { "Set-Cookie": cookieOf(access.begin(right), isSecure) }
        : {},
    });
  });

  api.openapi(endRoute, (c) => {
    access.end(c.req.raw.headers);
    c.header(
      "Set-Cookie",
      `${cookieOf("")}; Expires=${new Date(0).toUTCString()}`,
    );
    return c.body(null, 204);
  });
}

/** No script can read it, and no other site can make a browser send it. */
function cookieOf(value: string, isSecure = false): string {
  const end = value === "" ? "Max-Age=0" : `Max-Age=${SESSION_MS / 1_000}`;
  return `${SESSION_COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict; ` +
    end + (isSecure ? "; Secure" : "");
}
