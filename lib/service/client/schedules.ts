/**
 * Schedules behind a service's address.
 *
 * @module
 */

import type {
  NewSchedule,
  ScheduleAdmin,
  ScheduleList,
} from "../../store/contract.ts";
import { parseObject } from "../../task/trace.ts";
import {
  scheduleChangedSchema,
  schedulesSchema,
} from "../api/schedule_schemas.ts";
import { scheduleFromJson } from "../schedule_json.ts";
import type { Api } from "./api.ts";

/** A {@linkcode ScheduleAdmin} behind a service. */
export class ServiceSchedules implements ScheduleAdmin {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  async list(): Promise<ScheduleList> {
    const list = await this.#api.json("api/v1/schedules", schedulesSchema);
    return {
      schedules: list.schedules.map(scheduleFromJson),
      at: new Date(list.as_of),
    };
  }

  async put({ name, definition, keepsSlots }: NewSchedule): Promise<void> {
    const body = {
      name,
      definition: parseObject(definition) ?? {},
      ...keepsSlots !== undefined && { keeps_slots: keepsSlots },
    };
    await this.#api.json("api/v1/schedules", schedulesSchema, { body });
  }

  pause(name: string): Promise<boolean> {
    return this.#change("pause", name);
  }

  resume(name: string): Promise<boolean> {
    return this.#change("resume", name);
  }

  remove(name: string): Promise<boolean> {
    return this.#change("remove", name);
  }

  async #change(verb: string, name: string): Promise<boolean> {
    const path = `api/v1/schedules/${verb}`;
    const request = { body: { name } };
    return (await this.#api.json(path, scheduleChangedSchema, request)).found;
  }
}
