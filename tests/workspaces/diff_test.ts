import { assert, assertEquals, assertRejects } from "@std/assert";
import type { TaskWorkspace } from "../../lib/task/workspace.ts";
import { compare, NoChangesError } from "../../lib/workspaces/compare.ts";
import {
  type ChangedFile,
  parse,
  readChanges,
} from "../../lib/workspaces/diff.ts";
import { runGit } from "../../lib/workspaces/git.ts";
import { BRANCH, TaskRepository } from "../support/task_repository.ts";

const ID = "00000000-0000-4000-8000-000000000001";

function taskWith(workspace?: TaskWorkspace) {
  return {
    id: ID,
    traceText: JSON.stringify({ ...workspace && { workspace } }),
  };
}

function briefly(files: readonly ChangedFile[]) {
  return files.map(({ patch: _, ...file }) => file);
}

/** `+c` and the like: what was changed. */
function changedLines({ patch = "" }: ChangedFile): string[] {
  return patch.split("\n").filter((it) => /^[-+\\](?![-+])/.test(it));
}

function file(path: string, own: Partial<ChangedFile>): ChangedFile {
  const none = { insertions: 0, deletions: 0, isBinary: false };
  return { path, status: "modified", ...none, ...own };
}

const BYTES = Uint8Array.from({ length: 300 }, (_, index) => index % 256);

Deno.test("readChanges() says of each kind of change what it is", async () => {
  using repository = new TaskRepository({
    "a.txt": "1\r\n2\r\n",
    "binary": BYTES,
    "gone.txt": "x\n",
    "mode.sh": "echo\n",
    "old name.txt": "1\n2\n3\n4\n5\n",
    "turns": "a file\n",
  });
  repository.git(["mv", "old name.txt", 'new "ü".txt']);
  repository.git(["update-index", "--chmod=+x", "mode.sh"]);
  repository.write({
    "a.txt": "1\r\n2\r\n3",
    "binary": BYTES.toReversed(),
    "line\nfeed\tü": "diff --git a/x b/x\n--- a\n+++ b\n@@ -1 +1 @@\n",
  });
  Deno.removeSync(`${repository.path}/gone.txt`);
  Deno.removeSync(`${repository.path}/turns`);
  Deno.symlinkSync("a.txt", `${repository.path}/turns`);
  Deno.chmodSync(`${repository.path}/mode.sh`, 0o755);
  const expected = [
    file("a.txt", { insertions: 1 }),
    file("binary", { isBinary: true }),
    file("gone.txt", { status: "deleted", deletions: 1 }),
    file("line\nfeed\tü", { status: "added", insertions: 4 }),
    file("mode.sh", {}),
    file('new "ü".txt', { status: "renamed", oldPath: "old name.txt" }),
    file("turns", { status: "type changed", insertions: 1, deletions: 1 }),
  ];
  const task = taskWith(repository.workspace());

  const index = () => repository.git(["ls-files", "--stage"]);
  const before = index();
  const open = await readChanges(task);
  assertEquals(index(), before);
  assertEquals(briefly(open.files), expected);
  assertEquals(open.isUncommitted, true);
  assertEquals(open.head, repository.baseCommit);

  const head = repository.commit("All of it");
  const { files, ...rest } = await readChanges(task);
  assertEquals(rest, {
    base: repository.baseCommit,
    head,
    branch: BRANCH,
    isUncommitted: false,
    isTruncated: false,
  });
  assertEquals(briefly(files), expected);
  assertEquals(files.map(changedLines), open.files.map(changedLines));
  assertEquals(changedLines(files[0]!), ["+3", "\\ No newline at end of file"]);
  assertEquals(changedLines(files[3]!)[0], "+diff --git a/x b/x");
  assert(files[4]!.patch?.includes("new mode 100755"));
  assertEquals(changedLines(files[6]!).slice(0, 2), ["-a file", "+a.txt"]);
  // What it printed is a patch as git takes it.
  const patch = files.filter(({ isBinary }) => !isBinary)
    .map(({ patch }) => patch).join("");
  repository.write({ "../changes.patch": patch });
  repository.git(["apply", "--check", "../changes.patch"], repository.repo);
});

