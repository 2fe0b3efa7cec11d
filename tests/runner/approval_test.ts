import { assertEquals } from "@std/assert";
import { runLoop, runOnce } from "../../lib/runner.ts";
import { parseTrace } from "../../lib/task/trace.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { StubQueue } from "../support/stub_queue.ts";
import { claimOne, setUp, summary } from "./set_up.ts";

/** A runner that notes whom it began, with a task that needs approval. */
function waiting(options: Parameters<typeof setUp>[0] = {}) {
  const begun: string[] = [];
  const it = setUp({
    process: ({ id, attempt }) => {
      begun.push(`${id}:${attempt}`);
      return Promise.resolve({ kind: "completed" });
    },
    ...options,
  });
  const [id = ""] = it.queue.create({ needsApproval: true });
  const asked = () => {
    const { state, traceText } = it.queue.row(id);
    return [state, parseTrace(traceText)?.asks_approval];
  };
  return { ...it, begun, id, asked };
}

const ASKS = ["needs_input", { of: "start" }];

for (const isSimulated of [false, true]) {
  Deno.test(`runOnce() begins nothing that needs approval before it has it, simulated ${isSimulated}`, async () => {
    const { runner, queue, stop, begun, id, asked, logged } = waiting({
      isSimulated,
    });
    await using _ = runner;
    const first = await runOnce(runner, stop);
    assertEquals([first.needs_input, first.completed], [1, 0]);
    assertEquals([begun, asked()], [[], ASKS]);
    assertEquals(
      logged().filter((it) => it.includes("approved")),
      [`WARNING - Task ${id} needs to be approved: May it begin?`],
    );
    // It asks once: nobody runs it meanwhile.
    assertEquals(await runOnce(runner, stop), summary({}));
    queue.approve(id);
    // One attempt is all that it has: to ask was none.
    assertEquals((await runOnce(runner, stop)).completed, 1);
    assertEquals(begun, [`${id}:2`]);
  });
}

Deno.test("runOnce() asks again where somebody answers, or another program sets the task running", async () => {
  const { runner, queue, stop, begun, id, asked } = waiting();
  await using _ = runner;
  await runOnce(runner, stop);
  queue.answer(id, "Yes, go on");
  assertEquals((await runOnce(runner, stop)).needs_input, 1);
  assertEquals([begun, asked()], [[], ASKS]);
  queue.change(id, { state: "running" });
  assertEquals((await runOnce(runner, stop)).needs_input, 1);
  assertEquals([begun, asked()], [[], ASKS]);
  queue.approve(id);
  assertEquals((await runOnce(runner, stop)).completed, 1);
  const { answers } = parseTrace(queue.row(id).traceText) ?? {};
  assertEquals((answers as { answer: string }[]).map(({ answer }) => answer), [
    "Yes, go on",
  ]);
});

Deno.test("runOnce() asks for a task that a dead runner had begun, or one that was given back", async () => {
  const clock = new FakeClock({ autoAdvance: true });
  const queue = new StubQueue(clock);
  const dead = setUp({ clock, queue });
  await using _dead = dead.runner;
  const { runner, stop, begun, asked } = waiting({ clock, queue });
  await using _ = runner;
  await claimOne(dead.runner);
  await clock.sleep(120_000);
  assertEquals((await runOnce(runner, stop)).needs_input, 1);
  assertEquals([begun, asked()], [[], ASKS]);
});

Deno.test("runLoop() goes on with a task when it is approved", async () => {
  const { runner, queue, drain, stop, begun, id } = waiting();
  await using _ = runner;
  runner.events.subscribe((event) => {
    if (event.type !== "recorded") return;
    if (event.transition.event === "needs_input") queue.approve(id);
    else drain.abort();
  });
  const { needs_input, completed } = await runLoop(runner, stop);
  assertEquals([needs_input, completed, begun], [1, 1, [`${id}:2`]]);
});
