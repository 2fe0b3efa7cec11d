import { assert, assertEquals } from "@std/assert";
import { Run } from "../../lib/runner/runs.ts";
import { Change, HELD_MS, Slots } from "../../lib/runner/slots.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { sampleTask } from "../support/sample_task.ts";

interface Setup {
  readonly concurrency?: number;
  /** How long a run takes; 0 is no time. @default {0} */
  readonly ms?: (id: string) => number;
}

function setUp({ concurrency = 4, ms = () => 0 }: Setup = {}) {
  const clock = new FakeClock();
  const started: string[] = [];
  const givenBack: string[] = [];
  let running = 0;
  let most = 0;
  const slots = new Slots({
    concurrency,
    clock,
    execute: (run, onOver) => {
      started.push(run.task.id);
      most = Math.max(most, ++running);
      const runMs = ms(run.task.id);
      const over = () => {
        running--;
        onOver(runMs);
      };
      const end = runMs > 0 ? clock.sleep(runMs) : Promise.resolve();
      end.then(over);
    },
    giveBack: (runs) => givenBack.push(...idsOf(runs)),
  });
  return { slots, clock, started, givenBack, most: () => most };
}

function idsOf(runs: readonly Run[]): string[] {
  return runs.map(({ task }) => task.id);
}

let nextId = 1;

/** Runs with ids `1`, `2` and so on, held unless they are begun. */
function runs(
  count: number,
  state: "created" | "running" = "created",
): Run[] {
  return Array.from({ length: count }, () => {
    const task = sampleTask({ id: `${nextId++}`, state });
    const lease = { taskId: task.id, id: "lease", owner: "me", attempt: 1 };
    return new Run({ task, lease }, Infinity);
  });
}

/** Runs that take no time until so many may be held. */
async function warmUp(slots: Slots, ahead: number): Promise<void> {
  while (slots.ahead < ahead) {
    slots.add(runs(slots.free));
    await turn();
  }
}

Deno.test("Slots runs everything once, in order", async () => {
  const { slots, started } = setUp();
  const all = runs(1_000);
  slots.add(all.slice(0, 700));
  slots.add(all.slice(700));
  while (!slots.isIdle) await turn();
  assertEquals(started, idsOf(all));
});

Deno.test("Slots runs no more at a time than its concurrency", async () => {
  const { slots, clock, most } = setUp({ ms: () => 100 });
  slots.add(runs(9));
  assertEquals([slots.free, most()], [0, 4]);
  await clock.advance(200);
  assertEquals(most(), 4);
});

Deno.test("Slots wants to hold nothing before it knows that runs take no time", () => {
  assertEquals(setUp().slots.ahead, 0);
});

Deno.test("Slots wants nothing beyond its number while runs take time", async () => {
  const { slots, clock } = setUp({ ms: () => 10_000 });
  for (let n = 0; n < 10; n++) {
    assertEquals([slots.free, slots.ahead], [4, 0]);
    slots.add(runs(4, "running"));
    assertEquals([slots.free, slots.ahead], [0, 0]);
    await clock.advance(10_000);
  }
});

Deno.test("Slots wants to hold more with each run that takes no time, up to a bound", async () => {
  const { slots } = setUp({ concurrency: 1_000 });
  await warmUp(slots, 4_000);
  for (let n = 0; n < 20; n++) {
    slots.add(runs(1_000));
    while (!slots.isIdle) await turn();
  }
  assertEquals(slots.ahead, 15_000);
});

Deno.test("Slots wants to hold what half of its time has room for", async () => {
  let ms = 0;
  const { slots, clock } = setUp({ concurrency: 10, ms: () => ms });
  await warmUp(slots, 1_000);
  ms = 20;
  slots.add(runs(10));
  await clock.advance(20);
  assertEquals(slots.ahead, 10 * HELD_MS / 2 / 20);
});

Deno.test("Slots wants no more while it holds more than half of what it may", async () => {
  const { slots, clock } = setUp({ ms: (id) => Number(id) > 1e6 ? 5_000 : 0 });
  await warmUp(slots, 20);
  const most = slots.ahead;
  nextId = 1e6 + 1;
  slots.add(runs(4 + Math.ceil(most / 2) + 1));
  assertEquals(slots.ahead, 0);
  nextId = 1;
  slots.stop();
  await clock.advance(5_000);
});

