/**
 * `agent-runner webhooks test` and `agent-runner webhooks list`
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import { EXIT, UsageError } from "../../base/errors.ts";
import { printable } from "../../base/log.ts";
import type { EndpointStatus } from "../../store/outbox.ts";
import { renderJson } from "../render.ts";
import type { JsonObject } from "../../task/task.ts";
import type { WebhookSettings } from "../../webhooks/config.ts";
import {
  createReceivers,
  shownUrl,
  subscriptionOf,
} from "../../webhooks/webhooks.ts";
import { testMessage } from "../../webhooks/message.ts";
import type { CommandContext } from "../context.ts";

/** Sends a test event to each webhook. Exit code 1 where one does not take it. */
export async function webhooksTest(
  { config, args: [url], flags, clock, terminal }: CommandContext,
): Promise<number> {
  const webhooks = configured(config).filter((it) =>
    url === undefined || it.url === url
  );
  if (webhooks.length === 0) {
    throw new UsageError(
      "Cannot test this webhook: its URL is not in the configuration file. " +
        "Give one that is there, or none to test all.",
    );
  }
  const receivers = await createReceivers(webhooks, Deno.env.get);
  const results = await Promise.all(
    receivers.map(async ({ settings, send }) => {
      const now = clock.now();
      const startedAt = clock.monotonic();
      const sent = await send(testMessage(now), { now });
      const ms = Math.round(clock.monotonic() - startedAt);
      return { ...sent, url: shownUrl(settings), ms };
    }),
  );
  terminal.write(
    flags.json
      ? renderJson(
        results.map(({ url, isDelivered, status = null, ms, error }) => ({
          url,
          ok: isDelivered,
          status,
          ms,
          error: error || null,
        })),
      )
      : results.map(({ url, isDelivered, status, ms, error }) =>
        isDelivered
          ? `ok      ${url}  HTTP ${status} in ${ms} ms\n`
          : `FAILED  ${url}  ${printable(error)} (${ms} ms)\n`
      ).join(""),
  );
  const isOk = results.every(({ isDelivered }) => isDelivered);
  return isOk ? EXIT.ok : EXIT.failed;
}

/** Shows how each webhook does. */
export async function webhooksList(
  { config, flags, terminal, openStore }: CommandContext,
): Promise<number> {
  const webhooks = configured(config);
  const subscriptions = await Promise.all(webhooks.map(subscriptionOf));
  await using store = await openStore();
  const statuses = new Map(
    (await store.outbox.status(subscriptions)).map((it) => [it.endpoint, it]),
  );
  const rows = webhooks.map((settings, index) => ({
    settings,
    status: statuses.get(subscriptions[index]?.endpoint ?? ""),
  }));
  terminal.write(
    flags.json
      ? renderJson(rows.map(({ settings, status }) => toJson(settings, status)))
      : rows.map(({ settings, status }) => toText(settings, status)).join("\n"),
  );
  return EXIT.ok;
}

function configured(
  { webhooks, configPath }: Config,
): readonly WebhookSettings[] {
  if (webhooks) return webhooks;
  throw new UsageError(
    `Cannot find webhooks: ${
      configPath === undefined
        ? "there is no configuration file"
        : `${configPath} has none`
    }. Add "webhooks": [{ "url": …, "secretEnv": …, "on": […] }] to it.`,
  );
}

function toJson(
  settings: WebhookSettings,
  status: EndpointStatus | undefined,
): JsonObject {
  const { on, providers } = settings;
  const timeOf = (time: Date | null = null) => time?.toISOString() ?? null;
  return {
    url: shownUrl(settings),
    on: [...on],
    providers: providers ? [...providers] : null,
    served: status !== undefined,
    pending: status?.pending ?? 0,
    given_up: status?.givenUp ?? 0,
    last_success_at: timeOf(status?.lastSuccessAt),
    last_error_at: timeOf(status?.lastErrorAt),
    last_error: status?.lastError ?? null,
    gone_at: timeOf(status?.goneAt),
  };
}

function toText(
  settings: WebhookSettings,
  status: EndpointStatus | undefined,
): string {
  const { on, providers } = settings;
  const lines = [
    ["on", on.join(", ")],
    ...providers ? [["providers", providers.join(", ")]] : [],
    ...status ? statusLines(status) : [["", "No runner has served it yet."]],
  ];
  return [
    shownUrl(settings),
    ...lines.map(([name = "", value = ""]) =>
      printable(`  ${name.padEnd(13)} ${value}`)
    ),
    "",
  ].join("\n");
}

function statusLines(
  { pending, givenUp, lastSuccessAt, lastErrorAt, lastError, goneAt }:
    EndpointStatus,
): string[][] {
  const timeOf = (time: Date | null) => time?.toISOString() ?? "never";
  return [
    ["pending", String(pending)],
    ["given up", String(givenUp)],
    ["last success", timeOf(lastSuccessAt)],
    [
      "last error",
      `${timeOf(lastErrorAt)}${lastError === null ? "" : `: ${lastError}`}`,
    ],
    ...goneAt
      ? [["gone", `${timeOf(goneAt)}; the next start tries it again`]]
      : [],
  ];
}
