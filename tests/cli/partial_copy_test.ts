import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { shownDatabase } from "../../lib/base/database_address.ts";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { Backdoor } from "../store/postgres/subject.ts";
import { AT_ONCE, Folder } from "./cli.ts";

const TASKS = 30;

/** A file, and a server that a copy can be held up on. */
interface Place {
  readonly folder: Folder;
  readonly file: string;
  readonly address: string;
  readonly backdoor: Backdoor;
}

async function inPlace(body: (place: Place) => Promise<void>): Promise<void> {
  using folder = new Folder();
  const address = sharedServer().address();
  await using backdoor = new Backdoor(address);
  await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
  await folder.ok(["migrate", "--db", address], { env: AT_ONCE });
  const file = `${folder.path}/tasks.duckdb`;
  await body({ folder, file, address, backdoor });
}

/** Makes tasks in the one, and kills a copy when it has got to them. */
async function cutOff(
  { folder, backdoor }: Place,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  await folder.create(Array(TASKS).fill({ provider: "a" }), {
    ...AT_ONCE,
    HANDSFREE_DB: from,
  });
  await backdoor.ask("BEGIN");
  // The events come first; it hangs where it reads, or writes, the tasks.
  const mode = from.startsWith("postgres:") ? "ACCESS EXCLUSIVE" : "EXCLUSIVE";
  await backdoor.ask(`LOCK TABLE agent_tasks IN ${mode} MODE`);
  {
    await using copying = folder.start(["copy", from, to], { env: AT_ONCE });
    await copying.line(RegExp(`Copied ${TASKS} of ${TASKS} events`));
    copying.signal("SIGKILL");
  }
  await backdoor.ask("ROLLBACK");
}

async function testCutOff(
  place: Place,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const { folder } = place;
  await cutOff(place, { from, to });
  const env = { ...AT_ONCE, HANDSFREE_DB: to };
  const shown = shownDatabase(to);
  const why = `${shown}: a copy into it was not finished. ` +
    `Run the same copy again: agent-runner copy FROM ${shown}`;
  for (
    const refused of [
      ["run", "--once"],
      ["run", "--loop"],
      ["run", "--dry-run"],
      ["serve", "--listen", "127.0.0.1:0"],
      ["create", "x"],
      ["cancel", "--state", "created", "--yes"],
      ["drain", "--all"],
      ["prune", "--older-than", "1d", "--yes"],
      ["copy", to, "third.duckdb"],
    ]
  ) {
    const stderr = await folder.fails(3, refused, { env });
    assertStringIncludes(stderr, `Cannot use ${why}`, refused.join(" "));
  }
  for (const reading of [["list"], ["stats"], ["export", "all.csv"]]) {
    const { code, stderr } = await folder.run(reading, { env });
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, `Not all is in ${why}`);
  }
  const doctor = await folder.run(["doctor"], { env });
  assertEquals(doctor.code, 1);
  assertMatch(doctor.stdout, /^fail +copy +a copy into it was not finished/m);
  await folder.ok(["copy", from, to], { env: AT_ONCE });
  const { code, stdout, stderr } = await folder.run(["run", "--once"], { env });
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, `${TASKS} started, ${TASKS} completed`);
  const healed = await folder.run(["list"], { env });
  assertEquals([healed.code, healed.stderr], [0, ""]);
  assertMatch(await folder.ok(["doctor"], { env }), /tables +complete/);
}

function test(name: string, body: (place: Place) => Promise<void>): void {
  Deno.test({ name, ignore: !hasPostgres, fn: () => inPlace(body) });
}

test("a copy to a server that was cut off keeps out all but who reads, until it is repeated", (place) =>
  testCutOff(place, { from: place.file, to: place.address }));

test("a copy to a file that was cut off keeps out all but who reads, until it is repeated", (place) =>
  testCutOff(place, { from: place.address, to: place.file }));
