import { assert, assertEquals, assertThrows } from "@std/assert";
import { loadConfig } from "../../lib/config/config.ts";
import { UsageError } from "../../lib/base/errors.ts";
import deno from "../../deno.json" with { type: "json" };
import { flagsOf } from "../../lib/cli/command.ts";
import { COMMANDS } from "../../lib/cli/commands.ts";
import { commandHelp, programHelp } from "../../lib/cli/usage.ts";
import { parse } from "../../main.ts";

const SHOWN = COMMANDS.filter(({ isHidden }) => !isHidden);

/** What was asked for, without the flags that were not given. */
function parsed(...argv: string[]) {
  const { command, args, flags } = parse(argv);
  const known = new Set(flagsOf(command).map(({ name }) => name));
  const given = Object.entries(flags).filter(([name, value]) =>
    known.has(name) && value !== false && value !== null
  );
  return { command: command.name, args, flags: Object.fromEntries(given) };
}

const PARSED: [
  argv: string[],
  command: string,
  args: string[],
  flags: Record<string, unknown>,
][] = [
  [[], "run", [], {}],
  [["--loop"], "run", [], { loop: true }],
  [["run", "--once"], "run", [], { once: true }],
  [["run", "--interval", "0.5"], "run", [], { interval: "0.5" }],
  [["run", "--interval=0.5"], "run", [], { interval: "0.5" }],
  [["run", "--lease=-1"], "run", [], { lease: "-1" }],
  [["--db-path", "x.db", "list"], "list", [], { "db-path": "x.db" }],
  [["--json", "list"], "list", [], { json: true }],
  [["list", "--limit", "010"], "list", [], { limit: "010" }],
  [["list", "--limit", "1", "--limit", "2"], "list", [], { limit: "2" }],
  [["show", "00123"], "show", ["00123"], {}],
  [["show", "1e3"], "show", ["1e3"], {}],
  [["create", "0x10"], "create", ["0x10"], {}],
  [["create", "two words"], "create", ["two words"], {}],
  [["create", ""], "create", [""], {}],
  [["create", "help"], "create", ["help"], {}],
  [["create", "-"], "create", ["-"], {}],
  [["create", "--file", "-"], "create", [], { file: "-" }],
  [["create", "--file=-"], "create", [], { file: "-" }],
  [["create", "x", "--priority", "-5"], "create", ["x"], { priority: "-5" }],
  [["create", "x", "--priority=-5"], "create", ["x"], { priority: "-5" }],
  [["create", "--", "--provider"], "create", ["--provider"], {}],
  [["create", "--target", "#12", "x"], "create", ["x"], { target: "#12" }],
  [["create", "--trace={}", "x"], "create", ["x"], { trace: "{}" }],
  [["create", "--user", "a=b", "x"], "create", ["x"], { user: "a=b" }],
  [["config", "check", "--json"], "config check", [], { json: true }],
  [["--json", "config", "check"], "config check", [], { json: true }],
  [["--config", "x.json", "list"], "list", [], { config: "x.json" }],
  [["create", "config"], "create", ["config"], {}],
  [["-h"], "run", [], { help: true }],
  [["help", "config", "schema"], "config schema", [], { help: true }],
  [["--help"], "run", [], { help: true }],
  [["help"], "run", [], { help: true }],
  [["help", "list"], "list", [], { help: true }],
  [["list", "-h"], "list", [], { help: true }],
  [["--help", "show"], "show", [], { help: true }],
  [["show", "one", "two", "--help"], "show", ["one", "two"], { help: true }],
  [["--version"], "run", [], { version: true }],
  [["-V"], "run", [], { version: true }],
];

for (const [argv, command, args, flags] of PARSED) {
  Deno.test(`parse() reads "${argv.join(" ")}"`, () => {
    assertEquals(parsed(...argv), { command, args, flags });
  });
}

const COMMAND_NAMES = `Commands: ${SHOWN.map(({ name }) => name).join(", ")}.`;
const WRONG: [argv: string[], message: string][] = [
  [["lst"], `Unknown command "lst". Did you mean "list"? ${COMMAND_NAMES}`],
  [
    ["help", "craete"],
    `Unknown command "craete". Did you mean "create"? ${COMMAND_NAMES}`,
  ],
  [
    ["config"],
    `Unknown command "config". Did you mean "config check"? ${COMMAND_NAMES}`,
  ],
  [
    ["config", "scema"],
    `Unknown command "config scema". Did you mean "config schema"? ${COMMAND_NAMES}`,
  ],
  [
    ["config", "check", "it"],
    'Unexpected argument "it" for "config check". It takes only flags.',
  ],
  [["12"], `Unknown command "12". Did you mean "run"? ${COMMAND_NAMES}`],
  [["--lop"], 'Unknown flag --lop for "run". Did you mean --loop?'],
  [
    ["list", "--stae", "failed"],
    'Unknown flag --stae for "list". Did you mean --state?',
  ],
  [
    ["list", "--lmit=5"],
    'Unknown flag --lmit for "list". Did you mean --limit?',
  ],
  [["show", "--jsn"], 'Unknown flag --jsn for "show". Did you mean --json?'],
  [["list", "--db-path"], "The flag --db-path needs a value: PATH."],
  [["list", "--db-path="], "The flag --db-path needs a value: PATH."],
  [["list", "--db-path", "--json"], "The flag --db-path needs a value: PATH."],
  [["create", "x", "--attempts"], "The flag --attempts needs a value: N."],
  [
    ["create", "two", "words"],
    'Unexpected argument "words" for "create". It takes one; put quotes around a text with ' +
    "blanks.",
  ],
  [
    ["run", "now"],
    'Unexpected argument "now" for "run". It takes only flags.',
  ],
];

