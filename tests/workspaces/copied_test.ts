import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { copyInto } from "../../lib/workspaces/copied.ts";
import { WorkspaceError } from "../../lib/workspaces/error.ts";

Deno.test("copyInto() writes nothing where a link of the branch leads", async () => {
  const base = await Deno.makeTempDir();
  const write = async (path: string, text: string) => {
    await Deno.mkdir(join(base, path, ".."), { recursive: true });
    await Deno.writeTextFile(join(base, path), text);
  };
  const read = (path: string) => Deno.readTextFile(join(base, path));
  try {
    await write("from/a/b/c", "new");
    await write("from/.env", "new");
    await write("users/b/c", "old");
    await write("users/d", "old");
    await Deno.mkdir(join(base, "to"));
    const [from, to] = [join(base, "from"), join(base, "to")];
    await Deno.symlink("../users", join(to, "a"));
    await Deno.symlink("../users/d", join(to, ".env"));
    for (const path of ["a/b/c", ".env"]) {
      await assertRejects(
        () => copyInto(to, [path], { from }),
        WorkspaceError,
        "is a symbolic link there",
      );
    }
    assertEquals([await read("users/b/c"), await read("users/d")], [
      "old",
      "old",
    ]);
    await Deno.remove(join(to, "a"));
    await copyInto(to, ["a/b/c"], { from });
    assertEquals(await read("to/a/b/c"), "new");
  } finally {
    await Deno.remove(base, { recursive: true });
  }
});
