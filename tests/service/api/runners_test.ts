import { assertEquals, assertStringIncludes } from "@std/assert";
import { TestService } from "../service.ts";

const RUNNERS = "/api/v1/runners";
const DRAIN = `${RUNNERS}/drain`;

/** Two runners say that they are there, one with a task in hand. */
async function attend({ store }: TestService): Promise<void> {
  for (const [name, upMs] of [["one", 60_000], ["two", 0]] as const) {
    await store.queue.present({
      name,
      host: "machine-a",
      pid: 4711,
      version: "1.2.3",
      concurrency: 4,
      upMs,
    });
  }
  await store.queue.claim({
    limit: 1,
    owner: "two",
    leaseMs: 600_000,
    maxAttempts: 3,
  });
}

Deno.test("GET /runners lists who is there", async () => {
  await using service = await TestService.start({ exclusive: true });
  assertEquals(await service.ok(RUNNERS), { runners: [] });
  await service.create();
  await attend(service);
  const { runners } = await service.ok(RUNNERS);
  const { started_at, seen_at, ...one } = runners[0];
  assertEquals(Date.parse(seen_at) - Date.parse(started_at), 60_000);
  assertEquals(one, {
    name: "one",
    host: "machine-a",
    pid: 4711,
    version: "1.2.3",
    concurrency: 4,
    draining: false,
    gone: false,
    in_hand: 0,
  });
  assertEquals([runners[1].name, runners[1].in_hand], ["two", 1]);
});

Deno.test("POST /runners/drain asks those who are named", async () => {
  await using service = await TestService.start({ exclusive: true });
  await attend(service);
  const { status, body } = await service.post(DRAIN, {
    names: ["two", "three"],
  });
  assertEquals([status, body], [200, { results: ["asked", "missing"] }]);
  const { runners } = await service.ok(RUNNERS);
  assertEquals(
    runners.map(({ draining }: { draining: boolean }) => draining),
    [false, true],
  );
  for (const wrong of [undefined, {}, { names: [] }, { names: [""] }, []]) {
    const { status } = await service.post(DRAIN, wrong);
    assertEquals([415, 422].includes(status), true, JSON.stringify(wrong));
  }
});

Deno.test("POST /runners/drain is refused to a token that may only read", async () => {
  await using service = await TestService.start({
    exclusive: true,
    token: "all",
    readOnlyToken: "read",
  });
  await attend(service);
  const headers = { Authorization: "Bearer read" };
  const { status, body } = await service.post(
    DRAIN,
    { names: ["one"] },
    headers,
  );
  assertEquals(status, 403);
  assertStringIncludes(body.detail, "may only read");
  const { body: { runners } } = await service.get(RUNNERS, headers);
  assertEquals(runners[0].draining, false);
});
