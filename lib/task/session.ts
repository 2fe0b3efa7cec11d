/**
 * The session of an agent: what it goes on in after an answer, a retry, or the
 * death of its runner.
 *
 * @module
 */

import type { JsonObject } from "./task.ts";

/** A session, as a task's trace has it. */
export type AgentSession = {
  /** The agent that knows it: `claude`. */
  readonly agent: string;
  readonly id: string;
  /** The folder in which it was begun; most agents find it only there. */
  readonly folder: string;
};

/** The session of a task; undefined where it has none. */
export function sessionOf(
  { session }: JsonObject,
): AgentSession | undefined {
  if (typeof session !== "object" || session === null) return undefined;
  const { agent, id, folder } = session as JsonObject;
  return isText(agent) && isText(id) && isText(folder)
    ? { agent, id, folder }
    : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
