import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type ConnectionLimits,
  listen,
  type Listener,
  type ListenOptions,
} from "../../lib/service/listen.ts";
import { requestOf } from "../../lib/service/node_http.ts";
import { LIMIT_MS, until, within } from "../support/until.ts";

/** No times but those that a test is about. */
const LIMITS: ConnectionLimits = {
  maxConnections: 4,
  headersMs: LIMIT_MS,
  requestMs: LIMIT_MS,
  idleMs: LIMIT_MS,
  checkMs: 20,
};

async function start(
  respond: ListenOptions["respond"] = () => new Response("hello"),
  limits: Partial<ConnectionLimits> = {},
): Promise<Listener & AsyncDisposable> {
  const listener = await listen({
    address: { hostname: "127.0.0.1", port: 0 },
    respond,
    limits: { ...LIMITS, ...limits },
  });
  return Object.assign(listener, {
    [Symbol.asyncDispose]: async () => {
      const closed = listener.close();
      listener.abort();
      await closed;
    },
  });
}

function connect({ port }: Listener): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** All that comes until the server closes the connection. */
async function talk(listener: Listener, text: string): Promise<string> {
  using connection = await connect(listener);
  await connection.write(new TextEncoder().encode(text));
  let answer = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  while (true) {
    const length = await within(
      "the connection is closed",
      connection.read(buffer).catch(() => null),
    );
    if (length === null) return answer;
    answer += decoder.decode(buffer.subarray(0, length));
  }
}

const GET = "GET / HTTP/1.1\r\nHost: x\r\n";

const SILENT: [
  what: string,
  text: string,
  answer: RegExp,
  limits: Partial<ConnectionLimits>,
][] = [
  ["sends nothing", "", /^(HTTP\/1.1 408 [^]*)?$/, { headersMs: 150 }],
  [
    "does not end its headers",
    GET,
    /^(HTTP\/1.1 408 [^]*)?$/,
    { headersMs: 150 },
  ],
  [
    "sends no second request",
    `${GET}\r\n`,
    /^HTTP\/1.1 200 [^]*hello/,
    { idleMs: 200 },
  ],
  [
    "does not send its body",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    /^HTTP\/1.1 (408|200) /,
    { headersMs: 300, requestMs: 300 },
  ],
];

for (const [what, text, answer, limits] of SILENT) {
  Deno.test(`a client that ${what} is let go`, async () => {
    await using listener = await start(async (request) => {
      await request.text().catch(() => {});
      return new Response("hello");
    }, limits);
    assertMatch(await talk(listener, text), answer);
  });
}

Deno.test("connections are bounded, and a closed one makes room", async () => {
  await using listener = await start();
  const held = [];
  for (let n = 0; n < 4; n++) held.push(await connect(listener));
  const close = "Connection: close\r\n\r\n";
  assertEquals(await talk(listener, GET + close), "");
  held.pop()?.close();
  let answer = "";
  await until("there is room", async () => {
    answer = await talk(listener, GET + close);
    return answer !== "";
  });
  assertMatch(answer, /^HTTP\/1.1 200 /);
  for (const connection of held) connection.close();
});

Deno.test("a client that goes on with a body that nobody wants gets its answer", async () => {
  await using listener = await start(() => new Response(null, { status: 413 }));
  const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n";
  assertMatch(
    await talk(listener, head + "x".repeat(100_000)),
    /^HTTP\/1.1 413/,
  );
});

Deno.test("a stream goes on for longer than a request may take", async () => {
  await using listener = await start(() => {
    let count = 0;
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          controller.enqueue(new TextEncoder().encode(`${count++} `));
          if (count === 8) controller.close();
        },
      }),
    );
  }, { headersMs: 300, requestMs: 300 });
  let text = "";
  // Where the request itself comes too late, it is refused.
  await until("the request is there in time", async () => {
    const response = await fetch(`http://127.0.0.1:${listener.port}`);
    text = await response.text();
    return response.ok;
  });
  assertEquals(text, "0 1 2 3 4 5 6 7 ");
});

