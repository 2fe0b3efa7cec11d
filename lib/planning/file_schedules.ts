/**
 * The schedules of a configuration file, as they get into the store and out of it.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Schedule, Schedules } from "../store/contract.ts";
import {
  type Definition,
  fileIn,
  type FileSource,
  type GivenDefinition,
  sourceOf,
} from "./definition.ts";
import {
  definitionIn,
  definitionOf,
  hasSameSlots,
  textOfDefinition,
} from "./schedule.ts";

/** What a configuration file says of schedules. */
export interface FileSchedules extends FileSource {
  /** Undefined where it says nothing. */
  readonly given: ReadonlyMap<string, GivenDefinition> | undefined;
  /** Of tasks that name none. */
  readonly defaultProvider: string;
}

/**
 * Puts the schedules of a file into the store, and removes those that it does not
 * have any more: what came from this file of this machine, and where it says
 * something of schedules, what came from a file at that path of another, as a
 * container has another name each time.
 *
 * @throws {DatabaseError} where the store can't be used.
 */
export async function putFileSchedules(
  schedules: Schedules,
  { log, ...file }: FileSchedules & { readonly log: Log },
): Promise<void> {
  const { given = new Map<string, GivenDefinition>(), path, host } = file;
  const { schedules: all } = await schedules.list();
  const known = new Map(all.map((it) => [it.name, it]));
  for (const [name, it] of given) {
    const before = known.get(name);
    const old = before && readable(before);
    const definition = definitionOf(it, {
      provider: file.defaultProvider,
      zone: before && fileIn(before.source) ? old?.zone : undefined,
    });
    const text = textOfDefinition(definition);
    const source = sourceOf(file);
    if (before?.definition === text && before.source === source) continue;
    const keepsSlots = old !== undefined && hasSameSlots(old, definition);
    await schedules.put({ name, definition: text, source, keepsSlots });
    if (!before || fileIn(before.source)) {
      log.info(`Schedule ${name} is now as in ${path}`, {
        event: "schedule_put",
        schedule: name,
      });
    } else {
      log.warning(
        `Schedule ${name} was added by command, and is now as in ${path}`,
        { event: "schedule_put", schedule: name },
      );
    }
  }
  for (const { name, source } of all) {
    const from = fileIn(source);
    const isOurs = from?.path === path &&
      (from.host === host || file.given !== undefined);
    if (!isOurs || given.has(name)) continue;
    await schedules.remove(name);
    log.info(`Schedule ${name} stops: ${path} has it no more`, {
      event: "schedule_removed",
      schedule: name,
    });
  }
}

function readable({ definition }: Schedule): Definition | undefined {
  try {
    return definitionIn(definition);
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}
