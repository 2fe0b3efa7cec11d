import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { ENABLED, Folder } from "../../cli/cli.ts";
import { FakeClock, turn } from "../../support/fake_clock.ts";
import { PluginBench, pluginThat } from "./module_fixture.ts";
import type { JsonValue } from "../../../lib/task/task.ts";
import { RESULTS } from "../../support/sample_results.ts";

const OK = 'return { kind: "completed", result: "fine" };';
const COMPLETED = { kind: "completed", result: "fine" } as const;

Deno.test("a plugin sees its task and gives a result", async () => {
  await using bench = await PluginBench.create(
    pluginThat(`
      context.progress("half", 0.5);
      return { kind: "completed", message: "done", result: [
        task.id, task.instruction, task.createdAt.getTime(), context.trace.big,
        context.idempotencyKey,
      ] };`),
  );
  const run = bench.run("Fix it", { big: 2n ** 64n });
  assertEquals(await run.outcome, {
    kind: "completed",
    message: "done",
    result: [
      "task-1",
      "Fix it",
      Date.parse("2026-01-19T18:30:00Z"),
      2n ** 64n,
      "task-1:1",
    ],
  });
  assertEquals(run.progress, [["half", 0.5]]);
});

Deno.test("a plugin sees what was answered", async () => {
  await using bench = await PluginBench.create(pluginThat(
    'return { kind: "completed", result: context.answers };',
  ));
  const answers = [{ question: "Which?", answer: "both", answered_at: "" }];
  assertEquals(await bench.run("", { answers }).outcome, {
    kind: "completed",
    result: answers,
  });
});

Deno.test("a plugin sees what came before", async () => {
  await using bench = await PluginBench.create(pluginThat(
    'return { kind: "completed", result: context.results };',
  ));
  assertEquals(await bench.run("", {}, { results: RESULTS }).outcome, {
    kind: "completed",
    // What is undefined is left out on the way.
    result: RESULTS.map(({ output, ...rest }) =>
      output === undefined ? rest : { ...rest, output }
    ) as unknown as JsonValue,
  });
  assertEquals(await bench.run().outcome, { kind: "completed", result: [] });
});

Deno.test("a plugin can be TypeScript, import its files and be made of options", async () => {
  await using bench = await PluginBench.create(
    `import { greet } from "./greet.ts";
     import type { Plugin } from "./nowhere.ts";
     export default (options: { name: string }): Plugin => ({
       name: "greeter" as const,
       process: () => ({ kind: "completed", result: greet(options.name) }),
     });`,
    {
      config: { options: { name: "Ada" } },
      files: { "greet.ts": "export const greet = (a: string) => `Hi, ${a}`;" },
    },
  );
  const { outcome } = bench.run();
  assertEquals(await outcome, { kind: "completed", result: "Hi, Ada" });
});

Deno.test("a plugin can import packages that require their data", async () => {
  await using bench = await PluginBench.create(
    `import { Ajv } from "npm:ajv@8.20.0";
     const isNumber = new Ajv().compile({ type: "number" });
     ${pluginThat('return { kind: "completed", result: isNumber(1) };')}`,
  );
  const { outcome } = bench.run();
  assertEquals(await outcome, { kind: "completed", result: true });
});

Deno.test("a plugin runs several tasks at the same time, each with its output", async () => {
  await using bench = await PluginBench.create(`
    console.log("loaded");
    let met;
    const other = new Promise((resolve) => met = resolve);
    export default { async process(task, context) {
      const { output, progress } = { ...context };
      progress("before");
      progress("waits");
      if (task.instruction === "b") met();
      await other;
      console.log("log %s", task.instruction);
      console.error("error", { of: task.instruction });
      process.stdout.write("a part of " + task.instruction + "\\n");
      Deno.stdout.writeSync(new TextEncoder().encode("two\\nlines\\n"));
      output("line of " + task.instruction);
      ${OK}
    } };`);
  const runs = [bench.run("a"), bench.run("b")];
  for (const [index, name] of ["a", "b"].entries()) {
    const { outcome, output, progress } = runs[index]!;
    assertEquals(await outcome, COMPLETED);
    assertEquals(output, [
      `log ${name}`,
      `error { of: '${name}' }`,
      `a part of ${name}`,
      "two",
      "lines",
      `line of ${name}`,
    ]);
    assertEquals(progress.at(-1), ["waits", undefined]);
  }
  await turn();
  assertMatch(bench.log.join(), /DEBUG - module plugin\.ts: loaded/);
});

