/**
 * Where the tasks of an agent have their folders.
 *
 * @module
 */

import { join } from "node:path";
import type { FolderConfig } from "../command/config.ts";
import type { VariableLookup } from "../task_runs.ts";

/** The program's own folder within one that others use too. */
const OWN = "agent-runner";
const WORKSPACES = "workspaces";

/**
 * The folders of an agent's tasks. Without `cwd` or `workspace` they are below the
 * user's state: an answer or a retry must find what the agent left, so a temporary
 * one won't do, and beside the configuration file is perhaps somebody's repository.
 *
 * @returns neither where there is no such place.
 */
export function agentFolder(
  { cwd, workspace, keepWorkspace = "always" }: FolderConfig,
  variable: VariableLookup,
): FolderConfig {
  if (cwd !== undefined) return { cwd };
  return { workspace: workspace ?? stateFolder(variable), keepWorkspace };
}

function stateFolder(variable: VariableLookup): string | undefined {
  // What systemd gives a service is its own already; of several, the first.
  const [given] = variable("STATE_DIRECTORY")?.split(":") ?? [];
  if (given) return join(given, WORKSPACES);
  const home = variable("HOME");
  const state = variable("XDG_STATE_HOME") ||
    (Deno.build.os === "windows"
      ? variable("LOCALAPPDATA")
      : home && join(home, ".local", "state"));
  return state ? join(state, OWN, WORKSPACES) : undefined;
}

/** What is wrong where an agent's tasks can have no folder. */
export const NO_FOLDER = "There is no folder for its tasks: HOME is not set. " +
  "Give one as workspace, or cwd.";
