/**
 * How schedules look in a terminal.
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import { UsageError } from "../base/errors.ts";
import type { Timing } from "../planning/definition.ts";
import { fileIn } from "../planning/definition.ts";
import { type Upcoming, upcomingOf } from "../planning/upcoming.ts";
import { wallTimeOf, wholeTimeOf } from "../planning/wall_time.ts";
import type { Schedule, ScheduleAdmin } from "../store/contract.ts";
import { stringifyJson } from "../task/trace.ts";
import { ageOf, alignRows, factLines, type Screen } from "./render.ts";

/**
 * The schedule of a name, and the store's time.
 *
 * @throws {UsageError} where there is none.
 */
export async function readSchedule(
  schedules: ScheduleAdmin,
  name: string,
): Promise<{ readonly schedule: Schedule; readonly at: Date }> {
  const { schedules: all, at } = await schedules.list();
  const schedule = all.find((it) => it.name === name);
  if (!schedule) throw noSuch(name, all);
  return { schedule, at };
}

/** @param all Those that there are */
export function noSuch(name: string, all: readonly Schedule[]): UsageError {
  const names = all.map((it) => it.name);
  return new UsageError(
    `There is no schedule "${name}". ` +
      (names.length === 0
        ? "agent-runner schedule add makes one."
        : `Did you mean "${closestString(name, names)}"?`),
  );
}

/** `0 2 * * * Europe/Berlin`, `every 2h` */
function whenText({ cron, every, zone }: Timing): string {
  return cron === undefined ? `every ${every}` : `${cron} ${zone}`;
}

/** `2026-03-29 03:00`, in the schedule's zone. */
function shown(time: Date, { definition }: Upcoming): string {
  const wall = wallTimeOf(time, definition?.zone ?? "UTC");
  return `${wall.date} ${wall.time}`;
}

function stateOf(schedule: Schedule, { problem }: Upcoming): string {
  return problem !== undefined
    ? "broken"
    : schedule.pausedAt
    ? "paused"
    : "active";
}

function sourceText({ source }: Schedule): string {
  return fileIn(source)?.path ?? source;
}

/** `next 2026-03-29 03:00, 2026-03-30 02:00, 2026-03-31 02:00 (Europe/Berlin)` */
export function nextText(schedule: Schedule, at: Date): string {
  const upcoming = upcomingOf(schedule, at);
  const { definition, next, problem } = upcoming;
  if (problem !== undefined) return problem;
  if (schedule.pausedAt) return "paused";
  const times = next.map((it) => shown(it, upcoming)).join(", ");
  return `next ${times} (${definition?.zone})`;
}

/** A table of schedules. */
export function renderSchedules(
  all: readonly Schedule[],
  at: Date,
  { width }: Screen,
): string {
  const rows = all.map((schedule) => {
    const upcoming = upcomingOf(schedule, at);
    const { definition, next } = upcoming;
    const { name, lastSlot } = schedule;
    return [
      ...[name, definition ? whenText(definition) : "?"],
      stateOf(schedule, upcoming),
      lastSlot ? `${ageOf(lastSlot, at)} ago` : "never",
      sourceText(schedule),
      next.map((it) => shown(it, upcoming)).join(", "),
    ];
  });
  const header = ["NAME", "WHEN", "STATE", "LAST SLOT", "FROM", "NEXT"];
  return alignRows([header, ...rows], { width })
    .map((line) => `${line}\n`).join("");
}

/** All that there is to a schedule. */
export function renderSchedule(schedule: Schedule, at: Date): string {
  const upcoming = upcomingOf(schedule, at);
  const { definition, problem, next } = upcoming;
  const { lastSlot, lastTask, pausedAt, addedAt, name } = schedule;
  const whole = (time: Date) => wholeTimeOf(time, definition?.zone ?? "UTC");
  const facts = [
    ["Name", name],
    ["State", stateOf(schedule, upcoming)],
    ...problem === undefined ? [] : [["Problem", problem]],
    ...definition
      ? [
        ["When", whenText(definition)],
        ["Zone", definition.zone],
        ["Catch up", definition.catchUp],
        ["Overlap", definition.overlap],
        ...Object.entries(definition.task).map(([field, value]) => [
          field[0]?.toUpperCase() + field.slice(1).replaceAll("_", " "),
          typeof value === "string" ? value : stringifyJson(value),
        ]),
      ]
      : [],
    ["From", sourceText(schedule)],
    ["Since", whole(addedAt)],
    ...pausedAt ? [["Paused", whole(pausedAt)]] : [],
    ...lastSlot ? [["Last slot", whole(lastSlot)]] : [],
    ...lastTask ? [["Last task", `${lastTask.id} ${lastTask.state}`]] : [],
    ...next.map((it, index) => [index === 0 ? "Next" : "", whole(it)]),
  ];
  return factLines(facts).map((line) => `${line}\n`).join("");
}
