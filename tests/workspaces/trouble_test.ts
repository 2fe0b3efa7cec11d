import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import { workspaceWarnings } from "../../lib/workspaces/check.ts";
import { keptIn, look } from "../../lib/workspaces/removal.ts";
import { workspaceConfig } from "../../lib/workspaces/config.ts";
import { folderError, WorkspaceError } from "../../lib/workspaces/error.ts";
import { type OpenOptions, TestRepository } from "./repository.ts";

const DONE = { kind: "completed" } as const;
const ID = "550e8400-e29b-41d4-a716-446655440000";
const BRANCH = "agent/mend-it-550e8400";

/** The message of an error that costs no attempt. */
async function refusal(
  repo: TestRepository,
  options: OpenOptions = {},
): Promise<string> {
  const error = await assertRejects(() => repo.open(options), WorkspaceError);
  assert(error.isUnbegun, error.message);
  return error.message;
}

/** Opens it, works there, and brings that to its branch. */
async function assertWorks(
  repo: TestRepository,
  options: OpenOptions = {},
): Promise<void> {
  const before = await repo.snapshot();
  const { workspace, write } = await repo.open(options);
  await write("new.txt", "new\n");
  const { facts } = await workspace.finish(DONE);
  assertEquals(facts.commits, 1);
  assertEquals(await repo.git("show", `${facts.branch}:new.txt`), "new");
  assertEquals(await repo.snapshot(), before);
}

Deno.test("a detached HEAD is what a branch begins at", async () => {
  await using repo = await TestRepository.make();
  await repo.commit("More");
  await repo.git("checkout", "-q", "--detach", "HEAD~1");
  const head = await repo.git("rev-parse", "HEAD");
  const { workspace } = await repo.open();
  assertEquals(workspace.facts.base, head);
  assertEquals(workspace.facts.baseCommit, head);
});

Deno.test("a bare repository has worktrees too", async () => {
  await using source = await TestRepository.make();
  await using repo = await TestRepository.make({
    isBare: true,
    name: "app.git",
  });
  await source.git("push", "-q", repo.path, "main");
  await assertWorks(repo);
});

Deno.test("a path may have spaces, quotes and all of Unicode", async () => {
  await using repo = await TestRepository.make({
    name: "Größe 'x' \"y\" 日本 🎉",
  });
  await assertWorks(repo, {
    config: { folder: "Wörk ing" },
    task: { instruction: "修正 the Größe!" },
  });
});

Deno.test("a repository without commits is refused", async () => {
  await using repo = await TestRepository.make({ hasCommits: false });
  const before = await repo.snapshot();
  assertEquals(
    await refusal(repo),
    `Cannot begin a branch in ${repo.path}: it has no commits yet. ` +
      "Commit something.",
  );
  assertStringIncludes(
    await refusal(repo, { config: { mode: "clone" } }),
    "it has no commits yet",
  );
  assertEquals(await repo.snapshot(), before);
});

Deno.test("what is no repository, or has no such base, is refused", async () => {
  await using repo = await TestRepository.make();
  const empty = join(repo.base, "empty");
  await Deno.mkdir(empty);
  assertEquals(
    await refusal(repo, { config: { git: "empty" } }),
    `Cannot use the repository ${empty}: it is none. Run: git init "${empty}"`,
  );
  assertStringIncludes(
    await refusal(repo, { config: { base: "develop" } }),
    "develop is no branch, tag or commit there. Give another base.",
  );
});

Deno.test("a worktree has submodules where its setup brings them", async () => {
  await using inner = await TestRepository.make({ name: "inner" });
  await using repo = await TestRepository.make();
  const allow = ["-c", "protocol.file.allow=always"];
  await repo.git(...allow, "submodule", "--quiet", "add", inner.path, "inner");
  await repo.commit("Add inner");
  await assertWorks(repo, {
    config: {
      setup: ["git", ...allow, "submodule", "--quiet", "update", "--init"],
    },
  });
  const path = join(repo.base, "work", ID, "inner", "README.md");
  assertEquals(await Deno.readTextFile(path), "# App\n");
});

