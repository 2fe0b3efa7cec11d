/**
 * Tasks behind a service's address.
 *
 * @module
 */

import type { TaskHistory } from "../../store/history.ts";
import { wholeTasksSchema } from "../api/admin_schemas.ts";
import {
  changeSchema,
  eventsSchema,
  MAX_PAGE_TASKS,
  sessionSchema,
} from "../api/schemas.ts";
import type { AnswerResult, ListOptions } from "../../store/contract.ts";
import type { AgentTask, NewTask, TaskEvent } from "../../task/task.ts";
import type { TaskDesk } from "../../store/task_admin.ts";
import { oneSetOf, type TaskSets } from "../../store/task_sets.ts";
import { Api, type ApiOptions, Refusal } from "./api.ts";
import { createTasks } from "./create.ts";
import { ServiceHistory } from "./history.ts";
import { ServiceSets } from "./sets.ts";
import { eventOf, taskOf } from "./task_json.ts";

/**
 * Opens the tasks behind a service.
 *
 * @throws {ServiceError} where there is no service of agent-runner.
 * @throws {UsageError} where it does not know the token.
 */
export async function openServiceDesk(options: ApiOptions): Promise<TaskDesk> {
  const api = new Api(options);
  const { authorized } = await api.json("api/v1/session", sessionSchema);
  if (!authorized) throw api.unauthorized();
  return new ServiceDesk(api);
}

/** A {@linkcode TaskDesk} behind a service, whose clock counts. */
class ServiceDesk implements TaskDesk {
  readonly sets: TaskSets;
  readonly history: TaskHistory;
  readonly #api: Api;
  #looks = 0;

  constructor(api: Api) {
    this.#api = api;
    this.sets = new ServiceSets(api);
    this.history = new ServiceHistory(api);
  }

  async create(tasks: readonly NewTask[]): Promise<string[]> {
    const ids = await createTasks(this.#api, oneSetOf(tasks));
    return [...ids.sets()].flat();
  }

  async findByPrefix(prefix: string, limit: number): Promise<AgentTask[]> {
    // No id is longer, and none has anything else in it.
    if (!/^[0-9a-f-]{1,36}$/i.test(prefix)) return [];
    const { tasks } = await this.#api.json(
      "api/v1/tasks/whole",
      wholeTasksSchema,
      { query: { id: prefix, limit } },
    );
    return tasks.map(taskOf);
  }

  async list(
    { states, provider, limit, offset = 0 }: ListOptions,
  ): Promise<AgentTask[]> {
    // By their ids: tasks that are created meanwhile move the others back.
    const found = new Map<string, AgentTask>();
    for (let at = offset;; at += MAX_PAGE_TASKS) {
      const size = Math.min(MAX_PAGE_TASKS, offset + limit - at);
      if (size <= 0) break;
      const { tasks } = await this.#api.json(
        "api/v1/tasks/whole",
        wholeTasksSchema,
        {
          query: {
            state: states?.join(","),
            provider,
            limit: size,
            offset: at,
          },
        },
      );
      for (const task of tasks) found.set(task.id, taskOf(task));
      if (tasks.length < size) break;
    }
    return [...found.values()];
  }

  async events(taskId: string): Promise<TaskEvent[]> {
    try {
      const { events } = await this.#api.json(
        `api/v1/tasks/${taskId}/events`,
        eventsSchema,
      );
      return events.map(eventOf);
    } catch (error) {
      if (reasonOf(error) === "missing") return [];
      throw error;
    }
  }

  async answer(id: string, answer: string): Promise<AnswerResult> {
    try {
      await this.#api.json(`api/v1/tasks/${id}/answer`, changeSchema, {
        body: { answer },
      });
      return "answered";
    } catch (error) {
      const result = REFUSED.find((it) => it === reasonOf(error));
      if (result) return result;
      throw error;
    }
  }

  /** The service knows cheaply whether anything is new; so it is asked. */
  changeCount(): Promise<number> {
    return Promise.resolve(++this.#looks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

const REFUSED: readonly AnswerResult[] = ["not asked", "ended", "missing"];

function reasonOf(error: unknown): string | undefined {
  return error instanceof Refusal ? error.reason : undefined;
}
