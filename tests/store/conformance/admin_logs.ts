/**
 * The logs of runs: written by runners, read by people.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import type { LogPage, LogPiece, Store } from "../../../lib/store/contract.ts";
import {
  type OutputKind,
  timedLine,
  untimedLine,
} from "../../../lib/task/run_log.ts";
import type { Lease } from "../../../lib/task/task.ts";
import {
  complete,
  release,
  retryLater,
} from "../../../lib/task/transitions.ts";
import {
  assertNow,
  claimOne,
  createOne,
  HOUR,
  later,
  nth,
  record,
  startOne,
  type Test,
} from "./subject.ts";

/** A piece whose lines are a second apart, the last of them just now. */
function piece(
  lease: Lease,
  texts: readonly string[],
  { firstLine = 0, kind = "text" }: {
    readonly firstLine?: number;
    readonly kind?: OutputKind;
  } = {},
): LogPiece {
  return {
    lease,
    firstLine,
    lineCount: texts.length,
    agoMs: (texts.length - 1) * 1_000,
    text: texts.map((text, index) =>
      timedLine(untimedLine(kind, text), index * 1_000)
    )
      .join("\n"),
  };
}

function write({ queue }: Store, ...pieces: LogPiece[]): Promise<void> {
  return queue.writeLogs({ pieces, cuts: [] });
}

const textsOf = ({ entries }: LogPage) => entries.map(({ text }) => text);

/** Reads from a place on, so many lines at a time, until there is no more. */
async function readAll(
  { admin }: Store,
  taskId: string,
  { attempt, limit = 1_000 }: {
    readonly attempt?: number;
    readonly limit?: number;
  } = {},
): Promise<string[]> {
  const texts: string[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await admin.logs({ taskId, attempt, after, limit });
    texts.push(...textsOf(page));
    if (!page.hasMore) return texts;
    after = page.next;
  }
}

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `line ${from + index}`);

