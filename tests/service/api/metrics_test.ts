import { assert, assertEquals, assertMatch } from "@std/assert";
import { RunnerEvents } from "../../../lib/runner/events.ts";
import { Prometheus } from "../../../lib/service/api/prometheus.ts";
import type { Transition } from "../../../lib/task/task.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { sampleTask } from "../../support/sample_task.ts";
import { TestService } from "../service.ts";

/** The samples of a page: `name{labels}` and value. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => /^[a-z]/.test(line));
  return new Map(lines.map((line): [string, number] => {
    const [, name = "", value] = /^(.*) (\S+)$/.exec(line) ?? [];
    return [name, Number(value)];
  }));
}

Deno.test("GET /metrics shows the store, and no runner's metrics where there is none", async () => {
  await using test = await TestService.start();
  await test.create();
  await test.create({ run_at: "2126-01-01T00:00:00Z" });
  const { headers, body } = await test.get("/metrics");
  assertMatch(headers.get("Content-Type") ?? "", /^text\/plain; version=0.0.4/);
  const samples = samplesOf(body);
  assertEquals(samples.get('agent_runner_queue_depth{state="created"}'), 2);
  assertEquals(samples.get("agent_runner_database_up"), 1);
  assertEquals(samples.get('agent_runner_build_info{version="1.2.3"}'), 1);
  assert((samples.get("agent_runner_oldest_waiting_seconds") ?? -1) >= 0);
  assert((samples.get("agent_runner_resident_memory_bytes") ?? 0) > 1e7);
  const started = samples.get("agent_runner_start_time_seconds") ?? 0;
  assertEquals(started, performance.timeOrigin / 1_000);
  assert(!body.includes("tasks_claimed"));
});

Deno.test("Prometheus says by the store's time how long a task waits", async () => {
  const at = new Date("2026-01-19T18:30:00Z");
  let waitingSince: Date | null = new Date("2026-01-19T18:28:30Z");
  const metrics = new Prometheus({
    clock: new FakeClock({ start: new Date("2030-01-01T00:00:00Z") }),
    version: "1.2.3",
    inFlight: undefined,
    readCounts: () =>
      Promise.resolve({
        counts: [],
        waiting: 1,
        waitingSince,
        inFlight: 0,
        at,
      }),
    readPauses: () =>
      Promise.resolve([{
        ...{ provider: "claude", kind: "limit", reason: "", tries: 0 } as const,
        ...{ batch: "", since: at, until: null },
      }]),
    readHeld: () =>
      Promise.resolve([{ provider: "claude", reason: "rate", count: 7 }]),
  });
  assertEquals(
    samplesOf(await metrics.text())
      .get('agent_runner_provider_paused{provider="claude",kind="limit"}'),
    1,
  );
  assertEquals(
    samplesOf(await metrics.text())
      .get('agent_runner_held_back{provider="claude",reason="rate"}'),
    7,
  );
  const age = async () =>
    samplesOf(await metrics.text()).get("agent_runner_oldest_waiting_seconds");
  assertEquals(await age(), 90);
  waitingSince = null;
  assertEquals(await age(), 0);
});

Deno.test("GET /metrics shows what a runner beside it did", async () => {
  const runner = new RunnerEvents((error) => {
    throw error;
  });
  const drain = new AbortController();
  await using test = await TestService.start({
    runner: () => ({ events: runner, runs: { size: 7 }, drain: drain.signal }),
  });
  assertEquals(
    (await test.get("/ready")).body.runner,
    "it has not claimed yet",
  );
  const updatedAt = new Date("2026-11-23T00:00:00Z");
  const createdAt = new Date(updatedAt.getTime() - 40);
  const provider = 'say "hi"\n';
  const task = sampleTask({ provider, createdAt, updatedAt });
  const transition = { event: "completed" } as Transition;
  runner.emit({ type: "claimed" });
  runner.emit({ type: "begun", tasks: [task] });
  assertEquals((await test.ok("/ready")).runner, "claiming");
  const isSimulated = true;
  runner.emit({ type: "recorded", task, transition, runMs: 40, isSimulated });
  runner.emit({ type: "committed", rows: 3 });
  const samples = samplesOf((await test.get("/metrics")).body);
  const labels = 'provider="say \\"hi\\"\\n"';
  for (
    const [name, value] of [
      [`agent_runner_tasks_claimed_total{${labels}}`, 1],
      [`agent_runner_tasks_completed_total{${labels}}`, 1],
      [`agent_runner_tasks_simulated_total{${labels}}`, 1],
      [`agent_runner_wait_seconds_bucket{le="0.05",${labels}}`, 1],
      [`agent_runner_wait_seconds_bucket{le="0.01",${labels}}`, 0],
      [`agent_runner_run_seconds_sum{${labels}}`, 0.04],
      ["agent_runner_commit_rows_sum", 3],
      ["agent_runner_tasks_in_flight", 7],
      ["agent_runner_leases_lost_total", 0],
    ] as const
  ) assertEquals(samples.get(name), value, name);

  runner.emit({ type: "pass failed", error: new Error("The disk is full") });
  const failing = await test.get("/ready");
  assertEquals([failing.status, failing.body.runner], [
    503,
    "The disk is full",
  ]);
  runner.emit({ type: "claimed" });
  drain.abort();
  const stopping = await test.get("/ready");
  assertEquals([stopping.status, stopping.body.runner], [
    503,
    "it is stopping",
  ]);
});

Deno.test("GET /metrics leaves out what can't be read", async () => {
  const clock = new FakeClock();
  await using test = await TestService.start({ clock });
  await test.create();
  await test.get("/metrics");
  await clock.advance(10_000);
  await test.released();
  Deno.removeSync(test.path);
  Deno.mkdirSync(test.path);
  const { status, body } = await test.get("/metrics");
  assertEquals(status, 200);
  const samples = samplesOf(body);
  assertEquals(samples.get("agent_runner_database_up"), 0);
  assertEquals(
    [...samples.keys()].filter((name) => /queue|oldest/.test(name)),
    [],
  );
  Deno.removeSync(test.path);
});
