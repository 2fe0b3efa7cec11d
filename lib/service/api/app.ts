/**
 * The HTTP API: every route, and what holds for all of them.
 *
 * @module
 */

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import {
  DatabaseBusyError,
  DatabaseError,
  messageOf,
  UsageError,
} from "../../base/errors.ts";
import { addDashboardRoutes, isDashboardPath } from "../dashboard/routes.ts";
import { SESSION_COOKIE } from "./access.ts";
import { addActionRoutes } from "./action_routes.ts";
import { addCreateRoutes } from "./create_routes.ts";
import { addDiffRoutes } from "./diff_routes.ts";
import { addEditRoutes } from "./edit_routes.ts";
import { addEventRoutes } from "./event_stream.ts";
import { addFileRoutes } from "./file_routes.ts";
import {
  authorized,
  bounded,
  direct,
  type HostOptions,
  ownRequests,
} from "./guard.ts";
import { addGraphRoutes } from "./graph_routes.ts";
import { addHealthRoutes } from "./health_routes.ts";
import { Problem, secured } from "./responses.ts";
import { createApi, type Service } from "./routing.ts";
import { addBatchRoutes } from "./batch_routes.ts";
import { addPauseRoutes } from "./pause_routes.ts";
import { addLogRoutes } from "./log_routes.ts";
import { addRunnerRoutes } from "./runner_routes.ts";
import { addScheduleRoutes } from "./schedule_routes.ts";
import { addSessionRoutes } from "./session_routes.ts";
import { addStatsRoutes } from "./stats_routes.ts";
import { addTaskRoutes } from "./task_routes.ts";

/** The prefix of everything that is versioned. */
export const API_PATH = "/api/v1";

const MAX_REQUESTS = 256;
const REQUEST_MS = 30_000;

/** What may be asked for without the token: nothing of a task is in it. */
const PUBLIC_PATHS: readonly string[] = [
  "/health",
  "/ready",
  "/openapi.json",
  `${API_PATH}/session`,
];

/** Options for {@linkcode createApp}. */
export interface AppOptions extends HostOptions {
  /** Ends the streams. */
  readonly stop: AbortSignal;
}

/** Makes the API. */
export function createApp(service: Service, options: AppOptions): OpenAPIHono {
  const { clock, log, access, version, reads } = service;
  const app = createApi();
  app.onError((error) => secured(problemOf(error, service).response));
  app.notFound((c) => {
    throw new Problem(404, `There is nothing at ${c.req.path}.`);
  });
  app.use(async (c, next) => {
    const begunAt = clock.monotonic();
    const { method, path } = c.req;
    await next();
    // The store says so too, but later: who writes and then reads sees it.
    if (method !== "GET" && method !== "HEAD") reads.changed();
    secured(c.res);
    if (log.isDebug) {
      const ms = Math.round(clock.monotonic() - begunAt);
      const { status } = c.res;
      log.debug(`${method} ${path} ${status} in ${ms} ms`, {
        event: "request",
        status,
        ms,
      });
    }
  });
  app.use(bounded({ clock, maxRequests: MAX_REQUESTS, timeoutMs: REQUEST_MS }));
  app.use(direct(access));
  app.use(ownRequests(options));
  app.use(authorized(
    access,
    (path) => PUBLIC_PATHS.includes(path) || isDashboardPath(path),
  ));

  const api = createApi();
  addActionRoutes(api, service);
  addCreateRoutes(api, service);
  addGraphRoutes(api, service);
  addTaskRoutes(api, service);
  addEditRoutes(api, service);
  addDiffRoutes(api, service);
  addLogRoutes(api, service, options.stop);
  addStatsRoutes(api, service);
  addBatchRoutes(api, service);
  addRunnerRoutes(api, service);
  addPauseRoutes(api, service);
  addScheduleRoutes(api, service);
  addFileRoutes(api, service);
  addEventRoutes(api, service, options.stop);
  addSessionRoutes(api, service);
  app.route(API_PATH, api);
  addHealthRoutes(app, service);
  addDashboardRoutes(app);
  addDocument(app, version);
  refuseOtherMethods(app);
  return app;
}

function addDocument(app: OpenAPIHono, version: string): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "token", {
    type: "http",
    scheme: "bearer",
  });
  app.openAPIRegistry.registerComponent("securitySchemes", "session", {
    type: "apiKey",
    in: "cookie",
    name: SESSION_COOKIE,
  });
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "agent-runner",
      version,
      description: "Create agent tasks, watch them, step in. Where the " +
        "service was started with a token, every request needs it; one with " +
        "the token for reading may only GET.",
    },
    security: [{ token: [] }, { session: [] }, {}],
  });
}

/** A path that there is, asked for in a way that there is not. */
function refuseOtherMethods(app: OpenAPIHono): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue;
    const known = methods.get(path) ?? new Set();
    methods.set(path, known.add(method));
  }
  for (const [path, known] of methods) {
    if (known.has("GET")) known.add("HEAD");
    const allowed = [...known].sort().join(", ");
    app.all(path, (c: Context) => {
      throw new Problem(405, `${c.req.method} is not for ${c.req.path}.`, {
        headers: { Allow: allowed },
      });
    });
  }
}

function problemOf(error: Error, { log }: Service): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof UsageError) return new Problem(422, error.message);
  if (error instanceof DatabaseError) {
    log.warning(`A request failed: ${error.message}`, {
      event: "request_failed",
      error: error.message,
    });
    const isBusy = error instanceof DatabaseBusyError;
    return new Problem(503, "The database can't be used now. Try again.", {
      headers: { "Retry-After": isBusy ? "2" : "10" },
    });
  }
  if (error instanceof HTTPException && error.status === 400) {
    return new Problem(400, error.message);
  }
  log.error(`A request failed by a defect: ${messageOf(error)}`, {
    event: "request_failed",
    error: messageOf(error),
  });
  return new Problem(
    500,
    "This is a defect of agent-runner; its log says more.",
  );
}
