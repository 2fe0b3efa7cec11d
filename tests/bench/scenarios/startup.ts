import type { Bench, Scenario } from "../bench.ts";
import { scriptCommand } from "../child.ts";
import { databaseWith } from "../database.ts";
import { startupMs } from "../drained.ts";
import type { Measurement } from "../measurement.ts";
import { Process } from "../process.ts";

/** What the program adds to the start of Deno and DuckDB. */
export const startupScenario: Scenario = {
  name: "startup",
  title: "run --once on an empty queue against a bare deno run with DuckDB",
  async measure(bench: Bench): Promise<Measurement[]> {
    const rounds = await bench.rounds([10, 3], [
      () => startupMs(bench),
      async () => {
        using database = await databaseWith(bench, 0);
        const command = scriptCommand("bare_open.ts", [database.path]);
        await using process = new Process(bench, command);
        return (await process.ended()).ms;
      },
    ]);
    return [
      {
        name: "run --once",
        unit: "ms",
        samples: rounds.map(([program]) => program),
      },
      {
        name: "bare",
        unit: "ms",
        samples: rounds.map(([, bare]) => bare),
      },
      {
        name: "run --once : bare",
        unit: "×",
        samples: rounds.map(([program, bare]) => program / bare),
      },
    ];
  },
};