export function testLogs(test: Test): void {
  test("logs() gives the lines that writeLogs() kept, with kinds and times", async (subject) => {
    const { store } = subject;
    const { task, lease } = await startOne(store);
    const odd = 'é 漢字 🦆 "q" \\ \u0000 \u001b[31m \ud800';
    await assertNow(subject, async () => {
      await write(
        store,
        piece(lease, ["Edit src/main.ts"], { kind: "tool" }),
        piece(lease, [odd, ""], { firstLine: 1, kind: "stderr" }),
      );
      const page = await store.admin.logs({ taskId: task.id, limit: 10 });
      assertEquals(page.entries.map(({ kind, text }) => [kind, text]), [
        ["tool", "Edit src/main.ts"],
        ["stderr", odd.toWellFormed()],
        ["stderr", ""],
      ]);
      const { attempt, attempts, hasMore, isOver, hasEnded } = page;
      assertEquals({ attempt, attempts, hasMore, isOver, hasEnded }, {
        attempt: 1,
        attempts: [1],
        hasMore: false,
        isOver: false,
        hasEnded: false,
      });
      const [first, second, third] = page.entries.map(({ at }) => at);
      assert(second);
      return [first, later(second, 1_000), third];
    });
  });

  test("logs() says that a task without output, or without a run, has none", async ({ store }) => {
    const id = await createOne(store);
    const { admin } = store;
    const empty = {
      attempt: null,
      attempts: [],
      entries: [],
      next: undefined,
      hasMore: false,
    };
    const options = { taskId: id, limit: 10 };
    assertEquals(await admin.logs(options), {
      ...empty,
      isOver: false,
      hasEnded: false,
    });
    assertEquals(await admin.logs({ ...options, attempt: 7 }), {
      ...empty,
      attempt: 7,
      isOver: false,
      hasEnded: false,
    });
    const taskId = crypto.randomUUID();
    assertEquals(await admin.logs({ taskId, limit: 10 }), {
      ...empty,
      isOver: true,
      hasEnded: true,
    });
  });

  test("logs() pages within pieces and across them, and goes on with what is new", async ({ store }) => {
    const { task: { id: taskId }, lease } = await startOne(store);
    await write(store, piece(lease, lines(0, 5)));
    await write(
      store,
      piece(lease, lines(5, 6), { firstLine: 5 }),
      piece(lease, lines(6, 9), { firstLine: 6 }),
    );
    for (const limit of [1, 2, 4, 5, 9, 100]) {
      assertEquals(await readAll(store, taskId, { limit }), lines(0, 9));
    }
    const { next } = await store.admin.logs({ taskId, limit: 100 });
    const empty = await store.admin.logs({ taskId, after: next, limit: 100 });
    assertEquals([empty.entries, empty.next], [[], next]);
    await write(store, piece(lease, lines(9, 11), { firstLine: 9 }));
    const page = await store.admin.logs({ taskId, after: next, limit: 100 });
    assertEquals(textsOf(page), lines(9, 11));
  });

  test("logs() gives large pieces a few at a time", async ({ store }) => {
    const { task: { id: taskId }, lease } = await startOne(store);
    const large = "x".repeat(600_000);
    for (let n = 0; n < 4; n++) {
      await write(store, piece(lease, [large], { firstLine: n }));
    }
    const page = await store.admin.logs({ taskId, limit: 100 });
    assertEquals([page.entries.length, page.hasMore], [2, true]);
    assertEquals((await readAll(store, taskId)).length, 4);
  });

  test("writeLogs() deletes what it is to cut, and logs() says how many lines are left out", async ({ store }) => {
    const { task: { id: taskId }, lease } = await startOne(store);
    const other = await startOne(store);
    await write(
      store,
      piece(lease, lines(0, 3)),
      piece(other.lease, ["other"]),
    );
    await write(store, piece(lease, lines(3, 5), { firstLine: 3 }));
    const early = await store.admin.logs({ taskId, limit: 3 });
    await write(store, piece(lease, lines(5, 8), { firstLine: 5 }));
    await store.queue.writeLogs({
      pieces: [piece(lease, lines(1_010, 1_012), { firstLine: 1_010 })],
      cuts: [{ lease, firstLine: 3, endLine: 1_010 }],
    });
    const left = ["1,007 lines left out", ...lines(1_010, 1_012)];
    for (const limit of [1, 3, 100]) {
      assertEquals(await readAll(store, taskId, { limit }), [
        ...lines(0, 3),
        ...left,
      ]);
    }
    const page = await store.admin.logs({
      taskId,
      after: early.next,
      limit: 100,
    });
    assertEquals(textsOf(page), left);
    assertEquals(nth(page.entries, 0).kind, "omitted");
    assertEquals(await readAll(store, other.task.id), ["other"]);
  });

  test("logs() keeps attempts apart, and what a run says after its lease was lost stands in its own", async ({ store }) => {
    const first = await startOne(store);
    const taskId = first.task.id;
    await write(store, piece(first.lease, ["one"]));
    await record(store, retryLater(first, { error: "no", delayMs: 0 }));
    const before = await store.admin.logs({ taskId, limit: 10 });
    const second = await claimOne(store, { taskId });
    await write(store, piece(second.lease, ["two"]));
    await write(store, piece(first.lease, ["late"], { firstLine: 1 }));
    assertEquals(await readAll(store, taskId), ["two"]);
    assertEquals(await readAll(store, taskId, { attempt: 1 }), ["one", "late"]);
    const after = await store.admin.logs({
      taskId,
      after: before.next,
      limit: 10,
    });
    assertEquals(textsOf(after), ["late"]);
    const { attempt, attempts, isOver, hasEnded } = after;
    assertEquals({ attempt, attempts, isOver, hasEnded }, {
      attempt: 1,
      attempts: [1, 2],
      isOver: true,
      hasEnded: false,
    });
    await record(store, complete(second));
    const ended = await store.admin.logs({ taskId, limit: 10 });
    assertEquals([ended.isOver, ended.hasEnded], [true, true]);
  });

  test("logs() goes on with the same attempt where its first run was given back", async ({ store }) => {
    const first = await startOne(store);
    const taskId = first.task.id;
    await write(store, piece(first.lease, ["one", "two"]));
    await record(store, release(first, "stopped"));
    const second = await claimOne(store, { taskId });
    assertEquals(second.lease.attempt, 1);
    await write(store, piece(second.lease, ["again"]));
    await write(store, piece(first.lease, ["late"], { firstLine: 2 }));
    const texts = ["one", "two", "again", "late"];
    assertEquals(await readAll(store, taskId), texts);
    assertEquals(await readAll(store, taskId, { limit: 1 }), texts);
  });

  test("logs() refuses a place that is none", async ({ store }) => {
    const taskId = await createOne(store);
    for (const after of ["1", "1-0-0-x-0", "1-0-0--1e3"]) {
      await assertRejects(
        () => store.admin.logs({ taskId, after, limit: 1 }),
        UsageError,
      );
    }
  });

  test("prune() deletes the logs of the tasks that it deletes", async ({ store, elapse, now }) => {
    const old = await startOne(store);
    const open = await startOne(store, {}, { leaseMs: 9 * HOUR });
    await write(store, piece(old.lease, ["old"]), piece(open.lease, ["open"]));
    await record(store, complete(old));
    await elapse(HOUR);
    await store.admin.prune(await now());
    const left = [old, open].map(({ task }) => readAll(store, task.id));
    assertEquals(await Promise.all(left), [[], ["open"]]);
  });

  test("pruneHistory() deletes the logs of what ended before", async ({ store, elapse }) => {
    const old = await startOne(store);
    const open = await startOne(store, {}, { leaseMs: 9 * HOUR });
    await write(store, piece(old.lease, ["old"]), piece(open.lease, ["open"]));
    await record(store, complete(old));
    await elapse(2 * HOUR);
    const recent = await startOne(store);
    await write(store, piece(recent.lease, ["recent"]));
    await record(store, complete(recent));
    await store.admin.pruneHistory(HOUR);
    const left = [old, open, recent].map(({ task }) => readAll(store, task.id));
    assertEquals(await Promise.all(left), [[], ["open"], ["recent"]]);
  });
}
