import {
  assertEquals,
  assertObjectMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  type Config,
  findConfigFile,
  loadConfig,
} from "../../lib/config/config.ts";
import { parseConfigFile, readConfigFile } from "../../lib/config/file.ts";
import { FILE_SETTINGS } from "../../lib/config/schema.ts";
import { UsageError } from "../../lib/base/errors.ts";
import { PLACEHOLDERS } from "../../lib/processors/command/config.ts";
import { type Setting, SETTINGS } from "../../lib/config/settings.ts";
import type { RunnerSettings } from "../../lib/runner.ts";

function mistakesOf(text: string): readonly string[] {
  return parseConfigFile("a.json", text).mistakes
    .map((it) => it.replace(/^a\.json:/, ""));
}

function load(text: string, path = "a.json"): Config {
  const file = parseConfigFile(path, text);
  assertEquals(file.mistakes, []);
  return loadConfig({}, () => undefined, file);
}

Deno.test("every duration in the file may have a unit", () => {
  const config = load(`{
    "settings": { "drain": "1h", "event-retention": "36h" },
    "providers": {
      "a": {
        "processor": "command", "command": ["a"],
        "timeout": "90s", "backoff": { "base": "2m", "max": "1h" },
        "killGrace": "1m", "answerWithin": "7d"
      },
      "b": {
        "processor": "http", "url": "https://b.example",
        "requestTimeout": "1m", "poll": { "interval": "1m", "maxInterval": "1h" }
      },
      "c": { "processor": "module", "module": "c.ts", "startTimeout": "1m" }
    },
    "webhooks": [{
      "url": "https://d.example", "secretEnv": "S", "on": ["failed"],
      "timeout": "1m"
    }]
  }`);
  const { timeoutMs, backoff } = config.providers!.get("a")!;
  assertEquals([config.drainMs, config.eventRetentionMs], [
    3_600_000,
    129_600_000,
  ]);
  assertEquals([timeoutMs, backoff], [90_000, {
    baseMs: 120_000,
    maxMs: 3_600_000,
  }]);
  assertEquals(config.webhooks?.[0]?.timeoutMs, 60_000);
  assertObjectMatch(config.providers!.get("a")!.options, {
    killGrace: 60,
    answerWithin: 604_800,
  });
  assertObjectMatch(config.providers!.get("b")!.options, {
    requestTimeout: 60,
    poll: { interval: 60, maxInterval: 3_600 },
  });
  assertObjectMatch(config.providers!.get("c")!.options, { startTimeout: 60 });
});

// Texts that are no JSON

const NOT_JSON: [text: string, mistake: string][] = [
  ["", "1:1: This is not JSON: it is empty."],
  [" \n", "2:1: This is not JSON: it is empty."],
  [
    "// only this",
    "1:13: This is not JSON: it ends too soon: expected a value.",
  ],
  [
    '{\n  "settings": {',
    "2:16: This is not JSON: it ends too soon: expected }.",
  ],
  ['{ "a" 1 }', "1:7: This is not JSON: expected a colon."],
  ['{\n "a": 1\n "b": 2 }', "3:2: This is not JSON: expected a comma."],
  ['{ "a": [1 }', "1:11: This is not JSON: expected a comma."],
  ['{ "a": 1,, }', "1:10: This is not JSON: expected a name in double quotes."],
  ["{} {}", "1:4: This is not JSON: expected nothing more."],
  [
    "{ a: 1 }",
    "1:3: This is not JSON: a is neither a value nor a text in quotes.",
  ],
  [
    "{ 'a': 1 }",
    "1:3: This is not JSON: 'a' is neither a value nor a text in quotes.",
  ],
  [
    '{ "a": tru }',
    "1:8: This is not JSON: tru is neither a value nor a text in quotes.",
  ],
  [
    '{ "a": "C:\\x" }',
    "1:8: This is not JSON: a backslash stands before a wrong character.",
  ],
  ['{ "a": "x\n" }', "1:8: This is not JSON: a text does not end in its line."],
  ["{ /* x }", "1:3: This is not JSON: a comment does not end."],
  [
    '{ "a": "\\u12" }',
    "1:8: This is not JSON: expected four hexadecimal digits after \\u.",
  ],
  [
    `{ ${"x".repeat(500)}: 1 }`,
    `1:3: This is not JSON: ${
      "x".repeat(60)
    }… is neither a value nor a text in quotes.`,
  ],
  ["[".repeat(300_000), "1:1: This is not JSON: it is nested too deeply."],
  [
    `${'{"a":'.repeat(2_000)}1${"}".repeat(2_000)}`,
    "1:1: This is not JSON: it is nested too deeply.",
  ],
];

