import { assertEquals } from "@std/assert";
import { claim, create, idsOf, later, MINUTE } from "../conformance/subject.ts";
import { Backdoor, openSubject } from "./subject.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";

Deno.test({
  name:
    "claim() finds each of many that become due at once, and none before its time",
  ignore: !hasPostgres,
  async fn() {
    await using subject = await openSubject();
    const { store } = subject;
    await using backdoor = new Backdoor(sharedServer().address());
    const runAt = later(await subject.now(), MINUTE);
    const ids = await create(store, Array(2_500).fill({ runAt }));
    await create(store, Array(100).fill({ runAt: later(runAt, MINUTE) }));
    assertEquals(idsOf(await claim(store)), []);
    await subject.elapse(MINUTE);
    const claimed: string[] = [];
    for (;;) {
      const some = idsOf(await claim(store, { limit: 700 }));
      if (some.length === 0) break;
      claimed.push(...some);
    }
    assertEquals(claimed.sort(), ids.toSorted());
    // A later time of a task that has come once is waited for again.
    const [{ id } = { id: "" }] = await backdoor.ask<{ id: string }>(
      `UPDATE agent_tasks SET lease_id = NULL, run_at = now() + interval '1 day'
       WHERE id = $1::uuid RETURNING id`,
      [ids[0] ?? ""],
    );
    assertEquals(id, ids[0]);
    assertEquals(idsOf(await claim(store)), []);
  },
});
