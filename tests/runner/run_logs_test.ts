import { assert, assertEquals, assertMatch } from "@std/assert";
import { createLog } from "../../lib/base/log.ts";
import { RunLogs } from "../../lib/runner/run_logs.ts";
import type { LogPiece } from "../../lib/store/contract.ts";
import { linesOf } from "../../lib/task/run_log.ts";
import type { Lease } from "../../lib/task/task.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { StubQueue } from "../support/stub_queue.ts";
import { claimOne, setUp as setUpRunner } from "./set_up.ts";
import { processRunningTask } from "../../lib/runner.ts";

const leaseOf = (n: number): Lease => (
  { taskId: `task-${n}`, id: `lease-${n}`, owner: "runner-1", attempt: 1 }
);

function setUp({ limit = 1_000_000 } = {}) {
  const clock = new FakeClock();
  const queue = new StubQueue(clock);
  const lines: string[] = [];
  const log = createLog({ write: (text) => void lines.push(text) });
  const logs = new RunLogs({ queue, clock, log, limit });
  const outputOf = (n: number) => {
    const output = logs.of(leaseOf(n));
    assert(output);
    return output;
  };
  const logged = () => {
    log.flush();
    return lines.join("");
  };
  return { clock, queue, logs, outputOf, logged };
}

/** What the store has of a run: pieces that were written and not cut since. */
function keptOf({ logs }: StubQueue, n: number): LogPiece[] {
  let kept: LogPiece[] = [];
  const isOf = ({ lease }: { readonly lease: Lease }) =>
    lease.id === leaseOf(n).id;
  for (const { pieces, cuts } of logs) {
    kept.push(...pieces.filter(isOf));
    for (const { firstLine, endLine } of cuts.filter(isOf)) {
      kept = kept.filter((it) =>
        it.firstLine < firstLine || it.firstLine >= endLine
      );
    }
  }
  return kept;
}

/** The lines of pieces by their numbers. */
function numbered(pieces: readonly LogPiece[]): [number, string][] {
  return pieces.flatMap(({ firstLine, text }) =>
    linesOf(text, new Date(0)).map(({ text }, index): [number, string] => [
      firstLine + index,
      text,
    ])
  );
}

const sizeOf = (pieces: readonly LogPiece[]) =>
  pieces.reduce((sum, { text }) => sum + text.length, 0);

Deno.test("RunLogs writes a first line soon, and then once a second for all runs", async () => {
  const { clock, queue, outputOf } = setUp();
  const [one, two] = [outputOf(1), outputOf(2)];
  one("a");
  await clock.advance(50);
  two("b", "tool");
  await clock.advance(50);
  assertEquals(queue.logs.length, 1);
  for (let n = 0; n < 30; n++) {
    one(`one ${n}`);
    two(`two ${n}`, "stderr");
    await clock.advance(100);
  }
  assertEquals(queue.logs.length, 4);
  for (const { pieces, cuts } of queue.logs) {
    assertEquals([pieces.length, cuts.length], [2, 0]);
  }
  const [first, second] = queue.logs[0]?.pieces ?? [];
  assertEquals(first, {
    lease: leaseOf(1),
    firstLine: 0,
    lineCount: 1,
    agoMs: 100,
    text: '[0,"stdout","a"]',
  });
  assertEquals([second?.agoMs, second?.text], [50, '[0,"tool","b"]']);
  const third = queue.logs[1]?.pieces[0];
  assert(third);
  assertEquals([third.firstLine, third.agoMs], [1, 1_000]);
  assertMatch(third.text, /^\[0,"stdout","one 0"\]\n\[100,"stdout","one 1"\]/);
});

Deno.test("RunLogs asks nothing of the store without output, and keeps nothing with the limit 0", async () => {
  const { clock, queue, logs } = setUp();
  logs.of(leaseOf(1));
  await clock.advance(10_000);
  await logs.close({ isHurried: false });
  assertEquals([queue.logs.length, clock.sleepers], [0, 0]);
  assertEquals(setUp({ limit: 0 }).logs.of(leaseOf(1)), undefined);
});

Deno.test("RunLogs makes lines of what is printed, without colours and of a bounded length", async () => {
  const { clock, queue, outputOf } = setUp();
  outputOf(1)(`\u001b[31mred\u001b[0m\r\n${"x".repeat(20_000)}`);
  await clock.advance(100);
  const [red, long] = numbered(keptOf(queue, 1));
  assertEquals(red, [0, "red"]);
  assertMatch(
    long?.[1] ?? "",
    /^x{10000}… \(cut: 20,000 characters in all\)$/,
  );
});

Deno.test("RunLogs keeps the beginning and the newest lines, within the limit, and the newest can be read all the time", async () => {
  const limit = 100_000;
  const { clock, queue, outputOf } = setUp({ limit });
  const output = outputOf(1);
  let n = 0;
  for (let second = 0; second < 120; second++) {
    for (let line = 0; line < 50; line++) output(`line ${n++}`, "text");
    await clock.advance(1_000);
    const kept = keptOf(queue, 1);
    assertEquals(numbered(kept).at(-1), [n - 1, `line ${n - 1}`]);
    assert(sizeOf(kept) <= limit, `${sizeOf(kept)} characters are kept`);
  }
  const kept = keptOf(queue, 1);
  assert(sizeOf(kept) > 0.7 * limit, `only ${sizeOf(kept)} are kept`);
  const lines = numbered(kept);
  assertEquals(lines[0], [0, "line 0"]);
  for (const [number, text] of lines) assertEquals(text, `line ${number}`);
  const gaps = lines.filter(([number], index) =>
    index > 0 && number !== (lines[index - 1]?.[0] ?? 0) + 1
  );
  assertEquals(gaps.length, 1);
  const cuts = queue.logs.flatMap(({ cuts }) => cuts).length;
  assert(cuts > 1 && cuts < 30, `${cuts} cuts`);
});

