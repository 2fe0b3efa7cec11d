/**
 * Real repositories in temporary folders, what must not change of them, and tasks'
 * workspaces there.
 *
 * @module
 */

import { join, relative } from "node:path";
import { createLog } from "../../lib/base/log.ts";
import type { AgentTask, JsonObject } from "../../lib/task/task.ts";
import { workspaceConfig } from "../../lib/workspaces/config.ts";
import { openWorkspace } from "../../lib/workspaces/open.ts";
import type { WorkspaceParts } from "../../lib/workspaces/opened.ts";
import type { Workspace } from "../../lib/workspaces/workspace.ts";
import { sampleTask } from "../support/sample_task.ts";

/** What a repository is made with. */
export interface RepositoryOptions {
  /** The name of its folder. @default {"app"} */
  readonly name?: string;
  readonly isBare?: boolean;
  /** @default {true} */
  readonly hasCommits?: boolean;
  /** @default {true} */
  readonly hasIdentity?: boolean;
}

/** A repository of a user's, on `main`. Dispose of it to remove all. */
export class TestRepository implements AsyncDisposable {
  /** A folder that has it, and what else a test needs. */
  readonly base: string;
  readonly path: string;
  /** By their tasks. */
  readonly #opened = new Map<string, Workspace>();

  private constructor(base: string, path: string) {
    this.base = base;
    this.path = path;
  }

  static async make(
    { name = "app", isBare, hasCommits = true, hasIdentity = true }:
      RepositoryOptions = {},
  ): Promise<TestRepository> {
    const base = await Deno.realPath(await Deno.makeTempDir());
    await Deno.mkdir(join(base, "home"));
    const made = new TestRepository(base, join(base, name));
    await Deno.mkdir(made.path);
    await made.git("init", "-q", "-b", "main", ...isBare ? ["--bare"] : []);
    if (hasIdentity) {
      await made.git("config", "user.name", "A User");
      await made.git("config", "user.email", "user@example.com");
    } else await made.git("config", "user.useConfigOnly", "true");
    if (hasCommits && !isBare) {
      await made.write("README.md", "# App\n");
      await made.commit("Begin");
    }
    return made;
  }

  /** What git prints in the checkout. */
  async git(...args: readonly string[]): Promise<string> {
    return await this.gitIn(this.path, ...args);
  }

  /** What git prints in another folder. */
  async gitIn(cwd: string, ...args: readonly string[]): Promise<string> {
    return await gitIn(cwd, { args, base: this.base });
  }

  /** Writes a file of the checkout. */
  async write(path: string, text: string): Promise<void> {
    const file = join(this.path, path);
    await Deno.mkdir(join(file, ".."), { recursive: true });
    await Deno.writeTextFile(file, text);
  }

  /** Commits all of the checkout. */
  async commit(message: string): Promise<string> {
    const user = ["-c", "user.name=A User", "-c", "user.email=u@example.com"];
    await this.git("add", "--all");
    await this.git(...user, "commit", "-q", "--allow-empty", "-m", message);
    return await this.git("rev-parse", "HEAD");
  }

  /**
   * All that is the user's: the checkout, and of `.git` all but what git adds for a
   * branch and a worktree of ours.
   */
  async snapshot(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    await this.#read(this.path, found);
    return found;
  }

  async #read(folder: string, found: Map<string, string>): Promise<void> {
    for await (const { name, isDirectory, isSymlink } of Deno.readDir(folder)) {
      const path = join(folder, name);
      const within = relative(this.path, path);
      if (NOT_THE_USERS.test(within)) continue;
      if (isDirectory) await this.#read(path, found);
      else if (isSymlink) found.set(within, await Deno.readLink(path));
      else {
        const bytes = await Deno.readFile(path);
        const { mode, mtime } = await Deno.stat(path);
        const hash = await crypto.subtle.digest("SHA-256", bytes);
        const digest = new Uint8Array(hash).toHex();
        found.set(within, `${mode} ${mtime?.getTime()} ${digest}`);
      }
    }
  }

  /** Opens the workspace of a task of this repository: its next run. */
  async open(options: OpenOptions = {}): Promise<OpenedForTest> {
    const { id } = sampleTask(options.task);
    await this.#opened.get(id)?.close({ isLost: true });
    const opened = await openForTest(this, options);
    this.#opened.set(id, opened.workspace);
    return opened;
  }

  /** Ends the runs that have a workspace. */
  async letGo(): Promise<void> {
    for (const it of this.#opened.values()) await it.close({ isLost: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.letGo();
    await Deno.remove(this.base, { recursive: true });
  }
}

/** What git prints in a folder, to the user. */
async function gitIn(
  cwd: string,
  { args, base }: { readonly args: readonly string[]; readonly base: string },
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: [...args],
    cwd,
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      HOME: join(base, "home"),
      LC_ALL: "C.UTF-8",
    },
  }).output();
  const text = new TextDecoder();
  if (!success) {
    throw new Error(`git ${args.join(" ")}: ${text.decode(stderr)}`);
  }
  return text.decode(stdout).trimEnd();
}

/** Of `.git`, or of a bare repository. */
const NOT_THE_USERS =
  /^(\.git\/)?(objects|worktrees|(logs\/)?refs\/(heads\/agent|agent-runner))(\/|$)/;

/** What a workspace is opened with. */
export interface OpenOptions {
  readonly config?: object;
  readonly task?: Partial<AgentTask>;
  readonly trace?: JsonObject;
  readonly parts?: Partial<WorkspaceParts>;
}

/** A workspace, and what was said of it. */
export interface OpenedForTest {
  readonly workspace: Workspace;
  readonly notes: (readonly [string, string])[];
  /** As it would be kept. */
  readonly trace: JsonObject;
  /** Writes a file in it. */
  write(path: string, text: string): Promise<void>;
  /** What git prints in it. */
  git(...args: readonly string[]): Promise<string>;
}

/** Opens the workspace of a task of a repository. */
export async function openForTest(
  { path, base }: Pick<TestRepository, "path" | "base">,
  { config, task, trace, parts }: OpenOptions = {},
): Promise<OpenedForTest> {
  const notes: (readonly [string, string])[] = [];
  let kept: JsonObject = { ...trace };
  const env = {
    PATH: Deno.env.get("PATH") ?? "",
    HOME: join(base, "home"),
  };
  const workspace = await openWorkspace(
    sampleTask({ instruction: "Mend it", ...task }),
    workspaceConfig.parse({ git: path, ...config }),
    {
      baseFolder: base,
      folder: join(base, "work"),
      host: "here",
      trace: kept,
      note: (kind, detail, more = {}) => {
        notes.push([kind, detail]);
        kept = { ...kept, ...JSON.parse(JSON.stringify(more)) };
      },
      progress: () => {},
      run: async ([program = "", ...args], cwd, more) => {
        const { success, stdout, stderr } = await new Deno.Command(program, {
          args,
          cwd,
          env: { ...env, ...more },
        }).output();
        const text = new TextDecoder();
        const output = text.decode(stdout) + text.decode(stderr);
        return { hasPassed: success, isStopped: false, output };
      },
      env,
      stop: new AbortController().signal,
      log: createLog({ write: () => {} }),
      ...parts,
    },
  );
  return {
    workspace,
    notes,
    get trace() {
      return kept;
    },
    write: (path, text) => Deno.writeTextFile(join(workspace.path, path), text),
    git: (...args) => gitIn(workspace.path, { args, base }),
  };
}
