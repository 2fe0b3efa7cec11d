/**
 * The session of an agent: what it goes on in after an answer, a retry, or the
 * death of its runner.
 *
 * @module
 */

import type { JsonObject } from "./task.ts";
import { type Usage, usageOf } from "./usage.ts";

/** A session, as a task's trace has it. */
export type AgentSession = {
  /** The agent that knows it: `claude`. */
  readonly agent: string;
  readonly id: string;
  /** The folder in which it was begun; most agents find it only there. */
  readonly folder: string;
  /** What was used in it so far, where the agent tells only that. */
  readonly used?: Usage;
};

/** The session of a task; undefined where it has none. */
export function sessionOf(
  { session }: JsonObject,
): AgentSession | undefined {
  if (typeof session !== "object" || session === null) return undefined;
  const { agent, id, folder, used } = session as JsonObject;
  if (!isText(agent) || !isText(id) || !isText(folder)) return undefined;
  const usage = usageOf(used);
  return { agent, id, folder, ...usage && { used: usage } };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
