/**
 * In which session an agent goes on, or what a new one is called.
 *
 * @module
 */

import { generate as uuidV5 } from "@std/uuid/v5";
import type { RunFolder } from "../command/folder.ts";
import { type AgentSession, sessionOf } from "../../task/session.ts";
import type { AgentTask, JsonObject } from "../../task/task.ts";
import type { AgentConfig } from "./config.ts";
import type { Dialect } from "./dialect.ts";

/** Others write traces too: an id must not become an option, or a path. */
const SESSION_ID = /^\w[\w.:-]{0,199}$/;

/** The session that a trace has, if an agent may be given its id. */
export function usableSession(trace: JsonObject): AgentSession | undefined {
  const session = sessionOf(trace);
  return session && isSessionId(session.id) ? session : undefined;
}

/** Whether a text may be given to an agent as a session's id. */
export function isSessionId(id: string): boolean {
  return SESSION_ID.test(id);
}

/** Options for {@linkcode whyAnew}. */
export interface WhyAnewOptions {
  readonly dialect: Pick<Dialect, "name" | "bindsSessionToFolder">;
  readonly resume: AgentConfig["resume"];
  readonly folder: Pick<RunFolder, "path" | "isNew">;
}

/**
 * Why an attempt does not go on in a session, for people; empty where that is as
 * configured; undefined where it does.
 */
export function whyAnew(
  session: AgentSession,
  { dialect, resume, folder }: WhyAnewOptions,
): string | undefined {
  if (resume === "never") return "";
  if (session.agent !== dialect.name) {
    return `The session is one of ${session.agent}`;
  }
  // Without its work it would believe what is no more so.
  if (folder.isNew) return `Its folder is gone: ${session.folder}`;
  if (dialect.bindsSessionToFolder && session.folder !== folder.path) {
    return `It was begun in another folder: ${session.folder}`;
  }
  return undefined;
}

/**
 * The id of a task's new session: the task's own for the first one. Each later one
 * follows from the one before, so none is given twice.
 */
export async function newSessionId(
  { id, attempt }: Pick<AgentTask, "id" | "attempt">,
  before: string | undefined,
): Promise<string> {
  if (attempt <= 1 && before === undefined) return id;
  const name = `${attempt}:${before ?? ""}`;
  return await uuidV5(id, new TextEncoder().encode(name));
}
