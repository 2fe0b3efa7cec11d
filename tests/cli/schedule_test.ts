import { assert, assertEquals, assertMatch } from "@std/assert";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { TestService } from "../service/service.ts";
import { Backdoor } from "../store/postgres/subject.ts";
import { until } from "../support/until.ts";
import { AT_ONCE, Folder } from "./cli.ts";
import { openAt, runOn } from "./service_commands.ts";

const NIGHTLY = [
  ...["schedule", "add", "nightly", "Update of {slot:date}"],
  ...["--cron", "0 2 * * *", "--zone", "Europe/Berlin"],
];

/** What can be compared: ids and times of each moment are left out. */
function plain(text: string): string {
  return text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID")
    .replaceAll(/(Since +).*/g, "$1…").replaceAll(/\d{4}-\d\d-\d\d/g, "DAY");
}

Deno.test("schedule add, list, show, pause, resume, run and remove do the same through a service", async () => {
  const outputs: string[][] = [];
  for (const isRemote of [false, true]) {
    await using service = await TestService.start({ exclusive: true });
    const { store } = service;
    const options = isRemote ? await openAt(service.url) : store;
    const words = async (argv: readonly string[]) => {
      const { code, output, error } = await runOn(argv, options);
      assertEquals([code, error], [0, ""], argv.join(" "));
      return plain(output);
    };
    const schedule = (...argv: string[]) => words(["schedule", ...argv]);
    outputs.push([
      await schedule("list"),
      await words([...NIGHTLY, "--priority", "5", "--tag", "a", "--tag", "b"]),
      await schedule("add", "often", "Look", "--every", "2h"),
      await words([...NIGHTLY, "--overlap", "queue"]),
      await schedule("list"),
      await schedule("show", "nightly"),
      await schedule("pause", "nightly"),
      await schedule("list"),
      await schedule("resume", "nightly"),
      await schedule("run", "nightly"),
      await schedule("remove", "often"),
    ]);
    const { tasks } = await store.admin.page({ limit: 9 });
    assertMatch(tasks[0]?.instruction ?? "", /^Update of \d{4}-\d\d-\d\d$/);
    assertEquals(tasks[0]?.provider, "simulate");
    const json = await runOn(["schedule", "list", "--json"], options);
    const [{ name, definition, next, source }, ...others] = JSON.parse(
      json.output,
    );
    assertEquals([name, source, others], ["nightly", "command", []]);
    assertEquals(next.length, 3);
    assertEquals(definition, {
      ...{ cron: "0 2 * * *", zone: "Europe/Berlin" },
      ...{ catchUp: "latest", overlap: "queue" },
      task: { provider: "simulate", instruction: "Update of {slot:date}" },
    });
  }
  const [direct, remote] = outputs;
  assertEquals(remote, direct);
  const [none, added, , changed, list, shown, paused] = direct!;
  assertEquals(
    none,
    "There are no schedules. agent-runner schedule add makes one.\n",
  );
  const next =
    "nightly: next DAY 02:00, DAY 02:00, DAY 02:00 (Europe/Berlin)\n";
  assertEquals([added, changed], [
    ...[`Added schedule ${next}`, `Changed schedule ${next}`],
  ]);
  assertMatch(list!, /^nightly +0 2 \* \* \* Europe\/Berlin +active +never/m);
  assertMatch(list!, /^often +every 2h +active .* DAY \d[02468]:00, DAY/m);
  assertMatch(shown!, /^ +Overlap +queue$/m);
  assertEquals(paused, "Schedule nightly: paused\n");
});

const MISTAKES: [argv: string[], error: RegExp][] = [
  [["add", "a b", "x", "--every", "2h"], /Cannot call a schedule "a b"/],
  [["add", "a", "x"], /without cron: expected one of cron and every/],
  [
    ["add", "a", "x", "--every", "2h", "--cron", "0 2 * * *"],
    /one of cron and/,
  ],
  [["add", "a", "x", "--cron", "0 0 30 2 *"], /a time that comes at some time/],
  [["add", "a", "x", "--every", "2h", "--zone", "Mars"], /a time zone like/],
  [["add", "a", "x", "--every", "2h", "--overlap", "no"], /one of skip, queue/],
  [
    ["add", "a", "x", "--every", "2h", "--catch-up", "no"],
    /one of latest, all/,
  ],
  [["add", "a", "x", "--every", "2h", "--priority", "no"], /the priority "no"/],
  [["add", "a", "--every", "2h"], /without an instruction/],
  [["show", "nightli"], /no schedule "nightli"\. Did you mean "nightly"\?/],
  [["pause"], /Cannot pause a schedule without its name/],
];

