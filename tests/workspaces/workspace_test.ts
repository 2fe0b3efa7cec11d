import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { TestRepository } from "./repository.ts";

const DONE = { kind: "completed" } as const;

Deno.test("a task has a worktree and a branch of its own, and its work comes there", async () => {
  await using repo = await TestRepository.make();
  await repo.write("README.md", "# Not committed yet\n");
  await repo.git("stash");
  await repo.write("draft.txt", "The user's\n");
  const before = await repo.snapshot();
  const begun = await repo.git("rev-parse", "main");
  const { workspace, write, git, notes, ...opened } = await repo.open();
  const { path, isNew, facts } = workspace;
  assert(isNew);
  assertEquals(facts, {
    repo: repo.path,
    host: "here",
    path,
    branch: "agent/mend-it-550e8400",
    base: "main",
    baseCommit: begun,
  });
  assertEquals(
    path,
    join(repo.base, "work", "550e8400-e29b-41d4-a716-446655440000"),
  );
  assertEquals(await git("branch", "--show-current"), facts.branch);

  await write("new.txt", "one\ntwo\n");
  const finished = await workspace.finish(DONE);
  assertEquals(finished, {
    outcome: DONE,
    facts: {
      ...facts,
      head: await repo.git("rev-parse", facts.branch),
      commits: 1,
      files: 1,
      insertions: 2,
      deletions: 0,
    },
  });
  assertEquals(
    await repo.git("log", "-1", "--format=%an %s%n%b", facts.branch),
    "A User Mend it\nAgent-Runner-Task: 550e8400-e29b-41d4-a716-446655440000",
  );
  assertEquals(notes.map(([kind]) => kind), [
    "workspace",
    "committed",
    "workspace",
  ]);
  assertStringIncludes(notes[2]![1], "1 commit, 1 file, +2 −0");
  assertEquals(await repo.snapshot(), before);

  const again = await repo.open(opened);
  assertEquals(again.workspace.isNew, false);
  assertEquals(again.workspace.path, path);
});
