/**
 * Says where the repository that a new task names is not there.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { isPostgresAddress } from "../base/database_address.ts";
import type { Config } from "../config/config.ts";
import { folderProblem } from "../processors/command/folder.ts";
import type { NewTask } from "../task/task.ts";
import { isAddress } from "../workspaces/repository.ts";

/**
 * What to say of it; undefined where it is there, is to be cloned, or only the task's
 * runner can know.
 */
export async function noRepositoryWarning(
  { provider, workspace }: Pick<NewTask, "provider" | "workspace">,
  { providers, configPath, database }: Pick<
    Config,
    "providers" | "configPath" | "database"
  >,
): Promise<string | undefined> {
  const { repo } = workspace ?? {};
  const { options } = providers?.get(provider) ?? providers?.get("*") ?? {};
  const usesGit = options && "workspace" in options &&
    typeof options.workspace === "object";
  if (
    repo === undefined || !usesGit || isAddress(repo) || repo.includes("{") ||
    isPostgresAddress(database)
  ) return undefined;
  const path = resolve(dirname(configPath ?? ""), repo);
  const problem = await folderProblem(path);
  return problem &&
    `The task waits, since its repository ${path} can't be used: ${problem}`;
}
