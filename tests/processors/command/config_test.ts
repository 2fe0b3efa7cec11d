import { assertEquals } from "@std/assert";
import { z } from "zod";
import { systemClock } from "../../../lib/base/clock.ts";
import { createLog } from "../../../lib/base/log.ts";
import { createCommandProcessor } from "../../../lib/processors/command/command.ts";
import { commandConfig } from "../../../lib/processors/command/config.ts";

Deno.test("commandConfig fills in its defaults", () => {
  assertEquals(commandConfig.parse({ command: ["claude"] }), {
    command: ["claude"],
    stdin: "task",
    env: [],
    setEnv: {},
    secrets: [],
    outputLimit: 65_536,
    exitCodes: {
      completed: [0],
      needsInput: [],
      retry: [75],
      failed: [64, 78, 126, 127],
      others: "retry",
    },
    killGrace: 5,
  });
});

const command = ["claude", "-p", "{instruction}"];
const MISTAKES: [config: object, path: string, message: RegExp][] = [
  [{}, "command", /expected either command or shell/],
  [{ command, shell: "x" }, "shell", /not both/],
  [{ command: [] }, "command", /at least|>=1/i],
  [{ command: "claude -p" }, "command", /expected array/],
  [{ command: [""] }, "command.0", /expected a program/],
  [
    { command: ["{instruction}"] },
    "command.0",
    /no placeholder but \{configDir\}/,
  ],
  [
    { command: ["a", "{prompt}"] },
    "command.1",
    /^expected one of \{id\}, \{instruction\}, \{target\}, \{answers\}, \{results\}, \{configDir\} in place of \{prompt\}\. \{\{prompt\}\} is the text/,
  ],
  [{ command: ["a", "b\0"] }, "command.1", /without NUL/],
  ...[
    ["sh", "-c", "echo {instruction}"],
    ["/bin/dash", "-e", "-c", "echo {target}"],
    ["bash", "-euo", "pipefail", "-c", "--", "echo {answers}", "sh"],
    ["zsh", "-lc", "-o", "errexit", "echo {id}"],
    [
      "env",
      "SHELL=/bin/sh",
      "timeout",
      "9",
      "/bin/bash",
      "-c",
      "{configDir}/x",
    ],
    ["pwsh", "-ExecutionPolicy", "Bypass", "-Command", "{instruction}"],
    ["pwsh", "-NoProfile", "-Command", "Write-Output", "'{instruction}'"],
    ["C:\\Windows\\cmd.exe", "/d", "/c", "echo", "{instruction}"],
    ["bash", "--rcfile", "x", "-c", "{instruction}"],
    ["env", "-i", "-S", "sh -c {instruction}"],
    ["su", "agent", "-c", "echo {instruction}"],
    ["rbash", "-c", "echo {instruction}"],
    ["flock", "lock", "-c", "echo {instruction}"],
    ["script", "-qc", "echo {instruction}", "log"],
    ["fish", "--command=echo {instruction}"],
    ["python3.11", "-W", "ignore", "-Ic", "print('{instruction}')"],
    ["/usr/bin/perl", "-ne", "print '{target}'"],
    ["node", "--eval=f('{instruction}')"],
    ["node", "--import", "x", "-p", "{instruction}"],
    ["ruby", "-rjson", "-e", "{instruction}"],
    ["php", "-r", "{instruction}"],
    ["awk", "-F", ":", "/{target}/ { print }", "file"],
    ["sed", "-i", "s/x/{instruction}/", "file"],
    ["sed", "-ne", "/{target}/p", "file"],
    ["ssh", "-p", "22", "host", "run", "{instruction}"],
    ["xargs", "eval", "{instruction}"],
    ["jq", "-n", "--arg", "a", "b", '.x = "{instruction}"'],
    ["psql", "agents", "-tc", "SELECT '{instruction}'"],
    ["tmux", "-L", "x", "new-session", "-d", "claude -p '{instruction}'"],
    ["tmux", "send-keys", "-t", "main", "{instruction}", "Enter"],
    ["watch", "-n", "5", "echo", "{instruction}"],
    ["tmux", "-c", "{instruction}"],
    ["tmux", "-Lx", "-c{instruction}"],
    ["tmux", "{instruction}"],
    ["psql", "-o", "|{instruction}", "-c", "SELECT 1"],
    ["psql", "--comm={instruction}"],
    ["jq", "-n", "--argfile", "a", "f", "{instruction}"],
    ["sqlite3", "x.db", "{instruction}"],
    ["duckdb", "-c", "{instruction}"],
    ["vim", "-es", "+{instruction}", "file"],
    ["gdb", "-batch", "-ex", "{instruction}"],
    ["git", "-C", "x", "-c", "alias.x={instruction}", "x"],
    ["make", "-C", "x", "NAME={instruction}"],
    ["gmake", "--", "{instruction}"],
    ["git", "--git-dir", ".git", "-c", "alias.x={instruction}", "x"],
    ["mysql", "agents", "-e", "{instruction}"],
    ["deno", "eval", "{instruction}"],
  ].map((command): [config: object, path: string, message: RegExp] => [
    { command },
    `command.${command.findIndex((it) => /\{\w+\}/.test(it))}`,
    /no placeholder in a script/,
  ]),
  [{ shell: "" }, "shell", /./],
  [{ command, stdin: "tty" }, "stdin", /"task"\|"instruction"\|"none"/],
  [
    { command, cwd: ".", workspace: "w" },
    "workspace",
    /either cwd or workspace/,
  ],
  [
    { command, cwd: ".", keepWorkspace: "never" },
    "keepWorkspace",
    /none with cwd/,
  ],
  [{ command, env: ["A=B"] }, "env.0", /name of a variable/],
  [{ command, secrets: ["A??"] }, "secrets.0", /with \? after it/],
  [{ command, setEnv: { AGENT_TASK_ID: "x" } }, "setEnv.AGENT_TASK_ID", /./],
  [{ command, setEnv: { A: 1 } }, "setEnv.A", /expected string/],
  [{ command, exitCodes: { failed: [-1] } }, "exitCodes.failed.0", /./],
  [{ command, exitCodes: { fail: [1] } }, "exitCodes", /fail/],
  [{ command, killGrace: -1 }, "killGrace", /./],
  [{ command, outputLimit: 10 }, "outputLimit", /1000/],
  [{ command, answerWithin: 0 }, "answerWithin", /./],
  [{ command, shel: "x" }, "", /shel/],
];

