import { assertEquals, assertMatch } from "@std/assert";
import { createLog } from "../../lib/base/log.ts";
import { Presence } from "../../lib/runner/presence.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { StubQueue } from "../support/stub_queue.ts";
import { within } from "../support/until.ts";

const FACTS = {
  name: "runner-1",
  host: "here",
  pid: 1,
  version: "1.2.3",
  concurrency: 2,
};

function setUp() {
  const clock = new FakeClock();
  const queue = new StubQueue(clock);
  const lines: string[] = [];
  const log = createLog({
    level: "DEBUG",
    write: (text) => void lines.push(text),
  });
  let drains = 0;
  const begin = () =>
    new Presence({ queue, clock, log, facts: FACTS, onDrain: () => drains++ });
  return {
    clock,
    queue,
    begin,
    drained: () => drains,
    logged: () => {
      log.flush();
      return lines.join("");
    },
  };
}

Deno.test("Presence says at once that the runner is there, and then twice a minute", async () => {
  const { clock, queue, begin } = setUp();
  const presence = begin();
  assertEquals(queue.presences, [{ ...FACTS, upMs: 0 }]);
  await clock.advance(90_000);
  assertEquals(
    queue.presences.map(({ upMs }) => upMs),
    [0, 30_000, 60_000, 90_000],
  );
  assertEquals(queue.left, []);
  await presence[Symbol.asyncDispose]();
  assertEquals(queue.left, ["runner-1"]);
  await clock.advance(90_000);
  assertEquals([queue.presences.length, queue.listeners], [4, 0]);
});

Deno.test("Presence asks at once after a change, and every five seconds where all changes all the time", async () => {
  const { clock, queue, begin } = setUp();
  await using _ = begin();
  await clock.advance(6_000);
  queue.announce();
  await clock.advance(1);
  assertEquals(queue.presences.length, 2);
  for (let ms = 0; ms < 20_000; ms += 100) {
    queue.announce();
    await clock.advance(100);
  }
  assertEquals(queue.presences.length, 6);
});

Deno.test("Presence drains once, and is there until the end", async () => {
  const { clock, queue, begin, drained } = setUp();
  await using _ = begin();
  await clock.advance(6_000);
  queue.isDraining = true;
  await clock.advance(6_000);
  assertEquals(drained(), 0);
  queue.announce();
  await clock.advance(100);
  assertEquals(drained(), 1);
  await clock.advance(60_000);
  assertEquals([drained(), queue.presences.length], [1, 4]);
});

Deno.test("Presence goes on where the store fails, and says so for debugging only", async () => {
  const { clock, queue, begin, drained, logged } = setUp();
  queue.fails("present");
  await using _ = begin();
  await clock.advance(30_000);
  queue.heals("present");
  queue.isDraining = true;
  await clock.advance(30_000);
  assertEquals(drained(), 1);
  const lines = logged().trimEnd().split("\n");
  assertEquals(lines.length, 2);
  for (const line of lines) {
    assertMatch(line, / - DEBUG - Cannot say that this runner is there: gone$/);
  }
});

for (const method of ["present", "leave"] as const) {
  Deno.test(`Presence ends within a second where ${method}() hangs`, async () => {
    const { clock, queue, begin } = setUp();
    // As a server that hangs: no signal ends that.
    const healed = Promise.withResolvers<void>();
    queue.before(method, () => healed.promise);
    const presence = begin();
    await clock.advance(1);
    const ended = presence[Symbol.asyncDispose]();
    await clock.advance(1_000);
    await within("it ends", ended);
    assertEquals(queue.left, []);
    healed.resolve();
  });
}

Deno.test("Presence says that the runner has gone after all that it said before", async () => {
  const { clock, queue, begin } = setUp();
  const healed = Promise.withResolvers<void>();
  queue.before("present", () => healed.promise);
  const presence = begin();
  await clock.advance(1);
  const ended = presence[Symbol.asyncDispose]();
  await clock.advance(500);
  assertEquals(queue.left, []);
  healed.resolve();
  await within("it ends", ended);
  assertEquals(queue.left, ["runner-1"]);
});
