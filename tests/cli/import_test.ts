import { assert, assertEquals, assertMatch } from "@std/assert";
import { Gh } from "../support/gh.ts";
import { AT_ONCE, Folder } from "./cli.ts";

const IMPORT = ["import", "github", "octo/app", "--label", "agent"];
const ISSUE = {
  number: 12,
  title: "It breaks",
  body: "At start.\r\nEach time.",
  labels: ["agent", "bug"],
  comments: [
    { author: { login: "bob" }, body: "Here too.", viewerDidAuthor: false },
  ],
};
const OTHER = { number: 9, title: "Not yet", body: "", labels: ["bug"] };
const SECOND = { number: 13, title: "And", body: "this.", labels: ["agent"] };

/** A folder in which there is a `gh`. */
function withGh(): {
  folder: Folder;
  gh: Gh;
  options: { env: typeof AT_ONCE };
} {
  const folder = new Folder();
  const gh = new Gh(folder.path);
  gh.change({ issues: [OTHER, ISSUE] });
  const PATH = `${gh.bin}:${Deno.env.get("PATH")}`;
  return { folder, gh, options: { env: { ...AT_ONCE, PATH } as never } };
}

async function tasks(folder: Folder, options: object) {
  return JSON.parse(await folder.ok(["list", "--json"], options));
}

Deno.test("import makes a task of each issue with the label, once, even though it has ended", async () => {
  const { folder, gh, options } = withGh();
  using _ = folder;
  assertEquals(
    await folder.ok([...IMPORT, "--dry-run"], options),
    "Would create a task for octo/app#12: It breaks\n",
  );
  const args = [...IMPORT, "--provider", "simulate", "--tag", "night"];
  assertMatch(
    await folder.ok(args, options),
    /^Created task \S{36} for octo\/app#12: It breaks\n$/,
  );
  const [task] = await tasks(folder, options);
  assertEquals(
    task.instruction,
    [
      "It breaks",
      "At start.\nEach time.",
      "bob commented:",
      "Here too.",
    ].join("\n\n"),
  );
  assertEquals(
    [task.target_ref, task.key, task.tags],
    ["octo/app#12", "github:octo/app#12", ["github", "agent", "night"]],
  );
  assertEquals(
    await folder.ok(args, options),
    "1 issue had a task already\n",
  );
  await folder.ok(["run", "--once"], options);
  gh.change({ issues: [ISSUE, SECOND] });
  const json = JSON.parse(await folder.ok([...args, "--json"], options));
  assertEquals(json.existing, [{ id: task.id, target: "octo/app#12" }]);
  assertEquals(json.created.map(({ target }: { target: string }) => target), [
    "octo/app#13",
  ]);
  assert(gh.state.calls.every(([, what]) => what === "list"));
});

Deno.test("import --comment tells an issue once, also where it is killed before it could note that", async () => {
  const { folder, gh, options } = withGh();
  using _ = folder;
  const args = [...IMPORT, "--comment"];
  await folder.ok(args, options);
  assertEquals(gh.state.issues[1]!.comments, ISSUE.comments);
  await folder.ok(["run", "--once"], options);
  assertMatch(
    await folder.ok([...args, "--dry-run"], options),
    /Would comment on octo\/app#12/,
  );
  gh.killAfter("issue comment");
  const killed = await folder.run(args, options);
  assert(killed.code !== 0);
  await folder.ok(args, options);
  await folder.ok(args, options);
  const comments = gh.state.issues[1]!.comments!;
  const [task] = await tasks(folder, options);
  assertEquals(comments.length, 2);
  assertEquals(
    comments[1]!.body,
    `Simulated.\n\n<!-- agent-runner task ${task.id} -->`,
  );
  assertMatch(
    await folder.ok(["show", task.id], options),
    /commented.*octo\/app#12/,
  );
  assertEquals(
    gh.state.calls.filter(([, what]) => what === "comment").length,
    1,
  );

  // Its task is gone, but what it was told is not.
  await folder.ok(["prune", "--older-than", "0.001s", "--yes"], options);
  assertEquals(await tasks(folder, options), []);
  assertEquals(await folder.ok(args, options), "1 issue had a task already\n");
});

Deno.test("import --comment takes its comment back where another importer was first", async () => {
  const { folder, gh, options } = withGh();
  using _ = folder;
  await folder.ok(IMPORT, options);
  await folder.ok(["run", "--once"], options);
  gh.change({ isRaced: true });
  assertEquals(
    await folder.ok([...IMPORT, "--comment"], options),
    "1 issue had a task already\n",
  );
  const comments = gh.state.issues[1]!.comments!;
  assertEquals(comments.map(({ url }) => url), [
    undefined,
    "https://github.com/octo/app/issues/12#issuecomment-2",
  ]);
});

