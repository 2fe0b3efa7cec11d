/**
 * What the configuration file says of a command.
 *
 * @module
 */

import { z } from "zod";
import { duration } from "../../base/config.ts";
import { workspaceField } from "../../workspaces/config.ts";
import { scriptsIn } from "./scripts.ts";

/** What each placeholder of an argument, as `{instruction}`, stands for. */
export const PLACEHOLDERS = {
  id: "the task's id",
  instruction: "the task's instruction; empty where it has none",
  target: "owner/repo#123; empty where the task has none",
  answers: "its questions so far with their answers, as lines; or empty",
  results: "the results of the tasks it waited for, as JSON: a list",
  configDir: "the folder of the configuration file",
} as const;

/** The name of a placeholder. */
type Placeholder = keyof typeof PLACEHOLDERS;

/**
 * `{word}`, and the escaped `{{word}}`. All else is text, so that JSON and code
 * need no escapes.
 */
const PATTERN = /\{\{(\w+)\}\}|\{(\w+)\}/g;

/** The placeholders of a text, unknown ones too. */
function placeholdersIn(text: string): string[] {
  return [...text.matchAll(PATTERN)].flatMap(([, , name]) => name ?? []);
}

/** The text with a value for each placeholder; `{{word}}` becomes `{word}`. */
export function fillPlaceholders(
  text: string,
  valueOf: (name: Placeholder) => string,
): string {
  return text.replace(
    PATTERN,
    (_match, escaped?: string, name?: string) =>
      escaped === undefined ? valueOf(name as Placeholder) : `{${escaped}}`,
  );
}

const placeholderNames = Object.keys(PLACEHOLDERS).map((name) => `{${name}}`);

/** A text that a program can be given. */
export const text = z.string().regex(/^[^\0]*$/, "expected a text without NUL");
const someText = text.min(1);

const argument = text.superRefine((value, context) => {
  for (const name of placeholdersIn(value)) {
    if (Object.hasOwn(PLACEHOLDERS, name)) continue;
    context.addIssue({
      code: "custom",
      message: `expected one of ${placeholderNames.join(", ")} in place of ` +
        `{${name}}. {{${name}}} is the text {${name}}`,
    });
  }
});

/** What a task says must not choose the program. */
function isProgram(text = ""): boolean {
  return text !== "" &&
    placeholdersIn(text).every((name) => name === "configDir");
}

const variableName = z.string().regex(
  /^[A-Za-z_][A-Za-z0-9_]*$/,
  "expected the name of a variable",
);

const passedVariable = z.string().regex(
  /^[A-Za-z_][A-Za-z0-9_]*\??$/,
  "expected the name of a variable, with ? after it where it may be missing",
);

const exitCode = z.int().min(0).max(2 ** 32 - 1);

const exitCodes = z.strictObject({
  completed: z.array(exitCode).default([0]).describe(
    "The task is completed. Default: [0]",
  ),
  needsInput: z.array(exitCode).default([]).describe(
    "The task waits for an answer; stdout is the question. Default: none",
  ),
  retry: z.array(exitCode).default([75]).describe(
    "Failed, and tried again where attempts are left. " +
      "Default: [75] (EX_TEMPFAIL)",
  ),
  failed: z.array(exitCode).default([64, 78, 126, 127]).describe(
    "Failed for good. Default: [64, 78, 126, 127] (wrong usage, wrong " +
      "configuration, and what a shell says of a program that it can't run)",
  ),
  others: z.enum(["retry", "failed"]).default("retry").describe(
    'What all other codes, and ends by a signal, mean. Default: "retry"',
  ),
});

