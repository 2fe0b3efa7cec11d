import { assert, assertEquals } from "@std/assert";
import type {
  AgentReader,
  AgentSign,
} from "../../../lib/processors/agent/dialect.ts";
import { AGENTS, DIALECTS } from "../../../lib/processors/agent/dialects.ts";
import { AgentStream } from "../../../lib/processors/agent/stream.ts";
import type { JsonObject } from "../../../lib/task/task.ts";
import { linesOf, readPieces, recordingsOf } from "./recorded.ts";

const ENDED = { code: 0, signal: null, stderr: "" };

/** Takes down what it is given. */
class Note implements AgentReader {
  readonly lines: JsonObject[] = [];
  plain = "";

  line(object: JsonObject): readonly AgentSign[] {
    this.lines.push(object);
    return [{ kind: "text", text: String(object.n) }];
  }

  end({ plain }: { plain: string }) {
    this.plain = plain;
    return { result: "Done.", denied: ["Write a.txt"] };
  }
}

function open(maxLine?: number) {
  const reader = new Note();
  const signs: AgentSign[] = [];
  const stream = new AgentStream({
    reader,
    onSign: (sign) => signs.push(sign),
    ...maxLine !== undefined && { maxLine },
  });
  return { reader, signs, stream };
}

Deno.test("AgentStream reads lines in pieces, the last one without its end", () => {
  const { reader, signs, stream } = open();
  for (
    const piece of ['{"n"', ':1}\n{"n":2}\r', '\n\n  {"n":3}\n{"n"', ":4}"]
  ) {
    stream.push(piece);
  }
  assertEquals(reader.lines.length, 3);
  assertEquals(stream.end(ENDED).result, "Done.");
  assertEquals(reader.lines, [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }]);
  assertEquals(signs.at(-1), { kind: "denied", detail: "Write a.txt" });
});

Deno.test("AgentStream keeps what is no JSON object, and tells of it", () => {
  const { reader, signs, stream } = open();
  stream.push('Loading…\n[1]\n{"n":1\nnull\n\u001b[31mOh no\u001b[0m\n');
  stream.end(ENDED);
  assertEquals(reader.lines, []);
  assertEquals(
    reader.plain,
    'Loading…\n[1]\n{"n":1\nnull\n\u001b[31mOh no\u001b[0m',
  );
  assertEquals(signs.slice(0, -1).at(-1), { kind: "notice", text: "Oh no" });
});

Deno.test("AgentStream keeps a bounded part of what is no JSON object", () => {
  const { reader, stream } = open();
  for (let n = 0; n < 10_000; n++) stream.push(`This is the line ${n}\n`);
  stream.end(ENDED);
  assert(reader.plain.length < 25_000);
  assert(reader.plain.startsWith("This is the line 0\n"));
  assert(reader.plain.endsWith("This is the line 9999"));
});

Deno.test("AgentStream leaves out a line that is too long, and says so", () => {
  const { reader, signs, stream } = open(1_000);
  const long = JSON.stringify({ text: "x".repeat(5_000) });
  stream.push('{"n":1}\n');
  for (let at = 0; at < long.length; at += 300) {
    stream.push(long.slice(at, at + 300));
  }
  stream.push('\n{"n":2}\n');
  stream.push(long.slice(0, 2_000));
  stream.end(ENDED);
  assertEquals(reader.lines, [{ n: 1 }, { n: 2 }]);
  assertEquals(reader.plain, "");
  const notice = (length: string) => ({
    kind: "notice",
    text: `A line of ${length} characters was left out: it is too long`,
  });
  assertEquals(signs.filter(({ kind }) => kind === "notice"), [
    notice("5,011"),
    notice("2,000"),
  ] as AgentSign[]);
});

for (const agent of AGENTS) {
  Deno.test(`AgentStream takes ${agent}'s streams cut at each byte`, () => {
    for (const recording of recordingsOf(agent).values()) {
      const bytes = new TextEncoder().encode(recording.stdout);
      const whole = JSON.stringify(readPieces(recording, [recording.stdout]));
      for (let at = 0; at <= bytes.length; at++) {
        const pieces = decode([bytes.subarray(0, at), bytes.subarray(at)]);
        const read = JSON.stringify(readPieces(recording, pieces));
        if (read !== whole) assertEquals(read, whole);
      }
      const single = decode(Array.from(bytes, (byte) => Uint8Array.of(byte)));
      assertEquals(JSON.stringify(readPieces(recording, single)), whole);
    }
  });

  Deno.test(`${agent}.read() takes a line of 10 MB, and many pieces of one`, () => {
    const text = "All is well. ".repeat(80_000);
    const long: Record<string, unknown> = {};
    for (const key of ["result", "text", "message", "content", "error"]) {
      long[key] = text;
    }
    const before = performance.now();
    for (const type of new Set(linesOf(agent).map(({ type }) => type))) {
      const reader = DIALECTS[agent].read({ now: () => new Date() });
      const stream = new AgentStream({ reader, onSign: () => {} });
      const line = JSON.stringify({
        ...long,
        type,
        is_error: true,
        role: "assistant",
        item: { ...long, type: "agent_message" },
        part: long,
        message: { content: [{ type: "text", text }] },
      });
      assert(line.length > 9_000_000);
      for (let at = 0; at < line.length; at += 1_000) {
        stream.push(line.slice(at, at + 1_000));
      }
      const { error } = stream.end({ ...ENDED, code: 1 });
      assert((error?.message.length ?? 0) < 600);
    }
    // What is quadratic takes hours for it.
    assert(performance.now() - before < 20_000);
  });
}

function* decode(pieces: Iterable<Uint8Array>): Generator<string> {
  const decoder = new TextDecoder();
  for (const piece of pieces) yield decoder.decode(piece, { stream: true });
  yield decoder.decode();
}
