import { assert, assertEquals } from "@std/assert";
import type { Outcome } from "../../../lib/task/task.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { until } from "../../support/until.ts";
import { ended } from "../command/run_command.ts";
import { AgentRun, result, say, sign } from "./run_agent.ts";

/** Says its id and that of a child in a group of its own; ends by nothing polite. */
const STUBBORN = `trap '' TERM HUP
setsid sh -c 'trap "" TERM HUP; echo "pid $$" >&2; sleep 300; sleep 300' &
echo "pid $$" >&2
${say(sign("text", { text: "Hello." }))}
sleep 300; sleep 300`;

async function pidsOf(run: AgentRun): Promise<number[]> {
  const pids = () =>
    run.lines.flatMap(([, line]) => /^pid (\d+)$/.exec(line)?.[1] ?? []);
  await until("both say their ids", () => pids().length === 2);
  return pids().map(Number);
}

/** Moves the time on until there is an outcome. */
async function outcomeWhile(
  clock: FakeClock,
  outcome: Promise<Outcome>,
): Promise<Outcome> {
  let isOver = false;
  outcome.finally(() => isOver = true);
  await until("it ends", async () => {
    await clock.advance(100);
    return isOver;
  });
  return await outcome;
}

for (const reason of ["cancelled", "timeout", "lease lost", "shutdown"]) {
  Deno.test(`agent leaves no process at ${reason}, and keeps its folder`, async () => {
    await using run = await AgentRun.make({
      cli: [`${STUBBORN}`],
      config: { killGrace: 0.2 },
    });
    const outcome = run.run();
    await run.printed("Hello.");
    const pids = await pidsOf(run);
    run.stop.abort(reason);
    const { printed, ...rest } = await outcome;
    assertEquals(rest, { kind: "failed", error: "Stopped", retryable: true });
    assertEquals(printed?.stdout, "Hello.");
    for (const pid of pids) assert(await ended(pid));
    assert((await Deno.stat(run.sessions[0]?.folder ?? "")).isDirectory);
  });
}

Deno.test("agent that is told to stop is not asked for more", async () => {
  await using run = await AgentRun.make({
    cli: [
      `trap 'exit 0' TERM; ${say(result("Done"))}; echo ready; ` +
      "while :; do sleep 0.05; done",
    ],
    config: { verify: ["touch", "checked"], killGrace: 60 },
  });
  const outcome = run.run();
  await run.printed("ready");
  run.stop.abort("shutdown");
  assertEquals((await outcome).kind, "failed");
  assertEquals(run.noted("checked"), []);
});

Deno.test("agent that says nothing for idleTimeout is ended, and tried again", async () => {
  const clock = new FakeClock();
  await using run = await AgentRun.make({
    cli: [
      say(sign("usage", { usage: { input: 3 } })) + "\n" + STUBBORN,
    ],
    clock,
  });
  const outcome = run.run();
  await run.printed("Hello.");
  const pids = await pidsOf(run);
  await clock.advance(899_999);
  assertEquals(run.noted("idle"), []);
  await clock.advance(1);
  const { printed: _, ...rest } = await outcomeWhile(clock, outcome);
  assertEquals(rest, {
    kind: "failed",
    error: "plain said nothing for 15m",
    retryable: true,
    usage: { input: 3 },
  });
  assertEquals(run.noted("idle"), ["plain said nothing for 15m"]);
  for (const pid of pids) assert(await ended(pid));
});

Deno.test("agent that hangs after its result has done its work", async () => {
  const clock = new FakeClock();
  await using run = await AgentRun.make({
    cli: [say(result("Done")) + "\n" + STUBBORN],
    clock,
  });
  const outcome = run.run();
  await run.printed("Hello.");
  await clock.advance(900_000);
  const { printed: _, ...rest } = await outcomeWhile(clock, outcome);
  assertEquals(rest, { kind: "completed", result: "Done" });
  assertEquals(run.noted("idle"), []);
});

Deno.test("agent that says something within idleTimeout goes on", async () => {
  const clock = new FakeClock();
  await using run = await AgentRun.make({
    cli: [
      `while ! [ -e ../../one ]; do sleep 0.02; done; echo one >&2
      while ! [ -e ../../two ]; do sleep 0.02; done; ${say(result("Done"))}
      echo two >&2`,
    ],
    config: { idleTimeout: 10 },
    clock,
  });
  const outcome = run.run();
  await until("it watches", () => clock.sleepers > 0);
  await clock.advance(9_000);
  await Deno.writeTextFile(run.path("one"), "");
  await run.printed("one");
  await clock.advance(9_000);
  await Deno.writeTextFile(run.path("two"), "");
  // Before time goes on by itself, which may be faster than the program ends.
  await run.printed("two");
  assertEquals((await outcomeWhile(clock, outcome)).kind, "completed");
  assertEquals(run.noted("idle"), []);
});

Deno.test("agent may be silent for ever with idleTimeout 0", async () => {
  const clock = new FakeClock();
  await using run = await AgentRun.make({
    cli: [
      `echo ready >&2; while ! [ -e ../../one ]; do sleep 0.02; done; ` +
      say(result("Done")),
    ],
    config: { idleTimeout: 0 },
    clock,
  });
  const outcome = run.run();
  await run.printed("ready");
  await clock.advance(100 * 86_400_000);
  await Deno.writeTextFile(run.path("one"), "");
  assertEquals((await outcomeWhile(clock, outcome)).kind, "completed");
});
