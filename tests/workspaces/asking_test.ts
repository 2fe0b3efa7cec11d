import { assertEquals } from "@std/assert";
import { asked } from "../../lib/workspaces/asking.ts";

const FACTS = {
  repo: "/app",
  host: "here",
  path: "/app-1",
  branch: "agent/fix",
  base: "main",
  baseCommit: "a".repeat(40),
};

for (
  const [question, shown] of [
    ["Merge it? +1 −1", "Merge it? +1 −1. It left 1 stash"],
    ["Then approve it again.", "Then approve it again. It left 1 stash"],
  ] as const
) {
  Deno.test(`asked() sets a warning behind ${question}`, () => {
    const done = { kind: "completed", warning: "It left 1 stash" } as const;
    assertEquals(asked(question, FACTS, done).question, shown);
  });
}
