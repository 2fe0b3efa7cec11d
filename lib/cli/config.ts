/**
 * `agent-runner config check` and `agent-runner config schema`
 *
 * @module
 */

import { EXIT, messageOf } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import { type Command, JSON_FLAG } from "./command.ts";
import {
  renderReport,
  reportToJson,
  type WebhookReport,
} from "./config_report.ts";
import { reportProviders } from "./provider_reports.ts";
import { renderJson } from "./render.ts";

/** Prints the JSON Schema of the configuration file. */
export const configSchema: Command = {
  name: "config schema",
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
  examples: ["config check", "config check --config other.json"],
  run: async (context) => {
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
    const report = { url: shownUrl(webhook), on: webhook.on };
    try {
      await createReceivers([webhook], Deno.env.get);
      return { ...report, problems: [] };
    } catch (error) {
      return { ...report, problems: [messageOf(error)] };
    }
  }));
}
