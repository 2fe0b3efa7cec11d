/**
 * `agent-runner config check` and `agent-runner config schema`
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import {
  renderReport,
  reportToJson,
  type WebhookReport,
} from "../config_report.ts";
import { EXIT, messageOf } from "../../base/errors.ts";
import { renderJson } from "../render.ts";
import type { CommandContext } from "../context.ts";
import { reportProviders } from "../provider_reports.ts";

/** Prints the JSON Schema of the configuration file. */
export async function configSchema(
  { terminal }: CommandContext,
): Promise<number> {
  const { jsonSchema } = await import("../../config/schema.ts");
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

async function reportWebhooks(
  { webhooks = [] }: Config,
): Promise<WebhookReport[]> {
  if (webhooks.length === 0) return [];
  const { createReceivers, shownUrl } = await import(
    "../../webhooks/webhooks.ts"
  );
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
