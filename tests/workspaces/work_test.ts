import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import type { Finished } from "../../lib/workspaces/workspace.ts";
import { readChanges } from "../../lib/workspaces/diff.ts";
import { WorkspaceError } from "../../lib/workspaces/error.ts";
import { keptIn, remove } from "../../lib/workspaces/removal.ts";
import { sampleTask } from "../support/sample_task.ts";
import { TestRepository } from "./repository.ts";

const DONE = { kind: "completed" } as const;
const BRANCH = "agent/mend-it-550e8400";

/** Why the work is not done. */
function because(finished: Finished): string {
  return "because" in finished ? finished.because : "";
}

/** What was not as it should be. */
function warning({ outcome }: { outcome?: unknown } & Finished): string {
  const { warning = "" } = outcome as { readonly warning?: string };
  return warning;
}

Deno.test("a task that changes nothing is done, and that is said", async () => {
  await using repo = await TestRepository.make();
  const { workspace, notes } = await repo.open();
  const finished = await workspace.finish(DONE);
  assertEquals("outcome" in finished && finished.outcome, DONE);
  assertEquals(finished.facts.commits, 0);
  assertEquals(notes.at(-1), [
    "workspace",
    `${BRANCH} has nothing that main has not`,
  ]);
});

Deno.test("what is uncommitted may stay so, or be refused", async () => {
  await using repo = await TestRepository.make();
  const left = await repo.open({ config: { uncommitted: "leave" } });
  await left.write("new.txt", "new\n");
  const finished = await left.workspace.finish(DONE);
  assertEquals(warning(finished), "Left uncommitted: new.txt");
  assertEquals(finished.facts.commits, 0);
  const refused = await repo.open({ ...left, config: { uncommitted: "fail" } });
  assertEquals(
    because(await refused.workspace.finish(DONE)),
    "It is not done yet: this is not committed: new.txt. Commit it, or remove it.",
  );
});

Deno.test("a hook of the user's has a say, unless it is passed over", async () => {
  await using repo = await TestRepository.make();
  const hook = join(repo.path, ".git/hooks/pre-commit");
  // It gets what the task's programs get, and nothing more of the runner's.
  await Deno.writeTextFile(
    hook,
    '#!/bin/sh\necho "no: $SECRET_OF_RUNNER"; exit 1\n',
    {
      mode: 0o755,
    },
  );
  Deno.env.set("SECRET_OF_RUNNER", "secret");
  const first = await repo.open();
  await first.write("new.txt", "new\n");
  const refused = await first.workspace.finish(DONE);
  Deno.env.delete("SECRET_OF_RUNNER");
  assertEquals(
    because(refused),
    "It can't be committed: git commit failed: no:",
  );
  const { workspace } = await repo.open({
    ...first,
    config: { noVerify: true },
  });
  assertEquals((await workspace.finish(DONE)).facts.commits, 1);
});

Deno.test("work that ended on another branch, or on none, comes to its own", async () => {
  await using repo = await TestRepository.make();
  const { workspace, write, git } = await repo.open();
  await git("checkout", "-q", "-b", "mine");
  await write("new.txt", "new\n");
  const finished = await workspace.finish(DONE);
  assertEquals(
    warning(finished),
    `Its work ended on the branch mine; ${BRANCH} has it now`,
  );
  assertEquals(finished.facts.commits, 1);
  assertEquals(await git("branch", "--show-current"), BRANCH);

  await git("checkout", "-q", "--detach");
  await write("more.txt", "new\n");
  const detached = await workspace.finish(DONE);
  assertStringIncludes(warning(detached), "Its work ended on no branch");
  assertEquals(detached.facts.commits, 2);

  await git("checkout", "-q", "mine");
  await write("third.txt", "new\n");
  assertStringIncludes(
    because(await workspace.finish(DONE)),
    `the branch mine is checked out, and has not all that ${BRANCH} has.`,
  );
});

Deno.test("conflicts and rebases that are under way are not committed", async () => {
  await using repo = await TestRepository.make();
  const { workspace, write, git } = await repo.open();
  await write("README.md", "# Mine\n");
  await workspace.finish(DONE);
  await repo.write("README.md", "# Theirs\n");
  await repo.commit("Theirs");
  await assertRejects(() => git("merge", "-q", "main"));
  assertEquals(
    because(await workspace.finish(DONE)),
    "It is not done yet: there are conflicts in README.md. Resolve and commit them.",
  );
  await git("merge", "--abort");
  await assertRejects(() => git("rebase", "-q", "main"));
  assertStringIncludes(
    because(await workspace.finish(DONE)),
    "a rebase is under way",
  );
  await write("README.md", "# Both\n");
  await git("add", "README.md");
  await git("-c", "core.editor=true", "rebase", "--continue");
  const { facts } = await workspace.finish(DONE);
  assertEquals(facts.commits, 1);
  assertEquals(facts.baseCommit, await repo.git("rev-parse", "main"));
});

