import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Clock, systemClock } from "../../lib/base/clock.ts";
import {
  type Admin,
  newTasks,
  type Overview,
  type Store,
} from "../../lib/store/contract.ts";
import type { JsonObject, NewTask, Transition } from "../../lib/task/task.ts";
import {
  askInput,
  complete,
  fail,
  noteProgress,
  retryLater,
} from "../../lib/task/transitions.ts";
import { overviewToJson, renderFrame } from "../../lib/cli/watch_report.ts";
import { adminAt, runOn, type RunOptions } from "./service_commands.ts";
import { NO_ID, TestService } from "../service/service.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const USER = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

/** The store's clock, which a test sets. */
class SetClock implements Clock {
  #now = NOW;
  readonly sleep = systemClock.sleep;
  readonly monotonic = systemClock.monotonic;

  now(): Date {
    return this.#now;
  }

  /** Seconds after an hour before {@linkcode NOW}. */
  at(seconds: number): void {
    this.#now = new Date(NOW.getTime() - 3_600_000 + seconds * 1_000);
  }

  toNow(): void {
    this.#now = NOW;
  }
}

/** Ids that differ in their first digit; the last two in their last only. */
const IDS = {
  completed: "10000000-e29b-41d4-a716-446655440000",
  failed: "20000000-e29b-41d4-a716-446655440000",
  waiting: "30000000-e29b-41d4-a716-446655440000",
  asking: "40000000-e29b-41d4-a716-446655440000",
  running: "50000000-e29b-41d4-a716-446655440000",
  text: "60000000-e29b-41d4-a716-446655440000",
  // Neither version nor variant of RFC 9562: another program made it.
  strange: "70000000-0000-0000-0000-000000000000",
  created: "80000000-e29b-41d4-a716-446655440001",
  twin: "80000000-e29b-41d4-a716-446655440002",
};

/** Tasks in every state, with all that is hard to carry over. */
async function fill({ admin, queue }: Store, clock: SetClock): Promise<void> {
  const task = (id: string, fields: Partial<NewTask> = {}): NewTask => ({
    id,
    userId: USER,
    provider: "claude",
    instruction: `Do ${id.slice(0, 2)}`,
    ...fields,
  });
  const trace: JsonObject = {
    big: 12345678901234567890n,
    text: 'a "b"\n\u0007 ü 🦆',
    nested: [{ a: null }, 1.5e300],
  };
  clock.at(0);
  await admin.create(newTasks([
    task(IDS.completed, { trace, priority: 9 }),
    task(IDS.failed, { provider: "http", instruction: "x".repeat(3_000) }),
    task(IDS.waiting, { maxAttempts: 4 }),
    task(IDS.asking, { targetType: "pr", targetRef: "octo/app#12" }),
    task(IDS.running, { timeoutMs: 1_234, instruction: null }),
    task(IDS.text),
    task(IDS.strange),
  ]));
  clock.at(1);
  const { tasks } = await queue.claim({
    limit: 10,
    owner: "runner",
    leaseMs: 7_200_000,
    maxAttempts: 3,
    isIdle: true,
  });
  const of = (id: string) => {
    const found = tasks.find(({ task }) => task.id === id);
    assert(found, id);
    return found;
  };
  const record = async (seconds: number, transition: Transition) => {
    clock.at(seconds);
    const { results } = await queue.record([transition]);
    assertEquals(results, ["written"]);
  };
  const note = { message: "Half", fraction: 0.5, at: clock.now() };
  await record(2, noteProgress(of(IDS.running), note));
  await record(
    3,
    complete(of(IDS.completed), {
      result: { n: 98765432109876543210n, list: ["\u009b31m", "é"] },
    }),
  );
  await record(4, complete(of(IDS.text), { result: "two\nlines\n" }));
  await record(4.5, complete(of(IDS.strange)));
  await record(5, fail(of(IDS.failed), "No luck with 4711"));
  const delayMs = Date.UTC(2999, 0, 1) - NOW.getTime();
  await record(6, retryLater(of(IDS.waiting), { error: "busy", delayMs }));
  await record(7, askInput(of(IDS.asking), "Which one?"));
  clock.at(8);
  await admin.create(newTasks([task(IDS.created), task(IDS.twin)]));
  clock.toNow();
}

