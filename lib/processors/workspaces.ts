/**
 * Finds the folders that the configuration gives to tasks.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import type { AgentTask } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import { taskWorkspaceOf } from "../task/workspace.ts";
import { agentFolder } from "./agent/workspace.ts";
import { stateFolder } from "../workspaces/state_folder.ts";
import type { FolderConfig } from "./command/config.ts";
import type { ProcessorOptions, ProcessorsConfig } from "./open.ts";

type WorkspacesConfig = Pick<ProcessorsConfig, "configPath" | "providers">;

/** A task's own folder. */
export interface TaskFolder {
  readonly taskId: string;
  readonly path: string;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** All that are there, of whichever database their tasks are. */
export async function* foldersOf(
  config: WorkspacesConfig,
): AsyncGenerator<TaskFolder> {
  for (const workspace of workspacesOf(config)) {
    try {
      for await (const { name, isDirectory } of Deno.readDir(workspace)) {
        if (!isDirectory || !UUID.test(name)) continue;
        yield { taskId: name, path: resolve(workspace, name) };
      }
    } catch (error) {
      // Made with the first task's.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** The folders below which tasks have their own, named by their ids. */
function workspacesOf(
  { configPath, providers = new Map() }: WorkspacesConfig,
  isMeant = (_: FolderConfig) => true,
): ReadonlySet<string> {
  return new Set(
    [...providers.values()].flatMap(({ options }) => {
      const config = folderOf(options);
      const { workspace } = config;
      if (!isMeant(config)) return [];
      const folder = typeof workspace === "object"
        ? workspace.folder ?? stateFolder((name) => Deno.env.get(name))
        : workspace;
      return folder === undefined
        ? []
        : resolve(dirname(configPath ?? ""), folder);
    }),
  );
}

/** The same, of those that are of repositories. */
export function repositoryFolders(config: WorkspacesConfig): readonly string[] {
  return [
    ...workspacesOf(config, ({ workspace }) => typeof workspace === "object"),
  ];
}

/** Where the tasks of a provider run, as far as that is configured. */
function folderOf(options: ProcessorOptions): FolderConfig {
  switch (options.processor) {
    case "agent":
      return agentFolder(options, (name) => Deno.env.get(name));
    case "command":
    case "patch":
      return options;
    default:
      return {};
  }
}

/** Where a task has its own folder; undefined where none is there. */
export async function workspaceOf(
  { id, traceText }: Pick<AgentTask, "id" | "traceText">,
  config: WorkspacesConfig,
): Promise<string | undefined> {
  const { path: known } = taskWorkspaceOf(parseTrace(traceText) ?? {}) ?? {};
  const paths = [...workspacesOf(config)].map((it) => resolve(it, id));
  for (const path of [...known ? [known] : [], ...paths]) {
    try {
      if ((await Deno.lstat(path)).isDirectory) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}
