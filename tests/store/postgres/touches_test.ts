import { assert, assertEquals } from "@std/assert";
import { openPostgresStore } from "../../../lib/store/postgres/store.ts";
import { complete } from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  create,
  createMany,
  idsOf,
  record,
} from "../conformance/subject.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";
import { Backdoor, openSubject } from "./subject.ts";

const ignore = !hasPostgres;

Deno.test({
  name: "claim() of two programs at the same time takes one of what they touch",
  ignore,
  async fn() {
    await using subject = await openSubject();
    await using other = await openPostgresStore(sharedServer().address());
    const stores = [subject.store, other];
    const folders = ["a", "b", "c"];
    const count = 60;
    await create(
      subject.store,
      Array.from({ length: count }, (_, n) => ({
        touches: [`src/${folders[n % 3]}/${n % 2 ? "**" : "x.ts"}`],
      })),
    );
    let ran = 0;
    let most = 0;
    for (let rounds = 0; ran < count; rounds++) {
      assert(rounds < 2 * count, `${ran} ran`);
      const claims = await Promise.all(
        Array.from(
          { length: 6 },
          (_, n) => claim(stores[n % 2]!, { owner: `r${n}`, limit: 1 + n % 2 }),
        ),
      );
      const tasks = claims.flatMap(({ tasks }) => tasks);
      const touched = tasks.map(({ task }) => task.touches[0]?.split("/")[1]);
      assertEquals(new Set(touched).size, touched.length, touched.join());
      most = Math.max(most, touched.length);
      await record(subject.store, ...tasks.map((it) => complete(it)));
      ran += tasks.length;
    }
    assertEquals(most, folders.length);
  },
});

Deno.test({
  name: "claim() takes what touches nothing while another one holds the lock",
  ignore,
  async fn() {
    await using subject = await openSubject();
    const { store } = subject;
    await using backdoor = new Backdoor(sharedServer().address());
    const [held, plain] = await create(store, [{ touches: ["src"] }, {}]);
    await backdoor.ask("BEGIN");
    await backdoor.ask(
      "SELECT pg_advisory_xact_lock(7311659, hashtext('agent_runner'))",
    );
    const beside = await claim(store);
    assertEquals(idsOf(beside), [plain]);
    assert(beside.hasMore);
    const waiting = claim(store);
    await backdoor.ask("COMMIT");
    assertEquals(idsOf(await waiting), [held]);
  },
});

Deno.test("record() tells other programs that what it held back may run", {
  ignore,
}, async () => {
  await using subject = await openSubject();
  const { store } = subject;
  await using other = await openPostgresStore(sharedServer().address());
  await createMany(store, 2, { touches: ["src"] });
  const run = await claimOne(store);
  assertEquals(idsOf(await claim(other)), []);
  const changed = Promise.withResolvers<void>();
  using _ = other.queue.onChange(() => changed.resolve());
  await record(store, complete(run));
  await changed.promise;
  assertEquals(idsOf(await claim(other)).length, 1);
});