for (const [argv, message] of WRONG) {
  Deno.test(`parse() refuses "${argv.join(" ")}"`, () => {
    const error = assertThrows(() => parse(argv), UsageError);
    assertEquals(error.message, message);
  });
}

Deno.test("parse() refuses a flag that only another command has", () => {
  const message = 'Unknown flag --loop for "list".';
  assertThrows(() => parse(["list", "--loop"]), UsageError, message);
});

Deno.test("parse() refuses names that every object has", () => {
  for (const flag of ["--constructor", "--__proto__", "--toString"]) {
    assertThrows(() => parse([flag]), UsageError, "Unknown flag");
  }
  assertThrows(() => parse(["toString"]), UsageError, "Unknown command");
});

const SCREENS: [name: string, text: string][] = [
  ["programHelp()", programHelp()],
  ...COMMANDS.map((command): [string, string] => [
    `commandHelp() of ${command.name}`,
    commandHelp(command),
  ]),
];

for (const [name, text] of SCREENS) {
  Deno.test(`${name} fits a screen of 100 columns and 48 lines`, () => {
    const lines = text.trimEnd().split("\n");
    assertEquals(lines.filter((line) => line.length > 100), []);
    assert(lines.length <= 48, `${lines.length} lines`);
  });

  Deno.test(`${name} names no default where there is none`, () => {
    assertEquals(/\(default *\)/.exec(text), null);
  });

  Deno.test(`${name} ends its last line and leaves no blanks behind`, () => {
    assert(text.endsWith("\n"));
    assertEquals(text.split("\n").filter((line) => /\s$/.test(line)), []);
  });
}

Deno.test("programHelp() names the version and every command", () => {
  const text = programHelp();
  assert(text.startsWith(`agent-runner ${deno.version}: `));
  const families = new Set(
    SHOWN.filter(({ family }) => family).map(({ name }) => name.split(" ")[0]),
  );
  for (const { name, summary, family } of SHOWN) {
    const [word, rest] = name.split(" ");
    const line = new RegExp(`^  ${families.has(word) ? word : name} .*`, "m")
      .exec(text)?.[0];
    if (!families.has(word)) assert(line?.endsWith(summary), name);
    else assert(line?.includes(rest!) && line.endsWith(family ?? ""), name);
  }
});

for (const command of COMMANDS) {
  Deno.test(`commandHelp() of ${command.name} names every flag once`, () => {
    const shown = [...commandHelp(command).matchAll(/^ {2}--([a-z-]+)/gm)];
    assertEquals(
      shown.map(([, name]) => name),
      flagsOf(command).filter(({ isEarlier }) => !isEarlier)
        .map(({ name }) => name),
    );
  });

  Deno.test(`commandHelp() of ${command.name} shows examples that work`, () => {
    for (const example of command.examples) {
      const words = example.match(/"[^"]*"|\S+/g) ?? [];
      const argv = words.map((word) => word.replaceAll('"', ""));
      const request = parse(argv);
      assertEquals(request.command.name, command.name);
      // The settings among the flags are read from the same words.
      loadConfig(request.settings, () => undefined);
    }
  });
}

Deno.test("flagsOf() gives a name to one flag only", () => {
  for (const command of COMMANDS) {
    const names = flagsOf(command).map(({ name }) => name);
    assertEquals(names, [...new Set(names)]);
  }
});

Deno.test("a flag has a value in all commands that take it, or in none", () => {
  // The words are read before it is known which of them is the command.
  const all = COMMANDS.flatMap(flagsOf);
  const valued = all.filter((it) => it.placeholder).map(({ name }) => name);
  const switches = all.filter((it) => !it.placeholder).map(({ name }) => name);
  assertEquals([...new Set(valued).intersection(new Set(switches))], []);
});

Deno.test("parse() has the help, or the version, where that was asked for", () => {
  for (const argv of [["--help"], ["help"], ["help", "help"], ["-h"]]) {
    assertEquals(parse(argv).text, programHelp());
  }
  for (const argv of [["list", "-h"], ["--help", "list"], ["help", "list"]]) {
    assertEquals(parse(argv).text, commandHelp(parse(["list"]).command));
  }
  for (const argv of [["-V"], ["version"], ["list", "--version"]]) {
    assertEquals(parse(argv).text, `agent-runner ${deno.version}\n`);
  }
  assertEquals(parse(["list"]).text, undefined);
});

Deno.test("flagsOf() says what a setting is without the flag", () => {
  const flag = flagsOf(COMMANDS[0]).find(({ name }) => name === "interval");
  assert(flag?.summary.endsWith("(default 5)"), flag?.summary);
});
