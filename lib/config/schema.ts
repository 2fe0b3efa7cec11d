/**
 * The form of the configuration file: what is validated is what `config schema`
 * prints.
 *
 * @module
 */

import { z } from "zod";
import { duration } from "../base/config.ts";
import { isZone, parseHours } from "../base/hours.ts";
import { KEY_FIELDS, parseKey, parseRate, TURNS } from "../task/limits.ts";
import { agentConfig } from "../processors/agent/config.ts";
import { commandConfig } from "../processors/command/config.ts";
import { httpConfig, secretEnv } from "../processors/http/config.ts";
import { moduleConfig } from "../processors/module/config.ts";
import { patchConfig } from "../processors/patch/config.ts";
import { schedulesConfig } from "../planning/config.ts";
import { parseHosts, parseListenAddress } from "./listen_address.ts";
import type { ProviderSettings } from "../processors/processor.ts";
import {
  expectedOf,
  keyOf,
  type Setting,
  type SettingName,
  SETTINGS,
  summaryOf,
  type ValueForm,
} from "./settings.ts";
import { DELIVERED_EVENTS } from "../webhooks/config.ts";

const COUNT: ValueForm = { kind: "count", min: 1 };

const dollars = z.string().regex(
  /^\$(?!0+(\.0+)?$)\d{1,9}(\.\d+)?$/,
  'expected dollars, more than none, as in "$5"',
);
const day = dollars.optional().describe(
  'What all runs of a day may cost, as in "$40"; then the provider is paused ' +
    "until midnight",
);
const tokensPerDay = countSchema(COUNT).optional().describe(
  "The same in tokens, those from caches included",
);
const price = z.number().min(0).describe("Dollars for a million tokens");

/** What every provider may set, whatever its processor is. */
const PROVIDER_FIELDS = {
  timeout: duration().optional().describe(
    "Longest run of a task that sets no --timeout; 0: no limit",
  ),
  attempts: countSchema(COUNT).optional().describe(
    "Tries of a task that fails, where it says nothing of that. Default: 3 of an " +
      "agent, else the setting of that name",
  ),
  concurrency: countSchema(COUNT).optional().describe(
    "Tasks of this provider that a runner has at the same time; of * all others " +
      "together",
  ),
  globalConcurrency: countSchema(COUNT).optional().describe(
    "The same of all runners on the database; give each of them the same number",
  ),
  concurrencyKey: z.string().refine(parseKey, {
    error: `expected a text with ${
      KEY_FIELDS.map((it) => `{${it}}`).join(", ")
    }, and no other {…}`,
  }).optional().describe(
    'What tasks have in common that do not run together, as in "{repository}"; ' +
      "of all runners",
  ),
  keyConcurrency: countSchema(COUNT).optional().describe(
    "Tasks of which concurrencyKey comes to the same, at a time. Default: 1",
  ),
  rate: z.string().refine(parseRate, {
    error: 'expected starts in a span, as in "20/1m": 1 to 10000, up to 7d',
  }).optional().describe(
    'Starts in any such span, of all runners, as in "20/1m" or "100/1d"',
  ),
  ratePer: z.enum(["provider", "key"]).optional().describe(
    "What the rate is of: the provider, or each concurrencyKey. Default: provider",
  ),
  fairBy: z.enum(TURNS).optional().describe(
    "Whose tasks take turns, among those of the same priority",
  ),
  hours: z.string().refine((text) => parseHours(text), {
    error: 'expected a time of the day, as in "22:00-07:00", ' +
      '"mon-fri 18:00-24:00" or "not 09:00-17:00"',
  }).optional().describe(
    'When its tasks may begin, as in "22:00-07:00" or "not mon-fri 09:00-17:00"',
  ),
  zone: z.string().refine(isZone, {
    error: "expected a time zone, as in Europe/Berlin",
  }).optional().describe(
    "The time zone of hours. Default: the machine's",
  ),
  fallback: z.string().regex(/\S/, "expected a provider's name").optional()
    .describe(
      "The provider that gets its waiting tasks while its limit or its budget is " +
        "reached. Default: they wait",
    ),
  budget: z.strictObject({
    task: dollars.optional().describe(
      'What the runs of a task may cost together, as in "$5"',
    ),
    day,
    tokensPerDay,
  }).optional().describe("What its runs may use"),
  prices: z.record(
    z.string().min(1),
    z.strictObject({ input: price, output: price, cached: price.optional() }),
  ).optional().describe(
    "What its models cost, where its agent tells tokens only; * is for those " +
      "that are not named",
  ),
  backoff: z.strictObject({
    base: duration().default(1).describe(
      "Time before the second try; doubles with each",
    ),
    max: duration().default(300).describe("The most time"),
  }).refine(({ base, max }) => base <= max, {
    path: ["max"],
    error: "expected no less than base (default 1)",
  }).optional().describe("Delays between the tries of a task that fails"),
};

/** What means nothing without another field. */
const NEEDED = [
  ["keyConcurrency", "concurrencyKey"],
  ["ratePer", "concurrencyKey"],
  ["zone", "hours"],
] as const;

