import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import {
  forgetMerges,
  keptRefs,
  mergeBranch,
} from "../../lib/workspaces/merge.ts";
import type { MergeEnd, MergeOptions } from "../../lib/workspaces/merge.ts";
import { gitIn } from "../support/repository.ts";
import { ScratchRepository } from "./scratch_repository.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";

function merge(
  repository: ScratchRepository,
  head: string,
  more: Partial<MergeOptions> = {},
): Promise<MergeEnd> {
  return mergeBranch({
    taskId: ID,
    repo: repository.path,
    branch: "agent/fix",
    head,
    base: "main",
    mergeBy: "merge",
    folder: repository.tasks,
    ...more,
  });
}

function commitOf(end: MergeEnd): string {
  return "commit" in end ? end.commit : JSON.stringify(end);
}

/** What is left of merges: the lock only. */
function leftIn({ tasks }: ScratchRepository): string[] {
  return [...Deno.readDirSync(`${tasks}/merges`)].map(({ name }) => name)
    .filter((name) => !name.endsWith(".lock"));
}

Deno.test("mergeBranch() moves the base to what was checked, and to nothing else", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  repository.git("switch", "-q", "-c", "mine");
  const seen: string[] = [];
  const end = await merge(repository, head, {
    verify: (path) => {
      seen.push(gitIn(path, "rev-parse", "HEAD"));
      // As the user's git may do at any time.
      repository.git("worktree", "prune", "--expire=now");
      repository.git("gc", "-q", "--prune=now");
      assertEquals(repository.log(), ["Change a.txt"]);
      return Promise.resolve({ hasPassed: true, output: "" });
    },
  });
  assertEquals(end, { kind: "merged", commit: head });
  assertEquals(seen, [head]);
  assertEquals(repository.git("rev-parse", "main"), head);
  assertMatch(
    repository.git("reflog", "-1", "main"),
    /agent-runner: merge agent\/fix$/,
  );
  assertEquals(leftIn(repository), []);
  assertEquals(repository.git("worktree", "list").split("\n").length, 2);
});

for (const mergeBy of ["merge", "rebase"] as const) {
  Deno.test(`mergeBranch() joins what was merged before it, by ${mergeBy}, and merges nothing twice`, async () => {
    using repository = new ScratchRepository();
    const one = repository.branch("agent/one", "b.txt", "two\n");
    repository.branch("agent/two", "c.txt", "three\n");
    const two = repository.amend("agent/two", {
      author: "An Agent <agent@example.com>",
      message: "Change c.txt\n\n# For\n\nAgent-Runner-Task: 2",
    });
    repository.git("switch", "-q", "-c", "mine");
    const files: string[][] = [];
    const verify = (path: string) => {
      files.push(
        [...Deno.readDirSync(path)].map(({ name }) => name)
          .filter((name) => name !== ".git").sort(),
      );
      return Promise.resolve({ hasPassed: true, output: "" });
    };
    await merge(repository, one, { verify, mergeBy, taskId: "1" });
    const end = await merge(repository, two, { verify, mergeBy, taskId: "2" });
    assertEquals(files, [["a.txt", "b.txt"], ["a.txt", "b.txt", "c.txt"]]);
    assertEquals(repository.git("rev-parse", "main"), commitOf(end));
    const log = repository.log();
    assertEquals(log.filter((it) => it === "Change b.txt").length, 1);
    assertEquals(log.filter((it) => it === "Change c.txt").length, 1);
    assertEquals(log.length, mergeBy === "merge" ? 4 : 3);
    // It is still its author's.
    const made = `${commitOf(end)}${mergeBy === "merge" ? "^2" : ""}`;
    assertEquals(
      repository.git("log", "-1", "--format=%an <%ae>%n%B", made),
      "An Agent <agent@example.com>\nChange c.txt\n\n# For\n\n" +
        "Agent-Runner-Task: 2",
    );
    // Its runner was killed before that was written.
    assertEquals(
      await merge(repository, two, { verify, mergeBy, taskId: "2" }),
      { kind: "merged", commit: commitOf(end) },
    );
    // And without a trace of it, there is nothing left to merge.
    await forgetMerges("2", repository.path);
    assertEquals(
      await merge(repository, two, { verify, mergeBy, taskId: "2" }),
      { kind: "up to date", commit: commitOf(end) },
    );
    assertEquals(repository.log(), log);
    assertEquals(files.length, 2);
  });

  Deno.test(`mergeBranch() says in which files there is a conflict, by ${mergeBy}, and leaves all as it was`, async () => {
    using repository = new ScratchRepository();
    const head = repository.branch("agent/fix", "a.txt", "mine\n");
    const base = repository.commit("a.txt", "yours\n");
    const before = repository.checkout();
    const end = await merge(repository, head, { mergeBy });
    assertEquals(end.kind, "conflict");
    if (end.kind !== "conflict") return;
    assertEquals(end.files, ["a.txt"]);
    assertMatch(end.said, /CONFLICT \(content\): Merge conflict in a\.txt/);
    assertEquals(repository.git("rev-parse", "main"), base);
    assertEquals(repository.checkout(), before);
    assertEquals(leftIn(repository), []);
    assertEquals(repository.git("worktree", "list").split("\n").length, 2);
  });
}

