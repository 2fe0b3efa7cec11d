import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { TestRepository } from "../../workspaces/repository.ts";
import { AgentRun, result, say } from "./run_agent.ts";

const BRANCH = "agent/mend-it-550e8400";

function runIn(
  repo: TestRepository,
  cli: readonly string[],
  { workspace = {}, ...config }: Record<string, unknown> & {
    readonly workspace?: object;
  } = {},
): Promise<AgentRun> {
  return AgentRun.make({
    cli,
    config: {
      workspace: { git: repo.path, folder: "work", ...workspace },
      ...config,
    },
    variables: { HOME: join(repo.base, "home") },
  });
}

Deno.test("what a hook says of a commit goes back to the agent", async () => {
  await using repo = await TestRepository.make();
  await Deno.writeTextFile(
    join(repo.path, ".git/hooks/pre-commit"),
    "#!/bin/sh\ngrep -q good new.txt || { echo 'new.txt is not good'; exit 1; }\n",
    { mode: 0o755 },
  );
  await using run = await runIn(repo, [
    `echo bad > new.txt\n${say(result("Done"))}`,
    `echo good > new.txt\n${say(result("Done now"))}`,
  ]);
  assertEquals(await run.run(), { kind: "completed", result: "Done now" });
  const [, second = ""] = await run.prompts();
  assertStringIncludes(second, "new.txt is not good");
  assertEquals(await repo.git("show", `${BRANCH}:new.txt`), "good");
  assertEquals(run.noted("committed"), ["What was left: new.txt"]);
});

Deno.test("an agent is told what it left uncommitted, where that is to fail", async () => {
  await using repo = await TestRepository.make();
  await using run = await runIn(repo, [
    `echo one > new.txt\n${say(result("Done"))}`,
  ], { workspace: { uncommitted: "fail" }, verifyRounds: 1 });
  const outcome = await run.run();
  assertEquals(
    outcome.kind === "failed" && outcome.error,
    "It is not done yet: this is not committed: new.txt. Commit it, or remove it.",
  );
  assertEquals((await run.calls()).length, 2);
});

Deno.test("an agent goes on without what a check that failed has changed", async () => {
  await using repo = await TestRepository.make();
  const check = "echo seen >> report; echo x >> new.txt; grep -q good new.txt";
  await using run = await runIn(repo, [
    `echo bad > new.txt\n${say(result("Done"))}`,
    `echo good >> new.txt\n${say(result("Done now"))}`,
  ], { verify: ["sh", "-c", check] });
  assertEquals((await run.run()).kind, "completed");
  assertEquals(await repo.git("show", `${BRANCH}:new.txt`), "bad\ngood");
  assertEquals(
    await repo.git("diff", "--name-only", `main..${BRANCH}`),
    "new.txt",
  );
  assertEquals(run.noted("checked"), [
    `\`sh -c "${check}"\` passed, and what it changed was put back: new.txt, report`,
  ]);
});
