/**
 * `agent-runner edit`
 *
 * @module
 */

import { EXIT, UserError } from "../base/errors.ts";
import type { EditResult } from "../store/contract.ts";
import { checkedEdit, EDIT_FIELDS, type TaskFields } from "../task/new_task.ts";
import { NOW } from "../task/task.ts";
import { findTask, prefixOf } from "./choose.ts";
import { CLIENT_SETTINGS, type Command, JSON_FLAG } from "./command.ts";
import { create, flagOf } from "./create.ts";
import { readWords, textFlag } from "./flags.ts";
import { renderJson } from "./render.ts";

/** As `create` has them, but that there are no defaults. */
const FLAGS = (create.flags ?? [])
  .filter(({ name }) => EDIT_FIELDS.some((field) => flagOf(field) === name))
  .map((flag) => ({
    ...flag,
    summary: flag.summary.replace(/ \(default.*\)$/, "") +
      (flag.name === "run-at" ? `, or ${NOW}` : ""),
  }));

/** Changes a task that has not begun. */
export const edit: Command = {
  name: "edit",
  args: "ID",
  maxArgs: 1,
  summary: "Change a task that has not begun",
  flags: [
    {
      name: "instruction",
      placeholder: "TEXT",
      summary: "What to do (- for stdin)",
    },
    ...FLAGS,
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  examples: [
    "edit 550e8400 --priority 5 --provider claude",
    'edit 550e8400 --instruction "Summarise the closed issues"',
    "edit 550e8400 --run-at now",
  ],
  run: async (context) => {
    const { args, flags, terminal, log, openAdmin } = context;
    const prefix = prefixOf(args, "change a task without its id");
    const given = textFlag(flags, "instruction");
    const fields: TaskFields = Object.fromEntries(
      EDIT_FIELDS.map((field) => [field, flags[flagOf(field)]]),
    );
    const changes = checkedEdit({
      ...fields,
      ...given !== undefined &&
        { instruction: await readWords("instruction", given, terminal) },
    });
    await using store = await openAdmin();
    const { id, state } = await findTask(store.admin, prefix);
    const result = await store.admin.edit(id, changes);
    if (result !== "edited") {
      throw new UserError(
        `Cannot change task ${id}: ${WHY_NOT[result](state)}`,
      );
    }
    terminal.write(
      flags.json ? renderJson({ id, result }) : `Changed task ${id}\n`,
    );
    const { provider } = changes;
    const warning = provider && store.warningFor?.(provider);
    if (warning) log.warning(warning, { event: "not_served" });
    return EXIT.ok;
  },
};

/** Why a task could not be changed, and what to do. */
const WHY_NOT: Readonly<
  Record<Exclude<EditResult, "edited">, (state: string) => string>
> = {
  begun: () =>
    "it has begun. agent-runner note leaves a text for its next attempt.",
  ended: (state) => `it is ${state} already.`,
  missing: () => "it is not there any more.",
  "unknown state": (state) => `another program gave it the state "${state}".`,
};
