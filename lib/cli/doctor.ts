/**
 * `agent-runner doctor`
 *
 * @module
 */

import { accessSync, constants, statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import manifest from "../../../deno.json" with { type: "json" };
import type { Config } from "../../config/config.ts";
import {
  type Check,
  checkOf,
  checksToJson,
  checkTables,
  checkTasks,
  isHealthy,
  renderChecks,
} from "../diagnosis.ts";
import {
  DatabaseBusyError,
  EXIT,
  messageOf,
  UserError,
} from "../../base/errors.ts";
import { formatBytes, formatSpan } from "../../base/figures.ts";
import { openReader } from "../../store/open_reader.ts";
import { claimedProvidersOf } from "../../runner/providers.ts";
import type { DatabaseReader } from "../../store/reader.ts";
import { ageOf, renderJson } from "../render.ts";
import { OTHERS } from "../../store/contract.ts";
import type { CommandContext } from "../context.ts";
import { reportProviders } from "../provider_reports.ts";

/**
 * Looks at everything that agent-runner needs, and changes nothing. Exit code 1
 * where something does not work.
 */
export async function doctor(context: CommandContext): Promise<number> {
  const { config, flags, terminal } = context;
  const checks = [
    checkSettings(config),
    checkEnabled(config),
    await checkProviders(context),
    checkFolder(config),
    checkFile(context),
    checkDisk(config),
    ...await checkDatabase(context),
  ];
  terminal.write(
    flags.json
      ? renderJson(checksToJson(checks), 2)
      : renderChecks(checks, terminal.screen),
  );
  return isHealthy(checks) ? EXIT.ok : EXIT.failed;
}

/** Wrong ones are reported before any command begins. */
function checkSettings({ sources }: Config): Check {
  const given = [...sources.values()]
    .map((source) => source.replace(/(:\d+)+$/, ""))
    .filter((source) => source !== "default");
  const names = [...new Set(given)];
  return {
    name: "settings",
    level: "ok",
    message: names.length > 0
      ? `given by ${names.join(", ")}; the rest are defaults`
      : "all are defaults",
  };
}

function checkEnabled({ enabled }: Config): Check {
  return checkOf("enabled", enabled ? "ok" : "warn", {
    message: enabled ? "run runs tasks" : "run runs nothing",
    advice: "HANDSFREE_AGENT_RUNNER_ENABLED=true enables it.",
  });
}

async function checkProviders(context: CommandContext): Promise<Check> {
  const name = "providers";
  const { providers, configPath } = context.config;
  if (!providers) {
    return {
      name,
      level: "ok",
      message: "none is configured: every one is simulated",
    };
  }
  const wrong = await providerProblems(context);
  const names = [...providers].map(([name, { processor }]) =>
    `${nameOf(name)} (${processor})`
  );
  return checkOf(name, wrong.length > 0 ? "fail" : "ok", {
    message: wrong.join(" ") || `${names.join(", ")} by ${configPath}`,
    advice: "agent-runner config check says what would run for each.",
  });
}

async function providerProblems(context: CommandContext): Promise<string[]> {
  try {
    const reports = await reportProviders(context);
    return reports.flatMap(({ provider, problems }) =>
      problems.map((problem) => `${nameOf(provider)}: ${problem}`)
    );
  } catch (error) {
    if (error instanceof UserError) return [error.message];
    throw error;
  }
}

function nameOf(provider: string): string {
  return provider === OTHERS ? "all others" : provider;
}

function checkFolder({ dbPath }: Config): Check {
  const folder = resolve(dirname(dbPath));
  const problem = accessProblem(folder, constants.W_OK | constants.X_OK);
  return checkOf("folder", problem ? "fail" : "ok", {
    message: problem ? `${folder} can't be used: ${problem}` : folder,
    advice: "Make it, let its owner run agent-runner, or give another " +
      "--db-path. DuckDB writes beside its file too.",
  });
}

function accessProblem(path: string, mode: number): string | undefined {
  try {
    accessSync(path, mode);
    return undefined;
  } catch (error) {
    const { code } = error as { code?: string };
    return code === "ENOENT"
      ? "it does not exist"
      : code === "EACCES" || code === "EPERM" || code === "EROFS"
      ? "no permission to write there"
      : messageOf(error);
  }
}

function checkFile({ config: { dbPath }, clock }: CommandContext): Check {
  const name = "file";
  const info = statOf(dbPath);
  if (!info) {
    return {
      name,
      level: "warn",
      message: `there is no ${dbPath} yet`,
      advice:
        "agent-runner create, run or serve makes it, or give another --db-path.",
    };
  }
  const problem = info.isFile
    ? accessProblem(dbPath, constants.R_OK | constants.W_OK)
    : "it is no file";
  const wal = statOf(`${dbPath}.wal`)?.size ?? 0;
  const age = info.mtime
    ? `, written ${ageOf(info.mtime, clock.now())} ago`
    : "";
  return checkOf(name, problem ? "fail" : "ok", {
    message: problem
      ? `${dbPath} can't be used: ${problem}`
      : `${dbPath} has ${formatBytes(info.size)}${age}` +
        (wal > 0 ? `, and ${formatBytes(wal)} in its .wal` : ""),
    advice: "Run as the file's owner, or give another --db-path.",
  });
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined; // The folder's check says why.
  }
}

