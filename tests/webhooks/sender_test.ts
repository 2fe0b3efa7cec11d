import { assertEquals } from "@std/assert";
import { createSender, type Send } from "../../lib/webhooks/sender.ts";
import { LIMIT_MS } from "../support/until.ts";
import { Receiver, SECRET } from "./webhook_receiver.ts";

const NOW = new Date("2026-01-19T18:30:00Z");
const MESSAGE = { id: "msg_1", body: '{"type":"test","data":{}}' };

const FAILED = { isDelivered: false, isGone: false, retryAfterMs: 0 };

function senderTo({ url }: Receiver, timeoutMs = LIMIT_MS): Send {
  const settings = { url, secretEnv: "SECRET", on: [], timeoutMs };
  return createSender(settings, () => SECRET);
}

const RETRY_AFTER: readonly (readonly [value: string, ms: number])[] = [
  ["7", 7_000],
  ["Mon, 19 Jan 2026 18:30:09 GMT", 9_000],
  ["Mon, 19 Jan 2026 18:29:00 GMT", 0],
  ["soon", 0],
];

for (const [value, retryAfterMs] of RETRY_AFTER) {
  Deno.test(`createSender() takes Retry-After "${value}" for ${retryAfterMs} ms`, async () => {
    await using receiver = new Receiver(() =>
      new Response(null, { status: 503, headers: { "Retry-After": value } })
    );
    assertEquals(await senderTo(receiver)(MESSAGE, { now: NOW }), {
      ...FAILED,
      error: "HTTP 503",
      status: 503,
      retryAfterMs,
    });
  });
}

Deno.test("createSender() gives up on what does not answer in time", async () => {
  await using receiver = new Receiver(() => "hang");
  assertEquals(await senderTo(receiver, 50)(MESSAGE, { now: NOW }), {
    ...FAILED,
    error: "no answer within 0.05 s",
    status: undefined,
  });
});

Deno.test("createSender() follows no redirect", async () => {
  await using elsewhere = new Receiver();
  await using receiver = new Receiver(() =>
    Response.redirect(elsewhere.url, 307)
  );
  assertEquals(await senderTo(receiver)(MESSAGE, { now: NOW }), {
    ...FAILED,
    error: "HTTP 307: redirects are not followed",
    status: 307,
  });
  assertEquals(elsewhere.received, []);
});
