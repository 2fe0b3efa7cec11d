import { assert, assertEquals, assertMatch } from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import type { Address } from "../../../lib/processors/http/addresses.ts";
import type { Outcome } from "../../../lib/task/task.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import {
  contextWith,
  failed,
  processorFor,
  RawServer,
  type Say,
  send,
  Service,
  TASK,
} from "./http_service.ts";

const CUT = 'The answer was cut: it is longer than "maxResponseBytes" allows';
const OK = "HTTP/1.1 200 OK\r\n";

/** A server that does not keep to the rules, and what comes of it. */
const RUDE: [
  name: string,
  talk: (say: Say) => Promise<unknown>,
  outcome: Outcome | [error: RegExp, retryable: boolean],
][] = [
  [
    "says less than there is",
    (say) => say(`${OK}Content-Length: 2\r\n\r\nhi and more`),
    { kind: "completed", result: "hi" },
  ],
  [
    "says more than there is, and closes",
    async (say) => {
      await say(`${OK}Content-Length: 20\r\n\r\nhi`);
      await say(undefined);
    },
    [/^The answer broke off after 2 bytes: the server closed/, true],
  ],
  [
    "says more than there is, and waits",
    (say) => say(`${OK}Content-Length: 20\r\n\r\nhi`),
    [/^127.0.0.1:\d+ did not answer within 0.5 s\.$/, true],
  ],
  [
    "says nothing",
    () => Promise.resolve(),
    [/^127.0.0.1:\d+ did not answer within 0.5 s\.$/, true],
  ],
  [
    "trickles",
    async (say) => {
      await say(`${OK}Content-Length: 1000000\r\n\r\n`);
      while (await say("x")) await systemClock.sleep(20);
    },
    [/^127.0.0.1:\d+ did not answer within 0.5 s\.$/, true],
  ],
  [
    "trickles headers",
    async (say) => {
      await say(OK);
      while (await say("A: b\r\n")) await systemClock.sleep(20);
    },
    [/^127.0.0.1:\d+ did not answer within 0.5 s\.$/, true],
  ],
  [
    "trickles an error",
    async (say) => {
      await say("HTTP/1.1 400 No\r\nContent-Length: 1000000\r\n\r\nso sorry");
      while (await say(".")) await systemClock.sleep(20);
    },
    [/answered 400 Bad Request: so sorry\.*$/, false],
  ],
  [
    "promises to go on, for ever",
    async (say) => {
      while (await say("HTTP/1.1 100 Continue\r\n\r\n")) {
        await systemClock.sleep(20);
      }
    },
    [/^127.0.0.1:\d+ did not answer within 0.5 s\.$/, true],
  ],
  [
    "closes at once",
    (say) => say(undefined),
    [/^No answer from 127.0.0.1:\d+: the server closed the conn/, true],
  ],
  [
    "closes within the headers",
    async (say) => {
      await say(`${OK}Content-Le`);
      await say(undefined);
    },
    [/^No answer from 127.0.0.1:\d+: the server closed the conn/, true],
  ],
  [
    "closes within a chunk",
    async (say) => {
      await say(`${OK}Transfer-Encoding: chunked\r\n\r\n9\r\nhi`);
      await say(undefined);
    },
    [/^The answer broke off after 2 bytes: the server closed/, true],
  ],
  [
    "does not say how long it is, and closes",
    async (say) => {
      await say(`${OK}\r\nhi`);
      await say(undefined);
    },
    { kind: "completed", result: "hi" },
  ],
  [
    "speaks another protocol",
    (say) => say("SSH-2.0-OpenSSH_9.9\r\n"),
    [/^No answer from \S+: the answer is not HTTP \(Parse Error/, true],
  ],
  [
    "wants another protocol",
    (say) =>
      say("HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nzz"),
    [/^No answer from \S+: the server wants another protocol\.$/, true],
  ],
  [
    "says two lengths",
    (say) => say(`${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!`),
    [/^No answer from \S+: the answer is not HTTP \(Parse Error/, true],
  ],
  [
    "says a length and chunks",
    (say) =>
      say(`${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n`),
    [/^No answer from \S+: the answer is not HTTP \(Parse Error/, true],
  ],
  [
    "sends headers without end",
    async (say) => {
      await say(OK);
      while (await say(`A: ${"x".repeat(10_000)}\r\n`));
    },
    [/^No answer from \S+: the headers of the answer are too long\.$/, true],
  ],
  [
    "sends a body without end",
    async (say) => {
      await say(`${OK}\r\n`);
      while (await say("x".repeat(100_000)));
    },
    {
      kind: "completed",
      result: { truncated: "x".repeat(1_048_576) },
      message: CUT,
    },
  ],
  [
    "sends an error without end",
    async (say) => {
      await say("HTTP/1.1 500 No\r\n\r\n");
      while (await say("x".repeat(100_000)));
    },
    [/answered 500 Internal Server Error: x{900,}… \(cut: /, true],
  ],
  [
    "sends a redirect without end",
    async (say) => {
      await say("HTTP/1.1 307 No\r\nLocation: file:///\r\n\r\n");
      while (await say("x".repeat(100_000)));
    },
    [/which is no http URL\.$/, false],
  ],
  [
    "sends a steering character as header",
    (say) => say("HTTP/1.1 307 No\r\nLocation: x:\x85\r\n\r\n"),
    [/names x:Â\\x85, which is no http URL\.$/, false],
  ],
];

for (const [name, talk, expected] of RUDE) {
  Deno.test(`http copes with a server that ${name}`, async () => {
    const clock = new FakeClock();
    const isSlow = /waits|nothing|trickles|for ever/.test(name);
    let said = 0;
    const pass = () => clock.advance(500);
    await using server = new RawServer(async (say) => {
      await talk((what) => {
        if (isSlow && ++said === 20) pass();
        return say(what);
      });
      if (isSlow) await pass();
    });
    const outcome = await send(server.url, {
      fields: { requestTimeout: 0.5 },
      parts: { clock },
    });
    await server.closedByAll();
    assertEquals(server.connections, 1);
    if (!Array.isArray(expected)) return assertEquals(outcome, expected);
    const [error, retryable] = expected;
    assert(outcome.kind === "failed", JSON.stringify(outcome));
    assertMatch(outcome.error, error);
    assertEquals(outcome.retryable, retryable);
  });
}

for (const encoding of ["gzip", "br", "x-made-up"]) {
  Deno.test(`http does not unpack ${encoding}, which it did not ask for`, async () => {
    const zeros = new Blob([new Uint8Array(5_000_000)]).stream()
      .pipeThrough(new CompressionStream("gzip"));
    const bomb = await new Response(zeros).bytes();
    await using service = new Service(() =>
      new Response(bomb, { headers: { "Content-Encoding": encoding } })
    );
    assertEquals(
      await send(service.url()),
      failed(`The answer is encoded as ${encoding}, unasked.`, {
        retryable: false,
      }),
    );
  });
}

Deno.test("http takes as many bytes as configured, and no more", async () => {
  await using service = new Service(({ path }) =>
    new Response("x".repeat(Number(path.slice(1))))
  );
  const fields = { maxResponseBytes: 70_000 };
  assertEquals(await send(`${service.url()}/70000`, { fields }), {
    kind: "completed",
    result: "x".repeat(70_000),
  });
  assertEquals(await send(`${service.url()}/70001`, { fields }), {
    kind: "completed",
    result: { truncated: "x".repeat(70_000) },
    message: CUT,
  });
});

Deno.test("http sends a task that is larger than all buffers", async () => {
  await using service = new Service(({ body }) => Response.json(body.length));
  const outcome = await send(service.url(), {
    context: { trace: { text: "x".repeat(5_000_000) } },
  });
  assert(outcome.kind === "completed");
  assert(Number(outcome.result) > 5_000_000);
});

Deno.test("http leaves no connection when it is stopped amid an answer", async () => {
  const isTalking = Promise.withResolvers<void>();
  await using server = new RawServer(async (say) => {
    await say(`${OK}Content-Length: 100\r\n\r\nhi`);
    isTalking.resolve();
  });
  const stop = new AbortController();
  const outcome = send(server.url, { context: { signal: stop.signal } });
  await isTalking.promise;
  stop.abort("shutdown");
  assertEquals(await outcome, failed("Stopped", { retryable: true }));
  await server.closedByAll();
});

Deno.test("http waits for a name no longer than for a connection", async () => {
  const fields = { connectTimeout: 0.1 };
  const lookup = () => new Promise<never>(() => {});
  assertEquals(
    await send("http://slow.test/", { fields, parts: { lookup } }),
    failed("Cannot connect to slow.test: no connection within 0.1 s.", {
      retryable: true,
    }),
  );
});

Deno.test("http waits for TLS no longer than for a connection", async () => {
  await using server = new RawServer(() => Promise.resolve());
  const fields = { connectTimeout: 0.1 };
  const { host } = new URL(server.url);
  assertEquals(
    await send(`https://${host}/`, { fields }),
    failed(`Cannot connect to ${host}: no connection within 0.1 s.`, {
      retryable: true,
    }),
  );
  await server.closedByAll();
});

/** Finds these addresses one after another. */
function lookingUp(...answers: readonly Address[][]) {
  const hosts: string[] = [];
  const lookup = (host: string) =>
    Promise.resolve(answers[hosts.push(host) - 1] ?? []);
  return { lookup, hosts };
}

const HERE: Address = { address: "127.0.0.1", family: 4 };
const INSIDE: Address = { address: "10.0.0.1", family: 4 };

Deno.test("http connects to the address that it has checked", async () => {
  await using service = new Service(({ headers }) =>
    Response.json(headers.host)
  );
  const { lookup, hosts } = lookingUp([HERE], [INSIDE]);
  const url = service.url("rebinding.test");
  const options = {
    fields: { allowPrivate: ["127.0.0.1"] },
    parts: { lookup },
  };
  assertEquals(await send(url, options), {
    kind: "completed",
    result: new URL(url).host,
  });
  assertEquals(hosts, ["rebinding.test"]);
  const second = await send(url, options);
  assertMatch(second.kind === "failed" ? second.error : "", /10\.0\.0\.1/);
  assertEquals(service.received.length, 1);
});

const ELSEWHERE: Address = { address: "127.0.0.2", family: 4 };

for (const scheme of ["http", "https"]) {
  Deno.test(`http says that it may not use the network for ${scheme}`, async () => {
    const { lookup } = lookingUp([ELSEWHERE, { address: "::1", family: 6 }]);
    assertEquals(
      await send(`${scheme}://two.test/`, { parts: { lookup } }),
      failed(
        "Cannot connect to two.test: agent-runner has no permission to use " +
          "the network.",
        { retryable: false },
      ),
    );
  });
}

Deno.test("http uses the addresses that it may use", async () => {
  await using service = new Service(() => Response.json(1));
  const { lookup } = lookingUp([ELSEWHERE, HERE]);
  assertEquals(await send(service.url("two.test"), { parts: { lookup } }), {
    kind: "completed",
    result: 1,
  });
});

Deno.test("http says that a host has no address", async () => {
  const { lookup } = lookingUp([]);
  assertEquals(
    await send("http://empty.test/", { parts: { lookup } }),
    failed("Cannot resolve empty.test: it has no address.", {
      retryable: true,
    }),
  );
});

function fixture(name: string): string {
  return Deno.readTextFileSync(
    new URL(`../../support/fixtures/${name}`, import.meta.url),
  );
}

const TLS = {
  cert: fixture("service_test.cert.pem"),
  key: fixture("service_test.key.pem"),
};

Deno.test("http checks the certificate of the host that the URL names", async () => {
  await using service = new Service(() => Response.json("safe"), TLS);
  const lookup = () => Promise.resolve([HERE]);
  const parts = { lookup, ca: TLS.cert };
  assertEquals(await send(service.url("service.test"), { parts }), {
    kind: "completed",
    result: "safe",
  });
  for (
    const [host, parts, problem] of [
      ["other.test", { lookup, ca: TLS.cert }, /does not match certificate/],
      ["service.test", { lookup }, /self-signed certificate/],
    ] as const
  ) {
    const outcome = await send(service.url(host), { parts });
    const { host: name } = new URL(service.url(host));
    assert(outcome.kind === "failed");
    assertMatch(outcome.error, problem);
    assert(outcome.error.startsWith(`Cannot connect to ${name}: `));
  }
  assertEquals(service.received.length, 1);
});

Deno.test("http does not leave TLS for where nothing is encrypted", async () => {
  await using open = new Service(() => Response.json(1));
  await using service = new Service(() =>
    new Response(null, {
      status: 307,
      headers: { Location: open.url() + "/x" },
    }), TLS);
  const lookup = () => Promise.resolve([HERE]);
  const url = service.url("service.test");
  assertEquals(
    await send(url, { parts: { lookup, ca: TLS.cert } }),
    failed(
      `${url}/ names ${open.url()}/x, where nothing is encrypted any more.`,
      { retryable: false },
    ),
  );
  assertEquals(open.received, []);
});

Deno.test("http runs many tasks at once, each on a connection of its own", async () => {
  await using service = new Service(({ body }) => Response.json(body.length));
  const processor = processorFor(service.url());
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, () => processor.process(TASK, contextWith())),
  );
  assertEquals(
    new Set(outcomes.map(({ kind }) => kind)),
    new Set(["completed"]),
  );
});
