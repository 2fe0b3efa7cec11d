/**
 * `agent-runner init`
 *
 * @module
 */

import { EXIT } from "../base/errors.ts";
import { findConfigFile } from "../config/config.ts";
import { SETTINGS } from "../config/settings.ts";
import type { AgentName } from "../processors/agent/dialects.ts";
import type { Command, CommandContext } from "./command.ts";
import { textFlag } from "./flags.ts";
import type { InitChoice } from "./init_text.ts";
import type { KnownAgent } from "./installed_agents.ts";

/** Writes a configuration file for the agents that are installed. */
export const init: Command = {
  name: "init",
  summary: "Write agent-runner.json for the agents that are installed",
  flags: [{ name: "yes", summary: "Ask nothing: all of them, as is usual" }],
  ignoresConfigFile: true,
  startsPrograms: true,
  examples: ["init", "init --yes"],
  run: async (context) => {
    const { flags, terminal } = context;
    const path = findConfigFile(flags, Deno.env.get) ??
      SETTINGS.configPath.default;
    const { newFile, writeFiles } = await import("./init_file.ts");
    const { findAgents } = await import("./installed_agents.ts");
    const { folder } = await newFile(path);
    const agents = await findAgents(context);
    const installed = agents.filter(({ isInstalled }) => isInstalled);
    const offered = installed.length > 0 ? installed : agents;
    terminal.write(foundText(offered));
    const choice = await choose(offered, context, folder);
    terminal.write(await writeFiles(path, choice));
    terminal.write(nextText(choice, { path, flags, offered }));
    return EXIT.ok;
  },
};

function foundText(offered: readonly KnownAgent[]): string {
  const [first] = offered;
  const heading = first?.isInstalled
    ? "Found on PATH:"
    : "None of the agents that agent-runner knows is on PATH:";
  return [heading, ...numbered(offered.map(({ shown }) => shown)), ""]
    .join("\n");
}

function numbered(texts: readonly string[]): string[] {
  return texts.map((text, index) => `  ${index + 1}  ${text}`);
}

/** What a person says, or what is usual. */
async function choose(
  offered: readonly KnownAgent[],
  { flags, terminal }: CommandContext,
  folder: string,
): Promise<InitChoice> {
  const ask = async (question: string) =>
    flags.yes ? "" : await terminal.ask(question) ?? "";
  const names = offered.map(({ name }) => name);
  const usual = offered[0]?.isInstalled ? names : names.slice(0, 1);
  const agents = await answered(
    ask,
    "Which are to work, the one first that gets what names none? " +
      `[${usual.join(" ")}]`,
    (answer) => answer === "" ? usual : chosenIn(answer, names),
  );
  const places = [
    "each task in a folder of its own, where what it made stays",
    `all in ${folder}: one task at a time; they may edit its agent-runner.json, ` +
    "and so what they are permitted",
  ];
  const place = await answered(
    ask,
    `Where?\n${numbered(places).join("\n")}\n[1]`,
    (answer) => ["1", "2"].find((it) => it === (answer || "1")),
  );
  const isEnabled = await answered(
    ask,
    "May run start real tasks? They edit files unasked, by your account. [Y/n]",
    (answer) =>
      /^(y(es)?)?$/i.test(answer) ||
      (/^no?$/i.test(answer) ? false : undefined),
  );
  const [first = "claude", ...others] = agents;
  return { agents: [first, ...others], isInPlace: place === "2", isEnabled };
}

/** Asks until the answer can be read. */
async function answered<T>(
  ask: (question: string) => Promise<string>,
  question: string,
  read: (answer: string) => T | undefined,
): Promise<T> {
  for (let before = "";; before = "That was none of the answers. ") {
    const value = read(await ask(before + question));
    if (value !== undefined) return value;
  }
}

/** Names or numbers, each once; undefined where one is neither. */
function chosenIn(
  answer: string,
  names: readonly AgentName[],
): AgentName[] | undefined {
  const words = answer.toLowerCase().split(/[\s,]+/).filter((it) => it !== "");
  const chosen = words.map((word) =>
    names.find((name, index) => word === name || word === String(index + 1))
  );
  return chosen.length > 0 && chosen.every((it) => it !== undefined)
    ? [...new Set(chosen)]
    : undefined;
}

/** What to type now. */
function nextText(
  { agents: [first], isEnabled }: InitChoice,
  { path, flags, offered }: Pick<CommandContext, "flags"> & {
    readonly path: string;
    readonly offered: readonly KnownAgent[];
  },
): string {
  const suffix = textFlag(flags, "config") === undefined
    ? ""
    : ` --config ${path}`;
  const missing = offered[0]?.isInstalled
    ? []
    : [`Install ${first}, or name in ${path} what you have. Then:`];
  const disabled = isEnabled ? "" : `   # when "enabled" is true in ${path}`;
  return [
    ...missing.length > 0 ? missing : ["Next:"],
    `  agent-runner config check${suffix}`,
    `  agent-runner create "Write a haiku about queues into haiku.md"${suffix}`,
    `  agent-runner run --once${suffix}${disabled}`,
    "",
  ].join("\n");
}
