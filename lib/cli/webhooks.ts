/**
 * `agent-runner webhooks test` and `agent-runner webhooks list`
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import { printable } from "../base/log.ts";
import type { Config } from "../config/config.ts";
import type { EndpointStatus } from "../store/contract.ts";
import { timeToJson } from "../task/json.ts";
import type { JsonObject } from "../task/task.ts";
import type { WebhookSettings } from "../webhooks/config.ts";
import { type Command, JSON_FLAG } from "./command.ts";
import { factLines, renderJson } from "./render.ts";

/** Sends a test event to each webhook. Exit code 1 where one does not take it. */
export const webhooksTest: Command = {
  name: "webhooks test",
  family: "Try webhooks, and see what waits for them: test, list",
  args: "[URL]",
  maxArgs: 1,
  summary: "Send a test event to each webhook; exit code 1 where one fails",
  flags: [JSON_FLAG],
  usesNetwork: true,
  examples: ["webhooks test"],
  run: async ({ config, args: [url], flags, clock, terminal }) => {
    const webhooks = configured(config).filter((it) =>
      url === undefined || it.url === url
    );
    if (webhooks.length === 0) {
      throw new UsageError(
        "Cannot test this webhook: its URL is not in the configuration file. " +
          "Give one that is there, or none to test all.",
      );
    }
    const { createReceivers, shownUrl } = await import(
      "../webhooks/webhooks.ts"
    );
    const { testMessage } = await import("../webhooks/message.ts");
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
  },
};

/** Shows how each webhook does. */
export const webhooksList: Command = {
  name: "webhooks list",
  summary: "Show webhooks: what waits, the last success, the last error",
  flags: [JSON_FLAG],
  onlyReads: true,
  examples: ["webhooks list"],
  run: async ({ config, flags, terminal, openStore }) => {
    const webhooks = configured(config);
    const { shownUrl, subscriptionOf } = await import(
      "../webhooks/webhooks.ts"
    );
    const subscriptions = await Promise.all(webhooks.map(subscriptionOf));
    await using store = await openStore();
    const statuses = new Map(
      (await store.outbox.status(subscriptions)).map((it) => [it.endpoint, it]),
    );
    const rows = webhooks.map((settings, index) => ({
      url: shownUrl(settings),
      settings,
      status: statuses.get(subscriptions[index]?.endpoint ?? ""),
    }));
    terminal.write(
      flags.json ? renderJson(rows.map(toJson)) : rows.map(toText).join("\n"),
    );
    return EXIT.ok;
  },
};

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

/** A webhook, and how it does where a runner has served it. */
interface Row {
  /** Without what may be secret. */
  readonly url: string;
  readonly settings: WebhookSettings;
  readonly status: EndpointStatus | undefined;
}

function toJson({ url, settings, status }: Row): JsonObject {
  const { on, providers } = settings;
  return {
    url,
    on: [...on],
    providers: providers ? [...providers] : null,
    served: status !== undefined,
    pending: status?.pending ?? 0,
    given_up: status?.givenUp ?? 0,
    last_success_at: timeToJson(status?.lastSuccessAt ?? null),
    last_error_at: timeToJson(status?.lastErrorAt ?? null),
    last_error: status?.lastError ?? null,
    gone_at: timeToJson(status?.goneAt ?? null),
  };
}

function toText({ url, settings, status }: Row): string {
  const { on, providers } = settings;
  const lines = [
    ["on", on.join(", ")],
    ...providers ? [["providers", providers.join(", ")]] : [],
    ...status ? statusLines(status) : [["", "No runner has served it yet."]],
  ];
  return [url, ...factLines(lines).map(printable), ""].join("\n");
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