Deno.test("what an agent writes into .git leads git of ours nowhere else", async () => {
  await using repo = await TestRepository.make();
  await using other = await TestRepository.make();
  const { workspace, write, ...opened } = await repo.open();
  await other.git("config", "core.fsmonitor", `touch ${repo.base}/run`);
  await write(".git", `gitdir: ${other.path}/.git\n`);
  await write("new.txt", "new\n");
  const { facts } = await workspace.finish(DONE);
  assertEquals(facts.commits, 1);
  assertEquals(await other.git("branch", "--list"), "* main");
  await assertRejects(
    () => Deno.stat(join(repo.base, "run")),
    Deno.errors.NotFound,
  );
  const again = await repo.open(opened);
  assertEquals(await again.git("branch", "--show-current"), BRANCH);
});

Deno.test("a clone has all in it, and leaves the repository as it is", async () => {
  await using repo = await TestRepository.make();
  const before = await repo.snapshot();
  const config = { mode: "clone" };
  const { workspace, write, git, ...opened } = await repo.open({ config });
  assert((await Deno.stat(join(workspace.path, ".git"))).isDirectory);
  await write("new.txt", "new\n");
  const { facts } = await workspace.finish(DONE);
  assertEquals(facts.commits, 1);
  assertEquals(facts.base, "main");
  assertEquals(await git("log", "-1", "--format=%an"), "A User");
  assertEquals(await repo.snapshot(), before);
  const again = await repo.open({ ...opened, config });
  assertEquals(again.workspace.isNew, false);
});

Deno.test("an address is cloned, and filled with the task's target", async () => {
  await using repo = await TestRepository.make({ name: "app" });
  await repo.git("branch", "develop");
  const { workspace } = await repo.open({
    config: {
      git: `file://${repo.base}/{name}`,
      base: "develop",
      branch: "agent-task-{number}",
      uncommitted: "leave",
    },
    task: { targetRef: "octo/app#12", targetType: "issue" },
  });
  const { repo: address, branch, base } = workspace.facts;
  assertEquals([address, branch, base], [
    `file://${repo.base}/app`,
    "agent-task-12",
    "develop",
  ]);
});

Deno.test("a task says itself which repository, base and branch are meant", async () => {
  await using repo = await TestRepository.make();
  await using other = await TestRepository.make();
  await other.git("branch", "develop");
  const { workspace: { facts } } = await repo.open({
    task: {
      workspace: { repo: other.path, base: "develop", branch: "mine" },
    },
  });
  assertEquals([facts.repo, facts.base, facts.branch], [
    other.path,
    "develop",
    "mine",
  ]);
});

Deno.test("a base is fetched first, and no ref of the user's changes by it", async () => {
  await using remote = await TestRepository.make();
  await using repo = await TestRepository.make({ name: "mine" });
  await repo.git("remote", "add", "origin", remote.path);
  await repo.git("fetch", "-q", "origin");
  await repo.git("reset", "-q", "--hard", "origin/main");
  const newer = await remote.commit("Newer");
  const before = await repo.snapshot();
  const config = { fetch: true };
  const { workspace } = await repo.open({ config });
  assertEquals(workspace.facts.baseCommit, newer);
  assertEquals(await repo.snapshot(), before);
  await Deno.rename(remote.path, `${remote.path}-away`);
  const error = await assertRejects(
    () => repo.open({ config, task: { id: crypto.randomUUID() } }),
    WorkspaceError,
    "Cannot fetch main of origin",
  );
  assert(error.isUnbegun);
});

Deno.test("what is copied from the checkout is there, and never committed", async () => {
  await using repo = await TestRepository.make();
  await repo.write(".env", "SECRET=1\n");
  await repo.write("cache/a/b.txt", "cached\n");
  const { workspace, write, git } = await repo.open({
    config: { copy: [".env", "cache"] },
  });
  assertEquals(
    await Deno.readTextFile(join(workspace.path, "cache/a/b.txt")),
    "cached\n",
  );
  await write(".env", "SECRET=2\n");
  await write("new.txt", "new\n");
  await workspace.finish(DONE);
  assertEquals(await git("show", "--name-only", "--format="), "new.txt");
});

