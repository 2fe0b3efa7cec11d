import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { AT_ONCE, Folder } from "./cli.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";
const NO_ID = "ffffffff-e29b-41d4-a716-446655440000";
const QUESTION = "Which branch?\x1b[2J\n  State  completed";

/** A folder with one task, which has asked. */
async function asking(): Promise<Folder> {
  const folder = new Folder();
  await folder.create([{ id: ID, trace: { simulate_question: QUESTION } }]);
  await folder.ok(["--once"], { env: AT_ONCE });
  return folder;
}

async function shown(folder: Folder) {
  return JSON.parse(await folder.ok(["show", ID, "--json"]));
}

Deno.test("a task asks, is answered, goes on, and its result is printed", async () => {
  using folder = await asking();
  const list = await folder.ok(["list"]);
  assertMatch(list, /^550e8400 {2}waiting for you \(simulated\) /m);
  assertStringIncludes(
    list,
    "1 waits for an answer; agent-runner show ID has the question.\n",
  );
  const text = await folder.ok(["show", "550e"]);
  assertMatch(text, /^ {2}Question +Which branch\?\\x1b\[2J\n {6}State/m);
  assertStringIncludes(text, 'agent-runner answer 550e8400 "…"');

  assertEquals(
    await folder.ok(["answer", "550e", "The main one"]),
    `Task ${ID} goes on with your answer\n`,
  );
  assertEquals((await shown(folder)).state, "running");
  await folder.ok(["--once"], { env: AT_ONCE });
  const { state, attempt, trace, events } = await shown(folder);
  assertEquals([state, attempt, trace.output], [
    "completed",
    2,
    "The main one",
  ]);
  assertEquals(
    events.map(({ kind }: { kind: string }) => kind),
    ["created", "started", "needs_input", "answered", "started", "completed"],
  );
  assertEquals(await folder.ok(["result", "550e"]), "The main one\n");
  assertEquals(
    await folder.ok(["result", ID, "--json"]),
    '"The main one"\n',
  );
});

Deno.test("answer reads standard input, and says in JSON what came of it", async () => {
  using folder = await asking();
  const stdin = "first line\nsecond 漢\n\n";
  assertEquals(
    JSON.parse(await folder.ok(["answer", ID, "-", "--json"], { stdin })),
    { id: ID, result: "answered" },
  );
  const { trace } = await shown(folder);
  assertEquals(trace.answers[0].answer, "first line\nsecond 漢");
  assertEquals(trace.answers[0].question, QUESTION);
  const again = await folder.run(["answer", ID, "x", "--json"]);
  assertEquals(again.code, 1);
  assertEquals(JSON.parse(again.stdout), { id: ID, result: "not asked" });
});

/** A folder with three tasks that have asked, the last of them of codex. */
async function manyAsking() {
  const folder = new Folder();
  const trace = { simulate_question: "Which?" };
  const ids = await folder.create([
    { provider: "claude", trace },
    { provider: "claude", trace },
    { provider: "codex", trace },
  ]);
  await folder.ok(["--once"], { env: AT_ONCE });
  return { folder, ids };
}

function goesOn(id: string): string {
  return `Task ${id} goes on with your answer\n`;
}

/** By the tasks' age. */
async function answersIn(folder: Folder) {
  const rows = await folder.rows(
    `SELECT last_update::JSON->>'$.answers[0].answer' AS answer
     FROM agent_tasks ORDER BY created_at, rowid`,
  );
  return rows.map(({ answer }) => answer);
}

Deno.test("answer takes many ids, answers those that wait, and says why not the others", async () => {
  const { folder, ids: [first = "", second = "", third = ""] } =
    await manyAsking();
  using _ = folder;
  const [created = ""] = await folder.create([
    { run_at: "2099-01-01T00:00:00Z" },
  ]);
  assertEquals(
    await folder.ok(["answer", first, first.toUpperCase(), second, "Main"]),
    [first, second].map(goesOn).join(""),
  );
  const args = ["answer", first, third, created, NO_ID, "Other"];
  const { code, stdout, stderr } = await folder.run(args);
  assertEquals([code, stdout], [1, goesOn(third)]);
  assertStringIncludes(stderr, `task ${first}: it is running and has asked`);
  assertStringIncludes(stderr, `task ${created}: it is created and has asked`);
  assertStringIncludes(stderr, `task ${NO_ID}: it is not there`);
  assertEquals(await answersIn(folder), ["Main", "Main", "Other", null]);
  const json = await folder.run(["answer", third, NO_ID, "x", "--json"]);
  assertEquals([json.code, json.stderr], [1, ""]);
  assertEquals(JSON.parse(json.stdout), {
    answered: 0,
    not_asked: 1,
    ended: 0,
    missing: 1,
    tasks: [
      { id: third, result: "not asked" },
      { id: NO_ID, result: "missing" },
    ],
  });
});

Deno.test("answer by state and provider asks for --yes without a terminal, then answers each", async () => {
  const { folder } = await manyAsking();
  using _ = folder;
  const args = ["answer", "--state", "needs_input", "--provider", "claude"];
  const stderr = await folder.fails(2, [...args, "Main"]);
  assertStringIncludes(stderr, "Cannot answer 2 tasks (2 needs_input)");
  assertStringIncludes(stderr, "Give --yes.");
  assertEquals(await answersIn(folder), [null, null, null]);
  assertEquals(
    await folder.ok([...args, "--yes", "-"], { stdin: "Main\n" }),
    "2 tasks answered\n",
  );
  assertEquals(await answersIn(folder), ["Main", "Main", null]);
  assertEquals(await folder.ok([...args, "--yes", "x"]), "No such tasks.\n");
  const json = await folder.ok(["answer", "--all", "--yes", "--json", "B"]);
  assertEquals(JSON.parse(json).answered, 1);
  assertEquals(await answersIn(folder), ["Main", "Main", "B"]);
});

Deno.test("answer takes neither words for ids nor the last of many ids for the answer", async () => {
  const { folder, ids } = await manyAsking();
  using _ = folder;
  const [first = "", second = "", third = ""] = ids;
  assertStringIncludes(
    await folder.fails(2, ["answer", ...ids]),
    `Cannot answer with "${third}"`,
  );
  assertStringIncludes(
    await folder.fails(2, ["answer", first, second.slice(0, 3), "x"]),
    "8 characters",
  );
  assertStringIncludes(
    await folder.fails(2, ["answer", first, "ffffffff", "x"]),
    'no task whose id begins with "ffffffff"',
  );
  assertEquals(await answersIn(folder), [null, null, null]);
  assertEquals(
    await folder.ok(["answer", first, second, "-"], { stdin: third }),
    [first, second].map(goesOn).join(""),
  );
});

Deno.test("a running --loop goes on with a task as soon as it is answered", async () => {
  using folder = await asking();
  await using process = folder.start(["--loop", "--interval", "3600"], {
    env: AT_ONCE,
  });
  await process.line(/Running until stopped/);
  await folder.ok(["answer", ID, "main"]);
  await process.line(/completed in/);
  process.signal("SIGTERM");
  await process.ended();
});

Deno.test("cancel ends a task that waits for an answer", async () => {
  using folder = await asking();
  await folder.ok(["cancel", ID]);
  assertEquals((await shown(folder)).trace.result, "cancelled");
  assertStringIncludes(
    await folder.fails(1, ["answer", ID, "x"]),
    `Cannot answer task ${ID}: it is failed already.`,
  );
});

const WRONG: Readonly<Record<string, [args: string[], says: string[]]>> = {
  "no id": [["answer"], ["without a task's id", "needs_input"]],
  "no answer": [["answer", ID], ["without an answer", "standard input"]],
  "an empty answer": [["answer", ID, " \n"], ["the answer is empty"]],
  "two answers": [["answer", ID, "a", "b"], ['"a"', "quotes"]],
  "only a filter": [["answer", "--all"], ["without an answer"]],
  "ids and a filter": [["answer", ID, "x", "--all"], ["by id and by --state"]],
  "another state": [["answer", "--state", "failed", "x"], ["needs_input"]],
  "an unknown id": [["answer", "ffff", "x"], ['"ffff"', "list"]],
};

for (const [name, [args, says]] of Object.entries(WRONG)) {
  Deno.test(`answer refuses ${name}`, async () => {
    using folder = new Folder();
    if (args[1] === "ffff") await folder.ok(["create", "x"]);
    const stderr = await folder.fails(2, args);
    for (const text of says) assertStringIncludes(stderr, text);
  });
}

Deno.test("answer refuses an answer from standard input that is empty, too long or no text", async () => {
  using folder = await asking();
  const inputs = [
    ["\n", "empty"],
    ["x".repeat(2 ** 20 + 1), "1048577 characters"],
    [new Uint8Array([0xff, 0xfe]), "not UTF-8"],
  ] as const;
  for (const [stdin, says] of inputs) {
    const stderr = await folder.fails(2, ["answer", ID, "-"], { stdin });
    assertStringIncludes(stderr, says);
  }
  assertEquals((await shown(folder)).state, "needs_input");
});

Deno.test("answer, cancel and result say that a task has a state nobody knows", async () => {
  using folder = new Folder();
  await folder.create([{ id: ID }]);
  await folder.rows(`UPDATE agent_tasks SET status = 'paused'`);
  assertStringIncludes(
    await folder.fails(1, ["answer", ID, "x"]),
    "it is paused",
  );
  assertStringIncludes(await folder.fails(1, ["result", ID]), "it is paused");
  assertStringIncludes(
    await folder.fails(1, ["cancel", ID]),
    "a state that agent-runner does not know",
  );
  assertStringIncludes(await folder.ok(["show", ID]), "paused");
  assertStringIncludes(await folder.ok(["list"]), "paused");
});

// Results

/** A completed task that has this in its trace. */
async function completedWith(output: unknown): Promise<Folder> {
  const folder = new Folder();
  await folder.create([{ id: ID, trace: { output } }]);
  await folder.ok(["--once"], { env: AT_ONCE });
  return folder;
}

Deno.test("result prints a text byte for byte, for a pipe", async () => {
  const text = "a\tb\x1b[31m\n  漢\r\n";
  using folder = await completedWith(text);
  assertEquals(await folder.ok(["result", ID]), text);
  const json = await folder.ok(["result", ID, "--json"]);
  assertFalse(json.includes("\x1b"));
  assertEquals(JSON.parse(json), text);
});

for (const output of [{ pr: 5, ok: [true, null] }, [], 0, false, null]) {
  Deno.test(`result prints ${JSON.stringify(output)} as JSON`, async () => {
    using folder = await completedWith(output);
    assertEquals(JSON.parse(await folder.ok(["result", ID])), output);
  });
}

Deno.test("result prints what the program of a failed task printed, and exits 1", async () => {
  using folder = new Folder();
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        "*": {
          processor: "command",
          shell: "echo two hours; echo of work; echo no key >&2; exit 1",
        },
        quiet: { processor: "command", shell: "echo no luck; exit 1" },
      },
    }),
  );
  await folder.create([{ id: ID }]);
  await folder.run(["--once"], { env: AT_ONCE });
  const { code, stdout, stderr } = await folder.run(["result", ID]);
  assertEquals([code, stdout], [1, "two hours\nof work\n"]);
  assertStringIncludes(stderr, "it is failed: Exit code 1: no key");
  const json = await folder.run(["result", ID, "--json"]);
  assertEquals(JSON.parse(json.stdout), {
    stdout: "two hours\nof work",
    stderr: "no key",
  });
  assertStringIncludes(await folder.ok(["show", ID]), "stdout: two hours");
  const [quiet = ""] = await folder.create([
    { provider: "quiet", instruction: "x" },
  ]);
  await folder.run(["--once"], { env: AT_ONCE });
  const said = await folder.run(["result", quiet]);
  assertEquals(said.stdout, "no luck\n");
  assertMatch(said.stderr, /: it is failed\. See what happened: /);
});

Deno.test("result exits 1 and says why where there is none", async () => {
  using folder = new Folder();
  const [created, failed, asked, completed] = await folder.create([
    { run_at: "2099-01-01T00:00:00Z" },
    { trace: { simulate_failure: "No luck", output: "half" } },
    { trace: { simulate_question: "Which?" } },
    {},
  ]);
  await folder.run(["--once"], { env: AT_ONCE });
  const expected = [
    [created, "has not run yet"],
    [failed, "it is failed: No luck"],
    [asked, "waits for an answer"],
    [completed, "completed without one"],
  ];
  for (const [id = "", says = ""] of expected) {
    const stderr = await folder.fails(1, ["result", id]);
    assertStringIncludes(stderr, says);
    assertStringIncludes(stderr, `agent-runner `);
  }
  const none = await folder.fails(2, ["result"]);
  assertStringIncludes(none, "without its task's id");
  assert((await folder.fails(2, ["result", "ffff"])).includes('"ffff"'));
});
