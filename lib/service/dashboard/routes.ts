/**
 * The dashboard: a page at `/` and its files. They are the same for everybody
 * and hold nothing of a task; what is shown, the page asks the API for.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Asset } from "./assets.ts";

/** The page. */
const PAGE_PATH = "/";
/** Where its files are. */
const FILES_PATH = "/dashboard/";

/** Only the page's own files, and no markup made from a text. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** Says whether this is a path of the dashboard: no token is needed for it. */
export function isDashboardPath(path: string): boolean {
  return path === PAGE_PATH || path.startsWith(FILES_PATH);
}

/** Adds the routes. They are not part of the API, nor of its document. */
export function addDashboardRoutes(app: OpenAPIHono): void {
  app.get(PAGE_PATH, async (c) => {
    const { page } = await import("./assets.ts");
    return respond(page, c.req.header("If-None-Match"));
  });

  app.get(`${FILES_PATH}:name`, async (c) => {
    const { files } = await import("./assets.ts");
    const file = files.get(c.req.param("name"));
    return file
      ? respond(file, c.req.header("If-None-Match"))
      : await c.notFound();
  });
}

function respond({ text, type, tag }: Asset, known?: string): Response {
  const headers = {
    "Content-Security-Policy": POLICY,
    // Kept, but asked for again: a new version is there at once.
    "Cache-Control": "no-cache",
    "ETag": tag,
  };
  return known === tag
    ? new Response(null, { status: 304, headers })
    : new Response(text, { headers: { ...headers, "Content-Type": type } });
}