for (const mergeBy of ["merge", "rebase"] as const) {
  for (const how of ["amended", "reset"]) {
    Deno.test(`mergeBranch() brings no commit of a base that was ${how} back, by ${mergeBy}`, async () => {
      using repository = new ScratchRepository();
      const since = repository.commit("secret.txt", "PW\n");
      const head = repository.branch("agent/fix", "b.txt", "two\n");
      repository.git("reset", "-q", "--hard", "HEAD~1");
      if (how === "amended") repository.commit("c.txt", "clean\n");
      const tip = repository.git("rev-parse", "main");
      const seen: string[] = [];
      const end = await merge(repository, head, {
        since,
        mergeBy,
        verify: (path) => {
          seen.push(gitIn(path, "rev-parse", "HEAD"));
          return Promise.resolve({ hasPassed: true, output: "" });
        },
      });
      assertEquals(end, { kind: "merged", commit: seen[0]! });
      assertEquals(repository.git("rev-parse", "main"), seen[0]);
      assertEquals(repository.git("rev-parse", "main~1"), tip);
      assertEquals(repository.git("ls-files").includes("secret.txt"), false);
      assertEquals(repository.git("status", "--porcelain"), "");
      // Nor does it a second time, or into another branch.
      assertEquals(await merge(repository, head, { since, mergeBy }), end);
      repository.git("branch", "next", tip);
      await merge(repository, head, { since, mergeBy, base: "next" });
      assertEquals(repository.git("rev-list", "--count", `${tip}..next`), "1");
    });
  }

  Deno.test(`mergeBranch() brings nothing back with a merge of what was dropped from its base, by ${mergeBy}`, async () => {
    using repository = new ScratchRepository();
    repository.git("config", "rebase.rebaseMerges", "true");
    repository.branch("agent/fix", "b.txt", "two\n");
    const since = repository.commit("secret.txt", "PW\n");
    const path = `${repository.tasks}/agent-fix`;
    gitIn(path, "merge", "-q", "-m", "Join", "main");
    const head = gitIn(path, "rev-parse", "HEAD");
    repository.git("reset", "-q", "--hard", "HEAD~1");
    await merge(repository, head, { since, mergeBy });
    assertEquals(repository.log(), ["Change b.txt", "Change a.txt"]);
    assertEquals(repository.git("ls-files"), "a.txt\nb.txt");
  });
}

Deno.test("mergeBranch() leaves the base where the check fails", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  const end = await merge(repository, head, {
    verify: () => Promise.resolve({ hasPassed: false, output: "1 failed" }),
  });
  assertEquals(end, { kind: "unverified", output: "1 failed" });
  assertEquals(repository.log(), ["Change a.txt"]);
  assertEquals(leftIn(repository), []);
});

Deno.test("mergeBranch() checks again where the base was moved meanwhile", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  const checked: string[] = [];
  const end = await merge(repository, head, {
    verify: (path) => {
      checked.push(gitIn(path, "rev-parse", "HEAD"));
      if (checked.length === 1) repository.commit("c.txt", "by hand\n");
      return Promise.resolve({ hasPassed: true, output: "" });
    },
  });
  assertEquals(checked.length, 2);
  assertNotEquals(checked[0], checked[1]);
  assertEquals(commitOf(end), checked[1]);
  assertEquals(repository.git("rev-parse", "main"), checked[1]);
  assertEquals(repository.log("main", "--first-parent"), [
    "Merge branch 'agent/fix'",
    "Change c.txt",
    "Change a.txt",
  ]);
});

