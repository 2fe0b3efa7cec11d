import { assert, assertEquals, assertMatch } from "@std/assert";
import { until } from "../support/until.ts";
import { AT_ONCE, Folder } from "./cli.ts";

const RECORDINGS = new URL(
  "../processors/agent/recordings/claude-2.1.197/",
  import.meta.url,
).pathname;

/** Prints what the real one printed. */
const CLAUDE = `#!/bin/sh
if [ "$1" = --version ]; then echo '2.1.197 (Claude Code)'; exit; fi
echo made > made.txt
cat '${RECORDINGS}success.jsonl'
`;

/** Nobody has logged in. */
const LOGGED_OUT = () =>
  CLAUDE.replace("success.jsonl'", "no-key.jsonl'; exit 1");

/** Works for ever the first time, and keeps its arguments. */
const STUCK = (base: string) =>
  CLAUDE.replace(
    "echo made > made.txt",
    `echo "$*" >> '${base}/calls'
[ -e half.txt ] || { echo half > half.txt; exec sleep 300; }`,
  );

/** A folder in which claude is all that is configured, and its environment. */
function prepared(claude = (_base: string) => CLAUDE) {
  const folder = new Folder();
  Deno.mkdirSync(`${folder.path}/bin`);
  Deno.writeTextFileSync(`${folder.path}/bin/claude`, claude(folder.path), {
    mode: 0o755,
  });
  folder.write(
    "agent-runner.json",
    '{ "providers": { "claude": { "processor": "agent", "agent": "claude" } } }',
  );
  const env = {
    ...AT_ONCE,
    PATH: `${folder.path}/bin:${Deno.env.get("PATH")}`,
    XDG_STATE_HOME: `${folder.path}/state`,
  };
  return { folder, env };
}

Deno.test("config check and doctor tell an agent's version", async () => {
  const { folder, env } = prepared();
  using _ = folder;
  const out = await folder.ok(["config", "check"], { env });
  assertMatch(out, /^ {2}processor +agent$/m);
  assertMatch(out, /^ {2}does +runs claude -p .*\{instruction\}/m);
  assertMatch(out, /^ {2}version +claude 2\.1\.197$/m);
  const json = JSON.parse(
    await folder.ok(["config", "check", "--json"], { env }),
  );
  assertEquals(json.providers.claude.version, "claude 2.1.197");
  const { stdout } = await folder.run(["doctor"], { env });
  assertMatch(
    stdout,
    /claude \(agent, claude 2\.1\.197\) by agent-runner\.json/,
  );
});

Deno.test("config check and doctor say why an agent tells no version, and mind it not", async () => {
  const { folder, env } = prepared(() => "#!/bin/sh\nexit 3\n");
  using _ = folder;
  const why = "claude --version ended with exit code 3";
  const out = await folder.ok(["config", "check"], { env });
  assertMatch(out, new RegExp(`^ {2}version +unknown: ${why}$`, "m"));
  assertMatch(out, /Nothing wrong was found/);
  const json = JSON.parse(
    await folder.ok(["config", "check", "--json"], { env }),
  );
  const { version, versionUnknown } = json.providers.claude;
  assertEquals([version, versionUnknown], [undefined, why]);
  const { stdout } = await folder.run(["doctor"], { env });
  assert(stdout.includes(`claude (agent, version unknown: ${why}) by`), stdout);
});

Deno.test("run works with an agent, show says where, and prune removes that", async () => {
  const { folder, env } = prepared();
  using _ = folder;
  await folder.ok(["create", "Write hello.txt"], { env });
  await folder.ok(["run", "--once"], { env });
  const [task] = JSON.parse(await folder.ok(["list", "--json"], { env }));
  assertEquals(task.state, "completed");
  assertEquals(task.trace.output, "Done: hello.txt is written.");
  const home = `${folder.path}/state/agent-runner/workspaces`;
  const shown = await folder.ok(["show", task.id], { env });
  assertMatch(shown, new RegExp(`^ {2}Folder +${home}/${task.id}$`, "m"));
  assertMatch(shown, new RegExp(`claude ${task.id}`));
  assertEquals(Deno.readTextFileSync(`${home}/${task.id}/made.txt`), "made\n");
  await folder.rows("UPDATE agent_tasks SET updated_at = '2020-01-01'");
  const pruned = await folder.ok(
    ["prune", "--older-than", "30d", "--yes"],
    { env },
  );
  assert(pruned.includes("1 folder"), pruned);
  assertEquals([...Deno.readDirSync(home)], []);
});

Deno.test("an agent goes on in its session and folder when its runner was killed", async () => {
  const { folder, env } = prepared(STUCK);
  using _ = folder;
  await folder.ok(["create", "Write hello.txt"], { env });
  const lease = ["--lease", "1"];
  await using runner = folder.start(["run", "--loop", ...lease], { env });
  const taskOf = async () => {
    const [task] = JSON.parse(await folder.ok(["list", "--json"], { env }));
    return task;
  };
  await until(
    "the session is kept",
    async () => (await taskOf()).trace?.session?.id !== undefined,
  );
  const { id, trace: { session } } = await taskOf();
  assertEquals(session.id, id);
  await until("it works", () => exists(`${session.folder}/half.txt`));
  Deno.kill(runner.pid, "SIGKILL");
  await runner.ended();
  await until("another takes over", async () => {
    await folder.run(["run", "--once", ...lease], { env });
    return (await taskOf()).state === "completed";
  });
  const [first = "", second = ""] = folder.read("calls").split("\n-p");
  assert(first.includes(`--session-id=${id}`), first);
  assert(second.includes(`--resume=${id}`), second);
  assert(second.includes("The last attempt was cut off. Go on."), second);
});

Deno.test("tasks wait where claude is not logged in, but for the one that found it", async () => {
  const { folder, env } = prepared(LOGGED_OUT);
  using _ = folder;
  for (const name of ["one", "two", "three"]) {
    await folder.ok(["create", `Write ${name}.txt`], { env });
  }
  const once = ["run", "--once", "--concurrency", "1"];
  await folder.run(once, { env });
  await folder.run(once, { env });
  const tasks = JSON.parse(await folder.ok(["list", "--json"], { env }));
  const states = tasks.map(({ state }: { state: string }) => state).sort();
  assertEquals(states, ["created", "created", "failed"]);
  assertMatch(
    await folder.ok(["pauses"], { env }),
    /^claude: limit until .*, 2 tasks wait \(Not logged in · Please run \/login\)$/m,
  );
});

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false; // Not yet.
  }
}
