import type { Bench, Scenario } from "../bench.ts";
import { databaseWith } from "../database.ts";
import type { Measurement } from "../measurement.ts";
import { startProgram } from "../process.ts";
import { sleep, untilLogged } from "../waiting.ts";

/** What a runner costs that has nothing to do. */
export const idleScenario: Scenario = {
  name: "idle",
  title: "an idle run --loop",
  async measure(bench: Bench): Promise<Measurement[]> {
    using database = await databaseWith(bench, 0);
    await using runner = startProgram(bench, [
      "run",
      "--loop",
      "--db-path",
      database.path,
    ]);
    await untilLogged(runner, "Running until stopped");
    await sleep(2_000); // What starting left to do is not idling.
    const rounds = await bench.rounds([3, 1], [async () => {
      const before = await runner.usage();
      const startedAt = performance.now();
      await sleep(bench.isQuick ? 5_000 : 10_000);
      const seconds = (performance.now() - startedAt) / 1_000;
      const after = await runner.usage();
      return before && after && {
        msPerTenSeconds: (after.cpuMs - before.cpuMs) / seconds * 10,
        peakMb: after.peakMb,
      };
    }]);
    runner.terminate();
    await runner.ended();
    const samples = rounds.flat().flatMap((it) => it ?? []);
    return [
      {
        name: "processor time in 10 s",
        unit: "ms",
        samples: samples.map((it) => it.msPerTenSeconds),
        target: { atMost: 100 },
      },
      {
        name: "resident",
        unit: "MB",
        samples: samples.map(({ peakMb }) => peakMb),
      },
    ];
  },
};
