/**
 * What makes tasks at its times.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { BY_COMMAND, fileIn } from "../../planning/definition.ts";
import { jsonResponse, Problem } from "./responses.ts";
import {
  json,
  jsonBody,
  jsonRequest,
  MAX_BODY_BYTES,
  postRoute,
  problems,
  type Service,
} from "./routing.ts";
import {
  newScheduleSchema,
  scheduleChangedSchema,
  scheduleNameSchema,
  schedulesSchema,
} from "./schedule_schemas.ts";

const schedulesRoute = createRoute({
  method: "get",
  path: "/schedules",
  summary: "The schedules, and when they are next",
  responses: { 200: json(schedulesSchema, "The schedules"), ...problems() },
});

const putRoute = createRoute({
  method: "post",
  path: "/schedules",
  summary: "Add a schedule, or change it",
  request: { body: jsonRequest(newScheduleSchema) },
  middleware: jsonBody(MAX_BODY_BYTES),
  responses: {
    200: json(schedulesSchema, "All schedules"),
    ...problems(400, 409, 413, 415, 422),
  },
});

const changeRoute = (verb: "pause" | "resume" | "remove", summary: string) =>
  postRoute(`/schedules/${verb}`, {
    summary,
    body: scheduleNameSchema,
    reply: scheduleChangedSchema,
  });

const CHANGES = {
  pause: changeRoute("pause", "Have a schedule make no tasks"),
  resume: changeRoute("resume", "Let a paused schedule go on"),
  remove: changeRoute("remove", "Forget a schedule, not its tasks"),
} as const;

/** Adds the routes. */
export function addScheduleRoutes(
  api: OpenAPIHono,
  { store: { schedules }, served }: Service,
): void {
  const list = async () => {
    const { schedules: all, at } = await schedules.list();
    // Only what has schedules loads what reads them.
    const { scheduleToJson } = await import("../schedule_json.ts");
    return jsonResponse({
      schedules: all.map((it) => scheduleToJson(it, at)),
      as_of: at.toISOString(),
    });
  };
  api.openapi(schedulesRoute, list);

  api.openapi(putRoute, async (c) => {
    const { name, definition, keeps_slots: keepsSlots } = c.req.valid("json");
    const { definitionOf, textOfDefinition } = await import(
      "../../planning/schedule.ts"
    );
    const whole = definitionOf(definition, {
      provider: served.defaultProvider,
    });
    const { schedules: all } = await schedules.list();
    const known = all.find((it) => it.name === name);
    if (known && fileIn(known.source)) {
      throw new Problem(409, `The schedule ${name} is that of a file.`);
    }
    await schedules.put({
      ...{ name, definition: textOfDefinition(whole), keepsSlots },
      source: BY_COMMAND,
    });
    return await list();
  });

  for (const verb of ["pause", "resume", "remove"] as const) {
    api.openapi(CHANGES[verb], async (c) => {
      const { name } = c.req.valid("json");
      return jsonResponse({ found: await schedules[verb](name) });
    });
  }
}
