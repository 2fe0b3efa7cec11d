/**
 * What people need of tasks in a PostgreSQL database.
 *
 * @module
 */

import type { AgentTask, TaskEdit, TaskEvent } from "../../task/task.ts";
import {
  type Admin,
  type AmendResult,
  type AnswerResult,
  type ApproveOptions,
  type ApproveResult,
  type Batch,
  type BatchOptions,
  type CancelResult,
  type ChosenTask,
  type Counts,
  type DrainResult,
  type EditResult,
  type Exported,
  type ExportOptions,
  type IdList,
  inSets,
  type LogPage,
  type LogsOptions,
  type MoveResult,
  type MoveTarget,
  type NewTasks,
  type NoteResult,
  type Overview,
  type OverviewOptions,
  type PageOptions,
  type PauseInfo,
  type PauseOptions,
  type PauseTarget,
  type PruneCount,
  type Pruned,
  type RetryResult,
  type RunnerInfo,
  type Stats,
  type StatsOptions,
  type TaskFilter,
  type TaskGraph,
  type TaskPage,
} from "../contract.ts";
import type { Amendment } from "../../task/workspace.ts";
import { editTask, moveTasks } from "../edit_tasks.ts";
import { RefusedRowsError } from "../refused.ts";
import {
  amendTask,
  answerTasks,
  approveTasks,
  cancelTasks,
  IS_CANCELLABLE,
  noteTask,
} from "../requests.ts";
import { sizeWith } from "../sets.ts";
import { readBatches } from "./batches.ts";
import type { Connection } from "./connection.ts";
import { createTasks } from "./create.ts";
import type { Database } from "./database.ts";
import { editStoreOf } from "./edits.ts";
import { explainPostgresError } from "./explain.ts";
import { exportTable } from "./export.ts";
import { readGraph } from "./graph.ts";
import { readOverview } from "./overview.ts";
import { countOld, prune, pruneHistory } from "./prune.ts";
import { chooseTasks, countTasks, readPage, readTasks } from "./read_tasks.ts";
import { requestStoreOf } from "./requests.ts";
import {
  awaitsAttempt,
  findDependents,
  NEVER_RETRIED,
  retryTasks,
} from "./retry.ts";
import { EVENT, eventOf, type EventRow } from "./rows.ts";
import { addPause, endPauses, readPauseInfos } from "./pauses.ts";
import { readLogs } from "./run_logs.ts";
import { drainRunners, readRunners } from "./runners.ts";
import { readStats } from "./stats.ts";

/** Tasks of one transaction. They take well under a second; then others may write. */
const SET_SIZE = 10_000;
/** A table of many millions of rows is read for a page or a figure. */
const READ_MS = 300_000;

type WorkOnSet<T> = (
  connection: Connection,
  set: string[],
  at: Date,
) => Promise<T[]>;

/** The {@linkcode Admin} of a PostgreSQL database. Its changes wake the queue's listeners. */
export class PostgresAdmin implements Admin {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async create(tasks: NewTasks): Promise<IdList> {
    const ids = await createTasks(this.#database, tasks);
    this.#database.announcements.tellQueue();
    return ids;
  }

  async get(id: string): Promise<AgentTask | undefined> {
    const [task] = await this.#read((connection) =>
      readTasks(connection, "WHERE id = $1::uuid", [id])
    );
    return task;
  }

