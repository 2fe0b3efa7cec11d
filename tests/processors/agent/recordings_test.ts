import { assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { FakeClock } from "../../support/fake_clock.ts";
import { AgentRun } from "./run_agent.ts";

const CLAUDE = new URL("./recordings/claude-2.1.197/", import.meta.url);

/** A CLI that prints what the real one did, and ends as that. */
function recorded(name: string): string {
  const meta = JSON.parse(
    Deno.readTextFileSync(new URL(`${name}.meta.json`, CLAUDE)),
  );
  const stream = fileURLToPath(new URL(`${name}.jsonl`, CLAUDE));
  return `cat '${stream}'; exit ${meta.exitCode ?? 1}`;
}

/** Runs claude as it was recorded. */
async function replay(
  names: readonly string[],
  { config = {}, clock = new FakeClock({ autoAdvance: true }) } = {},
) {
  const run = await AgentRun.make({
    cli: names.map(recorded),
    config: { agent: "claude", idleTimeout: 0, ...config },
    clock,
  });
  return { run, [Symbol.asyncDispose]: () => run[Symbol.asyncDispose]() };
}

Deno.test("agent claude is started without a question of its own, and completes", async () => {
  await using replayed = await replay(["success"]);
  const { run } = replayed;
  const { kind, usage } = await run.run();
  assertEquals(kind, "completed");
  assertEquals(usage !== undefined, true);
  const [args = []] = await run.calls();
  assertEquals(args.slice(0, 4), [
    "-p",
    "--output-format=stream-json",
    "--verbose",
    "--permission-mode=acceptEdits",
  ]);
  assertEquals(run.lines.some(([, line]) => line.startsWith("{")), false);
});

Deno.test("agent claude waits until its plan's limit ends", async () => {
  const clock = new FakeClock({
    start: new Date("2026-11-28T02:34:10Z"),
    autoAdvance: true,
  });
  await using replayed = await replay(["limit-plan-subscriber"], { clock });
  const outcome = await replayed.run.run();
  assertMatch(JSON.stringify(outcome), /session limit/);
  assertEquals(outcome.kind, "limited");
  const { waitMs = 0 } = outcome as { waitMs?: number };
  assertEquals(Math.round(waitMs / 3_600_000), 2);
});

for (const [onDenied, kind] of [["warn", "completed"], ["fail", "failed"]]) {
  Deno.test(`agent claude that was denied its writes has ${kind} with ${onDenied}`, async () => {
    await using replayed = await replay(["permission-denied"], {
      config: { onDenied },
    });
    const { run } = replayed;
    const outcome = await run.run();
    assertEquals(outcome.kind, kind);
    assertMatch(JSON.stringify(outcome), /Not permitted: Write /);
    assertEquals(run.noted("denied").length, 1);
  });
}

Deno.test("agent claude begins anew where its session is unknown", async () => {
  await using replayed = await replay(["session-resume-unknown", "success"]);
  const { run } = replayed;
  const folder = run.path("work", run.taskWith().id);
  await Deno.mkdir(folder, { recursive: true });
  const session = { agent: "claude", id: crypto.randomUUID(), folder };
  const outcome = await run.run({ task: { attempt: 2 }, trace: { session } });
  assertEquals(outcome.kind, "completed");
  const [first = [], second = []] = await run.calls();
  assertEquals(first.includes(`--resume=${session.id}`), true);
  assertMatch(second.join(" "), /--session-id=/);
  assertEquals(run.noted("session_lost").length, 1);
});

Deno.test("agent claude asks in its final text", async () => {
  await using replayed = await replay(["ask-text"]);
  assertEquals((await replayed.run.run()).kind, "needs_input");
});

for (
  const [name, error] of [
    ["no-key", "Not logged in · Please run /login"],
    ["limit-credit", "Credit balance is too low"],
  ] as const
) {
  Deno.test(`agent claude's ${name} fails, and pauses its provider`, async () => {
    await using replayed = await replay([name]);
    const { usage: _, ...outcome } = await replayed.run.run();
    assertEquals(outcome, {
      kind: "failed",
      error,
      retryable: false,
      pausesProvider: true,
    });
  });
}

for (
  const [name, retryable] of [["error-400", false], [
    "error-500",
    true,
  ]] as const
) {
  Deno.test(`agent claude's ${name} is tried again: ${retryable}`, async () => {
    await using replayed = await replay([name]);
    const outcome = await replayed.run.run();
    assertEquals(outcome.kind === "failed" && outcome.retryable, retryable);
    assertEquals(outcome.kind, "failed");
  });
}
