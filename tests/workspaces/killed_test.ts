import { assert, assertEquals } from "@std/assert";
import { denoArgs, ROOT } from "../support/project.ts";
import { TestRepository } from "./repository.ts";

const DONE = { kind: "completed" } as const;

for (const mode of ["worktree", "clone"]) {
  Deno.test(`a ${mode} is whole, whenever its runners were killed`, async () => {
    await using repo = await TestRepository.make();
    for (let file = 0; file < 50; file++) {
      await repo.write(`files/${file}.txt`, "text\n".repeat(100));
    }
    await repo.commit("Many files");
    const before = await repo.snapshot();
    for (const delayMs of [0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100]) {
      await killedAfter(delayMs, [repo.path, repo.base, mode]);
    }
    const { workspace, write } = await repo.open({ config: { mode } });
    await write("new.txt", "new\n");
    await write("last.txt", "new\n");
    const { facts } = await workspace.finish(DONE);
    assert(facts.commits === 1 || facts.commits === 2, `${facts.commits}`);
    assertEquals(facts.files, 2);
    assertEquals(await repo.snapshot(), before);
    assertEquals(await repo.git("fsck", "--no-dangling"), "");
  });
}

/** Kills one so long after it has begun. */
async function killedAfter(
  delayMs: number,
  args: readonly string[],
): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...denoArgs("tests/workspaces/open_one.ts", { permissions: ["-A"] }),
      ...args,
    ],
    cwd: ROOT,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read(); // It says that it begins.
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
}
