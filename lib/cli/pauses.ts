/**
 * `agent-runner pauses`, `agent-runner pause` and `agent-runner resume`
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import { EXIT, UsageError } from "../base/errors.ts";
import { countOf, parseSpan } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import type { FlagValues } from "../config/config.ts";
import { pauseName, pauseText } from "../runner/pauses.ts";
import {
  type Admin,
  OTHERS,
  type PauseInfo,
  type PauseTarget,
} from "../store/contract.ts";
import { parseTime } from "../task/new_task.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  JSON_FLAG,
} from "./command.ts";
import { textFlag } from "./flags.ts";
import { renderJson } from "./render.ts";

/** `claude: limit until 04:33, 12 tasks wait` */
export function pauseLine(pause: PauseInfo, now: Date): string {
  const { waiting, reason } = pause;
  const until = pauseText({ ...pause, reason: "" }, now);
  const wait = waiting === 1 ? "waits" : "wait";
  const tasks = waiting === 0
    ? "no task waits"
    : `${countOf(waiting, "task")} ${wait}`;
  const why = reason === "" ? "" : ` (${printable(reason)})`;
  return `${printable(pauseName(pause))}: ${until}, ${tasks}${why}`;
}

/** The same of all of them, a line each; empty where there is none. */
export async function pauseLines(admin: Admin, now: Date): Promise<string> {
  const pauses = await admin.pauses();
  return pauses.map((it) => `${pauseLine(it, now)}\n`).join("");
}

/** Lists pauses. */
export const pauses: Command = {
  name: "pauses",
  summary: "List whose tasks wait, why, and until when",
  flags: [JSON_FLAG],
  settings: CLIENT_SETTINGS,
  examples: ["pauses", "pauses --json"],
  run: async ({ flags, clock, terminal, openAdmin }) => {
    await using store = await openAdmin();
    if (flags.json) {
      const { pauseToJson } = await import("../service/pause_json.ts");
      const all = await store.admin.pauses();
      terminal.write(renderJson(all.map(pauseToJson), 2));
    } else {
      const lines = await pauseLines(store.admin, clock.now());
      terminal.write(lines || "Nothing is paused.\n");
    }
    return EXIT.ok;
  },
};

/** What is meant where it is no provider. */
const TARGET_FLAGS: Command["flags"] = [
  { name: "batch", placeholder: "NAME", summary: "The tasks of a batch" },
  { name: "all", summary: "Everything" },
];

/** Pauses a provider, a batch or everything. */
export const pause: Command = {
  name: "pause",
  args: "[PROVIDER]",
  maxArgs: 1,
  summary: "Have the tasks of a provider wait, for all runners",
  flags: [
    ...TARGET_FLAGS,
    {
      name: "until",
      placeholder: "TIME",
      summary: "15m, 24h, or a time (default: until it is resumed)",
    },
    { name: "reason", placeholder: "TEXT", summary: "Shown with its tasks" },
  ],
  settings: CLIENT_SETTINGS,
  examples: [
    "pause claude --until 8h --reason quota",
    "pause --batch nightly",
    "pause --all",
  ],
  run: async (context) => {
    const { args, flags, clock, terminal, openAdmin } = context;
    const target = targetOf(args, flags, "pause");
    const waitMs = untilFlag(flags, clock.now());
    const reason = textFlag(flags, "reason") ?? "";
    await using store = await openAdmin();
    const { provider = OTHERS } = target;
    if (provider !== OTHERS) {
      await warnOfUnknown(provider, { store, ...context });
    }
    await store.admin.pause(target, { kind: "person", reason, waitMs });
    terminal.write(await pauseLines(store.admin, clock.now()));
    return EXIT.ok;
  },
};

/** Ends the pauses of a provider, a batch or everything. */
export const resume: Command = {
  name: "resume",
  args: "[PROVIDER]",
  maxArgs: 1,
  summary: "Let the tasks of a paused provider go on, whoever paused it",
  flags: TARGET_FLAGS,
  settings: CLIENT_SETTINGS,
  examples: ["resume claude", "resume --batch nightly"],
  run: async ({ args, flags, terminal, openAdmin }) => {
    const target = targetOf(args, flags, "resume");
    await using store = await openAdmin();
    const count = await store.admin.resume(target);
    const { provider = OTHERS, batch = "" } = target;
    const name = printable(pauseName({ provider, batch }));
    terminal.write(
      count > 0 ? `${name} goes on\n` : `${name} was not paused\n`,
    );
    return EXIT.ok;
  },
};

/** A name that nothing has is most often one that was not meant. */
async function warnOfUnknown(
  provider: string,
  { store, config, log }: Pick<CommandContext, "config" | "log"> & {
    readonly store: { readonly admin: Admin };
  },
): Promise<void> {
  const { counts } = await store.admin.count();
  const known = new Set([
    ...config.providers?.keys() ?? [],
    ...counts.map((it) => it.provider),
  ]);
  known.delete(OTHERS);
  if (known.has(provider) || known.size === 0) return;
  const nearest = closestString(provider, [...known]);
  log.warning(
    `No task is for provider ${printable(provider)}, and the configuration ` +
      `does not name it. Did you mean ${printable(nearest)}?`,
    { event: "hint", provider },
  );
}

/** @throws {UsageError} where it is not said what is meant, or twice. */
function targetOf(
  args: readonly string[],
  flags: FlagValues,
  verb: string,
): PauseTarget {
  const batch = textFlag(flags, "batch");
  const given = [args[0], batch, flags.all || undefined]
    .filter((it) => it !== undefined);
  if (given.length > 1) {
    throw new UsageError(
      `Cannot ${verb} more than one thing: give a provider, --batch or --all.`,
    );
  }
  if (flags.all) return { provider: OTHERS };
  return batch === undefined ? { provider: providerOf(args, verb) } : { batch };
}

/** @throws {UsageError} where none is named, or all. */
function providerOf([provider = ""]: readonly string[], verb: string): string {
  if (provider === OTHERS) {
    throw new UsageError(
      `Cannot ${verb} ${OTHERS}: give the name of one provider, or --all. ` +
        "agent-runner stats has the names.",
    );
  }
  if (provider.trim() !== "") return provider;
  throw new UsageError(
    `Cannot ${verb} a provider without its name. agent-runner stats has the ` +
      "names.",
  );
}

/**
 * Milliseconds until the time that `--until` says; null where it was not given.
 *
 * @throws {UsageError} where it says something else.
 */
function untilFlag(flags: FlagValues, now: Date): number | null {
  const text = textFlag(flags, "until");
  if (text === undefined) return null;
  const time = parseTime(text);
  const ms = parseSpan(text) ?? (time && time.getTime() - now.getTime());
  if (ms !== undefined && ms > 0) return ms;
  throw new UsageError(
    `--until is "${text}": expected a span like 90s, 15m, 24h or 7d, or a ` +
      "time in the future like 2026-01-31T08:00.",
  );
}
