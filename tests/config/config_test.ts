import { assertEquals, assertThrows } from "@std/assert";
import { type FlagValues, loadConfig } from "../../lib/config/config.ts";
import { UsageError } from "../../lib/base/errors.ts";
import {
  type Setting,
  type SettingName,
  SETTINGS,
} from "../../lib/config/settings.ts";
import { parse } from "../../main.ts";

type Variables = Record<string, string>;

function load(variables: Variables = {}, flags: FlagValues = {}) {
  return loadConfig(flags, (name) => variables[name]);
}

function mistakesOf(variables: Variables, flags: FlagValues = {}): string[] {
  const error = assertThrows(() => load(variables, flags), UsageError);
  return error.message.split("\n");
}

Deno.test("loadConfig() gives the documented defaults", () => {
  const { sources, ...values } = load();
  assertEquals(new Set(sources.values()), new Set(["default"]));
  assertEquals(values, {
    configPath: undefined,
    enabled: false,
    database: "handsfree.duckdb",
    dbSchema: "",
    server: "",
    dbWaitMs: 10_000,
    exclusive: false,
    intervalMs: 5_000,
    concurrency: 10,
    retryWaitMs: 60_000,
    defaultProvider: "",
    simulate: "unconfigured",
    completionDelayMs: 500,
    simulateFailure: false,
    attempts: 1,
    timeoutMs: 0,
    notifications: true,
    limits: new Map(),
    runLogLimit: 1_000_000,
    eventRetentionMs: 2_592_000_000,
    leaseMs: 60_000,
    maxAttempts: 3,
    drainMs: 25_000,
    listen: "",
    allowedHosts: "",
    token: "",
    tokenFile: "",
    readOnlyToken: "",
    telemetry: false,
    logLevel: "INFO",
    logFormat: "text",
  });
});

Deno.test("loadConfig() gives a frozen object", () => {
  assertEquals(Object.isFrozen(load()), true);
});

interface Sample {
  readonly env: string;
  readonly envValue: unknown;
  readonly flag: string | boolean;
  readonly flagValue: unknown;
}

/** Neither of the two is a default. */
function sampleOf({ kind, choices = [] }: Setting): Sample {
  switch (kind) {
    case "boolean":
      return { env: "yes", envValue: true, flag: true, flagValue: true };
    case "choice":
      return {
        env: choices.at(-1)?.toLowerCase() ?? "",
        envValue: choices.at(-1),
        flag: choices[0] ?? "",
        flagValue: choices[0],
      };
    case "seconds":
      return { env: "7.25", envValue: 7_250, flag: "8", flagValue: 8_000 };
    case "count":
      return { env: "7", envValue: 7, flag: "8", flagValue: 8 };
    case "text":
      return { env: "/e", envValue: "/e", flag: "/f", flagValue: "/f" };
    case "address":
      return { env: "1", envValue: "1", flag: "[::1]:2", flagValue: "[::1]:2" };
    case "hosts":
      return { env: "a", envValue: "a", flag: "b, c", flagValue: "b, c" };
    case "days":
      return {
        env: "1.5",
        envValue: 129_600_000,
        flag: "2",
        flagValue: 172_800_000,
      };
    case "counts":
      return {
        env: " claude = 2 , http=5,",
        envValue: new Map([["claude", 2], ["http", 5]]),
        flag: "claude=3",
        flagValue: new Map([["claude", 3]]),
      };
  }
}

for (const name of Object.keys(SETTINGS) as SettingName[]) {
  const setting: Setting = SETTINGS[name];
  // Its value is that of the file that was read, as config_file_test.ts has it.
  if (name === "configPath") continue;
  const { env, flag } = setting;
  const sample = sampleOf(setting);
  if (env) {
    Deno.test(`loadConfig() takes ${name} from ${env}`, () => {
      assertEquals(load({ [env]: sample.env })[name], sample.envValue);
    });

    Deno.test(`loadConfig() takes an empty ${env} for not set`, () => {
      assertEquals(load({ [env]: "" })[name], load()[name]);
    });
  }
  if (flag) {
    Deno.test(`loadConfig() takes ${name} from --${flag} before ${env}`, () => {
      const variables = env ? { [env]: sample.env } : {};
      const config = load(variables, { [flag]: sample.flag });
      assertEquals(config[name], sample.flagValue);
    });
  }
}

Deno.test("loadConfig() does not look at a variable that its flag covers", () => {
  const variables = { HANDSFREE_AGENT_INTERVAL: "soon" };
  assertEquals(load(variables, { interval: "2" }).intervalMs, 2_000);
});

Deno.test("loadConfig() takes a flag that was not given for nothing said", () => {
  const variables = { HANDSFREE_AGENT_EXCLUSIVE: "true" };
  assertEquals(load(variables, parse([]).flags).exclusive, true);
});

Deno.test("loadConfig() takes --exclusive=false before the variable", () => {
  const variables = { HANDSFREE_AGENT_EXCLUSIVE: "true" };
  const { flags } = parse(["--exclusive=false"]);
  assertEquals(load(variables, flags).exclusive, false);
});

const BOOLEANS: [string, boolean][] = [
  ["true", true],
  ["TRUE", true],
  ["1", true],
  ["Yes", true],
  [" true\n", true],
  ["false", false],
  ["False", false],
  ["0", false],
  ["no", false],
];

for (const [text, enabled] of BOOLEANS) {
  Deno.test(`loadConfig() reads ${JSON.stringify(text)} as ${enabled}`, () => {
    const variables = { HANDSFREE_AGENT_RUNNER_ENABLED: text };
    assertEquals(load(variables).enabled, enabled);
  });
}

