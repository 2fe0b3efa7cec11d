import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertStringIncludes,
} from "@std/assert";
import { TestRepository } from "../../workspaces/repository.ts";
import { AgentRun, result, say, TASK_ID } from "./run_agent.ts";

const MERGES = { onApproved: "merge", approval: "none" };

/** An agent whose tasks have a worktree of the repository. */
async function agentOn(
  repository: TestRepository,
  cli: readonly string[],
  workspace: object = MERGES,
  more: object = {},
): Promise<AgentRun> {
  return await AgentRun.make({
    cli,
    config: {
      ...more,
      workspace: { git: repository.path, folder: "work", ...workspace },
    },
  });
}

/** Somebody commits to the base, while the agent is at work. */
function meanwhile({ path }: TestRepository): string {
  return `echo theirs > ${path}/README.md; git -C ${path} commit -qam Theirs`;
}

const MINE = "echo mine > README.md; git commit -qam Mine";

Deno.test("agent gets a conflict in its session, and what it makes of it is merged", async () => {
  await using repository = await TestRepository.make();
  await using run = await agentOn(repository, [
    `${MINE}; ${meanwhile(repository)}; ${say(result("Done"))}`,
    "git merge -q main; echo both > README.md; git commit -qam Both; " +
    say(result("Really")),
  ]);
  const outcome = await run.run();
  const tip = await repository.git("rev-parse", "main");
  assertEquals(outcome, {
    kind: "completed",
    result: "Really",
    message: `Merged into main as ${tip.slice(0, 7)}`,
  });
  assertEquals(await run.starts(), [
    `--new=${TASK_ID}`,
    `--resume=${TASK_ID}`,
  ]);
  assertStringIncludes(
    (await run.prompts())[1]!,
    "It is not done yet: agent/mend-it-550e8400 conflicts with main in README.md.",
  );
  assertEquals(
    await Deno.readTextFile(`${repository.path}/README.md`),
    "both\n",
  );
  assertEquals(await repository.git("status", "--porcelain"), "");
  assertEquals(run.noted("conflicted"), [
    "agent/mend-it-550e8400 with main in README.md",
  ]);
});

Deno.test("agent gets a conflict once, and then a person does", async () => {
  await using repository = await TestRepository.make();
  // It is no check that failed.
  await using run = await agentOn(
    repository,
    [
      `${MINE}; ${meanwhile(repository)}; ${say(result("Done"))}`,
      say(result("I can't")),
    ],
    MERGES,
    { verifyRounds: 0 },
  );
  const outcome = await run.run();
  assert(outcome.kind === "needs_input");
  assertStringIncludes(
    outcome.question,
    "Cannot merge agent/mend-it-550e8400 into main: they conflict in README.md.",
  );
  assertEquals(outcome.result, "I can't");
  assertEquals((await run.starts()).length, 2);
  assertEquals(
    await repository.git("log", "-1", "--format=%s", "main"),
    "Theirs",
  );
});

Deno.test("agent is not called again for what was approved", async () => {
  await using repository = await TestRepository.make();
  await using run = await agentOn(
    repository,
    [`${MINE}; ${say(result("Done"))}`, "exit 3"],
    { onApproved: "merge" },
  );
  const asked = await run.run();
  assert(asked.kind === "needs_input" && asked.approval);
  const approved = { ...asked.approval, at: "2026-11-29T10:00:00.000+00:00" };
  const trace = { approved, output: asked.result! };
  assertObjectMatch(await run.run({ trace }), {
    kind: "completed",
    result: "Done",
  });
  assertEquals((await run.starts()).length, 1);
  assertEquals(
    await repository.git("log", "-1", "--format=%s", "main"),
    "Mine",
  );
});

Deno.test("agent is not called for what keeps approved work from being merged, or is committed since", async () => {
  await using repository = await TestRepository.make();
  const setup = ["sh", "-c", "! test -e mine.txt || test -e ../../ready"];
  await using run = await agentOn(
    repository,
    [
      `echo mine > mine.txt; git add .; git commit -qm Mine; ${
        say(result("Done"))
      }`,
      "exit 3",
    ],
    { onApproved: "merge", setup, verify: ["true"] },
  );
  const asked = await run.run();
  assert(asked.kind === "needs_input" && asked.approval);
  const at = "2026-11-29T10:00:00.000+00:00";
  const trace = { approved: { ...asked.approval, at }, output: asked.result! };
  assertObjectMatch(await run.run({ trace }), {
    kind: "failed",
    retryable: true,
    atLast: { approval: asked.approval, result: "Done" },
  });
  const branch = "refs/heads/agent/mend-it-550e8400";
  const tree = `${branch}^{tree}`;
  const more = await repository.git(
    ...["commit-tree", "-p", branch, "-m", "More", tree],
  );
  await repository.git("update-ref", branch, more);
  const again = await run.run({ trace });
  assert(again.kind === "needs_input");
  assertStringIncludes(again.question, "into main? 2 commits, 1 file, +1 −0");
  assertEquals(again.approval?.head, more);
  assertEquals((await run.starts()).length, 1);
});
