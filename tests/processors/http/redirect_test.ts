import { assertEquals, assertMatch } from "@std/assert";
import { failed, send, Service } from "./http_service.ts";

function redirect(status: number, location?: string): Response {
  return new Response(status === 304 ? null : "a page for people", {
    status,
    headers: location === undefined ? {} : { Location: location },
  });
}

/** Redirects to `/there`, which answers what came there. */
function redirecting(status: number): Service {
  return new Service(({ path, method, body }) =>
    path === "/there"
      ? Response.json({ method, length: body.length })
      : redirect(status, "/there")
  );
}

for (const status of [307, 308]) {
  Deno.test(`http sends the task on at ${status}, with all that belongs to it`, async () => {
    await using service = redirecting(status);
    await send(service.url(), {
      fields: { method: "PATCH", headers: { "X-Key": "k" } },
    });
    const [first, second, ...rest] = service.received;
    assertEquals(second, { ...first!, path: "/there" });
    assertEquals(second?.method, "PATCH");
    assertMatch(second?.body ?? "", /"id":"t1"/);
    assertEquals(rest, []);
  });
}

Deno.test("http gets at 303 what the task came to", async () => {
  await using service = redirecting(303);
  assertEquals(await send(service.url()), {
    kind: "completed",
    result: { method: "GET", length: 0 },
  });
  const { headers } = service.received[1]!;
  assertEquals(
    ["content-type", "content-length", "idempotency-key", "webhook-id"]
      .filter((name) => name in headers),
    [],
  );
});

for (const status of [301, 302]) {
  Deno.test(`http does not lose the task at ${status}`, async () => {
    await using service = redirecting(status);
    const url = service.url();
    assertEquals(
      await send(`${url}/here?key=hidden`),
      failed(
        `${url}/here answered ${status}, which would lose the task on the ` +
          `way to ${url}/there. If that is the right place, make it the ` +
          '"url" in the configuration.',
        { retryable: false },
      ),
    );
    assertEquals(service.received.length, 1);
  });

  Deno.test(`http follows ${status} of a status URL`, async () => {
    await using service = new Service(({ path }) =>
      path === "/there"
        ? Response.json(1)
        : path === "/status"
        ? redirect(status, "/there")
        : redirect(202, "/status")
    );
    const fields = { poll: { interval: 0.1 } };
    assertEquals(await send(service.url(), { fields }), {
      kind: "completed",
      result: 1,
    });
  });
}

const REFUSED: [status: number, location: string | undefined, error: RegExp][] =
  [
    [307, undefined, /answered 307, and does not say where to go\.$/],
    [300, "/there", /answered 300, which agent-runner can't follow\.$/],
    [304, "/there", /answered 304, which agent-runner can't follow\.$/],
    [307, "file:///etc/passwd", /names file:.*, which is no http URL\.$/],
    [308, "http://10.0.0.1/x", /^Cannot connect to 10.0.0.1: 10.0.0.1 is not/],
    [308, "http://inside.test/", /inside.test has the address 10.0.0.9, which/],
  ];

for (const [status, location, error] of REFUSED) {
  Deno.test(`http refuses ${status} to ${location}`, async () => {
    await using service = new Service(() => redirect(status, location));
    const outcome = await send(service.url(), {
      parts: {
        lookup: () => Promise.resolve([{ address: "10.0.0.9", family: 4 }]),
      },
    });
    assertEquals(outcome.kind === "failed" && outcome.retryable, false);
    assertMatch(outcome.kind === "failed" ? outcome.error : "", error);
    assertEquals(service.received.length, 1);
  });
}

Deno.test("http follows no more redirects than configured", async () => {
  await using service = new Service(({ path }) =>
    redirect(307, `/${Number(path.slice(1)) + 1}`)
  );
  const url = service.url();
  for (const maxRedirects of [0, 3]) {
    service.received.length = 0;
    assertEquals(
      await send(`${url}/0`, { fields: { maxRedirects } }),
      failed(
        `${url}/0 redirects more than ${maxRedirects} times, last to ` +
          `/${maxRedirects + 1}.`,
        { retryable: false },
      ),
    );
    assertEquals(service.received.length, maxRedirects + 1);
  }
});

const CREDENTIALS = {
  fields: {
    headers: { Authorization: "Bearer ${env:TOKEN}", Cookie: "a=${env:TOKEN}" },
    secretEnv: "TOKEN",
    allowPrivate: ["127.0.0.0/8"],
    poll: { interval: 0.1 },
  },
  parts: { variable: () => `whsec_${btoa("a secret token, long enough")}` },
};

function secretsIn({ headers }: { headers: Readonly<Record<string, string>> }) {
  return Object.keys(headers).filter((name) =>
    /^(authorization|cookie|webhook-.*)$/.test(name)
  );
}

Deno.test("http sends no credentials to another origin, nor after it", async () => {
  await using home: Service = new Service(({ path }) =>
    path === "/back" ? Response.json(1) : redirect(307, `${away.url()}/away`)
  );
  await using away: Service = new Service(() =>
    redirect(307, `${home.url()}/back`)
  );
  await send(home.url(), CREDENTIALS);
  const [first, back] = home.received;
  const [other] = away.received;
  assertEquals(secretsIn(first!).length, 5);
  assertEquals(secretsIn(other!), []);
  assertEquals(secretsIn(back!), []);
  assertEquals(other?.headers["idempotency-key"], "t1:2");
  assertEquals(other?.body, first?.body);
});

Deno.test("http sends credentials to a status URL of its origin only", async () => {
  await using away = new Service(() => Response.json(1));
  await using home = new Service(({ method }) =>
    method === "POST"
      ? redirect(202, "/status")
      : redirect(202, `${away.url()}/status`)
  );
  await send(home.url(), CREDENTIALS);
  assertEquals(secretsIn(home.received[1]!), ["authorization", "cookie"]);
  assertEquals(secretsIn(away.received[0]!), []);
});

Deno.test("http takes another host for another origin, though its address is the same", async () => {
  await using home: Service = new Service(() =>
    redirect(307, home.url("localhost.") + "/")
  );
  await send(home.url("localhost"), {
    ...CREDENTIALS,
    fields: { ...CREDENTIALS.fields, maxRedirects: 1 },
    parts: {
      ...CREDENTIALS.parts,
      lookup: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]),
    },
  });
  assertEquals(home.received.map((it) => secretsIn(it).length), [5, 0]);
});
