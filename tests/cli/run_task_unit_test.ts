import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Clock, systemClock } from "../../lib/base/clock.ts";
import { UserError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import { runNow } from "../../lib/cli/run_task.ts";
import { OutputClosedError } from "../../lib/cli/terminal.ts";
import { type Config, loadConfig } from "../../lib/config/config.ts";
import type { Processor } from "../../lib/processors/processor.ts";
import { type Admin, newTasks, type Store } from "../../lib/store/contract.ts";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import type { AgentTask } from "../../lib/task/task.ts";
import { StubQueue } from "../support/stub_queue.ts";
import { until, within } from "../support/until.ts";

/** A store with a task. */
async function storeWithTask(
  clock: Clock = systemClock,
): Promise<{ store: Store; task: AgentTask }> {
  const store = await openDuckDbStore(":memory:", { clock });
  const userId = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
  await store.admin.create(newTasks([{ userId, provider: "any" }]));
  const [task] = (await store.admin.page({ limit: 1 })).tasks;
  assert(task);
  return { store, task };
}

/** Options for {@linkcode run}. */
interface RunOptions {
  readonly store: Pick<Store, "queue" | "admin">;
  readonly process: Processor["process"];
  readonly write?: (text: string) => void;
  readonly config?: Config;
}

async function run(
  task: AgentTask,
  {
    store,
    process,
    write = () => {},
    config = loadConfig({}, () => undefined),
  }: RunOptions,
) {
  let logged = "";
  using log = createLog({ write: (text) => logged += text });
  const code = await runNow(task, {
    config,
    clock: systemClock,
    log,
    terminal: {
      screen: { width: 80, hasColor: false },
      write,
      readInput: () => Promise.resolve(""),
      ask: () => Promise.resolve(undefined),
      confirm: () => Promise.resolve(undefined),
    },
    store,
    processorFor: () => ({ name: "scripted", process }),
  });
  log.flush();
  return { code, logged };
}

Deno.test("runNow() writes the lines of the work to the terminal, its progress to the log", async () => {
  const { store, task } = await storeWithTask();
  await using _ = store;
  const written: string[] = [];
  const { code, logged } = await run(task, {
    store,
    process: (_task, { output, progress }) => {
      output("one");
      output("\x1b[31mtwo\x1b[0m\nthree\x07");
      progress("Half way", 0.5);
      return Promise.resolve({ kind: "completed" });
    },
    write: (text) => written.push(text),
  });
  assertEquals(code, 0);
  assertEquals(written.join(""), "one\ntwo\nthree\\x07\n");
  assert(logged.includes(` - INFO - Task ${task.id}: 50%: Half way\n`), logged);
});

Deno.test("runNow() finishes a task whose output nobody reads any more", async () => {
  const { store, task } = await storeWithTask();
  await using _ = store;
  let writes = 0;
  const { code } = await run(task, {
    store,
    process: (_task, { output }) => {
      for (let n = 0; n < 5; n++) output("line");
      return Promise.resolve({ kind: "completed" });
    },
    write: () => {
      writes++;
      throw new OutputClosedError();
    },
  });
  assertEquals([code, writes], [0, 1]);
  assertEquals((await store.admin.get(task.id))?.state, "completed");
});

Deno.test("runNow() takes no task that somebody took in between", async () => {
  const { store, task } = await storeWithTask();
  await using _ = store;
  const process = () => Promise.resolve({ kind: "completed" } as const);
  await run(task, { store, process });
  await assertRejects(
    () => run(task, { store, process }),
    UserError,
    "it has completed already",
  );
});

Deno.test("runNow() ends a task whose runner died at its last attempt, and says so", async () => {
  let now = new Date();
  const { store, task } = await storeWithTask({
    ...systemClock,
    now: () => now,
  });
  await using _ = store;
  await store.queue.claim({
    limit: 1,
    owner: "dead",
    leaseMs: 1_000,
    maxAttempts: 1,
  });
  now = new Date(now.getTime() + 2_000);
  const config = { ...loadConfig({}, () => undefined), maxAttempts: 1 };
  const process = () => Promise.resolve({ kind: "completed" } as const);
  await assertRejects(
    () => run(task, { store, process, config }),
    UserError,
    "it has failed already",
  );
});

Deno.test("runNow() ends at a second signal though the task can't be given back", async () => {
  const queue = new StubQueue(systemClock);
  const [id = ""] = queue.create({});
  queue.hangs("record");
  const store = { queue, admin: queue.admin as Admin };
  const running = run(queue.row(id), {
    store,
    process: (_task, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new Error("stopped")));
        Deno.kill(Deno.pid, "SIGTERM");
      }),
  });
  await until("it is to be given back", () => queue.groups.length > 0);
  Deno.kill(Deno.pid, "SIGTERM");
  const { code, logged } = await within("it ends", running);
  assertEquals(code, 1);
  assert(logged.includes(`Task ${id} was released, but that could not be`));
  queue.heals("record");
});
