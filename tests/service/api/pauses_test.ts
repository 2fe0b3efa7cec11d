import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Json, TestService } from "../service.ts";

const PAUSES = "/api/v1/pauses";
const RESUME = `${PAUSES}/resume`;

function start(): Promise<TestService> {
  return TestService.start({ exclusive: true });
}

/** How long from now until a time, in whole minutes. */
function minutesUntil(time: string): number {
  return Math.round((Date.parse(time) - Date.now()) / 60_000);
}

Deno.test("GET /pauses lists who is paused, by whom, why, and what waits", async () => {
  await using service = await start();
  assertEquals(await service.ok(PAUSES), { pauses: [] });
  await service.create({ provider: "claude" });
  await service.create({ provider: "claude" });
  await service.create({ provider: "codex" });
  const { admin } = service.store;
  const waitMs = 3_600_000;
  await admin.pause({ provider: "codex" }, {
    kind: "budget",
    reason: "$20",
    waitMs: null,
  });
  await admin.pause({ provider: "claude" }, {
    kind: "limit",
    reason: "five-hour",
    waitMs,
  });
  const { pauses: [claude, codex, ...others] } = await service.ok(PAUSES);
  const { since, until, ...rest } = claude;
  assertEquals(rest, {
    provider: "claude",
    batch: null,
    kind: "limit",
    reason: "five-hour",
    tries: 0,
    waiting: 2,
  });
  assertEquals(Date.parse(until) - Date.parse(since), waitMs);
  assertEquals(
    [codex.provider, codex.kind, codex.until, codex.waiting],
    ["codex", "budget", null, 1],
  );
  assertEquals(others, []);
});

Deno.test("POST /pauses has a provider's tasks wait, for a time or until it is resumed", async () => {
  await using service = await start();
  const id = await service.create({ provider: "codex" });
  await service.create({ provider: "claude" });
  const forever = await service.post(PAUSES, { provider: "claude" });
  assertEquals(forever.status, 200, JSON.stringify(forever.body));
  const [first] = forever.body.pauses;
  assertEquals(
    [first.kind, first.reason, first.until, first.waiting],
    ["person", "", null, 1],
  );
  const claimed = await service.claim();
  assertEquals(claimed.map(({ task }) => task.id), [id]);
  const reason = "Look first <b>";
  const { body } = await service.post(PAUSES, {
    provider: "claude",
    reason,
    seconds: 8 * 3_600,
  });
  assertEquals(body.pauses.map((it: Json) => it.reason), [reason]);
  assertEquals(minutesUntil(body.pauses[0].until), 8 * 60);
  assertEquals(await service.ok(PAUSES), body);
});

Deno.test("POST /pauses/resume ends all pauses of one provider", async () => {
  await using service = await start();
  const { admin } = service.store;
  await admin.pause({ provider: "claude" }, {
    kind: "limit",
    reason: "",
    waitMs: 60_000,
  });
  await service.post(PAUSES, { provider: "claude" });
  await service.post(PAUSES, { provider: "codex" });
  assertEquals((await service.ok(PAUSES)).pauses.length, 3);
  for (const ended of [2, 0]) {
    const { status, body } = await service.post(RESUME, { provider: "claude" });
    assertEquals([status, body], [200, { ended }]);
  }
  const { pauses } = await service.ok(PAUSES);
  assertEquals(pauses.map((it: Json) => it.provider), ["codex"]);
});

Deno.test("POST /pauses pauses a batch or everything, and /pauses/resume ends that", async () => {
  await using service = await start();
  for (const target of [{ batch: "nightly" }, { all: true }]) {
    const { status, body } = await service.post(PAUSES, target);
    assertEquals(status, 200);
    assertEquals(
      body.pauses.map((it: Json) => [it.provider, it.batch]),
      [["*", "batch" in target ? "nightly" : null]],
    );
    const { body: resumed } = await service.post(RESUME, target);
    assertEquals(resumed, { ended: 1 });
  }
});

Deno.test("POST /pauses and /pauses/resume refuse what is no pause", async () => {
  await using service = await start();
  const claude = { provider: "claude" };
  const wrong: Record<string, readonly unknown[]> = {
    [PAUSES]: [
      {},
      [],
      { provider: "" },
      { provider: "x".repeat(201) },
      { ...claude, reason: "x".repeat(1_001) },
      ...[0, -1, "60", 315_360_001].map((seconds) => ({ ...claude, seconds })),
      { ...claude, kind: "limit" },
      { provider: "*" },
      { ...claude, batch: "nightly" },
      { batch: "" },
      { all: false },
    ],
    [RESUME]: [{}, [], { provider: "" }, { ...claude, all: true }],
  };
  for (const [path, bodies] of Object.entries(wrong)) {
    for (const body of bodies) {
      const { status } = await service.post(path, body);
      assertEquals(status, 422, `${path} ${JSON.stringify(body)}`);
    }
    assertEquals((await service.post(path)).status, 415);
    const large = { ...claude, reason: "x".repeat(1024 ** 2) };
    assertEquals((await service.post(path, large)).status, 413);
  }
  assertEquals(await service.ok(PAUSES), { pauses: [] });
});

Deno.test("POST /pauses and /pauses/resume are refused to a token that may only read", async () => {
  await using service = await TestService.start({
    exclusive: true,
    token: "all",
    readOnlyToken: "read",
  });
  const headers = { Authorization: "Bearer read" };
  const waitMs = null;
  await service.store.admin.pause({ provider: "p" }, {
    kind: "person",
    reason: "",
    waitMs,
  });
  for (const path of [PAUSES, RESUME]) {
    const { status, body } = await service.post(
      path,
      { provider: "p" },
      headers,
    );
    assertEquals(status, 403);
    assertStringIncludes(body.detail, "may only read");
  }
  const { body } = await service.get(PAUSES, headers);
  assertEquals(body.pauses.length, 1);
});
