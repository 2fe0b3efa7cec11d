/**
 * `agent-runner import github`
 *
 * @module
 */

import { backoffMs } from "../base/backoff.ts";
import { DatabaseError, EXIT, UsageError } from "../base/errors.ts";
import { countOf, formatSpan } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
} from "./command.ts";
import { create } from "./create.ts";
import { countFlag, durationFlag, textFlag } from "./flags.ts";
import type { ImportedIssues, ImportOptions } from "./import_issues.ts";
import { renderJson } from "./render.ts";
import { untilStopped } from "./signals.ts";

/** What may be said of all the tasks that issues become. */
const TASK_FLAGS = [
  "provider",
  "user",
  "priority",
  "attempts",
  "timeout",
  "batch",
  "tag",
  "repo",
  "base",
  "touches",
  "needs-approval",
  "json",
];
const DEFAULT_LIMIT = 200;
const DEFAULT_INTERVAL_MS = 60_000;
/** The longest wait after `gh` could not. */
const MAX_BACKOFF_MS = 900_000;
const CLONE_URL = "https://github.com/{repository}.git";

/** Makes tasks of issues, once each, and tells the issues what came of them. */
export const importGithub: Command = {
  name: "import github",
  args: "OWNER/NAME",
  maxArgs: 1,
  summary: "Make tasks of issues on GitHub, by gh",
  flags: [
    {
      name: "label",
      placeholder: "LABEL",
      isRepeated: true,
      summary: "Only issues with it (more than one: with all of them)",
    },
    {
      name: "state",
      placeholder: "STATE",
      choices: ["open", "closed", "all"],
      summary: "open, closed or all (default open)",
    },
    {
      name: "limit",
      placeholder: "N",
      summary: `Look at the N newest (default ${DEFAULT_LIMIT})`,
    },
    { name: "watch", summary: "Look again and again, until stopped" },
    {
      name: "interval",
      placeholder: "DURATION",
      summary: "Time between two looks of --watch (default 60)",
    },
    {
      name: "comment",
      summary: "Tell issues in a comment what came of their tasks",
    },
    {
      name: "dashboard",
      placeholder: "URL",
      summary: "Where the dashboard is, for a link in the comments",
    },
    {
      name: "dispatch",
      summary: "The issues name the repositories that are to be changed",
    },
    {
      name: "owner",
      placeholder: "OWNER",
      isRepeated: true,
      summary:
        "Whose repositories --dispatch may name (default the same one's)",
    },
    {
      name: "clone-url",
      placeholder: "URL",
      summary: `Where --dispatch finds them (default ${CLONE_URL})`,
    },
    { name: "dry-run", summary: "Say what would be done, and do nothing" },
    ...(create.flags ?? []).filter(({ name }) => TASK_FLAGS.includes(name)),
  ],
  settings: CLIENT_SETTINGS,
  makesDatabase: true,
  startsPrograms: true,
  examples: [
    "import github octo/app --label agent --provider claude",
    "import github octo/app --label agent --watch --comment",
  ],
  run: async (context) => {
    const options = await optionsOf(context);
    const { flags, log, openAdmin } = context;
    const { IssueImport } = await import("./import_issues.ts");
    await using store = await openAdmin();
    // Without --watch, a signal ends it at once, as it does other commands.
    using stop = flags.watch ? untilStopped() : undefined;
    const issues = new IssueImport(store, {
      ...options,
      signal: stop?.signal,
      log,
    });
    const pass = async () => {
      const found: ImportedIssues = {
        created: [],
        existing: [],
        refused: [],
        commented: [],
      };
      let isWhole = false;
      try {
        await issues.makeTasks(found);
        if (flags.comment) await issues.tellOutcomes(found);
        isWhole = true;
      } finally {
        // What was done before it failed; of nothing, the error says enough.
        if (isWhole || isNews(found)) report(found, context);
      }
    };
    if (stop) await untilTold(pass, { context, stop: stop.signal });
    else await pass();
    return EXIT.ok;
  },
};