Deno.test("readChanges() hides nothing behind what else ends a line", async () => {
  using repository = new TaskRepository({ "a.txt": "1\n" });
  const tricks = ["\r", "\u2028", "\u2029"].map((it) =>
    `2${it}diff --git a/x b/x${it}@@ -1 +1 @@\n`
  );
  repository.write({
    "a.txt": tricks.join(""),
    "b\u2028.txt": "evil\n",
    "c.txt": "evil\n",
  });
  repository.commit("With tricks");
  const { files } = await readChanges(taskWith(repository.workspace()));
  assertEquals(briefly(files), [
    file("a.txt", { insertions: 3, deletions: 1 }),
    file("b\u2028.txt", { status: "added", insertions: 1 }),
    file("c.txt", { status: "added", insertions: 1 }),
  ]);
  assertEquals(files.map(changedLines), [
    ["-1", ...tricks.map((it) => `+${it.trimEnd()}`)],
    ["+evil"],
    ["+evil"],
  ]);
});

Deno.test("readChanges() runs nothing of the repository's, and heeds no setting", async () => {
  using repository = new TaskRepository({ "a.txt": "1\n\n2\n" });
  const ran = `${repository.folder}/ran`;
  Deno.writeTextFileSync(
    `${repository.folder}/evil`,
    `#!/bin/sh\ntouch '${ran}'\n`,
    { mode: 0o755 },
  );
  const settings = {
    "diff.external": "evil",
    "diff.x.textconv": "evil",
    "diff.x.command": "evil",
    "filter.x.clean": "evil",
    "filter.y=z.process": "evil",
    "filter.y=z.required": "true",
    "core.fsmonitor": "evil",
    "core.pager": "evil",
    "diff.noprefix": "true",
    "diff.mnemonicPrefix": "true",
    "color.ui": "always",
    "diff.suppressBlankEmpty": "true",
    "core.quotePath": "true",
  };
  for (const [name, value] of Object.entries(settings)) {
    const text = value === "evil" ? `'${repository.folder}/evil'` : value;
    repository.git(["config", name, text]);
  }
  repository.write({
    ".gitattributes": "*.txt diff=x filter=x\n*.y filter=y=z\n",
    "a.txt": "1\n\n3\n",
    "new.y": "1\n",
  });
  const task = taskWith(repository.workspace());
  const open = await readChanges(task);
  await assertRejects(() => Deno.stat(ran), Deno.errors.NotFound);
  for (const section of ["filter.x", "filter.y=z"]) {
    repository.git(["config", "--remove-section", section]);
  }
  repository.git(["config", "core.fsmonitor", "false"]);
  repository.commit("With what git runs left out");
  const { files } = await readChanges(task);
  await assertRejects(() => Deno.stat(ran), Deno.errors.NotFound);
  for (const { patch } of [open.files[1]!, files[1]!]) {
    assertEquals(patch?.split("\n").slice(2), [
      "--- a/a.txt",
      "+++ b/a.txt",
      "@@ -1,3 +1,3 @@",
      " 1",
      " ",
      "-2",
      "+3",
      "",
    ]);
  }
});

Deno.test("readChanges() leaves out what came from the base, and what is merged", async () => {
  using repository = new TaskRepository({ "a": "1\n", "b": "1\n" });
  const task = taskWith(repository.workspace());
  repository.write({ a: "2\n" });
  const first = repository.commit("Mine");
  repository.write({ b: "2\n" }, repository.repo);
  const theirs = repository.commit("Theirs", repository.repo);
  assertEquals((await readChanges(task)).base, repository.baseCommit);
  repository.git(["merge", "-q", "--no-edit", "main"]);
  const taken = await readChanges(task);
  assertEquals(taken.base, theirs);
  assertEquals(taken.files.map(({ path }) => path), ["a"]);
  repository.git(["merge", "-q", "--ff-only", BRANCH], repository.repo);
  const merged = await readChanges(task);
  assertEquals(merged.base, repository.baseCommit);
  assertEquals(merged.head !== first, true);
});

Deno.test("readChanges() goes by the branch where the worktree is gone", async () => {
  using repository = new TaskRepository({ a: "1\n" });
  repository.write({ a: "2\n" });
  const head = repository.commit("Mine");
  repository.git(["worktree", "remove", repository.path], repository.repo);
  const workspace = repository.workspace({ head });
  const read = () => readChanges(taskWith(workspace));
  assertEquals((await read()).files.map(changedLines), [["-1", "+2"]]);
  repository.git(["branch", "-q", "-D", BRANCH], repository.repo);
  assertEquals((await read()).head, head);
  const { head: _, ...unknown } = workspace;
  await assertRejects(
    () => readChanges(taskWith(unknown)),
    NoChangesError,
    `nor its branch ${BRANCH} in ${repository.repo} is on this machine`,
  );
});

