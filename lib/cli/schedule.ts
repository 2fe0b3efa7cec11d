/**
 * `agent-runner schedule list`, `show`, `pause`, `resume`, `remove` and `run`
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import { fileIn } from "../planning/definition.ts";
import { newTasks } from "../store/contract.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  JSON_FLAG,
} from "./command.ts";
import { renderJson } from "./render.ts";

/** Lists schedules. */
export const scheduleList: Command = {
  name: "schedule list",
  summary: "List schedules, with the next three times of each",
  flags: [JSON_FLAG],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["schedule list", "schedule list --json"],
  run: async ({ flags, terminal, openAdmin }) => {
    await using store = await openAdmin();
    const { schedules, at } = await store.schedules.list();
    if (flags.json) {
      const { scheduleToJson } = await import("../service/schedule_json.ts");
      terminal.write(
        renderJson(schedules.map((it) => scheduleToJson(it, at)), 2),
      );
    } else if (schedules.length === 0) {
      terminal.write(
        "There are no schedules. agent-runner schedule add makes one.\n",
      );
    } else {
      const { renderSchedules } = await import("./schedule_text.ts");
      terminal.write(renderSchedules(schedules, at, terminal.screen));
    }
    return EXIT.ok;
  },
};

/** Shows a schedule. */
export const scheduleShow: Command = {
  name: "schedule show",
  args: "NAME",
  maxArgs: 1,
  summary: "Show a schedule, its task, and its next three times",
  flags: [JSON_FLAG],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["schedule show nightly"],
  run: async ({ args, flags, terminal, openAdmin }) => {
    const name = nameOf(args, "show");
    const { readSchedule, renderSchedule } = await import("./schedule_text.ts");
    await using store = await openAdmin();
    const { schedule, at } = await readSchedule(store.schedules, name);
    if (flags.json) {
      const { scheduleToJson } = await import("../service/schedule_json.ts");
      terminal.write(renderJson(scheduleToJson(schedule, at), 2));
    } else terminal.write(renderSchedule(schedule, at));
    return EXIT.ok;
  },
};

/** Pauses a schedule. */
export const schedulePause = changing("pause", "Have a schedule make no tasks");

/** Ends that. */
export const scheduleResume = changing(
  "resume",
  "Let a paused schedule go on, with its next time",
);

/** Forgets a schedule. */
export const scheduleRemove = changing(
  "remove",
  "Forget a schedule; the tasks that it made stay",
);

/** Makes the task of a schedule now. */
export const scheduleRun: Command = {
  name: "schedule run",
  args: "NAME",
  maxArgs: 1,
  summary: "Make the task of a schedule now, beside its times",
  flags: [JSON_FLAG],
  settings: CLIENT_SETTINGS,
  examples: ["schedule run nightly"],
  run: async ({ args, flags, terminal, openAdmin }) => {
    const name = nameOf(args, "run");
    const { definitionIn, taskForSlot } = await import(
      "../planning/schedule.ts"
    );
    const { readSchedule } = await import("./schedule_text.ts");
    await using store = await openAdmin();
    const { schedule, at } = await readSchedule(store.schedules, name);
    const task = await taskForSlot(name, definitionIn(schedule.definition), {
      slot: at,
      isExtra: true,
    });
    const ids = await store.admin.create(newTasks([task]));
    const { createdText } = await import("./created.ts");
    const isJson = flags.json === true;
    terminal.write(
      await createdText(ids, task, { admin: store.admin, isJson }),
    );
    return EXIT.ok;
  },
};

type Change = "pause" | "resume" | "remove";

function changing(verb: Change, summary: string): Command {
  return {
    name: `schedule ${verb}`,
    args: "NAME",
    maxArgs: 1,
    summary,
    settings: CLIENT_SETTINGS,
    examples: [`schedule ${verb} nightly`],
    run: (context) => change(verb, context),
  };
}

async function change(
  verb: Change,
  { args, terminal, log, openAdmin }: CommandContext,
): Promise<number> {
  const name = nameOf(args, verb);
  const { nextText, readSchedule } = await import("./schedule_text.ts");
  await using store = await openAdmin();
  const { schedule } = await readSchedule(store.schedules, name);
  await store.schedules[verb](name);
  if (verb === "remove") {
    terminal.write(`Removed schedule ${name}\n`);
    const file = fileIn(schedule.source);
    if (file) {
      log.warning(
        `A runner that starts with ${file.path} of ${file.host} adds ${name} ` +
          "again where that has it still. Remove it there too.",
        { event: "hint", schedule: name },
      );
    }
    return EXIT.ok;
  }
  const { schedule: now, at } = await readSchedule(store.schedules, name);
  terminal.write(`Schedule ${name}: ${nextText(now, at)}\n`);
  return EXIT.ok;
}

/** @throws {UsageError} where none is named. */
function nameOf([name = ""]: readonly string[], verb: string): string {
  if (name !== "") return name;
  throw new UsageError(
    `Cannot ${verb} a schedule without its name. agent-runner schedule list ` +
      "has the names.",
  );
}
