import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { mergeWorkspace } from "../../lib/workspaces/merging.ts";
import { keptIn, look, remove } from "../../lib/workspaces/removal.ts";
import { sampleTask } from "../support/sample_task.ts";
import { type OpenedForTest, TestRepository } from "./repository.ts";

const DONE = { kind: "completed" } as const;
const BRANCH = "agent/mend-it-550e8400";

/** What would be lost with the only folder, or why nothing. */
async function lookAt(repo: TestRepository) {
  await repo.letGo();
  const [kept] = await keptIn(join(repo.base, "work"));
  const found = await look(kept!);
  return {
    kept: kept!,
    found,
    said: found.safe ?? [...found.lost, ...found.stays].join("; "),
  };
}

async function withWork(
  repo: TestRepository,
  config = {},
): Promise<OpenedForTest> {
  const opened = await repo.open({ config });
  await opened.write("new.txt", "new\n");
  await opened.workspace.finish(DONE);
  return opened;
}

Deno.test("what is merged goes, with its branch, and leaves nothing behind", async () => {
  await using repo = await TestRepository.make();
  await withWork(repo);
  assertEquals(
    (await lookAt(repo)).said,
    `1 commit only on ${BRANCH}, not in main and not pushed`,
  );
  await repo.git("merge", "-q", BRANCH);
  const before = await repo.snapshot();
  const { kept, found, said } = await lookAt(repo);
  assertEquals(said, "merged into main");
  assertEquals(await remove(kept, found.lost), undefined);
  assertEquals(await repo.snapshot(), before);
  assertEquals(await repo.git("branch", "--list"), "* main");
  assertEquals(await repo.git("worktree", "prune", "--dry-run"), "");
  assertEquals([...Deno.readDirSync(join(repo.base, "work"))], []);
});

Deno.test("what was rebased onto its base goes as what was merged, and what git kept of that", async () => {
  await using repo = await TestRepository.make();
  const { workspace } = await withWork(repo, { mergeBy: "rebase" });
  await repo.write("other.txt", "theirs\n");
  await repo.commit("Theirs");
  await mergeWorkspace(workspace, {
    task: sampleTask(),
    verify: undefined,
    stop: new AbortController().signal,
  });
  assertEquals(
    await repo.git("log", "--format=%s", "main"),
    "Mend it\nTheirs\nBegin",
  );
  const { kept, found, said } = await lookAt(repo);
  assertEquals(said, "merged into main");
  assertEquals(await remove(kept, found.lost), undefined);
  assertEquals(
    await repo.git("for-each-ref", "--format=%(refname)"),
    "refs/heads/main",
  );
});

Deno.test("what is not committed, or on no branch, is lost with a folder", async () => {
  await using repo = await TestRepository.make();
  const { write, git } = await repo.open();
  assertEquals((await lookAt(repo)).said, "without a commit of its own");
  await write("draft.txt", "x");
  await write("other.txt", "x");
  assertEquals(
    (await lookAt(repo)).said,
    "2 files not committed: draft.txt, other.txt",
  );
  await git("checkout", "-q", "--detach");
  await git("add", "--all");
  await git("commit", "-q", "-m", "Adrift");
  assertEquals(
    (await lookAt(repo)).said,
    "1 commit only on no branch, not in main and not pushed",
  );
});

Deno.test("what is clean and pushed goes; by force all goes but commits of the branch", async () => {
  await using remote = await TestRepository.make({ isBare: true });
  await using repo = await TestRepository.make();
  await repo.git("remote", "add", "origin", remote.path);
  const { git } = await withWork(repo);
  await git("push", "-q", "origin", BRANCH);
  assertEquals((await lookAt(repo)).said, `pushed to origin/${BRANCH}`);
  await git("commit", "-q", "--allow-empty", "-m", "More");
  const { kept, found } = await lookAt(repo);
  assertEquals(found.safe, undefined);
  assertEquals(await remove(kept, [...found.lost, ...found.stays]), undefined);
  assertEquals(await repo.git("log", "-1", "--format=%s", BRANCH), "More");
});

Deno.test("a branch that is checked out elsewhere stays", async () => {
  await using repo = await TestRepository.make();
  const { git } = await withWork(repo);
  await git("checkout", "-q", "--detach");
  await repo.git("checkout", "-q", BRANCH);
  await repo.git("branch", "-f", "main", BRANCH);
  const { kept, found } = await lookAt(repo);
  assertEquals(await remove(kept, found.lost), undefined);
  assertEquals(await repo.git("branch", "--show-current"), BRANCH);
});

Deno.test("of a clone, all branches and stashes count", async () => {
  await using repo = await TestRepository.make();
  const { git, write } = await withWork(repo, { mode: "clone" });
  const only = `1 commit only on ${BRANCH}, not in main and not pushed`;
  assertEquals((await lookAt(repo)).said, only);
  await write("new.txt", "changed\n");
  await git("stash", "-q");
  assertEquals((await lookAt(repo)).said, `1 stashed change; ${only}`);
  await git("stash", "drop", "-q");
  // As a merge by others brings it there.
  await repo.git(
    "fetch",
    "-q",
    join(repo.base, "work", (await lookAt(repo)).kept.task),
    BRANCH,
  );
  await repo.git("merge", "-q", "FETCH_HEAD");
  const { kept, found, said } = await lookAt(repo);
  assertEquals(said, `on main of ${repo.path}`);
  assertEquals(await remove(kept, found.lost), undefined);
  await assertRejects(() => Deno.stat(kept.path), Deno.errors.NotFound);
});

