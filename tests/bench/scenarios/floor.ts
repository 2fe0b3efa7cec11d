import type { Bench, Scenario } from "../bench.ts";
import { databaseWith, runFloor } from "../database.ts";
import { drain, startupMs } from "../drained.ts";
import type { Measurement } from "../measurement.ts";

/** How near the program comes to the SQL that it can't do without. */
export const floorScenario: Scenario = {
  name: "floor",
  title: "bare set-wise SQL over the same rows, sets of 10,000, in one process",
  async measure(bench: Bench): Promise<Measurement[]> {
    const backlogs = bench.isQuick ? [100_000] : [100_000, 1_000_000];
    const measurements: Measurement[] = [];
    for (const tasks of backlogs) {
      const name = tasks.toLocaleString("en-US");
      const rounds = await bench.rounds(
        [3, 1],
        [
          () => startupMs(bench),
          async () => {
            using database = await databaseWith(bench, tasks);
            return await runFloor(database);
          },
          async () => (await drain(bench, { tasks })).ms,
        ] as const,
      );
      const pairs = rounds.map(([start, floor, whole]) => {
        const { updatesMs, historyMs } = floor;
        const drainMs = whole - start;
        return { updatesMs, allMs: updatesMs + historyMs, drainMs };
      });
      measurements.push(
        {
          name: `${name}: two UPDATEs a set`,
          unit: "µs/task",
          samples: pairs.map((it) => it.updatesMs / tasks * 1_000),
        },
        {
          name: `${name}: the same with history rows`,
          unit: "µs/task",
          samples: pairs.map((it) => it.allMs / tasks * 1_000),
        },
        {
          name: `${name}: drain without startup : two UPDATEs`,
          unit: "×",
          samples: pairs.map((it) => it.drainMs / it.updatesMs),
        },
        {
          name: `${name}: drain without startup : with history rows`,
          unit: "×",
          samples: pairs.map((it) => it.drainMs / it.allMs),
        },
      );
    }
    return measurements;
  },
};
