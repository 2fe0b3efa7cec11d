import { assertEquals, assertStringIncludes } from "@std/assert";
import { COMMANDS } from "../../lib/cli/commands.ts";
import {
  completionScript,
  type Shell,
} from "../../lib/cli/completion_scripts.ts";
import { flagsOf } from "../../lib/cli/usage.ts";
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

async function run(
  program: string,
  { script, args = [] }: { script: string; args?: readonly string[] },
): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "completions_test_" });
  try {
    await Deno.writeTextFile(`${folder}/tasks.csv`, "");
    await Deno.writeTextFile(`${folder}/two words.csv`, "");
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args: ["-c", script, ...args],
      cwd: folder,
      env: { HOME: folder, XDG_CONFIG_HOME: folder },
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What a shell offers after these words, of which the last is unfinished. */
async function offers(
  shell: "bash" | "fish",
  words: readonly string[],
): Promise<string[]> {
  const script = completionScript(shell);
  const out = shell === "bash"
    ? await run("bash", {
      script: `${script}
        COMP_WORDS=(agent-runner "$@")
        COMP_CWORD=$#
        _agent_runner
        printf '%s\\n' "\${COMPREPLY[@]}"`,
      args: ["bash", ...words],
    })
    : await run("fish", {
      script: `${script}\ncomplete -C "agent-runner ${words.join(" ")}"`,
    });
  return out.split("\n").map((line) => line.split("\t")[0] ?? "")
    .filter((line) => line !== "").sort();
}

const FIRST_WORDS = [
  ...new Set(COMMANDS.map(({ name }) => name.split(" ")[0])),
];
const STATES = ["completed", "created", "failed", "needs_input", "running"];

type Example = readonly [words: readonly string[], offered: readonly string[]];

const EXAMPLES: readonly Example[] = [
  [["re"], ["result", "retry"]],
  [["list", "--st"], ["--state"]],
  [["list", "--state", ""], STATES],
  [["list", "--state", "fa"], ["failed"]],
  [["list", "--state", "failed,c"], ["failed,completed", "failed,created"]],
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
  [["export", "tw"], ["two words.csv"]],
  [["show", ""], []],
  [["nonsense", "--x"], []],
];

for (const shell of ["bash", "fish"] as const) {
  const examples = shell === "bash" ? [...EXAMPLES, ...IN_BASH] : EXAMPLES;
  for (const [words, offered] of examples) {
    Deno.test({
      name: `${shell} completes ${JSON.stringify(words)}`,
      ignore: !installed[shell],
      async fn() {
        assertEquals(await offers(shell, words), [...offered].sort());
      },
    });
  }

  Deno.test({
    name: `${shell} offers every command, and every flag of each`,
    ignore: !installed[shell],
    async fn() {
      const words = await offers(shell, [""]);
      assertEquals(words, [...FIRST_WORDS].sort());
      for (const command of COMMANDS) {
        if (command.name.includes(" ")) continue;
        assertEquals(
          await offers(shell, [command.name, "--"]),
          flagsOf(command).map(({ name }) => `--${name}`).sort(),
          command.name,
        );
      }
    },
  });
}

Deno.test("each shell's script names every command and every flag", () => {
  for (const shell of ["bash", "zsh", "fish"] as const) {
    const script = completionScript(shell);
    for (const command of COMMANDS) {
      for (const word of command.name.split(" ")) {
        assertStringIncludes(script, word);
      }
      for (const { name } of flagsOf(command)) {
        assertStringIncludes(
          script,
          shell === "fish" ? `-l ${name} ` : `--${name}`,
        );
      }
    }
  }
});

Deno.test({
  name: "zsh takes its script",
  ignore: !installed.zsh,
  async fn() {
    const script = "autoload -Uz compinit && compinit -u -D\n" +
      `${completionScript("zsh")}\nprint -r -- $_comps[agent-runner]`;
    assertEquals(await run("zsh", { script }), "_agent_runner\n");
  },
});

Deno.test("completions prints the script, whatever the configuration file is like", async () => {
  using folder = new Folder();
  folder.write("agent-runner.json", "{ nonsense");
  assertEquals(
    await folder.ok(["completions", "bash"]),
    completionScript("bash"),
  );
  assertEquals(folder.names(), ["agent-runner.json"]);
});
