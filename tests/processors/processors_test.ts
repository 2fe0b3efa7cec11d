import { assertEquals, assertNotEquals } from "@std/assert";
import { type Config, loadConfig } from "../../lib/config/config.ts";
import { parseConfigFile } from "../../lib/config/file.ts";
import { createLog } from "../../lib/base/log.ts";
import type { ProcessorContext } from "../../lib/processors/processor.ts";
import { createProcessors } from "../../lib/processors/open.ts";
import { createSimulateProcessor } from "../../lib/processors/simulate.ts";
import type { AgentTask, JsonObject, Outcome } from "../../lib/task/task.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";

const log = createLog({ write: () => {} });
const TASK = { id: "t1" } as AgentTask;

function contextWith(given: Partial<ProcessorContext> = {}): ProcessorContext {
  return {
    signal: new AbortController().signal,
    idempotencyKey: "t1:1",
    trace: {},
    answers: [],
    results: [],
    progress: () => {},
    note: () => {},
    output: () => {},
    ...given,
  };
}

function failed(error: string): Outcome {
  return { kind: "failed", error, retryable: true };
}

const COMPLETED: Outcome = { kind: "completed" };
const SIMULATED: [trace: JsonObject, fails: boolean, outcome: Outcome][] = [
  [{}, false, COMPLETED],
  [{}, true, failed("Simulated failure")],
  [{ simulate_failure: true }, false, failed("Simulated failure")],
  [{ simulate_failure: "No network" }, false, failed("No network")],
  [{ simulate_failure: "No network" }, true, failed("No network")],
  [{ simulate_failure: false }, false, COMPLETED],
  [{ simulate_failure: "" }, false, COMPLETED],
  [{ simulate_failure: null }, false, COMPLETED],
  [{ simulate_question: 5 }, false, COMPLETED],
];

Deno.test("simulate asks once, and completes with the answer", async () => {
  const options = { delayMs: 0, fails: false, clock: new FakeClock() };
  const simulate = createSimulateProcessor(options);
  const trace = { simulate_question: "Which?" };
  const task = { ...TASK, traceText: JSON.stringify(trace) };
  assertEquals(await simulate.process(task, contextWith({ trace })), {
    kind: "needs_input",
    question: "Which?",
  });
  const answers = [{ question: "Which?", answer: "main", answered_at: "" }];
  assertEquals(await simulate.process(task, contextWith({ trace, answers })), {
    kind: "completed",
    result: "main",
  });
});

for (const [trace, fails, outcome] of SIMULATED) {
  Deno.test(`simulate takes ${JSON.stringify(trace)} with fails ${fails} for ${outcome.kind}`, async () => {
    const clock = new FakeClock();
    const simulate = createSimulateProcessor({ delayMs: 0, fails, clock });
    const task = { ...TASK, traceText: JSON.stringify(trace) };
    assertEquals(await simulate.process(task, contextWith({ trace })), outcome);
  });
}

Deno.test("simulate takes exactly its delay", async () => {
  const clock = new FakeClock();
  const options = { delayMs: 500, fails: false, clock };
  let outcome: Outcome | undefined;
  createSimulateProcessor(options).process(TASK, contextWith())
    .then((it) => outcome = it);
  await clock.advance(499);
  assertEquals(outcome, undefined);
  await clock.advance(1);
  await turn();
  assertEquals(outcome, COMPLETED);
});

Deno.test("simulate says that it works, where that takes time", async () => {
  const notes: string[] = [];
  const context = contextWith({ progress: (message) => notes.push(message) });
  const clock = new FakeClock({ autoAdvance: true });
  for (const delayMs of [0, 1]) {
    const options = { delayMs, fails: false, clock };
    await createSimulateProcessor(options).process(TASK, context);
  }
  assertEquals(notes, ["Working on the task (simulated)"]);
});

Deno.test("simulate does not complete a task that it was told to stop", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const options = { delayMs: 500, fails: false, clock };
  const outcome = createSimulateProcessor(options)
    .process(TASK, contextWith({ signal: stop.signal }));
  stop.abort("shutdown");
  assertNotEquals((await outcome).kind, "completed");
  assertEquals(clock.sleepers, 0);
});

Deno.test("createProcessors() simulates every provider as configured", async () => {
  const clock = new FakeClock();
  const variables: Record<string, string> = {
    HANDSFREE_AGENT_SIMULATE_FAILURE: "true",
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "2",
  };
  const config = loadConfig({}, (name) => variables[name]);
  await using processors = await createProcessors(config, { clock, log });
  for (const provider of ["simulate", "claude"]) {
    const outcome = processors.for(provider)?.process(TASK, contextWith());
    assertEquals(clock.sleepers, 1);
    await clock.advance(2_000);
    assertEquals(await outcome, failed("Simulated failure"));
  }
});

function configured(providers: string): Config {
  const file = parseConfigFile("a.json", `{ "providers": ${providers} }`);
  return loadConfig({}, () => undefined, file);
}

Deno.test("createProcessors() knows no processor for who is not named", async () => {
  const config = configured('{ "claude": { "processor": "simulate" } }');
  const parts = { clock: new FakeClock(), log };
  await using processors = await createProcessors(config, parts);
  assertEquals(processors.for("claude")?.name, "simulate");
  for (const name of ["codex", "*", "constructor"]) {
    assertEquals(processors.for(name), undefined, name);
  }
});

Deno.test("createProcessors() takes * for who is not named", async () => {
  const config = configured('{ "*": { "processor": "simulate" } }');
  const parts = { clock: new FakeClock(), log };
  await using processors = await createProcessors(config, parts);
  assertEquals(processors.for("codex")?.name, "simulate");
  assertEquals(processors.for("codex"), processors.for("*"));
});
