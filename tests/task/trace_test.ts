import { assert, assertEquals } from "@std/assert";
import type { JsonObject } from "../../lib/task/task.ts";
import {
  MAX_JSON_DEPTH,
  mergeTrace,
  parseTrace,
  stringifyJson,
  UNREADABLE_KEY,
} from "../../lib/task/trace.ts";

const PATCH = { result: "success" };

for (const text of [null, "", " ", "\n\t"]) {
  Deno.test(`mergeTrace() starts a trace where there is ${JSON.stringify(text)}`, () => {
    assertEquals(mergeTrace(text, PATCH), '{"result":"success"}');
  });
}

const UNREADABLE = [
  "[1, 2]",
  '"a text"',
  "plain words",
  "17",
  "true",
  "NaN",
  '{"a": 1,}',
  '{"a": 1',
  '{"a": 1} x',
  "{'a': 1}",
  '{"a": undefined}',
  '{"a": 01}',
  '{"tab": "\t"}',
];

for (const text of UNREADABLE) {
  Deno.test(`mergeTrace() keeps the unreadable ${JSON.stringify(text)} whole`, () => {
    const merged = mergeTrace(text, PATCH);
    assertEquals(JSON.parse(merged), { [UNREADABLE_KEY]: text, ...PATCH });
  });

  Deno.test(`parseTrace() takes ${JSON.stringify(text)} for no trace`, () => {
    assertEquals(parseTrace(text), undefined);
  });
}

Deno.test("UNREADABLE_KEY is a name that a reader can find", () => {
  assertEquals(UNREADABLE_KEY, "unreadable_trace");
});

Deno.test("mergeTrace() merges twice without wrapping twice", () => {
  const once = mergeTrace("oops", { a: 1 });
  const twice = mergeTrace(once, { b: 2 });
  assertEquals(JSON.parse(twice), { unreadable_trace: "oops", a: 1, b: 2 });
});

const MERGES: [
  name: string,
  text: string,
  patch: JsonObject,
  merged: string,
][] = [
  ["adds to an empty object", "{}", { a: 1 }, '{"a":1}'],
  ["adds to a blank object", " { \n } ", { a: 1 }, ' {"a":1}'],
  ["adds after what is there", '{"a": 1}', { b: 2 }, '{"a": 1, "b":2}'],
  ["adds nothing", '{"a" : 1 }', {}, '{"a" : 1 }'],
  [
    "keeps the place of a replaced key",
    '{"a": 1, "b": 2, "c": 3}',
    { b: null, d: 4 },
    '{"a": 1, "b": null, "c": 3, "d":4}',
  ],
  ["replaces the first key", '{"a":1,"b":2}', { a: [] }, '{"a":[],"b":2}'],
  ["replaces the last key", '{"a":1,"b":{ } }', { b: 0 }, '{"a":1,"b":0 }'],
  [
    "keeps an integer beyond 2^53 as it stands",
    '{"id": 12345678901234567890123, "a": 1}',
    { a: 2, b: 3 },
    '{"id": 12345678901234567890123, "a": 2, "b":3}',
  ],
  [
    "keeps the form of numbers as it stands",
    '{"a": 1.0, "b": 1E5, "c": -0, "d": 0.1e-7}',
    { x: 1 },
    '{"a": 1.0, "b": 1E5, "c": -0, "d": 0.1e-7, "x":1}',
  ],
  [
    "keeps NaN and Infinity as they stand",
    '{"a": NaN, "b": [-Infinity, Infinity], "c": 1}',
    { c: 2, d: 3 },
    '{"a": NaN, "b": [-Infinity, Infinity], "c": 2, "d":3}',
  ],
  ["replaces NaN", '{"a": NaN, "b": 1}', { a: 0 }, '{"a": 0, "b": 1}'],
  [
    "keeps escaped non-ASCII as it stands",
    '{"who": "J\\u00fcrgen \\ud83d\\ude00", "a": 1}',
    { b: "ü" },
    '{"who": "J\\u00fcrgen \\ud83d\\ude00", "a": 1, "b":"ü"}',
  ],
  [
    "finds a key that is written with escapes",
    '{"\\u0061": 1, "b": 2}',
    { a: 3 },
    '{"\\u0061": 3, "b": 2}',
  ],
  [
    "does not take a nested key for its own",
    '{"x": {"a": 1}, "y": ["a", {"a": 2}], "a": 3}',
    { a: 4 },
    '{"x": {"a": 1}, "y": ["a", {"a": 2}], "a": 4}',
  ],
  [
    "is not misled by punctuation in strings",
    '{"x": "}, \\"a\\": 1 {[", "a\\"": ",", "a": 1}',
    { a: 2 },
    '{"x": "}, \\"a\\": 1 {[", "a\\"": ",", "a": 2}',
  ],
  [
    "replaces nested values whole",
    '{"a": {"b": [1, {"c": "]}"}]}, "d": [[], {}]}',
    { a: 1, d: 2 },
    '{"a": 1, "d": 2}',
  ],
  [
    "keeps a key that is given twice consistent",
    '{"a": 1, "b": 2, "a": 3}',
    { a: 4 },
    '{"a": 4, "b": 2, "a": 4}',
  ],
  [
    "adds a key named like a property of every object",
    '{"a": 1}',
    { toString: "x", constructor: "y" },
    '{"a": 1, "toString":"x","constructor":"y"}',
  ],
  [
    "writes a bigint as the integer it is",
    '{"a": 1}',
    { a: 9_007_199_254_740_993n },
    '{"a": 9007199254740993}',
  ],
  ["drops blanks around", '{"a": 1}\n', { b: 2 }, '{"a": 1, "b":2}'],
];

