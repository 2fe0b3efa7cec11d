import { assertEquals, assertRejects } from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import { UserError } from "../../../lib/base/errors.ts";
import { openServiceAdmin } from "../../../lib/service/client/admin.ts";
import type { Admin } from "../../../lib/store/contract.ts";
import { TestService } from "../service.ts";

const HOUR_MS = 3_600_000;

async function adminAt(
  { url }: TestService,
  token = "",
): Promise<Admin> {
  const { admin } = await openServiceAdmin({
    url: new URL(url),
    token,
    clock: systemClock,
    onWarning: () => {},
  });
  return admin;
}

Deno.test("Admin.pauses() gives through a service what the store has", async () => {
  await using service = await TestService.start({ exclusive: true });
  const admin = await adminAt(service);
  assertEquals(await admin.pauses(), []);
  await service.add([{ provider: "é 🦆" }, { provider: "é 🦆" }]);
  const { admin: direct } = service.store;
  const waitMs = HOUR_MS;
  await direct.pause({ provider: "é 🦆" }, {
    kind: "limit",
    reason: "weekly",
    waitMs,
  });
  await direct.pause({ provider: "p" }, {
    kind: "budget",
    reason: "",
    waitMs: null,
  });
  const pauses = await admin.pauses();
  assertEquals(pauses, await direct.pauses());
  assertEquals(
    pauses.map(({ provider, waiting }) => [provider, waiting]).sort(),
    [["p", 0], ["é 🦆", 2]],
  );
});

Deno.test("Admin.pause() through a service pauses as a person, for a time or for good", async () => {
  await using service = await TestService.start({ exclusive: true });
  const admin = await adminAt(service);
  await admin.pause({ provider: "p" }, {
    kind: "person",
    reason: "why",
    waitMs: 90_500,
  });
  const [timed] = await service.store.admin.pauses();
  assertEquals([timed!.kind, timed!.reason], ["person", "why"]);
  assertEquals(+timed!.until! - +timed!.since, 90_500);
  await admin.pause({ provider: "p" }, {
    kind: "person",
    reason: "",
    waitMs: null,
  });
  const [lasting, ...others] = await service.store.admin.pauses();
  assertEquals([lasting!.reason, lasting!.until, others], ["", null, []]);
});

Deno.test("Admin.resume() through a service ends a provider's pauses, and says how many", async () => {
  await using service = await TestService.start({ exclusive: true });
  const admin = await adminAt(service);
  await admin.pause({ provider: "p" }, {
    kind: "person",
    reason: "",
    waitMs: null,
  });
  await admin.pause({ provider: "q" }, {
    kind: "person",
    reason: "",
    waitMs: null,
  });
  assertEquals(
    [
      await admin.resume({ provider: "p" }),
      await admin.resume({ provider: "p" }),
    ],
    [1, 0],
  );
  assertEquals((await admin.pauses()).map(({ provider }) => provider), ["q"]);
});

Deno.test("Admin.pause() through a service pauses a batch, or everything", async () => {
  await using service = await TestService.start({ exclusive: true });
  const admin = await adminAt(service);
  const options = { kind: "person", reason: "", waitMs: null } as const;
  await admin.pause({ batch: "nightly" }, options);
  await admin.pause({ provider: "*" }, options);
  assertEquals(
    (await admin.pauses()).map(({ provider, batch }) => [provider, batch]),
    [["*", ""], ["*", "nightly"]],
  );
  assertEquals(await admin.resume({ provider: "*" }), 1);
  assertEquals(await admin.resume({ batch: "nightly" }), 1);
});

Deno.test("Admin.pause() and resume() say that a token may only read", async () => {
  await using service = await TestService.start({
    exclusive: true,
    token: "all",
    readOnlyToken: "read",
  });
  const admin = await adminAt(service, "read");
  const options = { kind: "person", reason: "", waitMs: null } as const;
  for (
    const work of [
      () => admin.pause({ provider: "p" }, options),
      () => admin.resume({ provider: "p" }),
    ]
  ) await assertRejects(work, UserError, "may only read");
  assertEquals(await admin.pauses(), []);
});
