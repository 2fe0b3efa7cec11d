/**
 * Makes tasks of the issues of a repository, and tells those what came of them.
 *
 * @module
 */

import { UserError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { FlagValues } from "../config/config.ts";
import { type Admin, newTasks } from "../store/contract.ts";
import { MAX_INTEGER, newTaskOf, type TaskFields } from "../task/new_task.ts";
import { type AgentTask, isFinal, type NewTask } from "../task/task.ts";
import { dispatchOf } from "../workspaces/forge/dispatch.ts";
import {
  commentTextOf,
  instructionOf,
  ISSUE_TAG,
  issueKey,
  issueNumberOf,
  taskIdIn,
} from "../workspaces/forge/issue_task.ts";
import {
  comment,
  commentIdOf,
  commentsOf,
  type Issue,
  listIssues,
  removeComment,
} from "../workspaces/forge/issues.ts";
import { ForgeError } from "../workspaces/forge/program.ts";
import type { OpenAdmin } from "./command.ts";
import { flagFields } from "./create.ts";

/** Which issues, and what they become. */
export interface ImportOptions {
  readonly repository: string;
  readonly labels: readonly string[];
  readonly state: string;
  readonly limit: number;
  /** What is said of all the tasks. */
  readonly flags: FlagValues;
  /** Nothing is made, and nothing posted. */
  readonly isDryRun: boolean;
  readonly dashboard: string | undefined;
  /** The issues name the repositories that are to be changed. */
  readonly dispatch?: {
    /** With `{repository}`. */
    readonly cloneUrl: string;
    /** Whose they may be. */
    readonly owners: readonly string[];
  };
  readonly signal: AbortSignal | undefined;
  readonly log: Log;
}

/** A task, and the issue that it is of. */
type Imported = { readonly id: string | null; readonly target: string };

/** What came of it. */
export type ImportedIssues = {
  readonly created: (Imported & { readonly title: string })[];
  readonly existing: Imported[];
  readonly refused: { readonly target: string; readonly error: string }[];
  readonly commented: Imported[];
};

/** A page of tasks. */
const PAGE = 200;

/** What one importer does, once or again and again. */
export class IssueImport {
  readonly #store: Pick<
    OpenAdmin,
    "admin" | "defaultProvider" | "warningFor"
  >;
  readonly #options: ImportOptions;
  readonly #warnings = new Set<string>();
  /** Tasks whose issues know of them. */
  readonly #told = new Set<string>();

  constructor(
    store: Pick<OpenAdmin, "admin" | "defaultProvider" | "warningFor">,
    options: ImportOptions,
  ) {
    this.#store = store;
    this.#options = options;
  }

  /** Makes a task of each issue that never was one. */
  async makeTasks(found: ImportedIssues): Promise<void> {
    const { repository, limit, isDryRun, log } = this.#options;
    const issues = await listIssues(repository, this.#options);
    if (issues.length === limit) {
      const hint = `There may be more than ${limit} such issues: the older ` +
        "ones are left alone. Give a --limit, or take the label from those " +
        "that are done.";
      if (this.#isNews(hint)) log.warning(hint, { event: "hint" });
    }
    const made: { readonly issue: Issue; readonly task: NewTask }[] = [];
    for (const issue of issues) {
      const target = this.#targetOf(issue.number);
      // Where its task was deleted, it has what that left.
      const [earlier] = issue.comments.flatMap((it) => taskIdIn(it) ?? []);
      if (earlier !== undefined) {
        found.existing.push({ id: earlier, target });
        continue;
      }
      try {
        made.push({ issue, task: await this.#taskOf(issue) });
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        found.refused.push({ target, error: error.message });
        const told = `Cannot import ${target}: ${error.message}`;
        if (!this.#isNews(told)) continue;
        log.warning(told, { event: "issue_refused", error: error.message });
      }
    }
    const tasks = made.map(({ task }) => task);
    const ids = isDryRun ? await this.#known(tasks) : await this.#create(tasks);
    for (const [index, { issue }] of made.entries()) {
      const { id, isNew } = ids[index]!;
      const target = this.#targetOf(issue.number);
      if (isNew) found.created.push({ id, target, title: issue.title });
      else found.existing.push({ id, target });
    }
  }

  /** Comments, once, on the issues whose tasks have ended. */
  async tellOutcomes(found: ImportedIssues): Promise<void> {
    const { isDryRun, dashboard, log } = this.#options;
    const { admin } = this.#store;
    for (const { id, number } of await this.#untold()) {
      const imported = { id, target: this.#targetOf(number) };
      if (isDryRun) {
        found.commented.push(imported);
        continue;
      }
      const task = await admin.get(id);
      if (!task) continue;
      try {
        const body = commentTextOf(task, { dashboard });
        if (await this.#tell(id, { number, body })) {
          found.commented.push(imported);
        }
      } catch (error) {
        // One that is locked or gone is not in the way of the others.
        if (!(error instanceof ForgeError) || error.needsPerson) throw error;
        const told = `Cannot comment on ${imported.target}: ${error.message}`;
        if (!this.#isNews(told)) continue;
        log.warning(told, { event: "comment_failed", error: error.message });
        continue;
      }
      await admin.amend(id, { kind: "commented", detail: imported.target });
      this.#told.add(id);
    }
  }

  /** Comments, but where another did it who was killed before noting it, or now does. */
  async #tell(
    id: string,
    { number, body }: { readonly number: number; readonly body: string },
  ): Promise<boolean> {
    const { repository, signal } = this.#options;
    const first = async () => {
      const all = await commentsOf(repository, number, { signal });
      return all.find((it) => taskIdIn(it) === id);
    };
    if (await first()) return false;
    const url = await comment(repository, number, { body, signal });
    const { url: firstUrl = url } = await first() ?? {};
    const own = commentIdOf(url);
    // Of a comment without a number, nobody knows whether it is the first.
    if (own === undefined || commentIdOf(firstUrl) === own) return true;
    await removeComment(repository, url, { signal });
    return false;
  }

  #targetOf(number: number): string {
    const [owner, name] = this.#options.repository.split("/").slice(-2);
    return `${owner}/${name}#${number}`;
  }

  async #taskOf(issue: Issue): Promise<NewTask> {
    const { repository, labels, flags, dispatch } = this.#options;
    const { tags, ...fields } = flagFields(flags);
    const named = dispatch && this.#dispatched(issue, dispatch);
    const all: TaskFields = {
      // Anybody may comment, and a patch of anybody's would be applied.
      instruction: instructionOf(dispatch ? { ...issue, comments: [] } : issue),
      ...named,
      ...Object.fromEntries(
        Object.entries(fields).filter(([, value]) => value !== undefined),
      ),
      target: this.#targetOf(issue.number),
      key: issueKey(repository, issue.number),
      key_for: MAX_INTEGER,
      tags: [
        ISSUE_TAG,
        ...labels,
        ...typeof tags === "string" ? tags.split(",") : [],
      ],
    };
    return await newTaskOf(all, this.#store.defaultProvider);
  }

  #dispatched(
    { body }: Issue,
    { cloneUrl, owners }: NonNullable<ImportOptions["dispatch"]>,
  ): TaskFields {
    const { repository, ...rest } = dispatchOf(body);
    const [owner = ""] = repository.split("/");
    if (owners.some((it) => it.toLowerCase() === owner.toLowerCase())) {
      return { ...rest, repo: cloneUrl.replaceAll("{repository}", repository) };
    }
    throw new UserError(
      `its target ${repository} is not of ${owners.join(" or ")}. To permit ` +
        `that: --owner ${[...owners, owner].join()}`,
    );
  }

  async #create(
    tasks: readonly NewTask[],
  ): Promise<{ readonly id: string; readonly isNew: boolean }[]> {
    if (tasks.length === 0) return [];
    const ids = await this.#store.admin.create(newTasks(tasks));
    for (const { provider } of tasks) {
      const warning = this.#store.warningFor?.(provider);
      if (!warning || !this.#isNews(warning)) continue;
      this.#options.log.warning(warning, { event: "not_served" });
    }
    return [...ids.sets()].flat()
      .map((id, index) => ({ id, isNew: !ids.known.has(index) }));
  }

  async #known(
    tasks: readonly NewTask[],
  ): Promise<{ readonly id: string | null; readonly isNew: boolean }[]> {
    return await Promise.all(tasks.map(async ({ key }) => {
      const page = await this.#store.admin.page({ key: key!, limit: 1 });
      const [task] = page.tasks;
      return { id: task?.id ?? null, isNew: !task };
    }));
  }

  /** The last task of each issue, where it has ended and nothing was said. */
  async #untold(): Promise<{ readonly id: string; readonly number: number }[]> {
    const { admin } = this.#store;
    const untold: { readonly id: string; readonly number: number }[] = [];
    for (const [number, { id, state }] of await this.#lastTasks(admin)) {
      if (!isFinal(state) || this.#told.has(id)) continue;
      const history = await admin.history(id);
      if (history.some(({ kind }) => kind === "commented")) {
        this.#told.add(id);
      } else untold.push({ id, number });
    }
    return untold.sort((one, other) => one.number - other.number);
  }

  async #lastTasks(
    admin: Pick<Admin, "page">,
  ): Promise<ReadonlyMap<number, AgentTask>> {
    const last = new Map<number, AgentTask>();
    let after: string | undefined;
    do {
      const page = await admin.page({
        tags: [ISSUE_TAG],
        limit: PAGE,
        ...after !== undefined && { after },
      });
      for (const task of page.tasks) {
        const number = issueNumberOf(this.#options.repository, task.key);
        // The newest comes first: one that a retry made.
        if (number !== undefined && !last.has(number)) last.set(number, task);
      }
      after = page.next;
    } while (after !== undefined);
    return last;
  }

  /** What was said is not said again. */
  #isNews(message: string): boolean {
    if (this.#warnings.has(message)) return false;
    this.#warnings.add(message);
    return true;
  }
}
