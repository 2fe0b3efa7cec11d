import { assertEquals, assertStrictEquals } from "@std/assert";
import { Run, Runs } from "../../lib/runner/runs.ts";
import type { TaskState } from "../../lib/task/task.ts";
import { turn } from "../support/fake_clock.ts";
import { sampleTask } from "../support/sample_task.ts";

function runOf(
  id: string,
  { state = "running", provider = "any" }: {
    readonly state?: TaskState;
    readonly provider?: string;
  } = {},
): Run {
  const task = sampleTask({ id, state, provider, attempt: 0 });
  const lease = { taskId: id, id: `lease-${id}`, owner: "me", attempt: 3 };
  return new Run({ task, lease }, 1_000);
}

Deno.test("Run shows its task as running at the attempt of its lease", () => {
  for (const state of ["created", "running"] as const) {
    const run = runOf("a", { state });
    assertEquals([run.task.state, run.task.attempt], ["running", 3]);
    assertEquals([run.claimedState, run.isBegun], [state, state === "running"]);
  }
});

Deno.test("Run.gone() resolves when the work is over, and at once after it", async () => {
  const run = runOf("a");
  let isGone = false;
  const gone = run.gone().then(() => isGone = true);
  await turn();
  assertEquals(isGone, false);
  run.end();
  await gone;
  await run.gone();
});

Deno.test("Runs.add() tells the run of the same task, and returns it", () => {
  const runs = new Runs();
  const [first, second, other] = [runOf("a"), runOf("a"), runOf("b")];
  assertEquals(runs.add(first), undefined);
  assertEquals(runs.add(other), undefined);
  assertStrictEquals(runs.add(second), first);
  const reasons = [first, second, other].map(({ reason }) => reason);
  assertEquals(reasons, ["lease lost", undefined, undefined]);
});

Deno.test("Runs counts an older run until it is deleted, and renews only the newest", () => {
  const runs = new Runs();
  const [first, second] = [runOf("a"), runOf("a")];
  runs.add(first);
  runs.add(second);
  assertEquals(runs.size, 2);
  assertEquals(runs.all().toArray(), [second]);
  runs.delete(first);
  assertEquals([runs.size, runs.all().toArray()], [1, [second]]);
  runs.delete(second);
  runs.delete(second);
  assertEquals(runs.size, 0);
});

Deno.test("Runs has in hand what waits for a slot, and renews none of it", () => {
  const runs = new Runs();
  const [held, other] = [runOf("a"), runOf("b")];
  runs.hold(held);
  runs.hold(other);
  assertEquals([runs.size, runs.all().toArray()], [2, []]);
  runs.add(held);
  assertEquals([runs.size, runs.all().toArray()], [2, [held]]);
  runs.delete(other);
  assertEquals(runs.size, 1);
});

Deno.test("Runs.countOf() counts what waits or is at work", () => {
  const runs = new Runs();
  const [over, atWork, held, other] = [
    runOf("a", { provider: "x" }),
    runOf("b", { provider: "x" }),
    runOf("c", { provider: "x" }),
    runOf("d", { provider: "y" }),
  ];
  for (const run of [over, atWork, other]) runs.add(run);
  runs.hold(held);
  over.end();
  assertEquals(runs.countOf((it) => it === "x"), 2);
  assertEquals(runs.countOf((it) => it !== "x"), 1);
});

Deno.test("Runs.onFirst is called when there is a run again after there was none", () => {
  const runs = new Runs();
  let calls = 0;
  runs.onFirst = () => calls++;
  const [first, second] = [runOf("a"), runOf("b")];
  runs.hold(first);
  assertEquals(calls, 0);
  runs.add(first);
  runs.add(second);
  assertEquals(calls, 1);
  runs.delete(first);
  runs.delete(second);
  runs.add(runOf("c"));
  assertEquals(calls, 2);
});

Deno.test("Runs.stopAll() stops what has begun, for its first reason", () => {
  const runs = new Runs();
  const [lost, atWork] = [runOf("a"), runOf("b")];
  runs.add(lost);
  runs.add(atWork);
  lost.stop("lease lost");
  runs.stopAll("shutdown");
  assertEquals([lost.reason, atWork.reason], ["lease lost", "shutdown"]);
});
