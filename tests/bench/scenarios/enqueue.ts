import type { Bench, Scenario } from "../bench.ts";
import { Database } from "../database.ts";
import type { Measurement } from "../measurement.ts";
import { runProgram } from "../process.ts";

const TASKS = 100_000;

/** How fast many tasks come in. */
export const enqueueScenario: Scenario = {
  name: "enqueue",
  title: "create --file of 100,000 tasks as a whole process",
  async measure(bench: Bench): Promise<Measurement[]> {
    const file = bench.newPath(".jsonl");
    const lines = Array.from({ length: TASKS }, (_, index) =>
      JSON.stringify({
        instruction: `Summarise the open issues of octo/app, part ${index}`,
        provider: "simulate",
      }));
    Deno.writeTextFileSync(file, lines.join("\n"));
    const rounds = await bench.rounds([5, 2], [async () => {
      using database = new Database(bench.newPath(".duckdb"));
      await bench.settle();
      const finished = await runProgram(bench, [
        "create",
        "--file",
        file,
        "--db-path",
        database.path,
      ]);
      if (!finished.stdout.includes(String(TASKS))) {
        throw new Error(`Unexpected: ${finished.stdout}`);
      }
      return finished;
    }]);
    Deno.removeSync(file);
    const runs = rounds.flat();
    return [
      {
        name: "into a new database",
        unit: "tasks/s",
        samples: runs.map(({ ms }) => TASKS / ms * 1_000),
        target: { atLeast: 100_000 },
      },
      {
        name: "resident",
        unit: "MB",
        samples: runs.flatMap(({ peakMb }) => peakMb ?? []),
      },
    ];
  },
};