/** Both ways to the same tasks. */
async function bothWays() {
  const clock = new SetClock();
  const service = await TestService.start({
    exclusive: true,
    storeClock: clock,
  });
  await fill(service.store, clock);
  return {
    service,
    admins: [service.store.admin, await adminAt(service.url)] as const,
  };
}

const READING: readonly (readonly string[])[] = [
  ["list"],
  ["list", "--json"],
  ["list", "--limit", "2"],
  ["list", "--state", "failed,needs_input"],
  ["list", "--state", "failed", "--provider", "none"],
  ["list", "--provider", "http", "--json"],
  ["list", "--limit", "0"],
  ...Object.values(IDS).flatMap((id) => [
    ["show", id],
    ["show", id, "--json"],
    ["result", id],
    ["result", id, "--json"],
  ]),
  ["show", "1"],
  ["show", "8"],
  ["show", IDS.asking.toUpperCase()],
  ["show", "f"],
  ["show", "%"],
  ["show", " "],
  ["show", "1".repeat(100)],
  ["show"],
  ["result", "2"],
  ["stats", "--since", "2h"],
  ["stats", "--since", "2h", "--json"],
  ["stats", "--since", "0001-01-01", "--json"],
  ["stats"],
  ["export"],
  ["export", "--format", "csv"],
  ["export", "--events"],
  ["export", "--format", "csv", "--for-spreadsheet"],
  ["export", "--events", "--state", "failed", "--format", "csv"],
  ["export", "--provider", "none"],
  ["export", "--since", "1h"],
  ["prune", "--older-than", "1m", "--dry-run"],
  ["prune", "--older-than", "1m", "--dry-run", "--json"],
  ["prune", "--older-than", "1m"],
  ["cancel", "--all"],
  ["cancel", "--state", "created", "--provider", "claude"],
  ["retry", "--state", "failed,completed"],
  ["retry", "--all", "--provider", "none", "--json"],
  ["answer", "4"],
  ["answer", "1", "No"],
  ["answer", "8", "No"],
  ["answer", IDS.created, "No"],
  ["answer", IDS.created, "No", "--json"],
  ["answer", NO_ID, "No"],
  ["answer", IDS.created, NO_ID, "No"],
  ["answer", IDS.created, IDS.completed, "No", "--json"],
  ["answer", IDS.created, IDS.asking, IDS.failed],
  ["answer", "--all", "No"],
  ["answer", "--all", "--provider", "none", "No"],
];

Deno.test("commands that change nothing say the same through a service", async (t) => {
  const { service, admins: [file, remote] } = await bothWays();
  await using _ = service;
  for (const argv of READING) {
    await t.step(argv.join(" "), async () => {
      const expected = await runOn(argv, { admin: file, now: NOW });
      assertEquals(await runOn(argv, { admin: remote, now: NOW }), expected);
      assert(expected.output + expected.error !== "" || argv[0] === "export");
    });
  }
});

