/**
 * Schedules behind a service's address.
 *
 * @module
 */

import type { ScheduleAdmin } from "../../store/contract.ts";
import { parseObject } from "../../task/trace.ts";
import {
  scheduleChangedSchema,
  schedulesSchema,
} from "../api/schedule_schemas.ts";
import { scheduleFromJson } from "../schedule_json.ts";
import type { Api } from "./api.ts";

/** A {@linkcode ScheduleAdmin} behind a service. */
export function serviceSchedules(api: Api): ScheduleAdmin {
  const change = (verb: string) => async (name: string) => {
    const path = `api/v1/schedules/${verb}`;
    const request = { body: { name } };
    return (await api.json(path, scheduleChangedSchema, request)).found;
  };
  return {
    async list() {
      const list = await api.json("api/v1/schedules", schedulesSchema);
      return {
        schedules: list.schedules.map(scheduleFromJson),
        at: new Date(list.as_of),
      };
    },
    async put({ name, definition, keepsSlots }) {
      const body = {
        name,
        definition: parseObject(definition) ?? {},
        ...keepsSlots !== undefined && { keeps_slots: keepsSlots },
      };
      await api.json("api/v1/schedules", schedulesSchema, { body });
    },
    pause: change("pause"),
    resume: change("resume"),
    remove: change("remove"),
  };
}
