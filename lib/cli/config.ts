/**
 * `agent-runner config check` and `agent-runner config schema`
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { EXIT, messageOf } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import { simulationWarning, warningFor } from "../config/served.ts";
import { serviceSettings } from "../config/service.ts";
import type { CheckOptions, Processor } from "../processors/processor.ts";
import type { AgentTask } from "../task/task.ts";
import { type Command, type CommandContext, JSON_FLAG } from "./command.ts";
import {
  problemsIn,
  type ProviderReport,
  renderReport,
  reportToJson,
  type WebhookReport,
} from "./config_report.ts";
import { renderJson } from "./render.ts";

/** Prints the JSON Schema of the configuration file. */
export const configSchema: Command = {
  name: "config schema",
  family: "Look at the configuration file, and describe it: check, schema",
  summary: "Print the JSON Schema of the configuration file, for editors",
  examples: ["config schema"],
  ignoresConfigFile: true,
  run: async ({ terminal }) => {
    const { jsonSchema } = await import("../config/schema.ts");
    terminal.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
    return EXIT.ok;
  },
};

/**
 * Prints what would run for each provider, and tries what can be tried without
 * doing work. Exit code 2 where something is wrong.
 */
export const configCheck: Command = {
  name: "config check",
  summary: "Say what would run for each provider, and what is wrong with it",
  flags: [JSON_FLAG],
  usesProviders: true,
  examples: ["config check", "config check --config other.json"],
  run: async (context) => {
    const { config, flags, terminal } = context;
    const reports = {
      settings: [
        ...config.listen === ""
          ? []
          : await problemOf(() => serviceSettings(config)),
        ...await problemOf(() => simulationWarning(config)),
        ...[config.defaultProvider].flatMap((name) =>
          name === "" ? [] : warningFor(name, config) ?? []
        ),
        ...[...config.schedules ?? []].flatMap(([name, { task }]) => {
          const warning = task.provider && warningFor(task.provider, config);
          return warning ? [`Schedule ${name}: ${warning}`] : [];
        }),
      ],
      providers: await reportProviders(context),
      webhooks: await reportWebhooks(config),
    };
    terminal.write(
      flags.json
        ? renderJson(reportToJson(config, reports), 2)
        : renderReport(config, reports),
    );
    return problemsIn(reports).length === 0 ? EXIT.ok : EXIT.usage;
  },
};

async function reportWebhooks(
  { webhooks = [] }: Config,
): Promise<WebhookReport[]> {
  if (webhooks.length === 0) return [];
  const { createReceivers, shownUrl } = await import(
    "../webhooks/webhooks.ts"
  );
  return await Promise.all(webhooks.map(async (webhook) => {
    return {
      url: shownUrl(webhook),
      on: webhook.on,
      problems: await problemOf(() => createReceivers([webhook], Deno.env.get)),
    };
  }));
}

/** What keeps `run` from starting, where something does. */
async function problemOf(prepare: () => unknown): Promise<string[]> {
  try {
    await prepare();
    return [];
  } catch (error) {
    return [messageOf(error)];
  }
}

/**
 * Tries what can be tried of each configured provider without doing work.
 *
 * @throws {UserError} where a processor can't be made at all.
 */
export async function reportProviders(
  { config, clock, log }: Pick<CommandContext, "config" | "clock" | "log">,
): Promise<ProviderReport[]> {
  const { createProcessors } = await import("../processors/open.ts");
  await using processors = await createProcessors(config, { clock, log });
  const providers = config.providers?.keys() ?? ["*"];
  return await Promise.all([...providers].map(async (provider) => {
    const processor = processors.for(provider);
    const problems = processor ? await problemsOf(processor, clock) : [];
    return {
      provider,
      processor: config.providers?.get(provider)?.processor ?? "simulate",
      does: processor?.describe?.(EXAMPLE) ?? "",
      version: problems.length === 0 ? await processor?.version?.() : undefined,
      problems,
      warnings: processor && problems.length === 0
        ? await warningsOf(processor, clock)
        : [],
    };
  }));
}

/** A task for `describe()` whose texts say what they stand for. */
const EXAMPLE: AgentTask = {
  id: "00000000-0000-0000-0000-000000000000",
  userId: "00000000-0000-0000-0000-000000000000",
  provider: "example",
  targetType: null,
  targetRef: null,
  instruction: "{instruction}",
  state: "running",
  traceText: null,
  priority: 0,
  runAt: null,
  attempt: 1,
  questions: 0,
  maxAttempts: null,
  timeoutMs: null,
  batch: null,
  key: null,
  tags: [],
  ifFailed: null,
  isBlocked: false,
  workspace: null,
  touches: [],
  needsApproval: false,
  leaseOwner: null,
  leaseExpiresAt: null,
  cancelRequestedAt: null,
  createdAt: new Date(0),
  updatedAt: new Date(0),
};

const CHECK_TIMEOUT_MS = 10_000;

/** What is wrong with a processor, a sentence each. */
export async function problemsOf(
  processor: Processor,
  clock: Clock,
  options: CheckOptions = {},
): Promise<readonly string[]> {
  return await answerOf(() => processor.check?.(options), clock);
}

/** What keeps some of its tasks waiting, a sentence each. */
export async function warningsOf(
  processor: Processor,
  clock: Clock,
): Promise<readonly string[]> {
  return await answerOf(() => processor.warnings?.(), clock);
}

async function answerOf(
  ask: () => Promise<readonly string[]> | undefined,
  clock: Clock,
): Promise<readonly string[]> {
  const answered = new AbortController();
  try {
    return await Promise.race([
      ask() ?? [],
      clock.sleep(CHECK_TIMEOUT_MS, answered.signal).then(() => [
        `No answer within ${CHECK_TIMEOUT_MS / 1_000} s.`,
      ]),
    ]);
  } catch (error) {
    return [messageOf(error)];
  } finally {
    answered.abort();
  }
}
