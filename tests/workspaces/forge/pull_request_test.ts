import { assert, assertEquals, assertRejects } from "@std/assert";
import { ForgeError } from "../../../lib/workspaces/forge/program.ts";
import { openPullRequest } from "../../../lib/workspaces/forge/pull_request.ts";
import { GitError } from "../../../lib/workspaces/git.ts";
import { StandInForge } from "../../support/forge.ts";
import { gitIn } from "../../support/repository.ts";
import { ScratchRepository } from "../scratch_repository.ts";

/** Opens the pull request of a branch, with the stand-in on PATH. */
async function open(
  { path: repo }: ScratchRepository,
  forge: StandInForge,
  { head, with: program = "gh", since = `${head}~1` }: {
    readonly head: string;
    readonly since?: string;
    readonly with?: "gh" | "glab";
  },
): Promise<string> {
  const before = Deno.env.get("PATH")!;
  Deno.env.set("PATH", forge.path);
  try {
    return await openPullRequest({
      forge: program,
      repo,
      remote: "origin",
      branch: "agent/fix",
      head,
      since,
      base: "main",
      title: 'Fix "it"',
      body: "It is fixed.\n\nRefs octo/app#12",
    });
  } finally {
    Deno.env.set("PATH", before);
  }
}

for (const program of ["gh", "glab"] as const) {
  Deno.test(`openPullRequest() pushes the branch and opens one by ${program}, once`, async () => {
    using repository = new ScratchRepository();
    using forge = new StandInForge();
    const origin = repository.origin();
    const head = repository.branch("agent/fix", "b.txt", "two\n");
    const options = { head, with: program };
    const address = await open(repository, forge, options);
    assertEquals(address, StandInForge.address);
    const opened = [{
      head: "agent/fix",
      base: "main",
      title: 'Fix "it"',
      body: "It is fixed.\n\nRefs octo/app#12",
    }];
    assertEquals(forge.opened, opened);
    assertEquals(gitIn(origin, "rev-parse", "agent/fix"), head);
    // What was committed since is pushed to the same.
    const more = repository.commit(
      "c.txt",
      "three\n",
      `${repository.tasks}/agent-fix`,
    );
    assertEquals(
      await open(repository, forge, {
        ...options,
        head: more,
        since: `${head}~1`,
      }),
      address,
    );
    assertEquals(forge.opened, opened);
    assertEquals(gitIn(origin, "rev-parse", "agent/fix"), more);
  });
}

Deno.test("openPullRequest() finds what a run that was killed has opened", async () => {
  using repository = new ScratchRepository();
  using forge = new StandInForge();
  repository.origin();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  forge.dies();
  await assertRejects(() => open(repository, forge, { head }), ForgeError);
  assertEquals(forge.opened.length, 1);
  assertEquals(
    await open(repository, forge, { head }),
    StandInForge.address,
  );
  assertEquals(forge.opened.length, 1);
});

Deno.test("openPullRequest() says what a person has to do", async () => {
  using repository = new ScratchRepository();
  using forge = new StandInForge();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  await assertRejects(
    () => open(repository, forge, { head }),
    ForgeError,
    "has no remote origin. Add one (git remote add origin …), or name another",
  );
  const origin = repository.origin();
  forge.fails("To get started with GitHub CLI, please run:  gh auth login", 4);
  await assertRejects(
    () => open(repository, forge, { head }),
    ForgeError,
    "nobody is logged in. Log in: gh auth login.",
  );
  forge.works();
  // Somebody else has pushed another branch of this name.
  gitIn(origin, "update-ref", "refs/heads/agent/fix", "main");
  repository.git("worktree", "add", "-q", "--detach", `${repository.tasks}/x`);
  const other = repository.commit("x.txt", "x\n", `${repository.tasks}/x`);
  repository.git("push", "-q", "origin", `${other}:refs/heads/agent/fix`);
  await assertRejects(
    () => open(repository, forge, { head }),
    GitError,
    "rejected",
  );
  assertEquals(forge.opened, []);
});

Deno.test("openPullRequest() pushes no commit of the base's that the base there has not, and moves no name of what it fetches", async () => {
  using repository = new ScratchRepository();
  using forge = new StandInForge();
  const origin = repository.origin();
  const since = repository.commit("secret.txt", "PW\n");
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  const error = await assertRejects(
    () => open(repository, forge, { head, since }),
    ForgeError,
    `main of origin has not the commit ${since.slice(0, 7)}, after which ` +
      "agent/fix begins",
  );
  assert(error.needsPerson);
  assertEquals(gitIn(origin, "branch", "--list", "agent/*"), "");
  // It is there, and more, which is not known here.
  const other = `${repository.folder}/other`;
  repository.git("push", "-q", "origin", "main");
  gitIn(repository.folder, "clone", "-q", origin, other);
  repository.commit("c.txt", "three\n", other);
  gitIn(other, "push", "-q", "origin", "main");
  const tracked = repository.git("rev-parse", "origin/main");
  await open(repository, forge, { head, since });
  assertEquals(repository.git("rev-parse", "origin/main"), tracked);
});

Deno.test("openPullRequest() takes one of this branch, but none that was merged before", async () => {
  using repository = new ScratchRepository();
  using forge = new StandInForge();
  repository.origin();
  const head = repository.branch("agent/fix", "b.txt", "two\n");
  const old = { url: "https://x/1", state: "MERGED", headRefOid: "0123" };
  const closed = { url: "https://x/2", state: "CLOSED", headRefOid: "0123" };
  const merged = { url: "https://x/3", state: "MERGED", headRefOid: head };
  const forks = { url: "https://x/4", state: "OPEN", isCrossRepository: true };
  const own = { url: "https://x/5", state: "OPEN", isCrossRepository: false };
  for (
    const [listed, expected] of [
      [[forks, old], StandInForge.address],
      [[old, closed], closed.url],
      [[merged], merged.url],
      [[forks, closed, own], own.url],
    ] as const
  ) {
    forge.lists(listed);
    assertEquals(await open(repository, forge, { head }), expected);
  }
  assertEquals(forge.opened.length, 1);
});
