import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openPostgresStore } from "../../../lib/store/postgres/store.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { hasPgBouncer, PgBouncer } from "../../support/pgbouncer.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";
import { until } from "../../support/until.ts";
import {
  claim,
  createMany,
  createOne,
  HOUR,
  leasesOf,
  record,
  statesOf,
} from "../conformance/subject.ts";
import { openSubject } from "./subject.ts";

for (const mode of ["session", "transaction"] as const) {
  Deno.test({
    name:
      `a store works behind PgBouncer in ${mode} mode, and is told of changes`,
    ignore: !hasPostgres || !hasPgBouncer,
    async fn() {
      await using subject = await openSubject();
      const problems: string[] = [];
      using bouncer = PgBouncer.start(sharedServer(), mode);
      await using store = await openPostgresStore(bouncer.address, {
        onProblem: (message) => problems.push(message),
      });
      let heard = 0;
      using _ = store.queue.onChange(() => heard++);
      await createMany(store, 20);
      // More at once than connections: each transaction has another one.
      const claims = await Promise.all(
        Array.from({ length: 5 }, () => claim(store, { limit: 4 })),
      );
      const tasks = claims.flatMap(({ tasks }) => tasks);
      assertEquals(tasks.length, 20);
      await Promise.all([
        store.queue.heartbeat(leasesOf(tasks), { leaseMs: HOUR }),
        store.admin.page({ limit: 9 }),
        store.events.last(),
      ]);
      await record(store, ...tasks.map((it) => complete(it)));
      assertEquals(await statesOf(store), { completed: 20 });
      if (mode === "transaction") {
        await until("it says so", () => problems.length > 0);
        assertStringIncludes(problems[0] ?? "", "LISTEN does not arrive");
      }
      const before = heard;
      await createOne(subject.store);
      await until("it is told", () => heard > before);
      assert(problems.length === (mode === "transaction" ? 1 : 0));
    },
  });
}
