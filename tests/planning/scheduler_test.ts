import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { createLog } from "../../lib/base/log.ts";
import type { GivenDefinition } from "../../lib/planning/definition.ts";
import type { FileSchedules } from "../../lib/planning/file_schedules.ts";
import {
  definitionOf,
  FieldError,
  textOfDefinition,
} from "../../lib/planning/schedule.ts";
import { Scheduler } from "../../lib/planning/scheduler.ts";
import type { Schedules, Store } from "../../lib/store/contract.ts";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import { parseTrace } from "../../lib/task/trace.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { until } from "../support/until.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;

const FILE: FileSchedules = {
  host: "h",
  path: "/a/agent-runner.json",
  given: undefined,
  defaultProvider: "simulate",
};

/** A store at 2026-01-19T18:30:00Z, and who makes tasks in it. */
async function setUp({ fails = (): boolean => false } = {}) {
  const clock = new FakeClock();
  const store = await openDuckDbStore(":memory:", { clock });
  const lines: string[] = [];
  const log = createLog({
    level: "DEBUG",
    write: (text) => void lines.push(...text.trimEnd().split("\n")),
  });
  const schedules: Schedules = {
    list: (options) =>
      fails()
        ? Promise.reject(new Error("no disk"))
        : store.schedules.list(options),
    put: (it) => store.schedules.put(it),
    remove: (it) => store.schedules.remove(it),
    pause: (it) => store.schedules.pause(it),
    resume: (it) => store.schedules.resume(it),
    take: (it) => store.schedules.take(it),
  };
  const begin = (file?: Partial<FileSchedules>) =>
    new Scheduler({
      ...{ schedules, queue: store.queue, clock, log },
      file: file && { ...FILE, ...file },
    });
  return {
    ...{ clock, store, begin },
    add: (given: GivenDefinition, name = "s") =>
      store.schedules.put({
        name,
        definition: textOfDefinition(
          definitionOf({ task: { instruction: "x" }, ...given }, {
            ...{ provider: "simulate", zone: "UTC" },
          }),
        ),
        source: "command",
      }),
    /** All that was logged and is no debugging. */
    logged() {
      log.flush();
      return lines.filter((it) => !it.includes("DEBUG"))
        .map((it) => it.split(" - ").slice(3).join(" - "));
    },
    /** The times of the tasks that there are, oldest slot first. */
    async slots() {
      const { tasks } = await store.admin.page({ limit: 9_999, isWhole: true });
      return tasks.map(({ traceText }) => parseTrace(traceText)?.slot)
        .map((it) => String(it).slice(5, 16)).sort();
    },
    /** What each schedule was seen to, and its pause. */
    async state() {
      const { schedules } = await store.schedules.list();
      return schedules.map(({ name, source }) => [name, source]);
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

async function tasksIn({ admin }: Store) {
  const { tasks } = await admin.page({ limit: 99, isWhole: true });
  return tasks.toSorted((a, b) => +a.createdAt - +b.createdAt);
}

Deno.test("Scheduler.makeDue() makes the task of a slot that has come, and no other", async () => {
  await using it = await setUp();
  const scheduler = it.begin();
  assertEquals(await scheduler.makeDue(), Infinity);
  await it.add({
    cron: "0 20 * * *",
    zone: "Europe/Berlin",
    task: {
      instruction: "Look at {slot}, {slot:date}, {slot:time}, {other}",
      ...{ target: "octo/app#12", target_type: "pr", priority: 3 },
      ...{ batch: "b {slot:date}", tags: ["at {slot:time}"] },
      trace: { model: "large", since: ["{slot}"] },
    },
  });
  assertEquals(await scheduler.makeDue(), HOUR / 2);
  await it.clock.advance(HOUR / 2 - 1);
  assertEquals(await scheduler.makeDue(), 1);
  assertEquals(await it.slots(), []);
  await it.clock.advance(1);
  assertEquals(await scheduler.makeDue(), 24 * HOUR);
  const [task, ...others] = await tasksIn(it.store);
  assertEquals(others, []);
  const whole = "2026-01-19T20:00+01:00";
  assertEquals(
    task?.instruction,
    `Look at ${whole}, 2026-01-19, 20:00, {other}`,
  );
  assertEquals([task?.targetType, task?.targetRef], ["pr", "octo/app#12"]);
  assertEquals([task?.priority, task?.provider], [3, "simulate"]);
  assertEquals([task?.batch, task?.tags], ["b 2026-01-19", ["at 20:00"]]);
  assertEquals(parseTrace(task?.traceText ?? null), {
    model: "large",
    since: [whole],
    schedule: "s",
    slot: "2026-01-19T19:00:00.000Z",
  });
  assertMatch(it.logged().join("\n"), /^Schedule s: task .* for its slot/);
});

Deno.test("Schedulers of many runners make each task once", async () => {
  await using it = await setUp();
  await it.add({ every: "1h", overlap: "queue" });
  const all = Array.from({ length: 4 }, () => it.begin());
  for (let hour = 0; hour < 3; hour++) {
    await it.clock.advance(HOUR);
    await Promise.all(all.map((scheduler) => scheduler.makeDue()));
    await it.begin().makeDue();
  }
  assertEquals(await it.slots(), ["01-19T19:00", "01-19T20:00", "01-19T21:00"]);
  it.clock.jump(-2 * HOUR);
  await all[0]!.makeDue();
  it.clock.jump(2 * HOUR);
  await all[0]!.makeDue();
  assertEquals((await it.slots()).length, 3);
});

for (
  const [catchUp, slots, missed] of [
    [undefined, ["01-20T06:00"], 11],
    ["latest", ["01-20T06:00"], 11],
    ["none", [], 12],
    [
      "all",
      Array.from({ length: 12 }, (_, index) => {
        const hour = String((19 + index) % 24).padStart(2, "0");
        return `01-${index < 5 ? 19 : 20}T${hour}:00`;
      }),
      0,
    ],
  ] as const
) {
  Deno.test(`Scheduler with catchUp ${catchUp} after hours in which none was there`, async () => {
    await using it = await setUp();
    await it.add({ cron: "0 * * * *", catchUp });
    await it.clock.advance(11.75 * HOUR);
    const scheduler = it.begin();
    await scheduler.makeDue();
    assertEquals(await it.slots(), slots);
    const said = it.logged().filter((line) => line.includes("get no task"));
    assertEquals(said.length, missed > 0 ? 1 : 0);
    if (missed > 0) {
      assertMatch(
        said[0]!,
        new RegExp(`: ${missed} slots until 2026-01-20T06`),
      );
    }
    await scheduler.makeDue();
    await it.begin().makeDue();
    assertEquals(await it.slots(), slots);
    await it.clock.advance(45 * MINUTE);
    await scheduler.makeDue();
    const last = (await it.slots()).at(-1);
    // The one before has not ended, where there is one.
    const isMade = catchUp === "none" || catchUp === "all";
    assertEquals(last === "01-20T07:00", isMade);
  });
}

Deno.test("Scheduler makes up for no more than a hundred slots", async () => {
  await using it = await setUp();
  await it.add({ cron: "* * * * *", catchUp: "all" });
  await it.clock.advance(5 * HOUR);
  await it.begin().makeDue();
  assertEquals((await it.slots()).length, 100);
  assertMatch(it.logged()[0]!, /: 200 slots until 2026-01-19T23:30/);
});

Deno.test("Scheduler with overlap skip leaves a slot out while the last task has not ended, and says so", async () => {
  await using it = await setUp();
  await it.add({ cron: "0 * * * *" });
  const scheduler = it.begin();
  for (let hour = 0; hour < 2; hour++) {
    await it.clock.advance(HOUR);
    await scheduler.makeDue();
  }
  assertEquals(await it.slots(), ["01-19T19:00"]);
  const why =
    "its slot 2026-01-19T20:00+00:00 was skipped: this task, of the " +
    "slot before, is still created";
  assertEquals(it.logged().at(-1), `Schedule s: ${why}`);
  const [task] = await tasksIn(it.store);
  const [, skipped] = await it.store.admin.history(task!.id);
  assertEquals([skipped?.kind, skipped?.detail], ["slot_skipped", why]);
  await it.store.admin.cancel([task!.id]);
  await it.clock.advance(HOUR);
  await scheduler.makeDue();
  assertEquals(await it.slots(), ["01-19T19:00", "01-19T21:00"]);
});

Deno.test("Scheduler with overlap queue or replace makes the next task all the same", async () => {
  for (const overlap of ["queue", "replace"]) {
    await using it = await setUp();
    await it.add({ cron: "0 * * * *", overlap });
    const scheduler = it.begin();
    for (let hour = 0; hour < 2; hour++) {
      await it.clock.advance(HOUR);
      await scheduler.makeDue();
    }
    assertEquals(await it.slots(), ["01-19T19:00", "01-19T20:00"]);
    const [first, second] = await tasksIn(it.store);
    assertEquals(first?.state, overlap === "queue" ? "created" : "failed");
    assertEquals(second?.state, "created");
  }
});

Deno.test("Scheduler makes nothing of a paused schedule, nor of what a pause left out", async () => {
  await using it = await setUp();
  await it.add({ cron: "0 * * * *" });
  const scheduler = it.begin();
  await it.store.schedules.pause("s");
  await it.clock.advance(HOUR);
  assertEquals(await scheduler.makeDue(), Infinity);
  await it.store.schedules.resume("s");
  assertEquals(await scheduler.makeDue(), HOUR / 2);
  await it.clock.advance(HOUR / 2);
  await scheduler.makeDue();
  assertEquals(await it.slots(), ["01-19T20:00"]);
});

Deno.test("Scheduler goes on with others where a schedule can't make its task", async () => {
  await using it = await setUp();
  const broken = { name: "a", definition: "broken", source: "command" };
  await it.store.schedules.put(broken);
  await it.add({ every: "1h", task: { instruction: "x", target: "#1" } }, "b");
  const { schedules: [, b] } = await it.store.schedules.list();
  const definition = b!.definition.replace("#1", "{slot:time}#1");
  await it.store.schedules.put({ ...b!, definition });
  await it.add({ every: "1h" }, "c");
  await it.clock.advance(HOUR);
  const scheduler = it.begin();
  await scheduler.makeDue();
  await scheduler.makeDue();
  assertEquals(await it.slots(), ["01-19T19:00"]);
  const lines = it.logged();
  assertMatch(lines[0]!, /Schedule a makes no task: Cannot read a schedule/);
  assertMatch(lines[1]!, /Schedule b makes no task: Cannot use the target/);
  assertMatch(lines[2]!, /Schedule c: task/);
  assertEquals(lines.length, 3);
});

Deno.test("Scheduler.start() makes tasks when their slots come, and what others add", async () => {
  await using it = await setUp();
  await using scheduler = it.begin();
  const made = (count: number) =>
    until(`there are ${count}`, async () => {
      await it.clock.advance(MINUTE);
      return (await it.slots()).length >= count;
    });
  scheduler.start();
  await it.add({ cron: "*/5 * * * *", overlap: "queue" });
  await made(2);
  const [first, second] = await it.slots();
  assertEquals([first, second], ["01-19T18:35", "01-19T18:40"]);
});

Deno.test("Scheduler.start() goes on where the store can't be used for a time", async () => {
  let isBroken = true;
  await using it = await setUp({ fails: () => isBroken });
  await it.add({ cron: "*/5 * * * *", overlap: "queue" });
  await using scheduler = it.begin();
  scheduler.start();
  await it.clock.advance(12 * MINUTE);
  assertMatch(it.logged()[0]!, /^Cannot look at schedules: no disk$/);
  isBroken = false;
  await until("there is one", async () => {
    await it.clock.advance(MINUTE);
    return (await it.slots()).length > 0;
  });
  assertEquals((await it.slots())[0], "01-19T18:40");
});

const GIVEN = { cron: "0 2 * * *", task: { instruction: "x" } };
const given = (all: Record<string, GivenDefinition>) =>
  new Map(Object.entries(all));

Deno.test("Scheduler puts a file's schedules into the store, and stops those that were removed there", async () => {
  await using it = await setUp();
  await it.add({ every: "1h" }, "mine");
  const source = `file h ${FILE.path}`;
  await it.begin({ given: given({ a: GIVEN, b: GIVEN }) }).makeDue();
  const both = [["a", source], ["b", source], ["mine", "command"]];
  assertEquals(await it.state(), both);
  // Other files, and none, say nothing of them.
  await it.begin().makeDue();
  await it.begin({ path: "/b.json", given: given({}) }).makeDue();
  await it.begin({ host: "other" }).makeDue();
  assertEquals(await it.state(), both);
  await it.begin({ given: given({ b: GIVEN }) }).makeDue();
  assertEquals(await it.state(), both.slice(1));
  const takesOver = () => it.logged().filter((line) => /by command/.test(line));
  assertEquals(takesOver(), []);
  // The same file, in another container.
  await it.begin({ host: "other", given: given({ a: GIVEN }) }).makeDue();
  const other = `file other ${FILE.path}`;
  assertEquals(await it.state(), [["a", other], ["mine", "command"]]);
  await it.begin({ host: "other" }).makeDue();
  assertEquals(await it.state(), [["mine", "command"]]);
  for (let run = 0; run < 2; run++) {
    await it.begin({ given: given({ mine: GIVEN }) }).makeDue();
    assertEquals(takesOver(), [
      `Schedule mine was added by command, and is now as in ${FILE.path}`,
    ]);
  }
});

Deno.test("Scheduler.start() looks less often where there is no schedule", async () => {
  let looks = 0;
  await using it = await setUp({ fails: () => looks++ < 0 });
  await using scheduler = it.begin();
  scheduler.start();
  for (let second = 0; second < 20; second++) {
    await it.store.schedules.pause("none");
    await it.clock.advance(1_000);
  }
  assert(looks > 0 && looks <= 3, `${looks} looks`);
});

Deno.test("definitionOf() refuses to replace tasks with a key, and unknown fields", () => {
  const task = { instruction: "x", key: "k" };
  const wrong: [GivenDefinition, string][] = [
    [{ every: "1h", task, overlap: "replace" }, "skip or queue with a key"],
    [
      { ...GIVEN, timezone: "UTC" } as GivenDefinition,
      "one of cron, every, zone, task, catchUp, overlap",
    ],
  ];
  for (const [it, expected] of wrong) {
    const error = assertThrows(() => definitionOf(it), FieldError);
    assertEquals(error.expected, expected);
  }
});

Deno.test("Scheduler takes over what changed in a file, and keeps how far a schedule is", async () => {
  await using it = await setUp();
  const read = async () => (await it.store.schedules.list()).schedules[0]!;
  const begin = (it: Awaited<ReturnType<typeof setUp>>, fields = {}) =>
    it.begin({ given: given({ a: { ...GIVEN, zone: "UTC", ...fields } }) })
      .makeDue();
  await begin(it);
  const first = await read();
  await it.clock.advance(HOUR);
  await begin(it);
  assertEquals(await read(), first);
  await begin(it, { task: { instruction: "y" } });
  const second = await read();
  assertEquals(second.addedAt, first.addedAt);
  assert(second.definition !== first.definition);
  await begin(it, { cron: "0 3 * * *" });
  const third = await read();
  assertEquals(+third.addedAt - +first.addedAt, HOUR);
  // The zone that it got is not that of whoever starts next.
  const zoned = third.definition.replace('"UTC"', '"Asia/Tokyo"');
  await it.store.schedules.put({ ...third, definition: zoned });
  await begin(it, { cron: "0 3 * * *", zone: undefined });
  assertEquals((await read()).definition, zoned);
});
