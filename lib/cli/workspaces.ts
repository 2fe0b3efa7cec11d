/**
 * `agent-runner workspaces`
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import { countOf, formatBytes } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import type { JsonValue } from "../task/task.ts";
import { confirm, refusalOf, YES_FLAG } from "./choose.ts";
import { CLIENT_SETTINGS, type Command, JSON_FLAG } from "./command.ts";
import { ageOf, alignRows, renderJson } from "./render.ts";
import type { Found } from "./workspaces_found.ts";

/** Lists the folders that tasks have of repositories, and removes them. */
export const workspaces: Command = {
  name: "workspaces",
  args: "[ID…]",
  maxArgs: Infinity,
  summary: "List the worktrees of tasks, and remove what nothing is lost with",
  flags: [
    {
      name: "remove",
      summary:
        "Remove those of ended tasks that are merged, or clean and pushed",
    },
    { name: "force", summary: "Also what is lost then: it says what" },
    YES_FLAG,
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  usesRepositories: true,
  onlyReads: true,
  examples: [
    "workspaces",
    "workspaces --remove",
    "workspaces 550e8400 --remove",
  ],
  run: async (context) => {
    const { args, flags, config, clock, terminal, openAdmin } = context;
    if (flags.force && !flags.remove) {
      throw new UsageError(
        "Cannot force what is not asked for. Give --remove too.",
      );
    }
    const { find } = await import("./workspaces_found.ts");
    const { remove } = await import("../workspaces/removal.ts");
    await using store = await openAdmin();
    const all = await find(store.admin, config, clock.now());
    const chosen = args.length === 0 ? all : chosenOf(all, args);
    if (!flags.remove) {
      terminal.write(
        flags.json
          ? renderJson(chosen.map(jsonOf), 2)
          : textOf(chosen, { now: clock.now(), width: terminal.screen.width }),
      );
      return EXIT.ok;
    }
    const isNamed = args.length > 0;
    const kept = chosen.flatMap((it) => {
      const why = refused(it, { isNamed, isForced: Boolean(flags.force) });
      return why === undefined ? [] : [{ it, why }];
    });
    const removable = chosen.filter((it) => !kept.some((one) => one.it === it));
    const assertAll = () => {
      if (!isNamed || kept.length === 0) return;
      throw refusalOf(
        "remove the folder of",
        kept.map(({ it, why }) => ({ id: it.kept.task, why })),
      );
    };
    assertAll();
    if (removable.length > 0) {
      const lost = lostOf(removable);
      await confirm(context, {
        verb: "remove",
        what: `${countOf(removable.length, "folder")} (${sizeOf(removable)})`,
        more: lost === "" ? "" : `${lost}\n`,
      });
    }
    const removed: Found[] = [];
    for (const it of removable) {
      const why = await remove(it.kept, [...it.lost, ...it.stays]);
      if (why === undefined) removed.push(it);
      else kept.push({ it, why: `${why}.` });
    }
    assertAll();
    if (flags.json) terminal.write(renderJson(removed.map(jsonOf), 2));
    else {
      const rest = kept.map(({ it, why }) =>
        `Kept ${it.kept.task.slice(0, 8)}: ${printable(why)}\n`
      );
      terminal.write(
        `Removed ${countOf(removed.length, "folder")} (${sizeOf(removed)})${
          lostOf(removed)
        }\n${rest.join("")}`,
      );
    }
    return EXIT.ok;
  },
};

/** Why a folder stays; undefined where it goes. */
function refused(
  { safe, lost, stays, ended, isRunning }: Found,
  { isNamed, isForced }: {
    readonly isNamed: boolean;
    readonly isForced: boolean;
  },
): string | undefined {
  if (isRunning) return "a runner works there. Cancel it first.";
  if (ended === false && !(isNamed && isForced)) {
    return "it has not ended, and goes on there.";
  }
  if (ended === undefined && !isNamed) {
    return "this database has no such task; it may be another's. Name it.";
  }
  if (safe !== undefined || isForced) return undefined;
  const gives = lost.length > 0 ? "gives that up" : "removes its folder";
  return `${[...lost, ...stays].join("; ")}. --force ${gives}.`;
}

/** @throws {UsageError} where an id names none. */
function chosenOf(all: readonly Found[], prefixes: readonly string[]): Found[] {
  return prefixes.map((prefix) => {
    const start = prefix.toLowerCase();
    const [one, other] = all.filter(({ kept }) => kept.task.startsWith(start));
    if (one && !other && start !== "") return one;
    throw new UsageError(
      one
        ? `More than one task's id begins with "${prefix}".`
        : `There is no worktree of a task whose id begins with "${prefix}". ` +
          "agent-runner workspaces has them.",
    );
  });
}

/** What is lost with them, and what stays, a line each. */
function lostOf(found: readonly Found[]): string {
  const lines = (of: (it: Found) => readonly string[]) =>
    found.flatMap((one) =>
      of(one).map((it) => `\n  ${one.kept.task.slice(0, 8)}: ${printable(it)}`)
    ).join("");
  const lost = lines(({ lost, ignored }) => [
    ...lost,
    ...ignored ? [ignored] : [],
  ]);
  const stays = lines(({ stays }) => stays);
  return (lost && `, for ever, with:${lost}`) +
    (stays && `${lost ? "\n" : ". "}The repository keeps:${stays}`);
}

function sizeOf(found: readonly Found[]): string {
  return formatBytes(found.reduce((sum, { bytes }) => sum + bytes, 0));
}

function noteOf({ safe, lost, stays, ignored }: Found): string {
  return [...safe ? [safe] : [], ...lost, ...stays, ...ignored ? [ignored] : []]
    .join("; ");
}

function textOf(
  found: readonly Found[],
  { now, width }: { readonly now: Date; readonly width: number | undefined },
): string {
  if (found.length === 0) {
    return "No task has a worktree. A provider's workspace names a repository: " +
      'see "git" in docs/repositories.md\n';
  }
  const rows = found.map((it) => [
    it.kept.task.slice(0, 8),
    it.shown,
    it.kept.branch,
    it.kept.repo,
    formatBytes(it.bytes),
    ageOf(it.kept.madeAt, now),
    noteOf(it),
  ]);
  const header = [
    "TASK",
    "STATE",
    "BRANCH",
    "REPOSITORY",
    "SIZE",
    "AGE",
    "WHAT IS IN IT",
  ];
  const lines = alignRows([header, ...rows], { width, right: [4] });
  return `${lines.join("\n")}\n${countOf(found.length, "folder")}, ${
    sizeOf(found)
  }\n`;
}

function jsonOf(it: Found): JsonValue {
  const { kept: { task, path, repo, branch, base, madeAt, isClone } } = it;
  return {
    task,
    state: it.ended === undefined ? null : it.state,
    branch,
    base,
    repo,
    path,
    clone: isClone,
    bytes: it.bytes,
    made_at: madeAt.toISOString(),
    removable: it.safe !== undefined,
    why: it.safe ?? null,
    lost: [...it.lost],
    stays: [...it.stays],
    ignored: it.ignored ?? null,
  };
}
