/**
 * An agent that names its sessions itself, finds them in any folder, tells what
 * they used so far, and takes what is long by stdin.
 *
 * @module
 */

import type { Dialect } from "../../../lib/processors/agent/dialect.ts";
import type { Usage } from "../../../lib/task/usage.ts";
import plain from "./plain_agent.ts";

const sum: Dialect = {
  ...plain,
  name: "sum",
  takesSessionId: false,
  bindsSessionToFolder: false,
  sumsUsage: true,
  stdinArgs: (start) => plain.args({ ...start, prompt: "-" }),
  read(options) {
    const reader = plain.read(options);
    const { input = 0 } = options.usedBefore ?? {};
    return {
      ...reader,
      end(ended) {
        const { usage, ...end } = reader.end(ended);
        const since: Usage = { input: (usage?.input ?? 0) - input };
        return { ...end, usage: since };
      },
    };
  },
};
export default sum;