for (const [text, mistake] of NOT_JSON) {
  Deno.test(`parseConfigFile() refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assertEquals(mistakesOf(text), [mistake]);
  });
}

// JSON that is no configuration

const PROCESSORS =
  "expected one of simulate, agent, command, patch, http, module";
const FIELDS =
  "processor, timeout, attempts, concurrency, globalConcurrency, " +
  "concurrencyKey, keyConcurrency, rate, ratePer, fairBy, hours, zone, " +
  "fallback, budget, prices, backoff";
const WRONG: [text: string, ...mistakes: string[]][] = [
  ["null", "1:1: the file is null: expected an object."],
  ["[]", "1:1: the file is an empty list: expected an object."],
  ["[{}]", "1:1: the file is a list: expected an object."],
  [
    '{ "provider": {} }',
    '1:3: provider is unknown. Did you mean "providers"? ' +
    "There are $schema, settings, providers, budget, schedules, webhooks.",
  ],
  ['{ "providers": [1] }', "1:16: providers is a list: expected an object."],
  [
    '{ "providers": {} }',
    "1:16: providers is an empty object: expected a provider at least. " +
    'To simulate all: "*": { "processor": "simulate" }.',
  ],
  [
    '{ "providers": { "": { "processor": "simulate" } } }',
    '1:18: providers[""] has a wrong name: expected the name of a provider, or *.',
  ],
  [
    '{ "providers": { "__proto__": { "processor": "simulate" } } }',
    "1:18: providers.__proto__ can't be used as a name.",
    "1:16: providers is an object: expected a provider at least. " +
    'To simulate all: "*": { "processor": "simulate" }.',
  ],
  [
    '{ "providers": { "a": "simulate" } }',
    '1:23: providers.a is "simulate": expected an object.',
  ],
  [
    '{ "providers": { "a": {} } }',
    `1:23: providers.a.processor is missing: ${PROCESSORS}.`,
  ],
  [
    '{ "providers": { "a": { "processor": "simulat" } } }',
    `1:38: providers.a.processor is "simulat": ${PROCESSORS}. ` +
    'Did you mean "simulate"?',
  ],
  [
    '{ "providers": { "a": { "processor": 3 } } }',
    `1:38: providers.a.processor is 3: ${PROCESSORS}.`,
  ],
  [
    '{ "providers": { "my own": { "processor": "simulate", "tiemout": 3 } } }',
    '1:55: providers["my own"].tiemout is unknown. Did you mean "timeout"? ' +
    `There are ${FIELDS}.`,
  ],
  ...([
    [
      "concurrencyKey",
      "{repo}",
      "expected a text with {repository}, {target}, {user}, {batch}, {key}, " +
      "and no other {…}",
    ],
    [
      "rate",
      "20/8d",
      'expected starts in a span, as in "20/1m": 1 to 10000, up to 7d',
    ],
    [
      "hours",
      "9-17",
      'expected a time of the day, as in "22:00-07:00", ' +
      '"mon-fri 18:00-24:00" or "not 09:00-17:00"',
    ],
  ].map(([field, value, expected]): [string, string] => [
    `{ "providers": { "a": { "processor": "simulate",\n"${field}": "${value}" } } }`,
    `2:${field!.length + 5}: providers.a.${field} is "${value}": ${expected}.`,
  ])),
  [
    '{ "providers": { "a": { "processor": "simulate", "hours": "01:00-02:00",\n' +
    '"zone": "Mars/Olympus" } } }',
    '2:9: providers.a.zone is "Mars/Olympus": ' +
    "expected a time zone, as in Europe/Berlin.",
  ],
  ...[
    ["keyConcurrency", "2", "concurrencyKey"],
    ["zone", '"UTC"', "hours"],
    ["ratePer", '"key"', "concurrencyKey"],
  ].map(([field, value, needed]): [string, string] => [
    `{ "providers": { "a": { "processor": "simulate",\n"${field}": ${value} } } }`,
    `2:${
      field!.length + 5
    }: providers.a.${field} is ${value}: expected ${needed} beside it.`,
  ]),
  ...[-1, '"soon"', "null", "true", "1e400", "9e15"].map((
    value,
  ): [string, string] => [
    `{ "providers": { "a": { "processor": "simulate", "timeout": ${value} } } }`,
    `1:61: providers.a.timeout is ${
      value === "1e400" ? "Infinity" : value === "9e15" ? 9e15 : value
    }: expected a number of seconds, 0 ${
      value === "9e15" ? "to 9007199254740" : "or more"
    }, or a duration like 90s, 15m, 24h or 7d.`,
  ]),
  ...["attempts", "concurrency"].flatMap((name) =>
    [0, -1, 1.5, '"2"', "1e300"].map((value): [string, string] => [
      `{ "providers": { "a": { "processor": "simulate",\n"${name}": ${value} } } }`,
      `2:${name.length + 5}: providers.a.${name} is ${
        value === "1e300" ? 1e300 : value
      }: expected a whole number, 1 ${
        value === "1e300" ? "to 9007199254740991" : "or more"
      }.`,
    ])
  ),
  [
    '{ "providers": { "a": { "processor": "simulate", "backoff": 5 } } }',
    "1:61: providers.a.backoff is 5: expected an object.",
  ],
  [
    '{ "providers": { "a": { "processor": "simulate",\n"backoff": ' +
    '{ "base": "x", "mx": 1 } } } }',
    '2:22: providers.a.backoff.base is "x": expected a number of seconds, 0 or more, or a duration like 90s, 15m, 24h or 7d.',
    '2:27: providers.a.backoff.mx is unknown. Did you mean "max"? There are base, max.',
  ],
  [
    '{ "providers": { "a": { "processor": "simulate",\n"backoff": ' +
    '{ "base": 9, "max": 8 } } } }',
    "2:32: providers.a.backoff.max is 8: expected no less than base (default 1).",
  ],
  [
    '{ "providers": { "a": { "processor": "command" } } }',
    "1:23: providers.a.command is missing: expected either command or shell.",
  ],
  [
    '{ "providers": { "a": { "processor": "command",\n"command": "ls" } } }',
    '2:12: providers.a.command is "ls": expected a list.',
  ],
  [
    '{ "providers": { "a": { "processor": "command",\n' +
    '"command": ["ls", 3, "{instructon}"] } } }',
    "2:19: providers.a.command[1] is 3: expected a text.",
    '2:22: providers.a.command[2] is "{instructon}": ' +
    `expected one of ${
      Object.keys(PLACEHOLDERS).map((it) => `{${it}}`).join(", ")
    } in place of {instructon}. {{instructon}} is the text {instructon}.`,
  ],
  // What may be a secret is not shown.
  [
    '{ "providers": { "a": { "processor": "command", "shell": "x",\n' +
    '"env": "hunter2", "setEnv": { "a-b": "hunter2" } } } }',
    "2:8: providers.a.env is a text: expected a list.",
    "2:31: providers.a.setEnv.a-b has a wrong name: " +
    "expected the name of a variable.",
  ],
  [
    '{ "settings": { "log-format": "https://me:hunter2@example.com" } }',
    '1:31: settings.log-format is "https://***@example.com": ' +
    'expected one of text, json. Did you mean "text"?',
  ],
  [
    '{ "providers": { "a": { "processor": "module" } } }',
    "1:23: providers.a.module is missing: expected a text.",
  ],
  [
    '{ "providers": { "a": { "processor": "module", "module": "x.ts",\n' +
    '"permissions": { "net": 3, "env": [""], "nett": true } } } }',
    "2:25: providers.a.permissions.net is 3: expected true or false or a list.",
    "2:36: providers.a.permissions.env[0] is a text: expected a text that is not empty.",
    '2:41: providers.a.permissions.nett is unknown. Did you mean "net"? ' +
    "There are net, env, read, write, run, import, sys, ffi.",
  ],
  [
    '{ "providers": { "a": { "processor": "module", "module": "x.ts",\n' +
    '"memory": 1, "startTimeout": 0 } } }',
    "2:11: providers.a.memory is 1: expected a number, 16 or more.",
    "2:30: providers.a.startTimeout is 0: expected a number of seconds, 0.001 or more, or a duration like 90s, 15m, 24h or 7d.",
  ],
  [
    '{ "providers": { "a": { "processor": "simulate" },\n' +
    ' "b": { "processor": "simulate" },\n "a": { "processor": "simulate" } } }',
    "3:2: providers.a is there twice, first at 1:18. Keep one.",
  ],
  [
    '{ "settings": { "drain": 1, "drain": 1, "drain": "x" } }',
    "1:29: settings.drain is there twice, first at 1:17. Keep one.",
    "1:41: settings.drain is there twice, first at 1:17. Keep one.",
    '1:50: settings.drain is "x": expected a number of seconds, 0 or more, or a duration like 90s, 15m, 24h or 7d.',
  ],
  [
    '{ "providers": { "a": { "processor": "simulate",\n' +
    '"backoff": { "base": 1e14, "max": 1e15 }, "attempts": 1e17 } } }',
    "2:22: providers.a.backoff.base is 100000000000000: expected a number of seconds, 0 to 9007199254740, or a duration like 90s, 15m, 24h or 7d.",
    "2:35: providers.a.backoff.max is 1000000000000000: expected a number of seconds, 0 to 9007199254740, or a duration like 90s, 15m, 24h or 7d.",
    "2:55: providers.a.attempts is 100000000000000000: expected a whole number, 1 to 9007199254740991.",
  ],
  [
    '{ "settings": { "listen": "99999", "allow-host": "http://x" } }',
    '1:27: settings.listen is "99999": expected an address like 8080, 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock.',
    '1:50: settings.allow-host is "http://x": expected names without scheme and port, like runner.example.com.',
  ],
  [
    '{ "settings": { "dbPath": "x", "config": "y" } }',
    '1:17: settings.dbPath is unknown. Did you mean "db-path"?',
    '1:32: settings.config is unknown. Did you mean "drain"?',
  ],
  [
    '{ "settings": { "db-path": "", "exclusive": "yes" } }',
    '1:28: settings.db-path is "": expected a value.',
    '1:45: settings.exclusive is "yes": expected true or false.',
  ],
  [
    '{ "settings": { "interval": 0, "event-retention": "y" } }',
    "1:29: settings.interval is 0: expected a number of seconds, 0.01 or more, or a duration like 90s, 15m, 24h or 7d.",
    '1:51: settings.event-retention is "y": expected a number of days, 0 or more, or a duration like 90s, 15m, 24h or 7d.',
  ],
  [
    '{ "settings": { "log-level": "debug" } }',
    '1:30: settings.log-level is "debug": expected one of DEBUG, INFO, WARNING, ERROR. ' +
    'Did you mean "DEBUG"?',
  ],
  [
    '{ "settings": { "limits": "claude=2" } }',
    '1:27: settings.limits is "claude=2": expected an object like { "claude": 2 }.',
  ],
  [
    '{ "settings": { "limits": { "a": 0, "b=c": 1 } } }',
    "1:34: settings.limits.a is 0: expected a whole number, 1 or more.",
    '1:37: settings.limits["b=c"] has a wrong name: expected a provider\'s name.',
  ],
  [
    `{ "settings": { "log-format": "${"x".repeat(500)}" } }`,
    `1:31: settings.log-format is "${
      "x".repeat(60)
    }…": expected one of text, json. ` +
    'Did you mean "text"?',
  ],
];

