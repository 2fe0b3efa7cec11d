import { assert, assertEquals } from "@std/assert";
import { parse } from "jsonc-parser";
import {
  configFileSchema,
  FILE_SETTINGS,
  jsonSchema,
} from "../../lib/config/schema.ts";
import { parseConfigFile } from "../../lib/config/file.ts";
import { SETTINGS } from "../../lib/config/settings.ts";
import { Ajv2020 } from "../support/ajv.ts";

const schema = jsonSchema() as {
  readonly $schema: string;
  readonly title: string;
  readonly properties: Record<string, { properties: Record<string, unknown> }>;
};
// Strict: a keyword that nobody knows is an error, but for two of VS Code's.
const accepts = new Ajv2020({ strict: true })
  .addVocabulary(["allowComments", "allowTrailingCommas"])
  .compile(schema);

Deno.test("jsonSchema() is of draft 2020-12 and says what it is of", () => {
  const { $schema, title } = schema;
  assertEquals([$schema, title], [
    "https://json-schema.org/draft/2020-12/schema",
    "agent-runner",
  ]);
});

Deno.test("jsonSchema() describes every setting", () => {
  const { properties } = schema.properties.settings ?? {};
  for (const [key, name] of FILE_SETTINGS) {
    const { description } = properties?.[key] as { description: string };
    assert(description.startsWith(SETTINGS[name].summary), key);
  }
});

Deno.test("jsonSchema() describes every property", () => {
  assertEquals(undescribed(schema, ""), []);
});

/** Properties without a description, wherever they are. */
function undescribed(value: unknown, path: string): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = `${path}/${key}`;
    const missing = path.endsWith("/properties") && !inner.description;
    return [...missing ? [here] : [], ...undescribed(inner, here)];
  });
}

const simulate = { processor: "simulate" };
const hook = {
  url: "https://example.com/hook",
  secretEnv: "WEBHOOK_SECRET",
  on: ["completed", "needs_input"],
};
const SAMPLES: [isRight: boolean, value: unknown][] = [
  [true, {}],
  [true, { $schema: "./x.json" }],
  [true, { providers: { "*": simulate } }],
  [true, { providers: { "my own": { ...simulate, timeout: 0.5 } } }],
  [true, { providers: { "*": { ...simulate, timeout: "90s" } } }],
  [true, { providers: { a: { ...simulate, attempts: 1, concurrency: 1 } } }],
  [true, { providers: { a: { ...simulate, backoff: {} } } }],
  [true, { providers: { a: { ...simulate, backoff: { base: 0, max: 1 } } } }],
  [true, { settings: {} }],
  [true, { settings: { "db-path": "x", exclusive: true, interval: 0.01 } }],
  [true, { settings: { limits: { claude: 2 }, "log-format": "json" } }],
  [true, { webhooks: [] }],
  [true, { webhooks: [hook] }],
  [true, { webhooks: [{ ...hook, providers: ["a"], timeout: 0.5 }] }],
  [true, { webhooks: [{ ...hook, url: "http://10.0.0.1:8080/a/b?c=d" }] }],
  [false, { webhooks: hook }],
  [false, { webhooks: [{ ...hook, url: "example.com/hook" }] }],
  [false, { webhooks: [{ ...hook, url: "ftp://example.com/" }] }],
  [false, { webhooks: [{ ...hook, url: "https://me:pass@example.com/" }] }],
  [false, { webhooks: [{ ...hook, secretEnv: "whsec_MfKQ9r8+" }] }],
  [false, { webhooks: [{ ...hook, secretEnv: undefined, secret: "x" }] }],
  [false, { webhooks: [{ ...hook, on: [] }] }],
  [false, { webhooks: [{ ...hook, on: ["started"] }] }],
  [false, { webhooks: [{ ...hook, providers: [] }] }],
  [false, { webhooks: [{ ...hook, timeout: 0 }] }],
  [false, { webhooks: [{ ...hook, timeout: 301 }] }],
  [true, { providers: { a: { processor: "command", command: ["ls"] } } }],
  [true, { providers: { a: { processor: "module", module: "x.ts" } } }],
  [true, { providers: { a: { processor: "agent", agent: "codex" } } }],
  [true, { providers: { a: { processor: "agent", agent: "./mine.ts" } } }],
  [false, { providers: { a: { processor: "agent", agent: "cluade" } } }],
  [false, { providers: { a: { processor: "agent" } } }],
  [false, { providers: { a: { processor: "command", command: [] } } }],
  [false, { providers: { a: { processor: "command", command: "ls" } } }],
  [false, { providers: { a: { processor: "command", shell: 1 } } }],
  [false, { providers: { a: { processor: "module" } } }],
  [false, { providers: { a: { processor: "module", command: ["ls"] } } }],
  [false, null],
  [false, []],
  [false, "x"],
  [false, { provider: {} }],
  [false, { $schema: 1 }],
  [false, { providers: [] }],
  [false, { providers: {} }],
  [false, { providers: { "": simulate } }],
  [false, { providers: { " ": simulate } }],
  [false, { providers: { a: {} } }],
  [false, { providers: { a: "simulate" } }],
  [false, { providers: { a: { processor: "simulat" } } }],
  [false, { providers: { a: { ...simulate, timeuot: 1 } } }],
  [false, { providers: { a: { ...simulate, timeout: -1 } } }],
  [false, { providers: { a: { ...simulate, timeout: "soon" } } }],
  [false, { providers: { a: { ...simulate, timeout: 1e15 } } }],
  [false, { providers: { a: { ...simulate, attempts: 0 } } }],
  [false, { providers: { a: { ...simulate, concurrency: 1.5 } } }],
  [false, { providers: { a: { ...simulate, backoff: 3 } } }],
  [false, { providers: { a: { ...simulate, backoff: { base: -1 } } } }],
  [false, { providers: { a: { ...simulate, backoff: { mx: 1 } } } }],
  [false, { settings: { dbPath: "x" } }],
  [false, { settings: { config: "x" } }],
  [false, { settings: { "db-path": "" } }],
  [false, { settings: { exclusive: "true" } }],
  [false, { settings: { interval: 0 } }],
  [false, { settings: { "log-level": "debug" } }],
  [false, { settings: { limits: "claude=2" } }],
  [false, { settings: { limits: { claude: 0 } } }],
  [false, { settings: { limits: { "a b": 1 } } }],
];

for (const [isRight, value] of SAMPLES) {
  const text = JSON.stringify(value);
  Deno.test(`program and jsonSchema() ${isRight ? "take" : "refuse"} ${text}`, () => {
    assertEquals({
      schema: configFileSchema.safeParse(value).success,
      jsonSchema: accepts(value),
      program: parseConfigFile("a.json", text).mistakes.length === 0,
    }, { schema: isRight, jsonSchema: isRight, program: isRight });
  });
}

Deno.test("examples/agent-runner.json is right for program and jsonSchema()", async () => {
  const path = new URL("../../examples/agent-runner.json", import.meta.url);
  const text = await Deno.readTextFile(path);
  assertEquals(parseConfigFile("example", text).mistakes, []);
  assertEquals(accepts(parse(text)), true);
});
