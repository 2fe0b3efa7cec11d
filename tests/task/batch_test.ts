import { assertEquals } from "@std/assert";
import {
  batchEndedText,
  parseBatchEnded,
  type StateCounts,
} from "../../lib/task/batch.ts";

const COUNTS: readonly StateCounts[] = [
  { completed: 10, failed: 2, cancelled: 1 },
  { failed: 1 },
  { "on hold": 3 },
];

Deno.test("parseBatchEnded() reads what batchEndedText() says, whatever the name", () => {
  for (const name of ["nightly", "a: 3 failed", 'ü "x": y', "1 a"]) {
    for (const counts of COUNTS) {
      const text = batchEndedText(name, counts);
      assertEquals(parseBatchEnded(text), { name, counts });
    }
  }
  assertEquals(
    batchEndedText("nightly", { completed: 10, failed: 2 }),
    "nightly: 10 completed, 2 failed",
  );
});

Deno.test("parseBatchEnded() makes nothing of another text", () => {
  for (const text of ["", "nightly", "nightly: many completed", ": 1 failed"]) {
    assertEquals(parseBatchEnded(text), undefined);
  }
});
