/**
 * What the configuration file says of an agent.
 *
 * @module
 */

import { z } from "zod";
import { duration } from "../../base/config.ts";
import { checkFolder, PROGRAM_FIELDS, text } from "../command/config.ts";
import { PERMISSIONS } from "./dialect.ts";
import { AGENTS } from "./dialects.ts";

/** How often a check's output goes back to the agent, at most. */
const MAX_ROUNDS = 100;

const NO_AGENT =
  `expected one of ${AGENTS.join(", ")}, or the path of a file ` +
  'like "./my_agent.ts"';

const someText = text.min(1);
const { cwd, workspace, keepWorkspace } = PROGRAM_FIELDS;

/** The fields of an agent's own. */
export const agentConfig = z.strictObject({
  agent: z.union([
    z.enum(AGENTS),
    z.string({ error: NO_AGENT }).regex(/[/\\]|\.[cm]?[jt]s$/, NO_AGENT),
  ], { error: NO_AGENT }).describe(
    `Whose CLI it is: ${AGENTS.join(", ")}; or a file of yours that says ` +
      "how another one is started and read",
  ),
  program: someText.optional().describe(
    "The CLI, by name or path. Default: as the agent is called",
  ),
  args: z.array(text).default([]).describe(
    "Arguments that it gets beside ours; {configDir} is the folder of the " +
      "configuration file. Default: none",
  ),
  model: text.regex(/^[^-\s]\S*$/, "expected the name of a model").optional()
    .describe("The model. Default: the CLI's own"),
  permissions: z.enum(PERMISSIONS).default("edit").describe(
    "What it may do unasked: only read, edit files in its folder, or all. " +
      'Default: "edit"',
  ),
  onDenied: z.enum(["warn", "fail"]).default("warn").describe(
    "What a task comes to whose agent was not permitted something: completed " +
      'with a warning, or failed. Default: "warn"',
  ),
  resume: z.enum(["auto", "never"]).default("auto").describe(
    "Whether an answer, a retry and a take-over go on in the agent's session. " +
      'Default: "auto"',
  ),
  idleTimeout: duration().default(900).describe(
    "How long it may print nothing, before it is ended and the task tried again; " +
      "0: for ever. Default: 900 (15 minutes)",
  ),
  verify: z.array(text).min(1).refine(([program]) => program !== "", {
    path: [0],
    error: "expected a program",
  }).optional().describe(
    'A program and its arguments, like ["npm", "test"], run in the task\'s ' +
      "folder when the agent says that it is done. Exit code 0 completes the task; " +
      "else the agent gets its output, and goes on. {configDir} is the folder " +
      "of the configuration file. Default: none",
  ),
  verifyRounds: z.int().min(0).max(MAX_ROUNDS).default(3).describe(
    "How often it gets that, until the task fails. Default: 3",
  ),
  ...PROGRAM_FIELDS,
  cwd: cwd.describe(
    "The folder in which it works, from the configuration's folder: one task at a " +
      "time then, unless concurrency or globalConcurrency says more. Default: " +
      "one for each task",
  ),
  workspace: workspace.describe(
    "A folder below which each task has its own, named by its id, which its " +
      "next attempts and answers find again; or the repository of which each has " +
      "a worktree and a branch. Default: workspaces, in " +
      "agent-runner's folder of $STATE_DIRECTORY, $XDG_STATE_HOME or ~/.local/state",
  ),
  keepWorkspace: keepWorkspace.describe(
    "Whether a task's own folder is kept when the task is completed or failed " +
      'for good; prune removes it with the task. Default: "always"',
  ),
}).superRefine(checkFolder);

/** An agent, as configured. Times are in seconds. */
export type AgentConfig = z.infer<typeof agentConfig>;
