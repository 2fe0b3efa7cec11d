/**
 * What the configuration file says of a provider that applies patches.
 *
 * @module
 */

import { z } from "zod";
import { workspaceConfig } from "../../workspaces/config.ts";
import { PROGRAM_FIELDS } from "../command/config.ts";

const { env, setEnv, secrets, killGrace } = PROGRAM_FIELDS;

/** The fields of a provider that applies patches. Times are in seconds. */
export const patchConfig = z.strictObject({
  workspace: workspaceConfig.extend({
    uncommitted: z.literal("commit").default("commit").describe(
      "What becomes of what is not committed: a patch is",
    ),
  }).describe(
    "The repository that is patched, as of an agent: each task has a worktree, " +
      "or a clone, and a branch",
  ),
  // Of what its setup, its check and the repository's hooks are run with.
  env,
  setEnv,
  secrets,
  killGrace,
});

/** A provider that applies patches, as configured. */
export type PatchConfig = z.infer<typeof patchConfig>;
