/**
 * `agent-runner schedule add`
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import {
  assertName,
  BY_COMMAND,
  CATCH_UP,
  fileIn,
  OVERLAP,
  OWN_FIELDS,
} from "../planning/definition.ts";
import { CLIENT_SETTINGS, type Command } from "./command.ts";
import { create, readFields } from "./create.ts";
import { textFlag } from "./flags.ts";

/** What a task of one slot can't have of its own, or many at once. */
const NOT_TAKEN = [...OWN_FIELDS, "file", "json"]
  .map((it) => it.replaceAll("_", "-"));

/** Adds a schedule, or changes it. */
export const scheduleAdd: Command = {
  name: "schedule add",
  args: "NAME [INSTRUCTION | -]",
  maxArgs: 2,
  family: "Make tasks at times: add, list, show, pause, resume, remove, run",
  summary: "Add a schedule, which makes a task at each of its times",
  flags: [
    {
      name: "cron",
      placeholder: "FIELDS",
      summary: 'Minute, hour, day, month, weekday: "0 2 * * 1-5"',
    },
    {
      name: "every",
      placeholder: "SPAN",
      summary: "Or each 15m, 2h, 1d, counted from 1970 in UTC",
    },
    {
      name: "zone",
      placeholder: "ZONE",
      summary: "The time zone: Europe/Berlin (default this machine's)",
    },
    {
      name: "catch-up",
      placeholder: "WHICH",
      choices: CATCH_UP,
      summary: `What was missed: ${CATCH_UP.join(", ")} (default latest)`,
    },
    {
      name: "overlap",
      placeholder: "WHAT",
      choices: OVERLAP,
      summary: `While the last task runs: ${OVERLAP.join(", ")} (default skip)`,
    },
    ...(create.flags ?? []).filter(({ name }) => !NOT_TAKEN.includes(name)),
  ],
  settings: CLIENT_SETTINGS,
  makesDatabase: true,
  examples: [
    'schedule add nightly "Update what is outdated" --cron "0 2 * * *"',
    'schedule add triage "Sort issues of {slot:date}" --every 2h --batch triage',
  ],
  run: async (context) => {
    const { args: [name = "", ...rest], config, flags, terminal } = context;
    assertName(name);
    if (config.schedules?.has(name)) throw isOfFile(name, config.configPath);
    const task = await readFields({ ...context, args: rest });
    const { definitionIn, definitionOf, hasSameSlots, textOfDefinition } =
      await import("../planning/schedule.ts");
    const given = {
      cron: textFlag(flags, "cron"),
      every: textFlag(flags, "every"),
      zone: textFlag(flags, "zone"),
      catchUp: textFlag(flags, "catch-up"),
      overlap: textFlag(flags, "overlap"),
      task,
    };
    definitionOf(given);
    await using store = await context.openAdmin();
    const { schedules, defaultProvider } = store;
    const definition = definitionOf(given, { provider: defaultProvider });
    const { schedules: all } = await schedules.list();
    const before = all.find((it) => it.name === name);
    const file = before && fileIn(before.source);
    if (file) throw isOfFile(name, file.path);
    await schedules.put({
      name,
      definition: textOfDefinition(definition),
      source: BY_COMMAND,
      keepsSlots: before !== undefined &&
        hasSameSlots(definitionIn(before.definition), definition),
    });
    const { nextText, readSchedule } = await import("./schedule_text.ts");
    const { schedule, at } = await readSchedule(schedules, name);
    terminal.write(
      `${before ? "Changed" : "Added"} schedule ${name}: ${
        nextText(schedule, at)
      }\n`,
    );
    const warning = store.warningFor?.(String(definition.task.provider));
    if (warning) context.log.warning(warning, { event: "not_served" });
    return EXIT.ok;
  },
};

function isOfFile(name: string, path: string | undefined): UsageError {
  return new UsageError(
    `Cannot add the schedule ${name}: ${path} has one of that name. Change it ` +
      "there, or give another name.",
  );
}
