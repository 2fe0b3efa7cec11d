import type { Bench, Scenario } from "../bench.ts";
import { drain, startupMs } from "../drained.ts";
import type { Measurement } from "../measurement.ts";

const TASKS = 1_000;
const SECONDS = 0.5;
const SLOTS = 100;

/** Whether the slots are kept full. */
export const concurrencyScenario: Scenario = {
  name: "concurrency",
  title: "1,000 tasks of 0.5 s with --concurrency 100; ideal 5.0 s",
  async measure(bench: Bench): Promise<Measurement[]> {
    const rounds = await bench.rounds([3, 1], [
      () => startupMs(bench),
      async () => {
        const { ms } = await drain(bench, {
          tasks: TASKS,
          flags: ["--concurrency", String(SLOTS)],
          env: { HANDSFREE_AGENT_TASK_COMPLETION_DELAY: String(SECONDS) },
        });
        return ms;
      },
    ]);
    const idealMs = TASKS * SECONDS / SLOTS * 1_000;
    return [
      {
        name: "whole process",
        unit: "s",
        samples: rounds.map(([, ms]) => ms / 1_000),
      },
      {
        name: "without startup : ideal",
        unit: "×",
        samples: rounds.map(([start, ms]) => (ms - start) / idealMs),
        target: { atMost: 1.1 },
      },
    ];
  },
};