Deno.test("Slots gives back what it held and did not begin within its time", async () => {
  const { slots, clock, started, givenBack } = setUp({ ms: () => 30_000 });
  const all = runs(10);
  slots.add(all);
  assertEquals(started, idsOf(all.slice(0, 4)));
  await clock.advance(HELD_MS - 1);
  assertEquals(givenBack, []);
  await clock.advance(1);
  assertEquals(givenBack, idsOf(all.slice(4)));
  assertEquals([slots.free, slots.ahead, slots.isIdle], [0, 0, false]);
  await clock.advance(60_000);
  assertEquals([started.length, slots.isIdle], [4, true]);
});

Deno.test("Slots gives back each claim in its own time", async () => {
  const { slots, clock, givenBack } = setUp({ ms: () => 30_000 });
  const all = runs(8);
  slots.add(all.slice(0, 6));
  await clock.advance(HELD_MS / 2);
  slots.add(all.slice(6));
  await clock.advance(HELD_MS / 2);
  assertEquals(givenBack, idsOf(all.slice(4, 6)));
  await clock.advance(HELD_MS / 2);
  assertEquals(givenBack, idsOf(all.slice(4)));
});

Deno.test("Slots keeps what the store has as begun, and gives back what is behind it", async () => {
  const { slots, clock, started, givenBack } = setUp({
    concurrency: 1,
    ms: () => 1_000,
  });
  const [first, begun, held] = [runs(1), runs(1, "running"), runs(1)];
  slots.add([...first, ...begun, ...held]);
  await clock.advance(HELD_MS);
  assertEquals(givenBack, idsOf(held));
  await clock.advance(1_000);
  assertEquals(started, idsOf([...first, ...begun]));
});

Deno.test("Slots holds less again as soon as a run takes time", async () => {
  let ms = 0;
  const { slots, clock } = setUp({ concurrency: 1, ms: () => ms });
  await warmUp(slots, 64);
  ms = 51;
  const wanted = [];
  for (let n = 0; n < 4; n++) {
    slots.add(runs(1));
    await clock.advance(51);
    wanted.push(slots.ahead);
  }
  assertEquals(wanted, [32, 16, 8, 4]);
});

Deno.test("Slots lets timers fire between runs that take no time", async () => {
  const { slots, started } = setUp();
  slots.add(runs(5_000));
  await turn();
  assert(started.length < 5_000, `${started.length}`);
  while (!slots.isIdle) await turn();
  assertEquals(started.length, 5_000);
});

Deno.test("Slots gives back what it has not started when it is stopped, the begun ones too", async () => {
  const { slots, clock, started, givenBack } = setUp({
    concurrency: 1,
    ms: () => 1_000,
  });
  const all = [...runs(1), ...runs(1, "running"), ...runs(2)];
  slots.add(all);
  slots.stop();
  assertEquals(givenBack, idsOf(all.slice(1)));
  await clock.advance(1_000);
  assertEquals([started.length, slots.isIdle], [1, true]);
  assertEquals(clock.sleepers, 0);
});

Deno.test("Slots gives back at once what it is given after its stop", () => {
  const { slots, started, givenBack } = setUp();
  slots.stop();
  const late = runs(2, "running");
  slots.add(late);
  assertEquals([started, givenBack], [[], idsOf(late)]);
});

Deno.test("Slots says that it has changed when a run ends, something is given back, or it stops", async () => {
  const { slots, clock } = setUp({ concurrency: 1, ms: () => HELD_MS + 100 });
  const changes: number[] = [];
  const watch = () => {
    slots.changed.then(() => {
      changes.push(clock.monotonic());
      watch();
    });
  };
  watch();
  slots.add(runs(2));
  await clock.advance(HELD_MS);
  await clock.advance(100);
  await clock.advance(100);
  slots.stop();
  await turn();
  assertEquals(changes, [HELD_MS, HELD_MS + 100, HELD_MS + 200]);
});

Deno.test("Change.next is the same promise until something changes", async () => {
  const change = new Change();
  const { next } = change;
  assert(next === change.next);
  change.tell();
  await next;
  assert(next !== change.next);
});