Deno.test("a folder is set up once, and again after it was cleaned up", async () => {
  await using repo = await TestRepository.make();
  const config = {
    setup: ["sh", "-c", `echo "up $AGENT_TASK_BRANCH" >> ${repo.base}/log`],
    cleanup: ["sh", "-c", `echo down >> ${repo.base}/log`],
  };
  const log = () => Deno.readTextFile(join(repo.base, "log"));
  const first = await repo.open({ config });
  const second = await repo.open({ ...first, config });
  assertEquals(await log(), `up ${BRANCH}\n`);
  await second.workspace.close();
  await repo.open({ ...second, config });
  assertEquals(await log(), `up ${BRANCH}\ndown\nup ${BRANCH}\n`);
});

Deno.test("a setup that fails is tried again, in the same folder", async () => {
  await using repo = await TestRepository.make();
  const fail = { setup: ["sh", "-c", "echo no network; exit 3"] };
  const error = await assertRejects(
    () => repo.open({ config: fail }),
    WorkspaceError,
    "no network",
  );
  assert(error.retryable && !error.isUnbegun);
  const { workspace } = await repo.open({ config: { setup: ["true"] } });
  assertEquals((await workspace.finish(DONE)).facts.commits, 0);
});

Deno.test("a task made by a retry goes on in the folder of the one before", async () => {
  await using repo = await TestRepository.make();
  const first = await repo.open();
  await first.write("new.txt", "new\n");
  await first.workspace.finish(DONE);
  await first.workspace.close();
  const trace = {
    ...first.trace,
    retry_of: first.workspace.path.split("/").at(-1)!,
  };
  const task = { id: "6ba7b810-9dad-41d1-80b4-00c04fd430c8" };
  const again = await repo.open({ trace, task });
  assertEquals(again.workspace.isNew, false);
  assertEquals(again.workspace.path, first.workspace.path);
  assertEquals(again.workspace.facts.commits, 1);
  // Of two that repeat one, the second has to find another.
  const second = { id: "16fd2706-8baf-433b-82eb-8c7fada847da" };
  const error = await assertRejects(
    () => repo.open({ trace, task: second }),
    WorkspaceError,
    `works in ${first.workspace.path} just now`,
  );
  assert(error.isUnbegun);
  await again.workspace.close();
  const own = await repo.open({ trace, task: second });
  assertEquals(own.workspace.path, join(repo.base, "work", second.id));
  assertEquals(own.workspace.facts.branch, "agent/mend-it-16fd2706");
  assertEquals(own.workspace.facts.commits, undefined);
});

Deno.test("a trace leads into no folder that is not the task's", async () => {
  await using repo = await TestRepository.make();
  const { workspace, trace } = await repo.open();
  await workspace.close();
  const task = { id: crypto.randomUUID() };
  const own = join(repo.base, "work", task.id);
  const anothers = await repo.open({ trace, task });
  assertEquals(anothers.workspace.path, own);
  const elsewhere = join(repo.base, "else", workspace.path.split("/").at(-1)!);
  await Deno.mkdir(join(repo.base, "else"));
  await Deno.rename(workspace.path, elsewhere);
  await Deno.rename(`${workspace.path}.json`, `${elsewhere}.json`);
  const led = { workspace: { ...workspace.facts, path: elsewhere } };
  await assertRejects(
    () => repo.open({ trace: led }),
    WorkspaceError,
    "already",
  );
});

Deno.test("a hook is ended with its run", async () => {
  await using repo = await TestRepository.make();
  const hook = join(repo.path, ".git/hooks/pre-commit");
  const text = `#!/bin/sh\ntouch ${repo.base}/pid\nsleep 60 & wait\n`;
  await Deno.writeTextFile(hook, text, { mode: 0o755 });
  const stop = new AbortController();
  const { workspace, write } = await repo.open({
    parts: { stop: stop.signal },
  });
  await write("new.txt", "new\n");
  const watcher = Deno.watchFs(repo.base, { recursive: false });
  const finished = workspace.finish(DONE);
  for await (const { paths } of watcher) {
    if (paths.some((it) => it.endsWith("/pid"))) break;
  }
  const begunAt = performance.now();
  stop.abort(new Error("stopped"));
  // Nothing holds its pipes any more.
  await assertRejects(() => finished, Error, "stopped");
  assert(performance.now() - begunAt < 30_000);
});

