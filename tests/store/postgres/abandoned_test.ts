import { assertEquals } from "@std/assert";
import { openPostgresStore } from "../../../lib/store/postgres/store.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";
import { until, within } from "../../support/until.ts";
import {
  assertOthersEnd,
  claim,
  createMany,
  endAbandoned,
  idsOf,
  nth,
  statesOf,
  taskOf,
} from "../conformance/subject.ts";
import { Backdoor, openSubject } from "./subject.ts";

/** Who reads the tasks' rows waits while somebody else has this lock. */
const GATE = 4711;

/** A role for which each row that a statement finds goes through the gate. */
const GATED = [
  `CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM pg_advisory_lock_shared(${GATE});
     PERFORM pg_advisory_unlock_shared(${GATE});
     RETURN true;
   END $$`,
  "DROP ROLE IF EXISTS gated",
  "CREATE ROLE gated LOGIN",
  "GRANT USAGE ON SCHEMA agent_runner TO gated",
  `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES
   IN SCHEMA agent_runner TO gated`,
  "ALTER TABLE agent_tasks ENABLE ROW LEVEL SECURITY",
  "CREATE POLICY gate ON agent_tasks USING (gate()) WITH CHECK (true)",
];

Deno.test({
  name: "endAbandoned() ends the others where a row behind one is refused",
  ignore: !hasPostgres,
  async fn() {
    await using subject = await openSubject();
    await assertOthersEnd(subject);
  },
});

Deno.test({
  name:
    "endAbandoned() leaves alone what is renewed or given back while it looks",
  ignore: !hasPostgres,
  async fn() {
    await using subject = await openSubject();
    await using backdoor = new Backdoor(sharedServer().address());
    for (const statement of GATED) await backdoor.ask(statement);
    try {
      const ids = await createMany(subject.store, 3);
      const { tasks } = await claim(subject.store, { maxAttempts: 1 });
      assertEquals(tasks.length, 3);
      await backdoor.ask(
        "UPDATE agent_tasks SET lease_expires_at = now() - interval '1 minute'",
      );
      await using store = await openPostgresStore(
        sharedServer().address("postgres", "gated"),
      );
      await backdoor.ask(`SELECT pg_advisory_lock(${GATE})`);
      const ending = endAbandoned(store, { maxAttempts: 1 });
      await until("it has begun to look", async () => {
        const waiting = await backdoor.ask(
          `SELECT FROM pg_locks WHERE locktype = 'advisory'
           AND objid = ${GATE} AND NOT granted`,
        );
        return waiting.length > 0;
      });
      const [renewed, released, dead] = ids;
      await backdoor.ask(
        `UPDATE agent_tasks SET lease_expires_at = now() + interval '1 hour'
         WHERE id = $1::uuid`,
        [renewed ?? ""],
      );
      await backdoor.ask(
        `UPDATE agent_tasks SET lease_id = NULL, lease_owner = NULL,
           lease_expires_at = NULL WHERE id = $1::uuid`,
        [released ?? ""],
      );
      await backdoor.ask(`SELECT pg_advisory_unlock(${GATE})`);
      const ended = await within("it has ended what is dead", ending);
      assertEquals(ended.map(({ task: { id } }) => id), [dead]);
      assertEquals(await statesOf(subject.store), { running: 2, failed: 1 });
      assertEquals((await taskOf(subject.store, nth(ids, 0))).attempt, 1);
      const again = await claim(subject.store);
      assertEquals(idsOf(again), [released]);
    } finally {
      await backdoor.ask("DROP OWNED BY gated");
      await backdoor.ask("DROP ROLE gated");
    }
  },
});
