/**
 * Runs commands in this process, on the database itself or through a service.
 *
 * @module
 */

import { systemClock } from "../../lib/base/clock.ts";
import { openServiceDesk } from "../../lib/service/client/admin.ts";
import { answer } from "../../lib/cli/commands/answer.ts";
import { cancel } from "../../lib/cli/commands/cancel.ts";
import type { RunCommand } from "../../lib/cli/context.ts";
import { create } from "../../lib/cli/commands/create.ts";
import { exportTasks } from "../../lib/cli/commands/export.ts";
import { list } from "../../lib/cli/commands/list.ts";
import { prune } from "../../lib/cli/commands/prune.ts";
import { result } from "../../lib/cli/commands/result.ts";
import { retry } from "../../lib/cli/commands/retry.ts";
import { show } from "../../lib/cli/commands/show.ts";
import { stats } from "../../lib/cli/commands/stats.ts";
import { loadConfig } from "../../lib/config/config.ts";
import { UserError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import type { TaskDesk } from "../../lib/store/task_admin.ts";
import { parseRequest } from "../../lib/cli/usage.ts";

const COMMANDS: Readonly<Record<string, RunCommand>> = {
  create,
  list,
  show,
  result,
  answer,
  cancel,
  retry,
  stats,
  export: exportTasks,
  prune,
};

/** What a command left. */
export interface CommandEnd {
  readonly code: number;
  readonly output: string;
  readonly error: string;
  readonly asked: readonly string[];
}

/** How a command is run. */
export interface RunOptions {
  readonly desk: TaskDesk;
  readonly stdin?: string;
  /** What a person says when asked. Default: there is no person. */
  readonly confirms?: boolean;
  readonly now?: Date;
}

/** Runs a command. Its output is that of a pipe. */
export async function runOn(
  argv: readonly string[],
  { desk, stdin = "", confirms, now = new Date() }: RunOptions,
): Promise<CommandEnd> {
  const { command, args, flags, settings } = parseRequest(argv);
  let output = "";
  const asked: string[] = [];
  using log = createLog({ write: () => {} });
  const context = {
    config: loadConfig(settings, () => undefined),
    args,
    flags,
    clock: { ...systemClock, now: () => now },
    log,
    terminal: {
      screen: { width: undefined, hasColor: false },
      write: (text: string) => void (output += text),
      readInput: () => Promise.resolve(stdin),
      confirm: (question: string) => {
        asked.push(question);
        return Promise.resolve(confirms);
      },
    },
    openStore: () => Promise.reject(new Error("Not without a file")),
    // Both are used by many commands: none of them may end it.
    openDesk: () => Promise.resolve(staying(desk)),
  };
  try {
    const code = await COMMANDS[command.name]!(context);
    return { code, output, error: "", asked };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { code: error.exitCode, output, error: error.message, asked };
  }
}

function staying(desk: TaskDesk): TaskDesk {
  return new Proxy(desk, {
    get(target, name) {
      if (name === Symbol.asyncDispose) return () => Promise.resolve();
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The tasks behind a service. */
export function deskAt(
  url: string,
  { token = "", silenceMs }: {
    readonly token?: string;
    readonly silenceMs?: number;
  } = {},
): Promise<TaskDesk> {
  return openServiceDesk({
    url: new URL(url),
    token,
    clock: systemClock,
    silenceMs,
  });
}
