import { assert } from "@std/assert";
import { AGENTS, DIALECTS } from "../../../lib/processors/agent/dialects.ts";
import type { JsonObject, JsonValue } from "../../../lib/task/task.ts";
import { Random } from "../../chaos/random.ts";
import { linesOf } from "./recorded.ts";

const RUNS = 3_000;

const STRANGE: readonly JsonValue[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e300,
  -1e300,
  8.64e15,
  12345678901234567890n,
  "",
  " \n\t ",
  "x".repeat(2_000),
  "\ud800",
  "__proto__",
  "constructor",
  "toString",
  "{",
  '{"error": null}',
  '{"error": {"type": [], "code": {}, "resets_at": "soon"}}',
  "[API Error: ",
  "[API Error: {}]",
  "[API Error: 429]",
  "try again at 99:99 PM",
  "You’ve hit your usage limit. Try again at Feb 31st, 9999 1:00 AM",
  "You've hit your usage limit. or try again at 25:61 AM.",
  [],
  {},
  [null, [], {}, "a", 1],
  { __proto__: null, toString: 1, message: [], type: {}, text: {} },
  { content: {}, input: [], error: 5 },
];

const TEXTS = STRANGE.filter((it) => typeof it === "string");

function oneOf<T>(list: readonly T[], random: Random): T {
  return list[random.between(0, list.length - 1)]!;
}

/** The value with something strange in some place of it. */
function spoilt(value: JsonValue, random: Random): JsonValue {
  if (random.is(1 / 8)) return oneOf(STRANGE, random);
  if (Array.isArray(value)) return value.map((it) => spoilt(it, random));
  if (typeof value !== "object" || value === null) return value;
  return spoiltObject(value, random);
}

function spoiltObject(object: JsonObject, random: Random): JsonObject {
  const keys = Object.keys(object);
  const entries = Object.entries(object).flatMap(([key, value]) => {
    if (random.is(1 / 12)) return [];
    const other = random.is(1 / 12) ? oneOf(keys, random) : key;
    return [[other, spoilt(value, random)] as const];
  });
  return Object.fromEntries(entries);
}

for (const agent of AGENTS) {
  Deno.test(`${agent}.read() throws on no object, whatever its shape`, () => {
    const random = new Random(20_261_128);
    const lines = linesOf(agent);
    const types = [...new Set(lines.map(({ type }) => String(type)))];
    for (let run = 0; run < RUNS; run++) {
      const reader = DIALECTS[agent].read({
        now: () => new Date("2026-11-28T02:34:10Z"),
        usedBefore: random.is(1 / 2) ? { input: 500 } : undefined,
      });
      for (let count = random.between(1, 6); count > 0; count--) {
        const line = spoiltObject(oneOf(lines, random), random);
        const type = random.is(1 / 4) ? oneOf(types, random) : undefined;
        const signs = reader.line(
          type === undefined ? line : { ...line, type },
        );
        for (const sign of signs) assertSound(sign);
      }
      const end = reader.end({
        code: random.is(1 / 3) ? 0 : random.between(0, 255),
        signal: random.is(1 / 9) ? "SIGTERM" : null,
        plain: "",
        stderr: oneOf(TEXTS, random),
      });
      assert(end.error || end.result?.trim());
      assert(end.error === undefined || end.error.message.trim() !== "");
      assert((end.error?.message.length ?? 0) < 600);
      assert(!Number.isNaN(end.error?.until?.getTime()));
    }
  });
}

/** All texts of a sign are texts, and short but for what the agent says. */
function assertSound(sign: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(sign)) {
    if (key === "isPart" || key === "usage") continue;
    assert(typeof value === "string");
    assert(key === "text" || key === "id" || value.length < 600);
  }
}