for (const [text, ...mistakes] of WRONG) {
  Deno.test(`parseConfigFile() says what is wrong in ${text.slice(0, 80)}`, () => {
    assertEquals([...mistakesOf(text)].sort(), mistakes.sort());
  });
}

Deno.test("parseConfigFile() reports mistakes in the order of the file", () => {
  const places = mistakesOf(`{
    "providers": {
      "a": { "processor": "simulate", "timeout": "x", "attempts": 0 },
      "a": { "processor": "what" }
    },
    "settings": { "drain": -1 },
    "more": 1
  }`).map((it) => it.split(": ")[0]);
  assertEquals(places, ["4:7", "4:27", "6:28", "7:5"]);
});

Deno.test("loadConfig() reports the file's mistakes with the others", () => {
  const file = parseConfigFile("a.json", '{ "settings": { "drain": -1 } }');
  const variables: Record<string, string> = { LOG_FORMAT: "xml" };
  let message = "";
  try {
    loadConfig({ interval: "x" }, (name) => variables[name], file);
  } catch (error) {
    message = (error as UsageError).message;
  }
  assertEquals(message.split("\n"), [
    "a.json:1:26: settings.drain is -1: expected a number of seconds, 0 or more, or a duration like 90s, 15m, 24h or 7d.",
    '--interval is "x": expected a number of seconds, 0.01 or more, or a duration like 90s, 15m, 24h or 7d.',
    'LOG_FORMAT is "xml": expected one of text, json.',
  ]);
});

