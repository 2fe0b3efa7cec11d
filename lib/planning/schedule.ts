/**
 * Whether a schedule is right, and the task that it makes for a slot. Pure.
 *
 * @module
 */

import { generate as uuidV5 } from "@std/uuid/v5";
import { UsageError } from "../base/errors.ts";
import { checkedTask, DEFAULT_PROVIDER, newTaskOf } from "../task/new_task.ts";
import type { JsonObject, JsonValue, NewTask } from "../task/task.ts";
import { parseObject, stringifyJson } from "../task/trace.ts";
import {
  CATCH_UP,
  type Definition,
  DEFINITION_FIELDS,
  type GivenDefinition,
  OVERLAP,
  OWN_FIELDS,
  type Timing,
} from "./definition.ts";
import { FieldError, Slots } from "./slots.ts";
import { machineZone, wallTimeOf, wholeTimeOf } from "./wall_time.ts";

export { FieldError };

/** What is filled in where it is not given. */
export interface Defaults {
  /** @default {DEFAULT_PROVIDER} */
  readonly provider?: string;
  /** @default {the machine's} */
  readonly zone?: string | undefined;
}

/**
 * The whole definition of what was given, if it is right: a zone and a provider are
 * kept with it, so that they do not change with the machine.
 *
 * @throws {FieldError} that says what is wrong.
 */
export function definitionOf(
  given: GivenDefinition,
  { provider = DEFAULT_PROVIDER, zone = machineZone() }: Defaults = {},
): Definition {
  const { cron, every, task } = given;
  const other = Object.keys(given).find((it) =>
    !DEFINITION_FIELDS.includes(it)
  );
  if (other !== undefined) {
    const all = DEFINITION_FIELDS.join(", ");
    throw new FieldError("field", other, `one of ${all}`);
  }
  const both = cron !== undefined && every !== undefined;
  if (both || (cron === undefined && every === undefined)) {
    throw new FieldError("cron", cron, "one of cron and every");
  }
  const catchUp = oneOf("catchUp", CATCH_UP, given.catchUp ?? "latest");
  const definition: Definition = {
    ...cron !== undefined && { cron: textOf("cron", cron) },
    ...every !== undefined && { every: textOf("every", every) },
    zone: textOf("zone", given.zone ?? zone),
    task: { provider, ...taskOf(task) },
    catchUp,
    overlap: oneOf(
      "overlap",
      OVERLAP,
      given.overlap ?? (catchUp === "all" ? "queue" : "skip"),
    ),
  };
  if (definition.overlap === "replace" && definition.task.key !== undefined) {
    // A cancelled task that still runs has the key, so the next could not be made.
    throw new FieldError("overlap", "replace", "skip or queue with a key");
  }
  new Slots(definition);
  checkedTask(filled(definition.task, { slot: SAMPLE, zone: "UTC" }));
  return definition;
}

const SAMPLE = new Date("2026-01-01T00:00:00Z");

function textOf(field: string, value: unknown): string {
  if (typeof value === "string") return value.trim();
  throw new FieldError(field, value, "a text");
}

function oneOf<T extends string>(
  field: string,
  choices: readonly T[],
  value: unknown,
): T {
  const choice = choices.find((it) => it === value);
  if (choice !== undefined) return choice;
  throw new FieldError(field, value, `one of ${choices.join(", ")}`);
}

function taskOf(value: unknown): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FieldError("task", value, 'an object like {"instruction": "…"}');
  }
  const task = Object.fromEntries(
    Object.entries(value).filter(([, it]) => it !== undefined && it !== null),
  ) as JsonObject;
  const own = OWN_FIELDS.find((it) => it in task);
  if (own !== undefined) {
    throw new FieldError("task", own, "no such field: each slot has its own");
  }
  if (typeof task.instruction === "string") return task;
  throw new FieldError("task", task, "an instruction in it");
}

/** A slot of a schedule, or the moment at which somebody wants its task. */
interface Slot {
  readonly slot: Date;
  readonly zone: string;
}

const PLACEHOLDER = /\{slot(?::(date|time))?\}/g;

/** `{slot}`, `{slot:date}` and `{slot:time}` in all texts, but not in names. */
function filled<T extends JsonValue>(value: T, slot: Slot): T {
  const wall = wallTimeOf(slot.slot, slot.zone);
  const whole = wholeTimeOf(slot.slot, slot.zone);
  const fill = (it: JsonValue): JsonValue => {
    if (typeof it === "string") {
      return it.replace(
        PLACEHOLDER,
        (_, part: "date" | "time" | undefined) => part ? wall[part] : whole,
      );
    }
    if (Array.isArray(it)) return it.map(fill);
    if (typeof it !== "object" || it === null) return it;
    return Object.fromEntries(
      Object.entries(it).map(([name, inner]) => [name, fill(inner)]),
    );
  };
  return fill(value) as T;
}

/** Of this project alone: ids of other makers can't be met. */
const NAMESPACE = "0f6d3c1e-5a57-5c0b-8f43-2d1c9a7be5d4";

/**
 * The task of a slot. Its id is that of the schedule's name and the slot, so that it
 * is made once, by whomever.
 *
 * @param isExtra It is beside the slots: any number may be made at that time
 * @throws {UsageError} where it is no task, though it was when it was added.
 */
export async function taskForSlot(
  name: string,
  { task, zone }: Definition,
  { slot, isExtra = false }: {
    readonly slot: Date;
    readonly isExtra?: boolean;
  },
): Promise<NewTask & { readonly id: string }> {
  const { trace, ...fields } = filled(task, { slot, zone });
  const { trace: own, ...checked } = await newTaskOf({ ...fields, trace });
  const at = slot.toISOString();
  return {
    ...checked,
    id: isExtra
      ? crypto.randomUUID()
      : await uuidV5(NAMESPACE, new TextEncoder().encode(`${name}\n${at}`)),
    trace: { ...own, schedule: name, slot: at },
  };
}

/** A definition as it is stored; equal ones have the same text. */
export function textOfDefinition(definition: Definition): string {
  const { cron, every, zone, task, catchUp, overlap } = definition;
  return stringifyJson({
    ...cron !== undefined && { cron },
    ...every !== undefined && { every },
    ...{ zone, catchUp, overlap, task },
  });
}

/**
 * What {@linkcode textOfDefinition} wrote.
 *
 * @throws {UsageError} where it is something else.
 */
export function definitionIn(text: string): Definition {
  const given = parseObject(text);
  if (!given) {
    throw new UsageError(
      "Cannot read a schedule: it is not JSON. Add it anew.",
    );
  }
  return definitionOf(given);
}

/** Whether two have the same slots. */
export function hasSameSlots(one: Timing, other: Timing): boolean {
  return one.cron === other.cron && one.every === other.every &&
    one.zone === other.zone;
}