Deno.test("RunLogs leaves out the middle of a flood before it is written", async () => {
  const limit = 100_000;
  const { clock, queue, outputOf } = setUp({ limit });
  const output = outputOf(1);
  for (let n = 0; n < 50_000; n++) output(`line ${n}`);
  await clock.advance(100);
  const { pieces, cuts } = queue.logs[0] ?? {};
  assertEquals(cuts, []);
  assert(sizeOf(pieces ?? []) <= limit);
  const lines = numbered(pieces ?? []);
  assertEquals([lines[0]?.[0], lines.at(-1)?.[0]], [0, 49_999]);
  for (const [number, text] of lines) assertEquals(text, `line ${number}`);
});

Deno.test("RunLogs tries again where the store fails, says so once, and takes no more memory", async () => {
  const limit = 100_000;
  const { clock, queue, outputOf, logged } = setUp({ limit });
  const output = outputOf(1);
  queue.fails("writeLogs");
  for (let n = 0; n < 20_000; n++) {
    output(`line ${n}`);
    if (n % 100 === 0) await clock.advance(100);
  }
  await clock.advance(5_000);
  assertEquals(queue.logs, []);
  assertEquals(
    logged().match(/Cannot write the output of 1 run yet/g)?.length,
    1,
  );
  queue.heals("writeLogs");
  await clock.advance(1_000);
  const [written, ...others] = queue.logs;
  assertEquals(others, []);
  assert(sizeOf(written?.pieces ?? []) <= limit);
  const lines = numbered(written?.pieces ?? []);
  assertEquals([lines[0]?.[0], lines.at(-1)?.[0]], [0, 19_999]);
  for (const [number, text] of lines) assertEquals(text, `line ${number}`);
  queue.fails("writeLogs");
  output("more");
  await clock.advance(2_000);
  assertEquals(logged().match(/Cannot write the output/g)?.length, 2);
});

Deno.test("RunLogs bounds what waits of all runs together", async () => {
  const { clock, queue, logs, outputOf } = setUp();
  queue.fails("writeLogs");
  const line = "x".repeat(9_000);
  const outputs = Array.from({ length: 40 }, (_, n) => outputOf(n));
  for (let n = 0; n < 100; n++) for (const output of outputs) output(line);
  await clock.advance(2_000);
  queue.heals("writeLogs");
  await clock.advance(20_000);
  const written = queue.logs.map(({ pieces }) => sizeOf(pieces));
  const all = written.reduce((sum, size) => sum + size, 0);
  assert(all <= 16.1 * 1024 ** 2, `${all} characters waited`);
  assert(all > 15 * 1024 ** 2, `only ${all} characters waited`);
  // And one commit at a time: who waits behind it waits for a moment.
  assert(Math.max(...written) <= 4.1 * 1024 ** 2);
  for (const output of outputs) output("the end");
  await clock.advance(2_000);
  for (let n = 0; n < 40; n++) {
    assertEquals(numbered(keptOf(queue, n)).at(-1)?.[1], "the end");
  }
  await logs.close({ isHurried: false });
});

Deno.test("RunLogs lets go what the store never takes", async () => {
  const { clock, queue, outputOf, logged } = setUp();
  const output = outputOf(1);
  queue.fails("writeLogs", new TypeError("no such method"), 1);
  output("lost");
  await clock.advance(1_100);
  output("kept");
  await clock.advance(1_100);
  assertEquals(numbered(keptOf(queue, 1)), [[1, "kept"]]);
  assertMatch(logged(), /Cannot write the output of 1 run: no such method/);
});

Deno.test("close() writes what is left at once, and takes nothing more", async () => {
  const { clock, queue, logs, outputOf } = setUp();
  const output = outputOf(1);
  output("first");
  await clock.advance(100);
  output("last");
  await logs.close({ isHurried: false });
  output("too late");
  await clock.advance(5_000);
  assertEquals(numbered(keptOf(queue, 1)), [[0, "first"], [1, "last"]]);
  assertEquals([queue.logs.length, clock.sleepers], [2, 0]);
});

for (const [isHurried, ms] of [[false, 5_000], [true, 500]] as const) {
  Deno.test(`close() gives up after ${ms} ms where the store hangs${isHurried ? " and the end is hurried" : ""}`, async () => {
    const { clock, queue, logs, outputOf } = setUp();
    queue.hangs("writeLogs");
    outputOf(1)("a");
    await clock.advance(100);
    let isClosed = false;
    const closing = logs.close({ isHurried }).then(() => isClosed = true);
    await clock.advance(ms - 1);
    assertEquals(isClosed, false);
    await clock.advance(1);
    assertEquals(isClosed, true);
    await closing;
    assertEquals([queue.logs.length, clock.sleepers], [0, 0]);
  });
}

Deno.test("a runner writes what its runs print, beside what it shows, and the rest when it ends", async () => {
  const { queue, runner, logged } = setUpRunner({
    tasks: 1,
    settings: { runLogLimit: 1_000 },
    process: (_task, { output }) => {
      output("Reading", "tool");
      output("boom", "stderr");
      return Promise.resolve({ kind: "completed" });
    },
  });
  assertEquals(
    await processRunningTask(runner, await claimOne(runner)),
    "completed",
  );
  await runner[Symbol.asyncDispose]();
  const [logs, ...others] = queue.logs;
  assertEquals(others, []);
  assertEquals(logs?.pieces.map(({ lease, text }) => [lease.taskId, text]), [
    ["task-1", '[0,"tool","Reading"]\n[0,"stderr","boom"]'],
  ]);
  assertMatch(logged().join("\n"), /Task task-1: boom/);
});
