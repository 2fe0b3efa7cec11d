/**
 * The smallest useful plugin: asks for a name, unless the configuration has one,
 * and greets. See README.md.
 */

import type {
  Plugin,
  PluginFactory,
  PluginOutcome,
  PluginTask,
} from "../../lib/processors/module/plugin.ts";

interface Options {
  /** Who is greeted. Default: asks. */
  readonly name?: string;
}

export default (function makeGreeter({ name }: Options): Plugin {
  return {
    name: "greeter",
    async process(task: PluginTask, context): Promise<PluginOutcome> {
      const who = name ?? context.answers.at(-1)?.answer;
      if (!who) return { kind: "needs_input", question: "Who are you?" };
      for (const [index, letter] of [...who].entries()) {
        if (context.signal.aborted) throw context.signal.reason;
        console.log("Engraving", letter); // Goes to the log at DEBUG.
        context.progress(`Engraving ${letter}`, index / who.length);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return {
        kind: "completed",
        result: { greeting: `Hello, ${who}`, of: task.instruction },
      };
    },
  };
}) satisfies PluginFactory<Options>;
