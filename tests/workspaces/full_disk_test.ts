import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { denoArgs, ROOT } from "../support/project.ts";
import { TestRepository } from "./repository.ts";

/** Words before a program whose temporary folder is a disk of 16 MB. */
function onSmallDisk(folder: string, words: readonly string[]): Deno.Command {
  const script = 'mount -t tmpfs -o size=16m tmpfs "$1" && export TMPDIR="$1"' +
    ' && shift && exec "$@"';
  const args = ["-rm", "sh", "-c", script, "sh", folder, ...words];
  return new Deno.Command("unshare", { args, cwd: ROOT });
}

async function canMount(): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  try {
    return (await onSmallDisk(folder, ["true"]).output()).success;
  } catch {
    return false; // No such program.
  } finally {
    await Deno.remove(folder);
  }
}

const hasSmallDisk = await canMount();
const name = "a task waits while the disk is full, and begins when it is not";

Deno.test({
  name: hasSmallDisk ? name : `${name} (no right to mount a small disk here)`,
  ignore: !hasSmallDisk,
  async fn() {
    await using repo = await TestRepository.make();
    const random = new Uint8Array(5_000_000);
    for (let at = 0; at < random.length; at += 50_000) {
      crypto.getRandomValues(random.subarray(at, at + 50_000));
    }
    await Deno.writeFile(join(repo.path, "large.bin"), random);
    await repo.commit("Large");
    const before = await repo.snapshot();
    const folder = join(repo.base, "disk");
    await Deno.mkdir(folder);
    const { success, stderr } = await onSmallDisk(folder, [
      Deno.execPath(),
      ...denoArgs("tests/workspaces/full_disk.ts", { permissions: ["-A"] }),
      repo.path,
      repo.base,
    ]).output();
    assert(success, new TextDecoder().decode(stderr).slice(0, 20_000));
    assertEquals(await repo.snapshot(), before);
  },
});
