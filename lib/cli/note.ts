/**
 * `agent-runner note`
 *
 * @module
 */

import { EXIT, UsageError, UserError } from "../base/errors.ts";
import { findTask } from "./choose.ts";
import { CLIENT_SETTINGS, type Command } from "./command.ts";
import { readWords } from "./flags.ts";

/** Leaves a note with a task. */
export const note: Command = {
  name: "note",
  args: "ID TEXT",
  maxArgs: 2,
  summary: "Leave a note for a task's next attempt (- for stdin)",
  settings: CLIENT_SETTINGS,
  examples: ['note 550e8400 "The tests need Node 22"', "note 550e8400 -"],
  run: async ({ args, terminal, openAdmin }) => {
    const [prefix = "", given] = args;
    if (given === undefined) {
      throw new UsageError(
        "Cannot note anything without a task's id and a text. Give both: " +
          'agent-runner note ID "Use the main branch".',
      );
    }
    const text = await readWords("note", given, terminal);
    await using store = await openAdmin();
    const { id, state } = await findTask(store.admin, prefix);
    const result = await store.admin.note(id, text);
    if (result === "noted") {
      terminal.write(`Task ${id}: its next attempt gets your note\n`);
      return EXIT.ok;
    }
    const why = result === "ended"
      ? `it is ${state} already. agent-runner retry ${
        id.slice(0, 8)
      } runs it ` +
        "again as a new task."
      : result === "missing"
      ? "it is not there any more."
      : `another program gave it the state "${state}".`;
    throw new UserError(`Cannot note for task ${id}: ${why}`);
  },
};
