import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { whatCameBefore } from "../../../lib/processors/agent/results.ts";
import type { TaskResult } from "../../../lib/task/task.ts";
import { RESULTS, RESULTS_TEXT } from "../../support/sample_results.ts";
import { AgentRun, question, result, say, TASK_ID } from "./run_agent.ts";

const ANSWERED = {
  answers: [{ question: "Which?", answer: "Both", answered_at: "2026-01-01" }],
  question_asked_at: "2026-01-01T00:00:00.000+00:00",
};

Deno.test("agent tells what came before, with the whole of it in a file of its folder", async () => {
  await using run = await AgentRun.make({
    cli: [
      'cp "$AGENT_RUNNER_RESULTS" ../../copy.json; git init -q; ' +
      `git status --short > ../../status; ${say(question("Which?"))}`,
      'echo "$AGENT_RUNNER_RESULTS" > ../../path; ' + say(result("Done")),
    ],
    results: RESULTS,
  });
  await run.run();
  const [prompt = ""] = await run.prompts();
  const folder = run.path("work", TASK_ID, `.agent-runner-${TASK_ID}`);
  const path = join(folder, "results.json");
  assert(
    prompt.startsWith(`Mend it

What came of the tasks before this one:
- build (completed): Build it é
  Result: {"files":9007199254740993}
- b2222222-0000-4000-8000-000000000000 (failed)
  Error: No network
- long (completed): Say a lot
  Its result is too long to be given to you.
All of it is in this file, as JSON: ${path}

Nobody watches`),
    prompt,
  );
  const copy = await Deno.readTextFile(run.path("copy.json"));
  assertEquals(JSON.parse(copy), JSON.parse(RESULTS_TEXT));
  assertEquals(await Deno.readTextFile(run.path("status")), "");
  assertEquals(await Deno.stat(folder).catch(({ name }) => name), "NotFound");

  // Its session knows them, and where they are.
  assertEquals(await run.run({ trace: ANSWERED }), {
    kind: "completed",
    result: "Done",
  });
  assertEquals((await run.prompts())[1], "Both");
  assertEquals(await Deno.readTextFile(run.path("path")), `${path}\n`);
  assertEquals(await Deno.stat(folder).catch(({ name }) => name), "NotFound");
});

Deno.test("agent leaves the file to who has its folder now", async () => {
  await using run = await AgentRun.make({
    cli: ["echo started; exec sleep 60"],
    results: RESULTS,
    config: { killGrace: 0 },
  });
  const outcome = run.run();
  await run.printed("started");
  run.stop.abort("lease lost");
  await outcome;
  const folder = run.path("work", TASK_ID, `.agent-runner-${TASK_ID}`);
  assert((await Deno.stat(join(folder, "results.json"))).isFile);
});

Deno.test("whatCameBefore() stays short, however much that is", () => {
  const many = Array.from({ length: 10_000 }, (_, index): TaskResult => ({
    id: `t${index}`,
    key: null,
    provider: "p",
    instruction: "x".repeat(10_000),
    state: "completed",
    output: "one\ntwo\n" + "y".repeat(100_000),
  }));
  const text = whatCameBefore(many, "/results.json");
  assert(text.length < 10_000, `${text.length}`);
  assert(text.includes("\n  Result: one\n  two\n  yyy"));
  assert(text.includes("… (cut: 100,016 characters in all)"));
  assert(text.includes("- t19 (completed)") && !text.includes("- t20"));
  assert(text.includes("\n- and 9,980 more\n"), text.slice(-200));
});
