import {
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertStringIncludes,
} from "@std/assert";
import { StandInForge } from "../support/forge.ts";
import {
  commitAll,
  type Files,
  gitIn,
  makeRepository,
} from "../support/repository.ts";
import { ENABLED, Folder } from "./cli.ts";

/** Every task writes the same line, unless it is told another. */
const SHELL = 'echo "${LINE:-new}" > new.txt; echo Mended';

/** A folder with a repository, and a task of it that was run. */
class Worked implements Disposable {
  readonly folder = new Folder();
  readonly app = `${this.folder.path}/app`;
  id = "";

  async run(
    workspace: object,
    lines = ["new"],
    files: Files = { "a.txt": "one\n" },
  ): Promise<void> {
    const { folder } = this;
    makeRepository(this.app, files);
    this.configure(workspace);
    const ids = await folder.create(
      lines.map((line) => ({ provider: "fix", instruction: `Write ${line}` })),
    );
    [this.id = ""] = ids;
    await folder.run(["run", "--once"], { env: ENABLED });
  }

  configure(workspace: object): void {
    this.folder.write(
      "agent-runner.json",
      JSON.stringify({
        providers: {
          fix: {
            processor: "command",
            shell: SHELL,
            workspace: { git: "app", folder: "work", ...workspace },
          },
        },
      }),
    );
  }

  git(...args: string[]): string {
    return gitIn(this.app, ...args);
  }

  commit(message: string): void {
    commitAll(this.app, message);
  }

  log(): string[] {
    return this.git("log", "--format=%s", "main").split("\n");
  }

  async json(...args: string[]) {
    const { stdout } = await this.folder.run([...args, "--json"]);
    return JSON.parse(stdout);
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

Deno.test("merge checks and merges the branch of a completed task, once", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({ verify: ["grep", "-q", "new", "new.txt"] });
  const { id } = worked;
  assertEquals(worked.log(), ["Begin"]);
  const tip = worked.git("rev-parse", `agent/write-new-${id.slice(0, 8)}`);
  assertEquals(
    await folder.ok(["merge", id]),
    `Merged agent/write-new-${id.slice(0, 8)} into main as ${
      tip.slice(0, 7)
    }\n`,
  );
  assertEquals(worked.log(), ["Write new", "Begin"]);
  assertEquals(Deno.readTextFileSync(`${worked.app}/new.txt`), "new\n");
  assertEquals(worked.git("status", "--porcelain"), "");
  const { trace, events } = await worked.json("show", id);
  assertObjectMatch(trace, { workspace: { merged: tip } });
  assertEquals(events.at(-1).kind, "merged");
  assertEquals(
    await folder.ok(["merge", id]),
    `agent/write-new-${id.slice(0, 8)} is merged already: main has it at ${
      tip.slice(0, 7)
    }\n`,
  );
  assertObjectMatch(await worked.json("merge", id), {
    id,
    result: "already_merged",
    commit: tip,
  });
  // Another branch has not.
  worked.git("branch", "next", "HEAD~1");
  assertObjectMatch(await worked.json("merge", id, "--into", "next"), {
    result: "merged",
    base: "next",
  });
});

Deno.test("merge says what keeps it from merging", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({ verify: ["test", "!", "-e", "broken"] });
  const { id } = worked;
  Deno.writeTextFileSync(`${worked.app}/new.txt`, "not committed\n");
  assertMatch(
    await folder.fails(1, ["merge", id]),
    /Cannot merge task .*: main is checked out in .*app with changes of its own/,
  );
  worked.commit("Theirs");
  const conflict = await folder.fails(1, ["merge", id]);
  assertMatch(conflict, /conflicts with main in new\.txt\. Resolve that in/);
  assertStringIncludes(conflict, "CONFLICT (add/add)");
  assertObjectMatch(await worked.json("merge", id), {
    result: "conflict",
    files: ["new.txt"],
  });
  // By hand, in its folder.
  const path = `${folder.path}/work/${id}`;
  new Deno.Command("git", { args: ["merge", "main"], cwd: path }).outputSync();
  Deno.writeTextFileSync(`${path}/new.txt`, "both\n");
  gitIn(path, "commit", "-qam", "Both");
  Deno.writeTextFileSync(`${worked.app}/broken`, "");
  worked.commit("Break it");
  assertStringIncludes(
    await folder.fails(1, ["merge", id]),
    "joined with what main has, the check fails.",
  );
  worked.git("rm", "-q", "broken");
  worked.commit("Mend it");
  assertMatch(await folder.ok(["merge", id]), /^Merged agent\/write-new/);
  assertEquals(Deno.readTextFileSync(`${worked.app}/new.txt`), "both\n");
});

