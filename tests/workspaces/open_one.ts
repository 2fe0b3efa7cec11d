/**
 * Opens the workspace of a task and works there, as a runner that is killed at some
 * time: `REPOSITORY BASE`.
 *
 * @module
 */

import { join } from "node:path";
import { openForTest } from "./repository.ts";

const [path = "", base = "", mode = "worktree"] = Deno.args;
console.log("begins");
const { workspace } = await openForTest({ path, base }, { config: { mode } });
await Deno.writeTextFile(join(workspace.path, "new.txt"), "new\n");
await workspace.finish({ kind: "completed" });
console.log("done");