// What is right

Deno.test("parseConfigFile() takes comments, trailing commas and CRLF", () => {
  const text =
    '{\r\n  // why\r\n  "settings": { "drain": 3, /* so */ },\r\n}\r\n';
  assertEquals(load(text).drainMs, 3_000);
});

Deno.test("an empty object changes nothing but the path", () => {
  const { configPath, ...rest } = load("{}");
  const { configPath: _none, ...defaults } = loadConfig({}, () => undefined);
  assertEquals(configPath, "a.json");
  assertEquals(rest, defaults);
});

/** A value that is no default, and what the program makes of it. */
function sampleOf({ kind, choices = [] }: Setting): [unknown, unknown] {
  switch (kind) {
    case "boolean":
      return [true, true];
    case "choice":
      return [choices.at(-1), choices.at(-1)];
    case "seconds":
      return [7.25, 7_250];
    case "days":
      return [1.5, 129_600_000];
    case "count":
      return [7, 7];
    case "counts":
      return [{ claude: 2, http: 5 }, new Map([["claude", 2], ["http", 5]])];
    case "text":
      return ["/e", "/e"];
    case "address":
      return [":8080", ":8080"];
    case "hosts":
      return ["a.example, b", "a.example, b"];
  }
}

for (const [key, name] of FILE_SETTINGS) {
  const setting: Setting = SETTINGS[name];
  const [given, value] = sampleOf(setting);
  const text = JSON.stringify({ settings: { [key]: given } });

  Deno.test(`loadConfig() takes ${name} from ${text}`, () => {
    const config = load(text);
    assertEquals(config[name], value);
    assertEquals(
      config.sources.get(name),
      `a.json:1:${text.indexOf(JSON.stringify(given)) + 1}`,
    );
  });

  Deno.test(`loadConfig() takes ${name} from flag or variable before the file`, () => {
    const file = parseConfigFile("a.json", text);
    const { env = "", flag, kind } = setting;
    const other = setting.default || (kind === "address" ? "1" : "x=1");
    const variables: Record<string, string> = { [env]: other };
    const byVariable = loadConfig({}, (it) => variables[it], file);
    assertEquals(byVariable.sources.get(name), env);
    if (flag === undefined) return;
    const flags = { [flag]: other };
    const byFlag = loadConfig(flags, (it) => variables[it], file);
    assertEquals(byFlag.sources.get(name), `--${flag}`);
  });
}

