import { assertEquals, assertMatch } from "@std/assert";
import { AT_ONCE, type CliOptions, Folder } from "./cli.ts";
import { hasPseudoTerminals, PseudoTerminal } from "./pseudo_terminal.ts";

/** Shows how it was started, and waits for a line or a signal. */
const CLAUDE = `#!/bin/sh
trap 'echo interrupted; exit 5' INT
trap 'kill $!; echo terminated; exit 6' TERM
echo "args $* mark $MARK own $OWN"
pwd
echo started >&2
if [ -n "$WAITS" ]; then sleep 300 > /dev/null 2>&1 & wait; fi
read -r line
echo "read $line"
exit 7
`;

/** A folder with a claude, and a task with a session in its folder `work`. */
async function prepared(trace: object = {}, name = "claude") {
  const folder = new Folder();
  const work = `${folder.path}/work`;
  Deno.mkdirSync(`${folder.path}/bin`);
  Deno.mkdirSync(work);
  Deno.writeTextFileSync(`${folder.path}/bin/${name}`, CLAUDE, { mode: 0o755 });
  const env = {
    ...AT_ONCE,
    PATH: `${folder.path}/bin:${Deno.env.get("PATH")}`,
    OWN: "is kept",
  };
  const session = { agent: "claude", id: "s-1", folder: work };
  const [id = ""] = await folder.create([
    { provider: "claude", trace: { session, ...trace } },
  ]);
  return { folder, env, id, work };
}

/** Sets columns of all tasks. */
async function update(folder: Folder, set: string): Promise<void> {
  await folder.rows(`UPDATE agent_tasks SET ${set}`);
}

Deno.test("open starts the agent's CLI in the task's folder and session, and ends as it does", async () => {
  const { folder, env, id, work } = await prepared({}, "other claude");
  using _ = folder;
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        claude: {
          processor: "agent",
          agent: "claude",
          program: "./bin/other claude",
          args: ["--max-turns=3"],
          setEnv: { MARK: "it's set" },
        },
      },
    }),
  );
  await update(folder, "status = 'needs_input'");
  const { code, stdout, stderr } = await folder.run(["open", id.slice(0, 8)], {
    env,
    stdin: "hello\n",
  });
  assertEquals(
    { code, stdout },
    {
      code: 7,
      stdout: `args --resume=s-1 mark it's set own is kept\n${work}\n` +
        "read hello\n",
    },
    stderr,
  );
  assertMatch(stderr, /is still needs_input: agent-runner answer/);
  assertEquals(
    await folder.ok(["open", id, "--print"], { env }),
    `cd ${work} && MARK='it'\\''s set' '${folder.path}/bin/other claude' ` +
      "--resume=s-1\n",
  );
});

Deno.test("open passes SIGTERM on, and waits for the CLI", async () => {
  const { folder, env, id } = await prepared();
  using _ = folder;
  await using held = folder.start(["open", id], {
    env: { ...env, WAITS: "yes" },
  });
  await held.line(/^started$/);
  held.signal("SIGTERM");
  const { code, stdout } = await held.ended();
  assertEquals([code, stdout.split("\n").at(-2)], [6, "terminated"]);
});

Deno.test({
  name: "open leaves Ctrl-C to the CLI",
  ignore: !hasPseudoTerminals,
  fn: async () => {
    const { folder, env, id } = await prepared();
    using _ = folder;
    await using terminal = new PseudoTerminal(["open", id], {
      folder: folder.path,
      env,
    });
    await terminal.shows(/^started/m);
    await terminal.type("\x03");
    assertEquals(await terminal.ended(), 5);
    assertMatch(terminal.screen, /interrupted/);
  },
});

Deno.test("open refuses a task that a runner works on, but with --force", async () => {
  const { folder, env, id } = await prepared();
  using _ = folder;
  const options: CliOptions = { env, stdin: "\n" };
  await update(
    folder,
    "status = 'running', lease_owner = 'other', " +
      "lease_expires_at = now() + INTERVAL 1 HOUR",
  );
  assertMatch(
    await folder.fails(1, ["open", id], options),
    /other works in its session just now\. .*cancel [0-9a-f]{8}\. .*--force/,
  );
  const { code, stderr } = await folder.run(["open", id, "--force"], options);
  assertEquals(code, 7);
  assertMatch(stderr, /a runner may go on in its session while you are there/);
});

const REFUSED: [why: string, trace: object, error: RegExp][] = [
  ["has no session", { session: null }, /it has no session/],
  [
    "has a session with an id that could be an option",
    { session: { agent: "claude", id: "--help", folder: "/" } },
    /it has no session/,
  ],
  [
    "has a session of an unknown agent",
    { session: { agent: "toString", id: "s-1", folder: "/" } },
    /one of toString, which is not known here/,
  ],
  [
    "has lost its folder",
    { session: { agent: "claude", id: "s-1", folder: "/gone" } },
    /its folder \/gone can't be used: it does not exist/,
  ],
  [
    "is of an agent that is not installed",
    { session: { agent: "opencode", id: "s-1", folder: "/" } },
    /The program opencode is not on PATH/,
  ],
];

for (const [why, trace, error] of REFUSED) {
  Deno.test(`open refuses a task that ${why}`, async () => {
    const { folder, env, id } = await prepared(trace);
    using _ = folder;
    const PATH = `${folder.path}/bin`;
    assertMatch(
      await folder.fails(1, ["open", id], { env: { ...env, PATH } }),
      error,
    );
  });
}

Deno.test("open through a service prints what to run on its machine, where the folder is not here", async () => {
  const { folder, env, id } = await prepared({
    session: { agent: "claude", id: "s-1", folder: "/gone" },
  });
  using _ = folder;
  await using service = folder.start(["serve", "--listen", "0"], { env });
  await service.line(/Listening on/);
  const [server = ""] = /http:\S+/.exec(service.seen) ?? [];
  const stderr = await folder.fails(1, ["open", id, "--server", server], {
    env,
  });
  assertMatch(
    stderr,
    /is not on this machine\. On the service's: cd \/gone && claude --resume=s-1/,
  );
});
