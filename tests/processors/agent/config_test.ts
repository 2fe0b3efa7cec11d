import { assertEquals, assertMatch } from "@std/assert";
import { parseConfigFile } from "../../../lib/config/file.ts";
import { agentConfig } from "../../../lib/processors/agent/config.ts";
import { commandConfig } from "../../../lib/processors/command/config.ts";

Deno.test("agentConfig needs no more than the agent", () => {
  assertEquals(agentConfig.parse({ agent: "claude" }), {
    agent: "claude",
    args: [],
    permissions: "edit",
    onDenied: "warn",
    resume: "auto",
    idleTimeout: 900,
    verifyRounds: 3,
    env: [],
    setEnv: {},
    secrets: [],
    outputLimit: 65_536,
    killGrace: 5,
  });
});

Deno.test("agentConfig says of each field what it is, and its default", () => {
  for (const [name, field] of Object.entries(agentConfig.shape)) {
    const { description = "", type } = field;
    const hasDefault = type === "default" || type === "optional";
    const isNamed = hasDefault && name !== "setEnv";
    assertEquals(description !== "", true, name);
    assertEquals(/Default: /.test(description), isNamed, name);
  }
});

Deno.test("agentConfig has what a command has beside what it runs", () => {
  const own = ["command", "shell", "stdin", "exitCodes"];
  const shared = Object.keys(commandConfig.shape)
    .filter((name) => !own.includes(name));
  assertEquals(shared.filter((name) => !(name in agentConfig.shape)), []);
});

for (
  const config of [
    { agent: "opencode", args: ["--x", "{configDir}/{id}"] },
    { agent: "./my_agent.ts" },
    { agent: "mine.mjs", model: "openai/gpt-5.4", idleTimeout: "1h" },
    { permissions: "all", verify: ["npm", "test", ""], verifyRounds: 0 },
    { program: "../bin/claude", cwd: "x" },
  ]
) {
  Deno.test(`agentConfig takes ${JSON.stringify(config)}`, () => {
    const { success } = agentConfig.safeParse({ agent: "claude", ...config });
    assertEquals(success, true);
  });
}

const WRONG: [config: object, mistake: RegExp][] = [
  [
    { agent: "cluade" },
    /agent is "cluade": expected one of claude, codex, .*my_agent/,
  ],
  [{ agent: 1 }, /expected one of claude/],
  [{ permissions: "write" }, /expected one of read, edit, all/],
  [{ model: "--yolo" }, /expected the name of a model/],
  [{ args: ["a\0"] }, /expected a text without NUL/],
  [{ verify: [] }, /verify.*expected a list of 1 or more/],
  [{ verify: [""] }, /verify\[0\].*expected a program/],
  [{ verify: "npm test" }, /expected a list/],
  [{ verifyRounds: -1 }, /expected a number, 0 or more/],
  [{ idleTimeout: "soon" }, /expected/],
  [{ cwd: "a", workspace: "b" }, /expected either cwd or workspace, not both/],
  [{ cwd: "a", keepWorkspace: "never" }, /expected none with cwd/],
  [{ command: ["claude"] }, /command is unknown/],
];
for (const [config, mistake] of WRONG) {
  Deno.test(`agentConfig refuses ${JSON.stringify(config)}`, () => {
    const { mistakes } = parseConfigFile(
      "a.json",
      JSON.stringify({
        providers: { a: { processor: "agent", agent: "claude", ...config } },
      }),
    );
    assertEquals(mistakes.length, 1, mistakes.join("\n"));
    assertMatch(mistakes[0] ?? "", mistake);
  });
}