const SAFE = [
  ["sh", "-c", 'echo "$1"', "sh", "{instruction}"],
  ["sh", "-c", 'echo "${{id}}"', "sh"],
  ["bash", "{configDir}/run.sh", "-c", "{instruction}"],
  ["env", "SHELL=/bin/bash", "claude", "-c", "-p", "{instruction}"],
  ["ssh", "-c", "aes", "{instruction}"],
  ["jq", "-n", "--arg", "a", "{instruction}", "$a"],
  ["git", "commit", "-m", "{instruction}"],
  ["python3", "-u", "run.py", "-c", "{instruction}"],
  ["python3", "-m", "agent", "-c", "{instruction}"],
  ["node", "run.mjs", "-e", "{instruction}"],
  ["awk", "-v", "id={id}", "{ print id }", "{configDir}/x"],
  ["sed", "-n", "s/x/y/p", "{configDir}/x"],
  ["env", "-u", "A", "agent", "-S", "{instruction}"],
  ["env", "A=1", "claude", "-S", "{instruction}"],
  ["pwsh", "-ExecutionPolicy", "Bypass", "-File", "x.ps1", "{instruction}"],
];

for (const command of SAFE) {
  Deno.test(`commandConfig takes ${JSON.stringify(command)}`, () => {
    assertEquals(commandConfig.parse({ command }).command, command);
  });
}

for (const [config, path, message] of MISTAKES) {
  Deno.test(`commandConfig refuses ${JSON.stringify(config)}`, () => {
    const { error } = commandConfig.safeParse(config);
    const issues = error?.issues.map((it) => ({
      path: it.path.join("."),
      isSaid: message.test(it.message),
    }));
    assertEquals(issues, [{ path, isSaid: true }], JSON.stringify(error));
  });
}

