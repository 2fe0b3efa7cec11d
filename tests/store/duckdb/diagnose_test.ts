import { assert, assertEquals, assertMatch } from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import type { Diagnosis } from "../../../lib/store/contract.ts";
import { DuckDbDiagnostics } from "../../../lib/store/duckdb/diagnose.ts";
import { Child, runChild } from "../../support/fixtures/child.ts";
import { TimedStore } from "./timed_store.ts";

/** A folder that is gone after the test, and a path in it. */
class TempFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "diagnose_test_" });
  readonly database = `${this.path}/tasks.duckdb`;

  names(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

function diagnose(path: string, { waitMs = 0 } = {}): Promise<Diagnosis> {
  const diagnostics = new DuckDbDiagnostics(path, {
    clock: systemClock,
    waitMs,
  });
  return diagnostics.diagnose({ leaseMs: 60_000 });
}

function levelsOf({ checks }: Diagnosis) {
  return Object.fromEntries(checks.map(({ name, level }) => [name, level]));
}

function messageOf({ checks }: Diagnosis, name: string): string {
  const check = checks.find((check) => check.name === name);
  assert(check, `${name} was not looked at`);
  return check.message;
}

// What is asked of the system (whose the file is, how full the disk) these tests
// may not ask: those of `doctor` itself do.

Deno.test("diagnose() looks at the place, who has the file, the tables and the tasks", async () => {
  await using folder = new TempFolder();
  {
    await using timed = await TimedStore.open(folder.database);
    await timed.create({}, {});
    await timed.claim({ limit: 1 });
  }
  const diagnosis = await diagnose(folder.database);
  assertEquals(
    diagnosis.checks.map(({ name }) => name),
    ["folder", "file", "disk", "access", "tables"],
  );
  assertEquals(messageOf(diagnosis, "access"), "nobody holds the file");
  assertEquals(messageOf(diagnosis, "tables"), "complete");
  assertMatch(diagnosis.engine ?? "", /^DuckDB v\d+\.\d+\.\d+/);
  const { total, waitingProviders } = diagnosis.tasks!;
  assertEquals(total, 2);
  assertEquals(waitingProviders.map(({ name }) => name), ["claude"]);
  assertEquals(folder.names(), ["tasks.duckdb"]);
});

Deno.test("diagnose() makes no file where there is none", async () => {
  await using folder = new TempFolder();
  const diagnosis = await diagnose(folder.database);
  assertEquals(Object.keys(levelsOf(diagnosis)), ["folder", "file", "disk"]);
  assertMatch(messageOf(diagnosis, "file"), /^there is no .*duckdb yet$/);
  assertEquals([diagnosis.tasks, diagnosis.engine], [undefined, undefined]);
  assertEquals(folder.names(), []);
});

Deno.test("diagnose() says that the folder is missing", async () => {
  await using folder = new TempFolder();
  const diagnosis = await diagnose(`${folder.path}/missing/tasks.duckdb`);
  assertEquals(levelsOf(diagnosis).folder, "fail");
  assertMatch(messageOf(diagnosis, "folder"), /it does not exist/);
});

Deno.test("diagnose() leaves a file alone that is no database", async () => {
  await using folder = new TempFolder();
  const text = "Not a database.\n".repeat(1_000);
  await Deno.writeTextFile(folder.database, text);
  const diagnosis = await diagnose(folder.database);
  assertEquals(levelsOf(diagnosis).access, "fail");
  assertMatch(messageOf(diagnosis, "access"), /it is not a DuckDB database/);
  assertEquals(diagnosis.tasks, undefined);
  assertEquals(await Deno.readTextFile(folder.database), text);
});

Deno.test("diagnose() tells another program's table from one that lacks something", async () => {
  await using folder = new TempFolder();
  const table = (columns: string) =>
    runChild(["sql", folder.database, `CREATE TABLE agent_tasks (${columns})`]);
  await table("id UUID, status INTEGER");
  const other = await diagnose(folder.database);
  assertEquals(levelsOf(other).tables, "fail");
  assertEquals(
    messageOf(other, "tables"),
    "agent_tasks is another program's: status is INTEGER, not TEXT",
  );
  assertEquals(other.tasks, undefined);
  await runChild(["sql", folder.database, "DROP TABLE agent_tasks"]);
  const none = await diagnose(folder.database);
  assertEquals(messageOf(none, "tables"), "there are none yet");
  await table("id UUID, status TEXT");
  const old = await diagnose(folder.database);
  assertEquals(levelsOf(old).tables, "ok");
  assertMatch(messageOf(old, "tables"), /^agent_tasks lacks user_id, /);
});

Deno.test("diagnose() looks at the tasks of an older version", async () => {
  await using folder = new TempFolder();
  {
    await using timed = await TimedStore.open(folder.database);
    await timed.create({});
  }
  await runChild([
    ...["sql", folder.database],
    "ALTER TABLE agent_tasks DROP COLUMN questions",
    "ALTER TABLE agent_tasks DROP COLUMN rescues",
  ]);
  const diagnosis = await diagnose(folder.database);
  assertEquals(
    messageOf(diagnosis, "tables"),
    "agent_tasks lacks questions, rescues",
  );
  assertEquals(diagnosis.tasks?.total, 1);
});

Deno.test("diagnose() says who keeps the file, or shares it", async () => {
  await using folder = new TempFolder();
  {
    await using _timed = await TimedStore.open(folder.database);
  }
  await using child = new Child(["hold", folder.database]);
  assertEquals(await child.hear(), "held");
  const kept = await diagnose(folder.database);
  assertEquals(levelsOf(kept).access, "warn");
  assertMatch(
    messageOf(kept, "access"),
    new RegExp(`\\(PID ${child.pid}\\) held the file for all of 0 ms`),
  );
  assertEquals([kept.tasks, kept.engine], [undefined, undefined]);
  const diagnosing = diagnose(folder.database, { waitMs: 60_000 });
  await child.say("close");
  const shared = await diagnosing;
  assertEquals(shared.tasks?.total, 0);
});