async function optionsOf(
  { args: [given], flags }: CommandContext,
): Promise<Omit<ImportOptions, "signal" | "log">> {
  const { repositoryOf } = await import("../workspaces/forge/issues.ts");
  const repository = repositoryOf(given);
  const labels = listFlag(flags.label);
  const isDispatch = flags.dispatch === true;
  const wrong = labels.length === 0
    ? "import issues without a label: all would become tasks. Say which: " +
      "--label agent"
    : flags["dry-run"] && flags.watch
    ? "combine --dry-run with --watch. Give one of the two"
    : flags.interval !== undefined && !flags.watch
    ? "use --interval without --watch. Give that too"
    : isDispatch && flags.repo !== undefined
    ? "combine --dispatch with --repo: the issues name the repositories. " +
      "Where they are found, --clone-url says"
    : !isDispatch && (flags.owner ?? flags["clone-url"]) !== undefined
    ? "use --owner or --clone-url without --dispatch. Give that too"
    : undefined;
  if (wrong) throw new UsageError(`Cannot ${wrong}.`);
  const cloneUrl = textFlag(flags, "clone-url") ?? CLONE_URL;
  if (!cloneUrl.includes("{repository}")) {
    throw new UsageError(
      `Cannot use the --clone-url "${cloneUrl}": expected {repository} in it.`,
    );
  }
  const owners = listFlag(flags.owner);
  return {
    repository,
    labels,
    state: textFlag(flags, "state") ?? "open",
    limit: countFlag(flags, "limit") ?? DEFAULT_LIMIT,
    flags,
    isDryRun: flags["dry-run"] === true,
    dashboard: textFlag(flags, "dashboard"),
    ...isDispatch && {
      dispatch: {
        cloneUrl,
        owners: owners.length > 0 ? owners : [repository.split("/").at(-2)!],
      },
    },
  };
}

function listFlag(value: unknown): readonly string[] {
  return typeof value === "string"
    ? value.split(",").map((it) => it.trim()).filter((it) => it !== "")
    : [];
}

/** Goes on where it fails, later each time. */
async function untilTold(
  pass: () => Promise<void>,
  { context, stop }: {
    readonly context: CommandContext;
    readonly stop: AbortSignal;
  },
): Promise<void> {
  const { clock, flags, log } = context;
  const intervalMs = durationFlag(flags, "interval") ?? DEFAULT_INTERVAL_MS;
  const maxMs = Math.max(intervalMs, MAX_BACKOFF_MS);
  let failures = 0;
  const { ForgeError } = await import("../workspaces/forge/program.ts");
  log.info(`Looks each ${formatSpan(intervalMs)} until stopped`, {
    event: "importing",
  });
  while (!stop.aborted) {
    let waitMs = intervalMs;
    try {
      await pass();
      failures = 0;
    } catch (error) {
      if (stop.aborted) break;
      const isTold = error instanceof ForgeError ||
        error instanceof DatabaseError;
      if (!isTold) throw error;
      waitMs = Math.max(
        intervalMs,
        backoffMs(++failures, { baseMs: 2 * intervalMs, maxMs }),
      );
      log.warning(
        `${error.message} Looking again in ${Math.ceil(waitMs / 1_000)} s.`,
        { event: "import_failed", error: error.message },
      );
    }
    await clock.sleep(waitMs, stop);
  }
}

function isNews({ created, commented }: ImportedIssues): boolean {
  return created.length + commented.length > 0;
}

function report(
  found: ImportedIssues,
  { flags, terminal }: CommandContext,
): void {
  if (flags.watch && !isNews(found)) return;
  if (flags.json) {
    terminal.write(renderJson({ ...found }));
    return;
  }
  const { created, existing, refused, commented } = found;
  const isDry = flags["dry-run"] === true;
  terminal.write([
    ...created.map(({ id, target, title }) =>
      `${isDry ? "Would create a task" : `Created task ${id}`} for ${target}` +
      `: ${printable(title)}\n`
    ),
    ...commented.map(({ id, target }) =>
      `${isDry ? "Would comment" : "Commented"} on ${target}, task ${id}\n`
    ),
    ...flags.watch || existing.length === 0
      ? []
      : [`${countOf(existing.length, "issue")} had a task already\n`],
    ...isNews(found) || existing.length + refused.length > 0
      ? []
      : ["No issue to import\n"],
  ].join(""));
}
