/**
 * Runners as JSON: as `runners --json` prints them, and the HTTP API.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { count, time } from "./api/task_schemas.ts";
import type { RunnerInfo } from "../store/contract.ts";

/** The most runners that are told by one request. */
export const MAX_SET_RUNNERS = 1_000;

/** The runners that are there. */
export const runnersSchema = z.object({
  runners: z.array(
    z.object({
      name: z.string().openapi({ description: "As in leases" }),
      host: z.string(),
      pid: z.int(),
      version: z.string(),
      concurrency: count,
      started_at: time,
      seen_at: time,
      draining: z.boolean().openapi({ description: "It was asked to drain" }),
      gone: z.boolean().openapi({
        description: "Not seen for so long that it has died, or is cut off",
      }),
      in_hand: count.openapi({ description: "Tasks with a live lease of it" }),
    }).openapi("Runner"),
  ).openapi({ description: "The one that has been there longest first" }),
}).openapi("Runners");

/** Runners to drain. */
export const runnerNamesSchema = z.strictObject({
  names: z.array(z.string().min(1).max(200)).min(1).max(MAX_SET_RUNNERS),
}).openapi("RunnerNames");

/** What came of draining them. */
export const drainedSchema = z.object({
  results: z.array(z.enum(["asked", "missing"]))
    .openapi({ description: "In the order of the names" }),
}).openapi("Drained");

/** A runner with the names of its table. */
export function runnerToJson(
  { startedAt, seenAt, isDraining, isGone, inHand, ...rest }: RunnerInfo,
) {
  return {
    ...rest,
    started_at: startedAt.toISOString(),
    seen_at: seenAt.toISOString(),
    draining: isDraining,
    gone: isGone,
    in_hand: inHand,
  };
}

/** The runner that {@linkcode runnerToJson} wrote. */
export function runnerFromJson(
  { started_at, seen_at, draining, gone, in_hand, ...rest }: ReturnType<
    typeof runnerToJson
  >,
): RunnerInfo {
  return {
    ...rest,
    startedAt: new Date(started_at),
    seenAt: new Date(seen_at),
    isDraining: draining,
    isGone: gone,
    inHand: in_hand,
  };
}
