import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/base/errors.ts";
import type { Config } from "../../lib/config/config.ts";
import { parseConfigFile } from "../../lib/config/file.ts";
import {
  defaultProviderOf,
  simulationWarning,
  warningFor,
} from "../../lib/config/served.ts";

type ServedConfig = Parameters<typeof warningFor>[1];

/** A configuration with these providers, by their processors. */
function configOf(
  processors?: Readonly<Record<string, "command" | "simulate">>,
  rest: Partial<Config> = {},
): ServedConfig {
  const entries = Object.entries(processors ?? {}).map(([name, processor]) => [
    name,
    processor === "command" ? { processor, command: ["true"] } : { processor },
  ]);
  const text = JSON.stringify({ providers: Object.fromEntries(entries) });
  const { providers } = parseConfigFile("agent-runner.json", text);
  return {
    ...processors && { providers },
    configPath: processors && "agent-runner.json",
    simulate: "unconfigured",
    defaultProvider: "",
    ...rest,
  };
}

const COMMAND = "command";
const defaults: readonly [ServedConfig, string][] = [
  [configOf(), "simulate"],
  [configOf({ claude: COMMAND }), "claude"],
  [configOf({ claude: COMMAND, codex: COMMAND }), "simulate"],
  [configOf({ "*": COMMAND }), "simulate"],
  [configOf({ claude: COMMAND, "*": COMMAND }), "simulate"],
  [configOf({ claude: COMMAND }, { defaultProvider: "other" }), "other"],
];

for (const [config, expected] of defaults) {
  const names = [...config.providers?.keys() ?? []].join() || "none";
  Deno.test(`defaultProviderOf() is ${expected} where there are ${names}`, () => {
    assertEquals(defaultProviderOf(config), expected);
  });
}

Deno.test("warningFor() has nothing to say of a provider that is served", () => {
  assertEquals(warningFor("claude", configOf({ claude: COMMAND })), undefined);
  assertEquals(warningFor("any", configOf({ "*": COMMAND })), undefined);
  assertEquals(warningFor("simulate", configOf()), undefined);
});

Deno.test("warningFor() says what becomes of tasks that nobody works on", () => {
  assertMatch(
    warningFor("claude", configOf()) ?? "",
    /No provider is configured: .*"claude" are only simulated, nothing is done/,
  );
  const never = configOf(undefined, { simulate: "never" });
  assertMatch(warningFor("claude", never) ?? "", /"claude" wait\./);
  assertMatch(
    warningFor("claud", configOf({ claude: COMMAND })) ?? "",
    /names no provider "claud": its tasks wait\. Did you mean "claude"\?/,
  );
});

Deno.test("simulationWarning() warns where nothing is configured", () => {
  assertMatch(
    simulationWarning(configOf()) ?? "",
    /every task is only simulated/,
  );
  assertEquals(simulationWarning(configOf({ claude: COMMAND })), undefined);
  assertEquals(simulationWarning(configOf({ claude: "simulate" })), undefined);
});

for (const processors of [undefined, { claude: "simulate" }] as const) {
  Deno.test(`simulationWarning() refuses ${JSON.stringify(processors)} where nothing may be simulated`, () => {
    assertThrows(
      () => simulationWarning(configOf(processors, { simulate: "never" })),
      UsageError,
      'simulate is "never"',
    );
  });
}
