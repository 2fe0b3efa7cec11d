import { assertEquals } from "@std/assert";
import { flagsOf } from "../../lib/cli/command.ts";
import { COMMANDS } from "../../lib/cli/commands.ts";
import {
  candidatesFor,
  SCRIPTS,
  type Shell,
  SHELLS,
} from "../../lib/cli/completions.ts";
import { commandOf } from "../support/project.ts";
import { SHOWN_STATES } from "../../lib/task/shown_state.ts";
import { Folder } from "./cli.ts";

async function has(program: string): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(program, {
      args: ["--version"],
      stdout: "null",
    }).output();
    return success;
  } catch {
    return false;
  }
}

const installed: Readonly<Record<Shell, boolean>> = {
  bash: await has("bash"),
  zsh: await has("zsh"),
  fish: await has("fish"),
};

/** A folder with files, in which a shell finds the program. */
function shellFolder(): Folder {
  const folder = new Folder();
  folder.write("tasks.csv", "");
  folder.write("two words.csv", "");
  Deno.mkdirSync(`${folder.path}/bin`);
  const program = `${folder.path}/bin/agent-runner`;
  const words = commandOf([]).map((word) => `'${word}'`).join(" ");
  Deno.writeTextFileSync(
    program,
    `#!/bin/sh\nHOME='${Deno.env.get("HOME")}' exec ${words} "$@"\n`,
    { mode: 0o755 },
  );
  return folder;
}

async function run(
  shell: Shell,
  { script, args = [] }: { script: string; args?: readonly string[] },
): Promise<string> {
  using folder = shellFolder();
  const { code, stdout, stderr } = await new Deno.Command(shell, {
    args: ["-c", script, ...args],
    cwd: folder.path,
    env: {
      HOME: folder.path,
      XDG_CONFIG_HOME: folder.path,
      PATH: `${folder.path}/bin:${Deno.env.get("PATH")}`,
    },
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Makes a shell print what it offers after its arguments. */
function asking(shell: Shell, words: readonly string[]): string {
  switch (shell) {
    case "bash":
      return `
        COMP_WORDS=(agent-runner "$@")
        COMP_CWORD=$#
        _agent_runner
        printf '%s\\n' "\${COMPREPLY[@]}"`;
    case "zsh":
      // There is no line to edit: what adds to one prints it.
      return `
        compset() { words[CURRENT]=\${words[CURRENT]#--*=} }
        _files() { print -rl -- \${words[CURRENT]}*(N) }
        compadd() { print -rl -- $candidates }
        words=(agent-runner "$@")
        CURRENT=$#words
        _agent_runner`;
    case "fish":
      return `complete -C "agent-runner ${words.join(" ")}"`;
  }
}

/** What a shell offers after these words, of which the last is unfinished. */
async function offers(
  shell: Shell,
  words: readonly string[],
): Promise<string[]> {
  // Without its completion system, zsh lacks this.
  const before = shell === "zsh" ? "compdef() {}\n" : "";
  const out = await run(shell, {
    script: `${before}${SCRIPTS[shell]}\n${asking(shell, words)}`,
    args: shell === "fish" ? [] : [shell, ...words],
  });
  return out.split("\n").map((line) => line.split("\t")[0] ?? "")
    .filter((line) => line !== "").sort();
}

/** What `complete` itself says. */
function candidates(words: readonly string[]): string[] {
  return candidatesFor(words, COMMANDS).map(([word]) => word).sort();
}

const STATES = [...SHOWN_STATES].sort();

type Example = readonly [words: readonly string[], offered: readonly string[]];

const EXAMPLES: readonly Example[] = [
  [["re"], ["result", "resume", "retry"]],
  [["list", "--st"], ["--state"]],
  [["list", "--state", ""], STATES],
  [["list", "--state", "fa"], ["failed"]],
  [["list", "--state", "failed,c"], [
    "failed,cancelled",
    "failed,completed",
    "failed,created",
  ]],
  [["--log-level", "D"], ["DEBUG"]],
  [["stats", "--log-format", ""], ["json", "text"]],
  [["config", ""], ["check", "schema"]],
  [["config", "check", "--c"], ["--config"]],
  [["completions", ""], ["bash", "fish", "zsh"]],
  [["export", "--format", "p"], ["parquet"]],
  [["export", "ta"], ["tasks.csv"]],
  [["--db-path", "tasks.d", "ca"], ["cancel"]],
  [["--db-path", "ta"], ["tasks.csv"]],
  [["cancel", "--a"], ["--all"]],
  [["--onc"], ["--once"]],
  [["prune", "--older-than", ""], []],
];

/** What bash makes of words with an equals sign, and of blanks. */
const IN_BASH: readonly Example[] = [
  [["list", "--state", "=", "fa"], ["failed"]],
  [["list", "--state", "="], STATES],
  [["list", "--db-path", "=", "x.duckdb", "--li"], ["--limit"]],
  [["list", "--db-path", "=", "ta"], ["tasks.csv"]],
  [["export", "tw"], ["two words.csv"]],
];

/** Others leave them whole. */
const ELSEWHERE: readonly Example[] = [
  [["list", "--state=fa"], ["--state=failed"]],
  [["list", "--db-path=x.duckdb", "--li"], ["--limit"]],
];

for (const shell of SHELLS) {
  const own = shell === "bash" ? IN_BASH : ELSEWHERE;
  for (const [words, offered] of [...EXAMPLES, ...own]) {
    Deno.test({
      name: `${shell} completes ${JSON.stringify(words)}`,
      ignore: !installed[shell],
      async fn() {
        assertEquals(await offers(shell, words), [...offered].sort());
      },
    });
  }
}

Deno.test("complete offers every command but those of our own, and every flag of each", () => {
  const shown = COMMANDS.filter(({ isHidden }) => !isHidden);
  const first = shown.map(({ name }) => name.split(" ")[0] ?? "");
  assertEquals(candidates([""]), [...new Set(first)].sort());
  for (const command of shown) {
    assertEquals(
      candidates([...command.name.split(" "), "--"]),
      flagsOf(command).map(({ name }) => `--${name}`).sort(),
      command.name,
    );
  }
});

for (const words of [["show", ""], ["nonsense", "--x"], ["complete", "--"]]) {
  Deno.test(`complete offers nothing for ${JSON.stringify(words)}`, () => {
    assertEquals(candidates(words), []);
  });
}

Deno.test("complete says what words mean, whatever the configuration file is like", async () => {
  using folder = new Folder();
  folder.write("agent-runner.json", "{ nonsense");
  assertEquals(
    await folder.ok(["complete", "--", "list", "--lim"]),
    "--limit\tAt most N (default 50)\n",
  );
  assertEquals(
    await folder.ok(["complete", "--", "list", "--db-path", ""]),
    ":files\n",
  );
  assertEquals(folder.names(), ["agent-runner.json"]);
});

Deno.test({
  name: "zsh takes its script",
  ignore: !installed.zsh,
  async fn() {
    const script = "autoload -Uz compinit && compinit -u -D\n" +
      `${SCRIPTS.zsh}\nprint -r -- $_comps[agent-runner]`;
    assertEquals(await run("zsh", { script }), "_agent_runner\n");
  },
});

Deno.test("completions prints the script, whatever the configuration file is like", async () => {
  using folder = new Folder();
  folder.write("agent-runner.json", "{ nonsense");
  for (const shell of SHELLS) {
    assertEquals(await folder.ok(["completions", shell]), SCRIPTS[shell]);
  }
  assertEquals(folder.names(), ["agent-runner.json"]);
});
