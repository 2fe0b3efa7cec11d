import { assert, assertEquals, assertMatch } from "@std/assert";
import { ENABLED, Folder } from "./cli.ts";

const env = ENABLED;

interface Listed {
  readonly id: string;
  readonly key: string | null;
  readonly shown_state: string;
}

class Plan implements Disposable {
  readonly folder = new Folder();

  run(...args: string[]) {
    return this.folder.run(args, { env });
  }

  async states(): Promise<Record<string, string>> {
    return Object.fromEntries(
      (await this.list()).map(({ key, shown_state }) => [key, shown_state]),
    );
  }

  async list(): Promise<Listed[]> {
    return JSON.parse((await this.run("list", "--json")).stdout);
  }

  async idOf(key: string): Promise<string> {
    const task = (await this.list()).findLast((it) => it.key === key);
    assert(task, key);
    return task.id;
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

const FAILING = '{"simulate_failure": true}';

Deno.test("tasks run after what they wait for, and all say so", async () => {
  using plan = new Plan();
  await plan.run("create", "First", "--key", "a");
  await plan.run("create", "Second", "--key", "b", "--after", "a");
  await plan.run("create", "Third", "--key", "c", "--after", "b,a");
  const blocked = await plan.run("list", "--state", "blocked");
  assertEquals(blocked.stdout.match(/ blocked /g)?.length, 2);
  const short = (id: string) => id.slice(0, 8);
  const [a, b, c] = [
    await plan.idOf("a"),
    await plan.idOf("b"),
    await plan.idOf("c"),
  ];
  const dry = await plan.run("run", "--once", "--dry-run");
  const why = `waits for ${short(b)} (created) and 1 more`;
  assert(dry.stdout.includes(why), dry.stdout);
  const shown = await plan.run("show", b);
  assertMatch(shown.stdout, /Blocked +waits for \w{8} \(created\)$/m);
  assert(
    shown.stdout.includes(`After\n  ${short(a)}  created  simulate  a\n`),
    shown.stdout,
  );
  assert(
    shown.stdout.includes(`Before\n  ${short(c)}  blocked  simulate  c\n`),
    shown.stdout,
  );
  const early = await plan.run("run-task", c);
  assertEquals(early.code, 1);
  assert(early.stderr.includes(`Cannot run task ${c}: it ${why}.`));
  const ran = await plan.run("run", "--once");
  assertMatch(ran.stdout, /^3 started, 3 completed/m);
});

Deno.test("retry --dependents runs all behind a failure again", async () => {
  using plan = new Plan();
  await plan.run("create", "First", "--key", "a", "--trace", FAILING);
  await plan.run("create", "Second", "--key", "b", "--after", "a");
  const skip = ["--after", "b", "--if-failed", "skip"];
  await plan.run("create", "Third", "--key", "c", ...skip);
  const a = await plan.idOf("a");
  assertEquals((await plan.run("run", "--once")).code, 1);
  assertEquals(await plan.states(), { a: "failed", b: "failed", c: "skipped" });
  const b = await plan.run("show", await plan.idOf("b"));
  assertMatch(b.stdout, new RegExp(`It waits for task ${a}, which failed: `));
  const retried = await plan.run("retry", a, "--dependents");
  assertEquals(retried.stdout.match(/runs again as task/g)?.length, 3);
  await plan.run("run", "--once");
  const now = await plan.run("list", "--state", "completed,simulated");
  assertEquals(now.stdout.match(/simulated/g)?.length, 3, now.stdout);
});

Deno.test("create says which line waits for what is not there, and creates none", async () => {
  using plan = new Plan();
  plan.folder.write(
    "plan.jsonl",
    '{"instruction": "a", "key": "a"}\n\n' +
      '{"instruction": "b", "after": ["lint"]}\n',
  );
  const missing = await plan.run("create", "--file", "plan.jsonl");
  assertEquals(missing.code, 2);
  assertMatch(
    missing.stderr,
    /plan\.jsonl, line 3: Cannot wait for the task "lint": there is none/,
  );
  plan.folder.write(
    "circle.jsonl",
    '{"instruction": "a", "key": "a", "after": "b"}\n' +
      '{"instruction": "b", "key": "b", "after": "a"}\n',
  );
  const circle = await plan.run("create", "--file", "circle.jsonl");
  assertMatch(circle.stderr, /line 1: .* in a circle: [ab] → [ab] → [ab]\./);
  const one = await plan.run("create", "x", "--after", "lint");
  assertMatch(one.stderr, /Cannot wait for the task "lint"/);
  assertEquals(await plan.list(), []);
});
