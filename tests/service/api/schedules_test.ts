import { assertEquals, assertMatch } from "@std/assert";
import { TestService } from "../service.ts";

const SCHEDULES = "/api/v1/schedules";
const TASK = { instruction: "Update of {slot:date}" };
const NIGHTLY = {
  name: "nightly",
  definition: { cron: "0 2 * * *", zone: "Asia/Tokyo", task: TASK },
};

Deno.test("POST /schedules adds a schedule, and GET tells its next times", async () => {
  await using service = await TestService.start({ exclusive: true });
  const empty = await service.ok(SCHEDULES);
  assertEquals(empty.schedules, []);
  const { status, body } = await service.post(SCHEDULES, NIGHTLY);
  assertEquals(status, 200, JSON.stringify(body));
  const { schedules: [nightly, ...others] } = await service.ok(SCHEDULES);
  assertEquals(others, []);
  const { added_at: _, next, ...rest } = nightly;
  assertEquals(rest, {
    name: "nightly",
    definition: {
      ...{ cron: "0 2 * * *", zone: "Asia/Tokyo" },
      ...{ catchUp: "latest", overlap: "skip" },
      task: { provider: "simulate", ...TASK },
    },
    ...{ problem: null, source: "command", paused_at: null },
    ...{ last_slot: null, last_task: null },
  });
  assertEquals(next.map((it: string) => it.slice(11)), [
    ...["17:00:00.000Z", "17:00:00.000Z", "17:00:00.000Z"],
  ]);
});

Deno.test("POST /schedules/pause, /resume and /remove change one", async () => {
  await using service = await TestService.start({ exclusive: true });
  await service.post(SCHEDULES, NIGHTLY);
  const { name } = NIGHTLY;
  const change = async (verb: string, name: string) =>
    (await service.post(`${SCHEDULES}/${verb}`, { name })).body;
  for (const verb of ["pause", "resume", "remove"]) {
    assertEquals(await change(verb, "other"), { found: false });
    assertEquals(await change(verb, name), { found: true });
    const { schedules: [it] } = await service.ok(SCHEDULES);
    assertEquals(
      it && [it.paused_at !== null, it.next.length],
      { pause: [true, 0], resume: [false, 3] }[verb],
    );
  }
});

Deno.test("GET /schedules says of one that can't be read what is wrong", async () => {
  await using service = await TestService.start({ exclusive: true });
  const broken = { name: "a", definition: "broken", source: "file h /x" };
  await service.store.schedules.put(broken);
  const { schedules: [it] } = await service.ok(SCHEDULES);
  assertMatch(it.problem, /Cannot read a schedule/);
  assertEquals([it.definition, it.next], ["broken", []]);
});

Deno.test("POST /schedules refuses what is no schedule, and one that is a file's", async () => {
  await using service = await TestService.start({ exclusive: true });
  const { definition } = NIGHTLY;
  for (
    const body of [
      {},
      { name: "a b", definition },
      { name: "a", definition: { ...definition, cron: "0 0 30 2 *" } },
      { name: "a", definition: { ...definition, zone: "Mars" } },
      { name: "a", definition: { ...definition, overlap: "no" } },
      { name: "a", definition: { ...definition, catchup: "all" } },
      { name: "a", definition: { ...definition, task: {} } },
      { name: "a", definition: { ...definition, task: { ...TASK, id: "x" } } },
      { name: "a", definition, source: "file" },
    ]
  ) {
    const { status } = await service.post(SCHEDULES, body);
    assertEquals(status, 422, JSON.stringify(body));
  }
  const source = "file h /a/agent-runner.json";
  await service.store.schedules.put({
    ...{ name: "nightly", definition: "{}", source },
  });
  assertEquals((await service.post(SCHEDULES, NIGHTLY)).status, 409);
});