const LITTLE_BYTES = 1e9;
const TOO_LITTLE_BYTES = 1e8;

function checkDisk({ dbPath }: Config): Check {
  const name = "disk";
  try {
    const { bavail, bsize } = statfsSync(dirname(dbPath));
    const free = bavail * bsize;
    const level = free < TOO_LITTLE_BYTES
      ? "fail"
      : free < LITTLE_BYTES
      ? "warn"
      : "ok";
    return checkOf(name, level, {
      message: `${formatBytes(free)} free`,
      advice: "Free some space: agent-runner prune, or another --db-path.",
    });
  } catch (error) {
    return {
      name,
      level: "warn",
      message: `can't be measured: ${messageOf(error)}`,
    };
  }
}

/** Opens the database as soon as it is free, and says who held it. */
async function checkDatabase(context: CommandContext): Promise<Check[]> {
  const { config, clock } = context;
  if (!statOf(config.dbPath)) return [versionOf(undefined)];
  const startedAt = clock.monotonic();
  let holder: string | undefined;
  try {
    await using reader = await open(context, (busy) => holder = busy.holder);
    const waitedMs = clock.monotonic() - startedAt;
    const { dbPath, leaseMs } = config;
    const served = claimedProvidersOf(config.providers);
    const found = await reader.inspect({ now: clock.now(), leaseMs });
    return [
      versionOf(found.version),
      {
        name: "access",
        level: "ok",
        message: holder
          ? `${holder} shares ${dbPath}: free after ${formatSpan(waitedMs)}`
          : "nobody holds the file",
      },
      checkTables(found),
      ...found.tasks ? checkTasks(found.tasks, { leaseMs, served }) : [],
    ];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [versionOf(undefined), accessFailure(error, config)];
  }
}

async function open(
  { config, clock }: CommandContext,
  onBusy: (error: DatabaseBusyError) => void,
): Promise<DatabaseReader> {
  try {
    return await openReader({ ...config, dbWaitMs: 0 }, clock);
  } catch (error) {
    if (!(error instanceof DatabaseBusyError)) throw error;
    onBusy(error);
  }
  return await openReader(config, clock);
}

function accessFailure(error: UserError, { dbWaitMs }: Config): Check {
  return error instanceof DatabaseBusyError
    ? {
      name: "access",
      level: "warn",
      message: `${error.holder} held the file for all of ${
        formatSpan(dbWaitMs)
      }; the tasks were not looked at`,
      advice: "A runner with --exclusive does that, or another program. " +
        "Other commands fail meanwhile: stop it, or run it without --exclusive.",
    }
    : { name: "access", level: "fail", message: error.message };
}

function versionOf(duckDb: string | undefined): Check {
  const { os, arch } = Deno.build;
  return {
    name: "version",
    level: "ok",
    message: `agent-runner ${manifest.version}, ` +
      (duckDb ? `DuckDB ${duckDb}, ` : "") +
      `Deno ${Deno.version.deno} on ${os} ${arch}`,
  };
}