Deno.test("compare() says where the changes are, and that there are none", async () => {
  using repository = new TaskRepository({ a: "1\n" });
  const { path, repo } = repository;
  // A folder that is no worktree any more, in another repository.
  Deno.removeSync(`${path}/.git`);
  repository.git(["init", "-q"], repository.folder);
  const lost = repository.workspace({ branch: "other" });
  for (
    const [workspace, reason, text] of [
      [undefined, "no_workspace", "has no repository to work on"],
      [lost, "not_here", `neither its folder ${path} nor its branch other`],
      [
        { ...lost, host: "far.example", path: "/far", repo: "/no" },
        "not_here",
        "They were on far.example.",
      ],
      [{ ...lost, branch: "-h", repo }, "not_here", "-h"],
    ] as const
  ) {
    const error = await assertRejects(
      () => compare(taskWith(workspace)),
      NoChangesError,
      text,
    );
    assertEquals(error.reason, reason);
  }
});

Deno.test("readChanges() shows a submodule's commits, and other repositories not at all", async () => {
  using repository = new TaskRepository({ a: "1\n" });
  using other = new TaskRepository({ b: "1\n" });
  const allow = ["-c", "protocol.file.allow=always"];
  repository.git([...allow, "submodule", "-q", "add", other.repo, "sub"]);
  repository.commit("With a submodule");
  const own = `${repository.path}/own`;
  Deno.mkdirSync(own);
  repository.git(["init", "-q"], own);
  repository.write({ "sub/c": "1\n" });
  const { files } = await readChanges(taskWith(repository.workspace()));
  assertEquals(files.map(({ path }) => path), [".gitmodules", "sub"]);
  assertEquals(changedLines(files[1]!), [
    `+Subproject commit ${other.baseCommit}`,
  ]);
});

Deno.test("readChanges() leaves out a patch that is too large, and says so", async () => {
  using repository = new TaskRepository({ a: "1\n" });
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) => `line ${index}\n`).join("");
  repository.write({ "b.lock": many(200_000), "c.ts": "c\n" });
  repository.commit("Large");
  const { files, isTruncated } = await readChanges(
    taskWith(repository.workspace()),
  );
  assertEquals(isTruncated, true);
  assertEquals(
    files.map(({ path, insertions, patch }) => [path, insertions, !patch]),
    [["b.lock", 200_000, true], ["c.ts", 1, false]],
  );
});

Deno.test("runGit() stops git where it prints too much, and parse() leaves the rest out", async () => {
  const text = "line\n".repeat(400_000);
  using repository = new TaskRepository({ "a.txt": "1\n", "b.txt": "1\n" });
  repository.write({ "a.txt": "2\n", "b.txt": text });
  const end = await runGit(
    ["diff-index", "-z", "--raw", "--numstat", "--patch", "HEAD", "--"],
    { cwd: repository.path, maxBytes: 10_000 },
  );
  assertEquals(end.isCut, true);
  assert(end.stdout.length < text.length);
  const { files, isTruncated } = parse(end.stdout, true);
  assertEquals(isTruncated, true);
  assertEquals(
    files.map(({ path, insertions, patch }) => [path, insertions, !patch]),
    [["a.txt", 1, false], ["b.txt", 400_000, true]],
  );
});

Deno.test("parse() gives no file the patch of another, where git has none of it", () => {
  const raw = (name: string) =>
    `:100644 100644 ${"a".repeat(40)} ${"0".repeat(40)} M\0${name}\0`;
  const section = "diff --git a/ä.txt b/ä.txt\n--- a/ä.txt\n";
  const text = `${raw("photo.png")}${raw("ä.txt")}-\t-\tphoto.png\0` +
    `1\t1\tä.txt\0\0${section}`;
  const { files } = parse(text, false);
  assertEquals(files.map(({ path, patch }) => [path, patch]), [
    ["photo.png", undefined],
    ["ä.txt", section],
  ]);
});
