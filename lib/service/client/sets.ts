/**
 * Many tasks at once, through a service.
 *
 * @module
 */

import type { IdList } from "../../store/id_list.ts";
import {
  answeredSchema,
  cancelledSchema,
  chosenSchema,
  MAX_SET_TASKS,
  retriedSchema,
} from "../api/admin_schemas.ts";
import type { AnswerResult, CancelResult } from "../../store/contract.ts";
import {
  type ChosenTask,
  type IncomingTasks,
  inSets,
  type RetryResult,
  type TaskFilter,
  type TaskSets,
} from "../../store/task_sets.ts";
import type { Api } from "./api.ts";
import { createTasks } from "./create.ts";
import { stateOf } from "./task_json.ts";

/** A {@linkcode TaskSets} behind a service, whose clock counts. */
export class ServiceSets implements TaskSets {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  create(tasks: IncomingTasks): Promise<IdList> {
    return createTasks(this.#api, tasks);
  }

  findOpen(filter: TaskFilter): Promise<ChosenTask[]> {
    return this.#find("api/v1/tasks/cancellable", filter);
  }

  findRetryable(filter: TaskFilter): Promise<ChosenTask[]> {
    return this.#find("api/v1/tasks/retryable", filter);
  }

  cancel(ids: readonly string[]): Promise<CancelResult[]> {
    return inSets(ids, MAX_SET_TASKS, async (set) => {
      const { results } = await this.#api.json(
        "api/v1/tasks/cancel",
        cancelledSchema,
        { body: { ids: set } },
      );
      return results;
    });
  }

  answer(ids: readonly string[], answer: string): Promise<AnswerResult[]> {
    return inSets(ids, MAX_SET_TASKS, async (set) => {
      const { results } = await this.#api.json(
        "api/v1/tasks/answer",
        answeredSchema,
        { body: { ids: set, answer } },
      );
      return results;
    });
  }

  retry(ids: readonly string[]): Promise<RetryResult[]> {
    return inSets(ids, MAX_SET_TASKS, async (set) => {
      const { results } = await this.#api.json(
        "api/v1/tasks/retry",
        retriedSchema,
        { body: { ids: set } },
      );
      return results.map((it): RetryResult =>
        it.result === "created"
          ? { kind: "created", newId: it.new_id, earlierId: it.earlier_id }
          : it.result === "due"
          ? { kind: "due" }
          : { kind: "refused", why: it.reason }
      );
    });
  }

  async #find(path: string, filter: TaskFilter): Promise<ChosenTask[]> {
    const { tasks } = await this.#api.json(path, chosenSchema, {
      query: queryOf(filter),
    });
    return tasks.map(({ id, state }) => ({ id, state: stateOf(state) }));
  }
}

/** A filter as the API has it. */
export function queryOf(
  { states, provider }: TaskFilter,
): Record<string, string | undefined> {
  return { state: states?.join(","), provider };
}