Deno.test("loadConfig() takes an empty variable for nothing said", () => {
  const file = parseConfigFile("a.json", '{ "settings": { "drain": 3 } }');
  assertEquals(loadConfig({}, () => "", file).drainMs, 3_000);
});

Deno.test("every flag of the settings but --config has its name in the file", () => {
  const keys = [...FILE_SETTINGS.keys()];
  const flags = Object.values<Setting>(SETTINGS).flatMap((it) => it.flag ?? []);
  assertEquals(flags.filter((flag) => !keys.includes(flag)), ["config"]);
  assertEquals(keys.filter((key) => !/^[a-z][a-z-]+$/.test(key)), []);
});

Deno.test("loadConfig() reads a duration that JavaScript writes as 1e-7", () => {
  assertEquals(load('{ "settings": { "drain": 0.0000001 } }').drainMs, 0);
});

const PATHS: [file: string, value: string, dbPath: string][] = [
  ["agent-runner.json", "x.duckdb", "x.duckdb"],
  ["../conf/a.json", "x.duckdb", "../conf/x.duckdb"],
  ["/etc/a.json", "x/y.duckdb", "/etc/x/y.duckdb"],
  ["/etc/a.json", "/var/y.duckdb", "/var/y.duckdb"],
  ["/etc/a.json", ":memory:", ":memory:"],
];

for (const [path, value, dbPath] of PATHS) {
  Deno.test(`db-path ${value} in ${path} is ${dbPath}`, () => {
    const text = JSON.stringify({ settings: { "db-path": value } });
    assertEquals(load(text, path).database, dbPath);
  });
}

Deno.test("loadConfig() gives each provider what is set for it", () => {
  const { providers } = load(`{ "providers": {
    "claude": { "processor": "simulate", "timeout": 1800.5, "attempts": 2,
      "concurrency": 3, "backoff": { "base": 5, "max": 60 } },
    "codex": { "processor": "simulate", "timeout": 0, "backoff": {} },
    "*": { "processor": "simulate" },
  } }`);
  const bare = [...providers ?? []].map(([name, { options: _, ...rest }]) => [
    name,
    rest,
  ]);
  assertEquals(bare, [
    ["claude", {
      processor: "simulate",
      timeoutMs: 1_800_500,
      attempts: 2,
      concurrency: 3,
      backoff: { baseMs: 5_000, maxMs: 60_000 },
    }],
    ["codex", {
      processor: "simulate",
      timeoutMs: 0,
      backoff: { baseMs: 1_000, maxMs: 300_000 },
    }],
    ["*", { processor: "simulate" }],
  ]);
});

