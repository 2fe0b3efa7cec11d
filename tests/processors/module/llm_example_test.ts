import { assert, assertEquals, assertMatch } from "@std/assert";
import { moduleConfig } from "../../../lib/processors/module/config.ts";
import { PluginBench } from "./module_fixture.ts";

const EXAMPLES = new URL("../../../examples/", import.meta.url);
const KEY = "LLM_EXAMPLE_TEST_KEY";
const INSTRUCTION = "Say hello";

/** A server that speaks OpenAI's chat protocol, as far as the example does. */
class ModelServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #respond: (request: Request) => Response | Promise<Response>;
  /** The bodies of the requests. */
  // deno-lint-ignore no-explicit-any -- JSON
  readonly bodies: any[] = [];
  readonly headers: Headers[] = [];

  constructor(respond: (request: Request) => Response | Promise<Response>) {
    this.#respond = respond;
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen() {},
    }, async (request) => {
      assertEquals(new URL(request.url).pathname, "/v1/chat/completions");
      this.headers.push(request.headers);
      this.bodies.push(await request.json());
      return await this.#respond(request);
    });
  }

  /** The example's plugin, for this server and with no more than it needs. */
  plugin({ net = true } = {}): Promise<PluginBench> {
    Deno.env.set(KEY, "secret");
    const host = `127.0.0.1:${this.#server.addr.port}`;
    return PluginBench.create(undefined, {
      config: {
        module: new URL("llm/llm.ts", EXAMPLES).pathname,
        options: {
          baseUrl: `http://${host}/v1`,
          model: "small",
          keyVariable: KEY,
        },
        permissions: { net: net && [host], env: [KEY] },
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const TOKENS = { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 };

/** The events of an answer, as OpenAI's server sends them. */
function chunksOf(text: string): object[] {
  const chunk = { object: "chat.completion.chunk", model: "small-2026" };
  const delta = (delta: object, finish_reason: string | null = null) => ({
    ...chunk,
    choices: [{ index: 0, delta, finish_reason }],
  });
  return [
    delta({ role: "assistant", content: "" }),
    ...[...text].map((content) => delta({ content })),
    delta({}, "stop"),
    { ...chunk, choices: [], usage: TOKENS },
  ];
}

/** Sends events one by one, a few milliseconds apart. */
function streamOf(chunks: readonly object[], end = "data: [DONE]\n\n") {
  const lines = chunks.map((it) => `data: ${JSON.stringify(it)}\n\n`);
  const body = ReadableStream.from((async function* () {
    for (const line of [...lines, end]) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      yield line;
    }
  })()).pipeThrough(new TextEncoderStream());
  return new Response(body, {
    headers: { "Content-Type": "text/event-stream" },
  });
}

Deno.test("llm streams an answer with progress and counts tokens", async () => {
  const text = "Hello, world. ".repeat(5);
  await using server = new ModelServer(() => streamOf(chunksOf(text)));
  await using bench = await server.plugin();
  const run = bench.run(INSTRUCTION);
  assertEquals(await run.outcome, {
    kind: "completed",
    message: "70 characters, 14 tokens",
    result: {
      text,
      model: "small-2026",
      finish_reason: "stop",
      tokens: { prompt: 9, completion: 5, total: 14 },
    },
  });
  assertEquals(run.progress.at(-1), ["70 characters so far", undefined]);
  assert(run.progress.length > 1 && run.progress.length < 35, "not coalesced");
  const [{ messages, ...body }] = server.bodies;
  assertEquals(body, {
    model: "small",
    stream: true,
    stream_options: { include_usage: true },
  });
  assertEquals(messages[1], { role: "user", content: INSTRUCTION });
  assertEquals(server.headers[0]!.get("authorization"), "Bearer secret");
  assertEquals(server.headers[0]!.get("idempotency-key"), "task-1:1");
});

Deno.test("llm asks what the model asks, and hands the answer on", async () => {
  await using server: ModelServer = new ModelServer((): Response =>
    streamOf(chunksOf(server.bodies.length > 1 ? "Hi" : "QUESTION: Which one?"))
  );
  await using bench = await server.plugin();
  assertEquals(await bench.run(INSTRUCTION).outcome, {
    kind: "needs_input",
    question: "Which one?",
  });
  const answers = [{ question: "Which one?", answer: "The second" }];
  const { outcome } = bench.run(INSTRUCTION, { answers });
  assertEquals((await outcome).kind, "completed");
  assertEquals(server.bodies[1].messages.slice(1), [
    { role: "user", content: INSTRUCTION },
    { role: "assistant", content: "QUESTION: Which one?" },
    { role: "user", content: "The second" },
  ]);
});

function refusal(status: number, headers: HeadersInit = {}): Response {
  const error = { message: `Refused with ${status}`, type: "test", code: null };
  return Response.json({ error }, { status, headers });
}

const [FIRST] = chunksOf("");

/** What a server answers, and what the runner is told. */
const FAILURES: [
  response: () => Response,
  error: RegExp,
  retryable: boolean,
  retryAfterMs?: number,
][] = [
  [() => refusal(401), /The model's server said: 401 Refused with 401/, false],
  [() => refusal(400), /Refused with 400/, false],
  [() => refusal(404), /Refused with 404/, false],
  [() => refusal(429, { "Retry-After": "7" }), /with 429/, true, 7_000],
  [() => refusal(429), /with 429/, true],
  [
    () => refusal(503, { "Retry-After": "Mon, 19 Jan 2026 18:30:00 GMT" }),
    /Refused with 503/,
    true,
  ],
  [() => refusal(500, { "Retry-After": "soon" }), /with 500/, true],
  [() => streamOf([FIRST!]), /the answer was cut off/i, true],
  [
    () => streamOf([{ error: { message: "Overloaded" } }]),
    /Overloaded/,
    true,
  ],
  [() => streamOf([FIRST!], "data: {broken\n\n"), /JSON/, true],
];

Deno.test("llm says of each failure whether and when it may be tried again", async () => {
  await using server = new ModelServer(() => FAILURES[index]![0]());
  await using bench = await server.plugin();
  let index = 0;
  for (; index < FAILURES.length; index++) {
    const [, error, retryable, retryAfterMs] = FAILURES[index]!;
    const outcome = await bench.run(INSTRUCTION).outcome;
    assert(outcome.kind === "failed");
    assertMatch(outcome.error, error);
    assertEquals(
      [outcome.error, outcome.retryable, outcome.retryAfterMs],
      [outcome.error, retryable, retryAfterMs],
    );
  }
});

Deno.test("llm tries again where nobody listens", async () => {
  const server = new ModelServer(() => refusal(500));
  await using bench = await server.plugin();
  await server[Symbol.asyncDispose]();
  const outcome = await bench.run(INSTRUCTION).outcome;
  assert(outcome.kind === "failed" && outcome.retryable);
  assertMatch(outcome.error, /Cannot reach the model's server: .*refused/);
});

Deno.test("llm says which permission it lacks", async () => {
  await using server = new ModelServer(() => refusal(500));
  await using bench = await server.plugin({ net: false });
  assertMatch(
    await bench.failureOf(INSTRUCTION),
    /server: Requires net access to ".*"\. Add it to "net" in the module's/,
  );
});

Deno.test("llm lets go of its request when the task is cancelled", async () => {
  const dropped = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  await using server = new ModelServer((request) => {
    request.signal.onabort = () => dropped.resolve();
    begun.resolve();
    return new Response(
      new ReadableStream({ cancel: () => dropped.resolve() }),
      { headers: { "Content-Type": "text/event-stream" } },
    );
  });
  await using bench = await server.plugin();
  const run = bench.run(INSTRUCTION);
  await begun.promise;
  run.stop.stop("cancelled");
  assertEquals(await run.outcome, { kind: "aborted", reason: "cancelled" });
  await dropped.promise;
  // Its process was not ended for that.
  assertMatch(bench.log.join(), /^[^,]*module llm\.ts is ready: llm small$/);
});

Deno.test("llm says what its configuration lacks", async () => {
  await using server = new ModelServer(() => refusal(500));
  await using bench = await server.plugin();
  Deno.env.delete(KEY);
  assertMatch(
    await bench.failureOf(),
    /the function that it exports threw the variable LLM_EXAMPLE_TEST_KEY is /,
  );
});

Deno.test("greet asks for a name, and greets", async () => {
  const module = new URL("module/greet.ts", EXAMPLES).pathname;
  await using bench = await PluginBench.create(undefined, {
    config: { module },
  });
  assertEquals(await bench.run("test").outcome, {
    kind: "needs_input",
    question: "Who are you?",
  });
  const answers = [{ question: "Who are you?", answer: "Ada" }];
  const run = bench.run("test", { answers });
  assertEquals(await run.outcome, {
    kind: "completed",
    result: { greeting: "Hello, Ada", of: "test" },
  });
  assertEquals(run.output, ["A", "d", "a"].map((it) => `Engraving ${it}`));
});

for (const example of ["llm", "module"]) {
  Deno.test(`the configuration of examples/${example} is valid`, async () => {
    const file = new URL(`${example}/agent-runner.json`, EXAMPLES);
    const { providers } = JSON.parse(await Deno.readTextFile(file));
    for (const provider of Object.values<Record<string, unknown>>(providers)) {
      const { processor, timeout: _, attempts: _a, concurrency: _c, ...own } =
        provider;
      assertEquals(processor, "module");
      const { module } = moduleConfig.parse(own);
      assert((await Deno.stat(new URL(module, file))).isFile);
    }
  });
}
