import { assertEquals } from "@std/assert";
import { openPostgresStore } from "../../../lib/store/postgres/store.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { claim, createMany, nth, record } from "../conformance/subject.ts";
import { openSubject } from "./subject.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";

const ROUNDS = 20;

Deno.test({
  name: "a batch whose last tasks two runners end at the same time ends once",
  ignore: !hasPostgres,
  async fn() {
    await using subject = await openSubject();
    const { store } = subject;
    await using other = await openPostgresStore(sharedServer().address(), {
      onProblem: () => {},
    });
    for (let round = 0; round < ROUNDS; round++) {
      await createMany(store, 2, { batch: `round ${round}` });
      await createMany(store, 2, { batch: "all" });
      const { tasks } = await claim(store);
      const ends = tasks.map((it) => complete(it));
      const [one, two, three, four] = ends;
      await Promise.all([
        record(store, one!, four!),
        record(other, three!, two!),
      ]);
    }
    const { tasks } = await store.admin.page({ limit: 1_000 });
    const details: string[] = [];
    for (const { id } of tasks) {
      for (const { kind, detail } of await store.admin.history(id)) {
        if (kind === "batch_ended") details.push(detail ?? "");
      }
    }
    const rounds = details.filter((it) => !it.startsWith("all: "));
    assertEquals(
      rounds.sort(),
      Array.from({ length: ROUNDS }, (_, n) => `round ${n}: 2 completed`)
        .sort(),
    );
    const whole = details.filter((it) => it.startsWith("all: "));
    assertEquals(
      whole.map((it) => nth(it.split(" "), 1)).map(Number)
        .sort((a, b) => a - b),
      Array.from({ length: ROUNDS }, (_, n) => 2 * (n + 1)),
    );
  },
});
