import { assertEquals } from "@std/assert";
import { createSender } from "../../lib/webhooks/sender.ts";
import { Receiver, SECRET } from "./webhook_receiver.ts";

const NOW = new Date("2026-01-19T18:30:00Z");
const MESSAGE = { id: "msg_1", body: '{"type":"test","data":{}}' };

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
    const send = createSender({
      url: receiver.url,
      secretEnv: "SECRET",
      on: ["failed"],
      timeoutMs: 60_000,
    }, () => SECRET);
    assertEquals(await send(MESSAGE, { now: NOW }), {
      isDelivered: false,
      isGone: false,
      error: "HTTP 503",
      status: 503,
      retryAfterMs,
    });
  });
}