Deno.test("mergeBranch() lets a checkout of the base follow, with what is changed there", async () => {
  using repository = new ScratchRepository();
  repository.commit("d.txt", "as it was\n");
  const head = repository.branch("agent/fix", "a.txt", "mended\n");
  Deno.writeTextFileSync(`${repository.path}/d.txt`, "by hand\n");
  Deno.writeTextFileSync(`${repository.path}/e.txt`, "new\n");
  Deno.writeTextFileSync(`${repository.path}/f.txt`, "not added\n");
  repository.git("add", "e.txt");
  assertEquals(commitOf(await merge(repository, head)), head);
  assertEquals(
    Deno.readTextFileSync(`${repository.path}/a.txt`),
    "mended\n",
  );
  assertEquals(
    repository.git("status", "--porcelain"),
    " M d.txt\nA  e.txt\n?? f.txt",
  );
});

Deno.test("mergeBranch() heeds no setting that would merge otherwise in a checkout, and moves no branch that two have", async () => {
  using repository = new ScratchRepository();
  repository.git("config", "branch.main.mergeOptions", "-s ours --squash");
  repository.git("config", "merge.verifySignatures", "true");
  repository.git("config", "merge.autoStash", "true");
  const head = repository.branch("agent/fix", "a.txt", "mended\n");
  Deno.writeTextFileSync(`${repository.path}/a.txt`, "by hand\n");
  assertEquals((await merge(repository, head)).kind, "refused");
  repository.git("checkout", "-q", "--", "a.txt");
  // A merge commit that is not signed is refused as everywhere; here is none.
  const end = await merge(repository, head, { mergeBy: "rebase" });
  assertEquals(commitOf(end), head);
  assertEquals(repository.git("rev-parse", "main"), head);
  assertEquals(repository.git("stash", "list"), "");
  repository.git("config", "--unset", "merge.verifySignatures");
  const second = `${repository.folder}/second`;
  repository.git("worktree", "add", "-q", "--force", second, "main");
  const other = repository.branch("agent/other", "b.txt", "two\n");
  assertMatch(
    JSON.stringify(await merge(repository, other)),
    /main is checked out in .* and .*second\. Let one of them have it\./,
  );
});

Deno.test("mergeBranch() does not say that the base has moved where its checkout has changed its branch just then", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  const path = Deno.env.get("PATH")!;
  const bin = `${repository.folder}/bin`;
  Deno.mkdirSync(bin);
  Deno.writeTextFileSync(
    `${bin}/git`,
    `#!/bin/sh
PATH=\${PATH#*:}
case "$*" in *--ff-only*) git switch -q -c mine ;; esac
exec git "$@"
`,
    { mode: 0o755 },
  );
  Deno.env.set("PATH", `${bin}:${path}`);
  try {
    assertMatch(
      JSON.stringify(await merge(repository, head)),
      /"refused",.*the répo had main checked out until it was to follow/,
    );
  } finally {
    Deno.env.set("PATH", path);
  }
  assertEquals(repository.log(), ["Change a.txt"]);
});

Deno.test("mergeBranch() is refused where a checkout of the base can't follow", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "a.txt", "mended\n");
  Deno.writeTextFileSync(`${repository.path}/a.txt`, "by hand\n");
  const end = await merge(repository, head);
  assertEquals(end.kind, "refused");
  assertMatch(
    JSON.stringify(end),
    /main is checked out in .*the répo with changes of its own .*a\.txt/,
  );
  assertEquals(repository.log(), ["Change a.txt"]);
  assertEquals(
    Deno.readTextFileSync(`${repository.path}/a.txt`),
    "by hand\n",
  );
  // A file that git does not know is as dear.
  repository.git("checkout", "-q", "--", "a.txt");
  const other = repository.branch("agent/other", "new.txt", "theirs\n");
  Deno.writeTextFileSync(`${repository.path}/new.txt`, "mine\n");
  assertEquals((await merge(repository, other)).kind, "refused");
  assertEquals(Deno.readTextFileSync(`${repository.path}/new.txt`), "mine\n");
});

