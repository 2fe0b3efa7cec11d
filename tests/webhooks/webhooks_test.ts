import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Webhook } from "standardwebhooks";
import type { Clock } from "../../lib/base/clock.ts";
import { systemClock } from "../../lib/base/clock.ts";
import { parseConfigFile } from "../../lib/config/file.ts";
import { newTasks, type Store } from "../../lib/store/contract.ts";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import { UsageError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import type { Transition } from "../../lib/task/task.ts";
import {
  askInput,
  complete,
  fail,
  type Held,
  retryLater,
} from "../../lib/task/transitions.ts";
import type { WebhookSettings } from "../../lib/webhooks/config.ts";
import {
  createReceivers,
  startWebhooks,
  subscriptionOf,
} from "../../lib/webhooks/webhooks.ts";
import { AT_ONCE, Folder } from "../cli/cli.ts";
import { LIMIT_MS, until, within } from "../support/until.ts";
import { Receiver, SECRET } from "./webhook_receiver.ts";

/** A hundred times as fast as it is. */
class FastClock implements Clock {
  readonly #startedAt = performance.now();
  #startMs = Date.now();

  now(): Date {
    return new Date(this.#startMs + this.monotonic());
  }

  monotonic(): number {
    return (performance.now() - this.#startedAt) * 100;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms / 100, signal);
  }

  /** Sets the wall clock forward. */
  jump(ms: number): void {
    this.#startMs += ms;
  }
}

const clock = new FastClock();

/** A minute of the {@linkcode FastClock}'s, for what must happen. */
const FAST_LIMIT_MS = 100 * LIMIT_MS;

function openStore(path = ":memory:"): Promise<Store> {
  return openDuckDbStore(path, { clock });
}

function settings(
  url: string,
  rest: Partial<WebhookSettings> = {},
): WebhookSettings {
  return {
    url,
    secretEnv: "SECRET",
    on: ["completed", "failed", "retry_scheduled", "cancelled"],
    timeoutMs: FAST_LIMIT_MS,
    ...rest,
  };
}

/** Webhooks of a store, with a log that can be read. */
async function start(
  store: Store,
  webhooks: readonly WebhookSettings[],
) {
  const lines: string[] = [];
  const log = createLog({ level: "DEBUG", write: (text) => lines.push(text) });
  const receivers = await createReceivers(webhooks, () => SECRET);
  const started = await startWebhooks({ receivers, store, clock, log });
  return {
    finish: (withinMs = FAST_LIMIT_MS) => started.finish({ withinMs }),
    said: () => {
      log.flush();
      return lines.join("");
    },
    async [Symbol.asyncDispose]() {
      await started[Symbol.asyncDispose]();
      log.flush();
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
  };
}

/** Creates a task, and ends its runs as `ends` say. Returns the task's id. */
async function runTask(
  { admin, queue }: Store,
  ends: readonly ((held: Held) => Transition)[] = [(held) => complete(held)],
  { provider = "simulate", batch = null as string | null } = {},
): Promise<string> {
  const ids = await admin.create(newTasks([{
    userId: "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
    provider,
    batch,
    instruction: "do it",
  }]));
  const [[id = ""] = []] = ids.sets();
  for (const end of ends) {
    const { tasks } = await queue.claim({
      owner: "test",
      limit: 10,
      leaseMs: FAST_LIMIT_MS,
      maxAttempts: 3,
    });
    await queue.record(tasks.map(end));
  }
  return id;
}

const failed = (held: Held) => fail(held, "it broke");
const retried = (held: Held) =>
  retryLater(held, { error: "not yet", delayMs: 0 });

async function statusOf(store: Store, webhook: WebhookSettings) {
  const [status] = await store.outbox.status([await subscriptionOf(webhook)]);
  return status;
}

Deno.test("startWebhooks() delivers a task's events in their order, signed, after errors too", async () => {
  await using store = await openStore();
  await using receiver = new Receiver((count) => count <= 2 ? 500 : 204);
  await using webhooks = await start(store, [settings(receiver.url)]);
  const id = await runTask(store, [retried, (held) => complete(held)]);
  await receiver.has(4);
  await webhooks.finish();
  assertEquals(receiver.types, [
    "task.retry_scheduled",
    "task.retry_scheduled",
    "task.retry_scheduled",
    "task.completed",
  ]);
  const [first, second, third, last] = receiver.received;
  assertEquals([second, third], [first, first]);
  assert(last && first && last.id !== first.id);
  const { type, timestamp, data } = JSON.parse(first.body);
  assertMatch(timestamp, /^\d{4}-.*Z$/);
  assertEquals(
    { type, ...data, event_id: 0, task: { ...data.task, created_at: "" } },
    {
      type: "task.retry_scheduled",
      event_id: 0,
      task: {
        id,
        state: "running",
        attempt: 1,
        user_id: "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
        provider: "simulate",
        target_type: null,
        target_ref: null,
        instruction: "do it",
        simulated: false,
        created_at: "",
      },
      runner: "test",
      detail: "not yet",
    },
  );
  assertMatch(webhooks.said(), /WARNING - Webhook 127.0.0.1:\d+ .*HTTP 500/);
  assertMatch(webhooks.said(), /INFO - Webhook 127.0.0.1:\d+ .* again\n/);
  assert(!webhooks.said().includes("s3cret"), "the URL's token is in the log");
  const status = await statusOf(store, settings(receiver.url));
  assertEquals([status?.pending, status?.lastError], [0, "HTTP 500"]);
});

Deno.test("startWebhooks() says what a task asks to have approved", async () => {
  await using store = await openStore();
  await using receiver = new Receiver();
  const on = ["needs_input"] as const;
  await using webhooks = await start(store, [settings(receiver.url, { on })]);
  const approval = { of: "start" } as const;
  await runTask(store, [(held) => askInput(held, "Begin?", { approval })]);
  await receiver.has(1);
  await webhooks.finish();
  const { type, data } = JSON.parse(receiver.received[0]?.body ?? "");
  assertEquals([type, data.detail, data.task.approval], [
    "task.needs_input",
    "Begin?",
    "start",
  ]);
});

Deno.test("startWebhooks() names the batch that has ended, and its counts", async () => {
  await using store = await openStore();
  await using receiver = new Receiver();
  await using webhooks = await start(store, [
    settings(receiver.url, { on: ["batch_ended"] }),
  ]);
  const id = await runTask(store, [failed], { batch: "every night: 1 a" });
  await receiver.has(1);
  await webhooks.finish();
  const { type, data } = JSON.parse(receiver.received[0]?.body ?? "");
  assertEquals([type, data.batch, data.task.id, data.task.state], [
    "batch.ended",
    { name: "every night: 1 a", states: { failed: 1 } },
    id,
    undefined,
  ]);
});

Deno.test("startWebhooks() delivers many tasks once each, be there two that do it", async () => {
  await using store = await openStore();
  await using receiver = new Receiver();
  await using one = await start(store, [settings(receiver.url)]);
  await using two = await start(store, [settings(receiver.url)]);
  const ids: string[] = [];
  for (let i = 0; i < 40; i++) ids.push(await runTask(store));
  await receiver.has(40);
  await Promise.all([one.finish(), two.finish()]);
  assertEquals(
    receiver.received.map(({ taskId }) => taskId).sort(),
    ids.sort(),
  );
});

Deno.test("startWebhooks() gives a new receiver what happens from then on, and an old one the rest", async () => {
  await using store = await openStore();
  await using receiver = new Receiver();
  await runTask(store);
  await using _first = await start(store, [settings(receiver.url)]);
  await _first.finish();
  assertEquals(receiver.types, []);
  const meanwhile = await runTask(store);
  await using second = await start(store, [settings(receiver.url)]);
  await second.finish();
  assertEquals(receiver.received.map(({ taskId }) => taskId), [meanwhile]);
});

Deno.test("startWebhooks() sends only the events and providers that were asked for", async () => {
  await using store = await openStore();
  await using receiver = new Receiver();
  const wanted = settings(receiver.url, { on: ["failed"], providers: ["b"] });
  await using webhooks = await start(store, [wanted]);
  await runTask(store, undefined, { provider: "b" });
  await runTask(store, [failed], { provider: "a" });
  const id = await runTask(store, [failed], { provider: "b" });
  await webhooks.finish();
  assertEquals(receiver.received.map(({ taskId }) => taskId), [id]);
});

Deno.test("startWebhooks() keeps what a dead receiver missed for the next start", async () => {
  await using store = await openStore();
  let port = 0;
  {
    await using closed = new Receiver();
    port = closed.port;
  }
  const url = `http://127.0.0.1:${port}/hook?token=s3cret`;
  const ids: string[] = [];
  {
    await using webhooks = await start(store, [settings(url)]);
    for (let i = 0; i < 20; i++) ids.push(await runTask(store));
    const isTried = () =>
      /did not get "completed" of task/.test(webhooks.said());
    await until("one is tried", isTried);
    await webhooks.finish(100);
    assert(!webhooks.said().includes("s3cret"), webhooks.said());
  }
  assertEquals((await statusOf(store, settings(url)))?.pending, 20);
  await using receiver = new Receiver(undefined, port);
  clock.jump(86_400_000);
  await using webhooks = await start(store, [settings(url)]);
  await receiver.has(20);
  await webhooks.finish();
  assertEquals(
    new Set(receiver.received.map(({ taskId }) => taskId)),
    new Set(ids),
  );
});

Deno.test("startWebhooks() lets a receiver that hangs hold up nobody", async () => {
  await using store = await openStore();
  await using hanging = new Receiver(() => "hang");
  await using other = new Receiver();
  await using webhooks = await start(store, [
    settings(hanging.url),
    settings(other.url),
  ]);
  for (let i = 0; i < 40; i++) await runTask(store);
  await other.has(40);
  await hanging.has(8);
  await within("webhooks end", webhooks.finish(10_000));
  assertEquals(hanging.received.length, 8);
  assertEquals((await statusOf(store, settings(hanging.url)))?.pending, 40);
  // What was given back is leased by nobody: it can be had at once.
  const { deliveries } = await store.outbox.exchange(
    await subscriptionOf(settings(hanging.url)),
    {
      results: [],
      limit: 100,
      leaseMs: 1,
      patience: { ms: 1, tries: 1 },
    },
  );
  assertEquals(deliveries.length, 40);
});

Deno.test("startWebhooks() stops for a receiver that is gone, until the next start", async () => {
  await using store = await openStore();
  await using receiver = new Receiver((count) => count === 1 ? 410 : 200);
  const webhook = settings(receiver.url);
  {
    await using webhooks = await start(store, [webhook]);
    await runTask(store);
    await receiver.has(1);
    await webhooks.finish();
    await runTask(store);
    assertMatch(webhooks.said(), /ERROR - .* is gone \(HTTP 410\)/);
  }
  const status = await statusOf(store, webhook);
  assertEquals([status?.pending, status?.givenUp], [0, 1]);
  assert(status?.goneAt);
  await using again = await start(store, [webhook]);
  const id = await runTask(store);
  await again.finish();
  assertEquals(receiver.received.slice(1).map(({ taskId }) => taskId), [id]);
});

const SECRETS: [name: string, text: string | undefined, message: RegExp][] = [
  ["none", undefined, /HOOK is not set/],
  ["an empty one", " ", /HOOK is not set/],
  ["a short one", "whsec_c2hvcnQ=", /HOOK holds no secret/],
  ["one without prefix", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", /no secret/],
  ["one that is no base64", `whsec_${"?".repeat(40)}`, /no secret/],
  ["one wrong of two", `${SECRET} x`, /no secret/],
];

for (const [name, text, message] of SECRETS) {
  Deno.test(`createReceivers() refuses ${name} and does not print it`, async () => {
    const webhook = settings("http://a/", { secretEnv: "HOOK" });
    const error = await assertRejects(
      () => createReceivers([webhook], () => text),
      UsageError,
    );
    assertMatch(error.message, message);
    assert(!text?.trim() || !error.message.includes(text.trim()));
  });
}

// The program

const ENV = { ...AT_ONCE, HOOK: SECRET, LOG_FORMAT: "json" };

const providers = { "*": { processor: "simulate" } };

function configure(folder: Folder, urls: readonly string[]): void {
  const webhooks = urls.map((url) => ({
    url,
    secretEnv: "HOOK",
    on: ["completed"],
    timeout: 2,
  }));
  folder.write("agent-runner.json", JSON.stringify({ providers, webhooks }));
}

Deno.test("run --once delivers at its end, and webhooks list shows it", async () => {
  using folder = new Folder();
  await using receiver = new Receiver();
  await using broken = new Receiver(() => 500);
  configure(folder, [receiver.url, broken.url]);
  const [id] = await folder.create([{ instruction: "a" }], ENV);
  await folder.ok(["run", "--once"], { env: ENV });
  const [message] = receiver.received;
  assertEquals(message?.taskId, id);
  const { data } = new Webhook(SECRET)
    .verify(message?.body ?? "", receiver.headers) as {
      data: { task: unknown };
    };
  assert(data.task);
  const text = await folder.ok(["webhooks", "list", "--json"], { env: ENV });
  const [good, bad] = JSON.parse(text);
  assertEquals([good.pending, good.last_error], [0, null]);
  assertEquals([bad.pending, bad.last_error], [1, "HTTP 500"]);
  const shown = await folder.ok(["webhooks", "list"], { env: ENV });
  assertMatch(shown, /hook\?…\n {2}on +completed\n {2}pending +0\n/);
  assert(!`${text}${shown}`.includes("s3cret"));
});

Deno.test("run delivers again what was sent when it was killed", async () => {
  using folder = new Folder();
  await using receiver = new Receiver((count) => count === 1 ? "hang" : 200);
  configure(folder, [receiver.url]);
  await using process = folder.start(["run", "--loop"], { env: ENV });
  await process.line(/"event":"running"/);
  const [id] = await folder.create([{ instruction: "a" }], ENV);
  await receiver.has(1);
  process.signal("SIGKILL");
  await process.ended();
  await using store = await openStore(`${folder.path}/handsfree.duckdb`);
  const webhook = settings(receiver.url, { on: ["completed"] });
  clock.jump(600_000);
  await using webhooks = await start(store, [webhook]);
  await receiver.has(2);
  await webhooks.finish();
  assertEquals(receiver.received[1], receiver.received[0]);
  assertEquals(receiver.received[1]?.taskId, id);
});

Deno.test("run --loop ends soon though a receiver hangs, and notices who cancels", async () => {
  using folder = new Folder();
  await using receiver = new Receiver(() => "hang");
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers,
      webhooks: [{ url: receiver.url, secretEnv: "HOOK", on: ["cancelled"] }],
    }),
  );
  await using process = folder.start(["run", "--loop"], { env: ENV });
  await process.line(/"event":"running"/);
  const [id = ""] = await folder.create([
    { instruction: "a", run_at: "2999-01-01T00:00:00Z" },
  ], ENV);
  await folder.ok(["cancel", id], { env: ENV });
  await receiver.has(1);
  assertEquals(receiver.types, ["task.cancelled"]);
  process.signal("SIGTERM");
  const { code } = await process.ended();
  assertEquals(code, 0);
});

Deno.test("webhooks test says how each receiver does", async () => {
  using folder = new Folder();
  await using receiver = new Receiver();
  await using broken = new Receiver(() => 500);
  configure(folder, [receiver.url, broken.url]);
  const all = await folder.run(["webhooks", "test"], { env: ENV });
  assertEquals(all.code, 1);
  assertMatch(
    all.stdout,
    /^ok {6}http.*\?… {2}HTTP 200 in \d+ ms\nFAILED {2}http.* {2}HTTP 500 \(\d+ ms\)\n$/,
  );
  const one = ["webhooks", "test", receiver.url];
  assertMatch(await folder.ok(one, { env: ENV }), /^ok/);
  assertEquals(receiver.types, ["webhook.test", "webhook.test"]);
  const other = await folder.fails(2, ["webhooks", "test", "http://x/"], {
    env: ENV,
  });
  assertMatch(other, /its URL is not in the configuration file/);
  const unset = await folder.fails(2, ["run"], { env: AT_ONCE });
  assertMatch(unset, /HOOK is not set/);
});

Deno.test("webhooks list and test say where webhooks are configured", async () => {
  using folder = new Folder();
  for (const word of ["list", "test"]) {
    const text = await folder.fails(2, ["webhooks", word]);
    assertMatch(text, /there is no configuration file\. Add "webhooks"/);
  }
  assertEquals(folder.names(), []);
});

const MISTAKES: [rest: Record<string, unknown>, message: RegExp][] = [
  [
    { url: "https://me:s3cret@example.com/" },
    /webhooks\[0\]\.url is a text: expected a URL like https:\/\/example\.com/,
  ],
  [{ url: "https://example.com:s3cret/" }, /url is a text: expected a URL\./],
  [
    { secretEnv: "whsec_s3cret+" },
    /secretEnv is a text: expected the name of an environment variable, not/,
  ],
  [
    { on: ["complete"] },
    /on\[0\] is "complete": .* Did you mean "completed"\?/,
  ],
  [{ on: [] }, /on is an empty list: expected a list of 1 or more\./],
  [{ timeout: 900 }, /timeout is 900: expected a number of seconds, 0\.1 to/],
];

for (const [rest, message] of MISTAKES) {
  Deno.test(`parseConfigFile() refuses a webhook with ${JSON.stringify(rest)}`, () => {
    const hook = { url: "https://a/", secretEnv: "HOOK", on: ["failed"] };
    const { mistakes } = parseConfigFile(
      "a.json",
      JSON.stringify({ webhooks: [{ ...hook, ...rest }] }),
    );
    assertEquals(mistakes.length, 1, mistakes.join("\n"));
    assertMatch(mistakes[0] ?? "", message);
    assert(!mistakes.join().includes("s3cret"));
  });
}

Deno.test("parseConfigFile() wants each URL of a webhook once", () => {
  const hook = { url: "https://a/", secretEnv: "HOOK", on: ["failed"] };
  const { mistakes } = parseConfigFile(
    "a.json",
    JSON.stringify({ webhooks: [hook, hook] }),
  );
  assertMatch(mistakes.join(), /webhooks\[1\]\.url .*expected each URL once\./);
});

Deno.test("config check shows webhooks, and says where a secret is missing", async () => {
  using folder = new Folder();
  configure(folder, ["https://example.com/hook?token=s3cret"]);
  const good = await folder.ok(["config", "check"], { env: ENV });
  assertMatch(
    good,
    /Webhook https:\/\/example\.com\/hook\?…\n {2}on {2}completed\n/,
  );
  const bad = await folder.run(["config", "check"], { env: AT_ONCE });
  assertEquals(bad.code, 2);
  assertMatch(bad.stdout, /WRONG {2}Cannot sign webhooks: HOOK is not set\./);
  assertMatch(bad.stdout, /1 thing is wrong\./);
  assert(!`${good}${bad.stdout}`.includes("s3cret"));
});

Deno.test("run writes JSON lines of webhooks with the documented fields", async () => {
  using folder = new Folder();
  await using receiver = new Receiver((count) => count === 1 ? 500 : 200);
  configure(folder, [receiver.url]);
  await using process = folder.start(["run", "--loop"], {
    env: { ...ENV, LOG_LEVEL: "DEBUG" },
  });
  await process.line(/"event":"running"/);
  const [id] = await folder.create([{ instruction: "a" }], ENV);
  await process.line(/"event":"webhook_delivered"/);
  process.signal("SIGTERM");
  const { stderr } = await process.ended();
  const lines = stderr.trimEnd().split("\n").map((line) => JSON.parse(line))
    .filter(({ event }) => event?.startsWith("webhook_"));
  const webhook = `127.0.0.1:${receiver.port} (webhooks[0])`;
  const delivery = { webhook, task: id, provider: "simulate", attempt: 1 };
  assertEquals(
    lines.map((
      { time: _, logger: _l, message: _m, runMs, eventId, ...rest },
    ) => ({
      ...rest,
      ...runMs !== undefined && { runMs: typeof runMs },
      ...eventId && { eventId: typeof eventId },
    })),
    [
      {
        level: "WARNING",
        event: "webhook_failed",
        ...delivery,
        eventId: "number",
        tries: 1,
        status: 500,
        runMs: "number",
        error: "HTTP 500",
      },
      { level: "INFO", event: "webhook_recovered", webhook },
      {
        level: "DEBUG",
        event: "webhook_delivered",
        ...delivery,
        eventId: "number",
        tries: 2,
        status: 200,
        runMs: "number",
      },
    ],
  );
});
