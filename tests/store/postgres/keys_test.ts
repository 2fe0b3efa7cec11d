import { assertEquals } from "@std/assert";
import { newTasks } from "../../../lib/store/contract.ts";
import { openPostgresStore } from "../../../lib/store/postgres/store.ts";
import { claim, createMany, newTask } from "../conformance/subject.ts";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";
import { Backdoor, openSubject } from "./subject.ts";

const ignore = !hasPostgres;

Deno.test({
  name: "create() of two programs at the same time makes one task for each key",
  ignore,
  async fn() {
    await using subject = await openSubject();
    const address = sharedServer().address();
    await using other = await openPostgresStore(address);
    const stores = [subject.store, other];
    const keys = Array.from({ length: 40 }, (_, n) => `key ${n}`);
    const create = (index: number, keys: readonly string[], more = 0) =>
      stores[index % 2]?.admin.create(newTasks([
        ...keys.map((key) => newTask({ key })),
        ...Array.from({ length: more }, () => newTask()),
      ]));
    await Promise.all([
      // In both orders, and with so many others that one lock is taken for all.
      ...Array.from(
        { length: 12 },
        (_, n) =>
          create(
            n,
            n % 3 === 0 ? keys : keys.toReversed(),
            n % 5 === 0 ? 600 : 0,
          ),
      ),
      ...keys.map((key, n) => create(n, [key])),
    ]);
    await using backdoor = new Backdoor(address);
    assertEquals(
      await backdoor.ask(
        `SELECT count(*) AS tasks, count(DISTINCT key) AS keys
         FROM agent_tasks WHERE key IS NOT NULL`,
      ),
      [{ tasks: 40, keys: 40 }],
    );
  },
});

Deno.test({
  name:
    "create() with replaces against claims at the same time: one of them is first",
  ignore,
  async fn() {
    await using subject = await openSubject();
    const { store } = subject;
    const keys = Array.from({ length: 60 }, (_, n) => `key ${n}`);
    const tasksOf = (instruction: string) =>
      keys.map((key) => newTask({ key, instruction, replaces: true }));
    const ids = [...(await store.admin.create(newTasks(tasksOf("old")))).sets()]
      .flat();
    const [list, ...claims] = await Promise.all([
      store.admin.create(newTasks(tasksOf("new"))),
      ...Array.from({ length: 6 }, () => claim(store, { limit: 10 })),
    ]);
    assertEquals([...list.sets()].flat(), ids);
    const ran = new Map(
      claims.flatMap(({ tasks }) =>
        tasks.map(({ task }) => [task.id, task.instruction] as const)
      ),
    );
    for (const [index, id] of ids.entries()) {
      const isNew = list.known.get(index) === "replaced";
      assertEquals(
        (await store.admin.get(id))?.instruction,
        isNew ? "new" : "old",
      );
      if (ran.has(id)) assertEquals(ran.get(id), isNew ? "new" : "old");
    }
  },
});

Deno.test({
  name: "create() finds a key's task by an index, however many had it before",
  ignore,
  async fn() {
    await using subject = await openSubject();
    const { store } = subject;
    await createMany(store, 5_000);
    await using backdoor = new Backdoor(sharedServer().address());
    await backdoor.ask(
      `UPDATE agent_tasks SET key = 'often', status = 'completed'`,
    );
    await backdoor.ask("ANALYZE agent_tasks");
    const plan = async (rest: string) =>
      JSON.stringify(
        await backdoor.ask(
          `EXPLAIN SELECT id FROM agent_tasks t WHERE t.key = 'often' ${rest}`,
        ),
      );
    const open = "AND status NOT IN ('completed', 'failed') LIMIT 1";
    assertEquals(/agent_tasks_key_open/.test(await plan(open)), true);
    const newest = "ORDER BY created_at DESC, seq DESC LIMIT 1";
    assertEquals(
      /Backward using agent_tasks_key/.test(await plan(newest)),
      true,
    );
  },
});