Deno.test("mergeBranch() is refused where the base is being rebased, or its worktree is away", async () => {
  using repository = new ScratchRepository();
  repository.git("branch", "old");
  repository.commit("a.txt", "two\n");
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  repository.git("switch", "-q", "old");
  repository.commit("a.txt", "three\n");
  const args = ["rebase", "-q", "old", "main"];
  const rebase = new Deno.Command("git", { args, cwd: repository.path });
  assertEquals(rebase.outputSync().success, false);
  assertMatch(
    JSON.stringify(await merge(repository, head)),
    /main is being rebased in .*the répo\. End that/,
  );
  repository.git("rebase", "--abort");
  const away = `${repository.folder}/away`;
  repository.git("switch", "-q", "old");
  repository.git("worktree", "add", "-q", away, "main");
  Deno.renameSync(away, `${away}-2`);
  assertMatch(
    JSON.stringify(await merge(repository, head)),
    /main is checked out in .*away, which is not there now/,
  );
});

Deno.test("mergeBranch() ends what a killed one has begun", async () => {
  using repository = new ScratchRepository();
  const from = repository.git("rev-parse", "main");
  const head = repository.branch("agent/fix", "a.txt", "mended\n");
  const other = repository.branch("agent/other", "b.txt", "two\n");
  // Its git was killed, too: when its checkout had followed, and no branch was moved.
  repository.git("update-ref", `${keptRefs("1")}/${head}`, head);
  repository.git("read-tree", "-m", "-u", from, head);
  assertEquals(repository.git("status", "--porcelain"), "M  a.txt");
  // It is another task's merge that comes next.
  const end = await merge(repository, other, { taskId: "2" });
  assertEquals(end.kind, "merged");
  assertEquals(repository.git("status", "--porcelain"), "M  a.txt");
  assertEquals(
    (await merge(repository, head, { taskId: "1" })).kind,
    "merged",
  );
  assertEquals(repository.git("status", "--porcelain"), "");
  // Killed before it began to move the base.
  const third = repository.branch("agent/third", "c.txt", "three\n");
  const [lock = ""] = [...Deno.readDirSync(`${repository.tasks}/merges`)]
    .map(({ name }) => name);
  const left = `${repository.tasks}/merges/${
    lock.replace(".lock", "-12345678")
  }`;
  repository.git("worktree", "add", "-q", "--detach", left, "main");
  Deno.writeTextFileSync(`${left}/left.txt`, "left\n");
  repository.git("update-ref", `${keptRefs("3")}/${third}`, third);
  assertEquals(
    (await merge(repository, third, { taskId: "3" })).kind,
    "merged",
  );
  assertEquals(leftIn(repository), []);
  assertEquals(repository.git("status", "--porcelain"), "");
});

Deno.test("mergeBranch() waits for another merge into the same branch, and obeys its signal", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  const isChecking = Promise.withResolvers<void>();
  const isChecked = Promise.withResolvers<void>();
  const first = merge(repository, head, {
    verify: async () => {
      isChecking.resolve();
      await isChecked.promise;
      return { hasPassed: true, output: "" };
    },
  });
  await isChecking.promise;
  const stop = new AbortController();
  const stopped = merge(repository, head, { signal: stop.signal });
  const waiting = merge(repository, head, { taskId: "2" });
  stop.abort(new Error("stopped"));
  await assertRejects(() => stopped, Error, "stopped");
  assertEquals(repository.log(), ["Change a.txt"]);
  isChecked.resolve();
  assertEquals((await first).kind, "merged");
  assertEquals((await waiting).kind, "up to date");
});

Deno.test("mergeBranch() is stopped in its check, and leaves nothing", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  const stop = new AbortController();
  await assertRejects(
    () =>
      merge(repository, head, {
        signal: stop.signal,
        verify: () => {
          stop.abort(new Error("stopped"));
          return Promise.resolve({ hasPassed: true, output: "" });
        },
      }),
    Error,
    "stopped",
  );
  assertEquals(repository.log(), ["Change a.txt"]);
  assertEquals(leftIn(repository), []);
});

Deno.test("mergeBranch() merges in a bare repository, and what a clone has", async () => {
  using repository = new ScratchRepository();
  const bare = repository.origin();
  const clone = `${repository.folder}/clone`;
  gitIn(repository.folder, "clone", "-q", bare, clone);
  const head = repository.commit("b.txt", "two\n", clone);
  assertMatch(
    JSON.stringify(await merge(repository, head, { repo: bare })),
    /there is no commit/,
  );
  const end = await merge(repository, head, { repo: bare, headIn: clone });
  assertEquals(commitOf(end), head);
  assertEquals(gitIn(bare, "rev-parse", "main"), head);
});