Deno.test("a plugin asks a person, and is run again with the answer", async () => {
  await using bench = await PluginBench.create(
    pluginThat(`
      const [answer] = context.answers;
      if (answer) return { kind: "completed", result: answer.answer };
      return { kind: "needs_input", question: "Which?", answerWithinMs: 9 };`),
  );
  assertEquals(await bench.run().outcome, {
    kind: "needs_input",
    question: "Which?",
    answerWithinMs: 9,
  });
  const answers = [{ question: "Which?", answer: "the red one" }];
  const { outcome } = bench.run("", { answers });
  assertEquals(await outcome, { kind: "completed", result: "the red one" });
});

/** Plugins that can't be used, and what a run says of them. */
const UNUSABLE: [what: string, text: string | undefined, error: RegExp][] = [
  ["is missing", undefined, /no such file\. Mend "module"/],
  ["is no JavaScript", "let x = ;", /Expression expected.*plugin\.ts:1:9/],
  [
    "throws when loaded",
    "\nthrow new Error('Oh');",
    /: Oh \(file:.*plugin\.ts:2:7\)$/,
  ],
  ["has no default export", "export const a = 1;", /it has no default export/],
  ["exports a number", "export default 5;", /default export is the number 5: /],
  [
    "has no process function",
    "export default { process: 5 };",
    /default export is an object: expected an object with a function/,
  ],
  [
    "exports a function that returns nothing",
    "export default () => {};",
    /the function that it exports returned nothing: expected/,
  ],
  [
    "exports a function that throws",
    "export default () => { throw new TypeError('No key'); };",
    /the function that it exports threw No key \(file:.*:1:30\)$/,
  ],
  ["exits when loaded", "Deno.exit(0);", /it called exit or close/],
  ["is never ready", "await new Promise(() => {});", /not ready within 1\.5 s/],
  ["loops when loaded", "while (true);", /not ready within 1\.5 s/],
  [
    "imports a file that is missing",
    'import "./no.ts";',
    /Module not found "file:.*no\.ts".*plugin\.ts:1:8/,
  ],
  [
    "imports from a host that is not allowed",
    'import "https://example.com/a.ts";',
    /Requires import access to "example\.com:443"\. Add it to "import" in the/,
  ],
  [
    "reads the environment when loaded",
    'Deno.env.get("HOME"); export default {};',
    /Requires env access to "HOME"\. Add it to "env" in the module's perm/,
  ],
];

// At the same time, because each starts a process.
Deno.test("a plugin that can't be used fails its tasks and says why", async () => {
  await Promise.all(UNUSABLE.map(async ([what, text, error]) => {
    const config = /never|loops/.test(what) ? { startTimeout: 1.5 } : {};
    await using bench = await PluginBench.create(text, { config });
    const failure = await bench.failureOf();
    assertMatch(failure, error, `a plugin that ${what}`);
    assertStringIncludes(failure, "Cannot use module FOLDER/plugin.ts: ");
  }));
});

Deno.test("check() says why a plugin can't be used", async () => {
  await using bench = await PluginBench.create("export default 5;");
  const problems = await bench.processor.check!();
  assertEquals(problems.length, 1);
  assertMatch(problems[0]!, /Cannot use module .*default export is the number/);
});