const SECONDS: [string, number][] = [
  ["0", 0],
  ["0.5", 500],
  ["0.05", 50],
  ["2.75", 2_750],
  [" 3 ", 3_000],
  ["1.001", 1_001],
  ["86400", 86_400_000],
  ["90s", 90_000],
  ["1.5h", 5_400_000],
  ["7d", 604_800_000],
];

for (const [text, ms] of SECONDS) {
  Deno.test(`loadConfig() reads "${text}" seconds as ${ms} ms`, () => {
    assertEquals(load({}, { "db-wait": text }).dbWaitMs, ms);
  });
}

const NOT_BOOLEAN = "expected true or false.";
const NOT_SECONDS =
  "expected a number of seconds, 0 or more, or a duration like 90s, 15m, 24h or 7d.";
const NOT_COUNT = "expected a whole number, 1 or more.";
const WRONG: [variable: string, texts: string[], expected: string][] = [
  [
    "HANDSFREE_AGENT_RUNNER_ENABLED",
    ["on", "2", "truee", " ", "constructor", "__proto__"],
    NOT_BOOLEAN,
  ],
  [
    "HANDSFREE_AGENT_DB_WAIT",
    [
      "-1",
      "ten",
      "1e3",
      "0x10",
      "1,5",
      "5y",
      "1h5m",
      "Infinity",
      "NaN",
      "1 2",
      ".",
    ],
    NOT_SECONDS,
  ],
  [
    "HANDSFREE_AGENT_DB_WAIT",
    ["99999999999999", "99999999999w"],
    "expected a number of seconds, 0 to 9007199254740, or a duration like 90s, 15m, 24h or 7d.",
  ],
  [
    "HANDSFREE_AGENT_LISTEN",
    ["99999", "here", "http://localhost:8080"],
    "expected an address like 8080, 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock.",
  ],
  [
    "HANDSFREE_AGENT_ALLOW_HOST",
    ["https://a.example", "a.example, b.example:8080"],
    "expected names without scheme and port, like runner.example.com.",
  ],
  [
    "HANDSFREE_AGENT_CONCURRENCY",
    ["0", "-1", "1.5", "many", "1e3"],
    NOT_COUNT,
  ],
  [
    "HANDSFREE_AGENT_INTERVAL",
    ["0", "0.009"],
    "expected a number of seconds, 0.01 or more, or a duration like 90s, 15m, 24h or 7d.",
  ],
  [
    "HANDSFREE_AGENT_LEASE",
    ["0.4"],
    "expected a number of seconds, 0.5 or more, or a duration like 90s, 15m, 24h or 7d.",
  ],
  [
    "LOG_LEVEL",
    ["WARN", "TRACE", "0"],
    "expected one of DEBUG, INFO, WARNING, ERROR.",
  ],
  [
    "HANDSFREE_AGENT_EVENT_RETENTION",
    ["-1", "a week", "1e3"],
    "expected a number of days, 0 or more, or a duration like 90s, 15m, 24h or 7d.",
  ],
  [
    "HANDSFREE_AGENT_LIMITS",
    ["claude", "claude=", "=2", "claude=0", "claude=-1", "a=1.5", "a=1;b=2"],
    "expected pairs like claude=2,http=5.",
  ],
  ["LOG_FORMAT", ["xml"], "expected one of text, json."],
];

for (const [variable, texts, expected] of WRONG) {
  for (const text of texts) {
    Deno.test(`loadConfig() refuses ${variable}=${text}`, () => {
      assertEquals(mistakesOf({ [variable]: text }), [
        `${variable} is "${text}": ${expected}`,
      ]);
    });
  }
}

Deno.test("loadConfig() names the flag where the flag is wrong", () => {
  const variables = { HANDSFREE_AGENT_CONCURRENCY: "3" };
  assertEquals(mistakesOf(variables, { concurrency: "0" }), [
    `--concurrency is "0": ${NOT_COUNT}`,
  ]);
});

Deno.test("loadConfig() refuses a path that is empty", () => {
  assertEquals(mistakesOf({}, { "db-path": "" }), [
    '--db-path is "": expected a value.',
  ]);
});

Deno.test("loadConfig() reports every mistake at once", () => {
  const variables = {
    HANDSFREE_AGENT_RUNNER_ENABLED: "maybe",
    HANDSFREE_AGENT_DRAIN: "long",
    LOG_FORMAT: "xml",
  };
  const flags = { concurrency: "none", listen: "99999" };
  assertEquals(mistakesOf(variables, flags), [
    `HANDSFREE_AGENT_RUNNER_ENABLED is "maybe": ${NOT_BOOLEAN}`,
    `--concurrency is "none": ${NOT_COUNT}`,
    `HANDSFREE_AGENT_DRAIN is "long": ${NOT_SECONDS}`,
    '--listen is "99999": expected an address like 8080, 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock.',
    'LOG_FORMAT is "xml": expected one of text, json.',
  ]);
});

Deno.test("loadConfig() says what gave each value", () => {
  const variables = { HANDSFREE_AGENT_INTERVAL: "2", LOG_LEVEL: "" };
  const { sources } = load(variables, { concurrency: "4" });
  assertEquals(sources.get("concurrency"), "--concurrency");
  assertEquals(sources.get("intervalMs"), "HANDSFREE_AGENT_INTERVAL");
  assertEquals(sources.get("logLevel"), "default");
});
