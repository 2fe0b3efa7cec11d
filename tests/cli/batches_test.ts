import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import { type Admin, newTasks, type Store } from "../../lib/store/contract.ts";
import type { NewTask } from "../../lib/task/task.ts";
import { askInput, complete, fail } from "../../lib/task/transitions.ts";
import { TestService } from "../service/service.ts";
import { Folder } from "./cli.ts";
import { adminAt, runOn } from "./service_commands.ts";

const IDS = {
  done: "10000000-e29b-41d4-a716-446655440000",
  failed: "20000000-e29b-41d4-a716-446655440000",
  good: "30000000-e29b-41d4-a716-446655440000",
  waiting: "40000000-e29b-41d4-a716-446655440000",
  none: "50000000-e29b-41d4-a716-446655440000",
};

function task(id: string, fields: Partial<NewTask> = {}): NewTask {
  return {
    id,
    userId: "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
    provider: "simulate",
    ...fields,
  };
}

/** Tasks of three batches: one failed, one completed, and one that has not ended. */
async function fill({ admin, queue }: Store): Promise<void> {
  await admin.create(newTasks([
    task(IDS.done, { batch: "nightly", tags: ["x"] }),
    task(IDS.failed, { batch: "nightly" }),
    task(IDS.good, { batch: "weekly", key: "report" }),
  ]));
  const { tasks } = await queue.claim({
    limit: 10,
    owner: "runner",
    leaseMs: 60_000,
    maxAttempts: 3,
  });
  await queue.record(
    tasks.map((it) =>
      it.task.id === IDS.failed ? fail(it, "No luck\nat all") : complete(it)
    ),
  );
  await admin.create(newTasks([
    task(IDS.waiting, { batch: "later", instruction: "Wait here" }),
    task(IDS.none),
  ]));
}

/** What holds on the database, and through a service. */
function onBoth(
  name: string,
  check: (admin: Admin) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using service = await TestService.start();
    await fill(service.store);
    await check(service.store.admin);
    await check(await adminAt(service.url));
  });
}

onBoth(
  "batches lists them, and names the nearest where there is none",
  async (admin) => {
    const { output } = await runOn(["batches"], { admin });
    const lines = output.trimEnd().split("\n")
      .map((it) => it.split(/ {2,}/).filter((_, n) => n !== 3));
    assertEquals(lines.map(([name, total, ended]) => [name, total, ended]), [
      ["BATCH", "TASKS", "ENDED"],
      ["later", "1", "0"],
      ["weekly", "1", "1"],
      ["nightly", "2", "2"],
    ]);
    assertMatch(output, /nightly .* 1 completed, 1 failed\n/);
    const json = await runOn(["batches", "nightly", "--json"], { admin });
    const [batch] = JSON.parse(json.output);
    assertEquals([batch.name, batch.states, batch.failed, batch.cost_usd], [
      "nightly",
      { completed: 1, failed: 1 },
      1,
      0,
    ]);
    assertEquals(await runOn(["batches", "nigthly"], { admin }), {
      code: 2,
      output: "",
      error: 'There is no batch "nigthly". Did you mean "nightly"?',
      asked: [],
    });
  },
);

onBoth(
  "wait says how a batch, or tasks, have ended, by its exit code too",
  async (admin) => {
    const wait = (...args: string[]) => runOn(["wait", ...args], { admin });
    assertEquals(await wait("--batch", "weekly"), {
      code: 0,
      output: "1 completed\n",
      error: "",
      asked: [],
    });
    assertEquals(await wait("--batch", "nightly"), {
      code: 1,
      output: "1 completed, 1 failed\n  20000000  failed  No luck\n",
      error: "",
      asked: [],
    });
    const { code, output } = await wait(IDS.done, "2000", "3000", "--json");
    assertEquals([code, JSON.parse(output)], [1, {
      outcome: "failed",
      total: 3,
      ended: 3,
      completed: 2,
      states: { completed: 2, failed: 1 },
      failures: [{ id: IDS.failed, state: "failed", error: "No luck" }],
    }]);
    assertEquals((await wait("1000", "3000")).code, 0);
    const late = await wait("--batch", "later", "--timeout", "0.1");
    assertEquals([late.code, late.output], [
      4,
      "The time is over: 1 created, 1 task has not ended\n",
    ]);
    const both = await wait("1000", "4000", "--timeout", "0.1");
    assertEquals(both.code, 4);
  },
);

