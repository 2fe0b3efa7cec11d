/**
 * agent-runner: runs agent tasks that wait in a DuckDB file.
 *
 * @module
 */

import manifest from "./deno.json" with { type: "json" };
import { systemClock } from "./lib/base/clock.ts";
import type { RunCommand } from "./lib/cli/context.ts";
import { findConfigFile, loadConfig } from "./lib/config/config.ts";
import { EXIT, messageOf, UserError } from "./lib/base/errors.ts";
import { createLog, printable } from "./lib/base/log.ts";
import { OutputClosedError, systemTerminal } from "./lib/cli/terminal.ts";
import { commandHelp, parseRequest, programHelp } from "./lib/cli/usage.ts";

/** Loaded when they run, so that `--help` does not wait for DuckDB. */
const COMMANDS: Readonly<Record<string, () => Promise<RunCommand>>> = {
  run: async () => (await import("./lib/cli/commands/run.ts")).run,
  create: async () => (await import("./lib/cli/commands/create.ts")).create,
  list: async () => (await import("./lib/cli/commands/list.ts")).list,
  serve: async () => (await import("./lib/cli/commands/serve.ts")).serve,
  answer: async () => (await import("./lib/cli/commands/answer.ts")).answer,
  result: async () => (await import("./lib/cli/commands/result.ts")).result,
  "run-task": async () =>
    (await import("./lib/cli/commands/run_task.ts")).runTask,
  cancel: async () => (await import("./lib/cli/commands/cancel.ts")).cancel,
  retry: async () => (await import("./lib/cli/commands/retry.ts")).retry,
  stats: async () => (await import("./lib/cli/commands/stats.ts")).stats,
  export: async () =>
    (await import("./lib/cli/commands/export.ts")).exportTasks,
  prune: async () => (await import("./lib/cli/commands/prune.ts")).prune,
  sql: async () => (await import("./lib/cli/commands/sql.ts")).sql,
  doctor: async () => (await import("./lib/cli/commands/doctor.ts")).doctor,
  watch: async () => (await import("./lib/cli/commands/watch.ts")).watch,
  completions: async () =>
    (await import("./lib/cli/commands/completions.ts")).completions,
  show: async () => (await import("./lib/cli/commands/show.ts")).show,
  "webhooks test": async () =>
    (await import("./lib/cli/commands/webhooks.ts")).webhooksTest,
  "webhooks list": async () =>
    (await import("./lib/cli/commands/webhooks.ts")).webhooksList,
  "config check": async () =>
    (await import("./lib/cli/commands/config.ts")).configCheck,
  "config schema": async () =>
    (await import("./lib/cli/commands/config.ts")).configSchema,
};

/**
 * Runs the program.
 *
 * @param argv the words after the program's name
 * @returns the exit code
 */
export async function main(argv: readonly string[]): Promise<number> {
  const terminal = systemTerminal();
  try {
    const { command, args, flags, settings } = parseRequest(argv);
    if (flags.version) {
      terminal.write(`agent-runner ${manifest.version}\n`);
      return EXIT.ok;
    }
    if (flags.help) {
      const isProgram = argv.every((word) => word.startsWith("-")) ||
        argv.join() === "help";
      terminal.write(
        isProgram ? programHelp(manifest.version) : commandHelp(command),
      );
      return EXIT.ok;
    }
    const path = command.ignoresConfigFile
      ? undefined
      : findConfigFile(settings, Deno.env.get);
    const file = path === undefined
      ? undefined
      : await (await import("./lib/config/file.ts")).readConfigFile(path);
    const config = loadConfig(settings, Deno.env.get, file);
    using log = createLog({ level: config.logLevel, format: config.logFormat });
    const mustExist = !command.makesDatabase;
    const load = COMMANDS[command.name] as () => Promise<RunCommand>;
    return await (await load())({
      config,
      args,
      flags,
      clock: systemClock,
      log,
      terminal,
      openDesk: async () => {
        const { openDesk } = await import("./lib/cli/open_admin.ts");
        return await openDesk({ ...config, mustExist }, {
          clock: systemClock,
          log,
        });
      },
      openStore: async () => {
        const { openStore } = await import("./lib/store/open.ts");
        // All others are done in a moment, and may ask a person meanwhile.
        const exclusive = config.exclusive &&
          command.settings.includes("exclusive");
        return await openStore({ ...config, exclusive, mustExist }, log);
      },
    });
  } catch (error) {
    return report(error);
  }
}

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

if (import.meta.main) Deno.exit(await main(Deno.args));