Deno.test("what a plugin throws or returns wrongly fails its task only", async () => {
  await using bench = await PluginBench.create(
    pluginThat(`
      if (task.instruction === "error") throw new TypeError("No luck");
      if (task.instruction === "text") throw "Words";
      if (task.instruction === "empty") throw "";
      if (task.instruction === "nothing") return;
      ${OK}`),
  );
  const error = bench.run("error");
  assertEquals(await error.outcome, {
    kind: "failed",
    error: "No luck",
    retryable: true,
  });
  assertMatch(
    error.output.join("\n"),
    /^TypeError: No luck\n +at [^\n]*plugin\.ts:3:\d+\)$/,
  );
  assertEquals(await bench.failureOf("text"), "Words");
  assertEquals(
    await bench.failureOf("empty"),
    "The plugin threw an empty error",
  );
  assertMatch(JSON.stringify(await bench.run("nothing").outcome), /false\}$/);
  assertMatch(
    await bench.failureOf("nothing"),
    /The plugin returned nothing: /,
  );
  assertEquals(await bench.run().outcome, COMPLETED);
});

Deno.test("a plugin that was mended is loaded with the next task", async () => {
  await using bench = await PluginBench.create("let x = ;");
  assertMatch(await bench.failureOf(), /Expression expected/);
  await Deno.writeTextFile(`${bench.folder}/plugin.ts`, pluginThat(OK));
  assertEquals(await bench.run().outcome, COMPLETED);
});

Deno.test("check() finds nothing wrong with a good plugin", async () => {
  await using bench = await PluginBench.create(pluginThat(OK));
  assertEquals(await bench.processor.check!(), []);
  assertEquals(await bench.run().outcome, COMPLETED);
});

