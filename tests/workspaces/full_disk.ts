/**
 * What `full_disk_test.ts` does on a small disk, which is the folder for temporary
 * files here: `REPOSITORY BASE`.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { WorkspaceError } from "../../lib/workspaces/error.ts";
import { openForTest } from "./repository.ts";

const DONE = { kind: "completed" } as const;
const disk = Deno.env.get("TMPDIR") ?? "";
const [path = "", base = ""] = Deno.args;
const filler = join(disk, "filler");

function fill(): void {
  using file = Deno.openSync(filler, { create: true, write: true });
  for (let bytes = 0; bytes < 13e6; bytes += 65_536) {
    file.writeSync(new Uint8Array(65_536));
  }
}

const open = () => openForTest({ path, base }, { parts: { folder: disk } });
fill();
const error = await assertRejects(open, WorkspaceError);
assert(error.isUnbegun, error.message);
Deno.removeSync(filler);
const { workspace, write } = await open();
await write("new.txt", "new\n");
assertEquals((await workspace.finish(DONE)).facts.files, 1);
