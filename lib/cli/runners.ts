/**
 * `agent-runner runners` and `agent-runner drain`
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import type { DrainResult, RunnerInfo } from "../store/contract.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  JSON_FLAG,
} from "./command.ts";
import { ageOf, alignRows, renderJson, type Screen } from "./render.ts";

/** Lists runners. */
export const runners: Command = {
  name: "runners",
  summary: "List who runs tasks, since when, and with what in hand",
  flags: [JSON_FLAG],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["runners", "runners --json"],
  run: async ({ flags, clock, terminal, openAdmin }) => {
    await using store = await openAdmin();
    const all = await store.admin.runners();
    if (flags.json) {
      const { runnerToJson } = await import("../service/runner_json.ts");
      terminal.write(renderJson(all.map(runnerToJson), 2));
    } else if (all.length === 0) {
      terminal.write(
        "No runner is there. agent-runner run --loop starts one.\n",
      );
    } else terminal.write(renderTable(all, clock.now(), terminal.screen));
    return EXIT.ok;
  },
};

/** Has runners end as at their first SIGTERM. */
export const drain: Command = {
  name: "drain",
  args: "[NAME…]",
  maxArgs: Infinity,
  summary: "Have runners claim no more, finish what is in hand, and end",
  flags: [{ name: "all", summary: "All that are there" }, JSON_FLAG],
  settings: CLIENT_SETTINGS,
  examples: ["drain agent-runner-4711", "drain --all"],
  run: async (context) => {
    assertNamed(context);
    const { args, flags, clock, terminal, openAdmin } = context;
    await using store = await openAdmin();
    const all = await store.admin.runners();
    const chosen = flags.all
      ? all.filter(({ isGone }) => !isGone)
      : [...new Set(args.map((start) => findRunner(all, start)))];
    const results = chosen.length === 0
      ? []
      : await store.admin.drain(chosen.map(({ name }) => name));
    const drained = chosen.map((runner, index) => ({
      runner,
      result: results[index] ?? "missing",
    }));
    if (flags.json) {
      const json = drained.map(({ runner: { name }, result }) => (
        { name, result }
      ));
      terminal.write(renderJson(json));
    } else if (drained.length === 0) terminal.write("No runner is there.\n");
    else {
      const lines = drained.map((it) => `${textOf(it, clock.now())}\n`);
      terminal.write(lines.join(""));
    }
    return EXIT.ok;
  },
};

/** What came of draining a runner. */
interface Drained {
  readonly runner: RunnerInfo;
  readonly result: DrainResult;
}

function renderTable(
  all: readonly RunnerInfo[],
  now: Date,
  screen: Screen,
): string {
  const rows = all.map((it) => [
    it.name,
    stateOf(it),
    String(it.inHand),
    ageOf(it.startedAt, now),
    ageOf(it.seenAt, now),
    it.host,
    String(it.pid),
    it.version,
  ]);
  const header = [
    ...["NAME", "STATE", "IN HAND", "SINCE", "SEEN", "HOST", "PID", "VERSION"],
  ];
  return alignRows([header, ...rows], { width: screen.width, right: [2] })
    .map((line) => `${line}\n`).join("");
}

function stateOf({ isGone, isDraining }: RunnerInfo): string {
  return isGone ? "gone" : isDraining ? "draining" : "running";
}

/** @throws {UsageError} where no runner is named, or some and all. */
function assertNamed({ args, flags }: CommandContext): void {
  if (args.length > 0 && flags.all) {
    throw new UsageError(
      "Cannot drain runners by name and --all at the same time. " +
        "Give one of the two.",
    );
  }
  if (args.length === 0 && !flags.all) {
    throw new UsageError(
      "Cannot drain a runner without its name. agent-runner runners has the " +
        "names; the start of one is enough. All of them: --all.",
    );
  }
}

/**
 * The runner whose name begins so.
 *
 * @throws {UsageError} where there is none, or more than one.
 */
function findRunner(all: readonly RunnerInfo[], start: string): RunnerInfo {
  const matches = start.trim() === ""
    ? []
    : all.filter(({ name }) => name.startsWith(start));
  const whole = matches.find(({ name }) => name === start);
  const [one, other] = whole ? [whole] : matches;
  if (one && !other) return one;
  if (!one) {
    throw new UsageError(
      `There is no runner whose name begins with "${start}". ` +
        "agent-runner runners has the names.",
    );
  }
  throw new UsageError(
    `More than one runner's name begins with "${start}":\n  ${
      matches.map(({ name }) => name).join("\n  ")
    }`,
  );
}

function textOf({ runner, result }: Drained, now: Date): string {
  const { isGone, inHand, seenAt } = runner;
  const name = printable(runner.name);
  if (result === "missing") return `Runner ${name} has ended already`;
  return isGone
    ? `Runner ${name} is to drain, but was not seen for ${ageOf(seenAt, now)}`
    : `Runner ${name} is asked to drain, with ${
      countOf(inHand, "task")
    } in hand`;
}
