/**
 * Where the folders of tasks are, unless somebody says otherwise.
 *
 * @module
 */

import { join } from "node:path";

/** The program's own folder within one that others use too. */
const OWN = "agent-runner";
const WORKSPACES = "workspaces";

/** Below the user's state; undefined where there is no such place. */
export function stateFolder(
  variable: (name: string) => string | undefined,
): string | undefined {
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

/** What is wrong where tasks can have no folder. */
export const NO_FOLDER = "There is no folder for its tasks: HOME is not set. " +
  "Give one as workspace, or cwd.";
