/**
 * Fills a task's own words into the address of its repository and into the name of
 * its branch.
 *
 * @module
 */

import { type AgentTask, parseTargetRef } from "../task/task.ts";
import type { WorkspacePlaceholder } from "./config.ts";
import { WorkspaceError } from "./error.ts";

const MAX_SLUG_WORDS = 6;
const MAX_SLUG_CHARACTERS = 40;

/**
 * The text with what it says of the task.
 *
 * @throws {WorkspaceError} where the task does not say it.
 */
export function filled(template: string, task: AgentTask): string {
  return template.replace(/\{(\w+)\}/g, (_, name: WorkspacePlaceholder) => {
    const value = valueOf(name, task);
    if (value !== "") return value;
    throw new WorkspaceError(
      `Cannot fill {${name}} into ${template}: the task has no ${
        name === "batch" || name === "key" ? name : "such target"
      }. Give it one.`,
    );
  });
}

function valueOf(name: WorkspacePlaceholder, task: AgentTask): string {
  const { id, batch, key, instruction } = task;
  const target = parseTargetRef(task.targetRef ?? "");
  const repository = target?.repo ?? "";
  const [owner = "", repo = ""] = repository.split("/");
  switch (name) {
    // Each of them is a name of a folder too: none leads out of it.
    case "repository":
      return isStep(owner) || isStep(repo) ? "" : repository;
    case "owner":
      return isStep(owner) ? "" : owner;
    case "name":
      return isStep(repo) ? "" : repo;
    case "number":
      return target ? String(target.number) : "";
    case "id":
      return id;
    case "shortId":
      return id.slice(0, 8);
    case "slug":
      return slugOf(firstLineOf(instruction)) || "task";
    case "batch":
      return slugOf(batch ?? "");
    case "key":
      return slugOf(key ?? "");
  }
}

/** What a task is, in short. */
export function firstLineOf(instruction: string | null): string {
  return instruction?.trim().split(/\r?\n/, 1)[0] ?? "";
}

/** `.` or `..` */
function isStep(name: string): boolean {
  return /^\.{1,2}$/.test(name);
}

/** `Mend the “login” page` → `mend-the-login-page` */
export function slugOf(text: string): string {
  const words = text.normalize("NFKC").toLowerCase()
    .match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  const slug = words.slice(0, MAX_SLUG_WORDS).join("-");
  return [...slug].slice(0, MAX_SLUG_CHARACTERS).join("").replace(/-+$/, "");
}

/** More files are counted only. */
const MAX_NAMED = 20;

/** Files in a sentence. */
export function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMED).join(", ");
  const more = names.length - MAX_NAMED;
  return more > 0 ? `${shown}, and ${more} more` : shown;
}