/** How a program of a task is run, whichever it is. */
export const PROGRAM_FIELDS = {
  cwd: someText.optional().describe(
    "The folder in which it runs, from the configuration's folder. Default: " +
      "an empty one for each run",
  ),
  workspace: workspaceField.optional().describe(
    "A folder below which each task has its own, named by its id, which its " +
      "next attempts and answers find again; or the repository of which each has " +
      "a worktree and a branch. Default: a temporary folder a run",
  ),
  keepWorkspace: z.enum(["never", "failed", "always"]).optional().describe(
    "Whether a task's own folder is kept when the task is completed or failed. " +
      'Default: "never"',
  ),
  env: z.array(passedVariable).default([]).describe(
    "Variables of agent-runner's environment that it gets, beside PATH, HOME, " +
      'USER, LANG and their like; "NAME?" may be missing. Default: none',
  ),
  setEnv: z.record(
    variableName.regex(
      /^(?!AGENT_(TASK|RUNNER)_)/,
      "expected another name: agent-runner sets AGENT_TASK_… itself",
    ),
    text,
  ).default({}).describe("Variables that it gets, with their values"),
  secrets: z.array(passedVariable).default([]).describe(
    "Variables that it gets as by env, and whose values are *** in all that " +
      "is kept or logged of its output, in base64 and percent-encoded too. " +
      "Default: none",
  ),
  outputLimit: z.int().min(1_000).max(1_000_000).default(65_536).describe(
    "How much is kept of stdout, and of stderr, in characters: half from its " +
      "beginning, half from its end. Default: 65536",
  ),
  killGrace: duration({ max: 3_600 }).default(5).describe(
    "How long it may take to stop after SIGTERM, before SIGKILL. Default: 5",
  ),
  answerWithin: duration({ min: 0.001, max: 315_360_000 }).optional().describe(
    "How long its questions wait for an answer; then the task fails. Default: " +
      "for ever",
  ),
};

/** What programs of a task are run with, as configured. Times are in seconds. */
export type ProgramConfig = Omit<
  z.infer<z.ZodObject<typeof PROGRAM_FIELDS>>,
  "outputLimit"
>;

/** Says where a task's folder is given in two ways. */
export function checkFolder(
  { cwd, workspace, keepWorkspace }: FolderConfig,
  context: z.RefinementCtx,
): void {
  const mistake = (path: string, message: string) =>
    context.addIssue({ code: "custom", path: [path], message });
  if (cwd !== undefined && workspace !== undefined) {
    mistake("workspace", "expected either cwd or workspace, not both");
  }
  if (cwd !== undefined && keepWorkspace !== undefined) {
    mistake("keepWorkspace", "expected none with cwd, which is always kept");
  }
  if (typeof workspace === "object" && keepWorkspace !== undefined) {
    mistake(
      "keepWorkspace",
      "expected none with a repository: agent-runner workspaces removes what is " +
        "merged",
    );
  }
}

/** Where a task's program runs. */
export type FolderConfig = Pick<
  ProgramConfig,
  "cwd" | "workspace" | "keepWorkspace"
>;

/** The fields of a command's own. */
export const commandConfig = z.strictObject({
  command: z.array(argument).min(1, { abort: true }).refine(
    ([program]) => isProgram(program),
    {
      path: [0],
      error: "expected a program, with no placeholder but {configDir}",
    },
  ).superRefine((command, context) => {
    for (const index of scriptsIn(command)) {
      if (placeholdersIn(command[index] ?? "").length === 0) continue;
      context.addIssue({
        code: "custom",
        path: [index],
        message: "expected no placeholder in a script: it would run " +
          "what a task says. The task is in its variables, as in " +
          '"$AGENT_TASK_INSTRUCTION"',
      });
    }
  }).optional().describe(
    "A program and its arguments, no shell. Placeholders: " +
      placeholderNames.join(", ") +
      '; none in a script, as of sh -c or python -c, and "--" directly before one that may ' +
      'begin with "-"',
  ),
  shell: someText.optional().describe(
    "A script for /bin/sh, in place of command. It has no placeholders: the " +
      'task is in its variables, as in "$AGENT_TASK_INSTRUCTION"',
  ),
  stdin: z.enum(["task", "instruction", "none"]).default("task").describe(
    "What the program reads: the task as JSON, its instruction as text, or " +
      'nothing. Default: "task"',
  ),
  exitCodes: exitCodes.prefault({}).describe(
    "What its exit codes mean. The first list that has one counts",
  ),
  ...PROGRAM_FIELDS,
}).superRefine(({ command, shell }, context) => {
  const mistake = (path: string, message: string) =>
    context.addIssue({ code: "custom", path: [path], message });
  if (!command && shell === undefined) {
    mistake("command", "expected either command or shell");
  }
  if (command && shell !== undefined) {
    mistake("shell", "expected either command or shell, not both");
  }
}).superRefine(checkFolder);

/** A command, as configured. Times are in seconds. */
export type CommandConfig = z.infer<typeof commandConfig>;