for (const [name, text, patch, merged] of MERGES) {
  Deno.test(`mergeTrace() ${name}`, () => {
    assertEquals(mergeTrace(text, patch), merged);
  });
}

Deno.test("mergeTrace() agrees with a model on random objects", () => {
  const random = randomFrom(20260119);
  for (let i = 0; i < 3_000; i++) {
    const text = JSON.stringify(
      randomObject(random),
      undefined,
      [undefined, 1, "\t"][random(3)],
    );
    const patch = randomObject(random);
    const model = {
      ...JSON.parse(text),
      ...JSON.parse(stringifyJson(patch)),
    };
    // As text, so that the order of the keys counts.
    assertEquals(
      JSON.stringify(JSON.parse(mergeTrace(text, patch))),
      JSON.stringify(model),
      `${text} + ${JSON.stringify(patch)}`,
    );
  }
});

Deno.test("mergeTrace() leaves every byte of other keys on random objects", () => {
  const random = randomFrom(7);
  for (let i = 0; i < 1_000; i++) {
    const text = JSON.stringify(randomObject(random), undefined, random(3));
    const merged = mergeTrace(text, { added: i });
    assert(merged.startsWith(text.slice(0, -1).trimEnd()), merged);
    const again = mergeTrace(merged, { added: "x" });
    assertEquals(again, merged.replace(/\d+\}$/, '"x"}'));
  }
});

const HUGE = 10 * 1024 * 1024;

Deno.test("mergeTrace() takes a text of 10 MB", () => {
  const log = '"log": "' + 'line \\"x\\"\\n'.repeat(HUGE / 12) + '"';
  const merged = mergeTrace(`{${log}, "a": 1}`, { a: 2, b: 3 });
  assert(merged === `{${log}, "a": 2, "b":3}`);
});

Deno.test("mergeTrace() takes a text of 10 MB beside NaN", () => {
  const log = `"log": "${"NaN 1234567890123456 ".repeat(HUGE / 21)}"`;
  const merged = mergeTrace(`{"n": NaN, ${log}, "a": 1}`, { a: 2 });
  assert(merged === `{"n": NaN, ${log}, "a": 2}`);
});

Deno.test("mergeTrace() keeps an unreadable text of 10 MB", () => {
  const text = "{".repeat(HUGE);
  const merged = JSON.parse(mergeTrace(text, { a: 1 }));
  assert(merged[UNREADABLE_KEY] === text);
  assertEquals(merged.a, 1);
});

