import type { Bench, Scenario } from "../bench.ts";
import { drain } from "../drained.ts";
import type { Measurement } from "../measurement.ts";

const TASKS = 100_000;

/** Whether another version of the program drains faster. */
export const againstScenario: Scenario = {
  name: "against",
  title: "100,000 tasks, this version against another",
  async measure(bench: Bench): Promise<Measurement[]> {
    const { against: root } = bench;
    const name = "this : other, time";
    if (root === undefined) {
      return [{ name, unit: "×", samples: [], missing: "no --against" }];
    }
    const rounds = await bench.rounds([5, 1], [
      () => drain(bench, { tasks: TASKS }),
      () => drain(bench, { tasks: TASKS, root }),
    ]);
    return [
      {
        name: "this",
        unit: "s",
        samples: rounds.map(([own]) => own.ms / 1_000),
      },
      {
        name: root,
        unit: "s",
        samples: rounds.map(([, other]) => other.ms / 1_000),
      },
      {
        name,
        unit: "×",
        samples: rounds.map(([own, other]) => own.ms / other.ms),
        target: { atMost: 1.3 },
      },
    ];
  },
};
