import { assert, assertEquals } from "@std/assert";
import type { Lease } from "../../../lib/task/task.ts";
import { timedLine, untimedLine } from "../../../lib/task/run_log.ts";
import { complete, retryLater } from "../../../lib/task/transitions.ts";
import { NO_ID, TestService } from "../service.ts";
import { StreamClient } from "../stream_client.ts";

/** Lines that begin with that number, as a runner writes them. */
async function write(
  { store }: TestService,
  lease: Lease,
  { firstLine = 0, texts }: {
    readonly firstLine?: number;
    readonly texts: readonly string[];
  },
): Promise<void> {
  const text = texts.map((it) => timedLine(untimedLine("text", it), 0))
    .join("\n");
  const lineCount = texts.length;
  const piece = { lease, firstLine, lineCount, agoMs: 0, text };
  await store.queue.writeLogs({ pieces: [piece], cuts: [] });
}

interface Page {
  readonly attempt: number;
  readonly entries: readonly { readonly text: string }[];
}

const textsOf = ({ entries }: Page) => entries.map(({ text }) => text);

async function start(test: TestService) {
  await test.create();
  const [run] = await test.claim();
  assert(run);
  return { run, path: `/api/v1/tasks/${run.task.id}/logs` };
}

Deno.test("GET /tasks/{id}/logs gives a log in pages", async () => {
  await using test = await TestService.start();
  const { run: { lease }, path } = await start(test);
  const nothing = await test.ok(path);
  assertEquals(nothing, {
    attempt: null,
    attempts: [],
    entries: [],
    next_cursor: null,
    has_more: false,
    over: false,
    ended: false,
  });
  await write(test, lease, { texts: ["one", "two", "three"] });
  await write(test, lease, { firstLine: 13, texts: ["last"] });
  const first = await test.ok(`${path}?limit=2`);
  assertEquals([textsOf(first), first.has_more], [["one", "two"], true]);
  const rest = await test.ok(
    `${path}?after=${encodeURIComponent(first.next_cursor)}`,
  );
  assertEquals(textsOf(rest), ["three", "10 lines left out", "last"]);
  assertEquals([rest.attempt, rest.attempts, rest.has_more], [1, [1], false]);
  assertEquals(rest.entries[1].kind, "omitted");
});

Deno.test("the logs of no task, and places that are none, are refused", async () => {
  await using test = await TestService.start();
  const { path, run } = await start(test);
  await write(test, run.lease, { texts: ["one"] });
  for (const end of ["", "/stream"]) {
    const missing = await test.get(`/api/v1/tasks/${NO_ID}/logs${end}`);
    assertEquals([missing.status, missing.body.reason], [404, "missing"]);
    for (const query of ["after=x", "attempt=0", "attempt=x"]) {
      const { status, body } = await test.get(`${path}${end}?${query}`);
      const [name] = query.split("=");
      assertEquals([status, body.errors[0].path], [400, `query.${name}`]);
    }
  }
  assertEquals((await test.get(`${path}?limit=0`)).status, 400);
});

/** The texts of the next page of a stream, or the name of another event. */
async function nextOf(client: StreamClient): Promise<string[] | string> {
  for (;;) {
    const message = await client.next();
    if (!message || message.comment) continue;
    if (message.event !== "page") return message.event ?? "retry";
    return textsOf(message.data);
  }
}

Deno.test("GET /tasks/{id}/logs/stream gives what is there and what comes, across attempts, until the task has ended", async () => {
  await using test = await TestService.start();
  const { run, path } = await start(test);
  await write(test, run.lease, { texts: ["one"] });
  await using client = new StreamClient(
    await fetch(`${test.url}${path}/stream`),
  );
  const { headers } = client.response;
  assertEquals(headers.get("Content-Type"), "text/event-stream");
  assertEquals(await nextOf(client), "retry");
  assertEquals(await nextOf(client), ["one"]);
  await write(test, run.lease, { firstLine: 1, texts: ["two"] });
  assertEquals(await nextOf(client), ["two"]);
  await test.store.queue.record([retryLater(run, { error: "", delayMs: 0 })]);
  const [again] = await test.claim();
  assert(again);
  await write(test, again.lease, { texts: ["again"] });
  assertEquals(await nextOf(client), ["again"]);
  await test.store.queue.record([complete(again)]);
  await write(test, again.lease, { firstLine: 1, texts: ["late"] });
  assertEquals(await nextOf(client), ["late"]);
  assertEquals(await nextOf(client), "end");
  assertEquals(await client.next(), undefined);
});

Deno.test("GET /tasks/{id}/logs/stream resumes after the last page that a browser had", async () => {
  await using test = await TestService.start();
  const { run, path } = await start(test);
  await write(test, run.lease, { texts: ["one"] });
  const { next_cursor } = await test.ok(path);
  await write(test, run.lease, { firstLine: 1, texts: ["two"] });
  await using client = new StreamClient(
    await fetch(`${test.url}${path}/stream?attempt=1`, {
      headers: { "Last-Event-ID": next_cursor },
    }),
  );
  assertEquals(await nextOf(client), "retry");
  assertEquals(await nextOf(client), ["two"]);
});

Deno.test("streams of logs are bounded in number, and a closed one makes room", async () => {
  await using test = await TestService.start();
  const { path } = await start(test);
  await using clients = new AsyncDisposableStack();
  const open = async () =>
    clients.use(new StreamClient(await fetch(`${test.url}${path}/stream`)));
  const first = await open();
  for (let n = 1; n < 32; n++) await open();
  assertEquals((await test.get(`${path}/stream`)).status, 503);
  await first[Symbol.asyncDispose]();
  for (;;) {
    const { status, body } = await fetch(`${test.url}${path}/stream`);
    await body?.cancel();
    if (status === 200) break;
    assertEquals(status, 503);
  }
});
