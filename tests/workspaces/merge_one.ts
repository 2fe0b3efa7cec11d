/**
 * Merges a commit into `main`, as a runner that is killed at some call of git:
 * `REPOSITORY FOLDER HEAD`.
 *
 * @module
 */

import { mergeBranch } from "../../lib/workspaces/merge.ts";

const [repo = "", folder = "", head = ""] = Deno.args;
const end = await mergeBranch({
  taskId: "1",
  repo,
  branch: "agent/fix",
  head,
  base: "main",
  mergeBy: "merge",
  folder,
});
console.log(end.kind);
