import { assertEquals } from "@std/assert";
import { cut } from "../../lib/base/cut.ts";
import {
  fractionOf,
  MAX_PROGRESS_CHARACTERS,
  percent,
  progressOf,
  progressText,
} from "../../lib/task/progress.ts";

const FRACTIONS: [given: unknown, fraction: number | undefined][] = [
  [undefined, undefined],
  [0, 0],
  [1, 1],
  [0.123456, 0.1235],
  [1.5, 1],
  [-0.1, 0],
  [NaN, undefined],
  [Infinity, undefined],
  ["0.5", undefined],
  [null, undefined],
  [{}, undefined],
];

for (const [given, fraction] of FRACTIONS) {
  Deno.test(`progressOf() takes the fraction ${String(given)} for ${fraction}`, () => {
    assertEquals(progressOf("x", given), { message: "x", fraction });
  });
}

Deno.test("progressOf() takes any message", () => {
  const messages = [undefined, 5, new Error("boom"), Object.create(null)];
  assertEquals(messages.map((it) => progressOf(it).message), [
    "undefined",
    "5",
    "boom",
    "Unknown error",
  ]);
});

Deno.test("progressOf() cuts a message that is too long, and says so", () => {
  const most = "x".repeat(MAX_PROGRESS_CHARACTERS);
  assertEquals(progressOf(most).message, most);
  assertEquals(
    progressOf(`${most}y`).message,
    `${most}… (cut: 1,001 characters in all)`,
  );
});

Deno.test("cut() leaves no half of a character", () => {
  assertEquals(cut("abc🦆", 4), "abc… (cut: 5 characters in all)");
  assertEquals(cut("abc🦆", 5), "abc🦆");
});

Deno.test("fractionOf() reads what a trace has, and nothing else", () => {
  assertEquals(fractionOf({ progress_fraction: 0.4 }), 0.4);
  assertEquals(fractionOf({ progress_fraction: "0.4" }), undefined);
  assertEquals(fractionOf({ progress_fraction: null }), undefined);
  assertEquals(fractionOf({}), undefined);
  assertEquals(fractionOf(undefined), undefined);
});

Deno.test("progressText() says how much is done where that is known", () => {
  assertEquals(percent(0.405), "41%");
  assertEquals(progressText({ message: "Half", fraction: 0.5 }), "50%: Half");
  assertEquals(progressText({ message: "Half" }), "Half");
});