Deno.test("mergeBranch() moves the base where a clone came from, and only from what it was", async () => {
  using repository = new ScratchRepository();
  const bare = repository.origin();
  const clone = `${repository.folder}/clone`;
  gitIn(repository.folder, "clone", "-q", bare, clone);
  gitIn(clone, "switch", "-q", "-c", "agent/fix");
  const head = repository.commit("b.txt", "two\n", clone);
  let checks = 0;
  const options = {
    repo: clone,
    remote: { name: "origin", address: `file://${bare}` },
    verify: () => {
      if (++checks === 1) {
        repository.commit("c.txt", "by hand\n");
        repository.git("push", "-q", "origin", "main");
      }
      return Promise.resolve({ hasPassed: true, output: "" });
    },
  };
  const end = await merge(repository, head, options);
  assertEquals(checks, 2);
  assertEquals(gitIn(bare, "rev-parse", "main"), commitOf(end));
  assertEquals(
    gitIn(bare, "log", "--format=%s", "--first-parent", "main").split("\n"),
    ["Merge branch 'agent/fix'", "Change c.txt", "Change a.txt"],
  );
  // Its runner was killed after the push.
  assertEquals(await merge(repository, head, options), {
    kind: "merged",
    commit: commitOf(end),
  });
  assertEquals(checks, 2);
});

Deno.test("mergeBranch() says what is wrong with a base", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  assertEquals(await merge(repository, head, { base: "nope" }), {
    kind: "refused",
    why: `there is no branch nope in ${repository.path}. Make it, or name ` +
      "another.",
  });
  // A lock that a dead git has left.
  repository.git("switch", "-q", "-c", "mine");
  Deno.writeTextFileSync(`${repository.path}/.git/refs/heads/main.lock`, "");
  assertMatch(
    JSON.stringify(await merge(repository, head)),
    /main\.lock is left from a git that was killed/,
  );
  Deno.removeSync(`${repository.path}/.git/refs/heads/main.lock`);
  assertEquals((await merge(repository, head)).kind, "merged");
});

Deno.test("mergeBranch() is refused where it would overwrite what git ignores", async () => {
  using repository = new ScratchRepository();
  repository.commit(".gitignore", "*.txt\n!a.txt\nout\n");
  for (const file of ["ign.txt", "out/ign.txt", "out"]) {
    const name = `agent/${file.replaceAll(/\W/g, "-")}`;
    const path = `${repository.tasks}/${name.replace("/", "-")}`;
    repository.git("worktree", "add", "-q", "-b", name, path, "main");
    if (file.includes("/")) Deno.mkdirSync(`${path}/out`);
    Deno.writeTextFileSync(`${path}/${file}`, "theirs\n");
    gitIn(path, "rm", "-q", ".gitignore");
    gitIn(path, "add", "--all", "--force");
    gitIn(path, "commit", "-q", "-m", "Take it");
    // As a file; as a file where a folder is to be; in a folder where a file is to be.
    const mine = file === "out" ? "out/mine" : file.replace(/\/.*/, "");
    if (mine.includes("/")) Deno.mkdirSync(`${repository.path}/out`);
    Deno.writeTextFileSync(`${repository.path}/${mine}`, "PRECIOUS\n");
    const end = await merge(repository, gitIn(path, "rev-parse", "HEAD"));
    assertMatch(
      JSON.stringify(end),
      new RegExp(`git says: .*untracked .*: ${mine.split("/")[0]}[" ]`),
    );
    assertEquals(
      Deno.readTextFileSync(`${repository.path}/${mine}`),
      "PRECIOUS\n",
    );
    Deno.removeSync(`${repository.path}/${mine.replace(/\/.*/, "")}`, {
      recursive: true,
    });
  }
});

Deno.test("mergeBranch() names the lock of a checkout that a dead git has left", async () => {
  using repository = new ScratchRepository();
  const head = repository.branch("agent/fix", "a.txt", "mended\n");
  const lock = `${repository.path}/.git/index.lock`;
  Deno.writeTextFileSync(lock, "");
  const end = await merge(repository, head);
  assert(end.kind === "refused");
  assertEquals(
    end.why,
    `git merge failed: ${lock} is left from a git that was killed, or one ` +
      "is at work. Remove it if no git runs there.",
  );
  Deno.removeSync(lock);
  assertEquals((await merge(repository, head)).kind, "merged");
});