Deno.test("schedule says what is wrong", async () => {
  await using service = await TestService.start({ exclusive: true });
  await runOn(NIGHTLY, service.store);
  for (const [argv, message] of MISTAKES) {
    const { code, error } = await runOn(["schedule", ...argv], service.store);
    assertEquals(code, 2, argv.join(" "));
    assertMatch(error, message);
  }
  assertEquals((await service.store.schedules.list()).schedules.length, 1);
});

/** Lets schedules be two minutes older. */
type Age = (sql: string) => Promise<unknown>;
const AGE =
  "UPDATE agent_schedules SET added_at = added_at - INTERVAL '2 minutes'";

/** A file's schedule and one that was added make tasks; the file's stops with it. */
async function testRunner(
  folder: Folder,
  { env, age }: { readonly env?: Record<string, string>; readonly age: Age },
): Promise<void> {
  const write = (schedules?: unknown) =>
    folder.write(
      "agent-runner.json",
      JSON.stringify({
        providers: { shell: { processor: "command", command: ["true"] } },
        ...schedules !== undefined && { schedules },
      }),
    );
  const options = { env: { ...AT_ONCE, ...env } };
  const run = (...args: string[]) => folder.run(args, options);
  const task = { instruction: "Do it at {slot}" };
  write({ often: { cron: "* * * * *", zone: "UTC", task } });
  await run("run", "--once");
  const refused = await run("schedule", "add", "often", "x", "--every", "2h");
  assertMatch(refused.stderr, /agent-runner\.json has one of that name/);
  await age(AGE);
  const once = await run("run", "--once");
  assertMatch(once.stdout, /^1 started, 1 completed/m);
  assertMatch(once.stderr, /Schedule often: task .* for its slot .*\+00:00/);
  await run("schedule", "pause", "often");
  await using runner = folder.start(["run", "--loop"], options);
  await runner.line(/Running until stopped/);
  await run("schedule", "add", "mine", "x", "--cron", "* * * * *");
  await until("it is older", () => age(AGE).then(() => true, () => false));
  await runner.line(/Schedule mine: task .* for its slot/);
  runner.signal("SIGTERM");
  assert(!(await runner.ended()).stderr.includes("Schedule often: task"));
  write();
  const { stderr } = await run("run", "--once");
  assertMatch(stderr, /Schedule often stops: .*agent-runner\.json has it no/);
  const { stdout } = await run("schedule", "list");
  assertMatch(stdout, /^mine .* command /m);
  assert(!stdout.includes("often"));
}

Deno.test("run makes the tasks of schedules, and stops those that the file has no more", async () => {
  using folder = new Folder();
  await testRunner(folder, { age: (sql) => folder.rows(sql) });
});

Deno.test({
  name: "run makes the tasks of schedules on PostgreSQL",
  ignore: !hasPostgres,
  fn: async () => {
    const address = sharedServer().address();
    await using backdoor = new Backdoor(address);
    await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
    using folder = new Folder();
    const env = { HANDSFREE_DB: address };
    await testRunner(folder, { env, age: (sql) => backdoor.ask(sql) });
  },
});

Deno.test("config check finds what is wrong with a schedule, with its place", async () => {
  using folder = new Folder();
  const task = '"task": {"instruction": "x"}';
  folder.write(
    "agent-runner.json",
    `{ "schedules": {
  "a": {"cron": "0 0 30 2 *", ${task}},
  "b": {"cron": "0 2 * * *", "zone": "Europe/Berln", ${task}},
  "c": {${task}},
  "d": {"every": "2h", "task": {"instruction": "x", "target": "no"}}
} }`,
  );
  const lines = (await folder.fails(2, ["config", "check"])).split("\n");
  const name = String.raw`agent-runner\.json`;
  for (
    const [index, pattern] of [
      '2:17: schedules\\.a\\.cron is "0 0 30 2 \\*": expected a time that',
      '3:38: schedules\\.b\\.zone is "Europe/Berln": expected a time zone',
      "4:8: schedules\\.c\\.cron is missing: expected one of cron and every",
      '5:32: schedules\\.d\\.task: Cannot use the target "no"',
    ].entries()
  ) assertMatch(lines[index]!, new RegExp(`${name}:${pattern}`));
});
