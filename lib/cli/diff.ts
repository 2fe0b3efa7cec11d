/**
 * `agent-runner diff`
 *
 * @module
 */

import { EXIT } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import type { AgentTask } from "../task/task.ts";
import type { ChangedFile, Changes } from "../workspaces/diff.ts";
import { findTask, prefixOf } from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
} from "./command.ts";
import { printableOn } from "./render.ts";

/** Shows what a task changed: by git itself, or as the service has it. */
export const diff: Command = {
  name: "diff",
  args: "ID [-- PATH…]",
  maxArgs: Infinity,
  summary: "Show what a task changed in its repository",
  flags: [
    { name: "stat", summary: "Only how much was changed in each file" },
    { name: "name-only", summary: "Only the names of the files" },
  ],
  settings: CLIENT_SETTINGS,
  startsPrograms: true,
  onlyReads: true,
  examples: ["diff 550e8400", "diff 550e8400 --stat", "diff 550e8400 -- src"],
  run: async (context) => {
    const { args, terminal: { screen, write } } = context;
    const prefix = prefixOf(args, "show changes without their task's id");
    const { task, changes } = await read(prefix, context);
    if (!changes) return await runGit(task, context);
    write(printableOn(screen, rendererOf(context)(changes)));
    if (changes.isTruncated) {
      context.log.warning(
        "Not all of it was sent: it is too large. Look at it on the service's " +
          "machine.",
        { event: "lines_left_out", task: task.id },
      );
    }
    return EXIT.ok;
  },
};

/** The database is let go of at once: a person may stay in the pager for long. */
async function read(
  prefix: string,
  { openAdmin }: CommandContext,
): Promise<{ readonly task: AgentTask; readonly changes?: Changes }> {
  await using store = await openAdmin();
  const task = await findTask(store.admin, prefix);
  return { task, changes: await store.changes?.(task.id) };
}

/** The user's own settings hold: the pager, the colours, an external diff. */
async function runGit(
  task: AgentTask,
  { args: [, ...paths], flags }: CommandContext,
): Promise<number> {
  const { compare } = await import("../workspaces/compare.ts");
  const { start } = await import("./session_program.ts");
  await using compared = await compare(task);
  const { folder, base, head, isUncommitted, env } = compared;
  return await start(task, {
    path: "git",
    args: [
      "diff",
      ...flags.stat ? ["--stat"] : [],
      ...flags["name-only"] ? ["--name-only"] : [],
      base,
      ...isUncommitted ? [] : [head],
      "--",
      ...paths,
    ],
    folder,
    variables: env,
  });
}

type Render = (changes: Changes) => string;

function rendererOf({ args: [, ...paths], flags }: CommandContext): Render {
  const isMeant = ({ path, oldPath = path }: ChangedFile) =>
    paths.length === 0 ||
    paths.map((it) => it.replace(/\/+$/, "")).some((it) =>
      [path, oldPath].some((name) => name === it || name.startsWith(`${it}/`))
    );
  return ({ files }) => {
    const meant = files.filter(isMeant);
    if (flags["name-only"]) {
      return meant.map(({ path }) => `${path}\n`).join("");
    }
    if (flags.stat) return statOf(meant);
    return meant.map(({ path, patch }) =>
      patch ?? `Too large to be sent: ${path}\n`
    ).join("");
  };
}

function statOf(files: readonly ChangedFile[]): string {
  const lines = files.map(({ path, isBinary, insertions, deletions }) =>
    ` ${path} | ${isBinary ? "Bin" : `+${insertions} -${deletions}`}\n`
  );
  const sum = (name: "insertions" | "deletions") =>
    files.reduce((sum, file) => sum + file[name], 0);
  const all = `${countOf(files.length, "file")} changed, ` +
    `${countOf(sum("insertions"), "insertion")}(+), ` +
    `${countOf(sum("deletions"), "deletion")}(-)`;
  return files.length === 0 ? "" : `${lines.join("")} ${all}\n`;
}
