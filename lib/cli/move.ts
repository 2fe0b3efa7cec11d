/**
 * `agent-runner move`
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import { MOVE_TARGETS, type MoveResult } from "../store/contract.ts";
import { idsOf, LISTED_TASKS, refusalOf } from "./choose.ts";
import { CLIENT_SETTINGS, type Command, JSON_FLAG } from "./command.ts";
import { renderJson } from "./render.ts";

/** Moves tasks that have not begun. Exit code 1 where one of them has. */
export const move: Command = {
  name: "move",
  args: "ID…",
  maxArgs: Infinity,
  summary: "Run tasks that have not begun first, or last, of their provider",
  flags: [
    { name: "first", summary: "Before all others, in the order of the ids" },
    { name: "last", summary: "After all others, in the order of the ids" },
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  examples: ["move 550e8400 --first", "move 550e8400 1b9d6bcd --last"],
  run: async ({ args, flags, terminal, openAdmin }) => {
    const [to, other] = MOVE_TARGETS.filter((name) => flags[name]);
    if (args.length === 0 || !to || other) {
      throw new UsageError(
        "Cannot move tasks without their ids and one of --first and --last. " +
          "Give both: agent-runner move ID --first.",
      );
    }
    await using store = await openAdmin();
    const ids = await idsOf(store.admin, args);
    const results = await store.admin.move(ids, to);
    const tasks = ids.map((id, index) => ({
      id,
      result: results[index] ?? "missing" as const,
    }));
    const refused = tasks.flatMap(({ id, result }) =>
      result === "moved" ? [] : [{ id, why: WHY_NOT[result] }]
    );
    if (flags.json) {
      terminal.write(renderJson({
        tasks: tasks.map(({ id, result }) => ({
          id,
          result: result.replace(" ", "_"),
        })),
      }));
      return refused.length > 0 ? EXIT.failed : EXIT.ok;
    }
    const moved = tasks.filter(({ result }) => result === "moved");
    terminal.write(
      moved.length > LISTED_TASKS
        ? `${countOf(moved.length, "task")} run ${to}\n`
        : moved.map(({ id }) => `Task ${id} runs ${to}\n`).join(""),
    );
    if (refused.length > 0) throw refusalOf("move", refused);
    return EXIT.ok;
  },
};

const WHY_NOT: Readonly<Record<Exclude<MoveResult, "moved">, string>> = {
  begun: "it has begun.",
  ended: "it has ended.",
  missing: "it is not there.",
  "unknown state": "another program gave it a state that agent-runner does " +
    "not know.",
};
