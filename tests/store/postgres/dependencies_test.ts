import { assertEquals } from "@std/assert";
import { openPostgresStore } from "../../../lib/store/postgres/store.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";
import {
  assertRetriedOnce,
  claim,
  create,
  createOne,
  idsOf,
  nth,
  record,
} from "../conformance/subject.ts";
import { openSubject } from "./subject.ts";

const ROUNDS = 20;
const ignore = !hasPostgres;

Deno.test(
  "who ends the last two that a task waits for at once does not miss it",
  { ignore },
  async () => {
    await using subject = await openSubject();
    await using other = await openPostgresStore(sharedServer().address());
    for (let round = 0; round < ROUNDS; round++) {
      const ids = await create(subject.store, [
        { key: `a${round}` },
        { key: `b${round}` },
        { after: [`a${round}`, `b${round}`] },
      ]);
      const { tasks } = await claim(subject.store);
      const results = await Promise.all([
        record(subject.store, complete(nth(tasks, 0))),
        record(other, complete(nth(tasks, 1))),
      ]);
      assertEquals(results.filter((it) => it.hasUnblocked).length, 1);
      const last = await claim(other);
      assertEquals(idsOf(last), ids.slice(2), `round ${round}`);
      await record(other, complete(nth(last.tasks, 0)));
    }
  },
);

Deno.test("who creates a task behind one that ends just now does not miss it", {
  ignore,
}, async () => {
  await using subject = await openSubject();
  await using other = await openPostgresStore(sharedServer().address());
  for (let round = 0; round < ROUNDS; round++) {
    const id = await createOne(subject.store);
    const { tasks } = await claim(subject.store);
    const [behind] = await Promise.all([
      createOne(subject.store, { after: [id] }),
      record(other, complete(nth(tasks, 0))),
    ]);
    const last = await claim(other);
    assertEquals(idsOf(last), [behind], `round ${round}`);
    await record(other, complete(nth(last.tasks, 0)));
  }
});

Deno.test("whoever ends what others wait for wakes the runners elsewhere", {
  ignore,
}, async () => {
  await using subject = await openSubject();
  await using other = await openPostgresStore(sharedServer().address());
  const [, behind] = await create(subject.store, [
    { key: "a" },
    { after: ["a"] },
  ]);
  const { tasks } = await claim(subject.store);
  const changed = Promise.withResolvers<void>();
  using _ = other.queue.onChange(() => changed.resolve());
  await record(subject.store, complete(nth(tasks, 0)));
  await changed.promise;
  assertEquals(idsOf(await claim(other)), [behind]);
});

Deno.test("retry() makes one that is named twice anew once", {
  ignore,
}, async () => {
  await using subject = await openSubject();
  await assertRetriedOnce(subject.store);
});