  find(prefix: string, limit: number): Promise<AgentTask[]> {
    return this.#read((connection) =>
      readTasks(
        connection,
        "WHERE starts_with(id::text, $1) ORDER BY id LIMIT $2",
        [prefix.toLowerCase(), limit],
      )
    );
  }

  page(options: PageOptions): Promise<TaskPage> {
    return this.#read((connection) => readPage(connection, options));
  }

  count(): Promise<Counts> {
    return this.#read(countTasks);
  }

  batches(options: BatchOptions): Promise<Batch[]> {
    return this.#read((connection) => readBatches(connection, options));
  }

  async history(taskId: string): Promise<TaskEvent[]> {
    const rows = await this.#read((connection) =>
      connection.rows<EventRow>(
        `SELECT ${EVENT}, printed FROM agent_task_events
         WHERE task_id = $1::uuid ORDER BY id`,
        [taskId],
      )
    );
    return rows.map(eventOf);
  }

  logs(options: LogsOptions): Promise<LogPage> {
    return this.#read((connection) => readLogs(connection, options));
  }

  cancellable(filter: TaskFilter): Promise<ChosenTask[]> {
    return this.#read((connection) =>
      chooseTasks(connection, filter, () => IS_CANCELLABLE)
    );
  }

  retryable(filter: TaskFilter): Promise<ChosenTask[]> {
    return this.#read((connection, at) =>
      chooseTasks(
        connection,
        filter,
        (values) => `${NEVER_RETRIED} OR ${awaitsAttempt(values.bind(at))}`,
      )
    );
  }

  cancel(ids: readonly string[]): Promise<CancelResult[]> {
    return this.#inSets(
      ids,
      (connection, set, at) => cancelTasks(requestStoreOf(connection, at), set),
    );
  }

  answer(ids: readonly string[], text: string): Promise<AnswerResult[]> {
    return this.#inSets(
      ids,
      (connection, set, at) =>
        answerTasks(requestStoreOf(connection, at), set, text),
      { size: sizeWith(text, SET_SIZE) },
    );
  }

  approve(
    ids: readonly string[],
    { head }: ApproveOptions = {},
  ): Promise<ApproveResult[]> {
    return this.#inSets(
      ids,
      (connection, set, at) =>
        approveTasks(requestStoreOf(connection, at), set, { head }),
    );
  }

  async amend(id: string, amendment: Amendment): Promise<AmendResult> {
    const [result = "missing"] = await this.#inSets(
      [id],
      async (connection, _set, at) => [
        await amendTask(requestStoreOf(connection, at), id, amendment),
      ],
    );
    return result;
  }

  async note(id: string, text: string): Promise<NoteResult> {
    const [result = "missing"] = await this.#inSets(
      [id],
      async (connection, _set, at) => [
        await noteTask(requestStoreOf(connection, at), id, text),
      ],
    );
    return result;
  }

  retry(
    ids: readonly string[],
    { note }: { readonly note?: string | undefined } = {},
  ): Promise<RetryResult[]> {
    return this.#inSets(
      ids,
      (connection, set, at) => retryTasks(connection, set, { text: note, at }),
      { size: sizeWith(note, SET_SIZE) },
    );
  }

  dependents(ids: readonly string[]): Promise<string[]> {
    return this.#read((connection) => findDependents(connection, ids));
  }

  graph(
    id: string,
    { limit }: { readonly limit: number },
  ): Promise<TaskGraph> {
    return this.#read((connection) => readGraph(connection, id, limit));
  }

  async edit(id: string, changes: TaskEdit): Promise<EditResult> {
    const [result = "missing"] = await this.#inSets(
      [id],
      async (connection, _set, at) => [
        await editTask(editStoreOf(connection, at), id, changes),
      ],
    );
    return result;
  }

  move(ids: readonly string[], to: MoveTarget): Promise<MoveResult[]> {
    return this.#inSets(
      ids,
      (connection, set, at) => moveTasks(editStoreOf(connection, at), set, to),
      { size: Infinity },
    );
  }

  stats(options: StatsOptions): Promise<Stats> {
    return this.#read((connection) => readStats(connection, options));
  }

  overview(options: OverviewOptions): Promise<Overview> {
    return this.#read((connection, at) =>
      readOverview(connection, { ...options, at })
    );
  }

  export(options: ExportOptions): Promise<Exported> {
    return exportTable(this.#database, options);
  }

  prunable(before: Date): Promise<PruneCount> {
    return this.#read((connection) => countOld(connection, before));
  }

  async prune(before: Date): Promise<Pruned> {
    const pruned = await prune(this.#database, before);
    this.#database.announcements.tellQueue();
    return pruned;
  }

  /** Wakes nobody: runners do it themselves, and it makes nothing claimable. */
  pruneHistory(
    retentionMs: number,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<number> {
    return pruneHistory(this.#database, { retentionMs, signal });
  }

  runners(): Promise<RunnerInfo[]> {
    return this.#read((connection, at) => readRunners(connection, at));
  }

  pauses(): Promise<PauseInfo[]> {
    return this.#read((connection, at) => readPauseInfos(connection, at));
  }

  async pause(target: PauseTarget, options: PauseOptions): Promise<void> {
    await this.#database.transaction(
      (connection, at) => addPause(connection, target, { ...options, at }),
      { wakes: "tasks" },
    );
    this.#database.announcements.tellQueue();
  }

  async resume(target: PauseTarget): Promise<number> {
    const count = await this.#database.transaction(
      (connection) => endPauses(connection, target),
      { wakes: "tasks" },
    );
    this.#database.announcements.tellQueue();
    return count;
  }

  async drain(names: readonly string[]): Promise<DrainResult[]> {
    const results = await this.#database.transaction(
      (connection, at) => drainRunners(connection, names, at),
      { wakes: "tasks" },
    );
    this.#database.announcements.tellQueue();
    return results;
  }

  #read<T>(
    work: (connection: Connection, at: Date) => Promise<T>,
  ): Promise<T> {
    return this.#database.read(work, { timeoutMs: READ_MS });
  }

  #inSets<T>(
    ids: readonly string[],
    work: WorkOnSet<T>,
    { size = SET_SIZE }: { readonly size?: number } = {},
  ): Promise<T[]> {
    return inSets(ids, size, async (set) => {
      try {
        return await this.#inParts(set, work);
      } finally {
        this.#database.announcements.tellQueue();
      }
    });
  }

  /** A row that the server refuses takes no other with it, and is told of then. */
  async #inParts<T>(set: string[], work: WorkOnSet<T>): Promise<T[]> {
    try {
      return await this.#database.transaction(
        (connection, at) => work(connection, set, at),
        { wakes: "tasks", timeoutMs: READ_MS },
      );
    } catch (error) {
      if (!(error instanceof RefusedRowsError)) throw error;
      if (set.length === 1) {
        throw explainPostgresError(error.cause, this.#database.shown);
      }
    }
    const middle = Math.ceil(set.length / 2);
    const halves = await Promise.allSettled(
      [set.slice(0, middle), set.slice(middle)]
        .map((half) => this.#inParts(half, work)),
    );
    return halves.flatMap((half) => {
      if (half.status === "rejected") throw half.reason;
      return half.value;
    });
  }
}
