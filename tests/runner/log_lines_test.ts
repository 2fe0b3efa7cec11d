import { assert, assertEquals, assertMatch } from "@std/assert";
import { AT_ONCE, Folder } from "../cli/cli.ts";

/** The fields of the table in docs/operate.md, beside those that each line has. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  database_created: ["database"],
  connected: ["database"],
  running: [],
  simulated: [],
  stopping: [],
  started: ["task", "provider", "attempt"],
  completed: ["task", "provider", "attempt", "runMs"],
  failed: ["task", "provider", "attempt", "runMs", "error"],
  retry_scheduled: [
    "task",
    "provider",
    "attempt",
    "runMs",
    "error",
    "retryAt",
  ],
  released: ["task", "provider", "attempt", "runMs", "reason"],
  cancelled: ["task", "provider", "attempt", "runMs"],
};
const ALWAYS = ["time", "level", "logger", "message", "event"];

/** Parses every line, and checks that it has what its event has. */
function linesOf(stderr: string): Record<string, unknown>[] {
  return stderr.trimEnd().split("\n").map((line) => {
    const fields = JSON.parse(line);
    const expected = FIELDS[fields.event];
    assert(expected, `an event that is not documented: ${line}`);
    assertEquals(
      Object.keys(fields).sort(),
      [...ALWAYS, ...expected].sort(),
      line,
    );
    assertMatch(fields.time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assertMatch(fields.level, /^(DEBUG|INFO|WARNING|ERROR)$/);
    assertEquals(fields.logger, "agent-runner");
    return fields;
  });
}

const JSON_LOG = { ...AT_ONCE, LOG_FORMAT: "json" };

Deno.test("run writes JSON lines with the documented fields", async () => {
  using folder = new Folder();
  const [good] = await folder.create([{ instruction: 'a "b"\n\u2028{c}' }]);
  const { stderr } = await folder.run(["run"], { env: JSON_LOG });
  const lines = linesOf(stderr);
  assertEquals(
    lines.map(({ event }) => event),
    ["connected", "simulated", "running", "started", "completed"],
  );
  assertEquals(lines.at(-1)?.task, good);
  assertEquals(typeof lines.at(-1)?.runMs, "number");
});

Deno.test("run writes why tasks failed, and when they are tried again", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "a" }, {
    instruction: "b",
    attempts: 2,
  }]);
  const { stderr } = await folder.run(["run"], {
    env: { ...JSON_LOG, HANDSFREE_AGENT_SIMULATE_FAILURE: "true" },
  });
  const lines = linesOf(stderr);
  const levels = (event: string) =>
    lines.filter((line) => line.event === event).map(({ level }) => level);
  // On a slow machine the second attempt is due before the pass is over.
  assertEquals(new Set(levels("failed")), new Set(["ERROR"]));
  assertEquals(levels("retry_scheduled"), ["WARNING"]);
});

Deno.test("run writes what it gives back when it is stopped", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "a" }]);
  await using process = folder.start(["run", "--loop", "--drain", "0"], {
    env: { ...JSON_LOG, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "60" },
  });
  await process.line(/"event":"started"/);
  process.signal("SIGTERM");
  const { stderr } = await process.ended();
  const events = linesOf(stderr).map(({ event }) => event);
  assertEquals(events.slice(-2), ["stopping", "released"]);
});

const ROOT = new URL("../../", import.meta.url);

/** The texts of all calls that write a line, with their files. */
async function logCalls(folder = new URL("lib/", ROOT)): Promise<string[][]> {
  const calls: string[][] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const url = new URL(isDirectory ? `${name}/` : name, folder);
    // What a browser runs has no log.
    if (isDirectory && name !== "page") calls.push(...await logCalls(url));
    if (!name.endsWith(".ts")) continue;
    const source = await Deno.readTextFile(url);
    for (
      const part of source.split(/log\??\.(?=(?:debug|info|warning|error)\()/i)
        .slice(1)
    ) {
      calls.push([url.pathname.slice(ROOT.pathname.length), firstCall(part)]);
    }
  }
  return calls;
}

/** Up to the parenthesis that ends the call at the beginning of a text. */
function firstCall(text: string): string {
  let depth = 0;
  const end = [...text].findIndex((char) => {
    if (char === "(") depth++;
    else if (char === ")") depth--;
    return char === ")" && depth === 0;
  });
  return text.slice(0, end + 1);
}

Deno.test("every line of the log has an event, and docs/operate.md has every event", async () => {
  const page = await Deno.readTextFile(new URL("docs/operate.md", ROOT));
  const [, table = ""] = page.split("| event ");
  const rows = table.split("\n\n")[0]?.split("\n").slice(2) ?? [];
  const documented = rows.flatMap((row) =>
    [...row.split("|")[1]?.matchAll(/`(\w+)`/g) ?? []].map(([, it = ""]) => it)
  );
  const calls = await logCalls();
  assert(calls.length > 40, `${calls.length} calls`);
  const events = calls.flatMap(([file, call = ""]) => {
    assertMatch(call, /\bevent\b|fields\b/, `a line without event: ${file}`);
    return [...call.matchAll(/(?:\bevent: |#fields\()"(\w+)"/g)]
      .map(([, it = ""]) => it);
  });
  for (const event of events) {
    assert(
      documented.includes(event),
      `docs/operate.md does not have ${event}`,
    );
  }
  // Those that a call takes from a variable, and what the log itself says.
  const dynamic = new Set([
    ...["completed", "cancelled", "failed", "retry_scheduled"],
    ...[
      "needs_input",
      "released",
      "limited",
      "webhook_failed",
      "log_lost",
      "no_guard",
    ],
  ]);
  assertEquals(
    documented.filter((it) => !events.includes(it) && !dynamic.has(it)),
    [],
  );
  assertEquals(new Set(documented).size, documented.length);
});
