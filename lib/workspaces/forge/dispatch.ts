/**
 * What an issue of a dispatch repository says of the repository that is meant, in
 * the forms that HandsFree writes.
 *
 * @module
 */

import { UserError } from "../../base/errors.ts";
import type { JsonObject } from "../../task/task.ts";
import { parseObject } from "../../task/trace.ts";

/** What is to be done where. */
export interface Dispatch {
  /** `owner/name` */
  readonly repository: string;
  readonly provider?: string;
  readonly base?: string;
  readonly branch?: string;
}

const NAME = String.raw`[A-Za-z\d][\w-]*\/[\w.-]+`;
const REPOSITORY = new RegExp(
  String.raw`^(?:https?:\/\/[^\s\/]+\/)?(${NAME}?)(?:\.git)?\/?$`,
);
/** With what Markdown may have around it. */
const LINE = new RegExp(
  String.raw`^[ \t>*_-]*target[ _]repository[ \t*_]*:[\s*_\`\[<]*` +
    String.raw`((?:https?:\/\/[^\s\/]+\/)?${NAME})`,
  "im",
);
const METADATA = /<!--\s*agent_task_metadata\b:?([^]*?)-->/;
/** What is quoted is not said: a patch may have such a line, too. */
const FENCED = /^ {0,3}(`{3,}|~{3,})[^]*?(?:^ {0,3}\1[`~]*\s*$|(?![^]))/gm;

/** What they call it; the first that is there counts. */
const KEYS = {
  repository: [
    "target_repository",
    "target_repo",
    "repository",
    "repo",
    "repo_full_name",
  ],
  provider: ["provider", "agent"],
  base: ["base", "base_branch"],
  branch: ["branch", "branch_name"],
} as const;

/**
 * Reads the text of an issue.
 *
 * @throws {UserError} that says why it names no repository.
 */
export function dispatchOf(body: string): Dispatch {
  const said = body.replaceAll(FENCED, "");
  const metadata = metadataOf(said);
  const named = textIn(metadata, "repository");
  const repositories = [named, LINE.exec(said)?.[1]]
    .flatMap((it) => it === undefined ? [] : repositoryIn(it));
  const [repository, other = repository] = repositories;
  if (repository === undefined || other === undefined) {
    throw new UserError(
      "it names no target. Write a line into it: Target Repository: owner/name",
    );
  }
  if (repository.toLowerCase() !== other.toLowerCase()) {
    throw new UserError(`it names two targets, ${repository} and ${other}`);
  }
  const [provider, base, branch] = (["provider", "base", "branch"] as const)
    .map((it) => textIn(metadata, it));
  return {
    repository,
    ...provider !== undefined && { provider },
    ...base !== undefined && { base },
    ...branch !== undefined && { branch },
  };
}

function metadataOf(text: string): JsonObject {
  const [, json] = METADATA.exec(text) ?? [];
  if (json === undefined) return {};
  const metadata = parseObject(json.trim());
  if (metadata) return metadata;
  throw new UserError("its agent_task_metadata is no JSON object");
}

function textIn(
  metadata: JsonObject,
  what: keyof typeof KEYS,
): string | undefined {
  const values = KEYS[what].map((key) => metadata[key]);
  const value = values.find((it) => typeof it === "string" && it !== "");
  return value as string | undefined;
}

function repositoryIn(text: string): string {
  const [, name = ""] = REPOSITORY.exec(text.trim()) ?? [];
  const [, end] = name.split("/");
  if (name !== "" && end !== "." && end !== "..") return name;
  throw new UserError(`"${text}" is no repository: expected owner/name`);
}
