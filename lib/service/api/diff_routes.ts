/**
 * The changes of a task, where its workspace is on this machine.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { AgentTask } from "../../task/task.ts";
import { NoChangesError } from "../../workspaces/compare.ts";
import { readChanges } from "../../workspaces/diff.ts";
import { GitError, NoGitError } from "../../workspaces/git.ts";
import {
  type ChangesJson,
  changesSchema,
  changesToJson,
} from "../diff_json.ts";
import { jsonResponse, Problem } from "./responses.ts";
import { json, problems, type Service } from "./routing.ts";
import { found } from "./task_routes.ts";
import { idParamSchema } from "./task_schemas.ts";

const diffRoute = createRoute({
  method: "get",
  path: "/tasks/{id}/diff",
  summary: "What a task changed in its repository",
  description: "From where its branch left its base to its last commit, or " +
    "to its folder as it is, new files too. 409 where that is not on the " +
    "service's machine (any more).",
  request: { params: idParamSchema },
  responses: {
    200: json(changesSchema, "The changes"),
    ...problems(400, 404, 409),
  },
});

/** Git gets no more time, */
const TIME_MS = 20_000;
/** runs so often at once, */
const MAX_AT_ONCE = 8;
/** and not again for who asks again at once. */
const FRESH_MS = 1_000;

/** Adds the route. */
export function addDiffRoutes(api: OpenAPIHono, service: Service): void {
  const { reads } = service;
  let underWay = 0;

  async function read(id: string): Promise<ChangesJson> {
    if (underWay >= MAX_AT_ONCE) {
      throw new Problem(503, `${MAX_AT_ONCE} diffs are made already.`, {
        headers: { "Retry-After": "2" },
      });
    }
    underWay++;
    try {
      return await readInTime(await found(service, id));
    } finally {
      underWay--;
    }
  }

  api.openapi(diffRoute, async (c) => {
    const { id } = c.req.valid("param");
    return jsonResponse(
      await reads.get(c.req.url, () => read(id), { maxAgeMs: FRESH_MS }),
    );
  });
}

async function readInTime(task: AgentTask): Promise<ChangesJson> {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), TIME_MS);
  try {
    return changesToJson(await readChanges(task, end.signal));
  } catch (error) {
    if (end.signal.aborted) {
      throw new Problem(504, "Git took too long to compare so much.");
    }
    if (error instanceof NoChangesError) {
      const { reason, message } = error;
      const status = reason === "no_workspace" ? 404 : 409;
      throw new Problem(status, message, { reason, taskId: task.id });
    }
    if (
      error instanceof NoGitError &&
      error.cause instanceof Deno.errors.NotCapable
    ) {
      throw new Problem(
        409,
        `Cannot show the changes of task ${task.id}: this service may not run ` +
          "git. Start it with a configuration in which a provider's workspace " +
          "is a repository.",
        { reason: "git_not_allowed", taskId: task.id },
      );
    }
    if (error instanceof GitError || error instanceof NoGitError) {
      throw new Problem(409, error.message, {
        reason: "git_failed",
        taskId: task.id,
      });
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
