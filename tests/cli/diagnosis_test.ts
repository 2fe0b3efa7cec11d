import { assertEquals } from "@std/assert";
import { isHealthy, renderChecks } from "../../lib/cli/diagnosis.ts";
import type { Check } from "../../lib/store/contract.ts";

const CHECKS: readonly Check[] = [
  { name: "disk", level: "ok", message: "1 GB free" },
  {
    name: "waiting",
    level: "warn",
    message: "3 tasks wait for a runner, the oldest for 2h 5m",
    advice: "Start one: agent-runner run --loop.",
  },
];

Deno.test("renderChecks() breaks lines between words where the screen ends", () => {
  assertEquals(
    renderChecks(CHECKS, { width: 40, hasColor: false }),
    [
      "ok    disk     1 GB free",
      "warn  waiting  3 tasks wait for a",
      "               runner, the oldest for 2h",
      "               5m",
      "               Start one: agent-runner",
      "               run --loop.",
      "",
      "It works; 1 thing wants a look.",
      "",
    ].join("\n"),
  );
});

Deno.test("renderChecks() breaks no line where there is no screen, and shows control characters", () => {
  const hostile = `${"word ".repeat(50)}\x1b[31m`;
  const text = renderChecks(
    [{ name: "access", level: "fail", message: hostile }],
    { width: undefined, hasColor: false },
  );
  assertEquals(text.split("\n")[0]?.slice(-10), "ord \\x1b[31m".slice(-10));
  assertEquals(text.split("\n").at(-2), "1 thing does not work.");
});

Deno.test("isHealthy() minds failures, and no warnings", () => {
  assertEquals(isHealthy(CHECKS), true);
  const failure: Check = { name: "disk", level: "fail", message: "full" };
  assertEquals(isHealthy([...CHECKS, failure]), false);
});
