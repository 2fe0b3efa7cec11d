/**
 * `agent-runner config check` and `agent-runner config schema`
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import {
  type ProviderReport,
  renderReport,
  reportToJson,
  type WebhookReport,
} from "../config_report.ts";
import { EXIT, messageOf } from "../errors.ts";
import type { Processor } from "../processor.ts";
import { createProcessors } from "../processors/mod.ts";
import { renderJson } from "../render.ts";
import type { AgentTask } from "../task.ts";
import type { CommandContext } from "./context.ts";

/** Prints the JSON Schema of the configuration file. */
export async function configSchema(
  { terminal }: CommandContext,
): Promise<number> {
  const { jsonSchema } = await import("../config_schema.ts");
  terminal.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
  return EXIT.ok;
}

/**
 * Prints what would run for each provider, and tries what can be tried without
 * doing work. Exit code 2 where something is wrong.
 */
export async function configCheck(
  context: CommandContext,
): Promise<number> {
  const { config, flags, terminal } = context;
  const reports = {
    providers: await reportProviders(context),
    webhooks: await reportWebhooks(config),
  };
  const all = [...reports.providers, ...reports.webhooks];
  const isOk = all.every(({ problems }) => problems.length === 0);
  terminal.write(
    flags.json
      ? renderJson(reportToJson(config, reports), 2)
      : renderReport(config, reports),
  );
  return isOk ? EXIT.ok : EXIT.usage;
}

async function reportProviders(
  { config, clock, log }: CommandContext,
): Promise<ProviderReport[]> {
  await using processors = await createProcessors(config, { clock, log });
  const providers = config.providers?.keys() ?? ["*"];
  return await Promise.all([...providers].map(async (provider) => {
    const processor = processors.for(provider);
    return {
      provider,
      processor: config.providers?.get(provider)?.processor ?? "simulate",
      does: processor?.describe?.(EXAMPLE) ?? "",
      problems: processor ? await problemsOf(processor, clock) : [],
    };
  }));
}

async function reportWebhooks(
  { webhooks = [] }: Config,
): Promise<WebhookReport[]> {
  if (webhooks.length === 0) return [];
  const { createReceivers, shownUrl } = await import("../webhooks.ts");
  return await Promise.all(webhooks.map(async (webhook) => {
    const report = { url: shownUrl(webhook), on: webhook.on };
    try {
      await createReceivers([webhook], Deno.env.get);
      return { ...report, problems: [] };
    } catch (error) {
      return { ...report, problems: [messageOf(error)] };
    }
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
  maxAttempts: null,
  timeoutMs: null,
  leaseOwner: null,
  leaseExpiresAt: null,
  cancelRequestedAt: null,
  createdAt: new Date(0),
  updatedAt: new Date(0),
};

const CHECK_TIMEOUT_MS = 10_000;

async function problemsOf(
  processor: Processor,
  clock: Clock,
): Promise<readonly string[]> {
  if (!processor.check) return [];
  const answered = new AbortController();
  try {
    return await Promise.race([
      processor.check(),
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
