/**
 * `agent-runner open`
 *
 * @module
 */

import { EXIT } from "../base/errors.ts";
import { type AgentTask, isFinal } from "../task/task.ts";
import { sayWith } from "./asked.ts";
import { findTask, prefixOf } from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
} from "./command.ts";

/** Starts the CLI of a task's agent in its session. The exit code is the CLI's. */
export const openTask: Command = {
  name: "open",
  args: "ID",
  maxArgs: 1,
  summary: "Take over the session of a task in its agent's own CLI",
  flags: [
    { name: "print", summary: "Print what would be run, and do not run it" },
    { name: "force", summary: "Open it though a runner works on it" },
  ],
  settings: CLIENT_SETTINGS,
  startsPrograms: true,
  onlyReads: true,
  examples: ["open 550e8400", "open 550e8400 --print"],
  run: async (context) => {
    const { args, config, flags, clock, terminal, log } = context;
    const prefix = prefixOf(args, "open a task without its id");
    const { assertUsable, cannotOpen, programOf, shellLine, start } =
      await import("./session_program.ts");
    const { task, isHere } = await read(prefix, context);
    const { id, state, leaseOwner, leaseExpiresAt } = task;
    const short = id.slice(0, 8);
    const program = await programOf(task, config);
    if (flags.print) {
      terminal.write(`${shellLine(program)}\n`);
      return EXIT.ok;
    }
    if (leaseExpiresAt && leaseExpiresAt > clock.now() && !flags.force) {
      throw cannotOpen(
        task,
        `${leaseOwner} works in its session just now. Stop that first: ` +
          `agent-runner cancel ${short}. Or open it all the same: --force`,
      );
    }
    await assertUsable(task, program, { isHere });
    if (state === "running") {
      log.warning(
        `Task ${id}: a runner may go on in its session while you are there`,
        { event: "hint", task: id },
      );
    }
    const code = await start(task, program);
    if (!isFinal(state)) {
      const next = state === "needs_input"
        ? sayWith(task)
        : `agent-runner note ${short} "…", or cancel ${short}`;
      log.info(`Task ${id} is still ${state}: ${next}`, {
        event: "hint",
        task: id,
      });
    }
    return code;
  },
};

/** The database is let go of at once: a person may stay in the session for hours. */
async function read(
  prefix: string,
  { openAdmin }: CommandContext,
): Promise<{ readonly task: AgentTask; readonly isHere: boolean }> {
  await using store = await openAdmin();
  const task = await findTask(store.admin, prefix);
  return { task, isHere: store.events !== undefined };
}