Deno.test("commandConfig can be extended, and keeps its checks", () => {
  const extended = z.discriminatedUnion("processor", [
    commandConfig.safeExtend({
      processor: z.literal("command"),
      timeout: z.number().optional(),
    }),
    z.strictObject({ processor: z.literal("simulate") }),
  ]);
  const parse = (it: object) => extended.safeParse(it);
  assertEquals(
    parse({ processor: "command", command, timeout: 5 }).success,
    true,
  );
  assertEquals(
    parse({ processor: "command", timeout: 5 }).error?.issues[0]?.message,
    "expected either command or shell",
  );
});

Deno.test("every field of commandConfig is described for editors", () => {
  const fields = (schema: z.core.JSONSchema.JSONSchema): string[] =>
    Object.entries(schema.properties ?? {}).flatMap(([name, it]) =>
      typeof it === "object" && it.description
        ? fields(it)
        : [`${name} has no description`]
    );
  const schema = z.toJSONSchema(commandConfig, { io: "input" });
  assertEquals(Object.keys(schema.properties ?? {}).length, 13);
  assertEquals(fields(schema), []);
  assertEquals(schema.required, undefined);
});

/** What `check()` says of a command in a folder of its own. */
async function problemsOf(
  config: object,
  variables: Record<string, string> = {},
): Promise<string[]> {
  const folder = Deno.makeTempDirSync({ prefix: "agent-runner-test-" });
  try {
    Deno.writeTextFileSync(`${folder}/agent`, "#!/bin/sh\n", { mode: 0o755 });
    Deno.writeTextFileSync(`${folder}/plain`, "");
    const processor = createCommandProcessor(commandConfig.parse(config), {
      baseFolder: folder,
      clock: systemClock,
      log: createLog(),
      variable: (name) => ({ PATH: "/usr/bin:/bin", ...variables })[name],
    });
    const problems = await processor.check?.() ?? [];
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assertEquals(left, ["agent", "plain"]);
    return problems.map((it) => it.replaceAll(folder, "BASE"));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const CHECKED: [
  config: object,
  problems: string[],
  variables?: Record<string, string>,
][] = [
  [{ command: ["sh"] }, []],
  [{ shell: "echo" }, []],
  [{ command: ["./agent"], cwd: ".", env: ["A"] }, [], { A: "" }],
  [{ command: ["{configDir}/agent"], workspace: "new/deep" }, []],
  [{ command: ["agent"], setEnv: { PATH: "" } }, [
    "The program agent is not on PATH (which is empty).",
  ]],
  [{ command: ["env", "--", "ls", "{instruction}", "--", "{target}"] }, [
    'The "--" is not directly before {instruction}: a task that begins with ' +
    '"-" there is refused. Put one directly before it.',
  ]],
  [{ command: ["env", "--", "ls", "{configDir}/x", "{id}"] }, []],
  [{ command: ["ls", "-p", "{instruction}"] }, []],
  [{ command: ["no-such-agent"] }, [
    "The program no-such-agent is not on PATH (/usr/bin:/bin).",
  ]],
  [{ command: ["./gone"] }, ["The program ./gone does not exist."]],
  [{ command: ["./plain"] }, [
    "./plain is not executable. Run: chmod +x ./plain",
  ]],
  [{ command: ["/tmp"] }, ["The program /tmp does not exist."]],
  [{ shell: "x", cwd: "gone" }, [
    "The folder BASE/gone can't be used: it does not exist. Make it, or give " +
    "another.",
  ]],
  [{ shell: "x", cwd: "plain" }, [
    "The folder BASE/plain can't be used: it is no folder.",
  ]],
  [{ shell: "x", workspace: "plain/below" }, [
    "The folder BASE/plain can't be used: it is no folder.",
  ]],
  [{ shell: "x", env: ["ONE"], secrets: ["TWO", "PIN"] }, [
    'The variable ONE is not set. Set it, or call it "ONE?" where it may be ' +
    "missing.",
    'The variable TWO is not set. Set it, or call it "TWO?" where it may be ' +
    "missing.",
    "The secret PIN has less than 4 characters: it can't be told from other " +
    "text.",
  ], { PIN: "123" }],
  [{ shell: "x", env: ["ONE?"], secrets: ["TWO?"] }, []],
];

for (const [config, problems, variables] of CHECKED) {
  Deno.test(`check() finds ${problems.length} things wrong with ${JSON.stringify(config)}`, async () => {
    assertEquals(await problemsOf(config, variables), problems);
  });
}
