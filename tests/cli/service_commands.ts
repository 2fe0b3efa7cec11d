/**
 * Runs commands in this process, on the database itself or through a service.
 *
 * @module
 */

import { systemClock } from "../../lib/base/clock.ts";
import { UserError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import { COMMANDS } from "../../lib/cli/commands.ts";
import { loadConfig } from "../../lib/config/config.ts";
import { openServiceAdmin } from "../../lib/service/client/admin.ts";
import type { Admin, ScheduleAdmin } from "../../lib/store/contract.ts";
import { parse } from "../../main.ts";

/** What a command left. */
export interface CommandEnd {
  readonly code: number;
  readonly output: string;
  readonly error: string;
  readonly asked: readonly string[];
}

/** How a command is run. */
export interface RunOptions {
  readonly admin: Admin;
  /** Without it, a command that needs schedules fails. */
  readonly schedules?: ScheduleAdmin;
  readonly stdin?: string;
  /** What a person says when asked. Default: there is no person. */
  readonly confirms?: boolean;
  readonly now?: Date;
}

const none = () => Promise.reject(new Error("Not without schedules"));
const NONE: ScheduleAdmin = {
  list: none,
  put: none,
  pause: none,
  resume: none,
  remove: none,
};

/** Runs a command. Its output is that of a pipe. */
export async function runOn(
  argv: readonly string[],
  { admin, schedules = NONE, stdin = "", confirms, now = new Date() }:
    RunOptions,
): Promise<CommandEnd> {
  const { command, args, flags, settings } = parse(argv);
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
      ask: () => Promise.resolve(undefined),
      confirm: (question: string) => {
        asked.push(question);
        return Promise.resolve(confirms);
      },
    },
    commands: COMMANDS,
    openStore: () => Promise.reject(new Error("Not without a file")),
    openStoreWhenFree: () => Promise.reject(new Error("Not without a file")),
    openAdmin: () =>
      Promise.resolve({
        admin,
        schedules,
        defaultProvider: "simulate",
        // Used by many commands: none of them may end it.
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
  try {
    const code = await command.run!(context);
    return { code, output, error: "", asked };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { code: error.exitCode, output, error: error.message, asked };
  }
}

interface ServiceOptions {
  readonly token?: string;
  readonly silenceMs?: number;
}

/** The tasks behind a service. */
export async function adminAt(
  url: string,
  options: ServiceOptions = {},
): Promise<Admin> {
  return (await openAt(url, options)).admin;
}

/** The same, with the schedules. */
export function openAt(
  url: string,
  { token = "", silenceMs }: ServiceOptions = {},
) {
  return openServiceAdmin({
    url: new URL(url),
    token,
    clock: systemClock,
    silenceMs,
    onWarning: () => {},
  });
}
