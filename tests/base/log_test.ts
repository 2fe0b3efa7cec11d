import { assertEquals, assertMatch } from "@std/assert";
import { assertSpyCalls, spy } from "@std/testing/mock";
import {
  createLog,
  formatLocalTime,
  type Log,
  type LogOptions,
  printable,
} from "../../lib/base/log.ts";
import { turn } from "../support/fake_clock.ts";

/** What the log writes while `use` uses it. */
async function written(
  options: LogOptions,
  use: (log: Log) => void,
): Promise<string> {
  let text = "";
  {
    using log = createLog({ ...options, write: (part) => text += part });
    use(log);
  }
  await turn(); // The log's own timer ends.
  return text;
}

function sayAll(log: Log): void {
  log.debug("d");
  log.info("i");
  log.warning("w");
  log.error("e");
}

Deno.test("createLog() writes lines in the form of HandsFree", async () => {
  const text = await written({}, (log) => log.info("Connected to x.duckdb"));
  assertMatch(
    text,
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - agent-runner - INFO - Connected to x\.duckdb\n$/,
  );
});

const LEVELS: [LogOptions["level"], string[]][] = [
  ["DEBUG", ["DEBUG - d", "INFO - i", "WARNING - w", "ERROR - e"]],
  [undefined, ["INFO - i", "WARNING - w", "ERROR - e"]],
  ["INFO", ["INFO - i", "WARNING - w", "ERROR - e"]],
  ["WARNING", ["WARNING - w", "ERROR - e"]],
  ["ERROR", ["ERROR - e"]],
];

for (const [level, expected] of LEVELS) {
  Deno.test(`createLog() writes from ${level ?? "INFO by default"} on`, async () => {
    const text = await written({ level }, sayAll);
    const lines = text.trimEnd().split("\n");
    assertEquals(
      lines.map((line) => line.split(" - agent-runner - ")[1]),
      expected,
    );
  });
}

Deno.test("createLog() says whether DEBUG lines are written", () => {
  assertEquals(createLog({ level: "DEBUG" }).isDebug, true);
  assertEquals(createLog().isDebug, false);
});

Deno.test("createLog() writes JSON lines with fields apart", async () => {
  const text = await written({ format: "json", level: "DEBUG" }, (log) => {
    log.warning("slow", { task: "t1", runMs: 7 });
    log.debug('two\n"lines"');
  });
  const [first, second, ...rest] = text.split("\n");
  assertEquals(rest, [""]);
  const { time, ...line } = JSON.parse(first ?? "");
  assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assertEquals(line, {
    level: "WARNING",
    logger: "agent-runner",
    message: "slow",
    task: "t1",
    runMs: 7,
  });
  assertEquals(JSON.parse(second ?? "").message, 'two\n"lines"');
});

Deno.test("createLog() leaves fields out of a text line", async () => {
  const text = await written({}, (log) => log.info("done", { task: "t1" }));
  assertMatch(text, / - INFO - done\n$/);
});

Deno.test("createLog() writes the lines of one turn at once", async () => {
  const write = spy((_text: string) => {});
  const log = createLog({ write });
  log.info("one");
  log.info("two");
  assertSpyCalls(write, 0);
  await turn();
  assertSpyCalls(write, 1);
  assertEquals(write.calls[0]?.args[0].split("\n").length, 3);
  log.info("three");
  await turn();
  assertSpyCalls(write, 2);
});

Deno.test("createLog() does not let a turn's lines grow without end", async () => {
  const write = spy((_text: string) => {});
  const log = createLog({ write });
  const message = "x".repeat(1_000);
  for (let i = 0; i < 200; i++) log.info(message);
  assertSpyCalls(write, 3);
  await turn();
  assertSpyCalls(write, 4);
  const text = write.calls.map(({ args }) => args[0]).join("");
  assertEquals(text.trimEnd().split("\n").length, 200);
});

Deno.test("Log.flush() writes what waits, and nothing twice", async () => {
  const write = spy((_text: string) => {});
  const log = createLog({ write });
  log.error("last words");
  log.flush();
  log.flush();
  assertSpyCalls(write, 1);
  await turn();
  assertSpyCalls(write, 1);
});

Deno.test("createLog() drops what can't be written, goes on, and says so later", async () => {
  let isFull = true;
  let text = "";
  const log = createLog({
    format: "json",
    write: (part) => {
      if (isFull) throw new Error("No space left on device (os error 28)");
      text += part;
    },
  });
  log.info("one");
  log.info("two\n  in two lines");
  log.flush();
  log.info("three");
  await turn(); // Written by the timer, where an error would end the process.
  isFull = false;
  log.info("four");
  log.flush();
  log.info("five");
  log.flush();
  await turn();
  const lines = text.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.map(({ level, message }) => [level, message]), [
    ["WARNING", "Lines of the log that could not be written: 3"],
    ["INFO", "four"],
    ["INFO", "five"],
  ]);
  assertEquals([lines[0].event, lines[0].count], ["log_lost", 3]);
});

const FORGED = "2026-01-19 18:30:00 - agent-runner - INFO - all is well";

for (const lineBreak of ["\n", "\r\n", "\r", "\n ", "\n\t"]) {
  Deno.test(`createLog() keeps ${JSON.stringify(lineBreak)} from forging a line`, async () => {
    const text = await written({}, (log) => log.info(`x${lineBreak}${FORGED}`));
    assertEquals(text.trimEnd().split(/[\r\n]/).length, 1, text);
  });
}

const PRINTABLE: [text: string, shown: string][] = [
  ["plain ü 漢 😀", "plain ü 漢 😀"],
  ["a\tb", "a\tb"],
  ["\x1b[2J", "\\x1b[2J"],
  ["\x00\x07\x7f", "\\x00\\x07\\x7f"],
  ["\x9b31m\x85", "\\x9b31m\\x85"],
  ["a\r\nb", "a\\x0d\\nb"],
  ["a\nb", "a\\nb"],
  ["a\n  indented", "a\n  indented"],
  ["ends\n", "ends\\n"],
];

for (const [text, shown] of PRINTABLE) {
  Deno.test(`printable() shows ${JSON.stringify(text)} as ${JSON.stringify(shown)}`, () => {
    assertEquals(printable(text), shown);
  });
}

Deno.test("formatLocalTime() gives the time of the place with two digits", () => {
  assertEquals(
    formatLocalTime(new Date(2026, 0, 9, 8, 3, 5)),
    "2026-01-09 08:03:05",
  );
});
