import { assert, assertEquals, assertMatch } from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import { createLog } from "../../../lib/base/log.ts";
import { createCommandProcessor } from "../../../lib/processors/command/command.ts";
import { commandConfig } from "../../../lib/processors/command/config.ts";
import { AT_ONCE, Folder } from "../../cli/cli.ts";
import { RESULTS, RESULTS_TEXT } from "../../support/sample_results.ts";
import { runCommand, taskWith } from "./run_command.ts";

const BEFORE = { context: { results: RESULTS } };

Deno.test("command gives what came before as an argument", async () => {
  const command = ["printf", "%s|%s", "--before={results}", "{{results}}"];
  assertEquals(await runCommand({ command }, BEFORE), {
    kind: "completed",
    result: `--before=${RESULTS_TEXT}|{results}`,
  });
  assertEquals(await runCommand({ command }), {
    kind: "completed",
    result: "--before=[]|{results}",
  });
});

Deno.test("command gives what came before on stdin, with the task", async () => {
  const outcome = await runCommand({ command: ["cat"] }, BEFORE);
  assert(outcome.kind === "completed");
  const { results } = JSON.parse(String(outcome.result));
  assertEquals(results, JSON.parse(RESULTS_TEXT));
});

Deno.test("command gives what came before as a file that only it can read, and removes it", async () => {
  const shell = 'ls -A; for it in "$AGENT_RUNNER_RESULTS" ' +
    '"$(dirname "$AGENT_RUNNER_RESULTS")"; do ls -ld "$it" | cut -c1-10; done; ' +
    'echo "$AGENT_RUNNER_RESULTS"; cat "$AGENT_RUNNER_RESULTS"; exit 64';
  const outcome = await runCommand({ shell }, BEFORE);
  assert(outcome.kind === "failed");
  const printed = outcome.printed?.stdout ?? "";
  const [mode, folderMode, path = "", ...text] = printed.split("\n");
  assertEquals([mode, folderMode], ["-rw-------", "drwx------"]);
  assertEquals(JSON.parse(text.join("\n")), JSON.parse(RESULTS_TEXT));
  assertMatch(text.join("\n"), /9007199254740993/);
  for (const gone of [path, path.replace(/\/[^/]+$/, "")]) {
    assertEquals(await Deno.stat(gone).catch(({ name }) => name), "NotFound");
  }
});

Deno.test("command makes no file where nothing came before", async () => {
  const shell = 'printf "[%s]" "${AGENT_RUNNER_RESULTS-none}"';
  assertEquals(await runCommand({ shell }), {
    kind: "completed",
    result: "[none]",
  });
});

Deno.test("command says where to read what is too long for an argument", async () => {
  const [first] = RESULTS;
  const results = [{ ...first!, output: "x".repeat(200_000) }];
  const outcome = await runCommand({ command: ["echo", "{results}"] }, {
    context: { results },
  });
  assert(outcome.kind === "failed" && !outcome.retryable);
  assertMatch(
    outcome.error,
    /^Cannot run echo: the argument \{results\} has 200,\d+ bytes, more than 100,000\. Let the program read the file that \$AGENT_RUNNER_RESULTS names\.$/,
  );
});

Deno.test("describe() leaves open what came before", () => {
  const processor = createCommandProcessor(
    commandConfig.parse({ command: ["sum", "{results}"] }),
    { baseFolder: "/etc/x", clock: systemClock, log: createLog() },
  );
  assertEquals(processor.describe?.(taskWith()), "runs sum {results}");
});

Deno.test("run gives a task what came of those that it waited for", async () => {
  using folder = new Folder();
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        work: { processor: "command", command: ["echo", "{instruction}"] },
        broken: { processor: "command", shell: "exit 64" },
        sum: { processor: "command", shell: 'cat "$AGENT_RUNNER_RESULTS"' },
      },
    }),
  );
  const [, , sum = ""] = await folder.create([
    { instruction: "one", key: "first", provider: "work" },
    { instruction: "two", provider: "broken", key: "second" },
    { provider: "sum", after: ["second", "first"], if_failed: "run" },
  ]);
  await folder.run(["run", "--once"], { env: AT_ONCE });
  const told = JSON.parse(await folder.ok(["result", sum]));
  assertEquals(
    told.map(({ id: _, ...rest }: Record<string, unknown>) => rest),
    [{
      key: "second",
      provider: "broken",
      instruction: "two",
      state: "failed",
      output: null,
      error: "Exit code 64",
    }, {
      key: "first",
      provider: "work",
      instruction: "one",
      state: "completed",
      output: "one",
    }],
  );
});