Deno.test("pointers of LFS stay pointers where there is no git-lfs", async () => {
  await using repo = await TestRepository.make();
  const pointer = "version https://git-lfs.github.com/spec/v1\n" +
    `oid sha256:${"0".repeat(64)}\nsize 12\n`;
  await repo.write(
    ".gitattributes",
    "*.bin filter=lfs diff=lfs merge=lfs -text\n",
  );
  await repo.write("large.bin", pointer);
  await repo.commit("Large");
  await assertWorks(repo);
  const path = join(repo.base, "work", ID, "large.bin");
  assertEquals(await Deno.readTextFile(path), pointer);
});

Deno.test("a lock of another git is waited for, and named where it stays", async () => {
  await using repo = await TestRepository.make();
  const lock = join(repo.path, ".git/refs/heads", `${BRANCH}.lock`);
  await Deno.mkdir(join(lock, ".."), { recursive: true });
  await Deno.writeTextFile(lock, "");
  assertEquals(
    await refusal(repo),
    `Cannot make a worktree at ${join(repo.base, "work", ID)}: ` +
      `git update-ref failed: ${lock} is left from a git that was killed, or ` +
      "one is at work. Remove it if no git runs there.",
  );
  const opening = repo.open();
  await Deno.remove(lock);
  await opening;
});

Deno.test("locks that a killed run left in its worktree are no matter", async () => {
  await using repo = await TestRepository.make();
  const first = await repo.open();
  const { gitDir } = first.workspace;
  const commonDir = join(repo.path, ".git");
  for (
    const lock of [
      join(gitDir, "index.lock"),
      join(commonDir, "refs/heads", `${BRANCH}.lock`),
    ]
  ) {
    await Deno.writeTextFile(lock, "");
    await Deno.utime(lock, 1_000_000_000, 1_000_000_000);
  }
  await first.write("new.txt", "new\n");
  const { workspace } = await repo.open(first);
  assertEquals((await workspace.finish(DONE)).facts.commits, 1);
});

Deno.test("a branch that is the user's is not taken", async () => {
  await using repo = await TestRepository.make();
  await repo.git("branch", BRANCH);
  const before = await repo.git("show-ref");
  for (const mode of ["worktree", "clone"]) {
    const error = await assertRejects(
      () => repo.open({ config: { mode } }),
      WorkspaceError,
      `Cannot make the branch ${BRANCH} in ${repo.path}: there is one of this name`,
    );
    assert(!error.retryable);
    // Nor is one that somebody wrote into the trace.
    if (mode === "worktree") {
      await repo.git("branch", "mine");
      const workspace = {
        repo: repo.path,
        host: "here",
        path: "/none",
        branch: "mine",
        base: "main",
        baseCommit: "1",
      };
      await assertRejects(
        () => repo.open({ trace: { workspace } }),
        WorkspaceError,
        "Cannot make the branch mine",
      );
      await repo.git("branch", "-d", "mine");
    }
    // Also not at the second look.
    await assertRejects(
      () => repo.open({ config: { mode } }),
      WorkspaceError,
      BRANCH,
    );
  }
  assertEquals(await repo.git("show-ref"), before);
});

Deno.test("a name that git does not take is refused", async () => {
  await using repo = await TestRepository.make();
  await assertRejects(
    () => repo.open({ config: { branch: "agent/{slug}.lock" } }),
    WorkspaceError,
    "Cannot make the branch agent/mend-it.lock: git takes no such name.",
  );
  await assertRejects(
    () => repo.open({ config: { branch: "agent/{number}" } }),
    WorkspaceError,
    "Cannot fill {number} into agent/{number}: the task has no such target.",
  );
});

