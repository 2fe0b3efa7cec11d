/**
 * `agent-runner doctor`
 *
 * @module
 */

import manifest from "../../deno.json" with { type: "json" };
import { EXIT, UserError } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import { readToken, tokenFileProblem } from "../config/service.ts";
import { simulationWarning } from "../config/served.ts";
import { claimedProvidersOf } from "../runner/providers.ts";
import type { ProgramVersion } from "../processors/processor.ts";
import { type Check, OTHERS } from "../store/contract.ts";
import { type Command, type CommandContext, JSON_FLAG } from "./command.ts";
import {
  checkOf,
  checksToJson,
  checkTasks,
  isHealthy,
  renderChecks,
} from "./diagnosis.ts";
import { reportProviders } from "./config.ts";
import { versionText } from "./config_report.ts";
import { renderJson } from "./render.ts";

/** Looks at everything that agent-runner needs, and changes nothing. Exit code 1 where something does not work. */
export const doctor: Command = {
  name: "doctor",
  summary: "Look for what is wrong, and say what to do",
  flags: [JSON_FLAG],
  settings: ["leaseMs", "tokenFile"],
  usesProviders: true,
  examples: ["doctor"],
  run: async (context) => {
    const { config, clock, flags, terminal } = context;
    const { leaseMs } = config;
    const { openDiagnostics } = await import("../store/open.ts");
    const diagnostics = await openDiagnostics(config, clock);
    const { checks: placeChecks, tasks, engine } = await diagnostics.diagnose({
      leaseMs,
    });
    const served = claimedProvidersOf(config.providers);
    const checks = [
      checkSettings(config),
      checkEnabled(config),
      await checkProviders(context),
      ...await checkToken(config),
      versionOf(engine),
      ...placeChecks,
      ...tasks ? checkTasks(tasks, { leaseMs, served }) : [],
    ];
    terminal.write(
      flags.json
        ? renderJson(checksToJson(checks), 2)
        : renderChecks(checks, terminal.screen),
    );
    return isHealthy(checks) ? EXIT.ok : EXIT.failed;
  },
};

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

/** Where there is one. */
async function checkToken(config: Config): Promise<Check[]> {
  const name = "token";
  try {
    if (await readToken(config) === "") return [];
    const problem = tokenFileProblem(config);
    return [{
      name,
      level: problem ? "warn" : "ok",
      message: problem ?? "callers of the HTTP API must know it",
    }];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [{ name, level: "fail", message: error.message }];
  }
}

async function checkProviders(context: CommandContext): Promise<Check> {
  const name = "providers";
  const { config } = context;
  const { providers, configPath } = config;
  try {
    const warning = simulationWarning(config);
    if (warning) return { name, level: "ok", message: warning };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { name, level: "fail", message: error.message };
  }
  const { wrong, warnings, versions } = await lookAtProviders(context);
  const names = [...providers ?? []].map(([name, { processor }]) => {
    const what = [processor, ...versions.get(name) ?? []].join(", ");
    return `${nameOf(name)} (${what})`;
  });
  const level = wrong.length > 0 ? "fail" : warnings.length > 0 ? "warn" : "ok";
  return checkOf(name, level, {
    message: [...wrong, ...warnings].join(" ") ||
      `${names.join(", ")} by ${configPath}`,
    advice: "agent-runner config check says what would run for each.",
  });
}

interface ProviderFindings {
  /** What is wrong, a sentence each. */
  readonly wrong: readonly string[];
  /** What keeps some tasks waiting, or is hardly meant. */
  readonly warnings: readonly string[];
  /** Of what providers run, or why that is not known. */
  readonly versions: ReadonlyMap<string, readonly string[]>;
}

async function lookAtProviders(
  context: CommandContext,
): Promise<ProviderFindings> {
  try {
    const reports = await reportProviders(context);
    return {
      wrong: reports.flatMap(({ provider, problems }) =>
        problems.map((problem) => `${nameOf(provider)}: ${problem}`)
      ),
      warnings: reports.flatMap(({ provider, warnings }) =>
        warnings.map((warning) => `${nameOf(provider)}: ${warning}`)
      ),
      versions: new Map(
        reports.map(({ provider, version }) => [
          provider,
          version ? [wordsOf(version)] : [],
        ]),
      ),
    };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { wrong: [error.message], warnings: [], versions: new Map() };
  }
}

function wordsOf(version: ProgramVersion): string {
  const text = versionText(version);
  return "version" in version ? text : `version ${text}`;
}

function nameOf(provider: string): string {
  return provider === OTHERS ? "all others" : provider;
}

function versionOf(engine: string | undefined): Check {
  const { os, arch } = Deno.build;
  return {
    name: "version",
    level: "ok",
    message: `agent-runner ${manifest.version}, ` +
      (engine ? `${engine}, ` : "") +
      `Deno ${Deno.version.deno} on ${os} ${arch}`,
  };
}
