/**
 * agent-runner: runs agent tasks that wait in a database.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { systemClock } from "./lib/base/clock.ts";
import { EXIT, messageOf, UserError } from "./lib/base/errors.ts";
import { createLog, printable } from "./lib/base/log.ts";
import { keepPrivate } from "./lib/base/private.ts";
import { settled } from "./lib/base/under_way.ts";
import type { CommandContext } from "./lib/cli/command.ts";
import { COMMANDS } from "./lib/cli/commands.ts";
import { giveBack } from "./lib/cli/give_back.ts";
import { openersOf } from "./lib/cli/open.ts";
import { showPlan } from "./lib/cli/plan.ts";
import { prepareRun } from "./lib/cli/run.ts";
import { OutputClosedError, systemTerminal } from "./lib/cli/terminal.ts";
import {
  joinDashedValues,
  parseOptions,
  type Request,
  requestOf,
} from "./lib/cli/usage.ts";
import { HOST_WORD } from "./lib/processors/module/messages.ts";
import { findConfigFile, loadConfig } from "./lib/config/config.ts";

/**
 * Runs the program.
 *
 * @param argv the words after the program's name
 * @returns the exit code
 */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const terminal = systemTerminal();
    const { command, args, flags, settings, text } = parse(argv);
    if (text !== undefined) {
      terminal.write(text);
      return EXIT.ok;
    }
    const path = command.ignoresConfigFile
      ? undefined
      : findConfigFile(settings, Deno.env.get);
    const file = path === undefined
      ? undefined
      : await (await import("./lib/config/file.ts")).readConfigFile(path);
    const config = loadConfig(settings, Deno.env.get, file);
    giveBack(command, config);
    using log = createLog({ level: config.logLevel, format: config.logFormat });
    keepPrivate(log);
    const parts = { config, clock: systemClock, log };
    return await (command.run ?? runTasks)({
      ...parts,
      ...openersOf(command, parts),
      commands: COMMANDS,
      args,
      flags,
      terminal,
    });
  } catch (error) {
    return report(error);
  }
}

/**
 * Reads the words after the program's name.
 *
 * @throws {UsageError} where they are wrong.
 */
export function parse(argv: readonly string[]): Request {
  const unknown: string[] = [];
  const options = parseOptions((flag) => unknown.push(flag));
  return requestOf(parseArgs(joinDashedValues(argv), options), unknown);
}

/** `agent-runner run`: once or for ever. */
async function runTasks(context: CommandContext): Promise<number> {
  const { flags } = context;
  if (flags["dry-run"]) return await showPlan(context);
  // Loaded where it is needed: it takes longer than all that is above.
  const { runLoop, runOnce } = await import("./lib/runner.ts");
  await using run = await prepareRun(context);
  if (!run) return EXIT.ok; // It was stopped before it could begin.
  const { runner, signals } = run;
  const summary = flags.loop
    ? await runLoop(runner, signals)
    : await runOnce(runner, signals);
  return await run.finish(summary);
}

/** Says what went wrong. Returns the exit code. */
function report(error: unknown): number {
  // `| head` has seen enough; that is no error.
  if (error instanceof OutputClosedError) return EXIT.ok;
  if (error instanceof UserError) {
    const lines = error.message.split("\n").map(printable);
    console.error(`error: ${lines.join("\n       ")}`);
    return error.exitCode;
  }
  console.error(
    `error: agent-runner has a defect: ${messageOf(error)}\n` +
      "       Please report it, with what you did. LOG_LEVEL=DEBUG shows where.",
  );
  if (Deno.env.get("LOG_LEVEL")?.toUpperCase() === "DEBUG") {
    console.error(error);
  }
  return EXIT.internal;
}

/** How long native work that is under way has to end before the process does. */
const SETTLE_MS = 30_000;

/** Ends the process when nothing native is under way any more. */
async function exit(code: number): Promise<never> {
  if (!await settled(SETTLE_MS)) {
    console.error("error: agent-runner ends while the database is at work");
  }
  Deno.exit(code);
}

if (import.meta.main) {
  // It ends this process itself.
  if (Deno.args[0] === HOST_WORD) {
    await import("./lib/processors/module/host.ts");
  }
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    exit(report(event.reason));
  });
  await exit(await main(Deno.args));
}