onBoth("wait refuses what would wait for nothing", async (admin) => {
  for (
    const [args, error] of [
      [["--batch", "lather"], 'There is no batch "lather". Did you mean'],
      [["9"], 'There is no task whose id begins with "9"'],
      [[], "Cannot wait for nothing. Give the ids"],
      [["1000", "--batch", "later"], "Cannot wait for ids and --batch"],
    ] as const
  ) {
    const end = await runOn(["wait", ...args], { admin });
    assertEquals([end.code, end.output], [2, ""]);
    assertStringIncludes(end.error, error);
  }
});

onBoth(
  "list, cancel and retry choose by batch, tag, key and text",
  async (admin) => {
    const list = async (...args: string[]) => {
      const { output } = await runOn(["list", "--json", ...args], { admin });
      return (JSON.parse(output) as { id: string }[]).map(({ id }) => id)
        .sort();
    };
    assertEquals(await list("--batch", "nightly"), [IDS.done, IDS.failed]);
    assertEquals(await list("--tag", "x"), [IDS.done]);
    assertEquals(await list("--tag", "x", "--tag", "y"), []);
    assertEquals(await list("--key", "report"), [IDS.good]);
    assertEquals(await list("--text", "WAIT"), [IDS.waiting]);
    assertEquals((await list("--since", "1h")).length, 5);
    assertEquals(await list("--before", "1h"), []);
    const { output } = await runOn(["list"], { admin });
    assertMatch(output, /^ID +STATE +PROVIDER +BATCH +AGE/);
    const none = await runOn(["list", "--batch", "other"], { admin });
    assertEquals(none.output, "No such tasks.\n");
    const asked = await runOn(["cancel", "--batch", "later"], {
      admin,
      confirms: false,
    });
    assertEquals(asked.asked, ["Cancel 1 task (1 created)?"]);
    const retried = await runOn(["retry", "--batch", "nightly"], {
      admin,
      confirms: false,
    });
    assertEquals(retried.asked, ["Retry 1 task (1 failed)?"]);
    const twice = await runOn(["cancel", "4000", "--batch", "later"], {
      admin,
    });
    assertEquals(twice.code, 2);
    assertMatch(
      twice.error,
      /by id and by --state, --provider, --batch, .* or --all at the same time/,
    );
  },
);

onBoth("show names batch, key and tags", async (admin) => {
  const { output } = await runOn(["show", "3000"], { admin });
  assertMatch(output, /\n {2}Batch +weekly\n {2}Key +report\n/);
  assertMatch((await runOn(["show", "1000"], { admin })).output, /Tags +x\n/);
});

Deno.test("wait tells of a question once, ends at SIGINT, and when others end its tasks", async () => {
  using folder = new Folder();
  const open = () =>
    openDuckDbStore(`${folder.path}/handsfree.duckdb`, { onProblem: () => {} });
  {
    await using store = await open();
    const tasks = [IDS.good, IDS.waiting];
    await store.admin.create(
      newTasks(tasks.map((id) => task(id, { batch: "nightly" }))),
    );
    const claimed = await store.queue.claim({
      limit: 1,
      owner: "runner",
      leaseMs: 60_000,
      maxAttempts: 3,
    });
    await store.queue.record(claimed.tasks.map((it) => askInput(it, "Which?")));
  }
  const hint =
    /1 task waits for an answer: agent-runner list --batch "nightly" --state needs_input/;
  {
    await using wait = folder.start(["wait", "--batch", "nightly"]);
    await wait.line(hint);
    wait.signal("SIGINT");
    const { code, stdout } = await wait.ended();
    assertEquals([code, stdout], [
      1,
      "Stopped: 1 created, 1 needs_input, 2 tasks have not ended\n",
    ]);
  }
  await using wait = folder.start(["wait", "--batch", "nightly"]);
  await wait.line(hint);
  {
    await using store = await open();
    await store.admin.cancel([IDS.good]);
    await store.admin.cancel([IDS.waiting]);
  }
  const { code, stdout, stderr } = await wait.ended();
  assertEquals([code, stdout], [
    1,
    "2 cancelled\n" +
    "  30000000  cancelled  Cancelled\n  40000000  cancelled  Cancelled\n",
  ]);
  assertEquals(stderr.match(/for an answer/g)?.length, 1);
});
