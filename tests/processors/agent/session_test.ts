import { assert, assertEquals, assertMatch } from "@std/assert";
import type { JsonValue } from "../../../lib/task/task.ts";
import {
  AgentRun,
  failure,
  question,
  result,
  say,
  sign,
  TASK_ID,
} from "./run_agent.ts";

const UUID_5 = /^--new=[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-/;
const answered = (text: string) => ({
  answers: [{ question: "Which?", answer: text, answered_at: "2026-01-01" }],
  question_asked_at: "2026-01-01T00:00:00.000+00:00",
});

Deno.test("agent begins a session with the task's id, and notes it before it starts", async () => {
  await using run = await AgentRun.make({
    cli: [`${say(sign("text", { text: "Hello." }))}; ${say(result("Done"))}`],
  });
  const outcome = run.run();
  await run.printed("Hello.");
  assertEquals(run.notes, [["session", `plain ${TASK_ID}`]]);
  assertEquals(run.sessions, [{
    agent: "plain",
    id: TASK_ID,
    folder: run.path("work", TASK_ID),
    told: { answers: 0, notes: 0 },
  }]);
  assertEquals(await outcome, { kind: "completed", result: "Done" });
  assertEquals(await run.starts(), [`--new=${TASK_ID}`]);
});

Deno.test("agent tells the instruction, the target, and how to ask", async () => {
  await using run = await AgentRun.make({ cli: [say(result("Done"))] });
  await run.run({ task: { targetType: "pr", targetRef: "me/it#12" } });
  const [prompt = ""] = await run.prompts();
  assert(prompt.startsWith("Mend it\n\nTarget: pr me/it#12\n\nNobody watches"));
  assertEquals(
    prompt.split("\n").at(-1),
    '{"agent_runner": "question", "question": "…"}',
  );
});

Deno.test("agent does not take an instruction for an option", async () => {
  await using run = await AgentRun.make({ cli: [say(result("Done"))] });
  await run.run({ task: { instruction: "--yolo" } });
  assert((await run.prompts())[0]?.startsWith(" --yolo\n"));
});

for (const instruction of ["/clear", "@secrets.txt", "!rm -rf .", " #note"]) {
  Deno.test(`agent takes "${instruction}" for no command of the CLI's`, async () => {
    await using run = await AgentRun.make({ cli: [say(result("Done"))] });
    await run.run({ task: { instruction } });
    const [prompt = ""] = await run.prompts();
    assert(prompt.startsWith(`In words: ${instruction.trim()}\n`), prompt);
  });
}

Deno.test("agent that begins anew after a limit is told of the work in its folder", async () => {
  await using run = await AgentRun.make({
    cli: [
      `touch work; ${say(failure("limit", "weekly"))}`,
      say(result("Done")),
    ],
    config: { resume: "never" },
  });
  assertEquals((await run.run()).kind, "limited");
  // It has cost no attempt.
  assertEquals((await run.run()).kind, "completed");
  const [first = "", second = ""] = await run.prompts();
  assert(!first.includes("What was done so far"));
  assert(second.includes("What was done so far is in this folder."), second);
});

Deno.test("agent goes on in its session with just the answer", async () => {
  await using run = await AgentRun.make({
    cli: [
      `touch left; ${say(question("Which?"))}`,
      `ls; ${say(result("Yes"))}`,
    ],
    config: { answerWithin: 60 },
  });
  assertEquals(await run.run(), {
    kind: "needs_input",
    question: "Which?",
    answerWithinMs: 60_000,
  });
  const outcome = await run.run({
    task: { attempt: 2 },
    trace: answered("The red one"),
  });
  assertEquals(outcome, { kind: "completed", result: "Yes" });
  assertEquals(await run.starts(), [`--new=${TASK_ID}`, `--resume=${TASK_ID}`]);
  assertEquals((await run.prompts())[1], "The red one");
  assert(run.lines.some(([, line]) => line === "left"));
});

Deno.test("agent tells a retry what went wrong", async () => {
  await using run = await AgentRun.make({
    cli: [say(failure("retryable", "Overloaded")), say(result("Done"))],
  });
  assertEquals(await run.run(), {
    kind: "failed",
    error: "Overloaded",
    retryable: true,
  });
  await run.run({
    task: { attempt: 2 },
    trace: {
      last_error: "Overloaded",
      last_failed_at: "2026-01-01T00:00:01.000+00:00",
      last_progress_at: "2026-01-01T00:00:00.000+00:00",
    },
  });
  assertEquals((await run.starts())[1], `--resume=${TASK_ID}`);
  assertEquals(
    (await run.prompts())[1],
    "The last attempt ended with: Overloaded. Go on.",
  );
});

Deno.test("agent takes over from a runner that died, with the answer it may not know", async () => {
  await using run = await AgentRun.make({
    cli: [say(question("Which?")), "exit 1", say(result("Done"))],
  });
  await run.run();
  await run.run({ task: { attempt: 2 }, trace: answered("Red") });
  await run.run({
    task: { attempt: 3 },
    trace: {
      last_progress_at: "2026-01-02T00:00:00.000+00:00",
      session: { ...run.sessions[0], told: { answers: 1, notes: 0 } },
    },
  });
  assertEquals((await run.starts())[2], `--resume=${TASK_ID}`);
  assertEquals(
    (await run.prompts())[2],
    "The last attempt was cut off. Go on.\n\nAsked and answered last:\n" +
      "Question: Which?\nAnswer: Red",
  );
});

Deno.test("agent counts what a session was told when that is there again", async () => {
  await using run = await AgentRun.make({
    cli: [
      say(question("Which?")),
      say(sign("session", { id: TASK_ID }), result("Done")),
    ],
  });
  await run.run();
  await run.run({ task: { attempt: 2 }, trace: answered("Red") });
  assertEquals(run.sessions.map(({ told }) => told?.answers), [0, 1]);
});

Deno.test("agent tells a person's new notes, whatever else is in their list", async () => {
  await using run = await AgentRun.make({ cli: [say(result("Done"))] });
  const notes: JsonValue = [
    { text: "Old", at: "x" },
    7,
    null,
    { at: "y" },
    "New",
  ];
  await Deno.mkdir(run.path("work", TASK_ID), { recursive: true });
  await run.run({
    task: { attempt: 2 },
    trace: {
      notes,
      session: {
        agent: "plain",
        id: "abc",
        folder: run.path("work", TASK_ID),
        told: { answers: 0, notes: 1 },
      },
    },
  });
  assertEquals(await run.starts(), ["--resume=abc"]);
  assertEquals(
    (await run.prompts())[0],
    "A person left this note for you: New\n\n" +
      "The last attempt was cut off. Go on.",
  );
});

Deno.test("agent goes on in the session of the task that its own repeats", async () => {
  const again = { retry_of: TASK_ID, notes: [{ text: "Keep the name" }] };
  const failed = {
    last_error: "No luck",
    last_failed_at: "2026-11-22T14:29:55.730+00:00",
  };
  for (
    const [trace, end] of [
      [again, "Go on."],
      [{ ...again, ...failed }, "The last attempt ended with: No luck. Go on."],
    ] as const
  ) {
    await using run = await AgentRun.make({ cli: [say(result("Done"))] });
    const folder = run.path("work", TASK_ID);
    await Deno.mkdir(folder, { recursive: true });
    const session = { agent: "plain", id: "abc", folder };
    await run.run({ trace: { ...trace, session, notes: [...trace.notes] } });
    assertEquals(await run.starts(), ["--resume=abc"]);
    assertEquals(
      (await run.prompts())[0],
      `A person left this note for you: Keep the name\n\n${end}`,
    );
  }
});

Deno.test("agent begins anew where its session is lost, with the whole story", async () => {
  await using run = await AgentRun.make({
    cli: [
      say(question("Which?")),
      "echo no such session >&2; exit 1",
      say(result("Done")),
    ],
  });
  await run.run();
  const outcome = await run.run({
    task: { attempt: 2 },
    trace: answered("Red"),
  });
  assertEquals(outcome.kind, "completed");
  const starts = await run.starts();
  assertEquals(starts[1], `--resume=${TASK_ID}`);
  assertMatch(starts[2] ?? "", UUID_5);
  const prompt = (await run.prompts())[2] ?? "";
  assert(
    prompt.startsWith("Mend it\n\nAsked so far, and answered:\nQuestion: "),
  );
  assert(prompt.includes("Answer: Red"), prompt);
  assertEquals(run.noted("session_lost"), ["no such session"]);
  assertEquals(`--new=${run.sessions.at(-1)?.id}`, starts[2]);
});

Deno.test("agent ends where no session can be begun", async () => {
  await using run = await AgentRun.make({
    cli: ["echo no such session >&2; exit 1"],
  });
  const { printed, ...outcome } = await run.run();
  assertEquals(outcome, {
    kind: "failed",
    error: "no such session",
    retryable: false,
  });
  assertEquals(printed, { stderr: "no such session" });
  const starts = await run.starts();
  assertEquals([starts.length, new Set(starts).size], [3, 3]);
});

const ELSEWHERE = { agent: "plain", id: "abc", folder: "/nowhere" };
for (
  const [what, session, why] of [
    ["another agent's", { ...ELSEWHERE, agent: "codex" }, /one of codex/],
    ["in another folder", ELSEWHERE, /another folder: \/nowhere/],
  ] as const
) {
  Deno.test(`agent begins anew where the session is ${what}`, async () => {
    await using run = await AgentRun.make({ cli: [say(result("Done"))] });
    await Deno.mkdir(run.path("work", TASK_ID), { recursive: true });
    await run.run({ task: { attempt: 2 }, trace: { session } });
    assertMatch((await run.starts())[0] ?? "", UUID_5);
    assertMatch(run.noted("session_lost")[0] ?? "", why);
    assert((await run.prompts())[0]?.includes("The last attempt was cut off."));
  });
}

Deno.test("agent begins anew where its folder is gone", async () => {
  await using run = await AgentRun.make({ cli: [say(result("Done"))] });
  const folder = run.path("work", TASK_ID);
  const session = { agent: "plain", id: "abc", folder };
  await run.run({ task: { attempt: 2 }, trace: { session } });
  assertMatch((await run.starts())[0] ?? "", UUID_5);
  assertEquals(run.noted("session_lost"), [`Its folder is gone: ${folder}`]);
});

Deno.test("agent gives no session's id that could be an option", async () => {
  await using run = await AgentRun.make({ cli: [say(result("Done"))] });
  const folder = run.path("work", TASK_ID);
  await Deno.mkdir(folder, { recursive: true });
  const session = { agent: "plain", id: "--yolo", folder };
  await run.run({ trace: { session } });
  assertEquals(await run.starts(), [`--new=${TASK_ID}`]);
});

Deno.test("agent never goes on in a session with resume never", async () => {
  await using run = await AgentRun.make({
    cli: [say(question("Which?")), say(result("Done"))],
    config: { resume: "never" },
  });
  await run.run();
  await run.run({ task: { attempt: 2 }, trace: answered("Red") });
  assertMatch((await run.starts())[1] ?? "", UUID_5);
  assert((await run.prompts())[1]?.includes("Answer: Red"));
  assertEquals(run.noted("session_lost"), []);
});