const PARSED: [text: string | null, trace: JsonObject | undefined][] = [
  [null, undefined],
  ["", undefined],
  ["null", undefined],
  ["{}", {}],
  [' {"a": [1, null, true]} ', { a: [1, null, true] }],
  ['{"n": NaN, "text": "NaN Infinity"}', { n: null, text: "NaN Infinity" }],
  ['{"a": Infinity, "b": -Infinity}', { a: Infinity, b: -Infinity }],
  ['{"a": "\\u00fc \\" NaN", "b": NaN}', { a: 'ü " NaN', b: null }],
  ['{"a": "\\\\", "b": NaN}', { a: "\\", b: null }],
  ['{"max": 9007199254740991}', { max: 9_007_199_254_740_991 }],
  ['{"next": 9007199254740993}', { next: 9_007_199_254_740_993n }],
  ['{"least": [-9007199254740993]}', { least: [-9_007_199_254_740_993n] }],
  ['{"n": NaN, "id": 9007199254740993}', {
    n: null,
    id: 9_007_199_254_740_993n,
  }],
  ['{"a": 1e30, "b": 12345678901234567.5}', { a: 1e30, b: 12345678901234568 }],
  ['{"a": "12345678901234567890"}', { a: "12345678901234567890" }],
  ['{"a": NotANumber}', undefined],
  ['{"a": NaNa}', undefined],
];

for (const [text, trace] of PARSED) {
  Deno.test(`parseTrace() reads ${text}`, () => {
    assertEquals(parseTrace(text), trace);
  });
}

Deno.test("stringifyJson() gives back the integers that parseTrace() read", () => {
  const text = '{"a":[123456789012345678901234567890,-9007199254740993]}';
  assertEquals(stringifyJson(parseTrace(text) ?? null), text);
});

Deno.test("stringifyJson() indents a bigint like a number", () => {
  assertEquals(stringifyJson({ a: [1n] }, 2), '{\n  "a": [\n    1\n  ]\n}');
});

const KEYS = [
  "a",
  "b",
  "",
  "é",
  'q"',
  "\\",
  "{}",
  "a,b",
  "1",
  "0",
  "__proto__",
];
const SCALARS = [0, -1.5, 1e21, "", 'x"', "\\", "ü😀", "\ud800", null, true];

function randomObject(random: (n: number) => number, depth = 0): JsonObject {
  const entries = Array.from({ length: random(6) }, () => [
    KEYS[random(KEYS.length)],
    randomValue(random, depth + 1),
  ]);
  return Object.fromEntries(entries);
}

function randomValue(random: (n: number) => number, depth: number): unknown {
  const kind = random(depth > 2 ? 4 : 6);
  if (kind === 5) return randomObject(random, depth);
  if (kind < 4) return SCALARS[random(SCALARS.length)];
  return Array.from(
    { length: random(4) },
    () => randomValue(random, depth + 1),
  );
}

/** The same numbers below `n` at every run (mulberry32). */
function randomFrom(seed: number): (n: number) => number {
  return (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

Deno.test("stringifyJson() writes half a character as U+FFFD, and all else as it is", () => {
  const text = "\\ud83d \\\\ud83d 🦆 \u00ff";
  const halves = { "\ud83d": ["\udc00", `${text}\ud83d`] };
  const whole = { "\ufffd": ["\ufffd", `${text}\ufffd`] };
  assertEquals(JSON.parse(stringifyJson(halves)), whole);
  assert(stringifyJson(halves).isWellFormed());
});

Deno.test("parseTrace() takes what is nested deeper than any result for no trace", () => {
  const nested = (depth: number) =>
    `{"output": ${"[".repeat(depth)}${"]".repeat(depth)}}`;
  assert(parseTrace(nested(MAX_JSON_DEPTH)));
  assertEquals(parseTrace(nested(MAX_JSON_DEPTH + 1)), undefined);
  assertEquals(parseTrace(nested(6_000)), undefined);
});