const webhook = z.strictObject({
  url: z.string().regex(
    /^https?:\/\/[^\s\/?#@]+([\/?][^\s#]*)?$/,
    "expected a URL like https://example.com/hook, without a name or password",
  ).refine((url) => URL.canParse(url), "expected a URL").describe(
    "Where events are sent with POST; private addresses are allowed",
  ),
  secretEnv: secretEnv.describe(
    "The environment variable with the secret, whsec_…, that signs",
  ),
  on: z.array(z.enum(DELIVERED_EVENTS)).min(1).describe(
    "What is sent: changes of a task, and that the last one of a batch has ended",
  ),
  providers: z.array(z.string().regex(/\S/, "expected a provider's name"))
    .min(1).optional().describe("Only events of tasks of these providers"),
  timeout: duration({ min: 0.1, max: 300 }).default(10)
    .describe(
      "Time until a receiver that does not answer is tried again later",
    ),
});

/** What the entry of a webhook says, as validated. */
export type WebhookOptions = z.output<typeof webhook>;

/** A provider, by its processor. A kind more is a line more. */
const provider = z.discriminatedUnion("processor", [
  z.strictObject(fieldsOf("simulate")),
  agentConfig.safeExtend(fieldsOf("agent")),
  commandConfig.safeExtend(fieldsOf("command")),
  z.strictObject({ ...fieldsOf("patch"), ...patchConfig.shape }),
  z.strictObject({ ...fieldsOf("http"), ...httpConfig.shape }),
  z.strictObject({ ...fieldsOf("module"), ...moduleConfig.shape }),
]);

function fieldsOf<Name extends string>(processor: Name) {
  return {
    processor: z.literal(processor).describe("What does the work"),
    ...PROVIDER_FIELDS,
  };
}

/** What a provider's entry says, as validated. Durations are in seconds. */
export type ProviderOptions = z.output<typeof provider>;

/** How the tasks of one provider are run, and by what. */
export interface ProviderConfig extends ProviderSettings {
  readonly processor: ProviderOptions["processor"];
  /** What its processor is made from. */
  readonly options: ProviderOptions;
}

/** Settings that the file may hold, by what they are called there. */
export const FILE_SETTINGS: ReadonlyMap<string, SettingName> = new Map(
  (Object.keys(SETTINGS) as SettingName[])
    .filter((name) => name !== "configPath")
    .flatMap((name) => {
      const setting: Setting = SETTINGS[name];
      // The last one that is there counts.
      return [setting.earlier?.flag, keyOf(setting)]
        .map((key): [string | undefined, SettingName] => [key, name]);
    })
    .filter((it): it is [string, SettingName] => it[0] !== undefined),
);

/** The whole file. */
export const configFileSchema = z.strictObject({
  $schema: z.string().optional().describe(
    "Where editors find what `agent-runner config schema` prints",
  ),
  settings: z.strictObject(
    Object.fromEntries(
      [...FILE_SETTINGS].map(([key, name]) => [
        key,
        settingSchema(SETTINGS[name]).describe(summaryOf(SETTINGS[name]))
          .optional(),
      ]),
    ),
  ).optional().describe("Settings; flags and environment win over them"),
  providers: z.record(
    z.string().regex(/\S/, "expected the name of a provider, or *"),
    provider,
  ).refine((providers) => Object.keys(providers).length > 0, {
    error: "expected a provider at least. To simulate all: " +
      '"*": { "processor": "simulate" }',
  }).superRefine((providers, context) => {
    for (const [name, { fallback, ...rest }] of Object.entries(providers)) {
      for (const [field, needed] of NEEDED) {
        const isAlone = field === "ratePer"
          ? rest.ratePer === "key" && rest.concurrencyKey === undefined
          : rest[field] !== undefined && rest[needed] === undefined;
        if (!isAlone) continue;
        context.addIssue({
          code: "custom",
          path: [name, field],
          message: `expected ${needed} beside it`,
        });
      }
      const isThere = fallback === undefined || "*" in providers ||
        fallback in providers;
      if (isThere && fallback !== name) continue;
      context.addIssue({
        code: "custom",
        path: [name, "fallback"],
        message: "expected another provider of this file",
      });
    }
  }).optional().meta({
    description:
      "What runs the tasks of each provider; * stands for all others. Tasks " +
      "of providers that are not named are left alone",
    minProperties: 1,
  }),
  budget: z.strictObject({ day, tokensPerDay }).optional().describe(
    "What the runs of all providers may use together",
  ),
  schedules: schedulesConfig.optional().describe(
    "What makes tasks at its times; those that are removed here stop",
  ),
  webhooks: z.array(webhook).superRefine((webhooks, context) => {
    for (const [index, { url }] of webhooks.entries()) {
      if (webhooks.findIndex((it) => it.url === url) === index) continue;
      context.addIssue({
        code: "custom",
        path: [index, "url"],
        message:
          "expected each URL once. Put what is sent there into one entry",
      });
    }
  }).optional().describe(
    "Where to tell of what happens to tasks, in the form of Standard Webhooks",
  ),
}).meta({
  title: "agent-runner",
  description: "The configuration file of agent-runner",
  // Of VS Code's: else its comments are mistakes to it.
  allowComments: true,
  allowTrailingCommas: true,
});

function settingSchema(setting: Setting): z.ZodType {
  const error = `expected ${expectedOf(setting)}`;
  switch (setting.kind) {
    case "text":
      return z.string({ error }).min(1, { error });
    case "address":
      return z.string({ error }).refine(parseListenAddress, { error });
    case "hosts":
      return z.string({ error }).min(1, { error }).refine(parseHosts, {
        error,
      });
    case "boolean":
      return z.boolean({ error });
    case "choice":
      return z.enum([...setting.choices ?? []]);
    case "counts":
      return z.record(
        z.string().regex(/^[^\s=,]+$/, "expected a provider's name"),
        countSchema(COUNT),
        { error: 'expected an object like { "claude": 2 }' },
      );
    case "count":
      return countSchema(setting);
    default:
      return duration({ ...setting, unit: setting.kind });
  }
}

function countSchema(form: ValueForm): z.ZodNumber {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = form;
  const error = ({ input }: { readonly input?: unknown }) =>
    `expected ${expectedOf(form, input)}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** The JSON Schema of the file (draft 2020-12). */
export function jsonSchema(): object {
  return z.toJSONSchema(configFileSchema, { io: "input" });
}
