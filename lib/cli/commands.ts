/**
 * The one table of commands and their flags. Parsing, `--help` and README's
 * table are made from it.
 *
 * @module
 */

import type { Command } from "./command_table/command.ts";
import { OPERATING_COMMANDS } from "./command_table/operate.ts";
import { RUN_COMMANDS } from "./command_table/run.ts";
import { SETUP_COMMANDS } from "./command_table/setup.ts";
import { TASK_COMMANDS } from "./command_table/tasks.ts";

/** Every command. The first is what runs when none is named. */
export const COMMANDS: readonly [Command, ...Command[]] = [
  ...RUN_COMMANDS,
  ...TASK_COMMANDS,
  ...OPERATING_COMMANDS,
  ...SETUP_COMMANDS,
];