Deno.test("what something else has put where the worktree is to be, stays", async () => {
  await using repo = await TestRepository.make();
  const path = join(repo.base, "work", ID);
  await Deno.mkdir(path, { recursive: true });
  await Deno.writeTextFile(join(path, "precious"), "");
  assertStringIncludes(await refusal(repo), "something else is there");
  await Deno.stat(join(path, "precious"));
});

Deno.test("work on a machine that is gone is not begun anew", async () => {
  await using repo = await TestRepository.make();
  const { workspace: { facts } } = await repo.open();
  const workspace = { ...facts, host: "other", path: "/gone/x" };
  assertStringIncludes(
    await refusal(repo, { trace: { workspace } }),
    `Cannot go on with ${BRANCH}: its worktree is on the machine other, at /gone/x.`,
  );
});

Deno.test("a worktree that somebody has removed is not made anew over its work", async () => {
  await using repo = await TestRepository.make();
  const first = await repo.open();
  await Deno.rename(first.workspace.path, join(repo.base, "away"));
  assertStringIncludes(await refusal(repo, first), "is gone");
  await Deno.rename(join(repo.base, "away"), first.workspace.path);
  await repo.open(first);
});

Deno.test("many tasks begin in one repository at the same time", async () => {
  await using repo = await TestRepository.make();
  const before = await repo.snapshot();
  const ids = Array.from({ length: 8 }, () => crypto.randomUUID());
  const commits = await Promise.all(ids.map(async (id) => {
    const { workspace, write } = await repo.open({ task: { id } });
    await write(`${id}.txt`, "new\n");
    return (await workspace.finish(DONE)).facts.commits;
  }));
  assertEquals(commits, ids.map(() => 1));
  assertEquals(await repo.snapshot(), before);
});

Deno.test("an identity is asked for before the work", async () => {
  await using repo = await TestRepository.make({ hasIdentity: false });
  assertStringIncludes(
    await refusal(repo),
    `Cannot commit in ${repo.path}: git does not know who you are. Run: git config`,
  );
  await repo.open({ config: { uncommitted: "leave" } });
});

Deno.test("no more folders are made than may be", async () => {
  await using repo = await TestRepository.make();
  const config = { maxWorkspaces: 1 };
  const first = await repo.open({ config });
  const other = { id: crypto.randomUUID() };
  assertStringIncludes(
    await refusal(repo, { config, task: other }),
    "it has 1 folder, and is to have no more",
  );
  assertStringIncludes(
    await refusal(repo, { config: { maxBytes: "1B" }, task: other }),
    "and is to have no more",
  );
  await repo.open({ ...first, config });
});

Deno.test("tasks that begin together have no more folders than may be", async () => {
  await using repo = await TestRepository.make();
  const config = { maxWorkspaces: 2 };
  const ids = Array.from({ length: 6 }, () => crypto.randomUUID());
  const begun = await Promise.allSettled(
    ids.map((id) => repo.open({ config, task: { id } })),
  );
  const made = begun.flatMap((it) =>
    it.status === "fulfilled" ? [it.value] : []
  );
  assertEquals(made.length, 2);
  // One that somebody has removed by hand is none.
  await Deno.remove(made[0]!.workspace.path, { recursive: true });
  await repo.open({ config, task: { id: crypto.randomUUID() } });
});

Deno.test("a clone passes over what the user's own git does", async () => {
  await using repo = await TestRepository.make();
  await repo.write(".git/info/exclude", "local.txt\n");
  const { workspace, write } = await repo.open({ config: { mode: "clone" } });
  await write("local.txt", "mine\n");
  await write("new.txt", "new\n");
  assertEquals((await workspace.finish(DONE)).facts.files, 1);
});

Deno.test("where no folder may be written, a task waits, and words say why", async () => {
  await using repo = await TestRepository.make();
  const folder = "/proc/agent-runner";
  const message = await refusal(repo, { parts: { folder } });
  assertStringIncludes(message, `Cannot make a worktree at ${folder}/${ID}: `);
  assert(!message.includes("--allow"), message);
  for (
    const [error, words] of [
      [new Deno.errors.NotCapable("run again with --allow-all"), "no right"],
      [new Deno.errors.PermissionDenied("os error 13"), "no right"],
      [Object.assign(new Error("x"), { code: "EROFS" }), "read-only"],
    ] as const
  ) assertStringIncludes(folderError(error), words);
});

