import { assertEquals } from "@std/assert";
import { type AgentSession, sessionOf } from "../../lib/task/session.ts";
import type { JsonValue } from "../../lib/task/task.ts";
import { noteInRun } from "../../lib/task/transitions.ts";
import { sampleTask } from "../support/sample_task.ts";

const BARE = { agent: "claude", id: "a-1", folder: "/work/a" };
const TOLD = { answers: 1, notes: 0 };

const SESSIONS: [value: JsonValue, session: AgentSession | undefined][] = [
  [BARE, BARE],
  [{ ...BARE, used: { input: 3 }, told: TOLD }, {
    ...BARE,
    used: { input: 3 },
    told: TOLD,
  }],
  [{ ...BARE, used: "much", told: { answers: -1, notes: 0 } }, BARE],
  [{ ...BARE, told: { answers: 1 } }, BARE],
  [{ ...BARE, told: [1, 2] }, BARE],
  [{ ...BARE, id: "" }, undefined],
  [{ ...BARE, folder: 1 }, undefined],
  ["a-1", undefined],
  [null, undefined],
];

for (const [session, expected] of SESSIONS) {
  Deno.test(`sessionOf() reads ${JSON.stringify(session)}`, () => {
    assertEquals(sessionOf({ session }), expected);
  });
}

Deno.test("noteInRun() puts a session into the trace, as sessionOf() reads it", () => {
  const session = { ...BARE, used: { input: 3 }, told: TOLD };
  const lease = { taskId: "t", id: "l", owner: "o", attempt: 1 };
  const { patch } = noteInRun({ task: sampleTask(), lease }, {
    kind: "session",
    detail: "claude a-1",
    session,
  });
  assertEquals(sessionOf(patch(new Date(), null)), session);
});