Deno.test("merge brings nothing back that was dropped from the base, and counts what a person has committed", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({}, ["new"], { "a.txt": "one\n", "secret.txt": "PW\n" });
  const { id } = worked;
  worked.git("rm", "-q", "secret.txt");
  worked.git("commit", "-q", "--amend", "-m", "Clean");
  Deno.writeTextFileSync(`${worked.app}/new.txt`, "theirs\n");
  worked.commit("Theirs");
  const path = `${folder.path}/work/${id}`;
  const said = await folder.fails(1, ["merge", id]);
  const [, join = ""] = new RegExp(`cd ${path} && (git .*);`).exec(said) ?? [];
  assertMatch(join, /^git rebase --onto main [0-9a-f]{7}$/);
  worked.git("reset", "-q", "--hard", "HEAD~1");
  gitIn(path, ...join.split(" ").slice(1));
  Deno.writeTextFileSync(`${path}/more.txt`, "more\n");
  commitAll(path, "More");
  await folder.ok(["merge", id]);
  assertEquals(worked.log(), ["More", "Write new", "Clean"]);
  assertEquals(worked.git("ls-files").split("\n"), [
    "a.txt",
    "more.txt",
    "new.txt",
  ]);
  const { trace } = await worked.json("show", id);
  assertObjectMatch(trace, { workspace: { commits: 2, files: 2 } });
});

Deno.test("merge says of which tasks there is nothing to merge", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({});
  const [created = ""] = await folder.create([
    { provider: "fix", instruction: "x" },
  ]);
  assertStringIncludes(
    await folder.fails(1, ["merge", created]),
    "it has not begun yet.",
  );
  assertStringIncludes(
    await folder.fails(2, ["merge"]),
    "without its task's id",
  );
  const trace = JSON.stringify({
    workspace: {
      repo: "/x",
      host: "elsewhere",
      path: "/y",
      branch: "b",
      base: "main",
      baseCommit: "c",
    },
  });
  await folder.rows(
    `UPDATE agent_tasks SET last_update = '${trace}' WHERE id = '${worked.id}'`,
  );
  assertStringIncludes(
    await folder.fails(1, ["merge", worked.id]),
    "its branch is on the machine elsewhere, in /y. Do it there.",
  );
});

Deno.test("merge says that there was nothing to merge, and what was not committed", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({ uncommitted: "leave" });
  const { id } = worked;
  assertMatch(
    await folder.fails(1, ["merge", id]),
    /nothing is committed on agent\/write-new-\S+\. This lies in .*: new\.txt\. Commit it there/,
  );
  const path = `${folder.path}/work/${id}`;
  Deno.removeSync(`${path}/new.txt`);
  assertMatch(
    await folder.ok(["merge", id]),
    /^Nothing to merge: agent\/write-new-\S+ has nothing that main has not\n$/,
  );
  assertObjectMatch(await worked.json("merge", id), { result: "nothing" });
  Deno.writeTextFileSync(`${path}/b.txt`, "b\n");
  commitAll(path, "By hand");
  Deno.writeTextFileSync(`${path}/c.txt`, "c\n");
  assertMatch(
    await folder.ok(["merge", id]),
    /^Merged .* as \w+\. Not committed, and left in .*: c\.txt\n$/,
  );
});

Deno.test("merge takes a task that failed when its work was approved, and retry does none of that twice", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({ onApproved: "pr" });
  const { id } = worked;
  const origin = `${folder.path}/origin.git`;
  worked.git("clone", "-q", "--bare", worked.app, origin);
  worked.git("remote", "add", "origin", origin);
  Deno.renameSync(origin, `${origin}-2`);
  const asks = async (of: string) => {
    const { trace } = await worked.json("show", of);
    return trace.question;
  };
  // It has one attempt, and what is asked counts as none.
  await folder.ok(["approve", id]);
  await folder.run(["run", "--once"], { env: ENABLED });
  assertMatch(
    await asks(id),
    /^Cannot open a pull request of agent\/\S+: git ls-remote failed: [^]*Then approve it again\.$/,
  );
  await folder.ok(["approve", id]);
  assertMatch(
    await folder.fails(1, ["merge", id]),
    /it is queued: its changes are approved, and its next run has them\./,
  );
  await folder.ok(["cancel", id]);
  await folder.ok(["retry", id]);
  const tasks: { readonly id: string }[] = await worked.json("list");
  const again = tasks.find((it) => it.id !== id);
  await folder.run(["run", "--once"], { env: { ...ENABLED, LINE: "other" } });
  assertMatch(
    await asks(again!.id),
    /^Open a pull request of agent\/write-new-\S+ to main\? 1 commit/,
  );
  assertMatch(await folder.ok(["merge", id]), /^Merged agent\/write-new/);
  assertEquals(Deno.readTextFileSync(`${worked.app}/new.txt`), "new\n");
});

Deno.test("merge --pr says that there is no remote", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({});
  assertMatch(
    await folder.fails(1, ["merge", worked.id, "--pr"]),
    /app has no remote origin\. Add one \(git remote add origin …\), or name another as `remote` of the provider's workspace\./,
  );
});

