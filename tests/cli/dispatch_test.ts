import { assertEquals, assertMatch } from "@std/assert";
import { StandInForge } from "../support/forge.ts";
import { Gh } from "../support/gh.ts";
import { TestRepository } from "../workspaces/repository.ts";
import { AT_ONCE, Folder } from "./cli.ts";

const EXAMPLE = new URL(
  "../../examples/dispatch/agent-runner.json",
  import.meta.url,
);
const PATCH = `--- a/README.md
+++ b/README.md
@@ -1 +1 @@
-# App
+# The app
`;
const ISSUE = {
  number: 7,
  title: "Give it an article",
  body: `Target Repository: octo/tool\n\n\`\`\`diff\n${PATCH}\`\`\`\n`
    .replaceAll("\n", "\r\n"),
  labels: ["agent-task"],
  comments: [{
    author: { login: "stranger" },
    body: `\`\`\`diff\n${PATCH.replaceAll("# ", "## ")}\`\`\``,
    viewerDidAuthor: false,
  }],
};

/** The example's configuration, a dispatch repository, and a target octo/tool. */
async function setUp() {
  const folder = new Folder();
  const repo = await TestRepository.make();
  const target = `${repo.base}/octo/tool.git`;
  await repo.git("clone", "-q", "--bare", repo.path, target);
  const forge = new StandInForge();
  const gh = new Gh(folder.path, `${forge.bin}/gh`);
  gh.change({ issues: [ISSUE] });
  folder.write("agent-runner.json", await Deno.readTextFile(EXAMPLE));
  const env: Record<string, string> = {
    ...AT_ONCE,
    PATH: `${gh.bin}:${Deno.env.get("PATH")}`,
    XDG_STATE_HOME: `${folder.path}/state`,
    GIT_AUTHOR_NAME: "A User",
    GIT_AUTHOR_EMAIL: "user@example.com",
    GIT_COMMITTER_NAME: "A User",
    GIT_COMMITTER_EMAIL: "user@example.com",
  };
  const importing = [
    ...["import", "github", "octo/dispatch", "--label", "agent-task"],
    ...["--dispatch", "--clone-url", `file://${repo.base}/{repository}.git`],
  ];
  return {
    folder,
    gh,
    forge,
    importIssues: (...more: string[]) =>
      folder.ok([...importing, ...more], { env }),
    run: () => folder.run(["run", "--once", "--lease", "5"], { env }),
    ok: (...args: string[]) => folder.ok(args, { env }),
    /** What git prints in the target. */
    git: (...args: string[]) => repo.gitIn(target, ...args),
    async [Symbol.asyncDispose]() {
      folder[Symbol.dispose]();
      forge[Symbol.dispose]();
      await repo[Symbol.asyncDispose]();
    },
  };
}

Deno.test("examples/dispatch makes a pull request of an issue, once, though a runner is killed in between", async () => {
  await using place = await setUp();
  const { forge, gh, git, importIssues, run } = place;
  const state = async () =>
    JSON.parse(await place.ok("list", "--json"))[0].state;
  await importIssues();
  gh.killAfter("pr create");
  const killed = await run();
  assertEquals(killed.code, 137, killed.stderr);
  assertEquals(forge.opened.length, 1);
  await importIssues();
  // Not before the lease of the one that was killed is over.
  for (let runs = 0; runs < 30 && await state() !== "completed"; runs++) {
    const { code, stderr } = await run();
    assertEquals(code, 0, stderr);
  }
  await run();

  const [task, ...others] = JSON.parse(await place.ok("list", "--json"));
  assertEquals(others, []);
  assertEquals(task.state, "completed");
  const branch = `agent-task-${task.id.slice(0, 8)}`;
  assertEquals(
    await git("branch", "--format=%(refname:short)"),
    [
      branch,
      "main",
    ].join("\n"),
  );
  assertEquals(await git("show", `${branch}:README.md`), "# The app");
  assertEquals(await git("rev-list", "--count", `main..${branch}`), "1");
  const [pull, ...more] = forge.opened;
  assertEquals(more, []);
  assertEquals(
    [pull!.head, pull!.base, pull!.title],
    [branch, "main", "Give it an article"],
  );
  assertMatch(pull!.body, /\bocto\/dispatch#7\b/);

  await importIssues("--comment");
  await importIssues("--comment");
  const told = gh.state.issues[0]!.comments!.slice(1).map(({ body }) => body);
  assertEquals(told.length, 1);
  assertMatch(told[0]!, new RegExp(`Pull request: ${StandInForge.address}`));
  assertMatch(told[0]!, new RegExp(`Branch: \`${branch}\` \\(1 commit, `));
});

Deno.test("examples/dispatch opens no pull request of a patch that does not apply", async () => {
  await using place = await setUp();
  const { forge, gh, git, importIssues, run } = place;
  const body = ISSUE.body.replace("-# App", "-# Apps");
  gh.change({ issues: [{ ...ISSUE, body }] });
  await importIssues();
  assertEquals((await run()).code, 1);
  const [task] = JSON.parse(await place.ok("list", "--json"));
  assertMatch(task.trace.error, /patch does not apply/);
  assertEquals(task.attempt, 1);
  assertEquals(await git("branch", "--format=%(refname:short)"), "main");
  assertEquals(forge.opened, []);
});