/** Each on tasks of its own. */
const CHANGING: readonly (readonly [
  argv: readonly string[],
  options?: Omit<RunOptions, "admin">,
])[] = [
  [["create", "Do this"]],
  [["create", "Do this", "--json", "--provider", "p", "--target", "#3"]],
  [["create", "-", "--run-at", "2026-12-31", "--timeout", "1.5"], {
    stdin: "Do\nthat\n",
  }],
  [["create", "x", "--trace", '{"a": 12345678901234567890}']],
  [["create", " "]],
  [["create", "--file", "-"], {
    stdin: '{"instruction": "a"}\n{"id": "' + NO_ID + '"}\n',
  }],
  [["create", "--file", "-", "--json"], {
    stdin: '{"instruction": "a"}\n',
  }],
  [["create", "--file", "-"], {
    stdin: `{"instruction": "a"}\n\n{"id": "${IDS.failed}"}\n`,
  }],
  [["create", "--file", "-"], { stdin: '{"instruction": 1}\n' }],
  [["answer", "4", "This one"]],
  [["answer", "4", "-", "--json"], { stdin: "This\none\n" }],
  [["answer", "4", "\u0007".repeat(1024 * 1024)]],
  [["answer", "40000000", IDS.completed, NO_ID, "This one"]],
  [["answer", "--state", "needs_input", "Yes"], { confirms: true }],
  [["answer", "--provider", "claude", "Yes"], { confirms: false }],
  [["answer", "--all", "--yes", "--json", "-"], { stdin: "Yes\n" }],
  [["cancel", IDS.created]],
  [["cancel", "5", "--json"]],
  [["cancel", "1"]],
  [["cancel", "4", "5", IDS.completed, NO_ID]],
  [["cancel", IDS.created, IDS.twin, "--json"]],
  [["cancel", "--all", "--yes"]],
  [["cancel", "--state", "created"], { confirms: true }],
  [["cancel", "--state", "created"], { confirms: false }],
  [["retry", "2"]],
  [["retry", "2", "--json"]],
  [["retry", "3", "--json"]],
  [["retry", "3", "4", IDS.completed, NO_ID]],
  [["retry", "--state", "failed", "--provider", "http"], { confirms: true }],
  [["retry", "--state", "completed,failed", "--yes", "--json"]],
  [["prune", "--older-than", "1m", "--yes"]],
  [["prune", "--older-than", "1m", "--json"], { confirms: true }],
  [["prune", "--older-than", "1m"], { confirms: false }],
];

Deno.test("commands that change tasks do and say the same through a service", async (t) => {
  for (const [argv, options] of CHANGING) {
    const name = argv.join(" ").slice(0, 60);
    await t.step(`${name} ${options?.confirms ?? ""}`, async () => {
      const ends = [];
      for (const way of [0, 1] as const) {
        const { service, admins } = await bothWays();
        await using _ = service;
        const end = await runOn(argv, { ...options, admin: admins[way] });
        const { output: tasks } = await runOn(["list", "--json"], {
          admin: service.store.admin,
        });
        const known = withoutChance(JSON.stringify({ end, tasks }));
        ends.push(JSON.parse(known));
      }
      assertEquals(ends[1], ends[0]);
    });
  }
});

