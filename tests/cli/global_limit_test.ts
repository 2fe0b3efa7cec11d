import { assertEquals } from "@std/assert";
import { systemClock } from "../../lib/base/clock.ts";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { until } from "../support/until.ts";
import { Backdoor } from "../store/postgres/subject.ts";
import { AT_ONCE, Folder } from "./cli.ts";

const TASKS = 8;
const LIMIT = 2;
const SCRIPT = "echo 1 >> journal; sleep 0.2; echo -1 >> journal";

/** Two runners never have more of a provider's tasks together than it allows. */
async function testTogether(env: Record<string, string>): Promise<void> {
  using folder = new Folder();
  folder.write("journal", "");
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        limited: {
          processor: "command",
          command: ["sh", "-c", SCRIPT],
          cwd: ".",
          globalConcurrency: LIMIT,
        },
      },
    }),
  );
  const options = { env: { ...AT_ONCE, ...env } };
  const loop = ["run", "--loop", "--interval", "3600"];
  await using one = folder.start(loop, options);
  await using two = folder.start(loop, options);
  for (const it of [one, two]) await it.line(/Running until stopped/);
  const tasks = Array.from({ length: TASKS }, () => ({ provider: "limited" }));
  await folder.create(tasks, options.env);
  const steps = () => folder.read("journal").split("\n").slice(0, -1);
  await until("all have run", async () => {
    await systemClock.sleep(50);
    return steps().length === 2 * TASKS;
  });
  let running = 0;
  const together = steps().map((step) => running += Number(step));
  assertEquals(Math.max(...together), LIMIT);
}

Deno.test("runners on one file keep to a provider's limit together", () =>
  testTogether({}));

Deno.test({
  name: "runners on one server keep to a provider's limit together",
  ignore: !hasPostgres,
  fn: async () => {
    const address = sharedServer().address();
    await using backdoor = new Backdoor(address);
    await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
    await testTogether({ HANDSFREE_DB: address });
  },
});
