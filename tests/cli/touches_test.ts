import { assert, assertEquals, assertMatch } from "@std/assert";
import { systemClock } from "../../lib/base/clock.ts";
import { canMeet, parseGlob } from "../../lib/task/globs.ts";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { until } from "../support/until.ts";
import { Backdoor } from "../store/postgres/subject.ts";
import { AT_ONCE, Folder } from "./cli.ts";

/** Says from outside when it begins and ends, and what it touches. */
const SCRIPT = "echo + $0 >> journal; sleep 0.4; echo - $0 >> journal";
const LOOP = ["--loop", "--interval", "3600"];

const GLOBS = ["src/api/**", "src/api/routes.ts", "docs/*.md", "src/*.ts"];
const TASKS = [...GLOBS, ...GLOBS, "src", "docs/**"].map((glob) => ({
  provider: "p",
  instruction: glob,
  touches: [glob],
}));

function configure(folder: Folder): void {
  folder.write("journal", "");
  const command = ["sh", "-c", SCRIPT, "{instruction}"];
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: { p: { processor: "command", command, cwd: "." } },
    }),
  );
}

function stepsIn(folder: Folder): string[] {
  return folder.read("journal").split("\n").slice(0, -1);
}

async function allHaveRun(folder: Folder): Promise<void> {
  await until("all have run", async () => {
    await systemClock.sleep(50);
    return stepsIn(folder).length === 2 * TASKS.length;
  });
}

/** How many ran at the same time; of those that touch the same, one. */
function mostTogether(folder: Folder): number {
  const running: string[] = [];
  let most = 0;
  for (const step of stepsIn(folder)) {
    const [sign, glob = ""] = step.split(" ");
    if (sign === "-") {
      running.splice(running.indexOf(glob), 1);
      continue;
    }
    for (const other of running) {
      const areApart = !canMeet(parseGlob(glob), parseGlob(other));
      assert(areApart, `${glob} beside ${other}`);
    }
    most = Math.max(most, running.push(glob));
  }
  return most;
}

async function testTogether(env: Record<string, string>): Promise<void> {
  using folder = new Folder();
  configure(folder);
  const options = { env: { ...AT_ONCE, ...env } };
  await using one = folder.start(["run", ...LOOP], options);
  await using two = folder.start(["run", ...LOOP], options);
  for (const it of [one, two]) await it.line(/Running until stopped/);
  await folder.create(TASKS, options.env);
  await allHaveRun(folder);
  assert(mostTogether(folder) > 1);
}

/** Nobody else tells a runner that a task of its own has ended. */
async function testAlone(env: Record<string, string>): Promise<void> {
  for (const mode of [["--once"], LOOP]) {
    using folder = new Folder();
    configure(folder);
    const options = { env: { ...AT_ONCE, ...env } };
    await folder.create(TASKS, options.env);
    await using runner = folder.start(["run", ...mode], options);
    await allHaveRun(folder);
    if (mode[0] === "--loop") runner.signal("SIGTERM");
    const { code, stderr } = await runner.ended();
    assertEquals(code, 0, stderr);
    assert(mostTogether(folder) > 1);
  }
}

for (
  const [name, body] of [
    [
      "runners have one task at a time of those that touch a file",
      testTogether,
    ],
    ["a runner goes on as soon as a task lets go of its files", testAlone],
  ] as const
) {
  Deno.test(`${name}, on one file`, () => body({}));
  Deno.test({
    name: `${name}, on one server`,
    ignore: !hasPostgres,
    async fn() {
      const address = sharedServer().address();
      await using backdoor = new Backdoor(address);
      await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
      await body({ HANDSFREE_DB: address });
    },
  });
}

Deno.test("show and run --dry-run say which task a task waits for", async () => {
  using folder = new Folder();
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        p: {
          processor: "command",
          command: ["sh", "-c", "until [ -e go ]; do sleep 0.05; done"],
          cwd: ".",
        },
      },
    }),
  );
  const options = { env: { ...AT_ONCE } };
  const create = (glob: string) =>
    folder.ok(["create", "x", "--provider", "p", "--touches", glob], options);
  const [running] = /\w{8}(?=-)/.exec(await create("src/api/**")) ?? [];
  await using runner = folder.start(["run", "--once"], options);
  await runner.line(/ started \(p\)/);
  await create("./src/api/routes.ts");
  const plan = await folder.ok(["run", "--dry-run"], options);
  const said = new RegExp(
    `waits for task ${running}, which touches src/api/\\*\\*`,
  );
  assertMatch(plan, said);
  const [, id = ""] = /^(\w{8}) +p +created/m.exec(plan) ?? [];
  const shown = await folder.ok(["show", id], options);
  assertMatch(shown, /Waits +for task \w{8}, which touches src\/api\/\*\*/);
  folder.write("go", "");
  assertEquals((await runner.ended()).code, 0);
  assertMatch(
    await folder.fails(2, ["create", "x", "--touches", "src/{a,b}"], options),
    /Cannot use the touches "src\/\{a,b\}": expected a glob .* two globs/,
  );
});