/** The text without ids that are new, times, sizes and what a key leaves. */
function withoutChance(text: string): string {
  const known = new Set([...Object.values(IDS), USER, NO_ID]);
  return text
    .replaceAll(
      /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g,
      (id) => known.has(id) ? id : "<new>",
    )
    .replaceAll(/20(?!26-03|26-12|99)\d\d-\d\d-\d\dT[\d:.]+(Z|\+00:00)/g, "<t>")
    .replaceAll(/20\d\d-\d\d-\d\d[T ][\d:.]+(Z|\+00:00)?/g, "<t>")
    .replaceAll(
      /\\"trace\\": \{\\n +\\"request_digest\\": \\"\w{64}\\"\\n +\}/g,
      '\\"trace\\": null',
    )
    .replaceAll(/,\\n +\\"request_digest\\": \\"\w{64}\\"/g, "")
    .replaceAll(/\d+(\.\d+)? [kM]?B/g, "<size>")
    .replaceAll(/bytes(_before)?\\":\d+/g, "<size>");
}

Deno.test("list and create take more than fits one request", async () => {
  await using service = await TestService.start({ exclusive: true });
  const admin = await adminAt(service.url);
  const own = service.store.admin;
  const tasks = Array.from({ length: 10_001 }, (_, n): NewTask => ({
    userId: USER,
    provider: n % 2 ? "odd" : "even",
    instruction: `Task ${n}`,
  }));
  const ids = [...(await admin.create(newTasks(tasks))).sets()].flat();
  assertEquals(new Set(ids).size, 10_001);
  for (const n of [0, 9_999, 10_000]) {
    const task = await own.get(ids[n]!);
    assertEquals(task?.instruction, `Task ${n}`);
  }
  const options = { limit: 1_100, provider: "odd", isWhole: true };
  assertEquals(
    (await admin.page(options)).tasks,
    (await own.page(options)).tasks,
  );
  const all = await admin.cancellable({});
  assertEquals(all.map(({ id }) => id), ids);
  const results = await admin.cancel(ids);
  assertEquals([...new Set(results)], ["cancelled"]);
  assertEquals(results.length, 10_001);
  const retried = await admin.retry(ids);
  assertEquals(retried.length, 10_001);
  assertEquals(await statesIn(own), { created: 10_001, failed: 10_001 });
});

/** How many tasks are in each state. */
async function statesIn(admin: Admin): Promise<Record<string, number>> {
  const states: Record<string, number> = {};
  for (const { state, count } of (await admin.count()).counts) {
    states[state] = (states[state] ?? 0) + count;
  }
  return states;
}

Deno.test("create splits what is large, and says how much is there where the rest fails", async () => {
  await using service = await TestService.start({ exclusive: true });
  const admin = await adminAt(service.url);
  const own = service.store.admin;
  const line = (fields: object) => JSON.stringify(fields) + "\n";
  const large = "ü".repeat(3_000_000);
  const stdin = line({ instruction: large }).repeat(4);
  const { code, output } = await runOn(["create", "--file", "-", "--json"], {
    admin,
    stdin,
  });
  const ids = JSON.parse(output).map(({ id }: { id: string }) => id);
  assertEquals([code, ids.length], [0, 4]);
  assertEquals((await own.get(ids[3]))?.instruction, large);
  const end = await runOn(["create", "--file", "-"], {
    admin,
    stdin: stdin + line({ id: ids[0], instruction: "x" }),
  });
  assertEquals([end.code, end.output], [1, ""]);
  assertStringIncludes(end.error, "Cannot create all 5 tasks: ");
  assertStringIncludes(end.error, `there is one with this id`);
  assertStringIncludes(end.error, "The first 2 were created");
  assertEquals(await statesIn(own), { created: 6 });
});

Deno.test("export through a service writes the same file as beside it", async () => {
  const { service, admins } = await bothWays();
  await using _ = service;
  for (const format of ["csv", "jsonl", "parquet"]) {
    const files = [];
    for (const [n, admin] of admins.entries()) {
      const path = `${service.folder}/${n}.${format}`;
      const { output, error } = await runOn(["export", path, "--json"], {
        admin,
      });
      assertEquals(error, "");
      assertEquals(JSON.parse(output).rows, 9);
      files.push(await Deno.readFile(path));
      assertEquals(JSON.parse(output).bytes, files.at(-1)?.length);
    }
    assertEquals(files[1], files[0]);
  }
  const left = [...Deno.readDirSync(service.folder)].map(({ name }) => name);
  assertEquals(left.filter((name) => name.startsWith(".")), []);
});

Deno.test("watch sees through a service what runs now", async () => {
  await using service = await TestService.start({ exclusive: true });
  const remote = await adminAt(service.url);
  const { admin, queue } = service.store;
  await admin.create(newTasks([
    { userId: USER, provider: "claude" },
    { userId: USER, provider: "codex" },
  ]));
  const { tasks: [claimed] } = await queue.claim({
    limit: 2,
    owner: "runner",
    leaseMs: 600_000,
    maxAttempts: 3,
  });
  await queue.record([fail(claimed!, "Exit code 3")]);
  const look = { limit: 100, recentMs: 60_000 };
  const seen = await remote.overview(look);
  const expected = await admin.overview(look);
  assertEquals([seen.runningCount, seen.ended.length], [1, 1]);
  const now = systemClock.now();
  assertEquals(framesOf(seen), framesOf(expected));
  assertEquals(overviewToJson(seen, now), overviewToJson(expected, now));

  function framesOf(overview: Overview): string[] {
    const frame = { title: "", overview, now, problem: undefined };
    return renderFrame(frame, { columns: 80, rows: 24, hasColor: false });
  }
});