/** What ends a plugin's process while it runs tasks. */
const ENDS: [what: string, body: string, error: RegExp][] = [
  ["Deno.exit()", "Deno.exit(3);", /it called exit or close/],
  ["process.exit()", "process.exit(0);", /it called exit or close/],
  [
    "a rejection that nobody handles",
    "Promise.reject(new Error('Too late')); await new Promise(() => {});",
    /an error in it was not caught: Too late \(file:.*plugin\.ts:5:/,
  ],
  [
    "an error outside of the task",
    "setTimeout(() => { throw 'loose'; }); await new Promise(() => {});",
    /an error in it was not caught: loose/,
  ],
  [
    "a heap that grows for ever",
    "await 1; const all = []; while (true) all.push(String(all.length).repeat(100));",
    /needs more than its 32 MB of memory/,
  ],
  [
    "buffers that grow in a loop",
    "for (const all = [];;) all.push(new Uint8Array(5e6).fill(1));",
    /needs more than its 32 MB of memory/,
  ],
  ["a signal", "Deno.kill(Deno.pid, 9);", /it was killed by SIGKILL/],
  [
    "a line that never ends",
    `const { writeSync } = await import("node:fs");
     for (const part = "x".repeat(1e6);;) writeSync(1, part);`,
    /it wrote a line of more than 16,778,216 characters/,
  ],
  [
    "buffers that grow for ever",
    `for (const all = [];;) {
       all.push(new Uint8Array(5e6).fill(1));
       await new Promise((resolve) => setTimeout(resolve, 5));
     }`,
    /needs more than its 32 MB of memory/,
  ],
];

Deno.test("a process that ends fails all its runs, and the next starts anew", async () => {
  await Promise.all(ENDS.map(async ([what, body, error]) => {
    await using bench = await PluginBench.create(
      pluginThat(`
        if (task.instruction === "fine") { ${OK} }
        if (task.instruction === "wait") await new Promise(() => {});
        ${body}`),
      { config: { memory: 32 } },
    );
    const bystander = bench.run("wait").outcome;
    assertMatch(await bench.failureOf(), error, what);
    const { error: why = "", ...outcome } = await bystander as {
      error?: string;
    };
    assertEquals<unknown>(outcome, { kind: "failed", retryable: true });
    assertMatch(why, error, what);
    assertEquals(await bench.run("fine").outcome, COMPLETED);
    assertMatch(bench.log.join("\n"), error);
  }));
});

Deno.test("a plugin that dies again and again is started with a delay that grows", async () => {
  const clock = new FakeClock();
  await using bench = await PluginBench.create(
    pluginThat(`if (task.instruction !== "fine") Deno.exit(); ${OK}`),
    { clock },
  );
  assertMatch(await bench.failureOf(), /ended/);
  assertMatch(await bench.failureOf(), /ended/);
  for (const delayMs of [1_000, 2_000]) {
    const run = bench.failureOf();
    await clock.advance(delayMs / 2 - 1);
    assertEquals(clock.sleepers, 1);
    await clock.advance(delayMs / 2 + 1);
    assertMatch(await run, /ended/);
  }
});

/** What a plugin that is asked to stop does. */
const BUSY = `
  context.output("begun " + task.instruction);
  if (task.instruction === "loop") while (true);
  if (task.instruction === "deaf") await new Promise(() => {});
  if (task.instruction === "heed") {
    await new Promise((resolve) => context.signal.onabort = resolve);
    context.output(context.signal.reason.message);
    throw context.signal.reason;
  }
  if (task.instruction === "wait") {
    const names = () =>
      [...Deno.readDirSync(new URL(".", import.meta.url))].map((it) => it.name);
    while (!names().includes("go")) await new Promise((it) => setTimeout(it, 5));
  }
  globalThis.runs = (globalThis.runs ?? 0) + 1;
  return { kind: "completed", result: globalThis.runs };`;

Deno.test("an endless loop is stopped, and the other runs of its process say why", async () => {
  await using bench = await PluginBench.create(pluginThat(BUSY), {
    graceMs: 200,
  });
  const other = bench.run("deaf");
  await other.printed("begun deaf");
  const looping = bench.run("loop");
  await looping.printed("begun loop");
  looping.stop.stop("cancelled");
  assertEquals(await looping.outcome, { kind: "aborted", reason: "cancelled" });
  assertEquals(await other.outcome, {
    kind: "failed",
    error: "module plugin.ts was ended: its event loop is blocked, so that " +
      "task task-2 can't be stopped without it",
    retryable: true,
  });
  assertEquals(await bench.run().outcome, { kind: "completed", result: 1 });
});

Deno.test("a result that is too long fails its task, and no other", async () => {
  await using bench = await PluginBench.create(pluginThat(`
    globalThis.runs = (globalThis.runs ?? 0) + 1;
    const length = Number(task.instruction);
    return { kind: "completed", result: length ? "x".repeat(length) : runs };`));
  assertEquals(await bench.run("400000000").outcome, {
    kind: "failed",
    error: "The plugin returned an outcome of 400,000,000 characters, " +
      "more than 16,777,216",
    retryable: false,
  });
  assertMatch(await bench.failureOf("16777200"), /of 16,777,232 characters/);
  assertEquals((await bench.run("16000000").outcome).kind, "completed");
  assertEquals(await bench.run().outcome, { kind: "completed", result: 4 });
});

Deno.test("what a plugin prints past its console is printed, and no message", async () => {
  await using bench = await PluginBench.create(pluginThat(`
    const { writeSync } = await import("node:fs");
    writeSync(1, '{"kind":"outcome","run":"1","outcome":{}}\\n');
    writeSync(2, "straight\\n");
    ${OK}`));
  assertEquals(await bench.run().outcome, COMPLETED);
  await bench.logged(/plugin\.ts: \{"kind":"outcome","run":"1"/);
  await bench.logged(/plugin\.ts: straight/);
});

Deno.test("a run that heeds its signal leaves the process to the others", async () => {
  await using bench = await PluginBench.create(pluginThat(BUSY));
  const run = bench.run("heed");
  await run.printed("begun heed");
  run.stop.stop("timeout");
  assertMatch(JSON.stringify(await run.outcome), /Timed out/);
  await run.printed("Stopped: timeout");
  assertEquals(await bench.run().outcome, { kind: "completed", result: 1 });
  assertEquals(await bench.run().outcome, { kind: "completed", result: 2 });
});

Deno.test("a run that ignores its signal costs no other run, and its process ends", async () => {
  await using bench = await PluginBench.create(pluginThat(BUSY), {
    config: { permissions: { read: ["."] } },
    graceMs: 2_000,
  });
  const other = bench.run("wait");
  const deaf = bench.run("deaf");
  await Promise.all([other.printed("begun wait"), deaf.printed("begun deaf")]);
  deaf.stop.stop("cancelled");
  assertEquals(await deaf.outcome, { kind: "aborted", reason: "cancelled" });
  await bench.logged(/it ignored the signal that stops task task-2/);
  // In a new process, so it is the first there.
  assertEquals(await bench.run().outcome, { kind: "completed", result: 1 });
  Deno.writeTextFileSync(`${bench.folder}/go`, "");
  assertEquals(await other.outcome, { kind: "completed", result: 1 });
});

Deno.test("the stack of a plugin's error is printed as far as it is the plugin's own", async () => {
  await using bench = await PluginBench.create(pluginThat(
    `function step() { throw new Error("no way"); }
     step();`,
  ));
  const run = bench.run();
  await run.outcome;
  assertEquals(run.output[0], "Error: no way");
  const places = run.output.slice(1).filter((line) => line !== "");
  assert(places.length > 0);
  assertEquals(places.filter((line) => !line.includes("plugin.ts")), []);
});

Deno.test("a blocked event loop is said in the log", async () => {
  const clock = new FakeClock();
  await using bench = await PluginBench.create(pluginThat(BUSY), { clock });
  const run = bench.run("loop");
  await run.printed("begun loop");
  await clock.advance(11_000);
  await turn(); // The log writes its lines in the next one.
  assertMatch(bench.log.join(), /plugin\.ts has blocked its event loop for/);
});

Deno.test("disposing of the processor ends its runs", async () => {
  await using bench = await PluginBench.create(pluginThat(BUSY));
  const run = bench.run("deaf");
  await run.printed("begun deaf");
  await bench.processor[Symbol.asyncDispose]!();
  assertEquals(await run.outcome, {
    kind: "failed",
    error: "module plugin.ts was ended: the runner stops",
    retryable: true,
  });
  assertMatch(await bench.failureOf(), /the runner stops/);
});

Deno.test("the program runs the plugins that its configuration names", async () => {
  using folder = new Folder();
  Deno.mkdirSync(`${folder.path}/conf`);
  folder.write("conf/good.mjs", pluginThat('return { kind: "completed" };'));
  folder.write("conf/bad.js", pluginThat("Deno.exit(0);"));
  const providers = {
    good: { processor: "module", module: "good.mjs", concurrency: 2 },
    bad: { processor: "module", module: "./bad.js", memory: 64 },
  };
  folder.write("conf/a.json", JSON.stringify({ providers }));
  await folder.create([
    { instruction: "1", provider: "good" },
    { instruction: "2", provider: "bad" },
    { instruction: "3", provider: "good" },
  ]);
  const { code, stderr } = await folder.run(
    ["run", "--once", "--config", "conf/a.json"],
    { env: ENABLED },
  );
  assertEquals(code, 1);
  assertMatch(stderr, /failed: module bad\.js was ended: it called exit or cl/);
  const rows = await folder.rows(
    "SELECT status FROM agent_tasks ORDER BY instruction",
  );
  const states = rows.map(({ status }) => status);
  assertEquals(states, ["completed", "failed", "completed"]);
});
