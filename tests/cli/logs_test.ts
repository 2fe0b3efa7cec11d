import { assertEquals, assertMatch } from "@std/assert";
import { renderEntry } from "../../lib/cli/logs.ts";
import type { LogEntry } from "../../lib/store/contract.ts";
import { Folder } from "./cli.ts";
import { hasPseudoTerminals, PseudoTerminal } from "./pseudo_terminal.ts";

/** It fails the first time. */
const TWICE = `
  if test -e $DIR/tried; then echo second; exit 0; fi
  touch $DIR/tried
  printf '\\033[31mfirst\\033[0m "quoted"\\n'
  echo wrong >&2
  exit 1`;

function configure(folder: Folder, shell: string): void {
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      settings: { enabled: true },
      providers: {
        shell: {
          processor: "command",
          command: ["sh", "-c", `DIR=${folder.path}; ${shell}`],
          attempts: 2,
          backoff: { base: 0.05, max: 0.1 },
        },
      },
    }),
  );
}

Deno.test("logs prints what each attempt printed, in three ways, and show says that it does", async () => {
  using folder = new Folder();
  configure(folder, TWICE);
  const [id = ""] = await folder.create([{ provider: "shell" }]);
  await folder.ok(["run", "--once"]);
  const short = id.slice(0, 8);
  assertMatch(await folder.ok(["logs", short]), /^[\d-]+ [\d:]+ {4}second\n$/);
  // Two streams: nobody knows which of them is read first.
  const linesOf = async (...flags: string[]) =>
    (await folder.ok(["logs", short, "--attempt", "1", ...flags]))
      .trimEnd().split("\n");
  const shown = (await linesOf()).map((line) => line.slice(19));
  assertEquals(shown.sort(), ['    first "quoted"', "  ! wrong"]);
  assertEquals((await linesOf("--raw")).sort(), ['first "quoted"', "wrong"]);
  const lines = (await linesOf("--json")).map((line) => JSON.parse(line));
  assertEquals(
    lines.map(({ kind, text, attempt }) => [kind, text, attempt]).sort(),
    [["stderr", "wrong", 1], ["stdout", 'first "quoted"', 1]],
  );
  for (const { at } of lines) {
    assertMatch(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }
  assertMatch(
    await folder.ok(["show", short]),
    new RegExp(`Log +agent-runner logs ${short}\n`),
  );
  // What has ended is followed to its end.
  assertEquals(
    await folder.ok(["logs", short, "--follow", "--raw"]),
    "second\n",
  );
});

Deno.test("logs says on stderr that there is none, and keeps none where that is set", async () => {
  using folder = new Folder();
  configure(folder, "echo something");
  const [id = ""] = await folder.create([{ provider: "shell" }]);
  const none = await folder.run(["logs", id]);
  assertEquals([none.code, none.stdout], [0, ""]);
  assertMatch(none.stderr, new RegExp(`There is no log of task ${id}`));
  await folder.ok(["run", "--once"], {
    env: { HANDSFREE_AGENT_RUN_LOG_LIMIT: "0" },
  });
  const off = await folder.run(["logs", id, "--attempt", "1"]);
  assertEquals([off.code, off.stdout], [0, ""]);
  assertMatch(off.stderr, /There is no log of attempt 1 of task /);
  assertEquals((await folder.ok(["show", id])).includes("Log "), false);
  await folder.fails(2, ["logs"]);
  await folder.fails(2, ["logs", id, "--attempt", "0"]);
});

/** It waits until the test lets it go on. */
const WAITS =
  "echo one; while ! test -e $DIR/go; do sleep 0.05; done; echo two >&2";

for (const isServed of [false, true]) {
  Deno.test({
    name: `logs --follow shows lines as they come, and ends with the task${
      isServed ? ", through a service" : ""
    }`,
    ignore: !hasPseudoTerminals,
    async fn() {
      using folder = new Folder();
      configure(folder, WAITS);
      const [id = ""] = await folder.create([{ provider: "shell" }]);
      const socket = `unix:${folder.path}/socket`;
      await using runner = folder.start([
        ...["run", "--loop"],
        ...isServed ? ["--exclusive", "--listen", socket] : [],
      ]);
      await runner.line(new RegExp(`Task ${id} started`));
      if (isServed) await runner.line(/Listening|listening/);
      const server = isServed ? ["--server", socket] : [];
      await using follower = new PseudoTerminal(
        ["logs", id, "--follow", ...server],
        { folder: folder.path, env: { NO_COLOR: "1" } },
      );
      await follower.shows(/\d {4}one/);
      folder.write("go", "");
      await follower.shows(/\d {2}! two/);
      assertEquals(await follower.ended(), 0);
      runner.signal("SIGTERM");
      await runner.ended();
    },
  });
}

Deno.test({
  name: "logs --follow ends with Ctrl-C, and the task goes on",
  ignore: !hasPseudoTerminals,
  async fn() {
    using folder = new Folder();
    configure(folder, WAITS);
    const [id = ""] = await folder.create([{ provider: "shell" }]);
    await using runner = folder.start(["run", "--once"]);
    await runner.line(new RegExp(`Task ${id} started`));
    await using follower = new PseudoTerminal(["logs", id, "--follow"], {
      folder: folder.path,
    });
    await follower.shows(/one/);
    await follower.type("\x03");
    assertEquals(await follower.ended(), 0);
    folder.write("go", "");
    const { code, stdout } = await runner.ended();
    assertEquals(code, 0);
    assertMatch(stdout, /1 completed/);
    assertEquals(await folder.ok(["logs", id, "--raw"]), "one\ntwo\n");
  },
});

Deno.test("renderEntry() marks what a line is, and lets no text steer the terminal", () => {
  const at = new Date(2026, 0, 2, 3, 4, 5);
  const shown = (["text", "tool", "notice", "stderr", "omitted"] as const)
    .map((kind): LogEntry => ({ at, kind, text: "a\x1b[2Jb" }))
    .map((entry) => renderEntry(entry, { hasColor: false }));
  const [text, tool, notice, stderr, omitted] = shown.map((line) => {
    assertEquals(line.slice(0, 21), "2026-01-02 03:04:05  ");
    return line.slice(21);
  });
  assertEquals(text?.slice(0, 3), "  a");
  assertEquals(tool?.slice(0, 3), "● a");
  assertEquals(notice?.slice(0, 3), "· a");
  assertEquals(stderr?.slice(0, 3), "! a");
  assertEquals(omitted?.slice(0, 3), "… a");
  // deno-lint-ignore no-control-regex -- looking for it is the point
  assertEquals(/\x1b/.test(shown.slice(0, 4).join("")), false);
  assertEquals(
    renderEntry({ at, kind: "text", text: "" }, { hasColor: false })
      .slice(19),
    "\n",
  );
});
