import { assertEquals } from "@std/assert";
import { endOf } from "../../lib/store/decisions.ts";
import type { AgentTask } from "../../lib/task/task.ts";
import { sampleTask } from "../support/sample_task.ts";

const AT = new Date("2026-05-01T12:00:00Z");
const BEFORE = new Date(AT.getTime() - 1);
const AFTER = new Date(AT.getTime() + 1);

/** The event with which it ends; undefined: it does not. */
function endFor(fields: Partial<AgentTask>, leaseId: string | null) {
  const task = { ...sampleTask({ attempt: 3, ...fields }), questions: 0 };
  const { id: taskId, attempt } = task;
  const lease = leaseId === null
    ? { taskId, id: null, owner: null, attempt }
    : { taskId, id: leaseId, owner: "runner-a", attempt };
  return endOf({ task, lease }, { maxAttempts: 3, at: AT })?.event;
}

const LEASED = { state: "running", leaseOwner: "runner-a" } as const;
const FREE = { leaseOwner: null, leaseExpiresAt: null } as const;
const ASKS = { state: "needs_input", ...FREE } as const;

Deno.test("endOf() ends what a runner died with at its last attempt", () => {
  assertEquals(endFor({ ...LEASED, leaseExpiresAt: AT }, "lease"), "failed");
  const isAllowedMore = { maxAttempts: 4, leaseExpiresAt: BEFORE };
  assertEquals(endFor({ ...LEASED, ...isAllowedMore }, "lease"), undefined);
});

Deno.test("endOf() leaves a lease alone that was renewed", () => {
  const fields = { ...LEASED, leaseExpiresAt: AFTER };
  assertEquals(endFor(fields, "lease"), undefined);
  assertEquals(
    endFor({ ...fields, cancelRequestedAt: BEFORE }, "lease"),
    undefined,
  );
});

Deno.test("endOf() does not say of what was given back that its runner died", () => {
  const fields = { state: "running", ...FREE } as const;
  for (const runAt of [null, BEFORE, AFTER]) {
    assertEquals(endFor({ ...fields, runAt }, null), undefined);
  }
});

Deno.test("endOf() ends what is to be cancelled and nobody has, and no other state", () => {
  const cancelRequestedAt = BEFORE;
  const lapsed = { ...LEASED, leaseExpiresAt: BEFORE, cancelRequestedAt };
  assertEquals(endFor(lapsed, "lease"), "cancelled");
  assertEquals(endFor({ ...ASKS, cancelRequestedAt }, null), "cancelled");
  for (const state of ["created", "completed", "failed"] as const) {
    assertEquals(
      endFor({ state, ...FREE, cancelRequestedAt }, null),
      undefined,
    );
    assertEquals(endFor({ state, leaseExpiresAt: BEFORE }, "lease"), undefined);
  }
});

Deno.test("endOf() ends a question when its time is over", () => {
  const ends = [BEFORE, AT, AFTER, null].map((runAt) =>
    endFor({ ...ASKS, runAt }, null) !== undefined
  );
  assertEquals(ends, [true, true, false, false]);
});
