/**
 * The session of an agent: what it goes on in after an answer, a retry, or the
 * death of its runner.
 *
 * @module
 */

import type { JsonObject, JsonValue } from "./task.ts";
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
  /** How many of people's answers and notes it was given. */
  readonly told?: { readonly answers: number; readonly notes: number };
};

/** The session of a task; undefined where it has none. */
export function sessionOf(
  { session }: JsonObject,
): AgentSession | undefined {
  if (typeof session !== "object" || session === null) return undefined;
  const { agent, id, folder, used, told } = session as JsonObject;
  if (!isText(agent) || !isText(id) || !isText(folder)) return undefined;
  const usage = usageOf(used);
  const counts = toldOf(told);
  return {
    agent,
    id,
    folder,
    ...usage && { used: usage },
    ...counts && { told: counts },
  };
}

function toldOf(value: JsonValue | undefined): AgentSession["told"] {
  if (typeof value !== "object" || value === null) return undefined;
  const { answers, notes } = value as JsonObject;
  return isCount(answers) && isCount(notes) ? { answers, notes } : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
