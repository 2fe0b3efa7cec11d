import { assertEquals, assertMatch } from "@std/assert";
import { complete } from "../../../lib/task/transitions.ts";
import { NO_ID, TestService } from "../service.ts";

const TASKS = "/api/v1/tasks";

Deno.test("POST /tasks with a key that is taken gives the task that has it", async () => {
  await using test = await TestService.start();
  const task = { instruction: "a", key: "k" };
  const first = await test.post(TASKS, task);
  assertEquals([first.status, first.body.existing], [201, undefined]);
  const { id } = first.body;
  const second = await test.post(TASKS, { ...task, instruction: "b" });
  assertEquals(second.status, 200);
  assertEquals(second.headers.get("Location"), `${TASKS}/${id}`);
  assertEquals(
    [second.body.id, second.body.existing, second.body.instruction],
    [id, true, "a"],
  );
  const third = await test.post(TASKS, {
    ...task,
    instruction: "c",
    replace: true,
    key_for: "1h",
  });
  assertEquals(
    [third.status, third.body.id, third.body.replaced, third.body.instruction],
    [200, id, true, "c"],
  );
});

Deno.test("POST /tasks/batch tells which keys were taken", async () => {
  await using test = await TestService.start();
  const [{ body: { id } }, { body: { id: waiting } }] = [
    await test.post(TASKS, { instruction: "a", key: "a" }),
    await test.post(TASKS, { instruction: "b", key: "b" }),
  ];
  const path = `${TASKS}/batch`;
  const { status, body } = await test.post(path, {
    tasks: [
      { key: "a" },
      {},
      { key: "b", replace: true },
      { key: "c" },
      { key: "c" },
    ],
  });
  assertEquals([status, body.count], [201, 5]);
  assertEquals([body.existing, body.replaced], [[0, 4], [2]]);
  assertEquals([body.ids[0], body.ids[2]], [id, waiting]);
  assertEquals(body.ids[3], body.ids[4]);
  const again = await test.post(path, { tasks: [{ key: "a" }, { key: "c" }] });
  assertEquals([again.status, again.body.existing], [200, [0, 1]]);
  assertEquals((await test.ok(TASKS)).total, 4);
});

Deno.test("an Idempotency-Key gives the same ids again, whoever has the tasks' keys", async () => {
  await using test = await TestService.start();
  const { body: { id } } = await test.post(TASKS, {
    instruction: "first",
    key: "a",
  });
  const header = { "Idempotency-Key": "once" };
  const request = { tasks: [{ key: "a" }, {}, { key: "b" }, { key: "b" }] };
  const path = `${TASKS}/batch`;
  const first = await test.post(path, request, header);
  assertEquals([first.status, first.body.ids[0]], [201, id]);
  const ids = [...first.body.ids];
  const again = await test.post(path, request, header);
  assertEquals([again.status, again.body.ids], [200, ids]);
  assertEquals(again.body.existing, [0, 3]);
  // What has ended is still what was asked for.
  for (let n = 0; n < 3; n++) await test.run((claimed) => complete(claimed));
  const late = await test.post(path, request, header);
  assertEquals(late.body.ids.slice(1), ids.slice(1));
  const other = { tasks: [{ key: "a" }, {}, { key: "b" }] };
  assertEquals((await test.post(path, other, header)).status, 422);
  const single = { instruction: "x", key: "single" };
  const one = await test.post(TASKS, single, { "Idempotency-Key": "1" });
  const two = await test.post(TASKS, single, { "Idempotency-Key": "1" });
  assertEquals(
    [two.status, two.body.id, two.body.existing],
    [200, one.body.id, undefined],
  );
});

async function patch(test: TestService, id: string, body: unknown) {
  const response = await fetch(`${test.url}${TASKS}/${id}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

Deno.test("PATCH /tasks/{id} changes what has not begun", async () => {
  await using test = await TestService.start();
  const { body: { id } } = await test.post(TASKS, {
    instruction: "a",
    run_at: "2126-12-31T08:00:00Z",
  });
  const { status, body } = await patch(test, id, {
    priority: 5,
    run_at: "now",
    timeout: "15m",
    tags: ["x"],
  });
  assertEquals([status, body], [200, { id, result: "edited" }]);
  const task = await test.ok(`${TASKS}/${id}`);
  assertEquals(
    [task.priority, task.run_at, task.timeout_seconds, task.tags],
    [5, null, 900, ["x"]],
  );
  for (
    const [change, detail] of [
      [{}, /nothing is to be changed/],
      [{ key: "k" }, /key/],
      [{ run_at: "soon" }, /run_at/],
      [{ target_type: "pr" }, /without a target/],
    ] as const
  ) {
    const refused = await patch(test, id, change);
    assertEquals(refused.status, 422);
    assertMatch(refused.body.detail, detail);
  }
  assertEquals((await patch(test, NO_ID, { priority: 1 })).status, 404);
  await test.run((claimed) => complete(claimed));
  const ended = await patch(test, id, { priority: 1 });
  assertEquals([ended.status, ended.body.reason], [409, "ended"]);
});

Deno.test("POST /tasks/move tells what came of each", async () => {
  await using test = await TestService.start();
  const [{ body: { id: a } }, { body: { id: b } }] = [
    await test.post(TASKS, { instruction: "a" }),
    await test.post(TASKS, { instruction: "b" }),
  ];
  const path = `${TASKS}/move`;
  const moved = await test.post(path, { ids: [b, NO_ID], to: "first" });
  assertEquals(moved.body, { results: ["moved", "missing"] });
  assertEquals((await test.ok(`${TASKS}/${b}`)).priority, 1);
  const twice = await test.post(path, { ids: [a, a], to: "last" });
  assertEquals(twice.status, 422);
  assertEquals((await test.post(path, { ids: [a], to: "up" })).status, 422);
});
