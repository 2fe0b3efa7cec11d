import type { Bench, Scenario } from "../bench.ts";
import { drain } from "../drained.ts";
import type { Measurement } from "../measurement.ts";

const TASKS = 100_000;

/** What it costs to let others have the file. */
export const sharedScenario: Scenario = {
  name: "shared",
  title: "100,000 tasks, sharing the file (default) against --exclusive",
  async measure(bench: Bench): Promise<Measurement[]> {
    const rounds = await bench.rounds([5, 1], [
      () => drain(bench, { tasks: TASKS }),
      () => drain(bench, { tasks: TASKS, flags: ["--exclusive"] }),
    ]);
    const rates = rounds.map(([shared, exclusive]) => ({
      shared: TASKS / shared.ms * 1_000,
      exclusive: TASKS / exclusive.ms * 1_000,
    }));
    return [
      {
        name: "shared",
        unit: "tasks/s",
        samples: rates.map(({ shared }) => shared),
      },
      {
        name: "exclusive",
        unit: "tasks/s",
        samples: rates.map(({ exclusive }) => exclusive),
      },
      {
        name: "shared : exclusive",
        unit: "×",
        samples: rates.map(({ shared, exclusive }) => shared / exclusive),
        target: { atLeast: 0.8 },
      },
    ];
  },
};
