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
  readonly url?: string;
}

/** Options for {@linkcode listIssues}. */
export interface ListOptions {
  /** All of them. */
  readonly labels: readonly string[];
  /** `open`, `closed` or `all` */
  readonly state: string;
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
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
  ], { signal });
  const found: Issue[] = [];
  for (const { body, author, comments = [], ...rest } of issues) {
    found.push({
      ...rest,
      body: textOf(body),
      author: author?.login ?? GHOST,
      comments: comments.length < MAX_LISTED
        ? comments.map(commentOf)
        : await commentsOf(repository, rest.number, { signal }),
    });
  }
  return found.sort((one, other) => one.number - other.number);
}

/** In a list of issues, `gh` has no more comments of each than its oldest. */
const MAX_LISTED = 100;

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
  ], { signal });
  return comments.map(commentOf);
}

/**
 * Comments on an issue.
 *
 * @returns the comment's address
 */
export async function comment(
  repository: string,
  number: number,
  { body, signal }: { readonly body: string } & Pick<ListOptions, "signal">,
): Promise<string> {
  const printed = await runForge("gh", [
    "issue",
    "comment",
    String(number),
    "--repo",
    repository,
    "--body-file",
    "-",
  ], { input: body, signal });
  return printed.trim();
}

/** The number at the end of a comment's address, however that is written. */
export function commentIdOf(url: string): string | undefined {
  return /\d+$/.exec(url)?.[0];
}

/** Takes a comment back that {@linkcode comment} has made. */
export async function removeComment(
  repository: string,
  url: string,
  { signal }: Pick<ListOptions, "signal">,
): Promise<void> {
  const [name, owner, host] = repository.split("/").toReversed();
  await runForge("gh", [
    "api",
    "--method",
    "DELETE",
    `repos/${owner}/${name}/issues/comments/${commentIdOf(url)}`,
    ...host === undefined ? [] : ["--hostname", host],
  ], { signal });
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
  readonly url?: string;
}

function commentOf(
  { author, body, viewerDidAuthor = true, ...rest }: JsonComment,
): IssueComment {
  return {
    author: author?.login ?? GHOST,
    body: textOf(body),
    isOwn: viewerDidAuthor,
    ...rest.url !== undefined && { url: rest.url },
  };
}

/** What is typed in a browser has line breaks of another kind. */
function textOf(text: string | null): string {
  return (text ?? "").replaceAll("\r\n", "\n");
}
