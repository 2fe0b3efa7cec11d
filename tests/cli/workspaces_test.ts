import { assert, assertEquals, assertMatch } from "@std/assert";
import { TestRepository } from "../workspaces/repository.ts";
import { AT_ONCE, Folder } from "./cli.ts";

/** Where tasks of `shell` have worktrees of a repository. */
class Site implements AsyncDisposable {
  readonly folder = new Folder();
  readonly repo: TestRepository;

  private constructor(repo: TestRepository) {
    this.repo = repo;
  }

  static async make(workspace: object = {}): Promise<Site> {
    const repo = await TestRepository.make();
    const site = new Site(repo);
    site.folder.write(
      "agent-runner.json",
      JSON.stringify({
        providers: {
          shell: {
            processor: "command",
            shell: 'echo "$AGENT_TASK_INSTRUCTION" > "$AGENT_TASK_ID.txt"',
            workspace: { git: repo.path, folder: "work", ...workspace },
          },
        },
      }),
    );
    return site;
  }

  /** Makes a task, and runs it. */
  async done(instruction: string): Promise<string> {
    await this.folder.ok(["create", instruction, "--provider", "shell"]);
    await this.folder.ok(["run", "--once"], { env: AT_ONCE });
    const tasks = JSON.parse(await this.folder.ok(["list", "--json"]));
    return tasks.find((it: Record<string, string>) =>
      it.instruction === instruction
    ).id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.folder[Symbol.dispose]();
    await this.repo[Symbol.asyncDispose]();
  }
}

Deno.test("workspaces lists what tasks have, and removes what is merged", async () => {
  await using site = await Site.make();
  const { folder, repo } = site;

  const first = await site.done("Mend it");
  const second = await site.done("Write it");
  const branch = `agent/mend-it-${first.slice(0, 8)}`;

  const { trace } = JSON.parse(await folder.ok(["show", first, "--json"]));
  const { branch: noted, commits, insertions } = trace.workspace;
  assertEquals([noted, commits, insertions], [branch, 1, 1]);
  const shown = await folder.ok(["show", first]);
  assertMatch(
    shown,
    new RegExp(`^ {2}Branch +${branch}: 1 commit, 1 file, \\+1 −0$`, "m"),
  );
  assertMatch(shown, new RegExp(`^ {2}Folder +.*/work/${first}$`, "m"));

  await repo.git("merge", "-q", branch);
  const listed = JSON.parse(await folder.ok(["workspaces", "--json"]));
  const [one, other] = [first, second].map((id) =>
    listed.find(({ task }: { task: string }) => task === id)
  );
  assertEquals([one.state, one.removable, one.why], [
    "completed",
    true,
    "merged into main",
  ]);
  assertEquals([other.removable, other.lost, other.stays.length], [
    false,
    [],
    1,
  ]);
  assertMatch(
    await folder.ok(["workspaces"]),
    /completed +agent\/mend-it-.* merged into main/,
  );

  assertMatch(
    await folder.fails(2, ["workspaces", "--remove"]),
    /Give --yes\.$/m,
  );
  assertMatch(
    await folder.fails(2, ["workspaces", second, "--remove", "--force"]),
    /The repository keeps:\n +\w+: 1 commit only on agent\/write-it-/,
  );
  assertMatch(
    await folder.ok(["workspaces", "--remove", "--yes"]),
    /^Removed 1 folder \(.*\)\nKept .*: 1 commit only on agent\/write-it-.*--force removes its folder\.\n$/,
  );
  assertMatch(
    await folder.fails(1, [
      "workspaces",
      second.slice(0, 8),
      "--remove",
      "--yes",
    ]),
    /^error: Cannot remove the folder of task .*: 1 commit only on/,
  );
  Deno.writeTextFileSync(`${folder.path}/work/${second}/draft.txt`, "mine");
  const forced = ["workspaces", second, "--remove", "--force", "--yes"];
  assertMatch(
    await folder.ok(forced),
    /^Removed 1 folder \(.*\), for ever, with:\n {2}\w+: 1 file not committed: draft\.txt\nThe repository keeps:\n {2}\w+: 1 commit only on agent\/write-it-.*\n$/,
  );
  assertEquals(await folder.ok(["workspaces", "--json"]), "[]\n");
  assertEquals(
    await repo.git("branch", "--format=%(refname:short)"),
    `agent/write-it-${second.slice(0, 8)}\nmain`,
  );
  assertMatch(
    await folder.fails(2, ["workspaces", second, "--remove"]),
    /There is no worktree of a task/,
  );
  assertMatch(
    await folder.fails(2, ["workspaces", "--force"]),
    /Give --remove too\./,
  );
});

