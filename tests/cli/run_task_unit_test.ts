import { assert, assertEquals, assertRejects } from "@std/assert";
import { runNow } from "../../lib/cli/commands/run_task.ts";
import { loadConfig } from "../../lib/config/config.ts";
import { UserError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import type { Processor } from "../../lib/processors/processor.ts";
import { OutputClosedError } from "../../lib/cli/terminal.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { StubStore } from "../support/stub_store.ts";

async function run(
  process: Processor["process"],
  write: (text: string) => void = () => {},
) {
  const clock = new FakeClock({ autoAdvance: true });
  const store = new StubStore();
  const [id = ""] = await store.create(
    [{ userId: "user", provider: "any" }],
    clock.now(),
  );
  let logged = "";
  const task = await store.get(id);
  assert(task);
  using log = createLog({ write: (text) => logged += text });
  const code = await runNow(task, {
    config: loadConfig({}, () => undefined),
    clock,
    log,
    terminal: {
      screen: { width: 80, hasColor: false },
      write,
      readInput: () => Promise.resolve(""),
      confirm: () => Promise.resolve(undefined),
    },
    store,
    processorFor: () => ({ name: "scripted", process }),
  });
  log.flush();
  return { code, logged, store, id };
}

Deno.test("runNow() writes the lines of the work to the terminal, its progress to the log", async () => {
  const written: string[] = [];
  const { code, logged } = await run(
    (_task, { output, progress }) => {
      output("one");
      output("\x1b[31mtwo\x1b[0m\nthree\x07");
      progress("Half way", 0.5);
      return Promise.resolve({ kind: "completed" });
    },
    (text) => written.push(text),
  );
  assertEquals(code, 0);
  assertEquals(written.join(""), "one\ntwo\nthree\\x07\n");
  assert(/ - INFO - Task task-1: 50%: Half way$/m.test(logged), logged);
});

Deno.test("runNow() finishes a task whose output nobody reads any more", async () => {
  let writes = 0;
  const { code, store, id } = await run(
    (_task, { output }) => {
      for (let n = 0; n < 5; n++) output("line");
      return Promise.resolve({ kind: "completed" });
    },
    () => {
      writes++;
      throw new OutputClosedError();
    },
  );
  assertEquals([code, writes], [0, 1]);
  assertEquals(store.tasks.get(id)?.state, "completed");
});

Deno.test("runNow() takes no task that somebody took in between", async () => {
  const { store, id } = await run(() => Promise.resolve({ kind: "completed" }));
  const stale = { ...store.tasks.get(id)!, state: "created" as const };
  const log = createLog({ write: () => {} });
  await assertRejects(
    () =>
      runNow(stale, {
        config: loadConfig({}, () => undefined),
        clock: new FakeClock({ autoAdvance: true }),
        log,
        terminal: {
          screen: { width: 80, hasColor: false },
          write: () => {},
          readInput: () => Promise.resolve(""),
          confirm: () => Promise.resolve(undefined),
        },
        store,
        processorFor: () => ({
          name: "scripted",
          process: () => Promise.resolve({ kind: "completed" }),
        }),
      }),
    UserError,
    "it has completed already",
  );
});
