import type { Bench, Scenario } from "../bench.ts";
import { databaseWith, startedTimes, writeTasks } from "../database.ts";
import type { Measurement } from "../measurement.ts";
import { startProgram } from "../process.ts";
import { untilLogged } from "../waiting.ts";

/**
 * How soon an idle runner starts what another process commits. The history has
 * the time at which the runner decided to claim; the log has the time at which
 * the task began, which is later by the claim's own transaction.
 */
export const pickUpScenario: Scenario = {
  name: "pick-up",
  title: "from another process's COMMIT to the start, runner idle in --loop",
  async measure(bench: Bench): Promise<Measurement[]> {
    using database = await databaseWith(bench, 0);
    await using runner = startProgram(bench, [
      "run",
      "--loop",
      "--db-path",
      database.path,
      "--log-format",
      "json",
    ]);
    await untilLogged(runner, "Running until stopped");
    const written = await writeTasks(database, {
      count: bench.isQuick ? 15 : 60,
      everyMs: 300,
    });
    await untilLogged(runner, `Task ${written.at(-1)?.id} completed`);
    const begun = begunTimes(runner.log);
    runner.terminate();
    await runner.ended();
    const started = await startedTimes(database);
    const sinceCommit = (times: ReadonlyMap<string, number>) =>
      written.map(({ id, committedAt }) => timeOf(times, id) - committedAt);
    const untilEvent = sinceCommit(started);
    const untilBegin = sinceCommit(begun);
    const sinceClose = written.map(({ id, closedAt }) =>
      timeOf(begun, id) - closedAt
    );
    const limit = { atMost: 50 };
    const p99 = { quantile: 0.99 };
    return [
      {
        name: "to the time of the started event",
        unit: "ms",
        samples: untilEvent,
        quantile: 0.5,
        target: limit,
      },
      {
        name: "to the time of the started event",
        unit: "ms",
        samples: untilEvent,
        ...p99,
      },
      {
        name: "to the task's first log line",
        unit: "ms",
        samples: untilBegin,
        quantile: 0.5,
        target: limit,
      },
      {
        name: "to the task's first log line",
        unit: "ms",
        samples: untilBegin,
        ...p99,
      },
      {
        name: "the same from when the writer let the file go",
        unit: "ms",
        samples: sinceClose,
        quantile: 0.5,
      },
      {
        name: "the writer's wait to open the file",
        unit: "ms",
        samples: written.map(({ openMs }) => openMs),
        ...p99,
      },
    ];
  },
};

function timeOf(times: ReadonlyMap<string, number>, id: string): number {
  const time = times.get(id);
  if (time === undefined) throw new Error(`Nothing says when ${id} started`);
  return time;
}

/** When the log says that each task was started. */
function begunTimes(log: string): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const line of log.trimEnd().split("\n")) {
    const { time, message, task } = JSON.parse(line);
    if (/ started \(/.test(message)) times.set(task, Date.parse(time));
  }
  return times;
}