Deno.test("Config is what a runner takes for its settings", () => {
  const settings: RunnerSettings = load("{}");
  assertEquals(settings.drainMs, 25_000);
});

Deno.test("loadConfig() has no providers where the file names none", () => {
  assertEquals("providers" in load('{ "settings": {} }'), false);
});

// Finding and reading

Deno.test("findConfigFile() takes the flag, then the variable, then the default", () => {
  const folder = Deno.makeTempDirSync();
  const before = Deno.cwd();
  const variables: Record<string, string> = {
    HANDSFREE_AGENT_RUNNER_CONFIG: "v.json",
  };
  const byVariable = (name: string) => variables[name];
  const none = () => undefined;
  try {
    Deno.chdir(folder);
    assertEquals(findConfigFile({}, none), undefined);
    assertEquals(findConfigFile({ config: "f.json" }, byVariable), "f.json");
    assertEquals(findConfigFile({ config: null }, byVariable), "v.json");
    Deno.writeTextFileSync("agent-runner.json", "{}");
    assertEquals(findConfigFile({}, none), "agent-runner.json");
    assertEquals(findConfigFile({}, () => ""), "agent-runner.json");
    assertEquals(findConfigFile({}, byVariable), "v.json");
  } finally {
    Deno.chdir(before);
    Deno.removeSync(folder, { recursive: true });
  }
});

const BYTES: [what: string, bytes: BlobPart[], message: string | undefined][] =
  [
    ["a UTF-8 file", ["{}"], undefined],
    ["a byte order mark", ["\ufeff{}"], undefined],
    ["UTF-16", [new Uint8Array([0xff, 0xfe, 0x7b, 0])], "it is not UTF-8 text"],
    ["broken UTF-8", ['{ "a": "', new Uint8Array([0xc3]), '"}'], "not UTF-8"],
    ["just 1 MB", ["{}", " ".repeat(999_998)], undefined],
    ["more than 1 MB", ["{}", " ".repeat(999_999)], "it is larger than 1 MB"],
  ];

for (const [what, parts, message] of BYTES) {
  Deno.test(`readConfigFile() ${message ? "refuses" : "takes"} ${what}`, async () => {
    const path = await Deno.makeTempFile();
    try {
      await Deno.writeFile(path, await new Blob(parts).bytes());
      if (message === undefined) {
        assertEquals((await readConfigFile(path)).mistakes, []);
      } else {
        const error = await assertRejects(
          () => readConfigFile(path),
          UsageError,
          message,
        );
        assertStringIncludes(error.message, path);
      }
    } finally {
      await Deno.remove(path);
    }
  });
}

const UNREADABLE: [path: string, reason: string][] = [
  ["/nowhere/agent-runner.json", "there is no such file"],
  ["/", "it is a folder"],
  ["/dev/zero", "it is larger than 1 MB"],
];

for (const [path, reason] of UNREADABLE) {
  Deno.test({
    name: `readConfigFile() says that ${path} can't be read`,
    ignore: Deno.build.os === "windows",
    async fn() {
      const error = await assertRejects(() => readConfigFile(path), UsageError);
      assertEquals(
        error.message,
        `Cannot read the configuration file ${path}: ${reason}. ` +
          "Give another one with --config or HANDSFREE_AGENT_RUNNER_CONFIG.",
      );
    },
  });
}

Deno.test("parseConfigFile() gives agents three attempts, and one place to one at a time", () => {
  const agent = { processor: "agent", agent: "claude" };
  const { providers } = parseConfigFile(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        a: agent,
        b: { ...agent, cwd: ".", attempts: 1 },
        c: { ...agent, cwd: ".", concurrency: 4 },
        d: { ...agent, cwd: ".", globalConcurrency: 2 },
        e: { processor: "command", command: ["true"], cwd: "." },
      },
    }),
  );
  assertEquals(
    [...providers ?? []].map(([name, it]) => [
      name,
      it.attempts,
      it.globalConcurrency,
    ]),
    [
      ["a", 3, undefined],
      ["b", 1, 1],
      ["c", 3, undefined],
      ["d", 3, 2],
      ["e", undefined, undefined],
    ],
  );
});