Deno.test("a client that goes away ends its stream", async () => {
  const cancelled = Promise.withResolvers<void>();
  await using listener = await start(() =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new Uint8Array(1)),
        cancel: () => cancelled.resolve(),
      }),
    )
  );
  const response = await fetch(`http://127.0.0.1:${listener.port}`);
  await response.body?.cancel();
  await within("the stream ends", cancelled.promise);
});

Deno.test("a stream that fails breaks the connection, and not the server", async () => {
  await using listener = await start((request) =>
    new URL(request.url).pathname === "/"
      ? new Response("hello")
      : new Response(
        new ReadableStream({
          pull: (controller) => controller.error(new Error("no")),
        }),
      )
  );
  const url = `http://127.0.0.1:${listener.port}`;
  const error = await fetch(`${url}/x`).then((it) => it.text())
    .catch((error) => error);
  assert(error instanceof Error);
  assertEquals(await (await fetch(url)).text(), "hello");
});

Deno.test("requestOf() leaves no listeners behind, however many parts a body has", async () => {
  const counts: number[] = [];
  let seen = Promise.withResolvers<void>();
  const server = createServer(async (incoming, outgoing) => {
    for await (const _ of requestOf(incoming)?.body ?? []) {
      const events = ["readable", "end", "error"];
      counts.push(
        events.reduce((sum, it) => sum + incoming.listenerCount(it), 0),
      );
      seen.resolve();
    }
    outgoing.end();
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  const { port } = server.address() as AddressInfo;
  using client = await Deno.connect({ hostname: "127.0.0.1", port });
  const send = (text: string) => client.write(new TextEncoder().encode(text));
  await send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n");
  for (let part = 0; part < 20; part++) {
    seen = Promise.withResolvers();
    await send("x");
    await seen.promise;
  }
  assertEquals(counts.length, 20);
  assertEquals(counts.at(-1), counts[1], counts.join(" "));
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const STRANGE: string[] = [
  "GET http://evil.example.com/ HTTP/1.1\r\nHost: x\r\n",
  "GET //evil.example.com/ HTTP/1.1\r\nHost: x\r\n",
  "GET http://x//evil.example.com/ HTTP/1.1\r\nHost: x\r\n",
  "GET http://xevil/ HTTP/1.1\r\nHost: x\r\n",
  "TRACE / HTTP/1.1\r\nHost: x\r\n",
  "GET / HTTP/1.1\r\n",
  "nonsense\r\n",
];

for (const head of STRANGE) {
  Deno.test(`${JSON.stringify(head)} is refused`, async () => {
    const seen: string[] = [];
    await using listener = await start(({ url }) => {
      seen.push(url);
      return new Response();
    });
    const answer = await talk(listener, `${head}Connection: close\r\n\r\n`);
    assertMatch(answer, /^HTTP\/1.1 400 /);
    assertEquals(seen, []);
  });
}

Deno.test("a request may name the host before its path too", async () => {
  await using listener = await start(({ url }) => new Response(url));
  const head = "GET http://x/a?b HTTP/1.1\r\nHost: x\r\n";
  assertMatch(
    await talk(listener, `${head}Connection: close\r\n\r\n`),
    /http:\/\/localhost\/a\?b/,
  );
});

Deno.test("close() answers what is in hand, and abort() ends it", async () => {
  for (const isAborted of [false, true]) {
    const arrived = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const listener = await start(async () => {
      arrived.resolve();
      await gate.promise;
      return new Response("late");
    });
    const answer = fetch(`http://127.0.0.1:${listener.port}`)
      .then((response) => response.text(), () => "none");
    await arrived.promise;
    const closed = listener.close();
    if (isAborted) listener.abort();
    else gate.resolve();
    assertEquals(await answer, isAborted ? "none" : "late");
    await closed;
    gate.resolve();
  }
});

Deno.test("close() ends idle connections, however many requests they had", async () => {
  for (const count of [1, 2, 3, 4]) {
    const listener = await start();
    for (let n = 0; n < count; n++) {
      await (await fetch(`http://127.0.0.1:${listener.port}`)).text();
    }
    await within("all is closed", listener.close());
  }
});