Deno.test("merge approves what waits for that, and the next run merges it without more work", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({ onApproved: "merge" });
  const { id } = worked;
  const { trace } = await worked.json("show", id);
  assertMatch(
    trace.question,
    /^Merge agent\/write-new-\S+ into main\? 1 commit/,
  );
  assertStringIncludes(
    await folder.fails(1, ["merge", id, "--into", "next"]),
    'its provider has onApproved "merge"',
  );
  assertMatch(
    await folder.ok(["merge", id]),
    /^Task .* is approved: its next run merges agent\/write-new-\S+ into main\n$/,
  );
  // Work would end otherwise now.
  await folder.ok(["run", "--once"], { env: { ...ENABLED, LINE: "other" } });
  assertEquals(worked.log(), ["Write new", "Begin"]);
  assertEquals(Deno.readTextFileSync(`${worked.app}/new.txt`), "new\n");
  assertStringIncludes(await folder.ok(["result", id]), "Mended");
});

for (const command of ["approve", "merge"]) {
  Deno.test(`${command} has what was resolved by hand asked anew, and merged without more work`, async () => {
    using worked = new Worked();
    const { folder } = worked;
    await worked.run({ onApproved: "merge" });
    const { id } = worked;
    Deno.writeTextFileSync(`${worked.app}/new.txt`, "theirs\n");
    worked.commit("Theirs");
    await folder.ok(["approve", id]);
    await folder.run(["run", "--once"], { env: ENABLED });
    const path = `${folder.path}/work/${id}`;
    assertStringIncludes(
      (await worked.json("show", id)).trace.question,
      `they conflict in new.txt. Answer what is to be done; or resolve that in ${path}, commit it, and approve it.`,
    );
    gitIn(path, "merge", "-q", "-X", "ours", "-m", "Both", "main");
    const env = { ...ENABLED, LINE: "other" };
    const said = await folder.ok([command, id]);
    if (command === "merge") {
      assertMatch(said, /its next run asks once more, for what was committed/);
    }
    await folder.run(["run", "--once"], { env });
    assertMatch(
      (await worked.json("show", id)).trace.question,
      /^Merge agent\/write-new-\S+ into main\? 2 commits, 1 file, \+1 −1$/,
    );
    assertEquals(worked.log()[0], "Theirs");
    await folder.ok([command, id]);
    await folder.ok(["run", "--once"], { env });
    assertEquals(Deno.readTextFileSync(`${worked.app}/new.txt`), "new\n");
    assertEquals(worked.log()[0], "Both");
    assertEquals((await worked.json("show", id)).trace.result, "success");
  });
}

Deno.test("merge merges what waits to be approved where its provider would not, and completes it", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({ approval: "before-merge" });
  const { id } = worked;
  assertMatch(
    await folder.ok(["merge", id]),
    /^Merged .* as \w+\. The next run completes the task\n$/,
  );
  await folder.ok(["run", "--once"], { env: ENABLED });
  const { state, status, trace } = await worked.json("show", id);
  assertEquals(state ?? status, "completed");
  assertEquals(trace.workspace.merged, worked.git("rev-parse", "main"));
});

Deno.test("merge --into merges what began at no branch, and completes it", async () => {
  using worked = new Worked();
  const { folder } = worked;
  await worked.run({ onApproved: "merge", base: "HEAD" });
  const { id } = worked;
  assertStringIncludes(
    JSON.stringify(await worked.json("show", id)),
    `Cannot merge agent/write-new-${id.slice(0, 8)} into HEAD: that is no ` +
      `branch. Merge it into one: agent-runner merge ${
        id.slice(0, 8)
      } --into BRANCH`,
  );
  await folder.ok(["merge", id, "--into", "main"]);
  await folder.run(["run", "--once"], { env: ENABLED });
  const { state, status } = await worked.json("show", id);
  assertEquals(state ?? status, "completed");
  assertEquals(worked.log(), ["Write new", "Begin"]);
});

Deno.test("merge --pr opens a pull request", async () => {
  using worked = new Worked();
  using forge = new StandInForge();
  const { folder } = worked;
  await worked.run({});
  const { id } = worked;
  const origin = `${folder.path}/origin.git`;
  worked.git("clone", "-q", "--bare", worked.app, origin);
  worked.git("remote", "add", "origin", origin);
  const env = { PATH: forge.path };
  assertMatch(
    await folder.ok(["merge", id, "--pr"], { env }),
    /^Pull request of agent\/write-new-\S+ to main: https:\/\/forge\.example\//,
  );
  assertEquals(forge.opened.map(({ title, base }) => ({ title, base })), [
    { title: "Write new", base: "main" },
  ]);
  assertStringIncludes(forge.opened[0]!.body, "Mended");
  const { trace } = await worked.json("show", id);
  assertEquals(trace.workspace.pullRequest, StandInForge.address);
  forge.fails("gh auth login", 4);
  assertStringIncludes(
    await folder.fails(1, ["merge", id, "--pr"], { env }),
    "nobody is logged in. Log in: gh auth login.",
  );
});
