import { assertEquals, assertObjectMatch } from "@std/assert";
import { join } from "node:path";
import { TestRepository } from "../../workspaces/repository.ts";
import { CommandRun, type CommandRunOptions } from "./run_command.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";

function runIn(
  repo: TestRepository,
  shell: string,
  { workspace = {}, ...options }: CommandRunOptions & {
    readonly workspace?: object;
  } = {},
): CommandRun {
  return new CommandRun({
    shell,
    workspace: { git: "app", folder: "work", ...workspace },
  }, {
    baseFolder: repo.base,
    variables: { HOME: join(repo.base, "home") },
    ...options,
  });
}

Deno.test("a program works in its task's worktree, and what it leaves is committed", async () => {
  await using repo = await TestRepository.make();
  const before = await repo.snapshot();
  await using run = runIn(
    repo,
    'echo hello > new.txt && echo "$AGENT_TASK_BRANCH from $AGENT_TASK_BASE"',
    { task: { instruction: "Say hello" } },
  );
  assertEquals(await run.outcome, {
    kind: "completed",
    result: "agent/say-hello-550e8400 from main",
  });
  assertEquals(
    await repo.git("show", "agent/say-hello-550e8400:new.txt"),
    "hello",
  );
  assertEquals(await repo.snapshot(), before);
});

Deno.test("a program's work is checked before it comes to its branch", async () => {
  await using repo = await TestRepository.make();
  await using run = runIn(repo, "echo hello > new.txt", {
    task: { instruction: "Say hello" },
    workspace: { verify: ["test", "-f", "other.txt"] },
  });
  assertObjectMatch(await run.outcome, { kind: "failed", retryable: true });
  assertEquals(
    await repo.git("rev-list", "--count", "main..agent/say-hello-550e8400"),
    "0",
  );
});

Deno.test("a repository that is not there costs no attempt", async () => {
  await using repo = await TestRepository.make();
  await using run = runIn(repo, "true", { workspace: { git: "other" } });
  assertEquals(await run.outcome, {
    kind: "failed",
    error: `Cannot use the repository ${repo.base}/other: it does not exist. ` +
      "Give the folder of one.",
    retryable: true,
    isUnbegun: true,
  });
});

Deno.test("what a check changes is no part of the work, and is put back", async () => {
  await using repo = await TestRepository.make();
  await repo.write("b.txt", "b\n");
  await repo.write("gone.txt", "gone\n");
  await repo.commit("More");
  await using run = runIn(repo, "echo hello > new.txt; rm gone.txt", {
    task: { instruction: "Say hello" },
    workspace: {
      verify: [
        "sh",
        "-c",
        "mkdir -p coverage/a; date > coverage/a/out; echo x >> new.txt; " +
        "rm b.txt; echo back > gone.txt",
      ],
    },
  });
  assertEquals((await run.outcome).kind, "completed");
  const branch = "agent/say-hello-550e8400";
  assertEquals(
    await repo.git("diff", "--name-status", `main..${branch}`),
    "D\tgone.txt\nA\tnew.txt",
  );
  assertEquals(await repo.git("show", `${branch}:new.txt`), "hello");
  const folder = join(repo.base, "work", ID);
  assertEquals(await repo.gitIn(folder, "status", "--porcelain"), "");
  assertEquals(
    [...Deno.readDirSync(folder)].map((it) => it.name).sort(),
    [".git", "README.md", "b.txt", "new.txt"],
  );
});