Deno.test("no folder is made in the repository's own", async () => {
  await using repo = await TestRepository.make();
  await Deno.symlink(repo.path, join(repo.base, "link"));
  for (const it of ["app/work", "app", "app/.git/x", "link/a/b"]) {
    const folder = join(repo.base, it);
    const said = `Cannot use the folder ${folder}: it is in the repository ` +
      `${repo.path}. Give the workspace a folder outside of that.`;
    assertEquals(await refusal(repo, { parts: { folder } }), said);
    const config = workspaceConfig.parse({ git: repo.path });
    assertEquals(
      await workspaceWarnings(config, { baseFolder: repo.base, folder: it }),
      [said],
    );
  }
  const folder = join(repo.base, "app-work");
  await repo.open({ parts: { folder } });
});

Deno.test("a branch of a person's is never to be deleted", async () => {
  await using repo = await TestRepository.make();
  const workspace = { branch: "main" };
  await assertRejects(
    () => repo.open({ task: { workspace } }),
    WorkspaceError,
    `Cannot make the branch main in ${repo.path}: there is one of this name ` +
      "already. Give the task another: --branch NAME",
  );
});

Deno.test("a task whose folder is gone is told so, and not of git", async () => {
  await using repo = await TestRepository.make();
  const { workspace } = await repo.open();
  await Deno.remove(workspace.path, { recursive: true });
  const error = await assertRejects(() => workspace.finish(DONE), Error);
  assertEquals(
    error.message,
    `Cannot run git in ${workspace.path}: that folder is gone.`,
  );
});

Deno.test("what is to be copied and is not there is left out, with a word", async () => {
  await using repo = await TestRepository.make();
  const said: string[] = [];
  const { workspace, write } = await repo.open({
    config: { copy: [".env", "conf/x"] },
    parts: { progress: (it) => said.push(it) },
  });
  assertEquals(
    said,
    [".env", "conf/x"].map((it) =>
      `Not copied: ${join(repo.path, it)} is not there`
    ),
  );
  await write(".env", "SECRET=1\n");
  assertEquals((await workspace.finish(DONE)).facts.commits, 0);
});

Deno.test("a branch is named by the first line of an instruction", async () => {
  await using repo = await TestRepository.make();
  const { workspace } = await repo.open({
    task: { instruction: "\nMend it\n\nIt is broken" },
  });
  assertEquals(workspace.facts.branch, BRANCH);
});

Deno.test("a worktree that git has forgotten is made known to it again, as it is", async () => {
  await using repo = await TestRepository.make();
  const first = await repo.open();
  await first.write("new.txt", "new\n");
  await first.workspace.finish(DONE);
  await first.write("README.md", "changed\n");
  await Deno.remove(join(first.workspace.path, ".git"));
  await repo.git("worktree", "prune", "--expire=now");
  await repo.letGo();
  const [kept] = await keptIn(join(repo.base, "work"));
  assertStringIncludes(
    (await look(kept!)).lost.join(),
    `git has forgotten this worktree of ${repo.path}`,
  );
  await repo.git("switch", "-q", BRANCH);
  assertStringIncludes(await refusal(repo, first), "is gone");
  await repo.git("switch", "-q", "main");
  const { workspace, git } = await repo.open(first);
  assertEquals(await git("status", "--porcelain"), " M README.md");
  const { facts } = await workspace.finish(DONE);
  assertEquals([facts.commits, facts.files], [2, 2]);
  assertEquals(await repo.git("worktree", "prune", "--dry-run"), "");
  assertEquals(
    await repo.git("log", "--format=%s", `main..${BRANCH}`),
    "Mend it\nMend it",
  );
});
