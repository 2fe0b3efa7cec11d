import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { JsonObject } from "../../lib/task/task.ts";
import { AT_ONCE, Folder } from "./cli.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";
const QUESTION = "May it begin? Mend it";

/** A folder with a task that asks to be approved. */
async function asking(): Promise<Folder> {
  const folder = new Folder();
  await folder.create([
    { id: ID, instruction: "Mend it", needs_approval: true },
  ]);
  const { stderr } = await folder.run(["--once"], { env: AT_ONCE });
  assertStringIncludes(stderr, `Task ${ID} needs to be approved: ${QUESTION}`);
  return folder;
}

async function shown(folder: Folder) {
  return JSON.parse(await folder.ok(["show", ID, "--json"]));
}

Deno.test("a task asks to begin, is approved, and begins", async () => {
  using folder = await asking();
  const list = await folder.ok(["list"]);
  assertMatch(list, /^550e8400 {2}waiting for you /m);
  assertStringIncludes(
    list,
    "1 waits for your approval; agent-runner show ID says of what, approve ID " +
      "gives it.\n",
  );
  const text = await folder.ok(["show", "550e"]);
  assertMatch(text, /^ {2}Waits for +your approval of its start$/m);
  assertMatch(text, /^ {2}Question +May it begin\? Mend it$/m);
  assertMatch(text, /^ {2}Approve with +agent-runner approve 550e8400$/m);
  assertStringIncludes(
    await folder.ok(["run", "--dry-run"]),
    `waits for your approval of its start: ${QUESTION}`,
  );
  assertStringIncludes(
    await folder.fails(1, ["run-task", "550e"], { env: AT_ONCE }),
    `it waits for your approval of its start: ${QUESTION}\n` +
      "       Approve it: agent-runner approve 550e8400",
  );
  assertStringIncludes(
    await folder.fails(1, ["result", ID]),
    "it waits for your approval of its start",
  );

  assertEquals(
    await folder.ok(["approve", "550e"]),
    `Task ${ID} may begin: its start is approved\n`,
  );
  assertEquals((await shown(folder)).state, "running");
  await folder.ok(["--once"], { env: AT_ONCE });
  const { state, trace, events } = await shown(folder);
  assertEquals([state, trace.approved.of], ["completed", "start"]);
  assertEquals(
    events.map(({ kind }: { kind: string }) => kind),
    ["created", "started", "needs_input", "approved", "started", "completed"],
  );
  assertStringIncludes(
    await folder.fails(1, ["approve", ID]),
    `Cannot approve task ${ID}: it is completed already.`,
  );
});

Deno.test("answer does not approve, and says so", async () => {
  using folder = await asking();
  assertEquals(
    await folder.ok(["answer", "550e", "Yes"]),
    `Task ${ID} is told your answer, and is not approved by it. It asks again; ` +
      "agent-runner approve 550e8400 approves it.\n",
  );
  await folder.ok(["--once"], { env: AT_ONCE });
  const { state, trace } = await shown(folder);
  assertEquals([state, trace.asks_approval], ["needs_input", { of: "start" }]);
  assertEquals(trace.answers[0].answer, "Yes");
});

Deno.test("create --needs-approval says how to approve, and that works at once", async () => {
  using folder = new Folder();
  const said = await folder.ok(["create", "Mend it", "--needs-approval"]);
  const [, id = "", short] =
    /^Created task (\S+)\nIt begins when you approve it: agent-runner approve (\S+)\n$/
      .exec(said) ?? [];
  assertEquals(short, id.slice(0, 8));
  assertMatch(
    await folder.ok(["show", id]),
    /^ {2}Begins +when you approve it: agent-runner approve \w{8}$/m,
  );
  assertStringIncludes(
    await folder.ok(["run", "--dry-run"]),
    "asks for your approval before: ",
  );
  assertEquals(
    JSON.parse(await folder.ok(["approve", id, "--json"])),
    { id, result: "approved" },
  );
  const { stderr } = await folder.run(["--once"], { env: AT_ONCE });
  assertMatch(stderr, /Task \S+ completed/);
});

