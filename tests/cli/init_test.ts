import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseConfigFile } from "../../lib/config/file.ts";
import { configText, type InitChoice } from "../../lib/cli/init_text.ts";
import { AGENTS } from "../../lib/processors/agent/dialects.ts";
import { Folder } from "./cli.ts";
import { hasPseudoTerminals, PseudoTerminal } from "./pseudo_terminal.ts";

const VERSIONS = {
  claude: "2.1.197 (Claude Code)",
  codex: "codex-cli 9.9.9",
};

/** A folder with these on PATH, and nothing else. */
function prepared(...names: (keyof typeof VERSIONS)[]) {
  const folder = new Folder();
  Deno.mkdirSync(`${folder.path}/bin`);
  for (const name of names) {
    Deno.writeTextFileSync(
      `${folder.path}/bin/${name}`,
      `#!/bin/sh\necho '${VERSIONS[name]}'\n`,
      { mode: 0o755 },
    );
  }
  const env = { PATH: `${folder.path}/bin` };
  return { folder, env };
}

function readFile(folder: Folder) {
  const text = folder.read("agent-runner.json");
  const { mistakes, settings, providers } = parseConfigFile("", text);
  assertEquals(mistakes, []);
  return {
    enabled: settings.get("enabled")?.text,
    defaultProvider: settings.get("defaultProvider")?.text,
    concurrency: settings.get("concurrency")?.text,
    providers: [...providers ?? []].map(([name, { options }]) =>
      options.processor === "agent" ? [name, options.cwd] : [name]
    ),
  };
}

for (const args of [["init", "--yes"], ["init"]]) {
  Deno.test(`${args.join(" ")} asks nobody without a terminal, and takes all that is installed`, async () => {
    const { folder, env } = prepared("codex", "claude");
    using _ = folder;
    const out = await folder.ok(args, { env });
    assertMatch(out, /^ {2}1 {2}claude 2\.1\.197$/m);
    assertMatch(out, /^ {2}2 {2}codex 9\.9\.9 \(not tried; known: .+\)$/m);
    assertMatch(out, /^ {2}agent-runner config check\n.* create ".+"\n.* run/m);
    assertEquals(readFile(folder), {
      enabled: "true",
      defaultProvider: "claude",
      concurrency: "2",
      providers: [["claude", undefined], ["codex", undefined]],
    });
    const checked = await folder.ok(["config", "check"], { env });
    assertMatch(checked, /Nothing wrong was found/);
    assertEquals(
      JSON.parse(folder.read("agent-runner.schema.json")),
      JSON.parse(await folder.ok(["config", "schema"], { env })),
    );
  });
}

Deno.test("init overwrites nothing, and says what to do", async () => {
  const { folder, env } = prepared("claude");
  using _ = folder;
  folder.write("agent-runner.json", "{ broken");
  assertMatch(
    await folder.fails(2, ["init"], { env }),
    /it is there already\. .*config check .*move it away.*--config/,
  );
  assertEquals(folder.read("agent-runner.json"), "{ broken");
  folder.write("agent-runner.schema.json", "mine");
  const out = await folder.ok(["init", "--config", "other.json"], { env });
  assertMatch(out, /schema\.json was there already; renew it with/);
  assertMatch(out, /^ {2}agent-runner run --once --config other\.json$/m);
  assertEquals(folder.read("agent-runner.schema.json"), "mine");
  assertMatch(
    await folder.fails(1, ["init", "--config", "gone/x.json"], { env }),
    /the folder gone does not exist/,
  );
});

Deno.test("init without an agent names one, which run then says is missing", async () => {
  const { folder, env } = prepared();
  using _ = folder;
  const out = await folder.ok(["init"], { env });
  assertMatch(out, /^None of the agents that agent-runner knows is on PATH:/m);
  for (const agent of AGENTS) assert(out.includes(`  ${agent}\n`), out);
  assertMatch(out, /^Install claude, or name in agent-runner\.json/m);
  await folder.ok(["create", "x"], { env });
  const { code, stderr } = await folder.run(["run", "--once"], { env });
  assertEquals(code, 2);
  assertMatch(stderr, /The program claude is not on PATH/);
});

Deno.test({
  name:
    "init asks three questions on a terminal, again where the answer is none",
  ignore: !hasPseudoTerminals,
  fn: async () => {
    const { folder, env } = prepared("claude", "codex");
    using _ = folder;
    await using terminal = new PseudoTerminal(["init"], {
      folder: folder.path,
      env: { PATH: `${env.PATH}:/usr/bin:/bin` }, // script and sh are there.
    });
    await terminal.shows(/Which are to work.* \[claude codex/);
    await terminal.type("aider\n");
    await terminal.shows(/none of the answers\. Which are to work/);
    await terminal.type("codex, 1\n");
    await terminal.shows(/one task at a time.*\n\[1\]/);
    await terminal.type("2\n");
    await terminal.shows(/real tasks\?.* \[Y\/n\]/);
    assertEquals(folder.names(), ["bin"]);
    await terminal.type("n\n");
    assertEquals(await terminal.ended(), 0);
    assertMatch(terminal.screen, /run --once {3}# when "enabled" is true in/);
    assertEquals(readFile(folder), {
      enabled: "false",
      defaultProvider: "codex",
      concurrency: "1",
      providers: [["codex", "."], ["claude", "."]],
    });
  },
});

/** Each alone, and all together. */
const CHOSEN: InitChoice["agents"][] = [...AGENTS.map((it) => [it] as const), [
  ...AGENTS,
]];

for (const agents of CHOSEN) {
  Deno.test(`configText() is right for ${agents.join()}, with what its comments offer`, () => {
    for (const isInPlace of [false, true]) {
      const text = configText({ agents, isInPlace, isEnabled: true });
      const offered = text.replaceAll(/\/\/ (?="[^"]+": .*,$)/gm, "");
      assert(text.length > offered.length);
      for (const it of [text, offered]) {
        const { mistakes, providers } = parseConfigFile("", it);
        assertEquals(mistakes, []);
        assertEquals([...providers?.keys() ?? []], [...agents]);
      }
    }
  });
}