Deno.test("import reads more comments than gh lists of an issue", async () => {
  const { folder, gh, options } = withGh();
  using _ = folder;
  const of = (login: string, body: string) => ({
    author: { login },
    body,
    viewerDidAuthor: login === "me",
  });
  const many = Array.from({ length: 100 }, (_, at) => of("bob", `No. ${at}`));
  const id = "7d444840-9dc0-41d1-b245-5ffdce74fad2";
  const told = of("me", `Completed.\n\n<!-- agent-runner task ${id} -->`);
  gh.change({
    issues: [
      { ...ISSUE, comments: [...many, of("eve", "The last word.")] },
      { ...SECOND, comments: [...many, told] },
    ],
  });
  const json = JSON.parse(await folder.ok([...IMPORT, "--json"], options));
  assertEquals(json.existing, [{ id, target: "octo/app#13" }]);
  const [{ instruction }] = await tasks(folder, options);
  assertMatch(instruction, /eve commented:\n\nThe last word\.$/);
});

Deno.test("import --comment goes on where one issue takes none", async () => {
  const { folder, gh, options } = withGh();
  using _ = folder;
  gh.change({ issues: [ISSUE, SECOND] });
  await folder.ok(IMPORT, options);
  for (const { id } of await tasks(folder, options)) {
    await folder.ok(["cancel", id], options);
  }
  // It was removed.
  gh.change({ issues: [SECOND] });
  const { code, stdout, stderr } = await folder.run(
    [...IMPORT, "--comment"],
    options,
  );
  assertEquals(code, 0);
  assertMatch(stderr, /Cannot comment on octo\/app#12: .*no issue 12/);
  assertMatch(stdout, /^Commented on octo\/app#13, task /m);
});

Deno.test("import --watch goes on where gh fails, and ends with a signal", async () => {
  const { folder, gh, options } = withGh();
  using _ = folder;
  gh.change({ fails: "HTTP 502" });
  const watching = folder.start(
    [...IMPORT, "--watch", "--interval", "0.05", "--json"],
    options,
  );
  await using __ = watching;
  await watching.line(/gh issue list failed: HTTP 502.*Looking again in 1 s/);
  gh.change({ fails: undefined });
  for (;;) {
    if (
      (await folder.run(["list", "--json"], options)).stdout.includes("#12")
    ) {
      break;
    }
  }
  gh.change({ issues: [ISSUE, SECOND] });
  for (;;) {
    if ((await folder.ok(["list", "--json"], options)).includes("#13")) break;
  }
  watching.signal("SIGTERM");
  const { code, stdout } = await watching.ended();
  assertEquals(code, 0);
  assertEquals(
    stdout.trim().split("\n").map((line) => JSON.parse(line).created[0].target),
    ["octo/app#12", "octo/app#13"],
  );
});

Deno.test("import --dispatch takes the repository from the issue, and refuses one without, or a stranger's", async () => {
  const { folder, gh, options } = withGh();
  using _ = folder;
  gh.change({
    issues: [
      { ...ISSUE, body: "Target Repository: octo/tool" },
      { ...SECOND, body: "Target Repository: evil/tool" },
      { ...SECOND, number: 14 },
      {
        ...SECOND,
        number: 15,
        body:
          '<!-- agent_task_metadata {"repository": "octo/x", "base": "a..b"} -->',
      },
    ],
  });
  const { stdout, stderr } = await folder.run(
    [...IMPORT, "--dispatch", "--clone-url", "file:///srv/{repository}.git"],
    options,
  );
  assertMatch(stdout, /^Created task \S+ for octo\/app#12: It breaks\n$/);
  assertMatch(
    stderr,
    /#13: its target evil\/tool is not of octo.*--owner octo,evil/,
  );
  assertMatch(stderr, /#14: it names no target/);
  assertMatch(stderr, /#15: .*the base "a..b"/);
  const [task] = await tasks(folder, options);
  assertEquals(
    [task.repo, task.target_ref, task.instruction],
    [
      "file:///srv/octo/tool.git",
      "octo/app#12",
      // Without its comments.
      "It breaks\n\nTarget Repository: octo/tool",
    ],
  );
});

Deno.test("import says that there is no issue only where there is none", async () => {
  const { folder, gh, options } = withGh();
  using _ = folder;
  const other = [...IMPORT.slice(0, -1), "nobody"];
  assertEquals(await folder.ok(other, options), "No issue to import\n");
  gh.change({ issues: [SECOND] });
  const refused = await folder.run([...IMPORT, "--dispatch"], options);
  assertEquals(refused.stdout, "");
  assertMatch(refused.stderr, /#13: it names no target/);
  Deno.removeSync(`${gh.bin}/gh`);
  const PATH = gh.bin;
  const missing = await folder.run(IMPORT, { env: { PATH } as never });
  assertEquals(missing.stdout, "");
});

const MISTAKES: [args: string[], error: RegExp][] = [
  [[], /without a repository/],
  [["octo"], /expected owner\/name/],
  [["octo/app"], /without a label/],
  [["octo/app", "--label", "a", "--interval", "5"], /without --watch/],
  [["octo/app", "--label", "a", "--dispatch", "--repo", "."], /with --repo/],
  [["octo/app", "--label", "a", "--owner", "x"], /without --dispatch/],
  [
    ["octo/app", "--label", "a", "--dispatch", "--clone-url", "x"],
    /expected \{repository\}/,
  ],
];

for (const [args, error] of MISTAKES) {
  Deno.test(`import github ${args.join(" ")} says what is wrong`, async () => {
    const { folder, options } = withGh();
    using _ = folder;
    assertMatch(
      await folder.fails(2, ["import", "github", ...args], options),
      error,
    );
  });
}
