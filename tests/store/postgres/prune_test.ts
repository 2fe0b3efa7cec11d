import { assertEquals, assertRejects } from "@std/assert";
import { DatabaseBusyError } from "../../../lib/base/errors.ts";
import { HISTORY_LOCK } from "../../../lib/store/postgres/prune.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";
import { within } from "../../support/until.ts";
import { createOne, HOUR } from "../conformance/subject.ts";
import { Backdoor, openSubject } from "./subject.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !hasPostgres, fn });
}

/** Writes down which transaction deleted how many events. */
const COUNTED = [
  "CREATE TABLE sets (xid xid8 DEFAULT pg_current_xact_id(), size bigint)",
  `CREATE FUNCTION note_set() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO agent_runner.sets (size) SELECT count(*) FROM gone;
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER note_set AFTER DELETE ON agent_task_events
   REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
   EXECUTE FUNCTION note_set()`,
];

/** Events of tasks that are gone, from two hours ago. */
const ADD_OLD = `INSERT INTO agent_task_events
    (task_id, kind, occurred_at, attempt)
  SELECT gen_random_uuid(), 'created', now() - interval '2 hours', 0
  FROM generate_series(1, $1::integer)`;

async function setUp() {
  const subject = await openSubject();
  const backdoor = new Backdoor(sharedServer().address());
  for (const statement of COUNTED) await backdoor.ask(statement);
  return {
    store: subject.store,
    backdoor,
    async sets() {
      const rows = await backdoor.ask<{ size: number }>(
        `SELECT sum(size)::integer AS size FROM sets
         GROUP BY xid ORDER BY xid`,
      );
      return rows.map(({ size }) => size).filter((size) => size > 0);
    },
    async [Symbol.asyncDispose]() {
      await backdoor[Symbol.asyncDispose]();
      await subject[Symbol.asyncDispose]();
    },
  };
}

test("pruneHistory() deletes set by set, each in a transaction of its own", async () => {
  await using there = await setUp();
  const { store, backdoor } = there;
  const kept = await createOne(store);
  await backdoor.ask(
    "UPDATE agent_task_events SET occurred_at = now() - interval '3 hours'",
  );
  await backdoor.ask(ADD_OLD, [12_000]);
  await backdoor.ask(ADD_OLD, [10_500]);
  assertEquals(await store.admin.pruneHistory(HOUR), 22_500);
  assertEquals(await there.sets(), [10_000, 10_000, 2_500]);
  assertEquals((await store.admin.history(kept)).length, 1);
  assertEquals(await store.admin.pruneHistory(HOUR), 0);
});

test("pruneHistory() leaves it to who does it already", async () => {
  await using there = await setUp();
  const { store, backdoor } = there;
  await backdoor.ask(ADD_OLD, [10]);
  await backdoor.ask("SELECT pg_advisory_lock($1)", [HISTORY_LOCK]);
  const pruning = store.admin.pruneHistory(HOUR);
  assertEquals(await within("it is left alone", pruning), 0);
  await backdoor.ask("SELECT pg_advisory_unlock($1)", [HISTORY_LOCK]);
  assertEquals(await store.admin.pruneHistory(HOUR), 10);
});

test("pruneHistory() ends at its signal", async () => {
  await using there = await setUp();
  const { store, backdoor } = there;
  await backdoor.ask(ADD_OLD, [10]);
  await assertRejects(
    () => store.admin.pruneHistory(HOUR, { signal: AbortSignal.abort() }),
    DatabaseBusyError,
  );
  assertEquals(await store.admin.pruneHistory(HOUR), 10);
});
