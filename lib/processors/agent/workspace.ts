/**
 * Where the tasks of an agent have their folders.
 *
 * @module
 */

import type { FolderConfig } from "../command/config.ts";
import { stateFolder } from "../../workspaces/state_folder.ts";
import type { VariableLookup } from "../task_runs.ts";

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
  if (typeof workspace === "object") return { workspace };
  return { workspace: workspace ?? stateFolder(variable), keepWorkspace };
}
