import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { keptIn, look, remove } from "../../lib/workspaces/removal.ts";
import { type OpenedForTest, TestRepository } from "./repository.ts";

const DONE = { kind: "completed" } as const;
const BRANCH = "agent/mend-it-550e8400";
const REFUSED =
  "It is not done yet: n is a repository of its own, of which git " +
  "would keep nothing. Remove n/.git, or add it as a submodule.";

/** What an agent may do. */
async function nest(
  repo: TestRepository,
  { workspace: { path } }: OpenedForTest,
): Promise<string> {
  const nested = join(path, "n");
  await Deno.mkdir(nested);
  await repo.gitIn(nested, "init", "-q");
  await Deno.writeTextFile(join(nested, "1"), "1\n");
  await repo.gitIn(nested, "add", ".");
  const user = ["-c", "user.name=A", "-c", "user.email=a@b"];
  await repo.gitIn(nested, ...user, "commit", "-q", "-m", "n");
  return nested;
}

Deno.test("a repository within the folder is no work, committed or not", async () => {
  await using repo = await TestRepository.make();
  for (const uncommitted of ["commit", "fail"]) {
    const opened = await repo.open({
      config: { uncommitted },
      task: { id: crypto.randomUUID() },
    });
    const nested = await nest(repo, opened);
    const { workspace, git } = opened;
    const { facts } = workspace;
    assertEquals(await workspace.finish(DONE), { because: REFUSED, facts });
    await git("add", "--all");
    await git("commit", "-q", "-m", "It");
    assertEquals(await workspace.finish(DONE), { because: REFUSED, facts });
    await Deno.remove(join(nested, ".git"), { recursive: true });
    await git("rm", "-q", "--cached", "n");
    await git("add", "n");
    await git("commit", "-q", "-m", "Its files");
    assertEquals("outcome" in await workspace.finish(DONE), true);
    assertEquals(await repo.git("show", `${facts.branch}:n/1`), "1");
  }
});

Deno.test("a link to a commit of a repository that is not there is no work", async () => {
  await using repo = await TestRepository.make();
  const { workspace, git } = await repo.open();
  const { facts } = workspace;
  await git(
    "update-index",
    "--add",
    "--cacheinfo",
    `160000,${facts.baseCommit},n`,
  );
  assertEquals(await workspace.finish(DONE), {
    because: "It is not done yet: n is a link to a commit of another " +
      "repository, and no submodule. Say in .gitmodules where that is, or " +
      "remove it: git rm --cached n",
    facts,
  });
});

Deno.test("what a repository within the folder has, is lost with it", async () => {
  await using repo = await TestRepository.make();
  const opened = await repo.open();
  const nested = await nest(repo, opened);
  await opened.git("add", "--all");
  await opened.git("commit", "-q", "-m", "It");
  await repo.git("merge", "-q", BRANCH);
  await repo.letGo();
  const [kept] = await keptIn(join(repo.base, "work"));
  const said = "n is a repository of its own";
  assertEquals((await look(kept!)).lost, [said]);
  assertEquals(await remove(kept!), said);
  // As a submodule that is there only, too.
  await Deno.writeTextFile(
    join(opened.workspace.path, ".gitmodules"),
    '[submodule "n"]\n\tpath = n\n\turl = ./n\n',
  );
  await opened.git("add", "--all");
  await opened.git("commit", "-q", "-m", "As one");
  await repo.git("merge", "-q", BRANCH);
  assertEquals(
    await remove(kept!),
    "commits of submodules that are not pushed",
  );
  await Deno.stat(join(nested, ".git"));
});
