/**
 * What a task is told of an issue, and what the issue is told of the task.
 *
 * @module
 */

import { headOf } from "../../base/cut.ts";
import { countOf } from "../../base/figures.ts";
import { shownStateOf } from "../../task/shown_state.ts";
import type { AgentTask } from "../../task/task.ts";
import { parseTrace, stringifyJson } from "../../task/trace.ts";
import { taskWorkspaceOf } from "../../task/workspace.ts";
import type { Issue, IssueComment } from "./issues.ts";

/** All tasks that were issues have it. */
export const ISSUE_TAG = "github";

/** By this, an issue is one task, whoever imports it and however often. */
export function issueKey(repository: string, number: number): string {
  return `${ISSUE_TAG}:${repository.toLowerCase()}#${number}`;
}

/** The number of the repository's issue that has a key; undefined for none. */
export function issueNumberOf(
  repository: string,
  key: string | null,
): number | undefined {
  const start = issueKey(repository, NaN).slice(0, -String(NaN).length);
  if (!key?.startsWith(start)) return undefined;
  const number = key.slice(start.length);
  return /^\d+$/.test(number) ? Number(number) : undefined;
}

/** The most characters of comments: what is older is left out. */
const MAX_COMMENTS = 100_000;

/** Title, text and comments, with who wrote them; without what we wrote. */
export function instructionOf(
  { title, body, comments }: Pick<Issue, "title" | "body" | "comments">,
): string {
  const parts: string[] = [];
  const others = comments.filter((it) => taskIdIn(it) === undefined);
  let length = 0;
  for (const { author, body } of others.toReversed()) {
    const part = `${author} commented:\n\n${body.trim()}`;
    length += part.length;
    if (length > MAX_COMMENTS) {
      parts.push("(Older comments are left out.)");
      break;
    }
    parts.push(part);
  }
  return [title.trim(), body.trim(), ...parts.toReversed()]
    .filter((it) => it !== "").join("\n\n");
}

const MARK = /<!-- agent-runner task ([\da-f-]{36}) -->\s*$/;

/** The task that a comment of ours is about; undefined where it is another's. */
export function taskIdIn({ body, isOwn }: IssueComment): string | undefined {
  return isOwn ? MARK.exec(body)?.[1] : undefined;
}

/** The most characters that a comment has of a result, or of an error. */
const MAX_TOLD = 4_000;

/**
 * What came of a task, for its issue.
 *
 * @param options.dashboard the dashboard's address, where all may know it
 */
export function commentTextOf(
  task: AgentTask,
  { dashboard }: { readonly dashboard?: string | undefined },
): string {
  const trace = parseTrace(task.traceText) ?? {};
  const state = shownStateOf(task);
  const { output, error } = trace;
  const told = task.state === "completed" ? output : error;
  const text = typeof told === "string"
    ? told
    : told === undefined
    ? ""
    : stringifyJson(told, 2);
  return [
    `${state[0]?.toUpperCase()}${state.slice(1)}.`,
    text.trim() === "" ? "" : quoted(text.trim()),
    linesOf(task, dashboard).map((it) => `- ${it}`).join("\n"),
    `<!-- agent-runner task ${task.id} -->`,
  ].filter((it) => it !== "").join("\n\n");
}

/** In a fence that nothing in it can end: nobody is called, and nothing closed. */
function quoted(text: string): string {
  const end = text.length <= MAX_TOLD
    ? text
    : `…${text.slice(-MAX_TOLD).toWellFormed()}`;
  const runs = end.match(/`+/g)?.map(({ length }) => length) ?? [];
  const fence = "`".repeat(Math.max(2, ...runs) + 1);
  return `${fence}text\n${end}\n${fence}`;
}

function linesOf(task: AgentTask, dashboard: string | undefined): string[] {
  const { branch, commits, files, insertions, deletions, pullRequest, merged } =
    taskWorkspaceOf(parseTrace(task.traceText) ?? {}) ?? {};
  const changes = commits
    ? ` (${countOf(commits, "commit")}, ${countOf(files ?? 0, "file")}, ` +
      `+${insertions ?? 0} −${deletions ?? 0})`
    : "";
  return [
    branch === undefined ? "" : `Branch: \`${branch}\`${changes}`,
    pullRequest === undefined ? "" : `Pull request: ${pullRequest}`,
    merged === undefined ? "" : `Merged as ${merged}`,
    dashboard === undefined
      ? ""
      : `[Task ${headOf(task.id, 8)}](${
        dashboard.replace(/\/+$/, "")
      }/#/tasks/${task.id})`,
  ].filter((it) => it !== "");
}