Deno.test("a commit has its message, though the runner dies while it is made", async () => {
  await using repo = await TestRepository.make();
  // What a pipe gives ends with whoever writes there.
  const bin = join(repo.base, "bin");
  const path = Deno.env.get("PATH") ?? "";
  await Deno.mkdir(bin);
  await Deno.writeTextFile(
    join(bin, "git"),
    '#!/bin/sh\nPATH=${PATH#*:} exec git "$@" </dev/null\n',
    { mode: 0o755 },
  );
  const env = { PATH: `${bin}:${path}`, HOME: join(repo.base, "home") };
  const { workspace, write, git } = await repo.open({ parts: { env } });
  await write("new.txt", "new\n");
  await workspace.finish(DONE);
  assertEquals(await git("log", "-1", "--format=%s"), "Mend it");
  assertEquals(await git("status", "--porcelain"), "");
});

Deno.test("what a killed run has left of a record is nobody else's, and goes", async () => {
  await using repo = await TestRepository.make();
  const { workspace } = await repo.open();
  const work = join(repo.base, "work");
  const { mode } = await Deno.stat(`${workspace.path}.json`);
  assertEquals((mode ?? 0) & 0o077, 0);
  await Deno.writeTextFile(`${workspace.path}.json.half`, "{");
  await repo.letGo();
  const [kept] = await keptIn(work);
  assertEquals(await remove(kept!), undefined);
  assertEquals([...Deno.readDirSync(work)], []);
});

Deno.test("of a sparse checkout, what is made outside is committed and compared", async () => {
  await using repo = await TestRepository.make();
  await repo.write("in/a", "a\n");
  await repo.write("far/b", "b\n");
  await repo.commit("Folders");
  await repo.git("sparse-checkout", "set", "--cone", "in");
  const before = await repo.snapshot();
  const { workspace, git, ...opened } = await repo.open();
  await Deno.mkdir(join(workspace.path, "out"));
  await opened.write("out/n", "n\n");
  const task = sampleTask({ traceText: JSON.stringify(opened.trace) });
  const changes = await readChanges(task);
  assertEquals(changes.files.map(({ path }) => path), ["out/n"]);
  const { paths } = await workspace.puttingBack(async () => {
    await opened.write("out/n", "other\n");
    await opened.write("out/dropped", "n\n");
  });
  assertEquals(paths, ["out/dropped", "out/n"]);
  const { facts } = await workspace.finish(DONE);
  assertEquals([facts.commits, facts.files], [1, 1]);
  assertEquals(await git("show", "HEAD:out/n"), "n");
  assertEquals(await git("show", "HEAD:far/b"), "b");
  assertEquals(await git("status", "--porcelain"), "");
  assertEquals(await repo.snapshot(), before);
});

Deno.test("what is changed within a submodule is not taken for committed", async () => {
  await using part = await TestRepository.make({ name: "part" });
  await using repo = await TestRepository.make();
  const allow = ["-c", "protocol.file.allow=always"];
  await repo.git(...allow, "submodule", "--quiet", "add", part.path, "part");
  await repo.commit("Part");
  const { workspace, write, git } = await repo.open();
  await git(...allow, "submodule", "--quiet", "update", "--init");
  await write("part/README.md", "changed\n");
  const said =
    "What is changed within part is in no commit: commit it in the " +
    "submodule, and push it";
  const finished = await workspace.finish(DONE);
  assertEquals([warning(finished), finished.facts.commits], [said, 0]);
  await write("new.txt", "new\n");
  const more = await workspace.finish(DONE);
  assertEquals([warning(more), more.facts.commits], [said, 1]);
});

Deno.test("what an agent has stashed is said, and nobody else's", async () => {
  for (const mode of ["worktree", "clone"]) {
    await using repo = await TestRepository.make();
    const { workspace, write, git } = await repo.open({ config: { mode } });
    await repo.write("README.md", "mine\n");
    await repo.git("stash", "-q");
    assertEquals(warning(await workspace.finish(DONE)), "");
    await write("README.md", "changed\n");
    await git("-c", "user.name=A", "-c", "user.email=a@b", "stash", "-q");
    assertEquals(
      warning(await workspace.finish(DONE)),
      `It left 1 stashed change in ${
        mode === "clone" ? workspace.path : repo.path
      }: git stash list`,
    );
  }
});
