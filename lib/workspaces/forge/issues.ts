/**
 * The issues of a repository, read and commented on by `gh`.
 *
 * @module
 */

import { UsageError } from "../../base/errors.ts";
import { parseJson } from "../../task/trace.ts";
import { ForgeError, type ForgeOptions, runForge } from "./program.ts";

/** An issue, as far as a task is made of it. */
export interface Issue {
  readonly number: number;
  readonly title: string;
  readonly body: string;
  readonly url: string;
  readonly author: string;
  /** Oldest first. */
  readonly comments: readonly IssueComment[];
}

/** What somebody said of an issue. */
export interface IssueComment {
  readonly author: string;
  readonly body: string;
  /** Whoever is logged in to `gh` wrote it. */
  readonly isOwn: boolean;
}

/** Which issues of a repository. */
export const ISSUE_STATES = ["open", "closed", "all"] as const;

/** Options for {@linkcode listIssues}. */
export interface ListOptions {
  /** All of them. */
  readonly labels: readonly string[];
  /** One of {@linkcode ISSUE_STATES}. */
  readonly state: string;
  readonly limit: number;
  readonly signal?: AbortSignal;
}

/** `owner/name`, on github.com or, as `host/owner/name`, elsewhere. */
const REPOSITORY =
  /^([\w-]+(\.[\w-]+)+\/)?[A-Za-z\d][\w-]*\/(?!\.{1,2}$)[\w.-]+$/;

/**
 * The name of a repository, as given.
 *
 * @throws {UsageError} where it is none.
 */
export function repositoryOf(text: string | undefined): string {
  if (text !== undefined && REPOSITORY.test(text)) return text;
  throw new UsageError(
    text === undefined
      ? "Cannot import issues without a repository. Name it: agent-runner " +
        "import github octo/app --label agent"
      : `Cannot import issues of "${text}": expected owner/name.`,
  );
}

/**
 * Finds issues, the oldest first.
 *
 * @throws {ForgeError} where `gh` can't.
 */
export async function listIssues(
  repository: string,
  { labels, state, limit, signal }: ListOptions,
): Promise<Issue[]> {
  const issues = await readJson<readonly JsonIssue[]>([
    "issue",
    "list",
    "--repo",
    repository,
    ...labels.flatMap((label) => ["--label", label]),
    "--state",
    state,
    "--limit",
    String(limit),
    "--json",
    "number,title,body,url,author,comments",
  ], optionsOf(signal));
  return issues.map(({ number, title, body, url, author, comments }) => ({
    number,
    title,
    body: textOf(body),
    url,
    author: author?.login ?? GHOST,
    comments: (comments ?? []).map(commentOf),
  }))
    .sort((one, other) => one.number - other.number);
}

/** All comments of an issue. */
export async function commentsOf(
  repository: string,
  number: number,
  { signal }: Pick<ListOptions, "signal">,
): Promise<IssueComment[]> {
  const { comments = [] } = await readJson<Pick<JsonIssue, "comments">>([
    "issue",
    "view",
    String(number),
    "--repo",
    repository,
    "--json",
    "comments",
  ], optionsOf(signal));
  return comments.map(commentOf);
}

/** Comments on an issue. */
export async function comment(
  repository: string,
  number: number,
  { body, signal }: { readonly body: string } & Pick<ListOptions, "signal">,
): Promise<void> {
  await runForge("gh", [
    "issue",
    "comment",
    String(number),
    "--repo",
    repository,
    "--body-file",
    "-",
  ], { input: body, ...optionsOf(signal) });
}

async function readJson<T>(
  args: readonly string[],
  options: ForgeOptions,
): Promise<T> {
  const text = await runForge("gh", args, options);
  const value = parseJson(text);
  if (typeof value === "object" && value !== null) return value as T;
  throw new ForgeError(
    `Cannot read what gh ${args[0]} ${args[1]} prints: it is no JSON. Is it ` +
      "GitHub's own program?",
    { needsPerson: true },
  );
}

/** Who has left GitHub. */
const GHOST = "ghost";

interface JsonIssue {
  readonly number: number;
  readonly title: string;
  readonly body: string | null;
  readonly url: string;
  readonly author: { readonly login: string } | null;
  readonly comments?: readonly JsonComment[];
}

interface JsonComment {
  readonly author: { readonly login: string } | null;
  readonly body: string | null;
  readonly viewerDidAuthor?: boolean;
}

function commentOf(
  { author, body, viewerDidAuthor = true }: JsonComment,
): IssueComment {
  return {
    author: author?.login ?? GHOST,
    body: textOf(body),
    isOwn: viewerDidAuthor,
  };
}

/** What is typed in a browser has line breaks of another kind. */
function textOf(text: string | null): string {
  return (text ?? "").replaceAll("\r\n", "\n");
}

function optionsOf(signal: AbortSignal | undefined): ForgeOptions {
  return signal ? { signal } : {};
}
