/**
 * Traces and texts: other programs write into them too, and nothing may be lost.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parseTrace, UNREADABLE_KEY } from "../../../lib/task/trace.ts";
import { complete, release, traceTime } from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  createMany,
  createOne,
  idsOf,
  nth,
  record,
  startOne,
  taskOf,
  type Test,
  traceOf,
} from "./subject.ts";

export function testTraces(test: Test): void {
  testTexts(test);
  testUnreadable(test);
  testMerge(test);
}

function testTexts(test: Test): void {
  test("a run keeps unicode, quotes, line ends and NUL bytes", async ({ store, kept }) => {
    const text = "é 漢字 🦆 \u202E \"'\\ $1 ? ;--\r\n\t\0after NUL \u{10FFFF}";
    const { task } = await startOne(store, {
      instruction: text,
      provider: "漢🦆",
      trace: { [text]: text },
    });
    assertEquals([task.instruction, task.provider], [kept(text), "漢🦆"]);
    assertEquals(parseTrace(task.traceText)?.[text], text);
  });

  test("a run keeps an instruction of 10 MB", async ({ store }) => {
    const instruction = "0123456789abcdé".repeat(650_000);
    const run = await startOne(store, { instruction });
    assert(run.task.instruction === instruction, "changed by the claim");
    await record(store, complete(run));
    const task = await taskOf(store, run.task.id);
    assertEquals(task.state, "completed");
    assert(task.instruction === instruction, "changed by the completion");
  });

  test("a run keeps a trace of 10 MB, and adds to it", async ({ store }) => {
    const long = 'é "quoted" \\ '.repeat(700_000);
    const run = await startOne(store, { trace: { long, mine: 1 } });
    await record(store, complete(run, { result: "x".repeat(1_000_000) }));
    const trace = await traceOf(store, run.task.id);
    assert(trace.long === long, "changed by the run");
    assertEquals([trace.mine, trace.result], [1, "success"]);
    assertEquals(String(trace.output).length, 1_000_000);
  });

  test("a run keeps what Python writes, as text", async ({ store, changeTask }) => {
    const id = await createOne(store);
    const members = '"big": 123456789012345678901234567890, ' +
      '"float": 1.0, "e": 1e400, "nan": NaN, "inf": -Infinity, ' +
      '"text": "caf\\u00e9 \\ud83e\\udd86 NaN", "nested": {"id": 9007199254740993}';
    await changeTask(id, { traceText: `{${members}}` });
    await record(store, complete(await claimOne(store)));
    const text = (await taskOf(store, id)).traceText ?? "";
    assertEquals(text.slice(0, members.length + 3), `{${members}, `);
    assertStringIncludes(text, '"result"');
  });
}

const UNREADABLE = {
  "a list": '[1, 2, {"a": 3}]',
  "a text": '"just text"',
  "a number": "42",
  "null": "null",
  "broken JSON": '{"auto_started_at": "2026", ',
  "plain words": "Not JSON at all: 漢字 🦆",
};

function testUnreadable(test: Test): void {
  for (const [what, text] of Object.entries(UNREADABLE)) {
    test(`a run takes and keeps a trace that is ${what}`, async ({ store, changeTask }) => {
      const ids = await createMany(store, 2);
      const id = nth(ids, 0);
      await changeTask(id, { traceText: text });
      const { tasks, at } = await claim(store);
      assertEquals(tasks.map(({ task }) => task.id), ids);
      await record(store, ...tasks.map((it) => complete(it)));
      assertEquals((await taskOf(store, id)).state, "completed");
      const trace = await traceOf(store, id);
      assertEquals(trace[UNREADABLE_KEY], text);
      assertEquals(trace.auto_started_at, traceTime(at));
      assertEquals(trace.result, "success");
    });
  }

  for (const text of ["", "  \n", null]) {
    test(`a run takes the trace ${JSON.stringify(text)} for none`, async ({ store, changeTask }) => {
      const id = await createOne(store);
      await changeTask(id, { traceText: text });
      const { tasks, at: startedAt } = await claim(store);
      const { at } = await record(store, complete(nth(tasks, 0)));
      const { traceText } = await taskOf(store, id);
      assertEquals(JSON.parse(traceText ?? ""), {
        auto_started_at: traceTime(startedAt),
        auto_started_by: "runner_loop",
        progress: "Task started",
        completed_at: traceTime(at),
        completed_by: "runner_loop",
        result: "success",
      });
    });
  }

  test("cancel() keeps a trace that can't be read", async ({ store, changeTask }) => {
    const id = await createOne(store);
    await changeTask(id, { traceText: "[1, 2]" });
    assertEquals(await store.admin.cancel([id]), ["cancelled"]);
    assertEquals((await traceOf(store, id))[UNREADABLE_KEY], "[1, 2]");
  });
}

function testMerge(test: Test): void {
  test("record() merges into a trace that somebody else changed", async ({ store, changeTask }) => {
    const ids = await createMany(store, 2, { trace: { mine: 1 } });
    const [id = "", other = ""] = ids;
    const { tasks } = await claim(store);
    await changeTask(id, {
      traceText: '{"theirs": 12345678901234567890, "mine": 2}',
    });
    const { results, at } = await record(
      store,
      ...tasks.map((it) => complete(it)),
    );
    assertEquals(results, ["written", "written"]);
    assertEquals(await traceOf(store, id), {
      theirs: 12345678901234567890n,
      mine: 2,
      completed_at: traceTime(at),
      completed_by: "runner_loop",
      result: "success",
    });
    assertEquals((await traceOf(store, other)).mine, 1);
  });

  test("record() keeps a changed trace when it gives a task back", async ({ store, changeTask }) => {
    const run = await startOne(store);
    const { id } = run.task;
    await changeTask(id, { traceText: '{"theirs": 1}' });
    const { results } = await record(store, release(run, "stopped"));
    assertEquals(results, ["written"]);
    assertEquals((await taskOf(store, id)).traceText, '{"theirs": 1}');
  });

  test("record() takes traces that were set to null and to nothing meanwhile", async ({ store, changeTask }) => {
    const ids = await createMany(store, 3);
    const { tasks } = await claim(store);
    for (const [index, traceText] of [null, "null", ""].entries()) {
      await changeTask(nth(ids, index), { traceText });
    }
    const { results } = await record(
      store,
      ...tasks.map((it) => complete(it)),
    );
    assertEquals(results, ["written", "written", "written"]);
    const traces = await Promise.all(ids.map((id) => traceOf(store, id)));
    assertEquals(
      traces.map((trace) => trace[UNREADABLE_KEY]),
      [undefined, "null", undefined],
    );
  });

  test("claim() begins with the trace that is stored then", async ({ store, changeTask }) => {
    const id = await createOne(store, { trace: { mine: 1 } });
    await changeTask(id, { traceText: '{"theirs": 1}' });
    const claimed = await claim(store);
    assertEquals(idsOf(claimed), [id]);
    assertEquals((await traceOf(store, id)).theirs, 1);
    assertEquals((await traceOf(store, id)).mine, undefined);
  });
}
