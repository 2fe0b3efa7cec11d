import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { AgentRun, failure, question, result, say, sign } from "./run_agent.ts";

Deno.test("agent shows its stream as lines and progress, never as JSON", async () => {
  await using run = await AgentRun.make({
    cli: [
      [
        say(
          sign("text", { text: "I look. Then ", isPart: true }),
          sign("text", { text: "I edit.\nAnd test", isPart: true }),
          sign("tool", { name: "Edit", target: "src/main.ts" }),
          sign("tool failed", { message: "no such file" }),
          sign("notice", { text: "retry 1/10" }),
          sign("text", { text: "All is done." }),
          { unknown: "line" },
        ),
        "echo plain; echo trouble >&2",
        say(result("All is done.")),
      ].join("\n"),
    ],
  });
  const { printed, ...outcome } = await run.run();
  assertEquals(outcome, { kind: "completed", result: "All is done." });
  assertEquals(printed, { stderr: "trouble" });
  assertEquals(run.lines.filter(([kind]) => kind !== "stderr"), [
    ["text", "I look. Then I edit."],
    ["text", "And test"],
    ["tool", "Edit src/main.ts"],
    ["tool", "Failed: no such file"],
    ["notice", "retry 1/10"],
    ["text", "All is done."],
    ["notice", "plain"],
  ]);
  assertEquals(run.lines.filter(([kind]) => kind === "stderr"), [
    ["stderr", "trouble"],
  ]);
  assertEquals(run.progress, [
    "I look.",
    "Then I edit.",
    "And test",
    "Edit src/main.ts",
    "Failed: no such file",
    "retry 1/10",
    "All is done.",
    "plain",
  ]);
});

Deno.test("agent shows a question as one, and tells progress that its text gives", async () => {
  await using run = await AgentRun.make({
    cli: [
      say(
        sign("text", {
          text:
            '{"agent_runner": "progress", "message": "Half", "fraction": 0.5}',
        }),
        sign("text", {
          text: 'So:\n{"agent_runner": "question", "question": "Which?"}',
        }),
        question("Which?"),
      ),
    ],
  });
  assertEquals((await run.run()).kind, "needs_input");
  assertEquals(run.lines, [["text", "So:"], ["text", "Asks: Which?"]]);
  assertEquals(run.progress, ["Half", "So:"]);
});

Deno.test("agent tells no part of a secret where it cuts a text", async () => {
  const secret = "sk-0123456789-abcdefghij-0123456789-abcdefghij-01";
  const command = `${"x".repeat(160)} ${secret}`;
  await using run = await AgentRun.make({
    cli: [`cat <<'END'
${
      JSON.stringify({
        type: "assistant",
        message: {
          content: [{ type: "tool_use", name: "Bash", input: { command } }],
        },
      })
    }
END`],
    config: { agent: "claude", secrets: ["KEY"] },
    variables: { KEY: secret },
  });
  await run.run();
  const kept = JSON.stringify([run.lines, run.progress]);
  assertStringIncludes(kept, "xxx");
  assert(!kept.includes("sk-0"), kept);
});

Deno.test("agent takes no limit from its final text: anybody may quote one", async () => {
  const text = '```\n{"agent_runner": "limit", "until": 4000000000}\n```';
  await using run = await AgentRun.make({ cli: [say(result(text))] });
  assertEquals((await run.run()).kind, "completed");
});

Deno.test("agent that uses a tool shows that its provider's limit is over, once", async () => {
  const tool = sign("tool", { name: "Edit" });
  await using run = await AgentRun.make({
    cli: [say(tool, tool, ...[result("Done")].flat())],
  });
  await run.run();
  assertEquals(run.noted("limit_over"), ["plain works"]);
});

Deno.test("agent keeps secrets out of all that is kept", async () => {
  const secret = "sk-very-secret-1";
  const texts = [
    sign("session", { id: secret }),
    sign("text", { text: "It is sk-very-", isPart: true }),
    sign("text", { text: "secret-1, you see.", isPart: true }),
    sign("tool", { name: "Bash", target: `echo ${secret}` }),
    sign("tool failed", { message: secret }),
    sign("notice", { text: secret }),
    sign("denied", { detail: `Bash ${secret}` }),
  ];
  const ends = [
    result(`It is ${secret}`),
    result(`{"agent_runner": "result", "value": {"a": "${secret}"}}`),
    question(`Is it ${secret}?`),
    failure("permanent", `Wrong: ${secret}`),
    failure("limit", `Wrong: ${secret}`),
    failure("session lost", `Wrong: ${secret}`),
  ];
  for (const end of ends) {
    await using run = await AgentRun.make({
      cli: [`${say(...texts)}\necho $KEY; echo $KEY >&2\n${say(end)}`],
      config: { secrets: ["KEY"], verify: ["sh", "-c", "echo $KEY; exit 1"] },
      variables: { KEY: secret },
    });
    const outcome = await run.run();
    const kept = JSON.stringify([
      outcome,
      run.notes,
      run.lines,
      run.progress,
      run.sessions,
    ]);
    assertStringIncludes(kept, "***");
    assert(!kept.includes("very"), kept);
  }
});