Deno.test("approve takes those that ask, by what they have in common, after a question", async () => {
  using folder = new Folder();
  const ask = { needs_approval: true, batch: "night" };
  const [asks = "", other = "", plain = "", asked = ""] = await folder.create([
    ask,
    { ...ask, batch: "day" },
    { batch: "night", run_at: "2099-01-01T00:00:00Z" },
    { batch: "night", trace: { simulate_question: "Which?" } },
  ]);
  await folder.ok(["--once"], { env: AT_ONCE });
  const list = await folder.ok(["list"]);
  assertStringIncludes(list, "1 waits for an answer; agent-runner show ID");
  assertStringIncludes(list, "2 wait for your approval; agent-runner show ID");
  assertStringIncludes(
    await folder.fails(2, ["approve", "--batch", "night"]),
    "Cannot approve 1 task (1 needs_input): there is no terminal",
  );
  assertStringIncludes(
    await folder.fails(2, ["approve"]),
    "Cannot approve a task without its id.",
  );
  assertEquals(
    await folder.ok(["approve", "--batch", "night", "--yes"]),
    "1 task approved\n",
  );
  assertEquals(
    await folder.ok(["approve", "--batch", "night", "--yes"]),
    "No such tasks.\n",
  );
  const { code, stdout } = await folder.run([
    "approve",
    ...[other, plain, asked, asks],
    "--json",
  ]);
  const result = JSON.parse(stdout);
  assertEquals([code, result.approved, result.not_asked], [1, 1, 3]);
  const stderr = await folder.fails(1, ["approve", asked, plain]);
  assertStringIncludes(
    stderr,
    `task ${asked}: it waits for an answer, not to be approved: agent-runner ` +
      `answer ${asked.slice(0, 8)} "…"`,
  );
  assertStringIncludes(
    stderr,
    `task ${plain}: it is created and does not ask to be approved.`,
  );
});

Deno.test("approve says which changes it approves, and with --head approves no others", async () => {
  const HEAD = "1b9d6bcdbbfd4b2d9b5dab8dfbbd4bed0123abcd";
  const asksMerge: JsonObject = { of: "merge", head: HEAD };
  const workspace: JsonObject = {
    ...{ repo: "/srv/app", host: "here", path: "/w", branch: "agent/fix" },
    ...{ base: "main", baseCommit: "0", head: HEAD, commits: 2 },
  };
  using folder = await asking();
  const no = await folder.fails(1, ["approve", ID, "--head", "1b9d"]);
  assertStringIncludes(
    no,
    "it asks for its start, of which there is no commit",
  );
  const trace = JSON.stringify({ asks_approval: asksMerge, workspace });
  await folder.rows(`UPDATE agent_tasks SET last_update = '${trace}'`);
  assertStringIncludes(
    await folder.fails(1, ["approve", ID, "--head", "1b9e"]),
    `Cannot approve task ${ID}: there are other changes by now. Look at them, ` +
      "and approve again: agent-runner diff 550e8400",
  );
  for (const args of [["--all", "--head", "1b9d"], [ID, "--head", "x"]]) {
    assertStringIncludes(
      await folder.fails(2, ["approve", ...args]),
      "Give both: agent-runner approve ID --head",
    );
  }
  assertEquals((await shown(folder)).state, "needs_input");
  assertEquals(
    await folder.ok(["approve", "550e", "--head", "1B9D6BCD"]),
    `Task ${ID} goes on: its changes are approved (agent/fix at 1b9d6bcd with ` +
      "2 commits)\n",
  );
  assertEquals((await shown(folder)).trace.approved.head, HEAD);
});

Deno.test("retry --note gives the new task a note from its start", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create([
    { trace: { simulate_failure: "No luck" } },
  ]);
  await folder.run(["--once"], { env: AT_ONCE });
  assertStringIncludes(
    await folder.fails(2, ["retry", id, "--note", " "]),
    "Cannot note: the note is empty.",
  );
  const said = await folder.ok(["retry", id, "--note", "-", "--json"], {
    stdin: "Look at é first\n",
  });
  const task = JSON.parse(
    await folder.ok(["show", JSON.parse(said).new_id, "--json"]),
  );
  assertEquals(task.trace.notes[0].text, "Look at é first");
  assertEquals(task.events.at(-1).kind, "noted");
});

Deno.test("edit changes what a task says of its repository, and that it needs approval", async () => {
  using folder = new Folder();
  await folder.create([{ id: ID, repo: "/srv/app", base: "main" }]);
  await folder.ok(
    ["edit", "550e", "--branch", "mine", "--base", "dev"].concat(
      ["--touches", "src/**", "--touches", "docs/**", "--needs-approval"],
    ),
  );
  const { repo, base, branch, touches, needs_approval } = await shown(folder);
  assertEquals(
    [repo, base, branch, touches, needs_approval],
    ["/srv/app", "dev", "mine", ["src/**", "docs/**"], true],
  );
});