Deno.test("a folder of which the repository is gone is not removed unasked", async () => {
  await using repo = await TestRepository.make();
  await repo.open();
  await Deno.rename(repo.path, `${repo.path}-away`);
  const { found, kept } = await lookAt(repo);
  assertEquals(found.lost, [
    `all that is in it: the repository ${repo.path} is gone`,
  ]);
  assertEquals(await remove(kept, found.lost), undefined);
  assertEquals(await keptIn(join(repo.base, "work")), []);
});

Deno.test("a folder in which a task works stays, and what came there since it was looked at", async () => {
  await using repo = await TestRepository.make();
  await repo.open();
  const { kept } = await lookAt(repo);
  const { workspace, write } = await repo.open();
  await write("new.txt", "new\n");
  assertEquals(await remove(kept), "a task works there just now");
  await workspace.close();
  assertEquals(await remove(kept), "1 file not committed: new.txt");
  assertEquals(
    await remove({ ...kept, task: "another" }),
    "task 550e8400 goes on there",
  );
  await Deno.stat(join(kept.path, "new.txt"));
});

Deno.test("what a merge kept goes with the folder; what only a submodule has is lost", async () => {
  await using part = await TestRepository.make({ name: "part" });
  await using repo = await TestRepository.make();
  const { git, workspace } = await repo.open();
  const kept = `refs/agent-runner/merges/${(await lookAt(repo)).kept.task}/1`;
  await repo.git("update-ref", kept, "main");
  const add = ["submodule", "--quiet", "add", part.path, "part"];
  await git("-c", "protocol.file.allow=always", ...add);
  await workspace.finish(DONE);
  await repo.git("merge", "-q", BRANCH);
  assertEquals((await lookAt(repo)).said, "merged into main");
  const commit = ["commit", "-q", "--allow-empty", "-m", "Only here"];
  await git(
    "-C",
    "part",
    "-c",
    "user.name=A",
    "-c",
    "user.email=a@b",
    ...commit,
  );
  await workspace.finish(DONE);
  await repo.git("merge", "-q", BRANCH);
  const { kept: folder, said } = await lookAt(repo);
  assertEquals(said, "commits of submodules that are not pushed");
  assertEquals(await remove(folder), said);
  assertEquals(await remove(folder, [said]), undefined);
  assertEquals(await repo.git("for-each-ref", "refs/agent-runner"), "");
});

Deno.test("what another branch of the repository has is not lost, and the task's own stays", async () => {
  await using repo = await TestRepository.make();
  const { git } = await repo.open();
  await git("switch", "-q", "-c", "o");
  await git("commit", "-q", "--allow-empty", "-m", "On o");
  assertEquals((await lookAt(repo)).said, "on o");
  await git("switch", "-q", BRANCH);
  await git("merge", "-q", "o");
  const { kept, said } = await lookAt(repo);
  assertEquals(said, "on o");
  assertEquals(await remove(kept), undefined);
  assertEquals(
    await repo.git("log", "-1", "--format=%s", BRANCH),
    "On o",
  );
});

Deno.test("files that git ignores are named, unless setup or copy made them", async () => {
  await using repo = await TestRepository.make();
  await repo.write(".gitignore", "*.log\nmodules/\n.env\n");
  await repo.commit("Ignore");
  await repo.write(".env", "SECRET=1\n");
  const config = {
    copy: [".env"],
    setup: ["sh", "-c", "mkdir modules; echo 1 > modules/a; echo 1 > set.log"],
  };
  const { write, workspace } = await repo.open({ config });
  await workspace.finish(DONE);
  assertEquals((await lookAt(repo)).said, "without a commit of its own");
  await write("modules/b", "2\n");
  await write("report.log", "work\n");
  const { kept, said } = await lookAt(repo);
  assertEquals(said, "what git ignores: report.log");
  assertEquals(await remove(kept), said);
  await withWork(repo, config);
  await repo.git("merge", "-q", BRANCH);
  const { found } = await lookAt(repo);
  assertEquals(found, {
    safe: "merged into main",
    lost: [],
    stays: [],
    ignored: "what git ignores: report.log",
  });
  assertEquals(await remove(kept, found.lost), undefined);
});

Deno.test("a base that is a commit is said by its first digits", async () => {
  await using repo = await TestRepository.make();
  const head = await repo.git("rev-parse", "HEAD");
  await repo.git("checkout", "-q", "--detach");
  const { notes } = await withWork(repo);
  const { said } = await lookAt(repo);
  assertEquals(
    said,
    `1 commit only on ${BRANCH}, not in ${head.slice(0, 7)} and not pushed`,
  );
  assertEquals(notes.flat().filter((it) => it.includes(head)), []);
});
