import { assertEquals } from "@std/assert";
import { lastMessageIn } from "../../../lib/processors/agent/final_text.ts";
import { readPieces, recordingsOf } from "./recorded.ts";
import { AGENTS } from "../../../lib/processors/agent/dialects.ts";

const QUESTION = '{"agent_runner": "question", "question": "Which {one}?"}';
const ASKED = { kind: "question", question: "Which {one}?" } as const;
const RESULT = '{"agent_runner": "result", "value": {"pr": [12, {}]}}';
const RESULTED = { kind: "result", value: { pr: [12, {}] } } as const;

const TEXTS: readonly (readonly [string, string, unknown])[] = [
  ["a line alone", QUESTION, ASKED],
  ["the last line", `I need to know.\n${QUESTION}`, ASKED],
  ["a line between prose", `I ask:\n${QUESTION}\r\nThank you.`, ASKED],
  ["an indented line", `I ask:\n\t  ${QUESTION}  \n`, ASKED],
  ["a fence", `I ask:\n\`\`\`json\n${QUESTION}\n\`\`\`\nBye.`, ASKED],
  ["a line of code", `\`${QUESTION}\``, ASKED],
  ["a list", `- ${QUESTION}`, ASKED],
  ["a quote", `> ${QUESTION}`, ASKED],
  [
    "many lines",
    '```\n{\n  "agent_runner": "question",\n  "question": "Which {one}?"\n}\n```',
    ASKED,
  ],
  [
    "another order",
    '{"question": "Which {one}?",\n "agent_runner": "question"}',
    ASKED,
  ],
  [
    "objects before its key",
    '{\n"value": [\n{"a": 1},\n{"b": 2}],\n"agent_runner": "result"}',
    { kind: "result", value: [{ a: 1 }, { b: 2 }] },
  ],
  ["a result", RESULT, RESULTED],
  ["the last of two", `${QUESTION}\n${RESULT}`, RESULTED],
  [
    "progress after it",
    `${QUESTION}\n{"agent_runner": "progress", "message": "m"}`,
    ASKED,
  ],
  ["a mistake after it", `${QUESTION}\n{"agent_runner": "qestion"}`, ASKED],
  ["no message", "All is done.", undefined],
  ["prose before it", `I would print ${QUESTION}`, undefined],
  ["prose behind it", `${QUESTION} is what I would print`, undefined],
  ["no end", QUESTION.slice(0, -1), undefined],
  ["no JSON", '{"agent_runner": question}', undefined],
  ["the word alone", '"agent_runner"', undefined],
  ["a value in another object", `{"a": ${QUESTION}}`, undefined],
  ["progress alone", '{"agent_runner": "progress", "message": "m"}', undefined],
  ["many words", '"agent_runner" '.repeat(100_000), undefined],
  [
    "many lines that begin",
    '{\n{"a": 1}\n{"agent_runner":\n'.repeat(100_000),
    undefined,
  ],
  ["many beginnings", '{"agent_runner": '.repeat(100_000), undefined],
];

for (const [name, text, message] of TEXTS) {
  Deno.test(`lastMessageIn() reads ${name}`, () => {
    assertEquals(lastMessageIn(text), message);
  });
}

Deno.test("lastMessageIn() says what is wrong with a message", () => {
  assertEquals(lastMessageIn('Hm.\n{"agent_runner": "question"}'), {
    kind: "mistake",
    why: 'it has no "question"',
  });
});

Deno.test("lastMessageIn() finds the question in each agent's final text", () => {
  for (const agent of AGENTS) {
    const recording = recordingsOf(agent).get("ask-text");
    if (!recording) continue;
    const { end } = readPieces(recording, [recording.stdout]);
    assertEquals(lastMessageIn(end.result ?? ""), {
      kind: "question",
      question: "Delete release/1.x?",
    });
  }
});