Deno.test("workspaces and prune remove what a runner has merged", async () => {
  await using site = await Site.make({
    onApproved: "merge",
    approval: "none",
    verify: ["true"],
  });
  const { folder, repo } = site;
  const first = await site.done("Mend it");
  const { events } = JSON.parse(await folder.ok(["show", first, "--json"]));
  assertEquals(
    events.filter(({ kind }: { kind: string }) => kind === "checked")
      .map(({ detail }: { detail: string }) => detail),
    ["`true` passed", "`true` passed on what is merged"],
  );
  assertMatch(
    await folder.ok(["workspaces", "--remove", "--yes"]),
    /^Removed 1 folder \([^)]*\)\n$/,
  );
  await site.done("Write it");
  await folder.rows("UPDATE agent_tasks SET updated_at = '2020-01-01'");
  const pruned = await folder.run(["prune", "--older-than", "1s", "--yes"]);
  assertMatch(pruned.stdout, /^Deleted 2 tasks with \d+ events, 1 folder\n/);
  assertEquals(pruned.stderr, "");
  assertEquals(
    await repo.git("for-each-ref", "--format=%(refname)"),
    "refs/heads/main",
  );
  assertEquals([...Deno.readDirSync(`${folder.path}/work`)].length, 1);
});

Deno.test("prune removes worktrees that are merged, and keeps what would be lost", async () => {
  await using site = await Site.make();
  const { folder, repo } = site;
  const merged = await site.done("Mend it");
  await repo.git("merge", "-q", `agent/mend-it-${merged.slice(0, 8)}`);
  const unmerged = await site.done("Write it");
  await folder.rows("UPDATE agent_tasks SET updated_at = '2020-01-01'");
  const { code, stdout, stderr } = await folder.run(
    ["prune", "--older-than", "30d", "--yes"],
  );
  assertEquals(code, 0);
  assertMatch(stdout, /^Deleted 2 tasks with \d+ events, 1 folder\n/);
  assertMatch(
    stderr,
    new RegExp(`The worktree of task ${unmerged} was kept: 1 commit only on`),
  );
  assertEquals(
    [...Deno.readDirSync(`${folder.path}/work`)].map(({ name }) => name).sort(),
    [unmerged, `${unmerged}.json`, `${unmerged}.lock`],
  );
  // What is named goes, though its task is gone.
  await folder.ok(["workspaces", unmerged, "--remove", "--force", "--yes"]);
});

Deno.test("workspaces says of a task that asks what list says", async () => {
  await using site = await Site.make({ onApproved: "merge" });
  await site.done("Mend it");
  assertMatch(
    await site.folder.ok(["workspaces"]),
    /^\w{8} +waiting for you +agent\/mend-it-/m,
  );
  const [found] = JSON.parse(await site.folder.ok(["workspaces", "--json"]));
  assertEquals(found.state, "needs_input");
});

Deno.test("create says at once that a --repo here is not there", async () => {
  await using site = await Site.make();
  const { folder, repo } = site;
  const args = ["create", "x", "--provider", "shell", "--repo"];
  const { code, stderr } = await folder.run([...args, "nope"]);
  assertEquals(code, 0);
  assertMatch(
    stderr,
    /WARNING - The task waits, since its repository \/.*\/nope can't be used: it does not exist\. /,
  );
  const others = ["https://example.com/x.git", "{name}", repo.path];
  for (const other of others) {
    assertEquals((await folder.run([...args, other])).stderr, "");
  }
  assertEquals(JSON.parse(await folder.ok(["list", "--json"])).length, 4);
});

Deno.test("doctor says which tasks could not begin, and why", async () => {
  await using site = await Site.make();
  const { folder } = site;
  const args = ["create", "x", "--provider", "shell", "--repo"];
  for (const repo of ["/nope", "/nope", "/none"]) {
    await folder.ok([...args, repo]);
  }
  await folder.run(["run", "--once"], { env: AT_ONCE });
  const { stdout } = await folder.run(["doctor"], { env: AT_ONCE });
  assertMatch(
    stdout,
    /^warn +given back +2 tasks could not begin: .*\/nope.*\. 1 task could not begin: .*\/none.*\.$/m,
  );
});

Deno.test("doctor says what keeps tasks from a repository", async () => {
  await using site = await Site.make({ base: "develop" });
  const { stdout } = await site.folder.run(["doctor"], { env: AT_ONCE });
  assert(
    stdout.includes(
      `Cannot begin a branch in ${site.repo.path}: develop is no branch, tag or commit there.`,
    ),
    stdout,
  );
});
